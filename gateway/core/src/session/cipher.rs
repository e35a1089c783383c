// SPDX-License-Identifier: AGPL-3.0-or-later
//! The AEAD of a session: which one, its key, and sealing and opening where the bytes lie (source: wire page,
//! gateway sessions, transport). ring, because it was measured fastest for small packets (data-path note, V9).

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, KeyInit, Update};
use ratman_wire::session::{Capabilities, DATA_TAG, DataHeader};
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// The length of an authentication tag, in bytes.
pub(super) const TAG: usize = DATA_TAG;

const KEY_DOMAIN: &[u8] = b"irdest transport 1";

/// The AEAD that both ends of a session use for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-GCM, where both machines have AES in hardware: about twice as fast there.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439), fast and constant-time everywhere.
    ChaCha20Poly1305,
}

impl Cipher {
    /// What both ends compute from the capabilities that both said.
    pub(super) const fn agreed(ours: Capabilities, theirs: Capabilities) -> Self {
        let aes = Capabilities::AES_IN_HARDWARE;
        if ours.contains(aes) && theirs.contains(aes) { Self::Aes256Gcm } else { Self::ChaCha20Poly1305 }
    }

    /// The name that Noise gives it, part of the key's derivation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "AESGCM",
            Self::ChaCha20Poly1305 => "ChaChaPoly",
        }
    }
}

/// The key of one direction.
#[derive(Debug)]
pub(super) struct TransportKey(LessSafeKey);

impl TransportKey {
    /// `H(key = split key, "irdest transport 1" ‖ cipher name)`.
    pub(super) fn derive(split: &[u8; 32], cipher: Cipher) -> Self {
        let mut hash =
            <Blake2bMac<U32> as KeyInit>::new_from_slice(split).expect("a BLAKE2b key has up to 64 bytes");
        hash.update(KEY_DOMAIN);
        hash.update(cipher.name().as_bytes());
        // Straight to where it is zeroised: a `Digest` would leave copies behind.
        let mut key = Zeroizing::new([0; 32]);
        hash.finalize_into((&mut *key).into());
        let algorithm = match cipher {
            Cipher::Aes256Gcm => &AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let unbound = UnboundKey::new(algorithm, &key[..]).expect("both ciphers take keys of 32 bytes");
        Self(LessSafeKey::new(unbound))
    }

    /// Encrypts `body` where it lies and returns its tag; `counter` must never come twice.
    pub(super) fn seal(&self, header: &[u8; DataHeader::LEN], counter: u64, body: &mut [u8]) -> [u8; TAG] {
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce(counter), Aad::from(&header[..DataHeader::ASSOCIATED]), body)
            .expect("a body below 32 KiB is never too long");
        tag.as_ref().try_into().expect("both ciphers have tags of 16 bytes")
    }

    /// Decrypts `sealed` (ciphertext and tag) where it lies; nothing if it does not authenticate.
    pub(super) fn open<'a>(
        &self,
        header: &[u8; DataHeader::LEN],
        counter: u64,
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        self.0.open_in_place(nonce(counter), Aad::from(&header[..DataHeader::ASSOCIATED]), sealed).ok()
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}
