// SPDX-License-Identifier: AGPL-3.0-or-later
//! Every deadline of the router, each with its reason.

use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Hop, RouterId, Timestamp};

/// Why the router wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The link is to be probed, or judged by what came back.
    Link(Hop),
    /// The neighbour is to be told about ourselves.
    RouterMeta(Hop),
    /// The new link is to get the next of our newest announcements.
    Resend(Hop),
    /// The neighbour is to hear the next of the addresses that we knew.
    Scope(RouterId),
    /// A local address is to be announced.
    Announce(Address),
    /// An announcement that came too soon after the one before is to be flooded now.
    Flood(Address),
    /// A route gets too old, or an address without routes is to be forgotten.
    Route(Address),
}

/// The deadlines, at most one for each timer.
///
/// Two trees and not a heap: a timer that moves leaves nothing behind, so that the number of entries is bounded
/// by the tables that own them.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    // INVARIANT: both hold the same pairs.
    at: BTreeMap<Timer, Timestamp>,
    order: BTreeSet<(Timestamp, Timer)>,
}

impl Timers {
    /// Sets or moves a timer.
    pub(crate) fn set(&mut self, timer: Timer, at: Timestamp) {
        if let Some(before) = self.at.insert(timer, at) {
            self.order.remove(&(before, timer));
        }
        self.order.insert((at, timer));
    }

    /// Sets a timer, or moves it if that makes it fire earlier.
    pub(crate) fn set_earlier(&mut self, timer: Timer, at: Timestamp) {
        if self.at.get(&timer).is_none_or(|before| at < *before) {
            self.set(timer, at);
        }
    }

    /// Stops a timer, if it runs.
    pub(crate) fn stop(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<(Timestamp, Timer)> {
        self.order.first().copied()
    }

    /// Takes the earliest timer whose time has come.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<Timer> {
        let (_, timer) = self.order.first().copied().filter(|(at, _)| *at <= now)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(byte: u8) -> Timer {
        Timer::Announce(Address::from_bytes([byte; 32]))
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn timers_fire_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set(timer(1), at(30));
        timers.set(timer(2), at(10));
        timers.set(timer(3), at(20));
        timers.set(timer(1), at(5));
        timers.stop(timer(3));
        timers.set_earlier(timer(2), at(11));
        timers.set_earlier(timer(4), at(50));
        timers.set_earlier(timer(4), at(40));
        assert_eq!(timers.next(), Some((at(5), timer(1))));
        assert_eq!(timers.take_due(at(4)), None);
        assert_eq!(timers.take_due(at(10)), Some(timer(1)));
        assert_eq!(timers.take_due(at(10)), Some(timer(2)));
        assert_eq!(timers.take_due(at(40)), Some(timer(4)));
        assert_eq!(timers.take_due(at(99)), None);
        assert_eq!(timers.next(), None);
    }
}
