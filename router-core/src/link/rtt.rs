// SPDX-License-Identifier: AGPL-3.0-or-later
//! The round trips of one link over the last 30 s. Percentiles and not the minimum: one reordered pair of frames
//! would own the minimum for half a minute.

use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::Timestamp;

/// How long a sample counts (source: wire page, routes).
const WINDOW: Duration = Duration::from_secs(30);
/// One echo every 50 ms fills the window with 600.
const MAX_SAMPLES: usize = 640;

/// The samples with their percentiles.
#[derive(Debug, Default)]
pub(crate) struct RttWindow {
    samples: VecDeque<(Timestamp, Duration)>,
    p10: Option<Duration>,
    p90: Option<Duration>,
}

impl RttWindow {
    pub(crate) fn add(&mut self, now: Timestamp, rtt: Duration) {
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((now, rtt));
        while self.samples.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.samples.pop_front();
        }
        let mut sorted: Vec<Duration> = self.samples.iter().map(|(_, rtt)| *rtt).collect();
        sorted.sort_unstable();
        self.p10 = percentile(&sorted, 1);
        self.p90 = percentile(&sorted, 9);
    }

    /// The tenth percentile as of the last sample; nothing before the first.
    pub(crate) const fn p10(&self) -> Option<Duration> {
        self.p10
    }

    /// The ninetieth percentile as of the last sample, which queues under load raise.
    pub(crate) const fn p90(&self) -> Option<Duration> {
        self.p90
    }
}

/// By nearest rank, in tenths.
fn percentile(sorted: &[Duration], tenths: usize) -> Option<Duration> {
    let rank = (sorted.len() * tenths).div_ceil(10);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut window = RttWindow::default();
        assert_eq!((window.p10(), window.p90()), (None, None));
        for millis in (1..=20).rev() {
            window.add(at(millis), Duration::from_millis(millis));
        }
        assert_eq!(window.p10(), Some(Duration::from_millis(2)));
        assert_eq!(window.p90(), Some(Duration::from_millis(18)));
    }

    #[test]
    fn samples_are_forgotten_after_half_a_minute_and_above_the_limit() {
        let mut window = RttWindow::default();
        window.add(at(0), Duration::from_millis(1));
        window.add(at(30_001), Duration::from_millis(9));
        assert_eq!(window.p10(), Some(Duration::from_millis(9)));
        for _ in 0..MAX_SAMPLES {
            window.add(at(30_002), Duration::from_millis(5));
        }
        assert_eq!(window.samples.len(), MAX_SAMPLES);
        assert_eq!(window.p90(), Some(Duration::from_millis(5)));
    }
}
