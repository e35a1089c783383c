// SPDX-License-Identifier: AGPL-3.0-or-later
//! One message of Noise_K, with an ephemeral key that comes in from outside.

use ratman_types::SecretKey;
use ratman_wire::stream::SEALING;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error};
use zeroize::Zeroizing;

const NOISE: &str = "Noise_K_25519_ChaChaPoly_BLAKE2s";

/// Seals `plaintext` from `sender` to an X25519 key.
///
/// # Panics
/// If the plaintext is too long for one message: longer than a manifest can be.
pub(crate) fn seal(
    sender: &SecretKey,
    recipient: &[u8; 32],
    prologue: &[u8],
    ephemeral: Zeroizing<[u8; 32]>,
    plaintext: &[u8],
) -> Vec<u8> {
    let secret = Zeroizing::new(sender.to_x25519().to_bytes());
    let mut state = builder(&secret, recipient, prologue, OneKey(Some(ephemeral)))
        .build_initiator()
        .expect("every key is there");
    let mut message = vec![0; plaintext.len() + SEALING];
    let written = state.write_message(plaintext, &mut message).expect("what we seal fits one message");
    assert_eq!(written, message.len(), "sealing adds a fixed length");
    message
}

/// Opens a message from an X25519 key to `recipient`; nothing if the seal does not hold.
pub(crate) fn open(
    recipient: &SecretKey,
    sender: &[u8; 32],
    prologue: &[u8],
    message: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let secret = Zeroizing::new(recipient.to_x25519().to_bytes());
    let mut state =
        builder(&secret, sender, prologue, OneKey(None)).build_responder().expect("every key is there");
    let mut plaintext = Zeroizing::new(vec![0; message.len().checked_sub(SEALING)?]);
    let written = state.read_message(message, &mut plaintext).ok()?;
    assert_eq!(written, plaintext.len(), "sealing adds a fixed length");
    Some(plaintext)
}

fn builder<'a>(
    secret: &'a [u8; 32],
    remote: &'a [u8; 32],
    prologue: &'a [u8],
    random: OneKey,
) -> Builder<'a> {
    Builder::with_resolver(NOISE.parse().expect("a valid Noise name"), Box::new(Resolver(random)))
        .local_private_key(secret)
        .and_then(|builder| builder.remote_public_key(remote))
        .and_then(|builder| builder.prologue(prologue))
        .expect("each is given once")
}

/// snow's own primitives, our one key.
struct Resolver(OneKey);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(self.0.clone()))
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

/// Randomness for one key, and none for a second.
#[derive(Clone)]
struct OneKey(Option<Zeroizing<[u8; 32]>>);

impl Random for OneKey {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let key = self.0.take().filter(|key| key.len() == bytes.len()).ok_or(Error::Rng)?;
        bytes.copy_from_slice(&key[..]);
        Ok(())
    }
}
