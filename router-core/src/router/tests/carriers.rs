// SPDX-License-Identifier: AGPL-3.0-or-later
//! To whom frames are handed while no route to their recipient is live.

use super::*;

impl Rig {
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
