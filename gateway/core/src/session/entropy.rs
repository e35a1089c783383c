// SPDX-License-Identifier: AGPL-3.0-or-later
//! Randomness without the operating system: a ChaCha20 generator from the driver's seed, and the resolver through
//! which snow draws its ephemeral keys from it. One seed gives one trace.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::{Zeroize, Zeroizing};

/// The generator of one [`Sessions`](super::Sessions).
#[derive(Debug)]
pub(super) struct Entropy(ChaCha20Rng);

impl Entropy {
    /// From 32 bytes that nobody else knows.
    pub(super) fn new(mut seed: [u8; 32]) -> Self {
        let generator = ChaCha20Rng::from_seed(seed);
        seed.zeroize();
        Self(generator)
    }

    /// The next `N` bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// The next 32 bytes, for a key of ours.
    pub(super) fn secret(&mut self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        self.0.fill_bytes(&mut secret[..]);
        secret
    }

    /// A number from 0 to `limit` inclusive, as good as evenly spread for limits far below 2^64.
    pub(super) fn up_to(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit.saturating_add(1)
    }

    /// A resolver for one handshake, with a generator of its own.
    pub(super) fn resolver(&mut self) -> Resolver {
        Resolver(self.secret())
    }
}

/// snow's own primitives, our randomness.
pub(super) struct Resolver(Zeroizing<[u8; 32]>);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(HandshakeRandom(ChaCha20Rng::from_seed(*self.0))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

struct HandshakeRandom(ChaCha20Rng);

impl Random for HandshakeRandom {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}
