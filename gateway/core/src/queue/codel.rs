// SPDX-License-Identifier: AGPL-3.0-or-later
//! CoDel for one flow (RFC 8289): an item that waited longer than the target tells of congestion once none has waited
//! less for a whole interval, and then more and more often until one does.

use core::time::Duration;

use ratman_types::Timestamp;

/// After leaving, the flow is taken to be as congested as before for this many intervals (RFC 8289 section 5.5).
const REMEMBERED_INTERVALS: u32 = 16;

/// What one flow's delays have shown so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Codel {
    /// When the delay will have been above the target for an interval.
    above_until: Option<Timestamp>,
    signalling: bool,
    /// When the next signal is due, or was when signalling ended.
    next: Timestamp,
    /// Signals since signalling began, and what that count began with.
    count: u32,
    began_with: u32,
}

impl Codel {
    /// Whether the flow must be told of congestion by its first item. `late`: the item waited for the target or
    /// longer, and enough stands behind it.
    pub(super) fn signals(&mut self, now: Timestamp, late: bool, interval: Duration) -> bool {
        if !self.stands(now, late, interval) {
            self.signalling = false;
            return false;
        }
        if !self.signalling {
            self.begin(now, interval);
            return true;
        }
        if now < self.next {
            return false;
        }
        self.count = self.count.saturating_add(1);
        self.next = self.next + pause(interval, self.count);
        true
    }

    /// Whether all items of the last interval were late.
    fn stands(&mut self, now: Timestamp, late: bool, interval: Duration) -> bool {
        if !late {
            self.above_until = None;
            return false;
        }
        now >= *self.above_until.get_or_insert(now + interval)
    }

    fn begin(&mut self, now: Timestamp, interval: Duration) {
        let signals = self.count - self.began_with;
        let recent = now.since(self.next) < interval.saturating_mul(REMEMBERED_INTERVALS);
        self.count = if recent && signals > 1 { signals } else { 1 };
        self.began_with = self.count;
        self.signalling = true;
        self.next = now + pause(interval, self.count);
    }
}

/// The control law: the interval divided by the square root of the count, in whole microseconds (rounded down; the
/// root is exact to 2^-32).
fn pause(interval: Duration, count: u32) -> Duration {
    let root = (u128::from(count) << 64).isqrt().max(1);
    let micros = (interval.as_micros() << 32) / root;
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);
    /// The interval in microseconds, squared.
    const SQUARE: u64 = 100_000 * 100_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    #[test]
    fn the_pause_is_the_interval_by_the_root_of_the_count() {
        let exact = [
            (1, 100_000),
            (2, 70_710),
            (3, 57_735),
            (4, 50_000),
            (5, 44_721),
            (7, 37_796),
            (9, 33_333),
            (16, 25_000),
            (100, 10_000),
            (10_000, 1000),
            (1 << 20, 97),
            (u32::MAX, 1),
        ];
        for (count, micros) in exact {
            assert_eq!(pause(INTERVAL, count), Duration::from_micros(micros), "count {count}");
        }
        for count in 1..10_000 {
            let micros = u64::try_from(pause(INTERVAL, count).as_micros()).unwrap();
            let square = |value: u64| value * value * u64::from(count);
            assert!(square(micros) <= SQUARE, "count {count}");
            assert!(square(micros + 1) > SQUARE, "count {count}");
        }
        assert_eq!(pause(Duration::MAX, 1), Duration::from_micros(u64::MAX));
        assert_eq!(pause(Duration::ZERO, 5), Duration::ZERO);
    }

    #[test]
    fn a_delay_is_tolerated_for_one_interval() {
        let mut codel = Codel::default();
        assert!((0..100).all(|ms| !codel.signals(at(ms), true, INTERVAL)));
        assert!(codel.signals(at(100), true, INTERVAL));
        let mut codel = Codel::default();
        assert!((0..1000).all(|ms| !codel.signals(at(ms), ms % 99 != 0, INTERVAL)), "one in time is enough");
    }

    #[test]
    fn signals_come_faster_until_one_item_is_in_time() {
        let mut codel = Codel::default();
        let signals: Vec<_> = (0..400).filter(|&ms| codel.signals(at(ms), true, INTERVAL)).collect();
        // 100, and then 100 + 100/√1, + 100/√2 … from each due time.
        assert_eq!(signals, [100, 200, 271, 329, 379]);
        assert!(!codel.signals(at(400), false, INTERVAL));
        assert!((401..501).all(|ms| !codel.signals(at(ms), true, INTERVAL)));
    }

    #[test]
    fn a_flow_that_was_congested_a_moment_ago_resumes_its_pace() {
        let resumed = |pause_ms: u64| {
            let mut codel = Codel::default();
            (0..400).for_each(|ms| _ = codel.signals(at(ms), true, INTERVAL));
            codel.signals(at(400), false, INTERVAL);
            let begin = 400 + pause_ms;
            let signals = (begin..).filter(|&ms| codel.signals(at(ms), true, INTERVAL)).take(2);
            signals.map(|ms| ms - begin).collect::<Vec<_>>()
        };
        assert_eq!(resumed(1), [100, 150], "four signals: half the interval");
        assert_eq!(resumed(5000), [100, 200]);
    }
}
