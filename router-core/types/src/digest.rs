// SPDX-License-Identifier: AGPL-3.0-or-later
//! `H(…)` of the wire page: BLAKE2b with 32 bytes of output, over parts in order, keyed where a key is given.

use core::fmt;

use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, KeyInit, Update};
use blake2::{Blake2b, Blake2bMac};

/// A BLAKE2b-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes a hash that was computed or received elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(")?;
        for byte in &self.0[..8] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}

/// `H(part ‖ part ‖ …)`, unkeyed.
pub fn blake2b(parts: &[&[u8]]) -> Digest {
    let mut hasher = Blake2b::<U32>::default();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize_fixed().into())
}

/// `H(key = key, part ‖ part ‖ …)`.
pub fn blake2b_keyed(key: &[u8; 32], parts: &[&[u8]]) -> Digest {
    let mut hasher = Blake2bMac::<U32>::new_from_slice(key).expect("32 bytes are a valid BLAKE2b key");
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize_fixed().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digest: Digest) -> String {
        digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn known_answers_hold() {
        // Python: hashlib.blake2b(b"abc", digest_size=32)
        assert_eq!(
            hex(blake2b(&[b"a", b"", b"bc"])),
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
        );
        // Python: hashlib.blake2b(b"abc", digest_size=32, key=bytes(range(32)))
        assert_eq!(
            hex(blake2b_keyed(&core::array::from_fn(|i| i.try_into().unwrap()), &[b"ab", b"c"])),
            "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f"
        );
    }
}
