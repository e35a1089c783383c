// SPDX-License-Identifier: AGPL-3.0-or-later
//! The last origin times of one address: what a copy is compared with, and what makes routes free of loops.

use std::collections::VecDeque;

use ratman_types::{Hop, Signature, Timestamp, WallTime};
use ratman_wire::announcement::PathLatency;

use crate::limits::REMEMBERED_TIMES;
use crate::route_ping::FirstCopy;

/// One announcement as its first copy brought it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    /// When its origin made it.
    pub(crate) time: WallTime,
    /// The origin's signature, verified.
    pub(crate) signature: Signature,
    /// What we flooded, or would have flooded where a limit stopped it. [`PathLatency::RETRACTED`], above every
    /// claim, where the first copy had no counting peer part.
    pub(crate) flooded: PathLatency,
    /// The hop of the first copy.
    pub(crate) first_hop: Hop,
    /// When the first copy came.
    pub(crate) first_arrived: Timestamp,
    /// How long its way was, against which the ways of the others are held.
    pub(crate) first: FirstCopy,
}

impl Remembered {
    /// Babel's condition with the origin time as sequence number: who is strictly nearer than what we told others
    /// cannot route over us. A copy without claim can be told from a loop only on the hop of the first copy.
    pub(crate) fn is_feasible(&self, hop: Hop, claim: Option<PathLatency>) -> bool {
        claim.map_or(self.first_hop == hop, |claim| claim < self.flooded)
    }
}

/// The newest [`REMEMBERED_TIMES`] announcements.
#[derive(Debug, Default)]
pub(crate) struct OriginTimes {
    // INVARIANT: strictly ascending by time, at most REMEMBERED_TIMES of them.
    slots: VecDeque<Remembered>,
}

impl OriginTimes {
    pub(crate) fn get(&self, time: WallTime) -> Option<&Remembered> {
        let index = self.slots.binary_search_by_key(&time, |slot| slot.time).ok()?;
        self.slots.get(index)
    }

    /// How many of those remembered are newer.
    pub(crate) fn newer_than(&self, time: WallTime) -> usize {
        self.slots.iter().rev().take_while(|slot| slot.time > time).count()
    }

    pub(crate) fn newest(&self) -> Option<&Remembered> {
        self.slots.back()
    }

    /// Remembers an announcement newer than all others; the oldest of too many is forgotten.
    pub(crate) fn push(&mut self, remembered: Remembered) {
        debug_assert!(self.newest().is_none_or(|newest| newest.time < remembered.time));
        if self.slots.len() == REMEMBERED_TIMES {
            self.slots.pop_front();
        }
        self.slots.push_back(remembered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use ratman_types::{LinkId, RouterId};

    fn hop(link: u32) -> Hop {
        Hop { link: LinkId(link), neighbour: RouterId::from_bytes([1; 32]) }
    }

    fn remembered(time: u64, flooded: PathLatency) -> Remembered {
        Remembered {
            time: WallTime::from_micros(time),
            signature: Signature([0; 64]),
            flooded,
            first_hop: hop(1),
            first_arrived: Timestamp::default(),
            first: FirstCopy::new(Duration::ZERO, Duration::ZERO, Timestamp::default()),
        }
    }

    #[test]
    fn sixteen_times_are_remembered() {
        let mut times = OriginTimes::default();
        for time in 1..=17 {
            times.push(remembered(time, PathLatency(1)));
        }
        assert!(times.get(WallTime::from_micros(1)).is_none());
        assert!(times.get(WallTime::from_micros(2)).is_some());
        assert_eq!(times.newest().unwrap().time, WallTime::from_micros(17));
        assert_eq!([17, 16, 2].map(|time| times.newer_than(WallTime::from_micros(time))), [0, 1, 15]);
    }

    #[test]
    fn feasible_is_strictly_below_what_was_flooded() {
        let slot = remembered(1, PathLatency(100));
        assert!(slot.is_feasible(hop(2), Some(PathLatency(99))));
        assert!(!slot.is_feasible(hop(2), Some(PathLatency(100))));
        assert!(!slot.is_feasible(hop(1), Some(PathLatency(100))));
        assert!(slot.is_feasible(hop(1), None));
        assert!(!slot.is_feasible(hop(2), None));
        let unsigned = remembered(1, PathLatency::RETRACTED);
        assert!(unsigned.is_feasible(hop(2), Some(PathLatency::LONGEST)));
        assert!(!unsigned.is_feasible(hop(2), Some(PathLatency::RETRACTED)));
    }
}
