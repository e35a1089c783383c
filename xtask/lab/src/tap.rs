// SPDX-License-Identifier: AGPL-3.0-or-later
//! What crosses a device, seen by a thread beside those who send it.

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Result, anyhow};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::node::Node;
use crate::packet_socket::{PacketSocket, Received};

/// The longest packet, an Ethernet header included: segments are cut as late as by the receiver.
const LONGEST: usize = 18 + 65_535;

/// Bytes of packets that are kept; more end a tap with an error.
const MOST_BYTES: usize = 256 << 20;

/// A thread that makes something of the packets of a device.
#[derive(Debug)]
pub(crate) struct Tapping<T> {
    alive: PipeWriter,
    thread: JoinHandle<io::Result<T>>,
}

impl<T: Default + Send + 'static> Tapping<T> {
    /// Starts it on the node; `keep` is given every packet from now on, at most `longest` bytes of it.
    pub(crate) fn start(
        node: &Node,
        device: &str,
        longest: usize,
        keep: impl FnMut(&mut T, Received, &[u8]) -> io::Result<()> + Send + 'static,
    ) -> Result<Self> {
        let (hangup, alive) = pipe()?;
        let (ready, opened) = mpsc::channel();
        let device = device.to_owned();
        let thread = node.thread(move || match PacketSocket::open(&device) {
            Ok(socket) => {
                // Who waits for this has its end open.
                let _ = ready.send(Ok(()));
                watch(socket, &hangup, vec![0; longest], keep)
            }
            Err(error) => {
                let _ = ready.send(Err(error));
                Ok(T::default())
            }
        })?;
        opened.recv().unwrap_or_else(|_| Err(anyhow!("the thread of a tap ended")))?;
        Ok(Self { alive, thread })
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where packets came faster than they could be read, or too many: what it knows has holes then.
    pub(crate) fn stop(self) -> Result<T> {
        drop(self.alive);
        Ok(self.thread.join().expect("watching a device does not panic")?)
    }
}

fn watch<T: Default>(
    mut socket: PacketSocket,
    hangup: &PipeReader,
    mut packet: Vec<u8>,
    mut keep: impl FnMut(&mut T, Received, &[u8]) -> io::Result<()>,
) -> io::Result<T> {
    let mut kept = T::default();
    loop {
        let mut watched =
            [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(hangup.as_fd(), PollFlags::POLLIN)];
        poll(&mut watched, PollTimeout::NONE)?;
        let over = watched[1].any().unwrap_or(false);
        while let Some(received) = socket.receive(&mut packet)? {
            keep(&mut kept, received, &packet[..received.length.min(packet.len())])?;
        }
        if socket.missed() > 0 {
            return Err(io::Error::other("packets came faster than they could be kept"));
        }
        if over {
            return Ok(kept);
        }
    }
}

/// A capture of whole packets, in both directions.
#[derive(Debug)]
pub struct Tap(Tapping<Packets>);

#[derive(Debug, Default)]
struct Packets {
    packets: Vec<Vec<u8>>,
    bytes: usize,
}

impl Tap {
    /// Starts it on the node; it sees what crosses the device from now on.
    pub fn start(node: &Node, device: &str) -> Result<Self> {
        let keep = |kept: &mut Packets, _: Received, packet: &[u8]| {
            kept.bytes += packet.len();
            kept.packets.push(packet.to_vec());
            if kept.bytes <= MOST_BYTES { Ok(()) } else { Err(io::Error::other("too much to keep")) }
        };
        Tapping::start(node, device, LONGEST, keep).map(Self)
    }

    /// Ends it, and says which packets crossed the device, in their order and with their link layer.
    ///
    /// # Errors
    /// Where packets came faster than they could be read, or more than 256 MiB.
    pub fn stop(self) -> Result<Vec<Vec<u8>>> {
        Ok(self.0.stop()?.packets)
    }
}
