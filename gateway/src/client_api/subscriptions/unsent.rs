// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether everything that was written to a TCP connection is at its other end (`TCP_INFO`, tcp(7); linux/tcp.h).

use std::io;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{GetSockOpt, sockopt};
use tokio::net::TcpStream;

/// `struct tcp_info` up to and with `tcpi_notsent_bytes` (Linux 4.6), a part that never changes.
const LENGTH: usize = 148;

/// The state of the connection (`tcpi_state`), and those in which the other end's system is there for it: it is open, or the other end
/// has closed it. One that closes it with something unread, or is given something afterwards, resets it.
const STATE: usize = 0;
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;

/// Segments sent and not acknowledged (`tcpi_unacked`).
const UNACKED: usize = 24;

/// Bytes that wait to be sent (`tcpi_notsent_bytes`).
const NOT_SENT: usize = 144;

/// The kernel tells nobody when the last is acknowledged: on the loopback interface that is at once, unless the other end has no room.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Reads it.
#[derive(Clone, Copy, Debug)]
struct TcpInfo;

nix::getsockopt_impl!(
    TcpInfo,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u8; LENGTH],
    sockopt::GetStruct<[u8; LENGTH]>
);

/// Waits until the other end's system has all that was written. Cancel safe.
///
/// # Errors
/// The connection is gone, and what was written last may be lost.
pub(super) async fn is_acknowledged(client: &TcpStream) -> io::Result<()> {
    while waits(client)? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Whether something that was written is not at the other end yet.
///
/// # Errors
/// As [`is_acknowledged`].
pub(super) fn waits(client: &TcpStream) -> io::Result<bool> {
    let info = TcpInfo.get(client)?;
    if ![ESTABLISHED, CLOSE_WAIT].contains(&info[STATE]) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    let is_zero = |at: usize| info[at..at + 4] == [0; 4];
    Ok(!is_zero(UNACKED) || !is_zero(NOT_SENT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_the_other_end_has_no_room_for_waits() {
        let (mut writer, mut reader) = pair().await;
        writer.write_all(b"little").await.unwrap();
        is_acknowledged(&writer).await.unwrap();
        // As much as both ends' systems keep.
        let mut written = 0;
        let piece = vec![7; 64 * 1024];
        while let Ok(more) = tokio::time::timeout(Duration::from_millis(100), writer.write(&piece)).await {
            written += more.unwrap();
        }
        assert!(waits(&writer).unwrap(), "{written} bytes");
        let mut read = vec![0; 6 + written];
        let reading = reader.read_exact(&mut read);
        let (read, acknowledged) = tokio::join!(reading, is_acknowledged(&writer));
        read.unwrap();
        acknowledged.unwrap();
        assert!(!waits(&writer).unwrap());
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let writer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (writer, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn who_read_all_and_closed_has_it_and_who_did_not_may_not() {
        let (mut writer, mut reader) = pair().await;
        writer.write_all(b"read").await.unwrap();
        reader.read_exact(&mut [0; 4]).await.unwrap();
        drop(reader);
        assert_eq!(writer.read(&mut [0]).await.unwrap(), 0);
        is_acknowledged(&writer).await.unwrap();
        writer.write_all(b"too late").await.unwrap();
        assert!(is_acknowledged(&writer).await.is_err());

        let (mut writer, reader) = pair().await;
        writer.write_all(b"unread").await.unwrap();
        is_acknowledged(&writer).await.unwrap();
        drop(reader);
        assert!(writer.read(&mut [0]).await.is_err(), "it was reset");
        assert!(is_acknowledged(&writer).await.is_err());
    }
}
