// SPDX-License-Identifier: AGPL-3.0-or-later
//! Feasibility, liveness, retraction, and what links do to routes.

use std::collections::BTreeSet;

use super::*;
use crate::LinkCost;

fn retractions(neighbour: &mut Neighbour) -> usize {
    neighbour
        .take()
        .iter()
        .filter(|(_, copy)| copy.peer.is_some_and(|peer| peer.latency.is_retraction()))
        .count()
}

#[test]
fn a_route_is_feasible_only_strictly_below_what_we_flooded() {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    assert_eq!(rig.dropped(DropReason::Infeasible, |rig| rig.announce(1, &origin, time, 6_000)), 1);
    assert_eq!(rig.dropped(DropReason::Infeasible, |rig| rig.announce(2, &origin, time, 5_999)), 0);
    let not_back = rig.hop(0).map(|hop| hop.neighbour);
    let Lookup::Via(via) = rig.router.fib().lookup(&origin.address(), not_back) else { panic!() };
    assert_eq!(Some(via.hop), rig.hop(2));
}

#[test]
fn a_route_says_how_many_hops_it_may_have() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    rig.announce(0, &origin, rig.wall(), 5_000);
    let hops = |rig: &Rig| -> Vec<u8> {
        let of_it = rig.router.routes().filter(|route| route.address == origin.address());
        of_it.map(|route| route.hops).collect()
    };
    assert_eq!(hops(&rig), [5], "it may have begun with 64, and came with 60");
}

#[test]
fn a_hop_in_use_that_becomes_infeasible_is_left_at_once() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    rig.announce(0, &origin, rig.wall(), 5_000);
    rig.pass(secs(2));
    let time = rig.wall();
    rig.announce(1, &origin, time, 5_000);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0), "as good is not better");
    rig.announce(0, &origin, time, 9_000);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
}

#[test]
fn an_entry_whose_origin_time_left_the_sixteen_is_infeasible() {
    for (newer, usable) in [(15, true), (16, false)] {
        let mut rig = Rig::with_neighbours(2);
        let origin = Origin::new(1);
        let time = rig.wall();
        rig.announce(0, &origin, time, 5_000);
        rig.announce(1, &origin, time, 5_500);
        for step in 1..=newer {
            rig.announce(0, &origin, time + millis(step), 5_000);
        }
        let hop = rig.neighbours[0].hop;
        rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
        assert_eq!(rig.hop_to(&origin.address()), rig.hop(1).filter(|_| usable), "{newer} newer ones");
    }
}

#[test]
fn an_entry_behind_by_two_announcements_is_used_only_while_there_is_no_other() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    let not_back = rig.hop(0).map(|hop| hop.neighbour);
    rig.announce(0, &origin, time + millis(1), 5_000);
    assert!(matches!(rig.router.fib().lookup(&origin.address(), not_back), Lookup::Via(_)));
    rig.announce(0, &origin, time + millis(2), 5_000);
    assert_eq!(rig.router.fib().lookup(&origin.address(), not_back), Lookup::OnlyWayBack);
    let hop = rig.neighbours[0].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
}

#[test]
fn a_route_dies_after_thirty_seconds_and_its_address_is_forgotten_after_ten_minutes() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    rig.announce(0, &origin, rig.wall(), 5_000);
    rig.neighbours[1].take();
    rig.pass(millis(29_900));
    assert_eq!(
        rig.hop_to(&origin.address()),
        rig.hop(0),
        "older than 3.5 intervals, but there is no fresher one"
    );
    rig.pass(millis(200));
    assert_eq!(rig.hop_to(&origin.address()), None);
    assert_eq!(retractions(&mut rig.neighbours[0]), 1, "to all hops");
    assert_eq!(retractions(&mut rig.neighbours[1]), 1);
    rig.pass(secs(568));
    assert!(!rig.events.contains(&Event::Forgotten { address: origin.address() }));
    rig.pass(secs(3));
    assert!(rig.events.contains(&Event::Forgotten { address: origin.address() }));
    assert!(rig.router.rib.get(&origin.address()).is_none());
    assert!(rig.router.timers.next().is_none_or(|(_, timer)| timer != Timer::Route(origin.address())));
}

#[test]
fn a_long_interval_keeps_a_route_live_longer() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let copy = sign_peer(origin.address(), origin.bare(rig.wall()), &rig.neighbours[0].key, 5_000, 20);
    rig.receive(0, &frame_of(origin.address(), &copy));
    let told = rig.neighbours[1].take().pop().unwrap().1.peer.unwrap().interval;
    assert_eq!(told, 20, "the largest on the way");
    rig.pass(secs(69));
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
    rig.pass(secs(2));
    assert_eq!(rig.hop_to(&origin.address()), None);
}

#[test]
fn nobody_keeps_an_address_live_for_hours_by_a_long_interval() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let copy = sign_peer(origin.address(), origin.bare(rig.wall()), &rig.neighbours[0].key, 5_000, u16::MAX);
    rig.receive(0, &frame_of(origin.address(), &copy));
    let told = rig.neighbours[1].take().pop().unwrap().1.peer.unwrap().interval;
    assert_eq!(told, 170, "what we believe is what we tell");
    rig.pass(secs(594));
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
    rig.pass(secs(2));
    assert_eq!(rig.hop_to(&origin.address()), None);
}

#[test]
fn an_old_entry_is_used_only_while_there_is_no_fresh_one() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    rig.announce(0, &origin, rig.wall(), 5_000);
    rig.pass(secs(8));
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
    rig.announce(1, &origin, rig.wall(), 50_000);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1), "much longer, but fresh");
}

#[test]
fn a_verified_retraction_removes_the_hop_at_once_and_goes_on_when_it_was_the_last() {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    rig.neighbours[2].take();
    let mut forged = origin.copy(time, &rig.neighbours[0].key, u32::MAX);
    forged.peer.as_mut().unwrap().signature.0[0] ^= 1;
    let frame = frame_of(origin.address(), &forged);
    assert_eq!(rig.dropped(DropReason::BadSignature, |rig| rig.receive(0, &frame)), 1);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
    rig.announce(0, &origin, time, u32::MAX);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
    assert_eq!(retractions(&mut rig.neighbours[2]), 0);
    rig.neighbours[1].take();
    rig.announce(1, &origin, time, u32::MAX);
    assert_eq!(rig.hop_to(&origin.address()), None);
    for neighbour in &mut rig.neighbours {
        assert_eq!(retractions(neighbour), 1);
    }
    let again = rig.dropped(DropReason::NothingToRetract, |rig| rig.announce(1, &origin, time, u32::MAX));
    assert_eq!(again, 1);
}

#[test]
fn the_neighbour_that_we_move_to_is_told_that_it_cannot_route_over_us() {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    assert_eq!(retractions(&mut rig.neighbours[0]), 0, "the first route is no move");
    rig.neighbours[1].take();
    rig.neighbours[2].take();
    rig.announce(0, &origin, time, u32::MAX);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
    assert_eq!([0, 1, 2].map(|index| retractions(&mut rig.neighbours[index])), [0, 1, 0]);
}

#[test]
fn a_retraction_never_counts_as_a_first_copy() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    let unknown = rig.dropped(DropReason::NothingToRetract, |rig| rig.announce(0, &origin, time, u32::MAX));
    assert_eq!(unknown, 1);
    assert!(rig.router.rib.get(&origin.address()).is_none());
    rig.announce(0, &origin, time, 5_000);
    rig.neighbours[1].take();
    rig.announce(0, &origin, time + millis(5), u32::MAX);
    assert_eq!(rig.hop_to(&origin.address()), None, "its entry is gone");
    rig.pass(secs(1));
    rig.neighbours[1].take();
    rig.announce(1, &origin, time + millis(5), 700);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1), "this is the first copy");
}

#[test]
fn a_route_that_comes_and_goes_is_taken_back_no_more_often_than_it_is_flooded() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    for step in 0..50 {
        rig.announce(0, &origin, time + millis(step), 5_000);
        rig.announce(0, &origin, time + millis(step), u32::MAX);
    }
    assert_eq!(rig.neighbours[1].take().len(), 2, "flooded once and taken back once");
}

#[test]
fn an_old_retraction_does_not_take_a_newer_route_back() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    let old = origin.copy(time, &rig.neighbours[0].key, u32::MAX);
    rig.announce(0, &origin, time + millis(1), 5_000);
    let frame = frame_of(origin.address(), &old);
    assert_eq!(rig.dropped(DropReason::NothingToRetract, |rig| rig.receive(0, &frame)), 1);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
}

#[test]
fn a_link_that_goes_down_takes_its_routes_along_at_once() {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    let hop = rig.hop(0).unwrap();
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
    let hop = rig.hop(1).unwrap();
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    rig.collect();
    assert_eq!(rig.hop_to(&origin.address()), None);
    assert_eq!(retractions(&mut rig.neighbours[2]), 1);
    assert_eq!(rig.router.links().count(), 1);
}

#[test]
fn a_stalled_link_is_left_at_once_and_comes_back_with_its_routes() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    rig.pass(secs(2));
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    rig.neighbours[0].answers = false;
    rig.pass(millis(2_600));
    assert_eq!(rig.router.links().next().unwrap().state, LinkState::Stalled);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
    rig.neighbours[0].answers = true;
    rig.pass(millis(1_700));
    assert_eq!(rig.router.links().next().unwrap().state, LinkState::Live);
    let usable: Vec<bool> = rig.router.routes().map(|route| route.usable).collect();
    assert_eq!(usable, [true, true]);
}

#[test]
fn a_link_that_is_to_be_closed_is_left_before_the_netmod_says_that_it_is_down() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    for number in 0..17 {
        let mut forged = Origin::new(50 + number).bare(time);
        forged.origin_signature.0[0] ^= 1;
        rig.receive(0, &frame_of(Origin::new(50 + number).address(), &forged));
    }
    let hop = rig.hop(0).unwrap();
    assert!(rig.events.contains(&Event::CloseLink { hop, reason: CloseReason::CutOff }));
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
    rig.pass(secs(1));
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1), "whatever it still answers");
}

#[test]
fn a_link_with_acknowledged_bytes_but_no_frames_is_left_when_it_is_to_be_closed() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    rig.announce(0, &origin, rig.wall(), 5_000);
    rig.neighbours[0].answers = false;
    let hop = rig.hop(0).unwrap();
    for step in 1..=60 {
        let activity =
            LinkEvent::Activity { hop, sent_bytes: 9, received_frames: 5, acked_bytes: Some(step) };
        rig.router.handle_link(activity, rig.now);
        rig.pass(millis(100));
    }
    assert!(rig.events.contains(&Event::CloseLink { hop, reason: CloseReason::Silent }));
    assert_eq!(rig.hop_to(&origin.address()), None);
}

#[test]
fn the_mtu_of_a_way_is_that_of_its_narrowest_link() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    rig.announce(0, &origin, rig.wall(), 5_000);
    let mtu = |rig: &Rig| {
        let Lookup::Via(via) = rig.router.fib().lookup(&origin.address(), None) else { panic!() };
        via.mtu
    };
    assert_eq!(mtu(&rig), Mtu(30_000));
    let hop = rig.hop(0).unwrap();
    rig.router.handle_link(LinkEvent::Mtu { hop, mtu: Mtu(1_280) }, rig.now);
    assert_eq!(mtu(&rig), Mtu(1_280));
    rig.collect();
    assert!(rig.events.ends_with(&[Event::FibChanged, Event::Neighbours]), "{:?}", rig.events);
}

#[test]
fn a_neighbour_that_claims_too_little_is_found_out() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    for _ in 0..6 {
        let time = rig.wall();
        rig.announce(0, &origin, time, 1_000);
        rig.pass(millis(20));
        rig.announce(1, &origin, time, 0);
        rig.pass(millis(1_980));
    }
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0), "its copies come 20 ms later");
}

#[test]
fn a_better_route_takes_over_after_three_wins_and_four_seconds() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    rig.announce(0, &origin, rig.wall(), 1_300);
    let mut switched = None;
    for round in 0..5 {
        rig.pass(secs(2));
        let time = rig.wall();
        rig.announce(1, &origin, time, 1_000);
        rig.announce(0, &origin, time, 1_300);
        if rig.hop_to(&origin.address()) == rig.hop(1) {
            switched.get_or_insert(round);
        }
    }
    assert_eq!(switched, Some(2));
    let changes = rig.events.iter().filter(|event| matches!(event, Event::RouteChanged { .. })).count();
    assert_eq!(changes, 2, "found, and changed once");
}

#[test]
fn status_tells_what_was_chosen_and_why() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    rig.router.add_local(Arc::new(SecretKey::from_seed([8; 32])), WallTime::default(), rig.now);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    let routes: Vec<_> = rig.router.routes().collect();
    assert_eq!(routes.len(), 3);
    assert_eq!((routes[0].hop, routes[0].reason.as_str()), (None, "local"));
    assert!(routes[1].selected && routes[1].usable);
    assert_eq!(routes[1].ping, Some(Duration::from_micros(2 * (5_000 + 1_000))));
    assert!(routes[1].reason.contains("ping"), "{}", routes[1].reason);
    assert!(!routes[2].selected && routes[2].usable && routes[2].reason.is_empty());
    let links: Vec<_> = rig.router.links().collect();
    assert_eq!(links.len(), 2);
    assert_eq!((links[0].state, links[0].mtu), (LinkState::Live, Mtu(30_000)));
    let latency = links[0].latency.unwrap();
    assert_eq!((latency.value, latency.source), (RTT, SampleSource::Echo));
    assert_eq!(links[0].capacity, None);
    assert!(links[0].clock_offset.unwrap().abs() < 2_000);
}

#[test]
fn each_neighbour_that_answers_is_told_with_the_best_of_its_links() {
    let mut rig = Rig::with_neighbours(2);
    let live = |rig: &Rig| rig.router.live_neighbours().iter().map(|via| via.hop).collect::<BTreeSet<_>>();
    let hops = [0, 1].map(|index| rig.neighbours[index].hop);
    assert_eq!(live(&rig), BTreeSet::from(hops));
    let starting = rig.link(7, 107);
    assert_eq!(live(&rig), BTreeSet::from(hops), "nothing was heard of it yet");
    rig.settle_links();
    let third = rig.neighbours[starting].hop;
    let second_link = rig.link(8, 107);
    rig.settle_links();
    rig.events.clear();
    let cost = LinkCost::new(millis(50)).unwrap();
    rig.router.handle_link(LinkEvent::Cost { hop: third, cost }, rig.now);
    rig.collect();
    assert!(rig.events.contains(&Event::Neighbours));
    assert_eq!(live(&rig), BTreeSet::from([hops[0], hops[1], rig.neighbours[second_link].hop]));
    rig.events.clear();
    rig.router.handle_link(LinkEvent::Down { hop: hops[0] }, rig.now);
    rig.collect();
    assert!(rig.events.contains(&Event::Neighbours));
    assert_eq!(live(&rig), BTreeSet::from([hops[1], rig.neighbours[second_link].hop]));
}
