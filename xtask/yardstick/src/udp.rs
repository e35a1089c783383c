// SPDX-License-Identifier: AGPL-3.0-or-later
//! The underlay: one connected UDP socket that sends and receives many datagrams of one size at a time.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce, UdpGroSegment};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg, setsockopt};

/// The most datagrams of one call that every kernel takes (UDP_MAX_SEGMENTS was 64 before Linux 6.9).
pub(crate) const MAX_DATAGRAMS: usize = 64;
/// The most bytes of one call: the longest UDP payload over IPv4.
pub(crate) const MAX_BYTES: usize = 65_507;

/// Room for the datagrams of some ten milliseconds at 5 Gbit/s, as all tunnels of the bench have it.
const SOCKET_BUFFER: usize = 7 << 20;

/// The socket. Both calls block, and take `&self`: one thread sends while another receives.
#[derive(Debug)]
pub(crate) struct UdpLink {
    socket: UdpSocket,
}

/// What one call received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes of all datagrams.
    pub(crate) len: usize,
    /// Bytes of each but the last, which may be shorter; not zero.
    pub(crate) segment: usize,
}

impl UdpLink {
    /// Binds and connects; needs CAP_NET_ADMIN for the size of the socket's buffers.
    pub(crate) fn open(local: SocketAddr, peer: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(local).with_context(|| format!("binding to {local}"))?;
        socket.connect(peer).with_context(|| format!("connecting to {peer}"))?;
        setsockopt(&socket, RcvBufForce, &SOCKET_BUFFER).context("SO_RCVBUFFORCE")?;
        setsockopt(&socket, SndBufForce, &SOCKET_BUFFER).context("SO_SNDBUFFORCE")?;
        setsockopt(&socket, UdpGroSegment, &true).context("UDP_GRO")?;
        Ok(Self { socket })
    }

    /// Sends datagrams of `segment` bytes, the last one possibly shorter, within [`MAX_DATAGRAMS`] and [`MAX_BYTES`].
    ///
    /// Where nobody listens yet they are lost, as on any link.
    pub(crate) fn send(&self, datagrams: &[u8], segment: usize) -> io::Result<()> {
        let size = u16::try_from(segment).map_err(io::Error::other)?;
        let gso = [ControlMessage::UdpGsoSegments(&size)];
        let control = if datagrams.len() > segment { &gso[..] } else { &[] };
        let parts = [IoSlice::new(datagrams)];
        match sendmsg::<()>(self.socket.as_raw_fd(), &parts, control, MsgFlags::empty(), None) {
            Ok(_) | Err(Errno::ECONNREFUSED) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for datagrams.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut control = cmsg_space!(i32);
        loop {
            let mut parts = [IoSliceMut::new(buffer)];
            let fd = self.socket.as_raw_fd();
            let message = match recvmsg::<()>(fd, &mut parts, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => message,
                Err(Errno::ECONNREFUSED | Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut segment = message.bytes;
            for control in message.cmsgs()? {
                if let ControlMessageOwned::UdpGroSegments(size) = control {
                    segment = usize::try_from(size).map_err(io::Error::other)?;
                }
            }
            return Ok(Received { len: message.bytes, segment: segment.max(1) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs no rights but to open sockets, unlike [`UdpLink::open`].
    fn pair() -> (UdpLink, UdpLink) {
        let (left, right) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        left.connect(right.local_addr().unwrap()).unwrap();
        right.connect(left.local_addr().unwrap()).unwrap();
        setsockopt(&right, UdpGroSegment, &true).unwrap();
        (UdpLink { socket: left }, UdpLink { socket: right })
    }

    #[test]
    fn many_datagrams_pass_with_one_call() {
        let (left, right) = pair();
        let sent: Vec<u8> = (0..=255).cycle().take(10 * 1_000 + 7).collect();
        left.send(&sent, 1_000).unwrap();
        let (mut buffer, mut bytes, mut datagrams) = (vec![0; MAX_BYTES], Vec::new(), 0);
        while bytes.len() < sent.len() {
            let received = right.receive(&mut buffer).unwrap();
            assert!(received.segment <= 1_000);
            datagrams += received.len.div_ceil(received.segment);
            bytes.extend_from_slice(&buffer[..received.len]);
        }
        assert_eq!((bytes, datagrams), (sent, 11));
    }

    #[test]
    fn one_datagram_and_an_empty_one_pass_too() {
        let (left, right) = pair();
        let mut buffer = [0; 100];
        left.send(b"one", 3).unwrap();
        assert_eq!(right.receive(&mut buffer).unwrap(), Received { len: 3, segment: 3 });
        left.send(b"", 0).unwrap();
        assert_eq!(right.receive(&mut buffer).unwrap(), Received { len: 0, segment: 1 });
    }
}
