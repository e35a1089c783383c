// SPDX-License-Identifier: AGPL-3.0-or-later
//! Reads back what a connection was given and the peer's end has not acknowledged, out of the kernel's own send queue
//! (`TCP_REPAIR`, made to move connections between hosts), so that nothing is copied while all is well.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, SetSockOpt, recv};
use socket2::SockRef;
use tokio::net::TcpStream;

/// `TCP_REPAIR_ON` of linux/tcp.h.
const ON: i32 = 1;
/// `TCP_REPAIR_OFF_NO_WP` of linux/tcp.h (Linux 4.19): goes on as if nothing had been, without a window probe.
const OFF: i32 = -1;
/// `TCP_SEND_QUEUE` of linux/tcp.h.
const SEND_QUEUE: i32 = 2;

/// The unacknowledged bytes of a connection, oldest first; afterwards it goes on.
///
/// Meanwhile nobody may write to it, and whoever reads from it may be refused with
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied).
///
/// # Errors
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) without CAP_NET_ADMIN where the network namespace belongs,
/// `EFAULT` if there are more than `most` bytes.
pub(crate) fn unacknowledged(stream: &TcpStream, most: usize) -> io::Result<Vec<u8>> {
    let socket = SockRef::from(stream);
    let reuse = socket.reuse_address()?;
    Repair.set(stream, &ON)?;
    let mut bytes = vec![0; most];
    let count = RepairQueue
        .set(stream, &SEND_QUEUE)
        .and_then(|()| recv(stream.as_raw_fd(), &mut bytes, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT));
    if let Err(error) = Repair.set(stream, &OFF) {
        // It would never send again.
        let _ = socket.shutdown(Shutdown::Both);
        return Err(error.into());
    }
    // The kernel forgets it when it leaves the mode; a restarted router could not take its port back.
    socket.set_reuse_address(reuse)?;
    bytes.truncate(count?);
    Ok(bytes)
}

/// Begins and ends the mode (`TCP_REPAIR`, Linux 3.5).
#[derive(Clone, Copy, Debug)]
struct Repair;

nix::setsockopt_impl!(
    Repair,
    libc::IPPROTO_TCP,
    libc::TCP_REPAIR,
    i32,
    nix::sys::socket::sockopt::SetStruct<'_, i32>
);

/// Says which queue is read in the mode (`TCP_REPAIR_QUEUE`).
#[derive(Clone, Copy, Debug)]
struct RepairQueue;

nix::setsockopt_impl!(
    RepairQueue,
    libc::IPPROTO_TCP,
    libc::TCP_REPAIR_QUEUE,
    i32,
    nix::sys::socket::sockopt::SetStruct<'_, i32>
);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Where the tests may not administer the network, the error says so and nothing else changes.
    #[tokio::test]
    async fn the_send_queue_is_read_and_the_connection_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        let mut near = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        // More than the far end takes without reading.
        let mut sent = Vec::new();
        near.writable().await.unwrap();
        let mut piece = [0; 997];
        while let Ok(count) = near.try_write(&piece) {
            sent.extend(&piece[..count]);
            piece = [piece[0].wrapping_add(1); 997];
        }
        match unacknowledged(&near, sent.len()) {
            Ok(bytes) => assert!(!bytes.is_empty() && sent.ends_with(&bytes)),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        assert!(SockRef::from(&near).reuse_address().unwrap());
        let mut received = vec![0; sent.len()];
        far.read_exact(&mut received).await.unwrap();
        assert!(received == sent);
        near.write_all(b"on").await.unwrap();
        let mut last = [0; 2];
        far.read_exact(&mut last).await.unwrap();
        assert_eq!(&last, b"on");
    }
}
