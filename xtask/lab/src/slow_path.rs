// SPDX-License-Identifier: AGPL-3.0-or-later
//! A TCP relay that holds everything back for a while: a link with latency, on any kernel.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::node::Node;

/// Bytes taken at once.
const CHUNK: usize = 64 * 1024;

/// Chunks on their way in one direction; more wait in the sender's socket.
const CHUNKS_ON_THE_WAY: usize = 256;

/// A relay in one node. It ends with the process that made it.
#[derive(Clone, Copy, Debug)]
pub struct SlowPath {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it connects to for each connection that it accepts.
    pub target: SocketAddr,
    /// How long it holds each byte back, in each direction.
    pub delay: Duration,
}

impl SlowPath {
    /// Starts the relay on the node and returns once it listens.
    pub fn start(self, node: &Node) -> Result<()> {
        let (ready, listens) = mpsc::channel();
        node.thread(move || {
            let listener = TcpListener::bind(self.listen);
            let _ = ready.send(listener.as_ref().map(drop).map_err(|error| error.kind()));
            for accepted in listener.iter().flat_map(TcpListener::incoming).flatten() {
                // A router whose dial is not relayed dials again: nothing to report here.
                let _ = self.relay(accepted);
            }
        })?;
        listens.recv()?.map_err(std::io::Error::from).with_context(|| format!("listening on {}", self.listen))
    }

    fn relay(self, near: TcpStream) -> std::io::Result<()> {
        let far = TcpStream::connect_timeout(&self.target, Duration::from_secs(1))?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        delay(near.try_clone()?, far.try_clone()?, self.delay);
        delay(far, near, self.delay);
        Ok(())
    }
}

fn delay(mut from: TcpStream, mut to: TcpStream, by: Duration) {
    let (sender, receiver) = mpsc::sync_channel::<(Instant, Vec<u8>)>(CHUNKS_ON_THE_WAY);
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + by, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Read);
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
