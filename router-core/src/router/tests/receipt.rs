// SPDX-License-Identifier: AGPL-3.0-or-later
//! The rules of the wire page, "On receipt", in their order.

use super::*;

#[test]
fn a_new_announcement_is_verified_remembered_and_flooded_to_all_but_its_neighbour() {
    let mut rig = Rig::with_neighbours(3);
    let second_link = rig.link(9, 100);
    rig.settle_links();
    let origin = Origin::new(1);
    let verified = rig.verified(|rig| rig.announce(0, &origin, rig.wall(), 500));
    assert_eq!(verified, 2, "the origin's signature and the hop's");
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
    assert!(rig.events.contains(&Event::Learned { address: origin.address() }));
    assert_eq!(rig.neighbours[0].take(), []);
    assert_eq!(rig.neighbours[second_link].take(), [], "not over another link to the same neighbour either");
    for index in [1, 2] {
        let [(header, copy)] = rig.neighbours[index].take().try_into().unwrap();
        assert_eq!(header.hops_left, 59);
        let peer = copy.peer.unwrap();
        assert_eq!(peer.router, rig.router.id());
        assert_eq!(peer.latency, PathLatency(500 + 1_000), "half the round trip of 2 ms");
        assert_eq!(peer.interval, 2);
        assert_eq!(copy.available_mtu, Mtu(30_000), "the link's is the smallest");
        let signed = copy.hop_signed_bytes(&origin.address(), &peer.router, peer.latency, peer.interval);
        assert!(Ed25519Verifier.verify(rig.router.id().as_bytes(), &signed, &peer.signature));
    }
}

#[test]
fn announcements_in_the_form_of_0_6_or_with_options_are_refused() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    let mut payload = origin.bare(rig.wall()).encode();
    payload[0] = 1;
    let header = Header::new(Mode::ANNOUNCEMENT, *origin.address().as_bytes());
    let old = Frame { header, payload: &payload }.encode();
    assert_eq!(rig.dropped(DropReason::AnnouncementVersion1, |rig| rig.receive(0, &old)), 1);
    let mut carrier = old.clone();
    carrier[0] = 1;
    assert_eq!(rig.dropped(DropReason::CarrierVersion1, |rig| rig.receive(0, &carrier)), 1);
    let header = Header { auxiliary: Some([0; 64]), ..header };
    let options = Frame { header, payload: &origin.bare(rig.wall()).encode() }.encode();
    assert_eq!(rig.dropped(DropReason::AnnouncementForm, |rig| rig.receive(0, &options)), 1);
    let cut = Frame { header: Header { auxiliary: None, ..header }, payload: &[2, 0] }.encode();
    assert_eq!(rig.dropped(DropReason::MalformedPayload, |rig| rig.receive(0, &cut)), 1);
}

#[test]
fn a_link_without_an_echo_reply_brings_no_routes() {
    let mut rig = Rig::new();
    let index = rig.link(0, 100);
    let origin = Origin::new(1);
    assert_eq!(rig.dropped(DropReason::LinkStarting, |rig| rig.announce(index, &origin, rig.wall(), 1)), 1);
    assert_eq!(rig.hop_to(&origin.address()), None);
}

#[test]
fn our_own_addresses_are_dropped_and_a_key_used_twice_is_told_about() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    let address = origin.address();
    rig.router.add_local(Arc::new(SecretKey::from_seed([1; 32])), WallTime::default(), rig.now);
    rig.pass(secs(3));
    let own = rig.neighbours[0].take().pop().unwrap().1;
    let back = sign_peer(address, own, &rig.neighbours[0].key, 900, 2);
    let count = rig.dropped(DropReason::OwnAnnouncement, |rig| rig.receive(0, &frame_of(address, &back)));
    assert_eq!(count, 1);
    assert!(!rig.events.contains(&Event::KeyUsedTwice { address }), "it only came back");
    let mut forged = origin.bare(rig.wall() + secs(1));
    forged.origin_signature.0[5] ^= 1;
    assert_eq!(rig.dropped(DropReason::BadSignature, |rig| rig.receive(0, &frame_of(address, &forged))), 1);
    assert!(!rig.events.contains(&Event::KeyUsedTwice { address }), "anybody can say so");
    rig.announce(0, &origin, rig.wall() + secs(1), 3);
    rig.announce(0, &origin, rig.wall() + secs(2), 3);
    let told = rig.events.iter().filter(|event| **event == Event::KeyUsedTwice { address }).count();
    assert_eq!(told, 1, "once a minute");
    assert_eq!(rig.router.fib().lookup(&address, None), Lookup::Local);
}

#[test]
fn a_forged_announcement_is_refused_and_costs_its_neighbour() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let mut forged = origin.copy(rig.wall(), &rig.neighbours[0].key, 5);
    forged.origin_signature.0[63] ^= 1;
    let frame = frame_of(origin.address(), &forged);
    assert_eq!(rig.dropped(DropReason::BadSignature, |rig| rig.receive(0, &frame)), 1);
    assert_eq!(rig.hop_to(&origin.address()), None);
    assert_eq!(rig.neighbours[1].take(), []);
    assert!(rig.router.routes().next().is_none());
}

#[test]
fn a_copy_with_another_signature_drops_without_a_look() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 500);
    let mut other = origin.copy(time, &rig.neighbours[1].key, 5);
    other.origin_signature.0[0] ^= 1;
    let frame = frame_of(origin.address(), &other);
    let verified = rig.verified(|rig| {
        assert_eq!(rig.dropped(DropReason::OriginSignatureDiffers, |rig| rig.receive(1, &frame)), 1);
    });
    assert_eq!(verified, 0);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
}

#[test]
fn older_and_unknown_old_announcements_drop() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let start = rig.wall();
    for step in 0..20 {
        rig.announce(0, &origin, start + millis(step * 10), 500);
    }
    for time in [start, start + millis(30), start + millis(155)] {
        let dropped = rig.dropped(DropReason::AnnouncementStale, |rig| rig.announce(1, &origin, time, 5));
        assert_eq!(dropped, 1, "left the sixteen, or never was among them");
    }
    assert_eq!(
        rig.dropped(DropReason::AnnouncementStale, |rig| rig.announce(1, &origin, start + millis(50), 5)),
        0
    );
}

#[test]
fn a_replayed_announcement_changes_nothing_and_costs_no_verification() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let frame = frame_of(origin.address(), &origin.copy(rig.wall(), &rig.neighbours[0].key, 500));
    rig.receive(0, &frame);
    rig.neighbours[1].take();
    rig.pass(secs(5));
    let verified = rig.verified(|rig| {
        let dropped = rig.dropped(DropReason::AnnouncementRepeated, |rig| {
            (0..1_000).for_each(|_| rig.receive(0, &frame));
        });
        assert_eq!(dropped, 1_000);
    });
    assert_eq!(verified, 0);
    assert_eq!(rig.neighbours[1].take(), []);
}

#[test]
fn an_announcement_from_another_time_is_refused() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    let wall = rig.wall();
    for (off, refused) in [(301, 1), (299, 0)] {
        let ahead = rig.dropped(DropReason::ClockWindow, |rig| rig.announce(0, &origin, wall + secs(off), 5));
        assert_eq!(ahead, refused, "{off} s ahead");
    }
    let other = Origin::new(2);
    for (off, refused) in [(-301_000_000, 1), (-299_000_000, 0)] {
        let time = wall.shifted(off);
        assert_eq!(
            rig.dropped(DropReason::ClockWindow, |rig| rig.announce(0, &other, time, 5)),
            refused,
            "{off} µs"
        );
    }
}

#[test]
fn a_router_whose_clock_is_in_1970_takes_its_neighbours_time() {
    let now = Now { at: Timestamp::from_micros(7_000_000), wall: WallTime::from_micros(9_000_000) };
    let mut rig = Rig::at(RouterConfig::new([9; 32], BUILD), now);
    let right = BUILD + secs(5_000);
    let index = rig.link(0, 100);
    rig.neighbours[index].clock_off = right.ahead_of(now.wall);
    rig.settle_links();
    assert!(rig.router.clock_correction().abs_diff(right.ahead_of(now.wall)) < 1_000_000);
    let origin = Origin::new(1);
    assert_eq!(rig.dropped(DropReason::ClockWindow, |rig| rig.announce(index, &origin, right, 5)), 0);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(index));
    let old = Origin::new(2);
    let raw = rig.wall();
    assert_eq!(rig.dropped(DropReason::ClockWindow, |rig| rig.announce(index, &old, raw, 5)), 1);
    rig.router.add_local(Arc::new(SecretKey::from_seed([1; 32])), WallTime::default(), rig.now);
    rig.pass(secs(1));
    let told = rig.neighbours[index].take().pop().unwrap().1.origin_time;
    assert!(told.ahead_of(right).abs() < 3_000_000);
}

#[test]
fn where_no_clock_has_a_vote_every_time_is_taken() {
    let now = Now { at: Timestamp::from_micros(7_000_000), wall: WallTime::from_micros(9_000_000) };
    let mut rig = Rig::at(RouterConfig::new([9; 32], BUILD), now);
    let index = rig.link(0, 100);
    rig.settle_links();
    let origin = Origin::new(1);
    rig.announce(index, &origin, WallTime::from_micros(99_000_000_000), 5);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(index));
}

#[test]
fn a_peer_part_of_somebody_else_or_with_a_bad_signature_does_not_count() {
    for bad_signature in [false, true] {
        let mut rig = Rig::with_neighbours(3);
        let origin = Origin::new(1);
        let time = rig.wall();
        let mut copy = origin.copy(time, &rig.neighbours[usize::from(!bad_signature)].key, 5);
        if bad_signature {
            copy.peer.as_mut().unwrap().signature.0[9] ^= 1;
        }
        let frame = frame_of(origin.address(), &copy);
        let bad = rig.dropped(DropReason::BadSignature, |rig| rig.receive(0, &frame));
        assert_eq!(bad, u64::from(bad_signature));
        assert_eq!(rig.hop_to(&origin.address()), rig.hop(0), "feasible on the hop of the first copy");
        let [(_, flooded)] = rig.neighbours[1].take().try_into().unwrap();
        assert_eq!(flooded.peer, None, "flooded without one");
        let other = frame_of(origin.address(), &origin.bare(time));
        assert_eq!(rig.dropped(DropReason::CopyWithoutPeer, |rig| rig.receive(1, &other)), 1);
        rig.announce(2, &origin, time, 90_000);
        assert_eq!(rig.router.fib().lookup(&origin.address(), rig.hop(0).map(|hop| hop.neighbour)), {
            let via = crate::Via { hop: rig.hop(2).unwrap(), mtu: Mtu(30_000) };
            Lookup::Via(via)
        });
    }
}

#[test]
fn a_route_without_a_peer_part_ranks_after_one_with() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.receive(0, &frame_of(origin.address(), &origin.bare(time)));
    for step in 0..4 {
        rig.announce(1, &origin, time + millis(step), 90_000);
        rig.pass(secs(2));
    }
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
}

#[test]
fn a_replayed_peer_part_of_another_announcement_does_not_hold() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    let near = origin.copy(time, &rig.neighbours[0].key, 5);
    rig.receive(0, &frame_of(origin.address(), &near));
    let replayed = Announcement { peer: near.peer, ..origin.bare(time + millis(1)) };
    let frame = frame_of(origin.address(), &replayed);
    assert_eq!(rig.dropped(DropReason::BadSignature, |rig| rig.receive(0, &frame)), 1);
}

/// Hop 0 is in use; hop 1 was verified 2 s ago and has been as quick as hop 0 once.
fn two_hops() -> (Rig, Origin, WallTime) {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    rig.announce(1, &origin, rig.wall(), 1_000);
    rig.pass(secs(2));
    let time = rig.wall();
    rig.announce(0, &origin, time, 1_000);
    rig.announce(1, &origin, time, 1_900);
    rig.pass(secs(2));
    let time = rig.wall();
    rig.announce(0, &origin, time, 1_500);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
    (rig, origin, time)
}

#[test]
fn a_copy_that_would_not_win_is_not_verified() {
    let (mut rig, origin, time) = two_hops();
    let verified = rig.verified(|rig| {
        assert_eq!(rig.dropped(DropReason::CopyNotNeeded, |rig| rig.announce(1, &origin, time, 2_400)), 1);
    });
    assert_eq!(verified, 0);
}

#[test]
fn a_copy_is_verified_if_it_would_win_or_is_old_or_new_or_in_use() {
    let (mut rig, origin, time) = two_hops();
    assert_eq!(rig.verified(|rig| rig.announce(0, &origin, time, 1_400)), 1, "the hop in use");
    assert_eq!(rig.verified(|rig| rig.announce(1, &origin, time, 400)), 1, "it would win");
    assert_eq!(rig.verified(|rig| rig.announce(2, &origin, time, 2_400)), 1, "never verified before");
    rig.pass(secs(5));
    assert_eq!(rig.verified(|rig| rig.announce(2, &origin, time, 2_450)), 1, "verified over 4 s ago");
}

#[test]
fn an_unverified_copy_changes_nothing() {
    let (mut rig, origin, time) = two_hops();
    let routes = |rig: &Rig| rig.router.routes().map(|route| format!("{route:?}")).collect::<Vec<_>>();
    let before = routes(&rig);
    for (latency, reason) in [(2_400, DropReason::CopyNotNeeded), (400, DropReason::BadSignature)] {
        let mut copy = origin.copy(time, &rig.neighbours[1].key, latency);
        copy.peer.as_mut().unwrap().signature.0[0] ^= 1;
        let frame = frame_of(origin.address(), &copy);
        assert_eq!(rig.dropped(reason, |rig| rig.receive(1, &frame)), 1);
        assert_eq!(routes(&rig), before);
    }
}

#[test]
fn an_address_is_flooded_at_most_once_a_second_but_what_would_have_been_flooded_counts() {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    let limited =
        rig.dropped(DropReason::FloodInterval, |rig| rig.announce(0, &origin, time + millis(1), 500));
    assert_eq!(limited, 1);
    assert_eq!(rig.neighbours[1].take().len(), 1);
    let infeasible =
        rig.dropped(DropReason::Infeasible, |rig| rig.announce(2, &origin, time + millis(1), 1_500));
    assert_eq!(infeasible, 1, "500 and half of 2 ms is not above 1500");
    rig.announce(0, &origin, time + millis(2), 700);
    rig.pass(secs(1));
    let [(_, made_up)] = rig.neighbours[1].take().try_into().unwrap();
    assert_eq!(made_up.origin_time, time + millis(2), "the newest, once, when the second is over");
    rig.pass(secs(1));
    rig.announce(0, &origin, time + millis(3), 500);
    assert_eq!(rig.neighbours[1].take().len(), 1);
    rig.announce(0, &origin, time + millis(4), 500);
    rig.announce(0, &origin, time + millis(4), u32::MAX);
    rig.neighbours[1].take();
    rig.pass(secs(1));
    assert_eq!(rig.neighbours[1].take(), [], "nothing of a route that was taken back meanwhile");
}

#[test]
fn a_route_that_nobody_was_told_of_is_not_taken_back() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(0, &origin, time, u32::MAX);
    assert_eq!(rig.neighbours[0].take(), [], "the only neighbour has it from itself");
}

#[test]
fn announcements_end_at_the_hop_limit() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let copy = origin.copy(rig.wall(), &rig.neighbours[0].key, 5);
    let mut frame = frame_of(origin.address(), &copy);
    ratman_wire::carrier::set_hops_left(&mut frame, 0);
    assert_eq!(rig.dropped(DropReason::HopLimit, |rig| rig.receive(0, &frame)), 1);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0), "we may use it");
    assert_eq!(rig.neighbours[1].take(), []);
}

#[test]
fn a_copy_that_was_held_back_makes_no_route_live() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let start = rig.wall();
    rig.announce(0, &origin, start, 5);
    rig.pass(secs(60));
    assert_eq!(rig.hop_to(&origin.address()), None);
    rig.neighbours[1].take();
    let held = rig.dropped(DropReason::HeldBack, |rig| rig.announce(0, &origin, start + secs(29), 5));
    assert_eq!(held, 1, "31 s late");
    assert_eq!(rig.hop_to(&origin.address()), None);
    assert_eq!(rig.neighbours[1].take(), [], "we claim no route that we do not have");
    assert_eq!(rig.dropped(DropReason::HeldBack, |rig| rig.announce(0, &origin, start + secs(31), 5)), 0);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
}

#[test]
fn frames_over_unknown_hops_and_in_foreign_modes_are_counted() {
    let mut rig = Rig::with_neighbours(1);
    let frame = |mode: u16| Frame { header: Header::new(Mode(mode), [0; 32]), payload: &[] }.encode();
    for (mode, reason) in [
        (5, DropReason::UnknownMode),
        (35, DropReason::PeeringMode),
        (128, DropReason::ModeNotServed),
        (67, DropReason::ModeNotServed),
        (0x8003, DropReason::ModeNotServed),
    ] {
        assert_eq!(rig.dropped(reason, |rig| rig.receive(0, &frame(mode))), 1, "mode {mode}");
    }
    assert_eq!(rig.dropped(DropReason::MalformedFrame, |rig| rig.receive(0, &[2, 0])), 1);
    let nowhere = Hop { link: LinkId(77), ..rig.hop(0).unwrap() };
    let lost = rig.dropped(DropReason::UnknownHop, |rig| {
        rig.router.handle_frame(nowhere, &frame(4), rig.now.at, rig.now);
    });
    assert_eq!(lost, 1);
}
