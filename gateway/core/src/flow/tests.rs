// SPDX-License-Identifier: AGPL-3.0-or-later
use core::time::Duration;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::firewall::{Action, Carrying, Rule, To, Whom};
use crate::packet::samples::*;

mod floods;

const US: &str = "10.1.0.1";
const THEM: &str = "10.2.0.2";

struct Bed {
    table: FlowTable,
    now: Timestamp,
}

fn remote(number: u8) -> Address {
    Address::from_bytes([number; 32])
}

/// A rule that accepts flows to our own addresses.
fn accepting(remote: Whom, carrying: Carrying) -> Rule {
    Rule {
        name: "accepting".into(),
        action: Action::Accept,
        direction: Direction::Inbound,
        remote,
        carrying,
        ports: Vec::new(),
        to: To::Ourselves,
        rate: None,
        log: false,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Bed {
    fn new() -> Self {
        let local =
            ["10.1.0.1/24", "10.3.0.1/31", "fd69:7264::1/128"].map(|address| address.parse().unwrap());
        Self {
            table: FlowTable::new(HashSeed::from_bytes([9; 16]), &local, 4),
            now: Timestamp::from_micros(1),
        }
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    fn send_to(&mut self, number: u8, packet: &[u8]) -> Result<FlowVerdict, GatewayDrop> {
        self.ask_out(number, packet).map(|passed| passed.verdict).map_err(|denied| denied.reason)
    }

    fn receive_from(&mut self, number: u8, packet: &[u8]) -> Result<FlowVerdict, GatewayDrop> {
        self.ask_in(number, packet).map(|passed| passed.verdict).map_err(|denied| denied.reason)
    }

    fn ask_out(&mut self, number: u8, packet: &[u8]) -> Result<Passed, Denied> {
        self.table.outbound(&PacketInfo::parse(packet).unwrap(), packet, remote(number), 1, self.now)
    }

    fn ask_in(&mut self, number: u8, packet: &[u8]) -> Result<Passed, Denied> {
        self.table.inbound(&PacketInfo::parse(packet).unwrap(), packet, remote(number), self.now)
    }

    fn accept(&mut self, rule: Rule) {
        self.table.set_firewall(Firewall::new(vec![rule], BTreeSet::new()));
    }

    fn send_tcp(&mut self, flags: u8) -> Result<FlowVerdict, GatewayDrop> {
        self.send_to(1, &ip(US, THEM, TCP, &tcp(4000, 22, flags)))
    }

    fn receive_tcp(&mut self, flags: u8) -> Result<FlowVerdict, GatewayDrop> {
        self.receive_from(1, &ip(THEM, US, TCP, &tcp(22, 4000, flags)))
    }

    fn kind(&self) -> FlowKind {
        self.table.iter().next().unwrap().kind
    }

    fn open_tcp(&mut self) {
        assert_eq!(self.send_tcp(SYN), Ok(FlowVerdict::New));
        assert_eq!(self.receive_tcp(SYN | ACK), Ok(FlowVerdict::Known));
        assert_eq!(self.send_tcp(ACK), Ok(FlowVerdict::Known));
        assert_eq!(self.kind(), FlowKind::Tcp(TcpPhase::Established));
    }
}

#[test]
fn a_packet_that_passed_before_is_found_and_not_counted_again() {
    let mut bed = Bed::new();
    let mut first = ip(US, THEM, UDP, &udp(5000, 53, b"12345678"));
    first[6] = 0x20;
    let mut later = first.clone();
    later[6..8].copy_from_slice(&[0, 2]);
    let error = ip(US, THEM, ICMP, &icmp(3, 3, [0; 4], &ip(THEM, US, UDP, &udp(53, 5000, b""))));
    let found = |bed: &mut Bed, packet: &[u8], number| {
        bed.table.passed_before(&PacketInfo::parse(packet).unwrap(), packet, remote(number), bed.now)
    };
    assert_eq!(found(&mut bed, &first, 1), None);
    let hash = bed.ask_out(1, &first).unwrap().hash;
    for packet in [&first, &later, &error] {
        assert_eq!(found(&mut bed, packet, 1), Some(hash));
        assert_eq!(found(&mut bed, packet, 2), None, "another remote");
    }
    assert_eq!(bed.table.iter().next().unwrap().sent.packets, 1);
}

#[test]
fn nobody_broadcasts_in_a_subnet_of_ours() {
    let mut bed = Bed::new();
    let datagram = |from, to| ip(from, to, UDP, &udp(5000, 9, b""));
    bed.accept(accepting(Whom::Any, Carrying::All));
    let (to_all, from_all) = (datagram(THEM, "10.1.0.255"), datagram("10.1.0.255", US));
    assert_eq!(bed.receive_from(1, &to_all), Err(GatewayDrop::MartianDestination));
    assert_eq!(bed.receive_from(1, &from_all), Err(GatewayDrop::MartianSource));
    assert_eq!(bed.send_to(1, &datagram(US, "10.1.0.255")), Err(GatewayDrop::MartianDestination));
    assert_eq!(bed.send_to(1, &datagram("10.1.0.255", THEM)), Err(GatewayDrop::MartianSource));
    // A point-to-point subnet has no broadcast address, and one that is not ours is not ours to know.
    for host in ["10.3.0.0", "10.2.0.255"] {
        assert_eq!(bed.send_to(1, &datagram(US, host)), Ok(FlowVerdict::New), "{host}");
    }
}

#[test]
fn replies_pass_from_the_remote_that_was_asked_and_are_counted() {
    let mut bed = Bed::new();
    let query = ip(US, THEM, UDP, &udp(5000, 53, b"?"));
    let answer = ip(THEM, US, UDP, &udp(53, 5000, b"an answer"));
    assert_eq!(bed.receive_from(1, &answer), Err(GatewayDrop::NoFlow));
    assert_eq!(bed.send_to(1, &query), Ok(FlowVerdict::New));
    assert_eq!(bed.send_to(1, &query), Ok(FlowVerdict::Known));
    assert_eq!(bed.receive_from(2, &answer), Err(GatewayDrop::WrongRemote));
    assert_eq!(bed.receive_from(1, &answer), Ok(FlowVerdict::Known));
    let elsewhere = ip(THEM, US, UDP, &udp(54, 5000, b"an answer"));
    assert_eq!(bed.receive_from(1, &elsewhere), Err(GatewayDrop::NoFlow));

    let flow = bed.table.iter().next().unwrap();
    assert_eq!((flow.remote, flow.origin, flow.kind), (remote(1), Origin::Ours, FlowKind::Udp));
    assert_eq!(flow.sent, Traffic { packets: 2, bytes: 58 });
    assert_eq!(flow.received, Traffic { packets: 1, bytes: 37 });
    assert_eq!(bed.table.stats(), FlowStats { created: 1, ..FlowStats::default() });
}

#[test]
fn from_outside_only_pings_of_our_addresses_are_taken() {
    let mut bed = Bed::new();
    assert_eq!(bed.receive_tcp(SYN), Err(GatewayDrop::InboundConnection));
    assert_eq!(bed.receive_tcp(ACK), Err(GatewayDrop::NoFlow));
    assert_eq!(bed.receive_from(1, &ip(THEM, US, 47, &[0; 8])), Err(GatewayDrop::NoFlow));
    assert_eq!(bed.receive_from(1, &ip(THEM, US, ICMP, &echo(0, 7))), Err(GatewayDrop::NoFlow));
    let behind_us = ip(THEM, "10.1.0.2", ICMP, &echo(8, 7));
    assert_eq!(bed.receive_from(1, &behind_us), Err(GatewayDrop::NoFlow));
    assert!(bed.table.is_empty());

    assert_eq!(bed.receive_from(1, &ip(THEM, US, ICMP, &echo(8, 7))), Ok(FlowVerdict::New));
    assert_eq!(bed.send_to(1, &ip(US, THEM, ICMP, &echo(0, 7))), Ok(FlowVerdict::Known));
    let (us, them) = ("fd69:7264::1", "fd69:7264::2");
    assert_eq!(bed.receive_from(1, &ip(them, us, ICMPV6, &echo(128, 7))), Ok(FlowVerdict::New));
    assert!(bed.table.iter().all(|flow| flow.origin == Origin::Theirs && flow.kind == FlowKind::Echo));
    // The same identifier the other way round is another flow.
    assert_eq!(bed.send_to(1, &ip(US, THEM, ICMP, &echo(8, 7))), Ok(FlowVerdict::New));
    assert_eq!(bed.receive_from(1, &ip(THEM, US, ICMP, &echo(0, 7))), Ok(FlowVerdict::Known));
}

#[test]
fn nobody_outside_uses_our_addresses() {
    let mut bed = Bed::new();
    let spoofed = ip(US, "10.1.0.9", ICMP, &echo(8, 7));
    assert_eq!(bed.receive_from(1, &spoofed), Err(GatewayDrop::SourceIsOurs));
}

#[test]
fn a_flow_moves_with_its_route() {
    let mut bed = Bed::new();
    let query = ip(US, THEM, UDP, &udp(5000, 53, b"?"));
    let answer = ip(THEM, US, UDP, &udp(53, 5000, b"!"));
    bed.send_to(1, &query).unwrap();
    assert_eq!(bed.send_to(2, &query), Ok(FlowVerdict::New));
    assert_eq!(bed.receive_from(1, &answer), Err(GatewayDrop::WrongRemote));
    assert_eq!(bed.receive_from(2, &answer), Ok(FlowVerdict::Known));
    assert_eq!(bed.table.len(), 1);
}

#[test]
fn tcp_connections_open_and_close() {
    let mut bed = Bed::new();
    bed.open_tcp();
    bed.send_tcp(FIN | ACK).unwrap();
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Established));
    bed.receive_tcp(FIN | ACK).unwrap();
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Closing));
    // The same ports again, from our side only.
    assert_eq!(bed.receive_tcp(SYN), Err(GatewayDrop::InboundConnection));
    bed.send_tcp(SYN).unwrap();
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Opening));
    bed.receive_tcp(RST | ACK).unwrap();
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Closing));
}

#[test]
fn an_open_connection_cannot_be_turned_round() {
    let mut bed = Bed::new();
    bed.open_tcp();
    assert_eq!(bed.receive_tcp(SYN), Err(GatewayDrop::InboundConnection));
}

#[test]
fn a_simultaneous_open_and_a_connection_from_before_are_tracked() {
    let mut bed = Bed::new();
    bed.send_tcp(SYN).unwrap();
    assert_eq!(bed.receive_tcp(SYN), Ok(FlowVerdict::Known));
    bed.send_tcp(SYN | ACK).unwrap();
    bed.receive_tcp(ACK).unwrap();
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Established));

    let mut bed = Bed::new();
    bed.send_tcp(ACK).unwrap();
    bed.send_tcp(ACK).unwrap();
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Opening));
    bed.receive_tcp(ACK).unwrap();
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Established));
}

#[test]
fn icmp_errors_pass_if_they_quote_a_flow() {
    let mut bed = Bed::new();
    let ours = ip(US, THEM, TCP, &tcp(4000, 22, SYN));
    let router = "10.2.0.254";
    let error = ip(router, US, ICMP, &icmp(3, 4, [0, 0, 5, 0], &ours[..28]));
    assert_eq!(bed.receive_from(1, &error), Err(GatewayDrop::UnrelatedIcmp));
    bed.send_to(1, &ours).unwrap();
    bed.wait(seconds(200));
    assert_eq!(bed.receive_from(1, &error), Ok(FlowVerdict::Related));
    assert_eq!(bed.receive_from(2, &error), Err(GatewayDrop::WrongRemote));
    // It is counted and does not keep the flow alive.
    assert_eq!(bed.table.iter().next().unwrap().received, Traffic { packets: 1, bytes: 56 });
    bed.wait(seconds(40));
    assert_eq!(bed.receive_from(1, &error), Err(GatewayDrop::UnrelatedIcmp));
    assert!(bed.table.is_empty());
}

#[test]
fn our_own_icmp_errors_go_out_about_what_came_in() {
    let mut bed = Bed::new();
    let answer = ip(THEM, US, UDP, &udp(53, 5000, b"late"));
    let error = ip(US, THEM, ICMP, &icmp(3, 3, [0; 4], &answer));
    assert_eq!(bed.send_to(1, &error), Err(GatewayDrop::UnrelatedIcmp));
    bed.send_to(1, &ip(US, THEM, UDP, &udp(5000, 53, b"?"))).unwrap();
    assert_eq!(bed.send_to(1, &error), Ok(FlowVerdict::Related));
    // About a packet that we sent ourselves, it is no answer to anything.
    let ours = ip(US, THEM, UDP, &udp(5000, 53, b"?"));
    let error = ip(THEM, US, ICMP, &icmp(3, 3, [0; 4], &ours));
    assert_eq!(bed.send_to(1, &error), Err(GatewayDrop::UnrelatedIcmp));
}

#[test]
fn other_icmp_types_cross_neither_way() {
    let mut bed = Bed::new();
    assert_eq!(
        bed.receive_from(1, &ip(THEM, US, ICMP, &icmp(5, 0, [0; 4], &[]))),
        Err(GatewayDrop::IcmpType)
    );
    assert_eq!(
        bed.send_to(1, &ip(US, THEM, ICMP, &icmp(13, 0, [0; 4], &[0; 12]))),
        Err(GatewayDrop::IcmpType)
    );
}

#[test]
fn later_fragments_follow_their_first_for_thirty_seconds() {
    let mut bed = Bed::new();
    let (us, them) = ([10, 1, 0, 1].into(), [10, 2, 0, 2].into());
    let first = v4(us, them, UDP, 0x2000, &udp(5000, 53, &[0; 8]));
    let later = v4(us, them, UDP, 0x0002, &[0; 8]);
    assert_eq!(bed.send_to(1, &later), Err(GatewayDrop::UnknownFragment));
    bed.send_to(1, &first).unwrap();
    assert_eq!(bed.send_to(1, &later), Ok(FlowVerdict::Known));
    assert_eq!(bed.table.iter().next().unwrap().sent.packets, 2);
    // The other direction has its own fragments.
    let answer = v4(them, us, UDP, 0x0002, &[0; 8]);
    assert_eq!(bed.receive_from(1, &answer), Err(GatewayDrop::UnknownFragment));
    bed.receive_from(1, &v4(them, us, UDP, 0x2000, &udp(53, 5000, &[0; 8]))).unwrap();
    assert_eq!(bed.receive_from(1, &answer), Ok(FlowVerdict::Known));
    assert_eq!(bed.receive_from(2, &answer), Err(GatewayDrop::UnknownFragment));
    bed.wait(seconds(30));
    assert_eq!(bed.send_to(1, &later), Err(GatewayDrop::UnknownFragment));
}

#[test]
fn fragments_of_many_packets_stay_within_their_slots() {
    let mut bed = Bed::new();
    for id in 0..=u16::MAX {
        let mut first = v4([10, 1, 0, 1].into(), [10, 2, 0, 2].into(), UDP, 0x2000, &udp(5000, 53, &[0; 8]));
        first[4..6].copy_from_slice(&id.to_be_bytes());
        bed.send_to(1, &first).unwrap();
    }
    assert_eq!(bed.table.fragments.noted(), fragments::SLOTS);
    let displaced = 65_536 - u64::try_from(fragments::SLOTS).unwrap();
    assert_eq!(bed.table.stats().fragments_displaced, displaced);
}

fn ends_after(limit: u64, start: impl FnOnce(&mut Bed)) {
    let mut bed = Bed::new();
    start(&mut bed);
    bed.wait(seconds(limit) - Duration::from_micros(1));
    assert_eq!(bed.table.expire(bed.now, 10), 0);
    bed.wait(Duration::from_micros(1));
    assert_eq!(bed.table.expire(bed.now, 10), 1);
    assert!(bed.table.is_empty());
    assert_eq!(bed.table.stats().expired, 1);
}

#[test]
fn idle_flows_end_in_time() {
    let sends =
        |packet: Vec<u8>| move |bed: &mut Bed| assert_eq!(bed.send_to(1, &packet), Ok(FlowVerdict::New));
    ends_after(240, sends(ip(US, THEM, TCP, &tcp(4000, 22, SYN))));
    ends_after(7440, Bed::open_tcp);
    ends_after(300, sends(ip(US, THEM, UDP, &udp(1, 2, b""))));
    ends_after(60, sends(ip(US, THEM, ICMP, &echo(8, 7))));
    ends_after(300, sends(ip(US, THEM, 47, &[])));
}

#[test]
fn a_time_from_before_the_last_packet_shortens_no_life() {
    let mut bed = Bed::new();
    let packet = ip(US, THEM, UDP, &udp(1, 2, b""));
    bed.wait(seconds(10));
    bed.send_to(1, &packet).unwrap();
    let ends = bed.now + seconds(300);
    bed.now = Timestamp::from_micros(1);
    assert_eq!(bed.send_to(1, &packet), Ok(FlowVerdict::Known));
    assert_eq!(bed.table.iter().next().unwrap().expires(), ends);
}

#[test]
fn an_expired_flow_admits_nothing_even_before_it_is_removed() {
    let mut bed = Bed::new();
    bed.open_tcp();
    bed.wait(seconds(7440));
    assert_eq!(bed.receive_tcp(ACK), Err(GatewayDrop::NoFlow));
    assert!(bed.table.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Send(u8, u16),
    Receive(u8, u16),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u8..3, 0_u16..5).prop_map(|(remote, port)| Step::Send(remote, port)),
        (0_u8..3, 0_u16..5).prop_map(|(remote, port)| Step::Receive(remote, port)),
        (0_u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn the_table_agrees_with_a_plain_model(steps in prop::collection::vec(step(), 0..80)) {
        let mut bed = Bed::new();
        let mut model = std::collections::BTreeMap::new();
        for step in steps {
            model.retain(|_, (_, until)| *until > bed.now);
            let until = bed.now + seconds(300);
            match step {
                Step::Send(number, port) => {
                    let known = model.get(&port).is_some_and(|(owner, _)| *owner == number);
                    let verdict = bed.send_to(number, &ip(US, THEM, UDP, &udp(port, 53, b"")));
                    prop_assert_eq!(verdict, Ok(if known { FlowVerdict::Known } else { FlowVerdict::New }));
                    model.insert(port, (number, until));
                }
                Step::Receive(number, port) => {
                    let verdict = bed.receive_from(number, &ip(THEM, US, UDP, &udp(53, port, b"")));
                    let expected = match model.get_mut(&port) {
                        None => Err(GatewayDrop::NoFlow),
                        Some((owner, _)) if *owner != number => Err(GatewayDrop::WrongRemote),
                        Some((_, end)) => {
                            *end = until;
                            Ok(FlowVerdict::Known)
                        }
                    };
                    prop_assert_eq!(verdict, expected);
                }
                Step::Wait(time) => bed.wait(seconds(time)),
            }
            bed.table.expire(bed.now, usize::MAX);
            model.retain(|_, (_, until)| *until > bed.now);
            prop_assert_eq!(bed.table.len(), model.len());
            let ends = bed.table.iter().map(Flow::expires).min();
            prop_assert_eq!(ends, model.values().map(|(_, until)| *until).min());
            prop_assert_eq!(bed.table.shares.sums(), (model.len(), 0));
        }
    }

    #[test]
    fn any_packets_are_answered(
        bytes in prop::collection::vec((any::<[u8; 2]>(), prop::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let mut data = Vec::new();
        for ([way, kind], payload) in bytes {
            let (protocol, outbound) = ([TCP, UDP, ICMP, 47][usize::from(kind % 4)], way & 2 == 0);
            let packet = if outbound { ip(US, THEM, protocol, &payload) } else { ip(THEM, US, protocol, &payload) };
            data.extend([way, u8::try_from(packet.len()).unwrap()]);
            data.extend(packet);
        }
        crate::fuzz::fuzz_flow_table(&data);
    }
}

#[test]
fn a_rule_lets_connections_in_from_whom_it_names() {
    let mut bed = Bed::new();
    bed.accept(Rule { ports: vec![4000..=4000], ..accepting(Whom::Remote(remote(1)), Carrying::Tcp) });
    let stranger = ip(THEM, US, TCP, &tcp(22, 4000, SYN));
    assert_eq!(bed.receive_from(2, &stranger), Err(GatewayDrop::InboundConnection));
    assert_eq!(bed.receive_tcp(ACK), Err(GatewayDrop::NoFlow), "no SYN came before");

    assert_eq!(bed.receive_tcp(SYN), Ok(FlowVerdict::New));
    assert_eq!(bed.receive_tcp(SYN), Ok(FlowVerdict::Known), "a repeated SYN");
    assert_eq!(bed.send_tcp(SYN | ACK), Ok(FlowVerdict::Known));
    assert_eq!(bed.receive_tcp(ACK), Ok(FlowVerdict::Known));
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Established));
    assert!(bed.table.iter().all(|flow| flow.origin == Origin::Theirs));

    bed.receive_tcp(FIN | ACK).unwrap();
    bed.send_tcp(FIN | ACK).unwrap();
    assert_eq!(bed.receive_tcp(SYN), Ok(FlowVerdict::Known), "the same ports again");
    assert_eq!(bed.receive_tcp(ACK), Ok(FlowVerdict::Known));
    assert_eq!(bed.kind(), FlowKind::Tcp(TcpPhase::Opening), "an ACK without our answer opens nothing");
    bed.send_tcp(SYN | ACK).unwrap();
    bed.receive_tcp(ACK).unwrap();

    bed.table.set_firewall(Firewall::default());
    assert_eq!(bed.receive_tcp(SYN), Err(GatewayDrop::InboundConnection));
    assert_eq!(bed.receive_tcp(ACK), Ok(FlowVerdict::Known), "open connections outlive the rule");
}

#[test]
fn rules_open_flows_to_our_own_addresses_only() {
    let mut bed = Bed::new();
    bed.accept(accepting(Whom::Any, Carrying::TcpAndUdp));
    let behind_us = "10.1.0.2";
    let syn = ip(THEM, behind_us, TCP, &tcp(22, 4000, SYN));
    assert_eq!(bed.receive_from(1, &syn), Err(GatewayDrop::InboundConnection));
    assert_eq!(
        bed.receive_from(1, &ip(THEM, behind_us, UDP, &udp(53, 4000, b"?"))),
        Err(GatewayDrop::NoFlow)
    );
    assert!(bed.table.is_empty());
    // Nor into an open connection of a host behind us.
    bed.send_to(1, &ip(behind_us, THEM, TCP, &tcp(4000, 22, SYN))).unwrap();
    bed.receive_from(1, &ip(THEM, behind_us, TCP, &tcp(22, 4000, SYN | ACK))).unwrap();
    bed.send_to(1, &ip(behind_us, THEM, TCP, &tcp(4000, 22, ACK))).unwrap();
    assert_eq!(bed.receive_from(1, &syn), Err(GatewayDrop::InboundConnection));
    assert_eq!(bed.receive_tcp(SYN), Ok(FlowVerdict::New));
}

#[test]
fn a_flow_keeps_its_hash_and_its_queue() {
    let mut bed = Bed::new();
    bed.accept(accepting(Whom::Any, Carrying::Udp));
    let ours = ip(US, THEM, UDP, &udp(5000, 53, b"?"));
    let answer = ip(THEM, US, UDP, &udp(53, 5000, b"!"));
    let first = bed.ask_out(1, &ours).unwrap();
    assert_eq!((first.queue, first.rule), (1, None));
    let info = PacketInfo::parse(&ours).unwrap();
    let elsewhere = bed.table.outbound(&info, &ours, remote(1), 3, bed.now).unwrap();
    let error = ip("10.2.0.254", US, ICMP, &icmp(3, 4, [0, 0, 5, 0], &ours));
    for passed in [elsewhere, bed.ask_in(1, &answer).unwrap(), bed.ask_in(1, &error).unwrap()] {
        assert_eq!((passed.hash, passed.queue), (first.hash, 1));
    }
    let mut queues = [0; 4];
    for port in 1..=400 {
        let theirs = bed.ask_in(1, &ip(THEM, US, UDP, &udp(port, 80, b"?"))).unwrap();
        assert_ne!(theirs.hash, first.hash);
        assert!(theirs.rule.is_some());
        let back = bed.ask_out(1, &ip(US, THEM, UDP, &udp(80, port, b"!"))).unwrap();
        assert_eq!((back.hash, back.queue, back.rule), (theirs.hash, theirs.queue, None));
        queues[usize::from(theirs.queue)] += 1;
    }
    assert!(queues.iter().all(|&flows| flows > 50), "{queues:?}");
}

#[test]
fn one_remote_cannot_slip_fragments_into_the_flow_of_another() {
    let mut bed = Bed::new();
    bed.accept(accepting(Whom::Remote(remote(1)), Carrying::Udp));
    let (us, them) = ([10, 1, 0, 1].into(), [10, 2, 0, 2].into());
    let first = v4(them, us, UDP, 0x2000, &udp(53, 5000, &[0; 8]));
    let later = v4(them, us, UDP, 0x0002, &[0; 8]);
    bed.receive_from(1, &first).unwrap();
    assert_eq!(bed.receive_from(2, &later), Err(GatewayDrop::UnknownFragment));
    // A first fragment that was denied notes nothing, and displaces nothing.
    assert_eq!(bed.receive_from(2, &first), Err(GatewayDrop::WrongRemote));
    assert_eq!(bed.receive_from(2, &later), Err(GatewayDrop::UnknownFragment));
    assert_eq!(bed.receive_from(1, &later), Ok(FlowVerdict::Known));
    // Nor does what we send ourselves let anything in.
    bed.send_to(3, &v4(us, them, UDP, 0x2000, &udp(7, 7, &[0; 8]))).unwrap();
    assert_eq!(bed.receive_from(3, &v4(us, them, UDP, 0x0002, &[0; 8])), Err(GatewayDrop::SourceIsOurs));
    assert_eq!(bed.receive_from(3, &later), Err(GatewayDrop::UnknownFragment));
}

#[test]
fn flows_to_hosts_behind_us_are_answered_and_outlive_their_rule() {
    let mut bed = Bed::new();
    let behind_us = "192.168.7.9";
    let to = To::Prefixes(vec!["192.168.7.0/24".parse().unwrap()]);
    bed.accept(Rule { to, ..accepting(Whom::Any, Carrying::TcpAndUdp) });
    let query = ip(THEM, behind_us, UDP, &udp(53, 5000, b"?"));
    let other = ip(THEM, "192.168.8.9", UDP, &udp(53, 5000, b"?"));
    assert_eq!(bed.receive_from(1, &query), Ok(FlowVerdict::New));
    assert_eq!(bed.receive_from(1, &other), Err(GatewayDrop::NoFlow));
    let deny =
        Rule { action: Action::Deny, direction: Direction::Outbound, ..accepting(Whom::Any, Carrying::All) };
    bed.accept(Rule { to: To::Anywhere, ..deny });
    assert_eq!(bed.send_to(1, &ip(behind_us, THEM, UDP, &udp(5000, 53, b"!"))), Ok(FlowVerdict::Known));
    assert_eq!(bed.receive_from(1, &query), Ok(FlowVerdict::Known));
    let unasked = ip(behind_us, THEM, UDP, &udp(5000, 54, b"!"));
    assert_eq!(bed.send_to(1, &unasked), Err(GatewayDrop::RuleDenied));
    assert_eq!(bed.table.len(), 1, "what is denied takes no room");
}
