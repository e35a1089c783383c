// SPDX-License-Identifier: AGPL-3.0-or-later
//! Secret keys and the trait behind which they sign.

use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Address, RouterId};

/// An ed25519 signature (RFC 8032): R ‖ S, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// Whoever can sign for one key: an address or a router id.
pub trait Signer: Send + Sync {
    /// The public key that verifies what this signs.
    fn public(&self) -> [u8; 32];

    /// Signs `message`; never fails, since keys that cannot sign are not constructed.
    fn sign(&self, message: &[u8]) -> Signature;

    /// The X25519 secret (RFC 7748) that both owners of two ed25519 keys know; nothing if the other key is of no use, or
    /// if this signer cannot.
    fn shared_secret(&self, _other: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        None
    }

    /// [`Signer::public`] as the address of an application.
    fn address(&self) -> Address {
        Address::from_bytes(self.public())
    }

    /// [`Signer::public`] as the id of a router.
    fn router_id(&self) -> RouterId {
        RouterId::from_bytes(self.public())
    }
}

/// An ed25519 secret key, zeroised when dropped and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey {
    seed: [u8; 32],
    #[zeroize(skip)] // a SigningKey zeroises itself
    signing: SigningKey,
}

impl SecretKey {
    /// From the 32-byte seed of RFC 8032; the seed comes from the driver's entropy source.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed, signing: SigningKey::from_bytes(&seed) }
    }

    /// The seed, to be stored encrypted and nothing else.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The X25519 secret that belongs to this key (RFC 7748, clamped by its user).
    pub fn to_x25519(&self) -> x25519_dalek::StaticSecret {
        x25519_dalek::StaticSecret::from(self.signing.to_scalar_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.address().short())
    }
}

impl Signer for SecretKey {
    fn public(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.signing.sign(message).to_bytes())
    }

    fn shared_secret(&self, other: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let other = x25519_dalek::PublicKey::from(to_x25519(other)?);
        let shared = self.to_x25519().diffie_hellman(&other);
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }
}

/// The X25519 public form of an ed25519 public key (the Edwards-to-Montgomery map), or nothing if the bytes are
/// no usable key ([`is_valid_key`](crate::is_valid_key)).
pub fn to_x25519(public: &[u8; 32]) -> Option<[u8; 32]> {
    if !crate::is_valid_key(public) {
        return None;
    }
    let point = curve25519_dalek::edwards::CompressedEdwardsY(*public).decompress()?;
    Some(point.to_montgomery().to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_key_belong_together() {
        let a = SecretKey::from_seed([1; 32]);
        let b = SecretKey::from_seed([2; 32]);
        let b_public = to_x25519(&b.public()).unwrap();
        assert_eq!(x25519_dalek::PublicKey::from(&b.to_x25519()).to_bytes(), b_public);
        let there = a.to_x25519().diffie_hellman(&b_public.into());
        let back = b.to_x25519().diffie_hellman(&to_x25519(&a.public()).unwrap().into());
        assert_eq!(there.as_bytes(), back.as_bytes());
        assert_eq!(a.shared_secret(&b.public()).unwrap()[..], there.as_bytes()[..]);
        assert_eq!(b.shared_secret(&a.public()), a.shared_secret(&b.public()));
        assert_eq!(a.shared_secret(&[0; 32]), None, "a key of small order");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let key = SecretKey::from_seed([0xAB; 32]);
        let text = format!("{key:?}");
        assert!(!text.to_lowercase().contains("abab"), "{text}");
    }
}
