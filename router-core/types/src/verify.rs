// SPDX-License-Identifier: AGPL-3.0-or-later
//! One verification rule everywhere: RFC 8032 without cofactor, S < L, the key canonical and not of small order,
//! R compared bytewise (source: wire page). `cargo bench -p ratman-types` tells what one core verifies in a second.

use ed25519_dalek::{Verifier as _, VerifyingKey};

use crate::Signature;

/// Whoever can tell whether a signature is good.
pub trait Verifier: Send + Sync {
    /// Whether `signature` over `message` was made by the owner of `public`.
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &Signature) -> bool;
}

/// The real thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519Verifier;

impl Verifier for Ed25519Verifier {
    fn verify(&self, public: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
        // dalek's plain `verify` is the cofactorless rule with S < L; its `verify_strict` also refuses an R of small
        // order, which the page does not.
        usable_key(public).is_some_and(|key| {
            let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
            key.verify(message, &signature).is_ok()
        })
    }
}

/// Whether 32 bytes are the canonical encoding of a curve point that is not of small order.
pub fn is_valid_key(public: &[u8; 32]) -> bool {
    usable_key(public).is_some()
}

fn usable_key(public: &[u8; 32]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(public).ok().filter(|key| is_canonical(public) && !key.is_weak())
}

/// Whether y is below the field's prime 2^255 − 19 and, where x is zero, the sign bit is too.
///
/// The only points with x = 0 have y = ±1: both of small order, refused elsewhere; so y decides.
fn is_canonical(public: &[u8; 32]) -> bool {
    let above =
        public[31] & 0x7f == 0x7f && public[1..31].iter().all(|byte| *byte == 0xff) && public[0] >= 0xed;
    !above
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SecretKey, Signer};

    #[test]
    fn a_good_signature_holds_and_a_changed_one_does_not() {
        let key = SecretKey::from_seed([7; 32]);
        let signature = key.sign(b"message");
        assert!(Ed25519Verifier.verify(&key.public(), b"message", &signature));
        assert!(!Ed25519Verifier.verify(&key.public(), b"Message", &signature));
        for index in 0..64 {
            let mut changed = signature;
            changed.0[index] ^= 1;
            assert!(!Ed25519Verifier.verify(&key.public(), b"message", &changed), "byte {index}");
        }
    }

    #[test]
    fn s_above_the_group_order_is_refused() {
        // L, little-endian (RFC 8032): S + L verifies under rules that do not reduce-check S.
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = SecretKey::from_seed([7; 32]);
        let mut signature = key.sign(b"message");
        let mut carry = 0_u16;
        for (byte, l) in signature.0[32..].iter_mut().zip(L) {
            let sum = u16::from(*byte) + u16::from(l) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        assert!(!Ed25519Verifier.verify(&key.public(), b"message", &signature));
    }

    #[test]
    fn keys_of_small_order_and_other_encodings_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(!is_valid_key(&identity), "the neutral element");
        assert!(!is_valid_key(&[0; 32]), "a point of order four");
        // With the neutral element as key and R, S = 0 satisfies the equation for every message.
        let mut forged = [0; 64];
        forged[0] = 1;
        assert!(!Ed25519Verifier.verify(&identity, b"any", &Signature(forged)));
        // y = p + 3 encodes the same point as y = 3 would.
        let mut above_p = [0xff; 32];
        above_p[0] = 0xf0;
        above_p[31] = 0x7f;
        assert!(!is_valid_key(&above_p));
        assert!(is_valid_key(&SecretKey::from_seed([3; 32]).public()));
    }
}
