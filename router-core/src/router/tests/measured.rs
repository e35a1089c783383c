// SPDX-License-Identifier: AGPL-3.0-or-later
//! What samples of the links do to routes and announcements.

use ratman_types::{ByteCount, Traffic};

use super::*;
use crate::LinkCost;

/// Tells the router what a train found on a link, in bytes per second.
fn measure(rig: &mut Rig, index: usize, bytes: u32) {
    let capacity = Some(Capacity::Measured(Bandwidth::from_bytes_per_second(bytes)));
    let sample = LinkSample { capacity, ..LinkSample::new(rig.now.at, SampleSource::Train) };
    let hop = rig.neighbours[index].hop;
    rig.router.handle_link(LinkEvent::Sample { hop, sample }, rig.now);
}

/// The bandwidth of the last announcement that a neighbour got.
fn told(rig: &mut Rig, index: usize) -> u32 {
    let (_, announcement) = rig.neighbours[index].take().pop().unwrap();
    announcement.available_bw.as_bytes_per_second()
}

/// A neighbour's copy with a bandwidth in it.
fn announce(rig: &mut Rig, from: usize, origin: &Origin, latency: u32, bytes: u32) {
    let bare =
        Announcement { available_bw: Bandwidth::from_bytes_per_second(bytes), ..origin.bare(rig.wall()) };
    let copy = sign_peer(origin.address(), bare, &rig.neighbours[from].key, latency, 2);
    rig.receive(from, &frame_of(origin.address(), &copy));
}

fn reason(rig: &Rig) -> String {
    rig.router.routes().find(|route| route.selected).unwrap().reason
}

#[test]
fn what_we_flood_is_as_narrow_as_what_came_our_link_and_our_route() {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    announce(&mut rig, 0, &origin, 5_000, 0);
    assert_eq!(told(&mut rig, 2), 0, "nobody measured anything");
    measure(&mut rig, 0, 9_000);
    for (came_in, expected) in [(0, 9_000), (20_000, 9_000), (7_000, 7_000)] {
        rig.pass(secs(2));
        announce(&mut rig, 0, &origin, 5_000, came_in);
        assert_eq!(told(&mut rig, 2), expected, "{came_in} came in");
    }
    // The first copy comes over another hop than the one in use.
    measure(&mut rig, 1, 8_000);
    rig.pass(secs(2));
    announce(&mut rig, 1, &origin, 5_000, 30_000);
    assert_eq!(told(&mut rig, 2), 7_000, "the way that frames take");
    let bandwidths: Vec<u32> =
        rig.router.routes().map(|route| route.bandwidth.as_bytes_per_second()).collect();
    assert_eq!(bandwidths, [7_000, 8_000]);
}

#[test]
fn a_capacity_that_nobody_confirms_is_told_no_more() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    measure(&mut rig, 0, 9_000);
    rig.pass(secs(299));
    announce(&mut rig, 0, &origin, 5_000, 0);
    assert_eq!(told(&mut rig, 1), 9_000);
    rig.pass(secs(2));
    announce(&mut rig, 0, &origin, 5_000, 0);
    assert_eq!(told(&mut rig, 1), 0);
}

#[test]
fn within_a_tenth_of_the_ping_the_wider_link_is_taken_and_the_reason_says_so() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    measure(&mut rig, 0, 1_250_000);
    measure(&mut rig, 1, 6_250_000);
    for _ in 0..4 {
        let time = rig.wall();
        rig.announce(0, &origin, time, 5_000);
        rig.announce(1, &origin, time, 5_200);
        rig.pass(secs(2));
    }
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
    let expected = "ping 12.40 ms against 12.00 ms, within 10 %: bandwidth 50 Mbit/s against 10 Mbit/s";
    assert_eq!(reason(&rig), expected);
}

#[test]
fn a_link_that_nobody_measured_does_not_win_by_what_lies_beyond() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    measure(&mut rig, 0, 1_250_000);
    for _ in 0..6 {
        rig.pass(secs(2));
        announce(&mut rig, 0, &origin, 5_000, 12_500_000);
        announce(&mut rig, 1, &origin, 5_200, 12_500_000);
    }
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(0));
    assert!(!reason(&rig).contains("bandwidth"), "{}", reason(&rig));
}

#[test]
fn a_cost_makes_a_link_dearer_for_us_and_for_nobody_else() {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    let flooded = |rig: &mut Rig| rig.neighbours[2].take().pop().unwrap().1.peer.unwrap().latency;
    let before = flooded(&mut rig);
    let (hop, cost) = (rig.neighbours[0].hop, LinkCost::new(millis(10)).unwrap());
    rig.router.handle_link(LinkEvent::Cost { hop, cost }, rig.now);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1), "20 % better, so at once");
    assert_eq!(reason(&rig), "ping 13.00 ms against 12.00 ms + cost 10.00 ms");
    let dear = rig.router.routes().next().unwrap();
    assert_eq!((dear.ping, dear.cost), (Some(millis(12)), cost));
    assert!(rig.router.links().any(|link| link.cost == cost));
    rig.pass(secs(2));
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    assert_eq!(flooded(&mut rig), before, "what others are told is measured");
    rig.router.handle_link(LinkEvent::Cost { hop, cost: LinkCost::NONE }, rig.now);
    assert!(rig.router.links().all(|link| link.cost.is_none()));
}

#[test]
fn announcements_that_wait_behind_a_load_do_not_make_the_way_longer() {
    for (bytes, stays) in [(2_000_000, true), (1_000, false)] {
        let mut rig = Rig::with_neighbours(2);
        let origin = Origin::new(1);
        for _ in 0..30 {
            let hop = rig.neighbours[0].hop;
            let traffic = Traffic { over: secs(1), sent: ByteCount(0), received: ByteCount(bytes) };
            let sample = LinkSample::new(rig.now.at, SampleSource::Socket);
            let sample = LinkSample { traffic: Some(traffic), ..sample };
            rig.router.handle_link(LinkEvent::Sample { hop, sample }, rig.now);
            let time = rig.wall();
            rig.announce(1, &origin, time, 3_000);
            rig.pass(millis(40));
            rig.announce(0, &origin, time, 1_000);
            rig.pass(millis(1_960));
        }
        assert_eq!(rig.hop_to(&origin.address()) == rig.hop(0), stays, "{bytes} bytes a second");
    }
}

#[test]
fn samples_of_links_that_are_gone_do_nothing() {
    let mut rig = Rig::with_neighbours(1);
    let hop = rig.hop(0).unwrap();
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    measure(&mut rig, 0, 9);
    assert_eq!(rig.router.links().count(), 0);
}
