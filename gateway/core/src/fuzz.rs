// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call: each entry takes any bytes, must not panic, and asserts what must hold of them.

use core::net::Ipv4Addr;

use ipnet::Ipv4Net;
use ratman_types::{Address, Mtu, Timestamp};

use crate::flow::{FlowTable, HashSeed, MAX_FLOWS};
use crate::icmp::{IcmpAnswers, MAX_ANSWER, Unreachable};
use crate::mtu::{self, Fit, MIN_INNER_MTU};
use crate::offload::VirtioNetHeader;
use crate::packet::{PacketInfo, Transport};

/// Parses a packet; a valid one holds together.
pub fn fuzz_packet(data: &[u8]) {
    let Ok(info) = PacketInfo::parse(data) else { return };
    assert!(info.header_len <= data.len());
    assert_eq!(info.source.is_ipv4(), info.destination.is_ipv4());
    let quoted = info.quoted(data);
    assert!(quoted.is_none() || info.transport == Transport::IcmpError);
    assert!(quoted.is_none_or(|tuple| tuple.source.0 == info.destination));
}

/// Takes the data as a list of packets (direction and remote 1 byte, length 1 byte, packet) through a flow table.
pub fn fuzz_flow_table(mut data: &[u8]) {
    let mut flows = FlowTable::new(
        HashSeed::from_bytes([7; 16]),
        &[Ipv4Net::new_assert(Ipv4Addr::new(10, 1, 0, 1), 24).into()],
        2,
    );
    let mut now = Timestamp::default();
    while let [way, len, rest @ ..] = data {
        let (packet, after) = rest.split_at(usize::from(*len).min(rest.len()));
        data = after;
        now = now + core::time::Duration::from_secs(u64::from(way >> 2));
        let Ok(info) = PacketInfo::parse(packet) else { continue };
        let remote = Address::from_bytes([way & 1; 32]);
        let before = flows.len();
        let verdict = if way & 2 == 0 {
            flows.outbound(&info, packet, remote, 1, now)
        } else {
            flows.inbound(&info, packet, remote, now)
        };
        assert!(verdict.is_ok() || flows.len() <= before);
        assert!(flows.len() <= MAX_FLOWS && flows.len() == flows.iter().count());
    }
}

/// Answers any bytes; an answer is a valid ICMP error to the sender, and is itself never answered.
pub fn fuzz_icmp_answer(data: &[u8]) {
    let mut answers = IcmpAnswers::default();
    let mut buffer = [0; MAX_ANSWER];
    let now = Timestamp::default();
    let Ok(len) = answers.unreachable(data, Unreachable::NoRoute, now, &mut buffer) else {
        return;
    };
    assert_answer(data, &mut answers, &buffer[..len]);
    let len = answers.too_big(&VirtioNetHeader::NONE, data, 1280, now, &mut buffer);
    assert_answer(data, &mut answers, &buffer[..len.expect("it was answered before")]);
}

fn assert_answer(data: &[u8], answers: &mut IcmpAnswers, answer: &[u8]) {
    let asked = PacketInfo::parse(data).expect("only valid packets are answered");
    let bytes = answer;
    let answer = PacketInfo::parse(bytes).expect("an answer is a valid packet");
    assert_eq!((answer.source, answer.destination), (asked.destination, asked.source));
    assert_eq!(answer.transport, Transport::IcmpError);
    let mut again = [0; MAX_ANSWER];
    assert!(answers.unreachable(bytes, Unreachable::NoRoute, Timestamp::default(), &mut again).is_err());
}

/// Measures a packet (virtio flags 1 byte, packet) for a path and clamps its MSS: nothing but the option and the checksum
/// changes, and what the checksum covers sums up as before.
pub fn fuzz_mtu(data: &[u8]) {
    let Some((&flags, packet)) = data.split_first() else { return };
    let Ok(info) = PacketInfo::parse(packet) else { return };
    let header = VirtioNetHeader { flags, gso_type: flags >> 4, gso_size: 1, ..VirtioNetHeader::NONE };
    for path in [0, 576, 1500, 33_004].map(Mtu) {
        let too_big = matches!(mtu::fit(&header, packet, &info, path, 1420), Fit::TooBig { .. });
        assert!(!too_big || packet.len() > usize::from(MIN_INNER_MTU));
    }
    let mut clamped = packet.to_vec();
    let changed = mtu::clamp_mss(&header, &mut clamped, &info, MIN_INNER_MTU);
    assert_eq!(changed, clamped != packet);
    assert_eq!(PacketInfo::parse(&clamped), Ok(info));
    if flags & VirtioNetHeader::NEEDS_CSUM == 0 {
        let sums = [packet, &clamped].map(|packet| words(&packet[info.header_len..]));
        assert_eq!(sums[0], sums[1]);
    }
}

/// The sum of RFC 1071 without its complement.
fn words(bytes: &[u8]) -> u64 {
    let sum: u64 = bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low)))
        .sum();
    sum % 0xFFFF
}
