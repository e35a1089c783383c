// SPDX-License-Identifier: AGPL-3.0-or-later
//! The median of the neighbourhood's clocks: a router with a wrong clock among right ones finds the time, a leaf whose
//! only neighbour lies keeps its own. Whoever dials us may come under many names, so strangers together are always
//! outvoted by us and those whom we dialed (decisions/whose-clock-counts.md).

use core::time::Duration;
use std::collections::BTreeMap;

use ratman_types::{Now, RouterId, Timestamp, WallTime};

/// From which correction on the operator is told (source: wire page).
pub const SKEW_WARNING: Duration = Duration::from_secs(60);
/// How many votes of those whom we dialed are kept, and of strangers as many: the first that come. A median of this many is
/// as good as one of more.
pub const MAX_VOTES: usize = 256;
/// So many strangers count where we dialed nobody: with fewer, a router that is only dialed would never find the time.
const STRANGERS_ALONE: usize = 2;

/// What we add to our own clock.
///
/// Votes are kept as the wall time of a neighbour at the zero of our boot-time clock, so that a step of our own wall
/// clock needs no new readings.
#[derive(Clone, Debug)]
pub struct ClockCorrection {
    build_time: WallTime,
    // INVARIANT: at most MAX_VOTES of those whom we dialed, and of others.
    votes: BTreeMap<RouterId, Vote>,
    next_serial: u64,
    // INVARIANT: the votes that count where our own clock has none, and where it has one, ascending.
    counting: [Vec<i64>; 2],
    surplus: u64,
}

#[derive(Clone, Copy, Debug)]
struct Vote {
    zero: i64,
    dialed: bool,
    /// Who came first counts first.
    serial: u64,
}

impl ClockCorrection {
    /// A clock before `build_time` is wrong: it has no vote, ours included.
    pub const fn new(build_time: WallTime) -> Self {
        Self {
            build_time,
            votes: BTreeMap::new(),
            next_serial: 0,
            counting: [Vec::new(), Vec::new()],
            surplus: 0,
        }
    }

    /// Takes a proven neighbour's raw clock out of an echo reply to a request that left at `asked`; a clock before
    /// the build date takes its vote back. `dialed` says that we dialed this link: who was dialed once is no stranger
    /// until it is gone.
    pub fn observe(
        &mut self,
        neighbour: RouterId,
        dialed: bool,
        theirs: WallTime,
        asked: Timestamp,
        rtt: Duration,
    ) {
        if theirs < self.build_time {
            return self.forget(&neighbour);
        }
        let before = self.votes.get(&neighbour).copied();
        let dialed = dialed || before.is_some_and(|vote| vote.dialed);
        let has_place = before.is_some_and(|vote| vote.dialed == dialed);
        if !has_place && self.votes.values().filter(|vote| vote.dialed == dialed).count() >= MAX_VOTES {
            self.surplus = self.surplus.saturating_add(1);
            return;
        }
        let serial = before.map_or(self.next_serial, |vote| vote.serial);
        self.next_serial = self.next_serial.max(serial.saturating_add(1));
        let zero = zero_of(theirs, asked + rtt / 2);
        self.votes.insert(neighbour, Vote { zero, dialed, serial });
        self.count();
    }

    /// The neighbour is gone, and its vote.
    pub fn forget(&mut self, neighbour: &RouterId) {
        if self.votes.remove(neighbour).is_some() {
            self.count();
        }
    }

    /// How many readings found no place among [`MAX_VOTES`].
    pub const fn surplus(&self) -> u64 {
        self.surplus
    }

    /// The correction in microseconds: the median of the votes that count, of an even count the smaller in magnitude of the two
    /// middle ones; zero if nobody has a vote.
    pub fn micros(&self, now: Now) -> i64 {
        let ours = zero_of(now.wall, now.at);
        let own_vote = now.wall >= self.build_time;
        let votes = &self.counting[usize::from(own_vote)];
        let count = votes.len() + usize::from(own_vote);
        if count == 0 {
            return 0;
        }
        let place = if own_vote { votes.partition_point(|vote| *vote < ours) } else { count };
        let correction = |index: usize| {
            let vote = match index {
                _ if index < place => votes[index],
                _ if index == place => ours,
                _ => votes[index - 1],
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

    /// Says anew which votes count: of those whom we dialed all, and of strangers the first, fewer than of the others and
    /// ourselves.
    fn count(&mut self) {
        let (dialed, mut strangers): (Vec<Vote>, Vec<Vote>) =
            self.votes.values().partition(|vote| vote.dialed);
        strangers.sort_unstable_by_key(|vote| vote.serial);
        for (own_vote, counting) in self.counting.iter_mut().enumerate() {
            let admitted = match dialed.len() {
                0 => STRANGERS_ALONE,
                known => known + own_vote - 1,
            };
            counting.clear();
            counting.extend(dialed.iter().chain(strangers.iter().take(admitted)).map(|vote| vote.zero));
            counting.sort_unstable();
        }
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
            clock.observe(router(number), true, from.wall.shifted(*offset), from.at - rtt / 2, rtt);
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
        clock.observe(router(0), true, WallTime::default(), now().at, Duration::ZERO);
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
        clock.observe(router(MAX_VOTES), true, now().wall, now().at, Duration::ZERO);
        assert_eq!((clock.votes.len(), clock.surplus()), (MAX_VOTES, 1));
        clock.observe(router(0), true, now().wall, now().at, Duration::ZERO);
        assert_eq!(clock.surplus(), 1, "one of them speaks again");
        clock.forget(&router(1));
        clock.observe(router(MAX_VOTES), true, now().wall, now().at, Duration::ZERO);
        assert_eq!((clock.votes.len(), clock.surplus()), (MAX_VOTES, 1));
    }

    /// As [`with`], but these are strangers who dialed us; they come after the others.
    fn add_strangers(clock: &mut ClockCorrection, from: Now, offsets: &[i64]) {
        for (number, offset) in offsets.iter().enumerate() {
            clock.observe(router(1_000 + number), false, from.wall.shifted(*offset), from.at, Duration::ZERO);
        }
    }

    #[test]
    fn strangers_are_outvoted_by_us_and_those_whom_we_dialed() {
        let dead = Now { wall: WallTime::from_micros(5), ..now() };
        for dialed in 1..5 {
            let mut clock = with(now(), &vec![0; dialed]);
            add_strangers(&mut clock, now(), &[200 * SECOND; 50]);
            assert_eq!(clock.micros(now()), 0, "{dialed} dialed");
            assert_eq!(clock.corrected(dead), now().wall, "{dialed} dialed, and our own clock has no vote");
        }
    }

    #[test]
    fn strangers_who_agree_with_those_whom_we_dialed_correct_us() {
        let mut clock = with(now(), &[200 * SECOND]);
        assert_eq!(clock.micros(now()), 0, "one alone may lie");
        add_strangers(&mut clock, now(), &[200 * SECOND]);
        assert_eq!(clock.micros(now()), 200 * SECOND);
    }

    #[test]
    fn where_we_dialed_nobody_the_first_two_strangers_count() {
        let mut clock = with(now(), &[]);
        add_strangers(&mut clock, now(), &[5 * SECOND, 7 * SECOND, -90 * SECOND, -90 * SECOND, -90 * SECOND]);
        assert_eq!(clock.micros(now()), 5 * SECOND);
        clock.forget(&router(1_000));
        assert_eq!(clock.micros(now()), 0, "the next one disagrees");
        add_strangers(&mut clock, now(), &[5 * SECOND]);
        assert_eq!(clock.micros(now()), 0, "who comes back comes last");
    }

    #[test]
    fn who_is_dialed_is_no_stranger_any_more_whichever_link_speaks() {
        let mut clock = with(now(), &[0, 0, 0]);
        add_strangers(&mut clock, now(), &[9; 9]);
        assert_eq!(clock.counting.each_ref().map(Vec::len), [5, 6]);
        clock.observe(router(1_008), true, now().wall, now().at, Duration::ZERO);
        add_strangers(&mut clock, now(), &[9; 9]);
        assert_eq!(clock.counting.each_ref().map(Vec::len), [7, 8]);
    }

    #[test]
    fn strangers_take_no_place_of_those_whom_we_dial() {
        let mut clock = ClockCorrection::new(BUILD);
        add_strangers(&mut clock, now(), &[9; MAX_VOTES + 3]);
        assert_eq!((clock.votes.len(), clock.surplus()), (MAX_VOTES, 3));
        clock.observe(router(0), true, now().wall, now().at, Duration::ZERO);
        assert_eq!(clock.votes.len(), MAX_VOTES + 1);
        assert_eq!(clock.micros(now()), 0);
    }

    proptest! {
        #[test]
        fn whatever_strangers_say_we_stay_among_those_whom_we_know(
            known in prop::collection::vec(-1_000_i64..1_000, 1..9),
            strangers in prop::collection::vec(-1_000_000_i64..1_000_000, 0..30),
        ) {
            let mut clock = with(now(), &known);
            add_strangers(&mut clock, now(), &strangers);
            let (least, most) = (known.iter().min().unwrap(), known.iter().max().unwrap());
            prop_assert!(((*least).min(0)..=(*most).max(0)).contains(&clock.micros(now())));
            let dead = Now { wall: WallTime::from_micros(5), ..now() };
            let corrected = clock.corrected(dead).ahead_of(now().wall);
            prop_assert!((*least..=*most).contains(&corrected));
        }

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
                clock.observe(router(number), number == 0, theirs, asked, Duration::from_micros(rtt));
            }
            let now = Now { at: Timestamp::from_micros(at), wall: WallTime::from_micros(wall) };
            let _ = (clock.corrected(now), clock.skew(now), clock.told(now));
        }
    }
}
