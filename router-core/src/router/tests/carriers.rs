// SPDX-License-Identifier: AGPL-3.0-or-later
//! To whom frames are handed while no route to their recipient is live.

use super::*;

use ratman_wire::announcement::PathLatency;
use ratman_wire::sync_scope::{KnownAddress, SyncScopeRequest};

fn known(origin: &Origin, origin_time: WallTime, latency: u32) -> KnownAddress {
    KnownAddress { address: origin.address(), origin_time, latency: PathLatency(latency) }
}

impl Rig {
    /// A neighbour says what it knew.
    fn say(&mut self, from: usize, known: &[KnownAddress]) {
        let neighbour = &mut self.neighbours[from];
        neighbour.time = neighbour.time.max(self.now.wall).shifted(1);
        let mut payload = Vec::new();
        SyncScopeRequest::new(neighbour.time, known.to_vec()).unwrap().encode_into(&mut payload);
        let frame = neighbour.one_hop(Mode::SYNC_SCOPE_REQUEST, &payload);
        self.receive(from, &frame);
    }

    /// What a neighbour was told that we knew, one list for each frame.
    fn heard_by(&self, index: usize) -> Vec<Vec<KnownAddress>> {
        let frames = self.neighbours[index].got.iter().map(|frame| Frame::decode(frame).unwrap());
        let requests = frames.filter(|frame| frame.header.mode == Mode::SYNC_SCOPE_REQUEST);
        requests.map(|frame| SyncScopeRequest::decode(frame.payload).unwrap().addresses().to_vec()).collect()
    }

    fn carrier(&self, origin: &Origin) -> Option<Hop> {
        self.router.carrier(&origin.address()).map(|via| via.hop)
    }

    fn retract(&mut self, from: usize, origin: &Origin, time: WallTime) {
        self.announce(from, origin, time, u32::MAX);
    }

    fn told(&mut self, origin: &Origin) -> bool {
        let told = Event::Carrier { address: origin.address() };
        core::mem::take(&mut self.events).contains(&told)
    }
}

#[test]
fn who_was_nearer_when_the_last_route_died_gets_what_is_to_be_carried() {
    let mut rig = Rig::with_neighbours(3);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    rig.announce(2, &origin, time, 90_000);
    assert_eq!(rig.carrier(&origin), None, "it has a route");
    rig.retract(1, &origin, time);
    rig.retract(0, &origin, time);
    assert_eq!(rig.hop_to(&origin.address()), None);
    let first = rig.carrier(&origin);
    assert!(first == rig.hop(0) || first == rig.hop(1), "both were nearer: {first:?}");
    assert!(rig.told(&origin));
    // Who is gone carries nothing; who was no nearer than we were would give it back to us.
    for hop in [rig.hop(0), rig.hop(1)].into_iter().flatten() {
        rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
        rig.collect();
    }
    assert_eq!(rig.carrier(&origin), None);
    assert!(rig.told(&origin));
}

#[test]
fn who_comes_back_carries_again_also_when_the_address_is_forgotten_otherwise() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    let hop = rig.neighbours[0].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    rig.collect();
    rig.pass(secs(3600));
    assert!(!rig.router.known_addresses().any(|known| known == origin.address()));
    assert_eq!(rig.carrier(&origin), None);
    let again = rig.link(7, 100);
    rig.settle_links();
    assert_eq!(rig.carrier(&origin), rig.hop(again));
    let time = rig.wall();
    rig.announce(1, &origin, time, 5_000);
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
    assert_eq!(rig.carrier(&origin), None, "there is a route again");
    assert!(rig.told(&origin));
}

/// The neighbour that would carry for `lost`, who was announced over two hops of equal width and is gone.
fn of_two(rig: &mut Rig, lost: &Origin) -> [Option<Hop>; 2] {
    let time = rig.wall();
    rig.announce(0, lost, time, 5_000);
    rig.announce(1, lost, time, 5_000);
    rig.retract(0, lost, time);
    rig.retract(1, lost, time);
    let chosen = rig.carrier(lost);
    let other = [0, 1].map(|index| rig.hop(index)).into_iter().find(|hop| *hop != chosen);
    [chosen, other.unwrap()]
}

fn index_of(rig: &Rig, hop: Option<Hop>) -> usize {
    rig.neighbours.iter().position(|neighbour| Some(neighbour.hop) == hop).unwrap()
}

#[test]
fn trust_in_an_address_that_is_reached_through_a_neighbour_makes_it_carry() {
    let mut rig = Rig::with_neighbours(2);
    let (lost, friend) = (Origin::new(1), Origin::new(2));
    let [before, other] = of_two(&mut rig, &lost);
    let time = rig.wall();
    let through = index_of(&rig, other);
    rig.announce(through, &friend, time, 50_000);
    assert_eq!(rig.carrier(&lost), before, "nobody is trusted");
    rig.events.clear();
    rig.router.set_trust([(friend.address(), 3)].into(), rig.now);
    rig.collect();
    assert_eq!(rig.carrier(&lost), other);
    assert!(rig.told(&lost));
    rig.router.set_trust([(Address::from_bytes([9; 32]), 3)].into(), rig.now);
    assert_eq!(rig.carrier(&lost), before, "of whom nothing is known");
    rig.router.set_trust(Default::default(), rig.now);
    assert_eq!(rig.carrier(&lost), before);
}

#[test]
fn trust_goes_where_the_trusted_address_is() {
    let mut rig = Rig::with_neighbours(2);
    let (lost, friend, best) = (Origin::new(1), Origin::new(2), Origin::new(3));
    let scores = [(friend.address(), 3), (best.address(), 4)];
    rig.router.set_trust(scores.into(), rig.now);
    let [before, other] = of_two(&mut rig, &lost);
    let time = rig.wall();
    let (here, there) = (index_of(&rig, before), index_of(&rig, other));
    rig.announce(there, &friend, time, 50_000);
    assert_eq!(rig.carrier(&lost), other);
    rig.announce(here, &best, time, 50_000);
    assert_eq!(rig.carrier(&lost), before, "the most trusted one counts");
    rig.retract(here, &best, time);
    assert_eq!(rig.carrier(&lost), other);
    rig.retract(there, &friend, time);
    assert_eq!(rig.carrier(&lost), before, "nobody who is trusted is reached");
    // What the operator says of a router itself needs nothing behind it, and goes before that.
    let id = |hop: Option<Hop>| Address::from_bytes(*hop.unwrap().neighbour.as_bytes());
    rig.router.set_trust([(id(other), 0)].into(), rig.now);
    assert_eq!(rig.carrier(&lost), other);
}

#[test]
fn who_comes_hears_what_we_knew_but_not_what_it_knew_better() {
    let mut rig = Rig::with_neighbours(2);
    let (lost, live) = (Origin::new(1), Origin::new(2));
    let time = rig.wall();
    rig.announce(0, &lost, time, 5_000);
    rig.announce(1, &live, time, 5_000);
    let hop = rig.neighbours[0].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    rig.collect();
    let stranger = rig.link(7, 50);
    let back = rig.link(8, 100);
    rig.pass(secs(1));
    let heard = rig.heard_by(stranger);
    let [one] = &heard.concat()[..] else { panic!("{heard:?}") };
    assert_eq!((one.address, one.origin_time), (lost.address(), time), "the other has a route");
    assert!(one.latency > PathLatency(5_000) && one.latency < PathLatency(10_000_000), "{one:?}");
    assert_eq!(rig.heard_by(back), Vec::<Vec<_>>::new());
    assert_eq!(rig.heard_by(1), Vec::<Vec<_>>::new(), "it was told of the loss");
}

#[test]
fn what_is_told_goes_in_frames_that_the_link_takes() {
    let mut rig = Rig::with_neighbours(1);
    let origins: Vec<Origin> = (1..=60).map(Origin::new).collect();
    for origin in &origins {
        let time = rig.wall();
        rig.announce(0, origin, time, 5_000);
        rig.pass(millis(20));
    }
    let hop = rig.neighbours[0].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    let stranger = rig.link(7, 50);
    let hop = rig.neighbours[stranger].hop;
    rig.router.handle_link(LinkEvent::Mtu { hop, mtu: Mtu(1280) }, rig.now);
    rig.pass(secs(1));
    let heard = rig.heard_by(stranger);
    assert_eq!(heard.iter().map(Vec::len).collect::<Vec<_>>(), [26, 26, 8]);
    assert!(heard.concat().is_sorted_by(|one, next| one.address < next.address));
    assert!(rig.neighbours[stranger].got.iter().all(|frame| frame.len() <= 1280));
    rig.neighbours[stranger].got.clear();
    rig.pass(secs(60));
    assert_eq!(rig.heard_by(stranger), Vec::<Vec<_>>::new(), "once");
}

#[test]
fn who_says_it_knew_an_address_better_carries_for_it_while_it_is_there() {
    let mut rig = Rig::with_neighbours(3);
    let (never, lost) = (Origin::new(1), Origin::new(2));
    let time = rig.wall();
    rig.announce(0, &lost, time, 5_000);
    let hop = rig.neighbours[0].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    rig.collect();
    assert_eq!([&never, &lost].map(|origin| rig.carrier(origin)), [None, None]);
    let ahead = time + secs(3600);
    for worse in [known(&lost, time + secs(0), u32::MAX), known(&lost, ahead, 1)] {
        rig.say(1, &[worse]);
        assert_eq!(rig.carrier(&lost), None, "{worse:?}");
    }
    let mut both = [known(&never, time.shifted(-3_600_000_000), 9), known(&lost, time, 5_001)];
    both.sort_by_key(|known| known.address);
    rig.say(1, &both);
    assert_eq!([&never, &lost].map(|origin| rig.carrier(origin)), [rig.hop(1), rig.hop(1)]);
    assert!(rig.told(&never));
    // What it said goes with it, and is nothing that we knew.
    let hop = rig.neighbours[1].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    rig.collect();
    assert_eq!([&never, &lost].map(|origin| rig.carrier(origin)), [None, None]);
    assert_eq!(rig.router.known_nearness().map(|known| known.address).collect::<Vec<_>>(), [lost.address()]);
    // Who is reached needs nobody to carry.
    let time = rig.wall();
    rig.announce(2, &lost, time, 5_000);
    rig.say(2, &[known(&lost, time, 1)]);
    assert_eq!(rig.carrier(&lost), None);
}

#[test]
fn what_was_known_counts_after_a_restart() {
    let mut rig = Rig::with_neighbours(2);
    let (lost, live) = (Origin::new(1), Origin::new(2));
    let time = rig.wall();
    rig.announce(0, &lost, time, 5_000);
    rig.retract(0, &lost, time);
    rig.announce(1, &live, time, 5_000);
    let kept: Vec<_> = rig.router.known_nearness().collect();
    assert_eq!(kept.iter().map(|known| known.address).collect::<Vec<_>>(), [lost.address(), live.address()]);
    let mut rig = Rig::new();
    kept.iter().for_each(|known| rig.router.restore_nearness(known));
    let one = rig.link(1, 60);
    rig.pass(secs(1));
    assert_eq!(rig.heard_by(one).concat().len(), 2);
    for (said, carries) in [(time.shifted(-1), false), (time, true)] {
        rig.say(one, &[known(&lost, said, 1)]);
        assert_eq!(rig.carrier(&lost).is_some(), carries);
    }
}

#[test]
fn an_address_that_moves_to_us_is_not_lost_any_more() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.retract(0, &origin, time);
    assert!(rig.carrier(&origin).is_some());
    assert_eq!(rig.router.losses(), 1);
    let kept: Vec<_> = rig.router.known_nearness().collect();
    assert_eq!(kept.len(), 1);
    rig.router.add_local(Arc::new(SecretKey::from_seed([1; 32])), WallTime::default(), rig.now);
    assert_eq!((rig.carrier(&origin), rig.router.is_local(&origin.address())), (None, true));
    kept.iter().for_each(|known| rig.router.restore_nearness(known));
    rig.say(0, &[known(&origin, rig.wall(), 1)]);
    assert_eq!((rig.carrier(&origin), rig.router.known_nearness().count()), (None, 0));
}

#[test]
fn what_was_said_counts_also_where_our_route_dies_later() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.say(1, &[known(&origin, time + secs(1), 1)]);
    assert_eq!(rig.carrier(&origin), None, "it has a route");
    let hop = rig.neighbours[0].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    assert_eq!(rig.carrier(&origin), rig.hop(1));
    // It is known better than it says by a later announcement.
    rig.pass(secs(2));
    let again = rig.link(8, 100);
    rig.settle_links();
    let time = rig.wall();
    rig.announce(again, &origin, time, 5_000);
    let hop = rig.neighbours[again].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    assert_eq!(rig.carrier(&origin), None);
}

#[test]
fn one_neighbour_is_told_once_over_all_its_links() {
    let mut rig = Rig::with_neighbours(1);
    let origins: Vec<Origin> = (1..=200).map(Origin::new).collect();
    for origin in &origins {
        let time = rig.wall();
        rig.announce(0, origin, time, 5_000);
        rig.pass(millis(20));
    }
    let hop = rig.neighbours[0].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    let (one, other) = (rig.link(7, 50), rig.link(8, 50));
    rig.pass(millis(100));
    let heard = |rig: &Rig| [one, other].map(|index| rig.heard_by(index).concat().len());
    assert_eq!(heard(&rig), [90, 0]);
    let hop = rig.neighbours[one].hop;
    rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    rig.pass(secs(2));
    assert_eq!(heard(&rig), [90, 110], "it goes on over the other");
    rig.link(9, 50);
    rig.pass(secs(2));
    assert_eq!(rig.heard_by(3).len(), 0);
    // After it was gone it hears all of it again.
    for index in [other, 3] {
        let hop = rig.neighbours[index].hop;
        rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    }
    let back = rig.link(10, 50);
    rig.pass(secs(3));
    assert_eq!(rig.heard_by(back).concat().len(), 200);
}

#[test]
fn where_nobody_has_a_clock_every_time_is_believed() {
    let mut rig = Rig::at(
        RouterConfig::new([9; 32], BUILD),
        Now { at: Timestamp::from_micros(1_000_000_000), wall: WallTime::default() },
    );
    rig.link(0, 100);
    rig.neighbours[0].clock_off = -i64::try_from(rig.wall().as_micros()).unwrap();
    let origin = Origin::new(1);
    rig.say(0, &[known(&origin, BUILD + secs(86_400), 1)]);
    rig.settle_links();
    assert_eq!(rig.carrier(&origin), rig.hop(0));
}
