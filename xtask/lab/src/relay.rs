// SPDX-License-Identifier: AGPL-3.0-or-later
//! A TCP relay between two routers: it makes a link slow on any kernel, or says everything twice.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::node::Node;

/// Frames or pieces on their way in one direction; more wait in the sender's socket.
const ON_THE_WAY: usize = 256;

/// A relay in one node. It ends with the process that made it.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it connects to for each connection that it accepts.
    pub target: SocketAddr,
    /// What it does to what it relays, in each direction.
    pub conduct: Conduct,
}

/// What a relay does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// It holds each byte back for so long.
    Slow(Duration),
    /// It sends each frame twice but those of the peering, without which there were no link.
    Twice,
}

impl Relay {
    /// Starts it on the node and returns once it listens.
    pub fn start(self, node: &Node) -> Result<()> {
        let (ready, listens) = mpsc::channel();
        node.thread(move || {
            let listener = TcpListener::bind(self.listen);
            let _ = ready.send(listener.as_ref().map(drop).map_err(io::Error::kind));
            for accepted in listener.iter().flat_map(TcpListener::incoming).flatten() {
                // A router whose dial is not relayed dials again: nothing to report here.
                let _ = self.relay(accepted);
            }
        })?;
        listens.recv()?.map_err(io::Error::from).with_context(|| format!("listening on {}", self.listen))
    }

    fn relay(self, near: TcpStream) -> io::Result<()> {
        let far = TcpStream::connect_timeout(&self.target, Duration::from_secs(1))?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        self.one_way(near.try_clone()?, far.try_clone()?);
        self.one_way(far, near);
        Ok(())
    }

    fn one_way(self, mut from: TcpStream, mut to: TcpStream) {
        let (sender, receiver) = mpsc::sync_channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
        thread::spawn(move || {
            while let Ok(piece @ [_, ..]) = self.conduct.next(&mut from).as_deref() {
                if sender.send((Instant::now() + self.conduct.delay(), piece.to_vec())).is_err() {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Read);
        });
        thread::spawn(move || {
            for (due, piece) in receiver {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&piece).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

impl Conduct {
    fn delay(self) -> Duration {
        match self {
            Self::Slow(delay) => delay,
            Self::Twice => Duration::ZERO,
        }
    }

    /// The next bytes to send on; none at the end.
    fn next(self, from: &mut impl Read) -> io::Result<Vec<u8>> {
        match self {
            Self::Slow(_) => {
                let mut piece = vec![0; 64 * 1024];
                let count = from.read(&mut piece)?;
                piece.truncate(count);
                Ok(piece)
            }
            Self::Twice => {
                let frame = next_frame(from)?;
                let times = if is_peering(&frame) { 1 } else { 2 };
                Ok(frame.repeat(times))
            }
        }
    }
}

/// The next frame on an inet link with the four bytes that tell its length.
fn next_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut prefix = [0; 4];
    from.read_exact(&mut prefix)?;
    let length = usize::try_from(u32::from_be_bytes(prefix)).map_err(io::Error::other)?;
    let mut frame = prefix.to_vec();
    frame.resize(4 + length, 0);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// Whether a frame with its prefix belongs to the peering: greetings have the carrier form 1, the rest of it the
/// modes 32 to 63 (wire page, "Carrier frame").
fn is_peering(frame: &[u8]) -> bool {
    match frame.get(4..8) {
        Some([2, _, high, low]) => (32..64).contains(&u16::from_be_bytes([*high, *low])),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_frames_twice_but_those_of_the_peering() {
        let greeting: &[u8] = &[0, 0, 0, 3, 1, 0, 32];
        let proof: &[u8] = &[0, 0, 0, 5, 2, 0, 0, 35, 9];
        let echo: &[u8] = &[0, 0, 0, 5, 2, 64, 0, 71, 9];
        let mut link = &*[greeting, proof, echo].concat();
        assert_eq!(Conduct::Twice.next(&mut link).unwrap(), greeting);
        assert_eq!(Conduct::Twice.next(&mut link).unwrap(), proof);
        assert_eq!(Conduct::Twice.next(&mut link).unwrap(), echo.repeat(2));
        assert!(Conduct::Twice.next(&mut link).is_err(), "the end");
    }

    #[test]
    fn passes_bytes_on_as_they_come() {
        let mut link: &[u8] = &[1, 2, 3];
        let slow = Conduct::Slow(Duration::ZERO);
        assert_eq!(slow.next(&mut link).unwrap(), [1, 2, 3]);
        assert!(slow.next(&mut link).unwrap().is_empty(), "the end");
    }
}
