// SPDX-License-Identifier: AGPL-3.0-or-later
//! `H(…)` of the wire page: BLAKE2b with 32 bytes of output, over parts in order, keyed where a key is given; and the
//! keyed BLAKE2s with 16 bytes that authenticates packets of one link.

use core::fmt;

use blake2::digest::consts::{U16, U32};
use blake2::digest::{FixedOutput, KeyInit, Update};
use blake2::{Blake2b, Blake2bMac, Blake2sMac};

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

/// Keyed BLAKE2s-128 over `part ‖ part ‖ …`, compared with what was received by [`is_same_mac`].
pub fn blake2s_mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Blake2sMac::<U16>::new_from_slice(key).expect("32 bytes are a valid BLAKE2s key");
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize_fixed().into()
}

/// Whether two authentication tags are the same, in a time that does not tell where they differ.
pub fn is_same_mac(own: &[u8; 16], received: &[u8; 16]) -> bool {
    let differences = own.iter().zip(received).fold(0, |all, (own, received)| all | (own ^ received));
    core::hint::black_box(differences) == 0
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

    #[test]
    fn macs_are_known_and_compared_whole() {
        // Python: hashlib.blake2s(b"abc", digest_size=16, key=bytes(range(32)))
        let mac = blake2s_mac(&core::array::from_fn(|i| i.try_into().unwrap()), &[b"a", b"bc"]);
        assert_eq!(mac.map(|byte| format!("{byte:02x}")).concat(), "61ba5f165c194692e09d12520cc4c74a");
        assert!(is_same_mac(&mac, &mac.clone()));
        for index in 0..16 {
            let mut other = mac;
            other[index] ^= 0x80;
            assert!(!is_same_mac(&mac, &other), "byte {index}");
        }
    }
}
