// SPDX-License-Identifier: AGPL-3.0-or-later
//! The other underlay: a TCP connection that carries super-packets whole, each sealed once, or not at all.
//!
//! A frame is `length (4, big-endian) | counter (8) | metadata (10) and packet, sealed | tag (16)`; plain ones have a counter of
//! zero and no tag. The length counts what follows it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gateway_tun::{IoError, RECV_BUFFER, Tun, VirtioNetHeader};

use crate::seal::{COUNTER, Opener, Sealer, TAG, Way};

const LENGTH: usize = 4;
/// Where the metadata begins in a frame.
const METADATA: usize = LENGTH + COUNTER;
const PACKET: usize = METADATA + VirtioNetHeader::LEN;

/// The longest frame.
const LONGEST: usize = PACKET + RECV_BUFFER + TAG;
/// What one call may read: several super-packets (source: the data path's measurements, 128 KiB and more are equal).
const READ: usize = 256 * 1024;

/// How long the other end may take to listen, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_millis(20);

/// Connects two ends: the one with the higher address listens.
pub(crate) fn open(local: SocketAddr, peer: SocketAddr) -> Result<TcpStream> {
    let stream = match Way::between(local, peer) {
        Way::Up => dial(peer),
        Way::Down => accept(local, peer),
    }?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn dial(peer: SocketAddr) -> Result<TcpStream> {
    let began = Instant::now();
    loop {
        match TcpStream::connect(peer) {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() != ErrorKind::ConnectionRefused || began.elapsed() > PATIENCE => {
                return Err(error).with_context(|| format!("connecting to {peer}"));
            }
            // Nothing tells when another program listens.
            Err(_) => sleep(RETRY),
        }
    }
}

fn accept(local: SocketAddr, peer: SocketAddr) -> Result<TcpStream> {
    let listener = TcpListener::bind(local).with_context(|| format!("binding to {local}"))?;
    loop {
        let (stream, from) = listener.accept()?;
        if from.ip() == peer.ip() {
            return Ok(stream);
        }
    }
}

/// From the TUN device to the connection.
pub(crate) struct StreamOutbound {
    tun: Arc<Tun>,
    stream: TcpStream,
    /// Nobody where frames are plain.
    sealer: Option<Sealer>,
}

impl StreamOutbound {
    pub(crate) fn new(tun: Arc<Tun>, stream: TcpStream, sealer: Option<Sealer>) -> Self {
        Self { tun, stream, sealer }
    }

    /// Goes on until the device or the connection is gone.
    pub(crate) async fn run(mut self) -> Result<()> {
        let tun = Arc::clone(&self.tun);
        let mut frame = vec![0; LONGEST];
        loop {
            tun.readable(0).await?;
            loop {
                match tun.try_recv(0, &mut frame[PACKET..PACKET + RECV_BUFFER]) {
                    Ok(received) => {
                        frame[METADATA..PACKET].copy_from_slice(&received.header.to_wire());
                        let len = complete(&mut frame, PACKET + received.len, self.sealer.as_mut())?;
                        self.stream.write_all(&frame[..len]).context("sending")?;
                    }
                    Err(IoError::WouldBlock) => break,
                    Err(error) => return Err(error).context("reading from the TUN device"),
                }
            }
        }
    }
}

/// Makes a frame of what lies at its place in front of `end`, and returns how long it is.
fn complete(frame: &mut [u8], end: usize, sealer: Option<&mut Sealer>) -> Result<usize> {
    let mut len = end;
    if let Some(sealer) = sealer {
        let (counter, tag) = sealer.seal_in_place(&mut frame[METADATA..end]);
        frame[LENGTH..METADATA].copy_from_slice(&counter);
        frame[end..end + TAG].copy_from_slice(&tag);
        len += TAG;
    }
    frame[..LENGTH].copy_from_slice(&u32::try_from(len - LENGTH)?.to_be_bytes());
    Ok(len)
}

/// From the connection to the TUN device.
pub(crate) struct StreamInbound {
    tun: Arc<Tun>,
    stream: TcpStream,
    /// Nobody where frames are plain.
    opener: Option<Opener>,
}

impl StreamInbound {
    pub(crate) fn new(tun: Arc<Tun>, stream: TcpStream, opener: Option<Opener>) -> Self {
        Self { tun, stream, opener }
    }

    /// Goes on until the device or the connection is gone.
    pub(crate) fn run(mut self) -> Result<()> {
        let mut buffer = vec![0; READ];
        let mut filled = 0;
        loop {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => bail!("the other end has gone"),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("receiving"),
            }
            let mut begin = 0;
            while let Some(end) = end_of_frame(&buffer[begin..filled])? {
                self.take(&mut buffer[begin + LENGTH..begin + end])?;
                begin += end;
            }
            buffer.copy_within(begin..filled, 0);
            filled -= begin;
        }
    }

    /// Writes the packet of a frame; one that nobody sealed for us is passed over.
    fn take(&self, frame: &mut [u8]) -> Result<()> {
        let opened = match &self.opener {
            Some(opener) => opener.open(frame),
            None => frame.get_mut(COUNTER..),
        };
        let Some((metadata, packet)) = opened.as_deref().and_then(|bytes| bytes.split_first_chunk()) else {
            return Ok(());
        };
        // What the device does not take now is lost, as on any link.
        match self.tun.try_send(0, &VirtioNetHeader::from_wire(*metadata), packet) {
            Err(error @ IoError::Gone) => Err(error).context("writing to the TUN device"),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Where the first frame ends, if it is whole.
fn end_of_frame(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(length) = bytes.first_chunk::<LENGTH>() else { return Ok(None) };
    let end = LENGTH + usize::try_from(u32::from_be_bytes(*length))?;
    if !(METADATA..=LONGEST).contains(&end) {
        bail!("a frame of {end} bytes");
    }
    Ok((end <= bytes.len()).then_some(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Key;

    const CONTENT: &[u8] = b"metadata, and a packet";

    fn framed(sealer: Option<&mut Sealer>) -> Vec<u8> {
        let mut frame = vec![0; LONGEST];
        let end = METADATA + CONTENT.len();
        frame[METADATA..end].copy_from_slice(CONTENT);
        let len = complete(&mut frame, end, sealer).unwrap();
        frame.truncate(len);
        frame
    }

    #[test]
    fn a_frame_is_whole_when_all_of_it_is_there_and_opens_to_what_was_put_in() {
        let key = Key::new(&[7; 32]).unwrap();
        let sealed = framed(Some(&mut key.sealer(Way::Up)));
        let plain = framed(None);
        assert_eq!((sealed.len(), plain.len()), (METADATA + CONTENT.len() + TAG, METADATA + CONTENT.len()));
        assert_eq!(&plain[METADATA..], CONTENT);
        for frame in [&sealed, &plain] {
            assert_eq!(end_of_frame(frame).unwrap(), Some(frame.len()));
            assert_eq!(end_of_frame(&[frame, &frame[..3]].concat()).unwrap(), Some(frame.len()));
            (0..frame.len()).for_each(|len| assert_eq!(end_of_frame(&frame[..len]).unwrap(), None));
        }
        let opened = key.opener(Way::Up).open(&mut sealed.clone()[LENGTH..]).map(|bytes| bytes.to_vec());
        assert_eq!(opened.as_deref(), Some(CONTENT));
    }

    #[test]
    fn lengths_that_no_frame_has_are_refused() {
        let of = |length: usize| end_of_frame(&u32::try_from(length).unwrap().to_be_bytes());
        assert!(of(LONGEST - LENGTH).unwrap().is_none() && of(COUNTER).unwrap().is_none());
        assert!(of(LONGEST - LENGTH + 1).is_err() && of(COUNTER - 1).is_err());
    }

    #[test]
    fn ends_find_each_other_whoever_starts_first() {
        let low: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let high: SocketAddr = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
        let dialling = std::thread::spawn(move || open(low, high));
        let accepting = std::thread::spawn(move || open(high, low));
        let (mut one, mut other) = (dialling.join().unwrap().unwrap(), accepting.join().unwrap().unwrap());
        one.write_all(b"here").unwrap();
        let mut heard = [0; 4];
        other.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"here");
    }
}
