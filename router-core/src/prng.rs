// SPDX-License-Identifier: AGPL-3.0-or-later
//! Random numbers out of the seed that the driver gave: keyed BLAKE2b over a counter, so that equal seeds give
//! equal runs and nobody who sees some of the numbers can tell the others.

use core::time::Duration;

use ratman_types::blake2b_keyed;

/// A stream of random numbers.
#[derive(Clone)]
pub(crate) struct Prng {
    key: [u8; 32],
    counter: u64,
}

impl core::fmt::Debug for Prng {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Prng").field("counter", &self.counter).finish_non_exhaustive()
    }
}

impl Prng {
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self { key: seed, counter: 0 }
    }

    /// Eight random bytes.
    pub(crate) fn bytes(&mut self) -> [u8; 8] {
        let block = blake2b_keyed(&self.key, &[b"irdest router random", &self.counter.to_be_bytes()]);
        self.counter += 1;
        *block.as_bytes().first_chunk().expect("a hash has more than eight bytes")
    }

    /// A duration from zero to just below `limit`, in whole microseconds.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(u64::from_be_bytes(self.bytes()) % limit)
    }

    /// `duration` give or take an eighth.
    pub(crate) fn around(&mut self, duration: Duration) -> Duration {
        duration - duration / 8 + self.below(duration / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let (mut a, mut b, mut c) = (Prng::new([1; 32]), Prng::new([1; 32]), Prng::new([2; 32]));
        let first = a.bytes();
        assert_eq!(first, b.bytes());
        assert_ne!(first, c.bytes());
        assert_ne!(first, a.bytes());
    }

    #[test]
    fn draws_stay_in_range() {
        let mut prng = Prng::new([3; 32]);
        assert_eq!(prng.below(Duration::ZERO), Duration::ZERO);
        for _ in 0..200 {
            assert!(prng.below(Duration::from_micros(7)) < Duration::from_micros(7));
            let around = prng.around(Duration::from_secs(2));
            assert!(around >= Duration::from_millis(1_750) && around < Duration::from_millis(2_250));
        }
    }
}
