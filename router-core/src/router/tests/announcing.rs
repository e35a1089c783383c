// SPDX-License-Identifier: AGPL-3.0-or-later
//! Our own addresses, and what a new link gets.

use super::*;

fn add(rig: &mut Rig, byte: u8) -> Address {
    let key = Arc::new(SecretKey::from_seed([byte; 32]));
    rig.router.add_local(key, WallTime::default(), rig.now);
    rig.collect();
    SecretKey::from_seed([byte; 32]).address()
}

#[test]
fn a_local_address_is_announced_every_two_seconds_with_a_secret_start() {
    let mut rig = Rig::with_neighbours(2);
    let address = add(&mut rig, 1);
    assert_eq!(rig.router.fib().lookup(&address, None), Lookup::Local);
    rig.pass(secs(60));
    let got = rig.neighbours[0].take();
    assert!((28..=33).contains(&got.len()), "{}", got.len());
    let mut last = WallTime::default();
    for (header, copy) in &got {
        assert_eq!(header.hops_left, rig.router.initial_hops(&address));
        assert!(copy.origin_time > last);
        last = copy.origin_time;
        let peer = copy.peer.unwrap();
        assert!(peer.latency.0 <= 500);
        assert_eq!(peer.latency, got[0].1.peer.unwrap().latency, "fixed per address");
        let message = origin_signed_bytes(&address, copy.origin_time);
        assert!(Ed25519Verifier.verify(address.as_bytes(), &message, &copy.origin_signature));
    }
    let mut ceilings = Vec::new();
    for event in &rig.events {
        if let Event::OriginTime { time, .. } = event {
            ceilings.push(*time);
        }
    }
    assert_eq!(ceilings.len(), 6, "a minute of ceilings that lie 10 s ahead");
    assert!(ceilings.last().is_some_and(|ceiling| *ceiling >= last));
    assert_eq!(rig.router.origin_times().collect::<Vec<_>>(), [(address, last)]);
}

#[test]
fn nobody_announces_more_often_than_every_two_seconds() {
    let mut config = RouterConfig::new([9; 32], BUILD);
    config.announce_interval = millis(10);
    let mut rig = Rig::with(config);
    rig.link(0, 100);
    rig.settle_links();
    add(&mut rig, 1);
    rig.pass(secs(20));
    let got = rig.neighbours[0].take();
    assert!((9..=12).contains(&got.len()), "{}", got.len());
    assert_eq!(got[0].1.peer.unwrap().interval, 2);
}

#[test]
fn addresses_are_jittered_independently() {
    let mut rig = Rig::with_neighbours(1);
    let (a, b) = (add(&mut rig, 1), add(&mut rig, 2));
    rig.pass(secs(30));
    let times = |rig: &Rig, address: Address| -> Vec<WallTime> {
        rig.neighbours[0]
            .got
            .iter()
            .map(|bytes| Frame::decode(bytes).unwrap())
            .filter(|frame| {
                frame.header.mode == Mode::ANNOUNCEMENT && frame.header.sender == *address.as_bytes()
            })
            .map(|frame| Announcement::decode(frame.payload).unwrap().origin_time)
            .collect()
    };
    let gaps: Vec<i64> = times(&rig, a).iter().zip(times(&rig, b)).map(|(a, b)| a.ahead_of(b)).collect();
    assert!(gaps.windows(2).all(|pair| pair[0] != pair[1]), "{gaps:?}");
}

#[test]
fn a_persisted_time_is_continued_and_one_too_far_ahead_is_discarded() {
    let mut rig = Rig::with_neighbours(1);
    let key: Arc<dyn Signer> = Arc::new(SecretKey::from_seed([1; 32]));
    let last = rig.wall() + secs(100);
    rig.router.add_local(Arc::clone(&key), last, rig.now);
    rig.pass(secs(1));
    assert!(rig.neighbours[0].take()[0].1.origin_time > last);
    let far = rig.wall() + secs(400);
    rig.router.add_local(key, far, rig.now);
    rig.pass(secs(1));
    assert!(rig.neighbours[0].take()[0].1.origin_time < last);
    assert!(rig.events.iter().any(|event| matches!(event, Event::OriginTimeDiscarded { .. })));
}

#[test]
fn what_was_made_durable_is_discarded_when_the_clock_has_to_go_back() {
    let mut rig = Rig::with_neighbours(1);
    let address = add(&mut rig, 1);
    rig.pass(secs(3));
    let before = rig.neighbours[0].take().pop().unwrap().1;
    let mut ceiling = None;
    for event in &rig.events {
        if let Event::OriginTime { time, .. } = event {
            ceiling = Some(*time);
        }
    }
    rig.events.clear();
    rig.now.wall = rig.now.wall.shifted(-300_000_000);
    rig.pass(secs(3));
    let after = rig.neighbours[0].take().pop().unwrap().1.origin_time;
    assert!(after < before.origin_time);
    let times: Vec<&Event> = rig
        .events
        .iter()
        .filter(|event| matches!(event, Event::OriginTimeDiscarded { .. } | Event::OriginTime { .. }))
        .collect();
    let [Event::OriginTimeDiscarded { time: discarded, .. }, Event::OriginTime { time, .. }] = times[..]
    else {
        panic!("first the old one goes, then there is a lower one: {times:?}");
    };
    assert_eq!(Some(*discarded), ceiling);
    assert!(*time < *discarded && *time >= after);
    let last: Vec<_> = rig.router.origin_times().collect();
    assert_eq!(last, [(address, after)], "the next start goes on from here");
    let back = sign_peer(address, before, &rig.neighbours[0].key, 900, 2);
    rig.receive(0, &frame_of(address, &back));
    assert!(!rig.events.contains(&Event::KeyUsedTwice { address }), "that one was ours");
}

#[test]
fn an_announcement_waits_until_its_time_is_durable() {
    let mut rig = Rig::with_neighbours(1);
    rig.disk_full = true;
    let address = add(&mut rig, 1);
    rig.pass(secs(5));
    assert!(rig.neighbours[0].take().is_empty(), "nothing was stored, and nothing announced");
    assert_eq!(rig.router.origin_times().count(), 0);
    rig.disk_full = false;
    rig.pass(secs(3));
    assert!(!rig.neighbours[0].take().is_empty(), "it is tried again by itself");

    rig.disk_full = true;
    rig.events.clear();
    rig.pass(secs(60));
    let got = rig.neighbours[0].take();
    assert!((1..=7).contains(&got.len()), "up to the ceiling of ten seconds: {}", got.len());
    let asked = rig.events.iter().filter(|event| matches!(event, Event::OriginTime { .. })).count();
    assert!(asked >= 20, "asked with every attempt: {asked}");
    assert!(rig.router.counters().announcements_withheld >= 20);
    let last = rig.router.origin_times().next().unwrap();
    assert_eq!(last, (address, got.last().unwrap().1.origin_time));
}

/// A router that announced something an hour ahead of its clock in an earlier run.
fn set_back(rig: &mut Rig) -> (Address, WallTime) {
    let key = SecretKey::from_seed([1; 32]);
    let (address, last) = (key.address(), rig.wall() + secs(3_600));
    rig.router.add_local(Arc::new(key), last, rig.now);
    rig.collect();
    (address, last)
}

#[test]
fn announcements_go_on_from_the_last_one_where_the_clock_was_set_back() {
    let mut rig = Rig::new();
    let (_, last) = set_back(&mut rig);
    rig.pass(secs(10));
    let neighbour = rig.link(0, 100);
    // Its clock is right.
    rig.neighbours[neighbour].clock_off = 3_600_000_000;
    rig.pass(secs(10));
    let got = rig.neighbours[neighbour].take();
    assert!(!got.is_empty());
    for (_, copy) in &got {
        let lead = copy.origin_time.ahead_of(last);
        assert!((1..=30_000_000).contains(&lead), "{lead} µs after the last one");
    }
    let told: Vec<_> =
        rig.events.iter().filter(|event| matches!(event, Event::ClockSetBack { .. })).collect();
    let [Event::ClockSetBack { behind }] = told[..] else { panic!("told once: {told:?}") };
    assert!((secs(3_590)..=secs(3_610)).contains(behind), "{behind:?}");
    assert!(rig.router.clock_behind().is_some());
    assert!(!rig.events.iter().any(|event| matches!(event, Event::OriginTimeDiscarded { .. })));
}

#[test]
fn a_clock_that_is_set_back_while_it_runs_changes_nothing_and_is_told_once() {
    let mut rig = Rig::with_neighbours(1);
    add(&mut rig, 1);
    rig.pass(secs(10));
    let before = rig.neighbours[0].take().pop().unwrap().1.origin_time;
    rig.now.wall = rig.now.wall.shifted(-3_600_000_000);
    rig.neighbours[0].clock_off = 3_600_000_000;
    rig.pass(secs(10));
    let after = rig.neighbours[0].take().pop().unwrap().1.origin_time;
    assert!((8_000_000..=12_000_000).contains(&after.ahead_of(before)), "{}", after.ahead_of(before));
    assert_eq!(rig.events.iter().filter(|event| matches!(event, Event::ClockSetBack { .. })).count(), 1);
    // And once it is right again, a second time is told again.
    for (step, told) in [(3_600_000_000, 1), (-3_600_000_000, 2)] {
        rig.now.wall = rig.now.wall.shifted(step);
        rig.neighbours[0].clock_off -= step;
        rig.pass(secs(5));
        let found = rig.events.iter().filter(|event| matches!(event, Event::ClockSetBack { .. })).count();
        assert_eq!(found, told);
    }
}

#[test]
fn what_was_announced_too_far_ahead_is_discarded_once_a_neighbour_says_so() {
    let mut rig = Rig::new();
    let (address, last) = set_back(&mut rig);
    rig.pass(secs(3));
    let neighbour = rig.link(0, 100);
    rig.pass(secs(10));
    let discarded = rig
        .events
        .iter()
        .any(|event| matches!(event, Event::OriginTimeDiscarded { address: of, .. } if *of == address));
    assert!(discarded, "{:?}", rig.events);
    let newest = rig.neighbours[neighbour].take().pop().unwrap().1.origin_time;
    assert!(newest < last && newest.ahead_of(rig.wall()) <= 0);
    assert_eq!(rig.router.clock_behind(), None);
}

#[test]
fn a_removed_address_is_taken_back() {
    let mut rig = Rig::with_neighbours(1);
    let address = add(&mut rig, 1);
    rig.pass(secs(1));
    rig.neighbours[0].take();
    rig.router.remove_local(&address, rig.now);
    rig.collect();
    let [(_, copy)] = rig.neighbours[0].take().try_into().unwrap();
    assert!(copy.peer.unwrap().latency.is_retraction());
    assert_eq!(rig.router.fib().lookup(&address, None), Lookup::NoRoute);
    rig.pass(secs(10));
    assert_eq!(rig.neighbours[0].take(), []);
}

#[test]
fn an_address_that_moves_to_us_is_local() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    rig.announce(0, &origin, rig.wall(), 5);
    assert_eq!(add(&mut rig, 1), origin.address());
    assert_eq!(rig.router.fib().lookup(&origin.address(), None), Lookup::Local);
    assert_eq!(rig.router.routes().count(), 1);
}

#[test]
fn a_link_that_goes_live_gets_every_live_route_and_local_address_at_once() {
    let mut rig = Rig::with_neighbours(1);
    let mut addresses = vec![add(&mut rig, 1)];
    rig.pass(secs(1));
    for byte in 2..=200 {
        let origin = Origin::new(byte);
        rig.announce(0, &origin, rig.wall(), 5);
        addresses.push(origin.address());
    }
    let lost = Origin::new(201);
    rig.announce(0, &lost, rig.wall(), 5);
    rig.announce(0, &lost, rig.wall(), u32::MAX);
    let new = rig.link(7, 150);
    rig.pass(millis(1));
    assert_eq!(rig.neighbours[new].take(), [], "not before it answers");
    rig.pass(millis(11));
    // Beside the lost one, which is only told of.
    let modes = rig.neighbours[new].got.iter().map(|frame| Frame::decode(frame).unwrap().header.mode);
    let announced = modes.filter(|mode| *mode != Mode::SYNC_SCOPE_REQUEST);
    assert_eq!(announced.count(), 16, "eight every ten milliseconds");
    rig.pass(millis(260));
    let mut got: Vec<Address> =
        rig.neighbours[new].take().iter().map(|(header, _)| header.sender_address()).collect();
    assert!(got.is_sorted(), "in an order that tells nothing");
    got.dedup();
    addresses.sort_unstable();
    assert_eq!(got, addresses);
    let again = rig.link(8, 100);
    rig.pass(millis(260));
    let back: Vec<Address> =
        rig.neighbours[again].take().iter().map(|(header, _)| header.sender_address()).collect();
    assert_eq!(back, [SecretKey::from_seed([1; 32]).address()], "never back to the neighbour it came from");
}
