// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which signatures a simulated network uses: ed25519, or a stand-in that costs a hundredth and is worth nothing
//! outside of a simulation, because anybody could make it.

use core::fmt;
use std::sync::Arc;

use ratman_types::{Ed25519Verifier, SecretKey, Signature, Signer, Verifier, blake2b};

use crate::Random;
use crate::random::scramble;

/// The kind of signatures in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// A hash keyed with the public key: whoever changes a message breaks it, and no adversary here makes it up.
    StandIn,
    /// The real thing.
    Ed25519,
}

impl Signatures {
    /// A new key.
    pub fn key(self, random: &mut Random) -> Arc<dyn Signer> {
        let secret = random.bytes();
        match self {
            Self::StandIn => Arc::new(StandInSigner::from_secret(&secret)),
            Self::Ed25519 => Arc::new(SecretKey::from_seed(secret)),
        }
    }

    /// What verifies signatures of this kind.
    pub fn verifier(self) -> Arc<dyn Verifier> {
        match self {
            Self::StandIn => Arc::new(StandInVerifier),
            Self::Ed25519 => Arc::new(Ed25519Verifier),
        }
    }
}

/// A key whose signatures are hashes.
#[derive(Clone)]
pub struct StandInSigner {
    public: [u8; 32],
}

impl StandInSigner {
    /// The public key is a hash of the secret, as unguessable as a real one.
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self { public: *blake2b(&[b"irdest simulation key", secret]).as_bytes() }
    }
}

impl fmt::Debug for StandInSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StandInSigner({})", self.address().short())
    }
}

impl Signer for StandInSigner {
    fn public(&self) -> [u8; 32] {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Signature {
        stand_in(&self.public, message)
    }
}

/// Verifies what a [`StandInSigner`] signs.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandInVerifier;

impl Verifier for StandInVerifier {
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
        stand_in(public, message) == *signature
    }
}

/// Two lanes that take turns with eight bytes each, so that one multiplication need not wait for the other.
fn stand_in(public: &[u8; 32], message: &[u8]) -> Signature {
    let mut lanes = [word(&public[..8]) ^ word(&public[8..16]), word(&public[16..24]) ^ word(&public[24..])];
    let (words, rest) = message.as_chunks::<8>();
    for (index, bytes) in words.iter().enumerate() {
        let lane = &mut lanes[index % 2];
        *lane = (*lane ^ u64::from_le_bytes(*bytes)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
    let length = u64::try_from(message.len()).expect("lengths fit 64 bits");
    let start = scramble(lanes[0] ^ word(rest)) ^ scramble(lanes[1] ^ length);
    let mut signature = [0; 64];
    let mut output = Random::new(start);
    for chunk in signature.chunks_exact_mut(8) {
        chunk.copy_from_slice(&output.bits().to_be_bytes());
    }
    Signature(signature)
}

/// At most eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_changed_message_or_key_or_signature_does_not_verify(
            mut message in prop::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, bit in 0_u8..8,
        ) {
            for kind in [Signatures::StandIn, Signatures::Ed25519] {
                let key = kind.key(&mut Random::new(1));
                let other = kind.key(&mut Random::new(2));
                let mut signature = key.sign(&message);
                prop_assert!(kind.verifier().verify(&key.public(), &message, &signature));
                prop_assert!(!kind.verifier().verify(&other.public(), &message, &signature));
                let index = at.index(message.len());
                message[index] ^= 1 << bit;
                prop_assert!(!kind.verifier().verify(&key.public(), &message, &signature));
                message[index] ^= 1 << bit;
                signature.0[at.index(64)] ^= 1 << bit;
                prop_assert!(!kind.verifier().verify(&key.public(), &message, &signature));
            }
        }
    }

    #[test]
    fn lengths_differ() {
        let key = StandInSigner::from_secret(&[1; 32]);
        assert_ne!(key.sign(&[0; 8]), key.sign(&[0; 16]));
        assert_ne!(key.sign(&[]), key.sign(&[0]));
    }
}
