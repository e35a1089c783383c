// SPDX-License-Identifier: AGPL-3.0-or-later
//! The round trips of one source over the last 30 s. Percentiles and not the minimum, which one reordered pair of frames
//! would own for half a minute, and not the mean, which delayed acknowledgements triple (measured; design of the link
//! metrics, section 2).

use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::Timestamp;

/// How long a sample counts (source: wire page, routes).
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// One echo every 50 ms fills the window with 600.
pub(super) const MAX_SAMPLES: usize = 640;
/// So many round trips without load replace what is remembered from before it: those of three seconds of echoes.
const ENOUGH: u64 = 6;

/// One sample.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Timestamp,
    round_trip: Duration,
    /// For how many round trips it stands.
    count: u32,
    loaded: bool,
}

/// A tenth percentile and when its last sample came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Idle {
    pub(super) round_trip: Duration,
    pub(super) at: Timestamp,
}

/// The samples with their percentiles.
#[derive(Debug, Default)]
pub(super) struct RoundTripWindow {
    // INVARIANT: at most MAX_SAMPLES.
    samples: VecDeque<Sample>,
    p10: Option<Duration>,
    p90: Option<Duration>,
    /// Without load; kept while all samples of the window are of a busy time.
    idle: Option<Idle>,
    remembered: bool,
}

impl RoundTripWindow {
    pub(super) fn add(&mut self, at: Timestamp, round_trip: Duration, count: u32, loaded: bool) {
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at, round_trip, count, loaded });
        self.forget(at);
    }

    /// Lets go of what is too old.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.samples.retain(|sample| now.since(sample.at) <= WINDOW);
        self.estimate();
    }

    /// What came since then came over a busy link.
    pub(super) fn mark_loaded(&mut self, since: Timestamp) {
        for sample in self.samples.iter_mut().rev().take_while(|sample| sample.at >= since) {
            sample.loaded = true;
        }
        self.estimate();
    }

    /// How many round trips the window holds.
    pub(super) fn count(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.count)).sum()
    }

    /// The tenth percentile without load. Under lasting load that of before, or what is seen now if that is less: a queue
    /// lengthens round trips and never shortens them.
    pub(super) fn idle(&self) -> Option<Idle> {
        let newest = self.samples.back()?.at;
        let seen = self.p10.map(|round_trip| Idle { round_trip, at: newest });
        match (self.idle, seen) {
            (Some(idle), Some(seen)) if seen.round_trip < idle.round_trip => Some(seen),
            (Some(idle), _) => Some(idle),
            (None, seen) => seen,
        }
    }

    /// The tenth percentile of all, where what is known without load comes from before the window.
    pub(super) fn under_load(&self) -> Option<Duration> {
        self.p10.filter(|_| self.remembered)
    }

    /// The ninetieth percentile of all, which queues under load raise.
    pub(super) const fn p90(&self) -> Option<Duration> {
        self.p90
    }

    /// When the last sample came.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.samples.back().map(|sample| sample.at)
    }

    fn estimate(&mut self) {
        let mut sorted: Vec<(Duration, u32)> =
            self.samples.iter().map(|sample| (sample.round_trip, sample.count)).collect();
        sorted.sort_unstable();
        self.p10 = percentile(&sorted, 1);
        self.p90 = percentile(&sorted, 9);
        let mut unloaded: Vec<(Duration, u32)> = self
            .samples
            .iter()
            .filter(|sample| !sample.loaded)
            .map(|sample| (sample.round_trip, sample.count))
            .collect();
        unloaded.sort_unstable();
        let enough = total(&unloaded) >= ENOUGH || unloaded.len() == sorted.len();
        self.remembered = !enough;
        let newest = self.samples.iter().rev().find(|sample| !sample.loaded).map(|sample| sample.at);
        if let (true, Some(at), Some(round_trip)) = (enough, newest, percentile(&unloaded, 1)) {
            self.idle = Some(Idle { round_trip, at });
        }
    }
}

fn total(sorted: &[(Duration, u32)]) -> u64 {
    sorted.iter().map(|(_, count)| u64::from(*count)).sum()
}

/// By nearest rank, in tenths.
fn percentile(sorted: &[(Duration, u32)], tenths: u64) -> Option<Duration> {
    let rank = (total(sorted) * tenths).div_ceil(10);
    let mut below = 0;
    sorted
        .iter()
        .find(|(_, count)| {
            below += u64::from(*count);
            below >= rank
        })
        .map(|(round_trip, _)| *round_trip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn idle(window: &RoundTripWindow) -> Option<Duration> {
        window.idle().map(|idle| idle.round_trip)
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut window = RoundTripWindow::default();
        assert_eq!((idle(&window), window.p90(), window.under_load()), (None, None, None));
        for millis in (1..=20).rev() {
            window.add(at(millis), ms(millis), 1, false);
        }
        assert_eq!((idle(&window), window.p90()), (Some(ms(2)), Some(ms(18))));
    }

    #[test]
    fn a_sample_counts_as_often_as_it_stands_for() {
        let mut window = RoundTripWindow::default();
        window.add(at(1), ms(1), 1, false);
        window.add(at(2), ms(5), 8, false);
        window.add(at(3), ms(9), 1, false);
        assert_eq!((idle(&window), window.p90()), (Some(ms(1)), Some(ms(5))));
        window.add(at(4), ms(5), 1, false);
        assert_eq!(idle(&window), Some(ms(5)), "one of eleven owns no tenth percentile");
    }

    #[test]
    fn samples_are_forgotten_after_half_a_minute_and_above_the_limit() {
        let mut window = RoundTripWindow::default();
        window.add(at(0), ms(1), 1, false);
        window.add(at(30_001), ms(9), 1, false);
        assert_eq!(idle(&window), Some(ms(9)));
        for _ in 0..MAX_SAMPLES {
            window.add(at(30_002), ms(5), 1, false);
        }
        assert_eq!(window.samples.len(), MAX_SAMPLES);
        assert_eq!(window.p90(), Some(ms(5)));
        window.forget(at(90_000));
        assert_eq!((idle(&window), window.p90()), (None, None));
    }

    #[test]
    fn load_does_not_lengthen_a_link_however_long_it_lasts() {
        let mut window = RoundTripWindow::default();
        (0..60).for_each(|step| window.add(at(step * 500), ms(5), 1, false));
        for step in 60..360 {
            window.add(at(step * 500), ms(40), 1, true);
            assert_eq!(idle(&window), Some(ms(5)), "at {step}");
        }
        assert_eq!((window.p90(), window.under_load()), (Some(ms(40)), Some(ms(40))));
        window.add(at(180_000), ms(3), 60, true);
        assert_eq!(idle(&window), Some(ms(3)), "no queue makes a link shorter");
    }

    #[test]
    fn after_the_load_the_link_is_as_long_as_it_is_seen() {
        let mut window = RoundTripWindow::default();
        (0..60).for_each(|step| window.add(at(step * 500), ms(5), 1, false));
        (60..160).for_each(|step| window.add(at(step * 500), ms(40), 1, true));
        (160..165).for_each(|step| window.add(at(step * 500), ms(20), 1, false));
        assert_eq!((idle(&window), window.under_load()), (Some(ms(5)), Some(ms(40))), "five are too few");
        window.add(at(82_500), ms(20), 1, false);
        assert_eq!((idle(&window), window.under_load()), (Some(ms(20)), None));
    }

    #[test]
    fn a_load_that_is_told_afterwards_counts_from_its_beginning() {
        let mut window = RoundTripWindow::default();
        (0..60).for_each(|step| window.add(at(step * 500), ms(5), 1, false));
        (60..120).for_each(|step| window.add(at(step * 500), ms(40), 1, false));
        assert_eq!(idle(&window), Some(ms(40)));
        window.mark_loaded(at(30_000));
        assert_eq!(window.under_load(), Some(ms(40)));
    }

    proptest! {
        #[test]
        fn the_percentiles_are_those_of_a_list(samples in prop::collection::vec((0_u64..900, 1_u32..4), 1..60)) {
            let mut window = RoundTripWindow::default();
            let mut list = Vec::new();
            for (millis, count) in samples {
                window.add(at(5), ms(millis), count, false);
                list.extend((0..count).map(|_| ms(millis)));
            }
            list.sort_unstable();
            prop_assert_eq!(idle(&window), Some(list[list.len().div_ceil(10) - 1]));
            prop_assert_eq!(window.p90(), Some(list[(list.len() * 9).div_ceil(10) - 1]));
        }

        #[test]
        fn the_limit_holds_and_any_sample_is_survived(
            samples in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), any::<bool>()), 0..200),
        ) {
            let mut window = RoundTripWindow::default();
            for (micros, round_trip, count, loaded) in samples {
                window.add(Timestamp::from_micros(micros), Duration::from_micros(round_trip), count, loaded);
                window.mark_loaded(Timestamp::from_micros(round_trip));
                prop_assert!(window.samples.len() <= MAX_SAMPLES);
                prop_assert!(window.idle().map(|idle| idle.round_trip) <= window.p10, "load never makes it longer");
            }
        }
    }
}
