// SPDX-License-Identifier: AGPL-3.0-or-later
//! How late announcements of one address come. Whoever holds announcements back and hands them on later does not make
//! a route live with them, however right or wrong the clocks are.

use core::time::Duration;

use ratman_types::{Timestamp, WallTime};

/// How many minutes are looked back on (source: wire page); they are forgotten one by one.
const MINUTES: usize = 10;
const MINUTE_MICROS: u64 = 60_000_000;

/// The smallest difference of arrival and origin time of an address in the last 10 min.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagCheck {
    // The smallest difference within each minute, in microseconds, `i64::MAX` where nothing came. A minute's slot is
    // its number modulo the length.
    smallest: [i64; MINUTES],
    minute: u64,
}

impl Default for LagCheck {
    fn default() -> Self {
        Self { smallest: [i64::MAX; MINUTES], minute: 0 }
    }
}

impl LagCheck {
    /// Notes a copy with a verified origin time and says whether it may make a route live: whether it came at most
    /// `live_window` later than the quickest of 10 min.
    pub fn admit(&mut self, origin: WallTime, arrived: Timestamp, live_window: Duration) -> bool {
        self.forget_before(arrived.as_micros() / MINUTE_MICROS);
        let difference = WallTime::from_micros(arrived.as_micros()).ahead_of(origin);
        let slot = &mut self.smallest[slot_of(self.minute)];
        *slot = difference.min(*slot);
        let offset = self.smallest.iter().fold(difference, |smallest, of_minute| smallest.min(*of_minute));
        let window = i64::try_from(live_window.as_micros()).unwrap_or(i64::MAX);
        difference <= offset.saturating_add(window)
    }

    /// Empties the slots of the minutes that began since the last copy.
    fn forget_before(&mut self, minute: u64) {
        if minute.saturating_sub(self.minute) >= 10 {
            self.smallest = [i64::MAX; MINUTES];
        } else {
            for begun in self.minute..minute {
                self.smallest[slot_of(begun + 1)] = i64::MAX;
            }
        }
        self.minute = self.minute.max(minute);
    }
}

fn slot_of(minute: u64) -> usize {
    usize::try_from(minute % 10).expect("a remainder by ten is a small number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(30);

    fn admit(check: &mut LagCheck, origin_seconds: u64, arrived_seconds: u64) -> bool {
        let origin = WallTime::from_micros(1_700_000_000_000_000 + origin_seconds * 1_000_000);
        check.admit(origin, Timestamp::from_micros(arrived_seconds * 1_000_000), WINDOW)
    }

    #[test]
    fn the_first_copy_sets_the_measure_whatever_the_clocks_show() {
        let mut check = LagCheck::default();
        assert!(admit(&mut check, 9_000, 100));
        assert!(admit(&mut check, 9_010, 140), "30 s late");
        assert!(!admit(&mut check, 9_010, 141), "31 s late");
        assert!(admit(&mut check, 9_042, 142), "in time again");
    }

    #[test]
    fn a_replay_after_minutes_is_late() {
        let mut check = LagCheck::default();
        for second in (0..600).step_by(2) {
            assert!(admit(&mut check, second, second));
        }
        assert!(!admit(&mut check, 540, 600));
    }

    #[test]
    fn ten_minutes_of_silence_begin_anew() {
        let mut check = LagCheck::default();
        assert!(admit(&mut check, 0, 59));
        assert!(!admit(&mut check, 0, 599), "the minute of the first copy still counts");
        assert!(admit(&mut check, 61, 660), "the slow copies have become the measure");
        let mut check = LagCheck::default();
        assert!(admit(&mut check, 0, 59));
        assert!(admit(&mut check, 0, 6_000));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_of_all_copies(copies in prop::collection::vec((0_u64..200, 0_u64..90), 1..60)) {
            let mut check = LagCheck::default();
            let mut now = 1_000;
            let mut list: Vec<(u64, u64)> = Vec::new();
            for (pause, lag) in copies {
                now += pause;
                list.push((now / 60, lag));
                let least = list.iter().filter(|(minute, _)| minute + 10 > now / 60).map(|(_, lag)| lag).min();
                prop_assert_eq!(admit(&mut check, now - lag, now), lag <= least.unwrap() + 30);
            }
        }

        #[test]
        fn any_time_is_survived(copies in prop::collection::vec(any::<(u64, u64, u64)>(), 1..20)) {
            let mut check = LagCheck::default();
            for (origin, arrived, window) in copies {
                let (origin, arrived) = (WallTime::from_micros(origin), Timestamp::from_micros(arrived));
                check.admit(origin, arrived, Duration::from_micros(window));
            }
        }
    }
}
