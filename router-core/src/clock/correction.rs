// SPDX-License-Identifier: AGPL-3.0-or-later
//! The median of the neighbourhood's clocks: a router with a wrong clock among right ones finds the time, a leaf whose
//! only neighbour lies keeps its own.

use core::time::Duration;
use std::collections::BTreeMap;

use ratman_types::{Now, RouterId, Timestamp, WallTime};

/// From which correction on the operator is told (source: wire page).
pub const SKEW_WARNING: Duration = Duration::from_secs(60);
/// How many neighbours vote, the first that come: a median of this many is as good as one of more.
pub const MAX_VOTES: usize = 256;

/// What we add to our own clock.
///
/// Votes are kept as the wall time of a neighbour at the zero of our boot-time clock, so that a step of our own wall
/// clock needs no new readings.
#[derive(Clone, Debug)]
pub struct ClockCorrection {
    build_time: WallTime,
    votes: BTreeMap<RouterId, i64>,
    // INVARIANT: the values of `votes`, ascending.
    sorted: Vec<i64>,
    surplus: u64,
}

impl ClockCorrection {
    /// A clock before `build_time` is wrong: it has no vote, ours included.
    pub const fn new(build_time: WallTime) -> Self {
        Self { build_time, votes: BTreeMap::new(), sorted: Vec::new(), surplus: 0 }
    }

    /// Takes a proven neighbour's raw clock out of an echo reply to a request that left at `asked`; a clock before
    /// the build date takes its vote back.
    pub fn observe(&mut self, neighbour: RouterId, theirs: WallTime, asked: Timestamp, rtt: Duration) {
        if theirs < self.build_time {
            return self.forget(&neighbour);
        }
        if self.votes.len() >= MAX_VOTES && !self.votes.contains_key(&neighbour) {
            self.surplus = self.surplus.saturating_add(1);
            return;
        }
        let answered = asked + rtt / 2;
        self.votes.insert(neighbour, zero_of(theirs, answered));
        self.sort();
    }

    /// The neighbour is gone, and its vote.
    pub fn forget(&mut self, neighbour: &RouterId) {
        if self.votes.remove(neighbour).is_some() {
            self.sort();
        }
    }

    /// How many readings found no place among [`MAX_VOTES`].
    pub const fn surplus(&self) -> u64 {
        self.surplus
    }

    /// The correction in microseconds: the median of the votes, of an even count the smaller in magnitude of the two
    /// middle ones; zero if nobody has a vote.
    pub fn micros(&self, now: Now) -> i64 {
        let ours = zero_of(now.wall, now.at);
        let own_vote = now.wall >= self.build_time;
        let count = self.sorted.len() + usize::from(own_vote);
        if count == 0 {
            return 0;
        }
        let place = if own_vote { self.sorted.partition_point(|vote| *vote < ours) } else { count };
        let correction = |index: usize| {
            let vote = match index {
                _ if index < place => self.sorted[index],
                _ if index == place => ours,
                _ => self.sorted[index - 1],
            };
            vote.saturating_sub(ours)
        };
        let upper = correction(count / 2);
        if count % 2 == 1 {
            return upper;
        }
        let lower = correction(count / 2 - 1);
        if upper.unsigned_abs() < lower.unsigned_abs() { upper } else { lower }
    }

    /// What we take the time to be.
    pub fn corrected(&self, now: Now) -> WallTime {
        now.wall.shifted(self.micros(now))
    }

    /// The correction in microseconds where it is above [`SKEW_WARNING`].
    pub fn skew(&self, now: Now) -> Option<i64> {
        let micros = self.micros(now);
        (Duration::from_micros(micros.unsigned_abs()) > SKEW_WARNING).then_some(micros)
    }

    /// What echo replies tell: our raw clock, or zero where it is before the build date.
    pub fn told(&self, now: Now) -> WallTime {
        if now.wall < self.build_time { WallTime::default() } else { now.wall }
    }

    fn sort(&mut self) {
        self.sorted.clear();
        self.sorted.extend(self.votes.values());
        self.sorted.sort_unstable();
    }
}

/// The wall time at the zero of the boot-time clock, in microseconds since the Unix epoch.
fn zero_of(wall: WallTime, at: Timestamp) -> i64 {
    wall.ahead_of(WallTime::from_micros(at.as_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUILD: WallTime = WallTime::from_micros(1_000_000_000_000);
    const SECOND: i64 = 1_000_000;

    fn now() -> Now {
        Now { at: Timestamp::from_micros(50_000_000), wall: BUILD + Duration::from_secs(1_000) }
    }

    fn router(number: usize) -> RouterId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        RouterId::from_bytes(bytes)
    }

    /// A router whose neighbours' clocks are ahead of `from` by these microseconds.
    fn with(from: Now, offsets: &[i64]) -> ClockCorrection {
        let mut clock = ClockCorrection::new(BUILD);
        let rtt = Duration::from_millis(40);
        for (number, offset) in offsets.iter().enumerate() {
            clock.observe(router(number), from.wall.shifted(*offset), from.at - rtt / 2, rtt);
        }
        clock
    }

    #[test]
    fn the_median_with_our_own_vote() {
        let table: &[(&[i64], i64)] = &[
            (&[], 0),
            (&[9], 0),
            (&[-9], 0),
            (&[9, 7], 7),
            (&[-9, 7], 0),
            (&[5, 7, 9], 5),
            (&[-5, -7, -9], -5),
            (&[-5, 3, 4], 0),
            (&[5, 5, 5, 5], 5),
        ];
        for (offsets, expected) in table {
            assert_eq!(with(now(), offsets).micros(now()), *expected, "{offsets:?}");
        }
    }

    #[test]
    fn a_leaf_whose_neighbour_lies_keeps_its_own_time() {
        let clock = with(now(), &[240 * SECOND]);
        assert_eq!(clock.corrected(now()), now().wall);
        assert_eq!(clock.skew(now()), None);
    }

    #[test]
    fn a_clock_before_the_build_date_has_no_vote() {
        let dead = Now { wall: WallTime::from_micros(5), ..now() };
        let clock = with(now(), &[0, 3, 4]);
        assert_eq!(clock.corrected(dead), now().wall + Duration::from_micros(3), "ours");
        assert_eq!(clock.told(dead), WallTime::default());
        assert_eq!(clock.told(now()), now().wall);
        let mut clock = with(now(), &[7, 7]);
        clock.observe(router(0), WallTime::default(), now().at, Duration::ZERO);
        assert_eq!(clock.micros(now()), 0, "a neighbour's, and its former vote is gone");
        assert_eq!(with(now(), &[]).micros(dead), 0, "nobody's");
        assert_eq!(with(now(), &[4, -7]).corrected(dead), now().wall.shifted(-7), "the smaller correction");
    }

    #[test]
    fn a_step_of_our_own_clock_is_corrected_without_new_readings() {
        let clock = with(now(), &[0, 0]);
        let stepped = Now { wall: now().wall.shifted(-240 * SECOND), ..now() };
        assert_eq!(clock.corrected(stepped), now().wall);
        assert_eq!(clock.skew(stepped), Some(240 * SECOND));
        let later = now() + Duration::from_secs(60);
        assert_eq!(clock.corrected(later), later.wall);
    }

    #[test]
    fn the_warning_begins_above_a_minute() {
        assert_eq!(with(now(), &[60 * SECOND; 2]).skew(now()), None);
        assert_eq!(with(now(), &[-60 * SECOND - 1; 2]).skew(now()), Some(-60 * SECOND - 1));
    }

    #[test]
    fn votes_are_limited() {
        let mut clock = with(now(), &[5; MAX_VOTES]);
        clock.observe(router(MAX_VOTES), now().wall, now().at, Duration::ZERO);
        assert_eq!((clock.votes.len(), clock.surplus()), (MAX_VOTES, 1));
        clock.observe(router(0), now().wall, now().at, Duration::ZERO);
        assert_eq!(clock.surplus(), 1, "one of them speaks again");
        clock.forget(&router(1));
        clock.observe(router(MAX_VOTES), now().wall, now().at, Duration::ZERO);
        assert_eq!((clock.votes.len(), clock.surplus()), (MAX_VOTES, 1));
    }

    proptest! {
        #[test]
        fn it_is_the_median(offsets in prop::collection::vec(-1_000_i64..1_000, 0..12)) {
            let mut all = offsets.clone();
            all.push(0);
            all.sort_unstable();
            let (lower, upper) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
            let expected = if upper.abs() < lower.abs() { upper } else { lower };
            prop_assert_eq!(with(now(), &offsets).micros(now()), expected);
        }

        #[test]
        fn any_time_is_survived(theirs: u64, asked: u64, rtt: u64, wall: u64, at: u64) {
            let mut clock = ClockCorrection::new(BUILD);
            for number in 0..2 {
                let (theirs, asked) = (WallTime::from_micros(theirs), Timestamp::from_micros(asked));
                clock.observe(router(number), theirs, asked, Duration::from_micros(rtt));
            }
            let now = Now { at: Timestamp::from_micros(at), wall: WallTime::from_micros(wall) };
            let _ = (clock.corrected(now), clock.skew(now), clock.told(now));
        }
    }
}
