// SPDX-License-Identifier: AGPL-3.0-or-later
//! The two secrets: the key of a block, and what the keys of leaves are derived with.

use core::fmt;

use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, KeyInit, Update};
use blake2::{Blake2b, Blake2bMac};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What the keys of a content's leaves are derived with: 32 bytes, zeroised when dropped and never printed.
///
/// With the same secret the same content gives the same blocks, and who knows the secret can find out whether blocks
/// are those of a content that it guesses.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ConvergenceSecret([u8; 32]);

/// The ChaCha20 key of one block.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key([u8; 32]);

impl ConvergenceSecret {
    /// From bytes that were agreed on elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The null secret of the specification, which everybody knows: for public content alone.
    pub const fn zeros() -> Self {
        Self([0; 32])
    }

    /// The key of a leaf: BLAKE2b-256 of its padded content, keyed with this secret.
    pub(crate) fn leaf_key(&self, plaintext: &[u8]) -> Key {
        let mut hasher = Blake2bMac::<U32>::new_from_slice(&self.0).expect("32 bytes are a BLAKE2b key");
        hasher.update(plaintext);
        let mut key = Key::EMPTY;
        hasher.finalize_into((&mut key.0).into());
        key
    }
}

impl Key {
    const EMPTY: Self = Self([0; 32]);

    /// The key of an inner node: unkeyed BLAKE2b-256 of its plaintext.
    pub(crate) fn of_node(plaintext: &[u8]) -> Self {
        let mut hasher = Blake2b::<U32>::default();
        hasher.update(plaintext);
        let mut key = Self::EMPTY;
        hasher.finalize_into((&mut key.0).into());
        key
    }

    /// Copies a key out of a node or a read capability.
    pub(crate) fn copied_from(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ConvergenceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConvergenceSecret(…)")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let text = format!("{:?} {:?}", ConvergenceSecret::from_bytes([0xAB; 32]), Key([0xCD; 32]));
        assert_eq!(text, "ConvergenceSecret(…) Key(…)");
    }

    #[test]
    fn keys_of_leaves_depend_on_the_secret_and_keys_of_nodes_do_not() {
        let leaf = [1; 64];
        let null = ConvergenceSecret::zeros();
        assert_ne!(null.leaf_key(&leaf), ConvergenceSecret::from_bytes([1; 32]).leaf_key(&leaf));
        assert_ne!(null.leaf_key(&leaf), Key::of_node(&leaf), "keyed with zeros is not unkeyed");
    }
}
