// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a neighbour may cost us: quotas, shares, cut-offs, and full queues.

use super::*;
use crate::limits::{MAX_EVENTS, MAX_HOPS_PER_ADDRESS, MAX_HOPS_PER_NEIGHBOUR, MAX_LINKS};

fn numbered(number: u32) -> Origin {
    let mut seed = [42; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    Origin { key: SecretKey::from_seed(seed) }
}

fn bring(rig: &mut Rig, from: usize, numbers: core::ops::Range<u32>) {
    for number in numbers {
        rig.announce(from, &numbered(number), rig.wall(), 5_000);
    }
}

fn known(rig: &Rig) -> usize {
    rig.router.fib().len()
}

#[test]
fn never_seen_addresses_come_at_twenty_a_second_after_a_burst_of_a_thousand() {
    let mut rig = Rig::with_neighbours(2);
    let refused = rig.dropped(DropReason::NewAddressQuota, |rig| bring(rig, 0, 0..1_010));
    assert_eq!((refused, known(&rig)), (10, 1_000));
    let verified = rig.verified(|rig| bring(rig, 0, 2_000..2_010));
    assert_eq!(verified, 0, "the quota is asked before the signature");
    rig.pass(millis(500));
    assert_eq!(rig.dropped(DropReason::NewAddressQuota, |rig| bring(rig, 0, 3_000..3_020)), 10);
    assert_eq!(
        rig.dropped(DropReason::NewAddressQuota, |rig| bring(rig, 1, 5_000..5_001)),
        0,
        "others are free"
    );
    let pinned = numbered(9_000);
    rig.router.pin(pinned.address());
    rig.announce(0, &pinned, rig.wall(), 5_000);
    assert!(rig.hop_to(&pinned.address()).is_some(), "a pinned one counts against no quota");
}

#[test]
fn an_address_that_was_not_verified_counts_against_no_quota() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    let start = rig.wall();
    (0..1_000).for_each(|step| rig.announce(0, &origin, start + Duration::from_micros(step), 5_000));
    let refused = rig.dropped(DropReason::VerificationQuota, |rig| bring(rig, 0, 0..500));
    assert!(refused >= 480, "{refused}");
    rig.pass(secs(1));
    assert_eq!(rig.dropped(DropReason::NewAddressQuota, |rig| bring(rig, 0, 500..1_490)), 0);
}

#[test]
fn verifications_are_limited_per_neighbour() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let start = rig.wall();
    let refused = rig.dropped(DropReason::VerificationQuota, |rig| {
        (0..1_100).for_each(|step| rig.announce(0, &origin, start + Duration::from_micros(step), 5_000));
    });
    assert!(refused >= 90, "{refused}");
    rig.announce(1, &origin, start + millis(100), 5_000);
    assert!(rig.router.routes().any(|route| route.hop == rig.hop(1)), "others are free");
}

#[test]
fn a_burst_of_announcements_does_not_make_a_link_look_dead() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    for _ in 0..40 {
        let start = rig.wall();
        (0..200).for_each(|step| rig.announce(0, &origin, start + Duration::from_micros(step), 5_000));
        rig.pass(millis(100));
    }
    assert!(rig.router.drops().get(DropReason::VerificationQuota) > 0);
    assert_eq!(rig.router.links().next().unwrap().state, LinkState::Live);
}

#[test]
fn echoes_are_verified_up_to_their_own_limit() {
    let mut rig = Rig::with_neighbours(1);
    let refused = rig.dropped(DropReason::VerificationQuota, |rig| {
        for _ in 0..600 {
            let time = rig.neighbours[0].next_time();
            let echo = Echo { time, nonce: [0; 8], wall_time: time };
            let frame = rig.neighbours[0].one_hop(Mode::ECHO_REQUEST, &echo.encode());
            rig.receive(0, &frame);
        }
    });
    assert!((100..=105).contains(&refused), "{refused}");
}

#[test]
fn no_neighbour_fills_more_than_half_of_the_rib_and_a_full_one_evicts_the_newest_of_who_has_most() {
    let mut config = RouterConfig::new([9; 32], BUILD);
    config.max_addresses = 8;
    let mut rig = Rig::with(config);
    (0..3).for_each(|byte| drop(rig.link(byte, 100 + byte).to_string()));
    rig.settle_links();
    rig.router.pin(numbered(3).address());
    let refused = rig.dropped(DropReason::NeighbourShare, |rig| bring(rig, 0, 0..6));
    assert_eq!((refused, known(&rig)), (1, 5), "four and the pinned one");
    bring(&mut rig, 1, 10..13);
    assert_eq!(known(&rig), 8);
    assert_eq!(rig.dropped(DropReason::Evicted, |rig| bring(rig, 2, 20..21)), 1);
    assert!(rig.events.contains(&Event::Forgotten { address: numbered(4).address() }));
    assert!(rig.hop_to(&numbered(3).address()).is_some(), "pinned");
    assert!(rig.hop_to(&numbered(20).address()).is_some());
    assert_eq!(
        rig.dropped(DropReason::RibFull, |rig| bring(rig, 1, 13..14)),
        1,
        "its own would be the newest"
    );
    rig.router.unpin(&numbered(3).address());
    assert_eq!(rig.dropped(DropReason::Evicted, |rig| bring(rig, 2, 21..22)), 1);
    assert_eq!(rig.hop_to(&numbered(3).address()), None);
}

#[test]
fn a_forged_announcement_evicts_nobody() {
    let mut config = RouterConfig::new([9; 32], BUILD);
    config.max_addresses = 4;
    let mut rig = Rig::with(config);
    (0..3).for_each(|byte| drop(rig.link(byte, 100 + byte).to_string()));
    rig.settle_links();
    bring(&mut rig, 0, 0..2);
    bring(&mut rig, 1, 2..4);
    let mut forged = numbered(9).copy(rig.wall(), &rig.neighbours[2].key, 5);
    forged.origin_signature.0[0] ^= 1;
    rig.receive(2, &frame_of(numbered(9).address(), &forged));
    assert_eq!((rig.router.drops().get(DropReason::Evicted), known(&rig)), (0, 4));
}

#[test]
fn seventeen_bad_signatures_in_ten_seconds_cut_a_neighbour_off_for_a_minute_and_then_two() {
    let mut rig = Rig::with_neighbours(2);
    let hop = rig.hop(0).unwrap();
    let cut_off = Event::CloseLink { hop, reason: CloseReason::CutOff };
    let forge = |rig: &mut Rig, index: usize, count: u32| {
        for number in 0..count {
            let mut forged = numbered(number).bare(rig.wall());
            forged.origin_signature.0[0] ^= 1;
            rig.receive(index, &frame_of(numbered(number).address(), &forged));
        }
    };
    forge(&mut rig, 0, 16);
    assert!(!rig.events.contains(&cut_off));
    forge(&mut rig, 0, 1);
    assert!(rig.events.contains(&cut_off));
    let refused = rig.dropped(DropReason::NeighbourCutOff, |rig| {
        rig.announce(0, &Origin::new(1), rig.wall(), 5);
    });
    assert_eq!(refused, 1);
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    rig.pass(secs(58));
    let soon = rig.link(10, 100);
    let refused = Event::CloseLink { hop: rig.hop(soon).unwrap(), reason: CloseReason::CutOff };
    assert!(rig.events.contains(&refused), "a new link does not help");
    rig.pass(secs(3));
    let again = rig.link(11, 100);
    rig.pass(millis(10));
    rig.announce(again, &Origin::new(1), rig.wall(), 5);
    assert_eq!(rig.hop_to(&Origin::new(1).address()), rig.hop(again));
    forge(&mut rig, again, 17);
    rig.pass(secs(119));
    assert_eq!(rig.dropped(DropReason::NeighbourCutOff, |rig| forge(rig, again, 1)), 1);
    assert!(rig.router.links().any(|link| Some(link.hop) == rig.hop(1)), "the others stay");
}

#[test]
fn links_are_limited() {
    let mut rig = Rig::new();
    let limit = u32::try_from(MAX_LINKS).unwrap();
    let neighbour = SecretKey::from_seed([1; 32]).router_id();
    for link in 0..=limit {
        let hop = Hop { link: LinkId(link), neighbour };
        let proofs = Digest::from_bytes([0; 32]);
        rig.router.handle_link(LinkEvent::Up { hop, mtu: Mtu(1_500), proofs, dialed: true }, rig.now);
    }
    rig.collect();
    let hop = Hop { link: LinkId(limit), neighbour };
    assert_eq!(rig.router.links().count(), MAX_LINKS);
    assert!(rig.events.contains(&Event::CloseLink { hop, reason: CloseReason::TooMany }));
}

#[test]
fn hops_per_address_are_limited() {
    let mut rig = Rig::new();
    for link in 0..10 {
        rig.link(link, 100);
    }
    rig.settle_links();
    let origin = Origin::new(1);
    let time = rig.wall();
    let refused = rig.dropped(DropReason::TooManyHops, |rig| {
        (0..10).for_each(|index| rig.announce(index, &origin, time, 5_000));
    });
    assert_eq!(refused, 2);
    assert_eq!(rig.router.routes().count(), MAX_HOPS_PER_NEIGHBOUR);
}

#[test]
fn neighbours_with_many_links_do_not_keep_others_out() {
    let mut rig = Rig::new();
    for link in 0..32 {
        rig.link(link, 100 + link / 8);
    }
    let honest = rig.link(32, 120);
    rig.settle_links();
    let origin = Origin::new(1);
    let time = rig.wall();
    (0..32).for_each(|index| rig.announce(index, &origin, time, 1_000));
    assert_eq!(rig.router.routes().count(), MAX_HOPS_PER_ADDRESS);
    let in_use = rig.hop_to(&origin.address());
    assert_eq!(
        rig.dropped(DropReason::HopReplaced, |rig| rig.announce(honest, &origin, time, 1_900)),
        1,
        "though its way is longer"
    );
    assert_eq!(rig.router.routes().count(), MAX_HOPS_PER_ADDRESS);
    assert_eq!(rig.hop_to(&origin.address()), in_use);
    for index in 0..32 {
        let hop = rig.hop(index).unwrap();
        rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    }
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(honest));
}

#[test]
fn queues_that_the_driver_does_not_empty_are_limited() {
    let mut rig = Rig::with_neighbours(1);
    let hop = rig.hop(0).unwrap();
    for _ in 0..MAX_TRANSMITS + 3 {
        rig.router.send(hop, Class::Data, Vec::new());
    }
    assert_eq!(rig.router.drops().get(DropReason::TransmitQueueFull), 3);
    for _ in 0..MAX_EVENTS - 3 {
        rig.router.tell(Event::KeyUsedTwice { address: Origin::new(1).address() });
    }
    let (known, lost) = (Origin::new(2), Origin::new(3));
    for origin in [&known, &lost] {
        let frame = frame_of(origin.address(), &origin.copy(rig.wall(), &rig.neighbours[0].key, 5));
        rig.router.handle_frame(hop, &frame, rig.now.at, rig.now);
    }
    assert_eq!(
        rig.router.drops().get(DropReason::EventQueueFull),
        1,
        "that the route to the second is found"
    );
    rig.neighbours[0].answers = false;
    rig.router.handle_timeout(rig.now + secs(6));
    rig.router.transmits.clear();
    rig.collect();
    assert!(rig.events.contains(&Event::CloseLink { hop, reason: CloseReason::Silent }));
    assert_eq!(rig.events.last(), Some(&Event::Resync));
    let mut addresses = [known.address(), lost.address()];
    addresses.sort_unstable();
    assert!(rig.router.known_addresses().eq(addresses));
}
