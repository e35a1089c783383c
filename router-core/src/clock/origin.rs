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
        let running = (self.wall + at.since(self.at)).max(self.last);
        let set_back = ahead(running, corrected) > BACK_ABOVE;
        let time = if set_back || ahead(corrected, running) > FORWARD_AT {
            corrected
        } else {
            running.max(self.last + Duration::from_micros(1))
        };
        *self = Self { wall: time, at, last: time };
        Issued { time, set_back }
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
        assert_eq!(next.time, wall(1_202) + Duration::from_micros(1), "and runs with the boot-time clock");
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
        assert_eq!(clock.issue(wall(1_001), at(12)).time, wall(1_002), "the wall clock lags");
        assert_eq!(clock.issue(wall(900), at(14)).time, wall(1_004), "the wall clock went back a little");
        assert_eq!(clock.issue(wall(1_007), at(16)).time, wall(1_006), "1 s ahead is not over 1 s");
        assert_eq!(clock.last(), wall(1_006));
    }

    #[test]
    fn it_is_set_forward_by_a_jump_of_the_corrected_time() {
        let mut clock = started();
        let jumped = wall(1_003) + Duration::from_micros(1);
        assert_eq!(clock.issue(jumped, at(12)), Issued { time: jumped, set_back: false });
        assert_eq!(clock.issue(jumped, at(13)).time, jumped + Duration::from_secs(1));
    }

    #[test]
    fn it_goes_back_only_when_others_would_refuse_it_soon() {
        let mut clock = started();
        assert_eq!(clock.issue(wall(772), at(22)), Issued { time: wall(1_012), set_back: false });
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
