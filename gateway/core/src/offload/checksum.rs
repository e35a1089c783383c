// SPDX-License-Identifier: AGPL-3.0-or-later
//! The Internet checksum (RFC 1071), summed four bytes at a time into 64 bits.

/// A running one's complement sum over 16-bit words.
///
/// The words are summed in the byte order of this host: the sum of swapped words is the swapped sum
/// (RFC 1071, section 2), so nothing is swapped on the way.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds a part; every part but the last must have an even length.
    ///
    /// Even 16 GiB of parts cannot overflow: each four bytes add less than 2^32.
    pub(super) fn add(self, part: &[u8]) -> Self {
        let (words, rest) = part.as_chunks::<4>();
        let total = words.iter().fold(self.0, |sum, word| sum + u64::from(u32::from_ne_bytes(*word)));
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        Self(total + u64::from(u32::from_ne_bytes(last)))
    }

    /// The checksum as it stands in a header.
    pub(super) fn finish(self) -> [u8; 2] {
        let mut total = self.0;
        while total > u64::from(u16::MAX) {
            total = (total & u64::from(u16::MAX)) + (total >> 16);
        }
        let folded = u16::try_from(total).expect("the loop ends below 2^16");
        (!folded).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two bytes at a time, folded at once: RFC 1071 as it is written.
    fn slow(bytes: &[u8]) -> [u8; 2] {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!u16::try_from(sum).unwrap()).to_be_bytes()
    }

    #[test]
    fn the_example_of_rfc_1071() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&data).finish(), [0x22, 0x0d]);
    }

    #[test]
    fn the_longest_packet_of_ones_folds() {
        assert_eq!(Sum::default().add(&[0xff; 65_535]).finish(), slow(&[0xff; 65_535]));
    }

    proptest! {
        #[test]
        fn any_split_at_even_places_agrees_with_the_slow_sum(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            split in 0..300_usize,
        ) {
            let (first, second) = bytes.split_at((split * 2).min(bytes.len() & !1));
            prop_assert_eq!(Sum::default().add(first).add(second).finish(), slow(&bytes));
        }
    }
}
