// SPDX-License-Identifier: AGPL-3.0-or-later
//! IP packets that the attacker puts into its sessions, complete with checksums.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// An ICMP echo request, number 1.
pub(crate) fn echo_request(source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let kind = if source.is_ipv4() { (ICMP, 8) } else { (ICMPV6, 128) };
    ip(source, destination, kind.0, vec![kind.1, 0, 0, 0, 0, 7, 0, 1], 2)
}

/// Whether a packet is the answer to [`echo_request`] from this address.
pub(crate) fn is_echo_reply(packet: &[u8], from: IpAddr) -> bool {
    match from {
        IpAddr::V4(v4) => {
            packet.len() >= 28 && packet[12..16] == v4.octets() && packet[9] == ICMP && packet[20] == 0
        }
        IpAddr::V6(v6) => {
            packet.len() >= 48 && packet[8..24] == v6.octets() && packet[6] == ICMPV6 && packet[40] == 129
        }
    }
}

/// A TCP segment that asks for a connection.
pub(crate) fn syn(source: IpAddr, destination: IpAddr, port: u16) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[..2].copy_from_slice(&40_000_u16.to_be_bytes());
    segment[2..4].copy_from_slice(&port.to_be_bytes());
    segment[12..16].copy_from_slice(&[0x50, 0x02, 0x40, 0]);
    ip(source, destination, TCP, segment, 16)
}

/// Whether a packet is a TCP segment from this port.
pub(crate) fn is_tcp_from(packet: &[u8], port: u16) -> bool {
    packet.len() >= 40 && packet[0] >> 4 == 4 && packet[9] == TCP && packet[20..22] == port.to_be_bytes()
}

/// A UDP datagram without data.
pub(crate) fn datagram(source: IpAddr, destination: IpAddr, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    ip(source, destination, UDP, vec![0x9c, 0x40, high, low, 0, 8, 0, 0], 6)
}

/// A packet whose transport header has its checksum at `checksum`.
fn ip(source: IpAddr, destination: IpAddr, protocol: u8, mut payload: Vec<u8>, checksum: usize) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short packet");
    let addresses = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => [source.octets(), destination.octets()].concat(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => [source.octets(), destination.octets()].concat(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families"),
    };
    let [high, low] = length.to_be_bytes();
    let pseudo =
        if protocol == ICMP { Vec::new() } else { [&addresses[..], &[0, protocol, high, low]].concat() };
    let sum = ones_complement(&[pseudo, payload.clone()].concat());
    payload[checksum..checksum + 2].copy_from_slice(&sum.to_be_bytes());
    let mut packet = if source.is_ipv4() {
        let [high, low] = (length + 20).to_be_bytes();
        vec![0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0]
    } else {
        vec![0x60, 0, 0, 0, high, low, protocol, 64]
    };
    packet.extend(addresses);
    if source.is_ipv4() {
        let sum = ones_complement(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn ones_complement(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded twice")
}

/// The address of a host inside.
pub(crate) fn v4(text: &str) -> IpAddr {
    IpAddr::V4(text.parse::<Ipv4Addr>().expect("an IPv4 address"))
}

/// An overlay address as one of either family.
pub(crate) fn v6(address: Ipv6Addr) -> IpAddr {
    IpAddr::V6(address)
}
