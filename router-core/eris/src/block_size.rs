// SPDX-License-Identifier: AGPL-3.0-or-later
//! The sizes that blocks have, and which of them suits a content and a path.

use core::fmt;

use ratman_types::{ByteCount, Mtu};

use crate::cipher::PAIR_LEN;

/// The manual's kB: it calls ERIS's block sizes, which are powers of two, "1kB and 32kB".
const KB: u64 = 1024;
/// Content from here on does not go into a block of 64 bytes, of which one is padding at least.
const SMALL: u64 = 64;
/// Content from here on goes into blocks of 32 KiB.
const LARGE: u64 = 28 * KB;

/// The size of all blocks of one content.
///
/// ERIS 1.0.0 has 1 KiB and 32 KiB. The other two are an extension (source: wire page, Streams): 256 bytes, in the same
/// tree; and 64 bytes, only as a single block, since an inner node of 64 bytes would have one child and the tree no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockSize {
    /// 64 bytes, for content of at most 63 bytes.
    Bytes64,
    /// 256 bytes, nodes of 4 children.
    Bytes256,
    /// 1024 bytes, nodes of 16 children; of the specification.
    Kib1,
    /// 32 768 bytes, nodes of 512 children; of the specification.
    Kib32,
}

/// No block size carries this content over a path of frames that small; the sender refuses it (source: manual,
/// "Selecting frame sizes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("over a path of {path} go messages of at most {} bytes", limit.0)]
pub struct PathTooNarrow {
    /// The path's largest frame.
    pub path: Mtu,
    /// The longest content that such a path takes.
    pub limit: ByteCount,
}

impl BlockSize {
    /// All of them, the smallest first.
    pub const ALL: [Self; 4] = [Self::Bytes64, Self::Bytes256, Self::Kib1, Self::Kib32];

    /// The block size for content of this length over a path with this MTU (source: wire page, Streams: the manual's
    /// table with its overlaps resolved; its kB are 1024 bytes).
    ///
    /// # Errors
    ///
    /// [`PathTooNarrow`] above [`BlockSize::content_limit`].
    pub fn choose(content: ByteCount, path: Mtu) -> Result<Self, PathTooNarrow> {
        let limit = Self::content_limit(path);
        if let Some(limit) = limit.filter(|limit| content > *limit) {
            return Err(PathTooNarrow { path, limit });
        }
        Ok(match content.0 {
            ..SMALL => Self::Bytes64,
            _ if limit.is_some() => Self::Bytes256,
            SMALL..KB => Self::Bytes256,
            KB..LARGE => Self::Kib1,
            LARGE.. => Self::Kib32,
        })
    }

    /// The longest content that a path takes: 2 KiB below an MTU of 256 bytes, 32 KiB below 1024, else without limit.
    pub const fn content_limit(path: Mtu) -> Option<ByteCount> {
        match path.0 {
            ..256 => Some(ByteCount(2 * KB)),
            256..1024 => Some(ByteCount(32 * KB)),
            1024.. => None,
        }
    }

    /// The length of a block in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bytes64 => 64,
            Self::Bytes256 => 256,
            Self::Kib1 => 1024,
            Self::Kib32 => 32 * 1024,
        }
    }

    /// The size of which blocks have this length in bytes.
    pub fn from_bytes(length: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bytes() == length)
    }

    /// The byte that stands for it in read capabilities and packed frames: the binary logarithm of its length (source:
    /// the specification for 0x0a and 0x0f; 0x06 and 0x08 are the extension's).
    pub const fn code(self) -> u8 {
        match self {
            Self::Bytes64 => 6,
            Self::Bytes256 => 8,
            Self::Kib1 => 10,
            Self::Kib32 => 15,
        }
    }

    /// The size that a code stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.code() == code)
    }

    /// The bytes of all blocks of content of this length: its leaves, with the padding, and the nodes above them. Equal blocks
    /// count as often as they are.
    pub fn bytes_of_tree(self, content: ByteCount) -> ByteCount {
        let [block, arity] =
            [self.bytes(), self.arity()].map(|number| u64::try_from(number).unwrap_or(u64::MAX));
        let mut level = content.0 / block + 1;
        let mut blocks = level;
        while level > 1 && arity > 1 {
            level = level.div_ceil(arity);
            blocks += level;
        }
        ByteCount(blocks.saturating_mul(block))
    }

    /// The number of children of a full node; a node of 64 bytes, which has one, is never made.
    pub const fn arity(self) -> usize {
        self.bytes() / PAIR_LEN
    }

    /// The highest level of a tree whose content is shorter than 2⁶⁴ bytes; 0 is the level of leaves.
    pub const fn max_level(self) -> u8 {
        match self {
            Self::Bytes64 => 0,
            Self::Bytes256 => 28,
            Self::Kib1 => 14,
            Self::Kib32 => 6,
        }
    }

    /// The level of the root over content of this length; nothing if it does not go into blocks of this size.
    ///
    /// The padding takes one byte at least, so content of exactly one block's size has two leaves.
    pub fn level_of(self, content: ByteCount) -> Option<u8> {
        (0..=self.max_level()).find(|level| u128::from(content.0) < self.span(*level))
    }

    /// The content under a full node of a level, in bytes: it does not fit 64 bits at the highest level.
    pub(crate) fn span(self, level: u8) -> u128 {
        let bits = u32::from(self.code()) + u32::from(level) * (u32::from(self.code()) - PAIR_LEN.ilog2());
        1 << bits
    }
}

impl fmt::Display for BlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes64 => "64 B",
            Self::Bytes256 => "256 B",
            Self::Kib1 => "1 KiB",
            Self::Kib32 => "32 KiB",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::BlockSize::{Bytes64, Bytes256, Kib1, Kib32};
    use super::*;

    #[test]
    fn the_level_follows_from_the_length() {
        let levels = [
            (Bytes64, 0, Some(0)),
            (Bytes64, 63, Some(0)),
            (Bytes64, 64, None),
            (Bytes256, 255, Some(0)),
            (Bytes256, 256, Some(1)),
            (Bytes256, 4 * 256 - 1, Some(1)),
            (Bytes256, 4 * 256, Some(2)),
            (Kib1, 1023, Some(0)),
            (Kib1, 16 * 1024 - 1, Some(1)),
            (Kib1, 16 * 1024, Some(2)),
            (Kib32, 512 * 32_768 - 1, Some(1)),
            (Kib32, 1 << 30, Some(2)),
            (Kib32, u64::MAX, Some(6)),
            (Bytes256, u64::MAX, Some(28)),
        ];
        for (size, bytes, level) in levels {
            assert_eq!(size.level_of(ByteCount(bytes)), level, "{size:?}, {bytes} bytes");
        }
    }

    /// What the table says of a path: the rows as (longest content, size), in order.
    fn assert_table(paths: &[u32], rows: &[(u64, BlockSize)], refused_from: Option<u64>) {
        for path in paths {
            let choose = |content| BlockSize::choose(ByteCount(content), Mtu(*path));
            let mut shortest = 0;
            for (longest, size) in rows {
                for content in [shortest, longest - 1, *longest] {
                    assert_eq!(choose(content), Ok(*size), "{content} bytes over {path}");
                }
                shortest = longest.saturating_add(1);
            }
            if let Some(refused) = refused_from {
                let narrow = PathTooNarrow { path: Mtu(*path), limit: ByteCount(refused - 1) };
                assert_eq!(choose(refused), Err(narrow));
                assert_eq!(choose(u64::MAX), Err(narrow));
            }
        }
    }

    #[test]
    fn every_row_of_the_table_holds_to_its_edges() {
        assert_table(&[0, 64, 106, 255], &[(63, Bytes64), (2048, Bytes256)], Some(2049));
        assert_table(&[256, 257, 1000, 1023], &[(63, Bytes64), (32_768, Bytes256)], Some(32_769));
        let rows = [(63, Bytes64), (1023, Bytes256), (28_671, Kib1), (u64::MAX, Kib32)];
        assert_table(&[1024, 1025, 33_004, u32::MAX], &rows, None);
    }

    #[test]
    fn lengths_and_codes_belong_together() {
        for size in BlockSize::ALL {
            assert_eq!(1 << size.code(), size.bytes());
            assert_eq!(BlockSize::from_code(size.code()), Some(size));
            assert_eq!(BlockSize::from_bytes(size.bytes()), Some(size));
        }
        assert_eq!((0..=u8::MAX).filter_map(BlockSize::from_code).count(), 4);
        assert_eq!(BlockSize::from_bytes(65), None);
        assert_eq!(Bytes64.arity(), 1);
    }

    #[test]
    fn spans_are_powers_of_the_arity() {
        for size in [Bytes256, Kib1, Kib32] {
            let (bytes, arity) = (size.bytes(), size.arity());
            assert_eq!(size.span(0), u128::try_from(bytes).unwrap());
            assert_eq!(size.span(2), u128::try_from(bytes * arity * arity).unwrap());
        }
    }

    #[test]
    fn the_highest_level_is_the_last_whose_least_content_is_below_two_to_the_64() {
        // The root has two children at least, and the first of them is full.
        for size in [Bytes256, Kib1, Kib32] {
            assert!(size.span(size.max_level() - 1) < 1 << 64, "{size}");
            assert!(size.span(size.max_level()) >= 1 << 64, "{size}");
        }
    }

    #[test]
    fn the_bytes_of_a_tree_are_those_of_what_the_encoder_makes() {
        for size in [Bytes256, Kib1, Kib32] {
            let (block, arity) = (size.bytes(), size.arity());
            for length in [0, 1, block - 1, block, arity * block - 1, arity * block, arity * block + 1] {
                let mut encoder = crate::Encoder::new(size, &crate::ConvergenceSecret::from_bytes([1; 32]));
                let (mut made, mut blocks) = (0, 0_u32);
                let content: Vec<u8> = (0..length.div_ceil(4))
                    .flat_map(|word| u32::try_from(word).unwrap().to_be_bytes())
                    .collect();
                let mut rest = &content[..length];
                loop {
                    rest = &rest[encoder.push(rest).unwrap()..];
                    if rest.is_empty() {
                        encoder.finish();
                    }
                    while let Some(block) = encoder.poll_block() {
                        made += block.bytes.len();
                        blocks += 1;
                    }
                    if rest.is_empty() {
                        break;
                    }
                }
                let said = size.bytes_of_tree(ByteCount(length.try_into().unwrap()));
                assert_eq!(said, ByteCount(made.try_into().unwrap()), "{length} bytes in {size:?}: {blocks}");
            }
        }
        assert_eq!(Bytes64.bytes_of_tree(ByteCount(63)), ByteCount(64));
    }
}
