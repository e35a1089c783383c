// SPDX-License-Identifier: AGPL-3.0-or-later
//! Finds a black hole on the way to a peer: a hop that drops packets which are too long for it and says nothing, so that a link
//! comes up, carries what is short, and stalls with the first bulk.
//!
//! A connection to the port that links use, with one segment as long as the kernel believes that the path takes, shows it:
//! nothing but the peer's TCP is needed, which acknowledges whatever arrives (decisions/black-holes.md).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::deframer::PREFIX;
use crate::meter::{ip_header, tcp_header};
use crate::socket::{self, Options};

/// How long a connection may take: two SYNs.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long the long segment has: on a path of 300 ms it is sent three times, on a short one four or five times. Less than the
/// five seconds after which the peer closes.
const LONG_LIMIT: Duration = Duration::from_secs(3);
/// How long the short one has.
const SHORT_LIMIT: Duration = Duration::from_secs(1);
/// Bytes of the short segment: an IP packet of it passes every hop there is.
const SHORT: usize = 64;
/// No event tells of an acknowledgement: between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What becomes of full segments on the way to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullSegments {
    /// They arrive, maybe after the path told the kernel how long a packet may be.
    Arrive,
    /// They do not, though short ones do.
    Vanish {
        /// Bytes of the IP packet that vanished, as long as the kernel takes the path's to be.
        packet: u32,
    },
    /// Short ones do not arrive reliably either, so that nothing can be said.
    Unclear,
}

/// Sends a full segment to the address at which a peer listens; `mark` as in
/// [`InetConfig::mark`](crate::InetConfig::mark). Takes a round trip or two where all is well, and 8 s at most.
///
/// The peer refuses what it gets as no peering and counts that.
///
/// # Errors
/// No connection, or the mark is not permitted.
pub async fn full_segments(address: SocketAddr, mark: Option<u32>) -> io::Result<FullSegments> {
    let options = Options { mark, buffer: None };
    let stream = connect(address, options).await?;
    let info = socket::info(&stream).ok_or(ErrorKind::Unsupported)?;
    let segment = usize::try_from(info.segment).map_err(|_| ErrorKind::InvalidData)?;
    if arrives(&stream, segment, LONG_LIMIT).await? {
        return Ok(FullSegments::Arrive);
    }
    drop(stream);
    // The path may be gone, or a filter may not like what we send whatever its length.
    let Ok(stream) = connect(address, options).await else { return Ok(FullSegments::Unclear) };
    if !arrives(&stream, SHORT, SHORT_LIMIT).await? {
        return Ok(FullSegments::Unclear);
    }
    let headers = tcp_header(&info) + ip_header(address.ip());
    Ok(FullSegments::Vanish { packet: info.segment.saturating_add(headers) })
}

async fn connect(address: SocketAddr, options: Options) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_LIMIT, socket::connect(address, options))
        .await
        .unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "the address does not answer")))?;
    socket::tune(&stream)?;
    Ok(stream)
}

/// Sends one segment with `length` bytes on a fresh connection; whether it arrives.
async fn arrives(stream: &TcpStream, length: usize, limit: Duration) -> io::Result<bool> {
    let look = || socket::info(stream).ok_or(ErrorKind::Unsupported);
    let before = look()?.acked;
    stream.writable().await?;
    let sent = stream.try_write(&no_peering(length))?;
    let expected = before + u64::try_from(sent).expect("INVARIANT: a segment's length fits");
    let end = Instant::now() + limit;
    loop {
        let info = look()?;
        // Nobody resets a connection over bytes that he has not got; who tires of waiting closes it on his side alone.
        if info.acked >= expected || info.closed {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A complete frame that no router takes for a greeting, so that none waits for more.
fn no_peering(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let content = u32::try_from(length.saturating_sub(PREFIX)).expect("INVARIANT: a segment's length fits");
    if let Some(prefix) = bytes.first_chunk_mut() {
        *prefix = content.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_healthy_path_is_not_accused_whatever_its_end_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (checked, accepted) = tokio::join!(full_segments(address, None), listener.accept());
        assert_eq!(checked.unwrap(), FullSegments::Arrive, "it says nothing: its kernel acknowledges");
        drop(accepted);
        let closes = async { drop(listener.accept().await.unwrap()) };
        let (checked, ()) = tokio::join!(full_segments(address, None), closes);
        assert_eq!(checked.unwrap(), FullSegments::Arrive, "it closes at once");
        drop(listener);
        assert_eq!(full_segments(address, None).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn what_is_sent_is_one_whole_frame() {
        assert_eq!(no_peering(SHORT)[..5], [0, 0, 0, 60, 0]);
        assert_eq!(no_peering(1448).len(), 1448);
        assert_eq!(no_peering(2), [0, 0]);
    }
}
