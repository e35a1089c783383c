// SPDX-License-Identifier: AGPL-3.0-or-later
//! Neighbours in wrong hands, and how little they achieve.

use core::time::Duration;

use ratman_sim::adversary::{Flooder, Forger, HoldBack, Liar, Replayer, TimeLiar};
use ratman_sim::{CableId, Fate, Medium, Network, NodeId, Random, Setup, Signatures, topology};
use router_core::{CloseReason, DropReason, Event};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn small(nodes: usize, edges: &[(usize, usize)], delays: &[u64]) -> Network {
    let mut delays = delays.iter().cycle();
    Network::laid_out(11, Signatures::StandIn, nodes, edges, |_| {
        Medium::with_delay(millis(*delays.next().expect("a cycle has no end")))
    })
}

fn drops(network: &Network, node: usize, reason: DropReason) -> u64 {
    network.router(NodeId(node)).drops().get(reason)
}

/// The ping that a router estimates for an address over a neighbour.
fn ping(network: &Network, node: usize, to: usize, over: usize) -> Option<Duration> {
    let (to, over) = (network.address(NodeId(to)), network.router_id(NodeId(over)));
    let routes = network.router(NodeId(node)).routes();
    routes
        .filter(|route| route.address == to && route.hop.is_some_and(|hop| hop.neighbour == over))
        .find_map(|route| route.ping)
}

#[test]
fn a_liar_draws_no_traffic_that_another_way_carries_faster() {
    // 0 ── 5 ms ── 1 ── 5 ms ── 2
    // └─ 5 ms ─ 3 (liar) ─ 20 ms ─ 4 ─ 20 ms ─┘
    let mut network = small(5, &[(0, 1), (1, 2), (0, 3), (3, 4), (4, 2)], &[5, 5, 5, 20, 20]);
    network.corrupt(NodeId(3), Box::new(Liar));
    network.run_for(secs(6));
    let target = network.address(NodeId(2));
    for _ in 0..300 {
        assert_eq!(network.next_hop(NodeId(0), &target), Some(NodeId(1)));
        network.run_for(millis(100));
    }
    let honest = ping(&network, 0, 2, 1).expect("the honest way is known");
    assert!((millis(19)..millis(23)).contains(&honest), "{honest:?}");
    let lied = ping(&network, 0, 2, 3).expect("the liar's way is known");
    // It has the announcement from 0 itself and says it back: 10 ms behind what it claims.
    assert!((millis(39)..millis(43)).contains(&lied), "{lied:?}");
    assert_eq!(network.undelivered(), []);
}

#[test]
fn liars_in_a_mesh_make_no_loops() {
    let edges = topology::random_of_degree_four(30, &mut Random::new(30));
    let mut network = Network::laid_out(30, Signatures::StandIn, 30, &edges, |random| {
        Medium::with_delay(millis(1) + random.duration(millis(20)))
    });
    for node in [3, 9, 27] {
        network.corrupt(NodeId(node), Box::new(Liar));
    }
    network.run_for(secs(4));
    for _ in 0..40 {
        network.run_for(millis(500));
        assert_eq!(network.undelivered(), []);
    }
}

#[test]
fn a_flood_of_new_addresses_fills_its_share_and_no_more() {
    const MAX_ADDRESSES: usize = 3_000;
    // 0 (flooder) ── 1 ── 2 ── 3
    let mut network = Network::new(12, Signatures::StandIn);
    for _ in 0..4 {
        let node = network.add_router(Setup { max_addresses: MAX_ADDRESSES, ..Setup::default() });
        network.add_address(node);
    }
    for (a, b) in topology::line(4) {
        network.connect(NodeId(a), NodeId(b), Medium::with_delay(millis(2)));
    }
    network.run_for(secs(4));
    assert_eq!(network.undelivered(), []);
    // 1 000 new addresses a second.
    network.corrupt(NodeId(0), Box::new(Flooder::new(100, Signatures::StandIn, Random::new(1))));
    network.run_for(secs(10));
    let known = network.router(NodeId(1)).fib().len();
    assert!((1_000..=1_000 + 20 * 14 + 4).contains(&known), "burst 1 000, then 20 a second: {known}");
    assert!(drops(&network, 1, DropReason::NewAddressQuota) > 8_000);
    let late = network.add_address(NodeId(3));
    network.run_for(secs(50));
    let known = network.router(NodeId(1)).fib().len();
    assert!(known <= MAX_ADDRESSES / 2 + 5, "half the table: {known}");
    assert_eq!(network.undelivered(), [], "honest addresses stay");
    assert_eq!(network.walk(NodeId(1), &late).fate, Fate::Delivered, "and come in from others");
}

#[test]
fn a_replaying_neighbour_changes_nothing() {
    // A ring of six, one of them repeats everything.
    let edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)];
    let mut network = small(6, &edges, &[10, 11, 12, 13, 14, 15]);
    network.run_for(secs(40));
    network.corrupt(NodeId(2), Box::new(Replayer::default()));
    for node in network.nodes() {
        network.watch(node);
    }
    network.run_for(secs(40));
    assert_eq!(network.undelivered(), []);
    for node in network.nodes() {
        let changes: Vec<Event> = network.take_events(node);
        let moved =
            changes.iter().filter(|e| matches!(e, Event::RouteChanged { .. } | Event::CloseLink { .. }));
        assert_eq!(moved.count(), 0, "{node:?}: {changes:?}");
    }
    for neighbour in [1, 3] {
        assert!(drops(&network, neighbour, DropReason::StaleOneHop) > 100, "echoes again");
        assert_eq!(drops(&network, neighbour, DropReason::BadSignature), 0);
        let repeated = drops(&network, neighbour, DropReason::AnnouncementRepeated);
        assert!(repeated > 1_000, "announcements again: {repeated}");
    }
    // Nobody hands a repeated announcement on: the far side of the ring hears none.
    assert_eq!(drops(&network, 5, DropReason::AnnouncementStale), 0);
}

#[test]
fn announcements_held_back_do_not_keep_a_dead_route_alive() {
    // 0 ── 1 (holds back for 40 s, after 30 s) ── 2
    let mut network = small(3, &topology::line(3), &[5]);
    let victim = network.address(NodeId(2));
    network.corrupt(NodeId(1), Box::new(HoldBack::new(victim, secs(30), secs(40))));
    network.run_for(secs(29));
    assert_eq!(network.walk(NodeId(0), &victim).fate, Fate::Delivered);
    network.run_for(secs(35));
    let no_route = Fate::Dropped { by: NodeId(0), reason: DropReason::NoRoute };
    assert_eq!(network.walk(NodeId(0), &victim).fate, no_route, "nothing for 30 s");
    network.run_for(secs(4));
    network.pull(CableId(1));
    for _ in 0..40 {
        network.run_for(secs(1));
        assert_eq!(network.walk(NodeId(0), &victim).fate, no_route, "after {:?}", network.elapsed());
    }
    assert!(drops(&network, 0, DropReason::HeldBack) >= 10, "they came, and were late");
}

#[test]
fn a_leaf_whose_neighbour_lies_about_the_time_keeps_its_own() {
    // 0 (leaf) ── 1 (liar) ── 2 ── 3
    for offset in [240_000_000, -240_000_000, 86_400_000_000] {
        let mut network = small(4, &topology::line(4), &[5]);
        network.corrupt(NodeId(1), Box::new(TimeLiar::new(offset)));
        for node in network.nodes() {
            network.watch(node);
        }
        network.run_for(secs(10));
        for node in network.nodes() {
            assert!(network.router(node).clock_correction().abs() < 20_000, "{node:?} believes the liar");
            let events = network.take_events(node);
            assert!(!events.iter().any(|event| matches!(event, Event::ClockSkew { .. })), "{events:?}");
        }
        assert_eq!(network.undelivered(), []);
    }
}

#[test]
fn a_forger_is_cut_off_for_longer_and_longer() {
    // 3 (forger) ── 0 ── 1 ── 2 (victim)
    let mut network = small(4, &[(0, 1), (1, 2), (3, 0)], &[5]);
    network.run_for(secs(6));
    let victim = network.address(NodeId(2));
    network.watch(NodeId(0));
    network.corrupt(NodeId(3), Box::new(Forger::new(victim)));
    for _ in 0..2_000 {
        network.run_for(millis(100));
        assert_eq!(network.next_hop(NodeId(0), &victim), Some(NodeId(1)));
    }
    let cut_off = network
        .take_events(NodeId(0))
        .iter()
        .filter(|event| matches!(event, Event::CloseLink { reason: CloseReason::CutOff, .. }))
        .count();
    assert!(cut_off > 100, "every attempt to come back is refused: {cut_off}");
    // Bad for 17 signatures, off for 60 s, bad again, off for 120 s: three times within 200 s.
    let bad = drops(&network, 0, DropReason::BadSignature);
    assert!((3 * 17..3 * 17 + 10).contains(&bad), "{bad}");
    assert_eq!(network.walk(NodeId(0), &victim).fate, Fate::Delivered);
}
