// SPDX-License-Identifier: AGPL-3.0-or-later
//! Floods of new flows of each kind: the table stays within its limits, and what was open before is open after.

use super::*;

/// A UDP packet from us to one of 2^24 destinations.
fn out(number: u32) -> Vec<u8> {
    let [_, high, middle, low] = number.to_be_bytes();
    v4([10, 1, 0, 1].into(), [10, high, middle, low].into(), UDP, 0, &udp(5000, 53, b""))
}

/// A packet to us from one of 2^24 sources.
fn from(number: u32, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = number.to_be_bytes();
    v4([11, high, middle, low].into(), [10, 1, 0, 1].into(), protocol, 0, payload)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}

/// A table with a flow of each kind that is worth keeping, opened by us and by remote 1, all through remote 1.
fn used() -> Bed {
    let mut bed = Bed::new();
    bed.accept(accepting(Whom::Any, Carrying::TcpAndUdp));
    bed.open_tcp();
    bed.receive_from(1, &ip(THEM, US, TCP, &tcp(99, 80, SYN))).unwrap();
    bed.send_to(1, &ip(US, THEM, TCP, &tcp(80, 99, SYN | ACK))).unwrap();
    bed.receive_from(1, &ip(THEM, US, TCP, &tcp(99, 80, ACK))).unwrap();
    for (ours, theirs, first) in [(6000, 53, Direction::Outbound), (53, 6000, Direction::Inbound)] {
        let query = ip(US, THEM, UDP, &udp(ours, theirs, b"?"));
        let answer = ip(THEM, US, UDP, &udp(theirs, ours, b"!"));
        match first {
            Direction::Outbound => {
                bed.send_to(1, &query).unwrap();
                bed.receive_from(1, &answer).unwrap();
            }
            Direction::Inbound => {
                bed.receive_from(1, &answer).unwrap();
                bed.send_to(1, &query).unwrap();
            }
        }
    }
    bed
}

fn still_used(bed: &mut Bed) {
    assert_eq!(bed.receive_tcp(ACK), Ok(FlowVerdict::Known), "our connection");
    assert_eq!(bed.receive_from(1, &ip(THEM, US, TCP, &tcp(99, 80, ACK))), Ok(FlowVerdict::Known), "theirs");
    let answer = ip(THEM, US, UDP, &udp(53, 6000, b"!"));
    assert_eq!(bed.receive_from(1, &answer), Ok(FlowVerdict::Known), "what we asked");
    let answer = ip(US, THEM, UDP, &udp(53, 6000, b"!"));
    assert_eq!(bed.send_to(1, &answer), Ok(FlowVerdict::Known), "what they asked");
    assert!(bed.table.len() <= MAX_FLOWS);
    assert_eq!(bed.table.index.len(), bed.table.iter().count());
    let (ours, theirs) = bed.table.shares.sums();
    assert!(ours <= MAX_FLOWS_PER_ORIGIN && theirs <= MAX_FLOWS_PER_ORIGIN, "{ours} {theirs}");
    assert_eq!(ours + theirs, bed.table.len());
}

#[test]
fn a_flood_of_ours_to_many_remotes_pushes_out_only_itself() {
    let mut bed = used();
    let many = MAX_FLOWS_PER_ORIGIN * 2;
    for at in 0..number(many) {
        let to = u8::try_from(at % 5).unwrap();
        assert_eq!(bed.send_to(to, &out(at)), Ok(FlowVerdict::New));
    }
    assert_eq!(bed.table.shares.of_origin(Origin::Ours), MAX_FLOWS_PER_ORIGIN);
    assert_eq!(bed.table.stats().evicted, u64::try_from(many + 2 - MAX_FLOWS_PER_ORIGIN).unwrap());
    still_used(&mut bed);
    // The longest idle went first.
    assert_eq!(bed.send_to(0, &out(number(many) - 1)), Ok(FlowVerdict::Known));
    assert_eq!(bed.send_to(0, &out(0)), Ok(FlowVerdict::New));
}

#[test]
fn a_flood_of_ours_to_one_remote_leaves_room_for_the_others() {
    let mut bed = used();
    for at in 0..number(MAX_FLOWS) {
        assert_eq!(bed.send_to(2, &out(at)), Ok(FlowVerdict::New));
    }
    assert_eq!(bed.table.shares.of_remote(&remote(2), Origin::Ours), MAX_FLOWS_PER_REMOTE);
    still_used(&mut bed);
    assert!(bed.send_to(1, &out(number(MAX_FLOWS))).is_ok());
}

#[test]
fn syns_of_ours_push_out_no_connection() {
    let mut bed = used();
    for at in 0..number(MAX_FLOWS) {
        let [_, high, middle, low] = at.to_be_bytes();
        let syn = v4([10, 1, 0, 1].into(), [10, high, middle, low].into(), TCP, 0, &tcp(4000, 80, SYN));
        bed.send_to(1, &syn).unwrap();
    }
    still_used(&mut bed);
}

/// Floods from remotes 2 to 9, as fast as each may, until the table holds what it can.
fn flood(bed: &mut Bed, packet: impl Fn(u32) -> Vec<u8>, mut after: impl FnMut(&mut Bed, u8, u32)) {
    let mut at = 0;
    for _ in 0..12 {
        for who in 2..10 {
            for _ in 0..NEW_FLOWS_BURST {
                let _ = bed.receive_from(who, &packet(at));
                after(bed, who, at);
                at += 1;
            }
        }
        bed.wait(seconds(1));
    }
    assert_eq!(bed.table.shares.of_origin(Origin::Theirs), MAX_FLOWS_PER_ORIGIN);
    still_used(bed);
}

#[test]
fn datagrams_from_outside_push_out_only_each_other() {
    flood(&mut used(), |at| from(at, UDP, &udp(7, 53, b"?")), |_, _, _| {});
}

#[test]
fn connections_from_outside_that_are_never_completed_push_out_only_each_other() {
    flood(
        &mut used(),
        |at| from(at, TCP, &tcp(7, 80, SYN)),
        |bed, who, at| {
            let [_, high, middle, low] = at.to_be_bytes();
            let answer =
                v4([10, 1, 0, 1].into(), [11, high, middle, low].into(), TCP, 0, &tcp(80, 7, SYN | ACK));
            bed.send_to(who, &answer).unwrap();
        },
    );
}

#[test]
fn pings_from_outside_push_out_only_each_other_even_answered() {
    flood(
        &mut used(),
        |at| from(at, ICMP, &echo(8, 7)),
        |bed, who, at| {
            let [_, high, middle, low] = at.to_be_bytes();
            let answer = v4([10, 1, 0, 1].into(), [11, high, middle, low].into(), ICMP, 0, &echo(0, 7));
            bed.send_to(who, &answer).unwrap();
        },
    );
}

#[test]
fn answered_datagrams_in_masses_are_refused_while_those_before_are_in_use() {
    let mut bed = used();
    let answered = |bed: &mut Bed, who: u8, at: u32| {
        let verdict = bed.receive_from(who, &from(at, UDP, &udp(7, 53, b"?")));
        if verdict == Ok(FlowVerdict::New) {
            let [_, high, middle, low] = at.to_be_bytes();
            let answer = v4([10, 1, 0, 1].into(), [11, high, middle, low].into(), UDP, 0, &udp(53, 7, b"!"));
            bed.send_to(who, &answer).unwrap();
        }
        verdict
    };
    let mut refused = Vec::new();
    for second in 0..9 {
        for at in 0..8000 {
            let who = u8::try_from(2 + at % 8).unwrap();
            refused.extend(answered(&mut bed, who, second * 8000 + at).err());
        }
        bed.wait(seconds(1));
    }
    assert!(refused.contains(&GatewayDrop::FlowTableFull));
    assert!(!refused.contains(&GatewayDrop::RemoteFlowRate));
    assert_eq!(bed.table.stats().evicted, 0);
    still_used(&mut bed);
    // Half a minute later, those that nobody uses make room.
    bed.wait(seconds(30));
    still_used(&mut bed);
    assert_eq!(answered(&mut bed, 2, 1_000_000), Ok(FlowVerdict::New));
    assert_eq!(bed.table.stats().evicted, 1);
    still_used(&mut bed);
}

#[test]
fn established_connections_are_never_pushed_out() {
    let mut bed = Bed::new();
    for at in 0..number(MAX_FLOWS_PER_REMOTE) {
        let [_, high, middle, low] = at.to_be_bytes();
        let syn =
            |flags| v4([10, 1, 0, 1].into(), [11, high, middle, low].into(), TCP, 0, &tcp(7, 80, flags));
        bed.send_to(1, &syn(SYN)).unwrap();
        bed.receive_from(1, &from(at, TCP, &tcp(80, 7, SYN | ACK))).unwrap();
        bed.send_to(1, &syn(ACK)).unwrap();
    }
    bed.wait(seconds(7000));
    assert_eq!(bed.send_to(1, &out(0)), Err(GatewayDrop::RemoteFlows));
    assert_eq!(bed.send_to(2, &out(0)), Ok(FlowVerdict::New));
    assert_eq!((bed.table.stats().refused, bed.table.stats().evicted), (1, 0));
    bed.wait(seconds(440));
    assert_eq!(bed.send_to(1, &out(0)), Ok(FlowVerdict::New), "their time is over");
}

#[test]
fn one_remote_opens_flows_at_a_pace() {
    let mut bed = Bed::new();
    bed.accept(accepting(Whom::Any, Carrying::Udp));
    let burst = NEW_FLOWS_BURST;
    for at in 0..burst {
        assert_eq!(bed.receive_from(1, &from(at, UDP, &udp(7, 53, b"?"))), Ok(FlowVerdict::New));
    }
    let next = from(burst, UDP, &udp(7, 53, b"?"));
    assert_eq!(bed.receive_from(1, &next), Err(GatewayDrop::RemoteFlowRate));
    assert_eq!(bed.table.firewall().status().next().unwrap().counts.accepted, u64::from(burst));
    assert_eq!(bed.receive_from(1, &from(0, UDP, &udp(7, 53, b"?"))), Ok(FlowVerdict::Known));
    assert_eq!(bed.receive_from(2, &next), Ok(FlowVerdict::New), "another one's pace is its own");
    assert_eq!(bed.send_to(1, &out(0)), Ok(FlowVerdict::New), "nor is ours");
    bed.wait(Duration::from_millis(1));
    let next = from(burst + 1, UDP, &udp(7, 53, b"?"));
    assert_eq!(bed.receive_from(1, &next), Ok(FlowVerdict::New));
}
