// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the flow table costs per packet: `cargo bench -p gateway-core --bench flow`. Figures are the best of several
//! rounds, since other work on the machine only ever adds.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "a bench prints figures")]

use core::net::Ipv4Addr;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

use gateway_core::firewall::{Action, Carrying, Firewall, MAX_RULES, Rule, To, Whom};
use gateway_core::flow::{FlowTable, HashSeed, MAX_FLOWS_PER_REMOTE};
use gateway_core::packet::{Direction, PacketInfo};
use ipnet::Ipv4Net;
use ratman_types::{Address, Timestamp};

const REMOTE: Address = Address::from_bytes([1; 32]);
const NOW: Timestamp = Timestamp::from_micros(1_000_000);
const US: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const ROUNDS: usize = 7;

fn main() {
    for known in [1, 1000, MAX_FLOWS_PER_REMOTE] {
        println!("{:>6} ns per packet of {known} known flows", known_flows(known));
    }
    println!("{:>6} ns per new flow of ours", new_flows(MAX_FLOWS_PER_REMOTE));
    println!("{:>6} ns per new flow of ours that pushes out another", new_flows(4 * MAX_FLOWS_PER_REMOTE));
    println!("{:>6} ns per packet denied by the last of {MAX_RULES} rules", denied());
}

fn table() -> FlowTable {
    FlowTable::new(HashSeed::from_bytes([7; 16]), &[Ipv4Net::new_assert(US, 24).into()], 2)
}

/// UDP between us and one of 2^24 hosts.
fn datagram(source: Ipv4Addr, destination: Ipv4Addr) -> (Vec<u8>, PacketInfo) {
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend([0x10, 0, 0x20, 0, 0, 8, 0, 0]);
    let info = PacketInfo::parse(&packet).expect("a valid packet");
    (packet, info)
}

fn packets(count: usize) -> Vec<(Vec<u8>, PacketInfo)> {
    let host = |number: usize| {
        let [.., high, middle, low] = number.to_be_bytes();
        datagram(US, Ipv4Addr::new(11, high, middle, low))
    };
    (0..count).map(host).collect()
}

/// Nanoseconds of one call in the best round.
fn best(calls: usize, mut round: impl FnMut() -> usize) -> u128 {
    let time = |_| {
        let start = Instant::now();
        black_box(round());
        start.elapsed().as_nanos()
    };
    let best = (0..ROUNDS).map(time).min().expect("there are rounds");
    best / u128::try_from(calls).expect("a small number")
}

fn known_flows(count: usize) -> u128 {
    let (mut table, packets) = (table(), packets(count));
    let repeat = 100_000_usize.div_ceil(count);
    best(count * repeat, || {
        let asked = (0..repeat).flat_map(|_| &packets);
        asked.filter(|(packet, info)| table.outbound(info, packet, REMOTE, 0, NOW).is_ok()).count()
    })
}

fn new_flows(count: usize) -> u128 {
    let packets = packets(count);
    best(count, || {
        let mut table = table();
        packets.iter().filter(|(packet, info)| table.outbound(info, packet, REMOTE, 0, NOW).is_ok()).count()
    })
}

fn denied() -> u128 {
    let rule = |number: usize| Rule {
        name: number.to_string().into(),
        action: if number == MAX_RULES { Action::Deny } else { Action::Accept },
        direction: Direction::Inbound,
        remote: if number == MAX_RULES { Whom::Any } else { Whom::Configured },
        carrying: Carrying::TcpAndUdp,
        ports: vec![8000..=9000],
        to: To::Ourselves,
        rate: None,
        log: false,
    };
    let mut table = table();
    table.set_firewall(Firewall::new((1..=MAX_RULES).map(rule).collect(), BTreeSet::new()));
    let (packet, info) = datagram(Ipv4Addr::new(11, 0, 0, 1), US);
    const CALLS: usize = 10_000;
    best(CALLS, || (0..CALLS).filter(|_| table.inbound(&info, &packet, REMOTE, NOW).is_err()).count())
}
