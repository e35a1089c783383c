// SPDX-License-Identifier: AGPL-3.0-or-later
//! IP packets that the attacker puts into its sessions, complete with checksums, and what can be done to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;

/// The source port of TCP and UDP, where nothing else is said.
pub(crate) const PORT: u16 = 40_000;

pub(crate) const SYN: u8 = 0x02;

/// An ICMP echo request, number 1.
pub(crate) fn echo_request(source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let kind = if source.is_ipv4() { 8 } else { 128 };
    icmp(source, destination, kind, &[0, 7, 0, 1])
}

/// An ICMP message of the family's own; `body` is what follows the checksum, of even length.
pub(crate) fn icmp(source: IpAddr, destination: IpAddr, kind: u8, body: &[u8]) -> Vec<u8> {
    let protocol = if source.is_ipv4() { ICMP } else { ICMPV6 };
    ip(source, destination, protocol, [&[kind, 0, 0, 0], body].concat(), 2)
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
    tcp(source, destination, (PORT, port), SYN, &[])
}

/// A TCP segment with sequence number 0 and any flags; `payload` is of even length.
pub(crate) fn tcp(
    source: IpAddr,
    destination: IpAddr,
    (from, to): (u16, u16),
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let [from, to] = [from, to].map(u16::to_be_bytes);
    let segment = [&from[..], &to, &[0; 8], &[0x50, flags, 0x40, 0, 0, 0, 0, 0], payload].concat();
    ip(source, destination, TCP, segment, 16)
}

/// The same TCP packet with its checksum left to the device, as a virtio-net header says that is to come with it.
pub(crate) fn with_partial_checksum(packet: &[u8]) -> Vec<u8> {
    changed(packet, |packet| {
        let length = u16::try_from(packet.len() - 20).expect("a packet");
        let sum = !ones_complement(&[&packet[12..20], &[0, TCP], &length.to_be_bytes()].concat());
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
    })
}

/// A packet after a change, with the checksum of an IPv4 header as it must be then.
pub(crate) fn changed(packet: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = packet.to_vec();
    change(&mut packet);
    let header = usize::from(packet[0] & 0x0f) * 4;
    if packet[0] >> 4 == 4 && (20..=packet.len()).contains(&header) {
        packet[10..12].fill(0);
        let sum = ones_complement(&packet[..header]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// An IPv4 packet with options, in multiples of four bytes.
pub(crate) fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    changed(packet, |packet| {
        packet[0] += u8::try_from(options.len() / 4).expect("at most 40 bytes");
        packet.splice(20..20, options.iter().copied());
        set_length(packet);
    })
}

/// An IPv6 packet with extension headers, each of a kind and with its bytes behind the first, which names the next.
pub(crate) fn with_extensions(packet: &[u8], chain: &[(u8, [u8; 7])]) -> Vec<u8> {
    changed(packet, |packet| {
        for (kind, rest) in chain.iter().rev() {
            let next = std::mem::replace(&mut packet[6], *kind);
            packet.splice(40..40, [&[next][..], rest].concat());
        }
        set_length(packet);
    })
}

/// Lets the IP header tell the real length.
pub(crate) fn set_length(packet: &mut [u8]) {
    let (at, without) = if packet[0] >> 4 == 4 { (2, 0) } else { (4, 40) };
    let length = u16::try_from(packet.len() - without).expect("a packet");
    packet[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

/// Whether a packet is a TCP segment from this port.
pub(crate) fn is_tcp_from(packet: &[u8], port: u16) -> bool {
    packet.len() >= 40 && packet[0] >> 4 == 4 && packet[9] == TCP && packet[20..22] == port.to_be_bytes()
}

/// A UDP datagram without data.
pub(crate) fn datagram(source: IpAddr, destination: IpAddr, port: u16) -> Vec<u8> {
    let [from, to] = [PORT, port].map(u16::to_be_bytes);
    ip(source, destination, UDP, [&from[..], &to, &[0, 8, 0, 0]].concat(), 6)
}

/// A packet whose transport header has its checksum at `checksum`; `payload` is of even length.
pub(crate) fn ip(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    mut payload: Vec<u8>,
    checksum: usize,
) -> Vec<u8> {
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
