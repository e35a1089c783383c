// SPDX-License-Identifier: AGPL-3.0-or-later
//! Drivers of every kind keep the contract, and what kinds differ in, they differ in.

use std::sync::Arc;

use netmod_api::contract::{End, Event, Recorder, check};
use netmod_api::{Capabilities, Class, FrameParts, Netmod, Sent, Target};
use netmod_mem::{Bus, Station};
use ratman_types::{Hop, LinkId, Mtu, RouterId};

fn router(number: u8) -> RouterId {
    RouterId::from_bytes([number; 32])
}

fn stations<const N: usize>(bus: &Bus) -> [(Arc<Station>, Arc<Recorder>); N] {
    core::array::from_fn(|index| {
        let recorder = Recorder::new();
        let number = u8::try_from(index).expect("few stations");
        (bus.attach(router(number), recorder.clone()), recorder)
    })
}

#[test]
fn every_kind_and_mtu_keeps_the_contract() {
    for capabilities in [Capabilities::Broadcast, Capabilities::Unicast, Capabilities::Full] {
        for mtu in [255, 1500, 33_004] {
            let bus = Bus::new(capabilities, Mtu(mtu));
            let [a, b] = stations(&bus);
            let stall = |busy| bus.set_busy(router(0), router(1), busy);
            check(End { netmod: &*a.0, inbox: &a.1 }, End { netmod: &*b.0, inbox: &b.1 }, &stall);
        }
    }
}

#[test]
fn what_is_sent_to_one_is_heard_by_all_where_only_broadcast_is_possible() {
    for (capabilities, hearers) in
        [(Capabilities::Broadcast, 3), (Capabilities::Unicast, 1), (Capabilities::Full, 1)]
    {
        let [a, others @ ..] = stations::<4>(&Bus::new(capabilities, Mtu(255)));
        let sent = a.1.link_to(router(1)).outbox.send(Class::Data, &[FrameParts::whole(b"\xeehello")]);
        assert_eq!(sent, Sent { accepted: 1, dropped: 0 });
        let heard = |recorder: &Recorder| recorder.count(|event| matches!(event, Event::Frame(..)));
        assert_eq!(heard(&others[0].1), 1);
        assert_eq!(others.iter().map(|other| heard(&other.1)).sum::<usize>(), hearers, "{capabilities}");
    }
}

#[test]
fn a_flood_does_not_return_to_where_it_came_from_unless_everybody_hears_everything() {
    for (capabilities, reached) in
        [(Capabilities::Full, vec![2, 3]), (Capabilities::Broadcast, vec![1, 2, 3])]
    {
        let [a, others @ ..] = stations::<4>(&Bus::new(capabilities, Mtu(255)));
        let sent = a.0.send(Target::AllBut(&[router(1)]), Class::Data, b"\xeeflood");
        assert_eq!(sent.accepted, reached.len());
        let heard: Vec<u8> = (1..)
            .zip(&others)
            .filter(|(_, other)| other.1.count(|event| matches!(event, Event::Frame(..))) == 1)
            .map(|(number, _)| number)
            .collect();
        assert_eq!(heard, reached, "{capabilities}");
    }
}

#[test]
fn what_the_medium_cannot_do_is_counted() {
    for (capabilities, target) in [
        (Capabilities::Broadcast, Target::One(Hop { link: LinkId(0), neighbour: router(1) })),
        (Capabilities::Unicast, Target::AllBut(&[])),
    ] {
        let [a, _b] = stations::<2>(&Bus::new(capabilities, Mtu(255)));
        assert_eq!(a.0.send(target, Class::Data, b"\xeeframe"), Sent { accepted: 0, dropped: 1 });
        assert_eq!(a.0.drops(), [("dropped_frames", 1)], "{capabilities}");
    }
}

#[test]
fn a_small_mtu_beside_a_large_one() {
    let recorder = Recorder::new();
    let (small, large) =
        (Bus::new(Capabilities::Broadcast, Mtu(255)), Bus::new(Capabilities::Full, Mtu(33_004)));
    let near = [&small, &large].map(|bus| bus.attach(router(1), recorder.clone()));
    let far = [&small, &large].map(|bus| {
        let recorder = Recorder::new();
        (bus.attach(router(2), recorder.clone()), recorder)
    });
    assert_eq!(recorder.links().len(), 2, "one neighbour over two drivers is two hops");
    let frame = vec![0xee; 256];
    let sent: Vec<_> =
        near.iter().map(|netmod| netmod.send(Target::AllBut(&[]), Class::Data, &frame).accepted).collect();
    assert_eq!(sent, [0, 1]);
    assert_eq!(far[1].1.take_frames(1), [frame]);
    assert_eq!(far[0].1.count(|event| matches!(event, Event::Frame(..))), 0);
}

#[test]
fn losses_are_as_the_test_wants_them() {
    let bus = Bus::new(Capabilities::Full, Mtu(255));
    let [a, b] = stations(&bus);
    let mut number = 0;
    bus.set_loss(Box::new(move |from, to, _| {
        assert_eq!((from, to), (router(0), router(1)));
        number += 1;
        number % 3 == 0
    }));
    for number in 0..9 {
        a.0.send(Target::AllBut(&[]), Class::Data, &[0xee, number]);
    }
    let arrived: Vec<_> = b.1.take_frames(6).iter().map(|frame| frame[1]).collect();
    assert_eq!(arrived, [0, 1, 3, 4, 6, 7]);
}

#[test]
fn data_that_was_lost_is_unacknowledged_until_some_arrives() {
    let bus = Bus::new(Capabilities::Full, Mtu(255));
    let [a, _b] = stations(&bus);
    let outbox = a.1.link_to(router(1)).outbox;
    let unacknowledged = || {
        let mut numbers = Vec::new();
        outbox.unacknowledged(&mut |frame| numbers.push(u16::from_be_bytes([frame[1], frame[2]])));
        numbers
    };
    let send = |class, frame: &[u8]| outbox.send(class, &[FrameParts::whole(frame)]);
    let echo = [2, 0, 0, 71];
    bus.set_loss(Box::new(|_, _, frame| frame != b"\xeelast"));
    for number in 0..1030_u16 {
        let [high, low] = number.to_be_bytes();
        send(Class::Data, &[0xee, high, low]);
        send(Class::Control, b"\xeecontrol");
        send(Class::Data, &echo);
    }
    assert!(unacknowledged().into_iter().eq(6..1030), "the newest, and neither control nor echoes");
    send(Class::Data, b"\xeelast");
    assert_eq!(unacknowledged(), []);
}

#[test]
fn a_flood_passes_by_who_is_busy_and_reaches_the_others() {
    let bus = Bus::new(Capabilities::Full, Mtu(255));
    let [a, b, c] = stations(&bus);
    bus.set_busy(router(0), router(1), true);
    let sent = a.0.send(Target::AllBut(&[]), Class::Data, b"\xeeflood");
    assert_eq!(sent, Sent { accepted: 1, dropped: 0 });
    assert_eq!(c.1.take_frames(1), [b"\xeeflood"]);
    assert_eq!(b.1.count(|event| matches!(event, Event::Frame(..))), 0);
    for _ in 0..2 {
        bus.set_busy(router(0), router(1), false);
        assert_eq!(a.1.writable_calls(a.1.link_to(router(1)).hop), 1, "who was refused is told once");
    }
}
