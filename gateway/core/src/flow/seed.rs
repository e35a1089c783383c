// SPDX-License-Identifier: AGPL-3.0-or-later
//! Keyed hashing: whoever chooses addresses and ports cannot choose the bucket.

use core::fmt;
use core::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// The secret key of a table's hashes, for SipHash-1-3. Draw it at start; with a fixed one a table is reproducible.
#[derive(Clone, Copy)]
pub struct HashSeed([u8; 16]);

impl HashSeed {
    /// From 16 random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashSeed(…)")
    }
}

impl BuildHasher for HashSeed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}
