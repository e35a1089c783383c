// SPDX-License-Identifier: AGPL-3.0-or-later
//! A socket that sees every packet of one device, and can put packets on it (packet(7)).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, RecvMsg, SockFlag, SockProtocol, SockType, bind,
    recvmsg, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;

/// Room for what the reader has not fetched yet: 60 ms at 300 Mbit/s, as the kernel counts about 2.3 KiB per packet.
const RECEIVE_BUFFER: usize = 4 << 20;

/// `sll_pkttype` of what leaves by the device (packet(7)).
const OUTGOING: u8 = 4;

/// The packets of one device, in both directions.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    socket: OwnedFd,
    index: usize,
    control: Vec<u8>,
    /// What the kernel has told last of packets for which there was no room.
    missed: u32,
}

/// A packet that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Its length, which may be more than the buffer holds.
    pub length: usize,
    /// When the kernel got it.
    pub at: SystemTime,
    /// Whether it leaves by the device instead of coming in.
    pub outgoing: bool,
}

impl PacketSocket {
    /// Opens it on a device of the namespace of this thread.
    pub(crate) fn open(device: &str) -> Result<Self> {
        let index = if_nametoindex(device).with_context(|| format!("looking for {device}"))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
            .context("opening a packet socket")?;
        // A normal user in a namespace of his own gets what `net.core.rmem_max` allows.
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        // A TUN device has no address to bind to. Then packets of other devices come too and are left out below.
        if let Some(address) = address_of(device)? {
            bind(socket.as_raw_fd(), &address).with_context(|| format!("binding to {device}"))?;
        }
        let control = nix::cmsg_space!(TimeSpec, u32);
        Ok(Self { socket, index: usize::try_from(index)?, control, missed: 0 })
    }

    /// The next packet of the device, its beginning in `buffer`; none where none waits.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        loop {
            let mut parts = [IoSliceMut::new(buffer)];
            let answer = recvmsg::<LinkAddr>(
                self.socket.as_raw_fd(),
                &mut parts,
                Some(&mut self.control),
                MsgFlags::MSG_TRUNC,
            );
            let message = match answer {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                // The device was down, or the call was interrupted: what comes next is as good.
                Err(Errno::ENETDOWN | Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let (at, missed) = told(&message);
            self.missed = missed.unwrap_or(self.missed);
            let received = |address: LinkAddr| {
                let outgoing = address.pkttype() == OUTGOING;
                (address.ifindex() == self.index).then_some(Received { length: message.bytes, at, outgoing })
            };
            if let Some(received) = message.address.and_then(received) {
                return Ok(Some(received));
            }
        }
    }

    /// Puts a packet on the device.
    ///
    /// # Errors
    /// Where the device is down or has no room; the packet is lost then.
    pub(crate) fn send(&self, packet: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), packet, MsgFlags::empty())?;
        Ok(())
    }

    /// How many packets came when there was no room for them.
    pub(crate) fn missed(&self) -> u32 {
        self.missed
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn address_of(device: &str) -> Result<Option<LinkAddr>> {
    let mut all = getifaddrs().context("listing devices")?;
    Ok(all.find_map(|one| {
        let address = one.address.filter(|_| one.interface_name == device)?;
        address.as_link_addr().copied()
    }))
}

/// When the packet came, and how many did not; without a timestamp it came now.
fn told(message: &RecvMsg<'_, '_, LinkAddr>) -> (SystemTime, Option<u32>) {
    let (mut at, mut missed) = (None, None);
    for part in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmTimestampns(time) = part {
            at = Some(SystemTime::UNIX_EPOCH + Duration::from(time));
        } else if let ControlMessageOwned::RxqOvfl(count) = part {
            missed = Some(count);
        }
    }
    (at.unwrap_or_else(SystemTime::now), missed)
}
