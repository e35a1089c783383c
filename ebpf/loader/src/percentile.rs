// SPDX-License-Identifier: AGPL-3.0-or-later
//! Percentiles of what fell into buckets.

use std::time::Duration;

use ebpf_abi::{BUCKETS, bounds};

/// The value below or at which so many of a hundred are, by nearest rank: the middle of its bucket, at most 1/32 away from
/// the true one, or half a microsecond. Nothing where nothing was counted.
///
/// `percent` above 100 counts as 100.
#[must_use]
pub fn percentile(counts: &[u32; BUCKETS], percent: u8) -> Option<Duration> {
    let all: u64 = counts.iter().copied().map(u64::from).sum();
    if all == 0 {
        return None;
    }
    let rank = (all * u64::from(percent.min(100))).div_ceil(100).max(1);
    let mut below = 0;
    let found = counts.iter().position(|count| {
        below += u64::from(*count);
        below >= rank
    });
    let (from, to) = bounds(found.expect("the rank is not beyond what was counted"));
    Some(Duration::from_nanos((u64::from(from) + u64::from(to)) * 500))
}

#[cfg(test)]
mod tests {
    use ebpf_abi::bucket;
    use proptest::prelude::*;

    use super::*;

    fn counts(micros: &[u32]) -> [u32; BUCKETS] {
        let mut counts = [0; BUCKETS];
        for value in micros {
            counts[bucket(*value)] += 1;
        }
        counts
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(percentile(&[0; BUCKETS], 10), None);
    }

    #[test]
    fn one_round_trip_is_every_percentile_of_itself() {
        let counts = counts(&[8]);
        for percent in [0, 10, 90, 100, 255] {
            assert_eq!(percentile(&counts, percent), Some(Duration::from_nanos(8500)), "{percent}");
        }
    }

    #[test]
    fn many_counts_do_not_overflow() {
        let mut counts = [u32::MAX; BUCKETS];
        counts[0] = 0;
        assert!(percentile(&counts, 10) < percentile(&counts, 90));
    }

    proptest! {
        #[test]
        fn percentiles_are_within_five_percent(
            mut micros in prop::collection::vec(10u32..10_000_000, 1..2000),
            percent in 1u8..=100,
        ) {
            let found = percentile(&counts(&micros), percent).unwrap();
            micros.sort_unstable();
            let rank = (micros.len() * usize::from(percent)).div_ceil(100);
            let truth = Duration::from_micros(micros[rank - 1].into());
            // Below 16 microseconds a bucket is one of them wide, and the truth was rounded down to its lower end.
            prop_assert!(found.abs_diff(truth) <= truth / 20 + Duration::from_nanos(500), "{found:?} for {truth:?}");
        }

        #[test]
        fn percentiles_do_not_cross(micros in prop::collection::vec(any::<u32>(), 1..200)) {
            let counts = counts(&micros);
            prop_assert!(percentile(&counts, 10) <= percentile(&counts, 90));
        }
    }
}
