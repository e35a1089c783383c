// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call: each entry takes any bytes, must not panic, and asserts what must hold of them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ratman_types::{Address, Timestamp};

use crate::flow::{FlowTable, HashSeed, MAX_FLOWS};
use crate::icmp::{IcmpAnswers, MAX_ANSWER, TunAddresses, Unreachable};
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
    let mut flows = FlowTable::new(HashSeed::from_bytes([7; 16]), vec![Ipv4Addr::new(10, 1, 0, 1).into()]);
    let mut now = Timestamp::default();
    while let [way, len, rest @ ..] = data {
        let (packet, after) = rest.split_at(usize::from(*len).min(rest.len()));
        data = after;
        now = now + core::time::Duration::from_secs(u64::from(way >> 2));
        let Ok(info) = PacketInfo::parse(packet) else { continue };
        let remote = Address::from_bytes([way & 1; 32]);
        let before = flows.len();
        let verdict = if way & 2 == 0 {
            flows.outbound(&info, packet, remote, now)
        } else {
            flows.inbound(&info, packet, remote, now)
        };
        assert!(verdict.is_ok() || flows.len() <= before);
        assert!(flows.len() <= MAX_FLOWS && flows.len() == flows.iter().count());
    }
}

/// Answers any bytes; an answer is a valid ICMP error to the sender, and is itself never answered.
pub fn fuzz_icmp_answer(data: &[u8]) {
    let tun = TunAddresses {
        v4: Some(Ipv4Addr::new(10, 1, 0, 1)),
        v6: Some(Ipv6Addr::new(0xFD69, 0x7264, 0, 0, 0, 0, 0, 1)),
    };
    let mut answers = IcmpAnswers::new(tun);
    let mut buffer = [0; MAX_ANSWER];
    let Ok(len) = answers.unreachable(data, Unreachable::NoRoute, Timestamp::default(), &mut buffer) else {
        return;
    };
    let asked = PacketInfo::parse(data).expect("only valid packets are answered");
    let answer = PacketInfo::parse(&buffer[..len]).expect("an answer is a valid packet");
    let ours = if answer.source.is_ipv4() { tun.v4.map(IpAddr::from) } else { tun.v6.map(IpAddr::from) };
    assert_eq!((Some(answer.source), answer.destination), (ours, asked.source));
    assert_eq!(answer.transport, Transport::IcmpError);
    let mut again = [0; MAX_ANSWER];
    assert!(
        answers.unreachable(&buffer[..len], Unreachable::NoRoute, Timestamp::default(), &mut again).is_err()
    );
}
