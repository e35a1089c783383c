// SPDX-License-Identifier: AGPL-3.0-or-later
//! How long a route is. What the neighbour claims is held against what we see: copies of one announcement reach us
//! over several hops, so a neighbour that claims less than its copies lag behind is found out, without comparing
//! clocks (source: wire page, ping of a route).

use core::time::Duration;

use ratman_types::Timestamp;

/// How many announcements the estimate looks back: at one every 2 s, half a minute.
pub const SAMPLES: usize = 16;

/// The copy of one announcement that came before all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstCopy {
    one_way: Duration,
    arrived: Timestamp,
}

impl FirstCopy {
    /// `claimed` is its path latency (zero without a counting peer part), `rtt` the p10 round trip to the neighbour
    /// that it came from, `arrived` the netmod's stamp.
    pub fn new(claimed: Duration, rtt: Duration, arrived: Timestamp) -> Self {
        Self { one_way: claimed.saturating_add(rtt / 2), arrived }
    }
}

/// The estimate for one address over one hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoutePing {
    // INVARIANT: the first `filled` are samples, in microseconds, saturated as on the wire; `next` is the oldest
    // of them once all are filled.
    samples: [u32; SAMPLES],
    filled: u8,
    next: u8,
}

impl RoutePing {
    /// Notes when this hop's copy of an announcement came; once per announcement and hop, the first copy included.
    pub fn observe(&mut self, first: &FirstCopy, arrived: Timestamp) {
        let one_way = first.one_way.saturating_add(arrived.since(first.arrived));
        self.samples[usize::from(self.next)] = u32::try_from(one_way.as_micros()).unwrap_or(u32::MAX);
        self.next += 1;
        self.filled = self.filled.max(self.next);
        if usize::from(self.next) == SAMPLES {
            self.next = 0;
        }
    }

    /// Twice the one-way latency: the larger of what the neighbour claims (zero without a counting peer part) plus
    /// half the `rtt` to it, and of what was observed.
    pub fn ping(&self, claimed: Duration, rtt: Duration) -> Duration {
        claimed.saturating_add(rtt / 2).max(self.observed()).saturating_mul(2)
    }

    /// The 10th percentile of the samples by nearest rank, zero without any: the smallest of up to ten, else the
    /// second smallest.
    fn observed(&self) -> Duration {
        let (mut smallest, mut second) = (u32::MAX, u32::MAX);
        for sample in &self.samples[..usize::from(self.filled)] {
            if *sample < smallest {
                (smallest, second) = (*sample, smallest);
            } else {
                second = second.min(*sample);
            }
        }
        let micros = match self.filled {
            0 => 0,
            1..=10 => smallest,
            11.. => second,
        };
        Duration::from_micros(micros.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn without_samples_the_claim_counts() {
        assert_eq!(RoutePing::default().ping(us(300), us(200)), us(800));
        assert_eq!(RoutePing::default().ping(us(0), us(0)), us(0));
    }

    #[test]
    fn a_claim_of_nothing_is_found_out_by_its_lag() {
        let mut liar = RoutePing::default();
        let mut honest = RoutePing::default();
        for round in 0..16 {
            let first = FirstCopy::new(us(1_000), us(500), at(round * 2_000_000));
            honest.observe(&first, at(round * 2_000_000));
            liar.observe(&first, at(round * 2_000_000 + 7_000));
        }
        assert_eq!(honest.ping(us(1_000), us(500)), us(2_500));
        assert_eq!(liar.ping(us(0), us(500)), us(16_500), "1000 + 250 + 7000, both ways");
    }

    #[test]
    fn a_claim_above_what_is_seen_is_taken() {
        let mut ping = RoutePing::default();
        ping.observe(&FirstCopy::new(us(10), us(10), at(0)), at(0));
        assert_eq!(ping.ping(us(5_000), us(100)), us(10_100));
    }

    #[test]
    fn everything_saturates() {
        let mut ping = RoutePing::default();
        ping.observe(&FirstCopy::new(Duration::MAX, Duration::MAX, at(9)), at(u64::MAX));
        assert_eq!(ping.ping(us(0), us(0)), us(2 * u64::from(u32::MAX)));
        assert_eq!(ping.ping(Duration::MAX, Duration::MAX), Duration::MAX);
        let mut early = RoutePing::default();
        early.observe(&FirstCopy::new(us(5), us(0), at(100)), at(50));
        assert_eq!(early.ping(us(0), us(0)), us(10), "a copy before the first is not negative");
    }

    proptest! {
        #[test]
        fn the_percentile_is_that_of_the_last_sixteen(lags in prop::collection::vec(0_u64..1_000, 1..60)) {
            let mut ping = RoutePing::default();
            for lag in &lags {
                ping.observe(&FirstCopy::new(us(0), us(0), at(0)), at(*lag));
            }
            let mut last: Vec<u64> = lags.iter().rev().take(SAMPLES).copied().collect();
            last.sort_unstable();
            let rank = last.len().div_ceil(10);
            prop_assert_eq!(ping.ping(us(0), us(0)), us(2 * last[rank - 1]));
        }
    }
}
