// SPDX-License-Identifier: AGPL-3.0-or-later
//! The sizes of ERIS blocks that this network knows, and how high a tree of them is.

use ratman_types::ByteCount;

use crate::DecodeError;

/// The size of every block of one stream (source: ERIS 1.0.0 for the two large ones, wire page for the small ones).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockSize {
    /// 64 bytes: a single leaf, since a node of this size would have one child.
    Bytes64,
    /// 256 bytes.
    Bytes256,
    /// 1024 bytes.
    Kib1,
    /// 32768 bytes.
    Kib32,
}

impl BlockSize {
    /// All of them, the smallest first.
    pub const ALL: [Self; 4] = [Self::Bytes64, Self::Bytes256, Self::Kib1, Self::Kib32];
    /// What a node holds for each child: reference 32 ‖ key 32.
    const CHILD: u64 = 64;

    /// From the byte that stands for the size on the wire; nothing for other bytes.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.code() == code)
    }

    /// The byte that stands for the size on the wire: its binary logarithm, as in ERIS's read capabilities.
    pub const fn code(self) -> u8 {
        match self {
            Self::Bytes64 => 6,
            Self::Bytes256 => 8,
            Self::Kib1 => 10,
            Self::Kib32 => 15,
        }
    }

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        1 << self.code()
    }

    /// How many levels of nodes stand above the leaves of a stream of so many bytes; nothing if blocks of this size make
    /// no finite tree of it.
    ///
    /// The padding takes one byte at least, so a stream of exactly one block's size has two leaves.
    pub fn level_of(self, stream_size: ByteCount) -> Option<u8> {
        let size = 1_u64 << self.code();
        let children = size / Self::CHILD;
        let mut blocks = stream_size.0 / size + 1;
        let mut level = 0;
        while blocks > 1 {
            if children < 2 {
                return None;
            }
            blocks = blocks.div_ceil(children);
            level += 1;
        }
        Some(level)
    }

    pub(super) fn decode(code: u8) -> Result<Self, DecodeError> {
        Self::from_code(code).ok_or(DecodeError::Value("block size"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_sizes_are_known() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|code| BlockSize::from_code(*code).is_some()).collect();
        assert_eq!(known, [6, 8, 10, 15]);
        assert_eq!(BlockSize::ALL.map(BlockSize::bytes), [64, 256, 1024, 32_768]);
        assert_eq!(BlockSize::decode(9), Err(DecodeError::Value("block size")));
    }

    #[test]
    fn the_level_follows_from_the_size() {
        let levels = [
            (BlockSize::Bytes64, 0, Some(0)),
            (BlockSize::Bytes64, 63, Some(0)),
            (BlockSize::Bytes64, 64, None),
            (BlockSize::Bytes256, 255, Some(0)),
            (BlockSize::Bytes256, 256, Some(1)),
            (BlockSize::Bytes256, 4 * 256 - 1, Some(1)),
            (BlockSize::Bytes256, 4 * 256, Some(2)),
            (BlockSize::Kib1, 1023, Some(0)),
            (BlockSize::Kib1, 16 * 1024 - 1, Some(1)),
            (BlockSize::Kib1, 16 * 1024, Some(2)),
            (BlockSize::Kib32, 512 * 32_768 - 1, Some(1)),
            (BlockSize::Kib32, 1 << 30, Some(2)),
            (BlockSize::Kib32, u64::MAX, Some(6)),
            (BlockSize::Bytes256, u64::MAX, Some(28)),
        ];
        for (size, bytes, level) in levels {
            assert_eq!(size.level_of(ByteCount(bytes)), level, "{size:?}, {bytes} bytes");
        }
    }
}
