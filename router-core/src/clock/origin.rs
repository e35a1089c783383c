// SPDX-License-Identifier: AGPL-3.0-or-later
//! The time that announcements of one of our addresses carry: a clock that others may rely on never to stand still or
//! to go back, even where the wall clock does.

use core::time::Duration;

use ratman_types::{Timestamp, WallTime};

/// A persisted time further ahead than this is not continued: nobody would take our announcements.
const MAX_PERSISTED_LEAD: Duration = Duration::from_secs(5 * 60);
/// From this lead of the corrected time on the clock is set forward.
const FORWARD_AT: Duration = Duration::from_secs(1);
/// Above this lead over the corrected time the clock is set back: a minute before others' window closes.
const BACK_ABOVE: Duration = Duration::from_secs(4 * 60);
/// A clock that leads the corrected time loses one part in so many until it does not. In the 10 min that others look back on
/// ([`LagCheck`](super::LagCheck)) that is 9.4 s: a third of what makes a copy late, so that two thirds are left for the way.
const SLOWER_BY_ONE_IN: u32 = 64;

/// The origin clock of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginClock {
    // The clock shows `wall` at `at` and runs with the boot-time clock from there.
    wall: WallTime,
    at: Timestamp,
    last: WallTime,
}

/// A time for one announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The origin time.
    pub time: WallTime,
    /// The clock was more than 4 min ahead and went back; announcements before this one were newer. Worth a WARN.
    pub set_back: bool,
}

impl OriginClock {
    /// Starts at the corrected time, or behind the `persisted` last origin time if that is later (zero if none).
    ///
    /// Also says whether `persisted` was discarded because it lies more than 5 min ahead; worth a WARN.
    pub fn start(persisted: WallTime, corrected: WallTime, at: Timestamp) -> (Self, bool) {
        if ahead(persisted, corrected) > MAX_PERSISTED_LEAD {
            return (Self { wall: corrected, at, last: WallTime::default() }, true);
        }
        (Self { wall: corrected, at, last: persisted }, false)
    }

    /// The next origin time: later than every one before, unless the clock had to be set back.
    pub fn issue(&mut self, corrected: WallTime, at: Timestamp) -> Issued {
        let elapsed = at.since(self.at);
        let running = (self.wall + elapsed).max(self.last);
        let lead = ahead(running, corrected);
        let set_back = lead > BACK_ABOVE;
        let time = if set_back || ahead(corrected, running) > FORWARD_AT {
            corrected
        } else {
            let slower = back(running, lead.min(elapsed / SLOWER_BY_ONE_IN));
            slower.max(self.last + Duration::from_micros(1))
        };
        *self = Self { wall: time, at, last: time };
        Issued { time, set_back }
    }

    /// What [`OriginClock::issue`] said last was not used, but this time before it; the clock runs on all the same.
    pub(crate) fn used(&mut self, time: WallTime) {
        self.last = time;
    }

    /// The last time that was issued, to be persisted; zero if none was.
    pub const fn last(&self) -> WallTime {
        self.last
    }
}

/// How far `time` is ahead of `other`, zero if behind.
fn ahead(time: WallTime, other: WallTime) -> Duration {
    Duration::from_micros(u64::try_from(time.ahead_of(other)).unwrap_or(0))
}

/// `time`, so much earlier.
fn back(time: WallTime, by: Duration) -> WallTime {
    time.shifted(-i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wall(seconds: u64) -> WallTime {
        WallTime::from_micros(seconds * 1_000_000)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn started() -> OriginClock {
        let (mut clock, discarded) = OriginClock::start(WallTime::default(), wall(1_000), at(10));
        assert!(!discarded);
        assert_eq!(clock.issue(wall(1_000), at(10)).time, wall(1_000));
        clock
    }

    #[test]
    fn it_goes_on_behind_what_was_persisted() {
        let (mut clock, discarded) = OriginClock::start(wall(1_200), wall(1_000), at(10));
        assert!(!discarded);
        let issued = clock.issue(wall(1_000), at(10));
        assert_eq!(issued, Issued { time: wall(1_200) + Duration::from_micros(1), set_back: false });
        let next = clock.issue(wall(1_002), at(12));
        assert_eq!(next.time, back(wall(1_202), PART - Duration::from_micros(1)), "and runs, but slower");
    }

    /// What a clock with a lead loses in 2 s.
    const PART: Duration = Duration::from_micros(31_250);

    #[test]
    fn a_lead_is_lost_and_no_more_than_that() {
        let mut clock = started();
        let mut expected = wall(1_000);
        for second in 1..=32 {
            // The wall clock was set back by half a second.
            let corrected = wall(1_000 + 2 * second).shifted(-500_000);
            expected = back(expected + Duration::from_secs(2), PART).max(corrected);
            assert_eq!(clock.issue(corrected, at(10 + 2 * second)).time, expected);
        }
        assert_eq!(expected, wall(1_064).shifted(-500_000), "after 32 s");
        assert_eq!(
            clock.issue(expected, at(74)).time,
            expected + Duration::from_micros(1),
            "it never stands"
        );
    }

    #[test]
    fn a_persisted_time_too_far_ahead_is_discarded() {
        let (mut clock, discarded) = OriginClock::start(wall(1_301), wall(1_000), at(10));
        assert!(discarded);
        assert_eq!(clock.last(), WallTime::default());
        assert_eq!(clock.issue(wall(1_000), at(10)), Issued { time: wall(1_000), set_back: false });
        assert!(!OriginClock::start(wall(1_300), wall(1_000), at(10)).1, "exactly 5 min are not too far");
    }

    #[test]
    fn it_runs_with_the_boot_time_clock() {
        let mut clock = started();
        assert_eq!(clock.issue(wall(1_002), at(12)).time, wall(1_002));
        let behind = back(wall(1_004), PART);
        assert_eq!(clock.issue(wall(900), at(14)).time, behind, "the wall clock went back a little");
        let next = behind + Duration::from_secs(2);
        assert_eq!(
            clock.issue(next + Duration::from_secs(1), at(16)).time,
            next,
            "1 s ahead is not over 1 s"
        );
        assert_eq!(clock.last(), next);
    }

    #[test]
    fn it_is_set_forward_by_a_jump_of_the_corrected_time() {
        let mut clock = started();
        let jumped = wall(1_003) + Duration::from_micros(1);
        assert_eq!(clock.issue(jumped, at(12)), Issued { time: jumped, set_back: false });
        let next = jumped + Duration::from_secs(1);
        assert_eq!(clock.issue(next, at(13)).time, next);
    }

    #[test]
    fn it_goes_back_only_when_others_would_refuse_it_soon() {
        let mut clock = started();
        let expected = back(wall(1_012), 6 * PART);
        assert_eq!(clock.issue(wall(772), at(22)), Issued { time: expected, set_back: false });
        assert_eq!(clock.issue(wall(771), at(22)), Issued { time: wall(771), set_back: true });
        assert_eq!(clock.issue(wall(773), at(24)), Issued { time: wall(773), set_back: false });
    }

    #[test]
    fn two_in_one_instant_differ() {
        let mut clock = started();
        assert_eq!(clock.issue(wall(1_000), at(10)).time, wall(1_000) + Duration::from_micros(1));
    }

    proptest! {
        #[test]
        fn times_increase_strictly_and_stay_near(
            persisted in 0_u64..2_000_000_000,
            steps in prop::collection::vec((0_u64..3_000_000, -400_000_000_i64..400_000_000), 1..50),
        ) {
            let (mut now, mut corrected) = (Timestamp::default(), wall(1_000));
            let (mut clock, _) = OriginClock::start(WallTime::from_micros(persisted), corrected, now);
            let mut last = clock.last();
            for (pause, step) in steps {
                now = now + Duration::from_micros(pause);
                corrected = (corrected + Duration::from_micros(pause)).shifted(step);
                let issued = clock.issue(corrected, now);
                prop_assert!(issued.time > last || issued.set_back);
                prop_assert!(issued.time.ahead_of(corrected) <= 240_000_001);
                prop_assert!(corrected.ahead_of(issued.time) <= 1_000_000);
                last = issued.time;
            }
        }
    }
}
