// SPDX-License-Identifier: AGPL-3.0-or-later
//! Round trips in buckets that grow with what they hold: 16 to every doubling, so that the middle of a bucket is at most
//! 1/32 away from anything in it. A percentile of 5 % needs no finer ones.

/// Buckets to a doubling, as a power of two.
const FINENESS: u32 = 4;
/// Below this many microseconds, each microsecond has a bucket of its own.
const EXACT: u32 = 1 << FINENESS;
/// Round trips from here on count as this much less one: 16.8 s, beyond which nothing is a round trip.
const CEILING: u32 = 1 << 24;

/// How many buckets there are.
pub const BUCKETS: usize = 336;

/// How often a round trip fell into each bucket.
///
/// The processors share it: of two that count into one bucket in the same nanosecond, one may be lost, which no percentile
/// shows.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Counts from the shortest round trips to the longest; they wrap around.
    pub counts: [u32; BUCKETS],
}

const _: () = assert!(size_of::<Histogram>() == 1344 && align_of::<Histogram>() == 4);

impl Histogram {
    /// One that has seen nothing.
    pub const EMPTY: Self = Self { counts: [0; BUCKETS] };
}

/// The bucket of a round trip of so many microseconds; always below [`BUCKETS`].
#[inline(always)]
#[must_use]
#[allow(
    clippy::as_conversions,
    reason = "the index is below 336, and a conversion that may fail has no place in the kernel"
)]
pub const fn bucket(micros: u32) -> usize {
    let micros = if micros < CEILING { micros } else { CEILING - 1 };
    if micros < EXACT {
        return micros as usize;
    }
    let shift = micros.ilog2() - FINENESS;
    (shift * EXACT + (micros >> shift)) as usize
}

/// What falls into a bucket, in microseconds: from the first to, but without, the second.
///
/// Beyond the last bucket the answer is that of the last.
#[must_use]
pub fn bounds(bucket: usize) -> (u32, u32) {
    let bucket = u32::try_from(bucket.min(BUCKETS - 1)).expect("there are 336 buckets");
    if bucket < EXACT {
        return (bucket, bucket + 1);
    }
    let shift = bucket / EXACT - 1;
    let within = bucket % EXACT + EXACT;
    (within << shift, (within + 1) << shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        let mut next = 0;
        for index in 0..BUCKETS {
            let (from, to) = bounds(index);
            assert_eq!(from, next, "bucket {index}");
            assert_eq!((bucket(from), bucket(to - 1)), (index, index));
            next = to;
        }
        assert_eq!(next, CEILING);
        assert_eq!(bounds(usize::MAX), bounds(BUCKETS - 1));
    }

    #[test]
    fn whatever_is_longer_is_in_the_last() {
        assert_eq!(bucket(CEILING - 1), BUCKETS - 1);
        assert_eq!(bucket(CEILING), BUCKETS - 1);
        assert_eq!(bucket(u32::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_put_into_it(micros in 0..CEILING) {
            let (from, to) = bounds(bucket(micros));
            prop_assert!(from <= micros && micros < to);
        }

        #[test]
        fn the_middle_is_near_everything_in_it(micros in EXACT..CEILING) {
            let (from, to) = bounds(bucket(micros));
            let middle = u64::from(from) + u64::from(to - from) / 2;
            prop_assert!(middle.abs_diff(micros.into()) * 32 <= micros.into());
        }
    }
}
