// SPDX-License-Identifier: AGPL-3.0-or-later
//! The events that wait for the driver. Where it takes none for long, what it has to do stays, once for each link and
//! address; what it can read again from the tables is dropped, and it is told to do so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ratman_types::{Address, Hop, WallTime};

use crate::limits::{MAX_CUSTODIES, MAX_EVENTS};
use crate::{CloseReason, Event};

/// Events in the order in which they came, but what must not be lost first.
#[derive(Debug, Default)]
pub(super) struct Events {
    // At most one for each local address.
    discarded: BTreeMap<Address, WallTime>,
    // At most one for each local address.
    ceilings: BTreeMap<Address, WallTime>,
    // At most one for each link that the driver has.
    closing: BTreeMap<Hop, CloseReason>,
    // INVARIANT: at most MAX_EVENTS.
    others: VecDeque<Event>,
    // INVARIANT: at most MAX_CUSTODIES, each an [`Event::Custody`].
    custodies: VecDeque<Event>,
    fib_changed: bool,
    // At most one for each address that the router remembers.
    carriers: BTreeSet<Address>,
    // At most one for each link that the driver has.
    stalled: BTreeSet<Hop>,
    neighbours: bool,
    resync: bool,
}

impl Events {
    /// Lets an event wait; whether it found room.
    pub(super) fn push(&mut self, event: Event) -> bool {
        match event {
            Event::OriginTimeDiscarded { address, time } => {
                self.ceilings.remove(&address);
                self.discarded.insert(address, time);
            }
            Event::OriginTime { address, time } => _ = self.ceilings.insert(address, time),
            Event::CloseLink { hop, reason } => _ = self.closing.insert(hop, reason),
            Event::FibChanged => self.fib_changed = true,
            Event::Carrier { address } => _ = self.carriers.insert(address),
            Event::LinkStalled { hop } => _ = self.stalled.insert(hop),
            Event::Neighbours => self.neighbours = true,
            Event::Resync => self.resync = true,
            Event::Learned { .. } | Event::Forgotten { .. } | Event::RouteChanged { .. } => {
                let kept = self.push_other(event);
                self.resync |= !kept;
                return kept;
            }
            Event::Custody { .. } => {
                let room = self.custodies.len() < MAX_CUSTODIES;
                if room {
                    self.custodies.push_back(event);
                }
                return room;
            }
            Event::ClockSkew { .. } | Event::ClockSetBack { .. } | Event::KeyUsedTwice { .. } => {
                return self.push_other(event);
            }
        }
        true
    }

    fn push_other(&mut self, event: Event) -> bool {
        let room = self.others.len() < MAX_EVENTS;
        if room {
            self.others.push_back(event);
        }
        room
    }

    /// The link is gone: nobody needs to close it.
    pub(super) fn link_is_down(&mut self, hop: Hop) {
        self.closing.remove(&hop);
        self.stalled.remove(&hop);
    }

    /// The link answers again: what is under way on it arrives.
    pub(super) fn link_is_live(&mut self, hop: Hop) {
        self.stalled.remove(&hop);
    }

    /// Takes the next event.
    pub(super) fn pop(&mut self) -> Option<Event> {
        if let Some((address, time)) = self.discarded.pop_first() {
            return Some(Event::OriginTimeDiscarded { address, time });
        }
        if let Some((address, time)) = self.ceilings.pop_first() {
            return Some(Event::OriginTime { address, time });
        }
        if let Some((hop, reason)) = self.closing.pop_first() {
            return Some(Event::CloseLink { hop, reason });
        }
        if let Some(event) = self.others.pop_front() {
            return Some(event);
        }
        if let Some(custody) = self.custodies.pop_front() {
            return Some(custody);
        }
        if core::mem::take(&mut self.fib_changed) {
            return Some(Event::FibChanged);
        }
        if let Some(address) = self.carriers.pop_first() {
            return Some(Event::Carrier { address });
        }
        if let Some(hop) = self.stalled.pop_first() {
            return Some(Event::LinkStalled { hop });
        }
        if core::mem::take(&mut self.neighbours) {
            return Some(Event::Neighbours);
        }
        core::mem::take(&mut self.resync).then_some(Event::Resync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::{LinkId, RouterId};
    use ratman_wire::FrameId;

    fn address(byte: u8) -> Address {
        Address::from_bytes([byte; 32])
    }

    fn hop(link: u32) -> Hop {
        Hop { link: LinkId(link), neighbour: RouterId::from_bytes([1; 32]) }
    }

    fn full() -> Events {
        let mut events = Events::default();
        assert!((0..MAX_EVENTS).all(|_| events.push(Event::KeyUsedTwice { address: address(1) })));
        events
    }

    fn drain(events: &mut Events) -> Vec<Event> {
        core::iter::from_fn(|| events.pop())
            .filter(|event| !matches!(event, Event::KeyUsedTwice { .. }))
            .collect()
    }

    #[test]
    fn what_the_driver_must_do_is_never_lost() {
        let mut events = full();
        for seconds in 1..=3 {
            let time = WallTime::from_micros(seconds);
            assert!(events.push(Event::OriginTime { address: address(2), time }));
        }
        for link in [1, 2, 1] {
            assert!(events.push(Event::CloseLink { hop: hop(link), reason: CloseReason::Silent }));
        }
        events.link_is_down(hop(2));
        let expected = [
            Event::OriginTime { address: address(2), time: WallTime::from_micros(3) },
            Event::CloseLink { hop: hop(1), reason: CloseReason::Silent },
        ];
        assert_eq!(drain(&mut events), expected);
        assert_eq!(events.pop(), None);
    }

    #[test]
    fn a_stalled_link_is_told_after_the_ways_round_it_and_not_when_it_answers_again() {
        let mut events = full();
        for link in [1, 2, 3, 1] {
            assert!(events.push(Event::LinkStalled { hop: hop(link) }));
        }
        events.push(Event::FibChanged);
        events.link_is_live(hop(2));
        events.link_is_down(hop(3));
        assert_eq!(drain(&mut events), [Event::FibChanged, Event::LinkStalled { hop: hop(1) }]);
    }

    #[test]
    fn custodies_find_room_beside_the_others_and_have_a_limit() {
        let mut events = full();
        let custody = Event::Custody { from: hop(1), frames: vec![FrameId::from_bytes([1; 32])] };
        assert!((0..MAX_CUSTODIES).all(|_| events.push(custody.clone())));
        assert!(!events.push(custody));
        assert_eq!(drain(&mut events).len(), MAX_CUSTODIES);
    }

    #[test]
    fn a_discarded_time_comes_before_the_lower_one() {
        let mut events = Events::default();
        let [high, low] = [9, 5].map(WallTime::from_micros);
        events.push(Event::OriginTime { address: address(2), time: high });
        events.push(Event::OriginTimeDiscarded { address: address(2), time: high });
        events.push(Event::OriginTime { address: address(2), time: low });
        let expected = [
            Event::OriginTimeDiscarded { address: address(2), time: high },
            Event::OriginTime { address: address(2), time: low },
        ];
        assert_eq!(drain(&mut events), expected);
    }

    #[test]
    fn lost_changes_are_made_good_by_one_event_at_the_end() {
        let mut events = full();
        assert!(!events.push(Event::KeyUsedTwice { address: address(1) }), "told again a minute later");
        assert!(!events.push(Event::Learned { address: address(3) }));
        assert!(!events.push(Event::Forgotten { address: address(4) }));
        assert!(events.push(Event::FibChanged));
        assert_eq!(drain(&mut events), [Event::FibChanged, Event::Resync]);
        assert!(events.push(Event::Learned { address: address(3) }));
        assert_eq!(drain(&mut events), [Event::Learned { address: address(3) }]);
    }
}
