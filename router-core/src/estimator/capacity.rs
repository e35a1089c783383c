// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a link carries, out of saturated periods and trains: the median of the last measurements, so that one odd one
//! (a train is up to 7 % off) moves nothing, and so few of them that a link that shrinks is followed within seconds.

use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::{Bandwidth, Capacity, SampleSource, Timestamp, Traffic};

use super::Estimate;

/// How many measurements the median is taken of: at one a second it follows a change after five.
const KEPT: usize = 9;
/// Measurements of one time: what lies further before the newest one may have been of another link.
const TOGETHER: Duration = Duration::from_secs(20);
/// How long nobody needs to confirm a capacity: five times the pause between trains on an idle link (a minute).
const EXPIRY: Duration = Duration::from_secs(300);

/// A link that carries so much more than it is said to, in percent, for so long, carries more: what a shaper's bucket lets pass is
/// over by then.
const REFUTED: u64 = 120;
const REFUTED_AFTER: Duration = Duration::from_secs(3);

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Measurement {
    bandwidth: Bandwidth,
    source: SampleSource,
    at: Timestamp,
}

/// The last measurements, and the last bound.
#[derive(Debug, Default)]
pub(super) struct CapacityEstimate {
    // INVARIANT: at most KEPT.
    measured: VecDeque<Measurement>,
    at_least: Option<Measurement>,
    /// Since when more is sent than the link is said to carry, and the least of it.
    exceeded: Option<(Timestamp, Bandwidth)>,
}

impl CapacityEstimate {
    /// Takes one more; a capacity of nothing is none.
    pub(super) fn add(&mut self, at: Timestamp, source: SampleSource, capacity: Capacity) {
        let (Capacity::Measured(bandwidth) | Capacity::AtLeast(bandwidth)) = capacity;
        if !bandwidth.is_known() {
            return;
        }
        let measurement = Measurement { bandwidth, source, at };
        match capacity {
            Capacity::AtLeast(_) => self.at_least = Some(measurement),
            Capacity::Measured(_) => {
                self.measured.retain(|earlier| at.since(earlier.at) <= TOGETHER);
                if self.measured.len() == KEPT {
                    self.measured.pop_front();
                }
                self.measured.push_back(measurement);
            }
        }
    }

    /// Takes what was sent until `at`, which nobody need have waited for. More than a link carries cannot be sent, so that what was
    /// measured before the link became wider is given up for a bound.
    pub(super) fn note_sent(&mut self, at: Timestamp, source: SampleSource, traffic: &Traffic) {
        let Some(rate) = traffic.sent.per_second(traffic.over) else { return };
        let rate = Bandwidth::from_bytes_per_second(u32::try_from(rate).unwrap_or(u32::MAX));
        let is_more = |capacity: Bandwidth| {
            u64::from(rate.as_bytes_per_second()) * 100 > u64::from(capacity.as_bytes_per_second()) * REFUTED
        };
        let told = self.at(at).map(|estimate| estimate.value);
        if !matches!(told, Some(Capacity::Measured(capacity)) if is_more(capacity)) {
            return self.exceeded = None;
        }
        let (since, least) = self.exceeded.unwrap_or((at - traffic.over, rate));
        let least = least.min(rate);
        self.exceeded = Some((since, least));
        if at.since(since) >= REFUTED_AFTER {
            self.measured.clear();
            self.at_least = Some(Measurement { bandwidth: least, source, at });
        }
    }

    /// The figure, or where there is none the last bound. A bound neither makes nor changes a figure: a train that fits
    /// into a bucket is as fast as its sender, whatever the link carries for longer than that.
    pub(super) fn at(&self, now: Timestamp) -> Option<Estimate<Capacity>> {
        let fresh = |measurement: &Measurement| now.since(measurement.at) < EXPIRY;
        let estimate = |value, Measurement { source, at, .. }| Estimate { value, source, at };
        if let Some(newest) = self.measured.back().filter(|newest| fresh(newest)) {
            let value = Capacity::Measured(self.median()?);
            return Some(estimate(value, *newest));
        }
        let bound = self.at_least.filter(|bound| fresh(bound))?;
        Some(estimate(Capacity::AtLeast(bound.bandwidth), bound))
    }

    /// The median; of an even count the smaller of the two middle ones, so as not to promise too much.
    fn median(&self) -> Option<Bandwidth> {
        let mut sorted: Vec<Bandwidth> =
            self.measured.iter().map(|measurement| measurement.bandwidth).collect();
        sorted.sort_unstable();
        sorted.get(sorted.len().checked_sub(1)? / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn mbit(mbit: u32) -> Bandwidth {
        Bandwidth::from_bytes_per_second(mbit * 125_000)
    }

    fn measure(estimate: &mut CapacityEstimate, seconds: u64, source: SampleSource, value: u32) {
        estimate.add(at(seconds), source, Capacity::Measured(mbit(value)));
    }

    fn value(estimate: &CapacityEstimate, seconds: u64) -> Option<Capacity> {
        estimate.at(at(seconds)).map(|estimate| estimate.value)
    }

    #[test]
    fn one_odd_measurement_moves_nothing() {
        let mut estimate = CapacityEstimate::default();
        for (second, odd) in (0..60).zip([50, 49, 50, 480, 51, 50, 7, 50, 50, 49].into_iter().cycle()) {
            measure(&mut estimate, second, SampleSource::Socket, odd);
            assert!(second < 6 || value(&estimate, second) == Some(Capacity::Measured(mbit(50))), "{second}");
        }
    }

    #[test]
    fn a_line_that_shrinks_is_followed_within_seconds_and_at_the_next_train_where_it_is_idle() {
        let mut estimate = CapacityEstimate::default();
        (0..60).for_each(|second| measure(&mut estimate, second, SampleSource::Socket, 50));
        (60..65).for_each(|second| measure(&mut estimate, second, SampleSource::Socket, 10));
        assert_eq!(value(&estimate, 65), Some(Capacity::Measured(mbit(10))));
        measure(&mut estimate, 125, SampleSource::Train, 5);
        let expected =
            Estimate { value: Capacity::Measured(mbit(5)), source: SampleSource::Train, at: at(125) };
        assert_eq!(estimate.at(at(130)), Some(expected));
    }

    #[test]
    fn what_nobody_confirms_is_unknown_after_five_minutes() {
        let mut estimate = CapacityEstimate::default();
        measure(&mut estimate, 0, SampleSource::Train, 50);
        assert_eq!(value(&estimate, 299), Some(Capacity::Measured(mbit(50))));
        assert_eq!(value(&estimate, 300), None);
    }

    #[test]
    fn a_bound_is_told_only_where_nothing_is_measured() {
        let mut estimate = CapacityEstimate::default();
        estimate.add(at(0), SampleSource::Train, Capacity::AtLeast(mbit(4_000)));
        assert_eq!(value(&estimate, 1), Some(Capacity::AtLeast(mbit(4_000))));
        measure(&mut estimate, 2, SampleSource::Socket, 10);
        estimate.add(at(3), SampleSource::Train, Capacity::AtLeast(mbit(4_000)));
        assert_eq!(value(&estimate, 4), Some(Capacity::Measured(mbit(10))));
        assert_eq!(value(&estimate, 302), Some(Capacity::AtLeast(mbit(4_000))));
        assert_eq!(value(&estimate, 303), None);
    }

    /// A second in which so much was sent, and of which the end is given.
    fn sent(estimate: &mut CapacityEstimate, seconds: u64, mbit: u64) {
        let (over, none) = (Duration::from_secs(1), ratman_types::ByteCount(0));
        let traffic = Traffic { over, sent: ratman_types::ByteCount(mbit * 125_000), received: none };
        estimate.note_sent(at(seconds), SampleSource::Kernel, &traffic);
    }

    #[test]
    fn what_carries_more_than_was_measured_for_three_seconds_carries_more() {
        let mut estimate = CapacityEstimate::default();
        sent(&mut estimate, 0, 100);
        measure(&mut estimate, 0, SampleSource::Train, 10);
        sent(&mut estimate, 1, 50);
        sent(&mut estimate, 2, 48);
        assert_eq!(value(&estimate, 2), Some(Capacity::Measured(mbit(10))));
        sent(&mut estimate, 3, 49);
        assert_eq!(value(&estimate, 3), Some(Capacity::AtLeast(mbit(48))));
        measure(&mut estimate, 4, SampleSource::Train, 51);
        assert_eq!(value(&estimate, 4), Some(Capacity::Measured(mbit(51))));
    }

    #[test]
    fn a_shapers_bucket_refutes_nothing() {
        let mut estimate = CapacityEstimate::default();
        measure(&mut estimate, 0, SampleSource::Train, 10);
        for second in 1..60 {
            sent(&mut estimate, second, if second % 3 == 0 { 12 } else { 100 });
        }
        assert_eq!(value(&estimate, 60), Some(Capacity::Measured(mbit(10))));
    }

    #[test]
    fn a_capacity_of_nothing_is_none() {
        let mut estimate = CapacityEstimate::default();
        estimate.add(at(0), SampleSource::Socket, Capacity::Measured(Bandwidth::UNKNOWN));
        estimate.add(at(0), SampleSource::Socket, Capacity::AtLeast(Bandwidth::UNKNOWN));
        assert_eq!(value(&estimate, 0), None);
    }

    proptest! {
        #[test]
        fn the_figure_is_one_that_was_measured(
            samples in prop::collection::vec((any::<u64>(), any::<bool>(), any::<u32>()), 0..60), now: u64,
        ) {
            let mut estimate = CapacityEstimate::default();
            let mut measured = Vec::new();
            for (micros, bound, bandwidth) in samples {
                let bandwidth = Bandwidth::from_bytes_per_second(bandwidth);
                let capacity = if bound { Capacity::AtLeast(bandwidth) } else { Capacity::Measured(bandwidth) };
                measured.push(capacity);
                estimate.add(Timestamp::from_micros(micros), SampleSource::Train, capacity);
                prop_assert!(estimate.measured.len() <= KEPT);
                let told = estimate.at(Timestamp::from_micros(now)).map(|estimate| estimate.value);
                prop_assert!(told.is_none_or(|told| measured.contains(&told)));
            }
        }
    }
}
