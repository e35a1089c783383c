// SPDX-License-Identifier: AGPL-3.0-or-later
//! All chance of a simulation: SplitMix64, whose few lines will give the same numbers in every version of everything.

use core::time::Duration;

/// A deterministic generator of numbers; no cryptographic strength.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Equal seeds give equal numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    /// A number below `limit`, zero if that is zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(limit);
        u64::try_from(product >> 64).expect("the upper half of a product")
    }

    /// An index into something of this length, which is not empty.
    pub fn index(&mut self, length: usize) -> usize {
        let limit = u64::try_from(length).expect("lengths fit 64 bits");
        usize::try_from(self.below(limit)).expect("below a length")
    }

    /// A duration of at most `longest`, in whole microseconds.
    pub fn duration(&mut self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.saturating_add(1)))
    }

    /// 32 bytes: a seed, a secret, a digest.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.bits().to_be_bytes());
        }
        bytes
    }

    /// Puts a slice in random order.
    pub fn shuffle<T>(&mut self, slice: &mut [T]) {
        for last in (1..slice.len()).rev() {
            slice.swap(last, self.index(last + 1));
        }
    }
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
pub(crate) const fn scramble(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        // The reference implementation by Sebastiano Vigna, seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_below_their_limit_and_reach_it() {
        let mut random = Random::new(1);
        let seen: Vec<u64> = (0..100).map(|_| random.below(4)).collect();
        assert!((0..4).all(|number| seen.contains(&number)) && seen.iter().all(|number| *number < 4));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.duration(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_shuffled_slice_holds_the_same() {
        let mut list: Vec<u32> = (0..50).collect();
        Random::new(5).shuffle(&mut list);
        assert_ne!(list, (0..50).collect::<Vec<_>>());
        list.sort_unstable();
        assert_eq!(list, (0..50).collect::<Vec<_>>());
    }
}
