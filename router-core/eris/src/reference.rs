// SPDX-License-Identifier: AGPL-3.0-or-later
//! The name of a block, and the check that a block is the one of that name.

use core::fmt;

use ratman_types::{Digest, blake2b};

use crate::BlockSize;

/// The name of a block: the unkeyed BLAKE2b-256 hash of its (encrypted) bytes, whatever its size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(Digest);

/// Why bytes are not the block that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// No block has this length.
    #[error("no block has a length of {0} bytes")]
    Length(usize),
    /// The bytes have another hash.
    #[error("the block has another hash")]
    Hash,
}

/// Checks a block by its name; it takes no key, so routers that pass a block on can do it too. Tells the block's size.
///
/// # Errors
///
/// [`BlockError::Length`] before anything is hashed, then [`BlockError::Hash`].
pub fn verify_block(reference: &Reference, block: &[u8]) -> Result<BlockSize, BlockError> {
    let size = BlockSize::from_bytes(block.len()).ok_or(BlockError::Length(block.len()))?;
    if Reference::of(block) == *reference { Ok(size) } else { Err(BlockError::Hash) }
}

impl Reference {
    /// The name of a block.
    pub fn of(block: &[u8]) -> Self {
        Self(blake2b(&[block]))
    }

    /// A name that was computed or received elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest::from_bytes(bytes))
    }

    /// The 32 bytes of the name.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The name as the hash that it is.
    pub const fn digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({self:.8})")
    }
}

/// All 64 hexadecimal digits, or as many bytes as the precision says.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_bytes();
        bytes.iter().take(f.precision().unwrap_or(bytes.len())).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_checked_by_length_and_hash() {
        for size in BlockSize::ALL {
            let mut block = vec![1; size.bytes()];
            let reference = Reference::of(&block);
            assert_eq!(verify_block(&reference, &block), Ok(size));
            block[0] ^= 1;
            assert_eq!(verify_block(&reference, &block), Err(BlockError::Hash));
            block.pop();
            assert_eq!(verify_block(&reference, &block), Err(BlockError::Length(size.bytes() - 1)));
            assert_eq!(verify_block(&Reference::of(&block), &block), Err(BlockError::Length(block.len())));
        }
    }

    #[test]
    fn names_are_written_in_hexadecimal() {
        let reference = Reference::from_bytes([0xA5; 32]);
        assert_eq!(reference.to_string(), "a5".repeat(32));
        assert_eq!(format!("{reference:?}"), "Reference(a5a5a5a5a5a5a5a5)");
    }
}
