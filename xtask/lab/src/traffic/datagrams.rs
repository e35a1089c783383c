// SPDX-License-Identifier: AGPL-3.0-or-later
//! Large UDP datagrams there and back, every byte of which is compared.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::node::Node;

/// How long an answer may take; those who send in lockstep lose nothing.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The largest payload of a UDP datagram over IPv4, in bytes.
const LARGEST: usize = 65_507;

/// Sends `count` datagrams of `size` bytes from one node to an address of another, each once the one before has come
/// back; the other turns every byte over, so that both directions carry what neither end has seen.
///
/// # Errors
/// Where a datagram does not come back, or not as it has to be.
pub fn exchange_datagrams(
    from: &Node,
    to: &Node,
    address: SocketAddr,
    size: usize,
    count: u32,
) -> Result<()> {
    let far_end = UdpFarEnd::start(to, address, count)?;
    let near_end = from.thread(move || ask(address, size, count))?;
    let asked = near_end.join().expect("asking does not panic");
    asked.with_context(|| format!("datagrams of {size} bytes to {address}"))?;
    far_end.join()
}

struct UdpFarEnd(std::thread::JoinHandle<io::Result<()>>);

impl UdpFarEnd {
    fn start(node: &Node, address: SocketAddr, count: u32) -> Result<Self> {
        let bind = move || {
            let socket = UdpSocket::bind(address)?;
            socket.set_read_timeout(Some(ANSWER_LIMIT))?;
            io::Result::Ok(socket)
        };
        let socket = node.thread(bind)?.join().expect("binding does not panic");
        let socket = socket.with_context(|| format!("binding {address}"))?;
        Ok(Self(node.thread(move || answer(&socket, count))?))
    }

    fn join(self) -> Result<()> {
        self.0.join().expect("answering does not panic").context("answering datagrams")
    }
}

fn answer(socket: &UdpSocket, count: u32) -> io::Result<()> {
    let mut datagram = vec![0; LARGEST];
    for _ in 0..count {
        let (length, from) = socket.recv_from(&mut datagram)?;
        datagram[..length].iter_mut().for_each(|byte| *byte = !*byte);
        socket.send_to(&datagram[..length], from)?;
    }
    Ok(())
}

fn ask(address: SocketAddr, size: usize, count: u32) -> Result<()> {
    let socket = UdpSocket::bind(if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    socket.connect(address)?;
    let mut answer = vec![0; LARGEST];
    for number in 0..count {
        let datagram = noise(number, size);
        socket.send(&datagram).with_context(|| format!("sending datagram {number}"))?;
        let length = socket.recv(&mut answer).with_context(|| format!("no answer to datagram {number}"))?;
        ensure!(length == size, "datagram {number} came back with {length} bytes");
        let same = answer[..length].iter().zip(&datagram).all(|(back, sent)| *back == !*sent);
        ensure!(same, "datagram {number} came back changed");
    }
    Ok(())
}

/// Bytes that differ from datagram to datagram and from place to place (xorshift64).
fn noise(number: u32, size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ u64::from(number);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_datagrams_are_alike() {
        assert_eq!(noise(1, 8000).len(), 8000);
        assert_ne!(noise(1, 8000), noise(2, 8000));
        assert_ne!(noise(1, 8000)[..4000], noise(1, 8000)[4000..]);
    }
}
