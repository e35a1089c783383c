// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packets byte by byte, right and wrong ones. Checksums are left out: the probes look at none.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use ebpf_loader::Conversation;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;

pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

pub(crate) const OUR_PORT: u16 = 9000;
pub(crate) const THEIR_PORT: u16 = 40_000;

const OURS_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const THEIRS_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OURS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const THEIRS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// The loopback interface, which stands for every interface in a test run.
pub(crate) const INTERFACE: u32 = 1;

/// The conversation of the packets below.
pub(crate) fn conversation(v6: bool, protocol: u8) -> Conversation {
    let (local, remote) = if v6 {
        (SocketAddr::from((OURS_V6, OUR_PORT)), SocketAddr::from((THEIRS_V6, THEIR_PORT)))
    } else {
        (SocketAddr::from((OURS_V4, OUR_PORT)), SocketAddr::from((THEIRS_V4, THEIR_PORT)))
    };
    Conversation { interface: INTERFACE, local, remote, protocol }
}

/// A frame, behind tags with their types.
pub(crate) fn ethernet(tags: &[(u16, u16)], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (tag, number) in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend(number.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

/// An IPv4 packet from them to us; `options` in whole words, `place` as in flags and fragment offset.
pub(crate) fn ipv4_with(protocol: u8, options: &[u8], place: u16, payload: &[u8]) -> Vec<u8> {
    let header_len = u8::try_from(20 + options.len()).unwrap();
    let len = u16::try_from(usize::from(header_len) + payload.len()).unwrap();
    let mut packet = vec![0x40 | (header_len / 4), 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(place.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(THEIRS_V4.octets());
    packet.extend(OURS_V4.octets());
    packet.extend(options);
    packet.extend(payload);
    packet
}

/// An IPv4 packet from them to us.
pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, &[], 0x4000, payload)
}

/// An IPv6 packet from them to us; `payload` begins with what `next` names.
pub(crate) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(THEIRS_V6.octets());
    packet.extend(OURS_V6.octets());
    packet.extend(payload);
    packet
}

/// An extension header of eight bytes and more: `units` of eight bytes on top.
pub(crate) fn extension(next: u8, units: u8) -> Vec<u8> {
    let mut header = vec![next, units];
    header.resize(8 + usize::from(units) * 8, 0);
    header
}

/// A segment from them to us. Options are padded to whole words.
pub(crate) fn tcp(flags: u8, options: &[u8], data: &[u8]) -> Vec<u8> {
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let mut segment = Vec::new();
    segment.extend(THEIR_PORT.to_be_bytes());
    segment.extend(OUR_PORT.to_be_bytes());
    segment.extend([0; 8]);
    segment.extend([words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(options);
    segment.extend(data);
    segment
}

/// A datagram from them to us.
pub(crate) fn udp(data: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(THEIR_PORT.to_be_bytes());
    datagram.extend(OUR_PORT.to_be_bytes());
    datagram.extend(u16::try_from(8 + data.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(data);
    datagram
}

/// The option with two time stamps.
pub(crate) fn time_stamps(value: u32, echo: u32) -> Vec<u8> {
    let mut option = vec![8, 10];
    option.extend(value.to_be_bytes());
    option.extend(echo.to_be_bytes());
    option
}

/// The same packet of IP, but from us to them.
pub(crate) fn turned(mut packet: Vec<u8>) -> Vec<u8> {
    let (first, len, ports) = match packet[0] >> 4 {
        4 => (12, 4, usize::from(packet[0] & 0xf) * 4),
        _ => (8, 16, 40),
    };
    let (left, right) = packet.split_at_mut(first + len);
    left[first..].swap_with_slice(&mut right[..len]);
    packet.swap(ports, ports + 2);
    packet.swap(ports + 1, ports + 3);
    packet
}
