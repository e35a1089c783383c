// SPDX-License-Identifier: AGPL-3.0-or-later
//! When packets arrived at a node by one of its devices: the clock for outages that the sender cannot see.

use std::io;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

use crate::node::Node;
use crate::packet_socket::Received;
use crate::tap::Tapping;

/// Bytes of a packet that are looked at: the longest IPv4 header and that of TCP.
const LOOKED_AT: usize = 80;

/// Arrivals that are kept: a minute of 50 000 packets per second. More end the capture with an error.
const LIMIT: usize = 3_000_000;

/// What a packet is, as far as the capture tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An ICMP echo request.
    Ping,
    /// A TCP segment with data.
    TcpData,
}

/// A capture of IPv4 packets that come in by a device without Ethernet headers, such as TUN.
#[derive(Debug)]
pub struct Capture(Tapping<Arrivals>);

/// What came, in its order.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Vec<(SystemTime, Seen)>);

impl Capture {
    /// Starts it on the node; it sees what comes from now on.
    pub fn start(node: &Node, device: &str) -> Result<Self> {
        Tapping::start(node, device, LOOKED_AT, record).map(Self)
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where packets came faster than they could be read, or too many: what it knows has holes then.
    pub fn stop(self) -> Result<Arrivals> {
        self.0.stop()
    }
}

impl Arrivals {
    /// The longest time between two instants in which none of these packets came.
    ///
    /// # Errors
    /// Where none came at all.
    pub fn longest_gap(&self, kind: Seen, since: SystemTime, until: SystemTime) -> Result<Duration> {
        let within = |(at, seen): &&(SystemTime, Seen)| *seen == kind && (since..until).contains(at);
        let times: Vec<SystemTime> = self.0.iter().filter(within).map(|(at, _)| *at).collect();
        ensure!(!times.is_empty(), "nothing came of {kind:?}");
        let edges = std::iter::once(since).chain(times.iter().copied());
        let gaps = edges.zip(times.iter().copied().chain([until]));
        let length = |(from, to): (SystemTime, SystemTime)| to.duration_since(from).unwrap_or_default();
        Ok(gaps.map(length).max().unwrap_or_default())
    }
}

fn record(arrivals: &mut Arrivals, received: Received, begin: &[u8]) -> io::Result<()> {
    let seen = seen(begin).filter(|_| !received.outgoing);
    arrivals.0.extend(seen.map(|seen| (received.at, seen)));
    if arrivals.0.len() > LIMIT { Err(io::Error::other("more came than can be kept")) } else { Ok(()) }
}

/// What an IPv4 packet is (RFC 791, RFC 792, RFC 9293), by its first bytes.
fn seen(packet: &[u8]) -> Option<Seen> {
    const ICMP: u8 = 1;
    const TCP: u8 = 6;
    const ECHO_REQUEST: u8 = 8;
    let words = |byte: u8| usize::from(byte) * 4;
    let first = packet.first().filter(|first| *first >> 4 == 4)?;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let header = words(first & 0xF);
    let inner = packet.get(header..)?;
    match *packet.get(9)? {
        ICMP => (*inner.first()? == ECHO_REQUEST).then_some(Seen::Ping),
        TCP => (total > header + words(*inner.get(12)? >> 4)).then_some(Seen::TcpData),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    fn packet(protocol: u8, length: u8, inner: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, length, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(inner);
        packet
    }

    #[test]
    fn knows_pings_and_segments_with_data() {
        let mut segment = [0; 20];
        segment[12] = 0x50;
        assert_eq!(seen(&packet(1, 28, &[8, 0, 0, 0, 0, 0, 0, 0])), Some(Seen::Ping));
        assert_eq!(seen(&packet(1, 28, &[0, 0, 0, 0, 0, 0, 0, 0])), None, "an answer");
        assert_eq!(seen(&packet(6, 41, &segment)), Some(Seen::TcpData));
        assert_eq!(seen(&packet(6, 40, &segment)), None, "an acknowledgement");
        assert_eq!(seen(&packet(17, 28, &[0; 8])), None);
        let whole = packet(6, 41, &segment);
        for length in 0..32 {
            assert_eq!(seen(&whole[..length]), None, "the first {length} bytes");
        }
    }

    #[test]
    fn gaps_reach_to_the_edges() {
        let arrivals = Arrivals(vec![
            (at(5), Seen::Ping),
            (at(20), Seen::Ping),
            (at(25), Seen::TcpData),
            (at(30), Seen::Ping),
            (at(90), Seen::Ping),
        ]);
        let gap = |since, until| arrivals.longest_gap(Seen::Ping, at(since), at(until)).unwrap();
        assert_eq!(gap(0, 35), Duration::from_millis(15));
        assert_eq!(gap(10, 35), Duration::from_millis(10));
        assert_eq!(gap(10, 85), Duration::from_millis(55), "until the end");
        assert!(arrivals.longest_gap(Seen::Ping, at(91), at(99)).is_err());
    }
}
