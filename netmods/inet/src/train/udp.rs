// SPDX-License-Identifier: AGPL-3.0-or-later
//! The UDP sockets of trains: datagrams come with the time at which the kernel had them.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns, SndBufForce};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use ratman_wire::train::MAX_TRAIN_PACKET;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::socket::canonical;

/// What a whole train of the longest kind takes of the kernel's memory, its bookkeeping included, in bytes. Without
/// CAP_NET_ADMIN it is less (`net.core.wmem_max`), and the longest trains are cut.
const BUFFER: usize = 2 * 1024 * 1024;

/// How long a socket rests that told of an error, so that one that tells of nothing else costs nothing.
pub(crate) const DEAF: Duration = Duration::from_millis(100);

/// One datagram.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) source: SocketAddr,
    /// When the kernel had it, by its wall clock.
    pub(crate) stamp: Duration,
}

/// Opens a socket at an address, which others of this process may share; with `remote` it hears that one only.
///
/// Of several that share an address the kernel chooses the one that is connected to the sender.
pub(crate) fn open(
    local: SocketAddr,
    remote: Option<SocketAddr>,
    mark: Option<u32>,
) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    setsockopt(&socket, SndBufForce, &BUFFER).or_else(|_| socket.set_send_buffer_size(BUFFER))?;
    setsockopt(&socket, RcvBufForce, &BUFFER).or_else(|_| socket.set_recv_buffer_size(BUFFER))?;
    setsockopt(&socket, ReceiveTimestampns, &true)?;
    if local.is_ipv6() {
        // Both families where all addresses are meant, as the TCP listener beside it.
        socket.set_only_v6(!local.ip().is_unspecified())?;
    }
    socket.bind(&local.into())?;
    if let Some(remote) = remote {
        socket.connect(&remote.into())?;
    }
    UdpSocket::from_std(socket.into())
}

/// Waits for the next datagram; one that is longer than any of ours is cut, and refused by its parser then.
pub(crate) async fn receive(socket: &UdpSocket) -> io::Result<Datagram> {
    loop {
        socket.readable().await?;
        match socket.try_io(Interest::READABLE, || receive_now(socket)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

fn receive_now(socket: &UdpSocket) -> io::Result<Datagram> {
    let mut buffer = [0; MAX_TRAIN_PACKET + 1];
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut pieces = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags)?;
    let stamp = message.cmsgs()?.find_map(|control| {
        if let ControlMessageOwned::ScmTimestampns(stamp) = control { Some(stamp.into()) } else { None }
    });
    let source = message.address.as_ref().and_then(address).ok_or(ErrorKind::InvalidData)?;
    let (stamp, length) = (stamp.ok_or(ErrorKind::InvalidData)?, message.bytes);
    Ok(Datagram { bytes: buffer[..length].into(), source, stamp })
}

/// An address as a link has it, IPv4 never mapped.
fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| SocketAddr::from(*address));
    let v6 = || storage.as_sockaddr_in6().map(|address| SocketAddr::from(*address));
    v4.or_else(v6).map(canonical)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[tokio::test]
    async fn datagrams_come_stamped_and_to_the_socket_that_is_connected() {
        let everybody = open("127.0.0.1:0".parse().unwrap(), None, None).unwrap();
        let address = everybody.local_addr().unwrap();
        let near = open("127.0.0.1:0".parse().unwrap(), Some(address), None).unwrap();
        let before = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        near.send(&[1; 2000]).await.unwrap();
        let first = receive(&everybody).await.unwrap();
        let after = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        assert_eq!((first.source, first.bytes.len()), (near.local_addr().unwrap(), MAX_TRAIN_PACKET + 1));
        assert!(before <= first.stamp && first.stamp <= after);

        let connected = open(address, Some(first.source), None).unwrap();
        near.send(b"second").await.unwrap();
        assert_eq!(*receive(&connected).await.unwrap().bytes, *b"second");
        let other = open("127.0.0.1:0".parse().unwrap(), Some(address), None).unwrap();
        other.send(b"third").await.unwrap();
        assert_eq!(*receive(&everybody).await.unwrap().bytes, *b"third");
    }
}
