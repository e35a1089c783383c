// SPDX-License-Identifier: AGPL-3.0-or-later
//! Token buckets: so much per period in the long run, a burst at once. Integers only, and nothing is lost to rounding.

use core::time::Duration;

use ratman_types::Timestamp;

/// How a bucket fills; many buckets may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fill {
    tokens: u64,
    period: u64,
    capacity: u64,
}

impl Fill {
    /// `tokens` each `period`, of which at most `burst` are kept. Meant for up to 2^32 tokens and an hour; beyond,
    /// the sums saturate, and the bucket is full earlier than it should be.
    pub(crate) fn new(tokens: u32, period: Duration, burst: u32) -> Self {
        let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
        Self { tokens: tokens.into(), period, capacity: u64::from(burst).saturating_mul(period) }
    }
}

/// What is left, in parts of a token: one token is as many parts as its period has microseconds, so that each
/// microsecond adds a whole number of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    parts: u64,
    at: Timestamp,
}

impl TokenBucket {
    pub(crate) fn full(fill: &Fill) -> Self {
        Self { parts: fill.capacity, at: Timestamp::default() }
    }

    /// Takes `tokens` if they are there.
    pub(crate) fn take(&mut self, fill: &Fill, tokens: u64, now: Timestamp) -> bool {
        self.parts = self.parts_at(fill, now);
        // Threads read the clock before they come here: a time from before must not be credited twice.
        self.at = self.at.max(now);
        match self.parts.checked_sub(tokens.saturating_mul(fill.period)) {
            Some(left) => {
                self.parts = left;
                true
            }
            None => false,
        }
    }

    /// Whether one token is there.
    pub(crate) fn has_one(&self, fill: &Fill, now: Timestamp) -> bool {
        self.parts_at(fill, now) >= fill.period
    }

    /// Whether nothing is missing, so that a new bucket would be the same.
    pub(crate) fn is_full(&self, fill: &Fill, now: Timestamp) -> bool {
        self.parts_at(fill, now) == fill.capacity
    }

    fn parts_at(&self, fill: &Fill, now: Timestamp) -> u64 {
        let elapsed = now.as_micros().saturating_sub(self.at.as_micros());
        self.parts.saturating_add(elapsed.saturating_mul(fill.tokens)).min(fill.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000);

    #[test]
    fn a_burst_then_the_rate() {
        let fill = Fill::new(100, Duration::from_secs(60), 5);
        let mut bucket = TokenBucket::full(&fill);
        for _ in 0..5 {
            assert!(bucket.take(&fill, 1, START));
        }
        assert!(!bucket.take(&fill, 1, START) && !bucket.has_one(&fill, START));
        let next = START + Duration::from_millis(600);
        assert!(!bucket.take(&fill, 1, next - Duration::from_micros(1)));
        assert!(bucket.has_one(&fill, next) && bucket.take(&fill, 1, next) && !bucket.take(&fill, 1, next));
        assert!(!bucket.is_full(&fill, next + Duration::from_micros(2_999_999)));
        assert!(bucket.is_full(&fill, next + Duration::from_secs(3)));
    }

    #[test]
    fn a_clock_that_goes_back_credits_nothing_twice() {
        let fill = Fill::new(1, Duration::from_secs(1), 1);
        let mut bucket = TokenBucket::full(&fill);
        assert!(bucket.take(&fill, 1, START));
        assert!(!bucket.take(&fill, 1, START - Duration::from_secs(1)));
        assert!(!bucket.take(&fill, 1, START));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(
            (tokens, burst) in (1_u32..=u32::MAX, 0_u32..=u32::MAX),
            period in 1_u64..3_600_000_000,
            steps in prop::collection::vec((0_u64..10_000_000, any::<u32>()), 1..50),
        ) {
            let fill = Fill::new(tokens, Duration::from_micros(period), burst);
            let (mut bucket, mut now, mut taken) = (TokenBucket::full(&fill), START, 0_u128);
            for (wait, wanted) in steps {
                now = now + Duration::from_micros(wait);
                if bucket.take(&fill, wanted.into(), now) {
                    taken += u128::from(wanted);
                }
                let elapsed = now.since(START).as_micros();
                prop_assert!(taken * u128::from(period) <= u128::from(burst) * u128::from(period) + elapsed * u128::from(tokens));
            }
        }
    }
}
