// SPDX-License-Identifier: AGPL-3.0-or-later
//! Sealing of manifests: Noise_K_25519_ChaChaPoly_BLAKE2s between the X25519 forms of sender and recipient (source: wire
//! page, streams; the Noise specification, revision 34).
//!
//! The prologue binds both ed25519 keys, since each X25519 key belongs to two. There is no forward secrecy: whoever
//! learns the recipient's key reads every manifest that was ever sealed to it. Whoever has a namespace's key can seal in
//! any sender's name: there the frame's signature alone says from whom a manifest is.

use core::fmt;

use ratman_types::{Address, Digest, Recipient, SecretKey, Signer, blake2b, to_x25519};
use ratman_wire::stream::{MAX_SEALED, Manifest, SEALING};
use ratman_wire::{DecodeError, Writer};
use zeroize::Zeroizing;

use super::noise;

const PROLOGUE_DOMAIN: &[u8] = b"irdest manifest 2";

/// A manifest as it travels, cut into slices that are named by its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedManifest {
    hash: Digest,
    // INVARIANT: H(bytes) is hash; MAX_SEALED at most.
    bytes: Vec<u8>,
}

/// 32 random bytes that seal one manifest and no other: with the same ones twice, both could be read.
pub struct EphemeralKey(Zeroizing<[u8; 32]>);

impl EphemeralKey {
    /// Takes what the driver's entropy source gave.
    pub const fn new(random: Zeroizing<[u8; 32]>) -> Self {
        Self(random)
    }
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EphemeralKey(…)")
    }
}

/// Why a manifest cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The letterhead names another sender than the key's address.
    #[error("the letterhead is not from the address that seals")]
    Sender,
    /// The recipient is no usable key.
    #[error("the recipient is not a usable key")]
    Recipient,
}

/// Why a sealed manifest is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The sender is no usable key.
    #[error("the sender is not a usable key")]
    Sender,
    /// Not sealed by this sender to this recipient, or changed on the way.
    #[error("the seal does not hold")]
    Seal,
    /// What was sealed is no manifest.
    #[error("no manifest: {0}")]
    Decode(#[from] DecodeError),
    /// The letterhead names others than the frame's header.
    #[error("the letterhead names others than the header")]
    Letterhead,
}

impl SealedManifest {
    /// Seals a manifest to the recipient in its letterhead.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(manifest: &Manifest, sender: &SecretKey, ephemeral: EphemeralKey) -> Result<Self, SealError> {
        let letterhead = manifest.letterhead();
        if letterhead.from != sender.address() {
            return Err(SealError::Sender);
        }
        let recipient = to_x25519(letterhead.to.as_bytes()).ok_or(SealError::Recipient)?;
        let prologue = prologue(&letterhead.from, &letterhead.to);
        let bytes = noise::seal(sender, &recipient, &prologue, ephemeral.0, &manifest.encode());
        Ok(Self { hash: blake2b(&[&bytes]), bytes })
    }

    /// Takes the joined bytes of all slices; nothing if they are not those of this hash, or too few or too many for a
    /// manifest.
    pub fn from_slices(hash: Digest, bytes: Vec<u8>) -> Option<Self> {
        let is_one = (SEALING..=MAX_SEALED).contains(&bytes.len()) && blake2b(&[&bytes]) == hash;
        is_one.then_some(Self { hash, bytes })
    }

    /// Opens a manifest with the recipient's key; sender and recipient are those of the frames' headers.
    ///
    /// # Errors
    /// [`OpenError`]; also with a key that is not the recipient's.
    pub fn open(
        &self,
        sender: &Address,
        recipient: &Recipient,
        key: &SecretKey,
    ) -> Result<Manifest, OpenError> {
        let sender_key = to_x25519(sender.as_bytes()).ok_or(OpenError::Sender)?;
        let prologue = prologue(sender, recipient);
        let plaintext = noise::open(key, &sender_key, &prologue, &self.bytes).ok_or(OpenError::Seal)?;
        let manifest = Manifest::decode(&plaintext)?;
        let letterhead = manifest.letterhead();
        if letterhead.from != *sender || letterhead.to != *recipient {
            return Err(OpenError::Letterhead);
        }
        Ok(manifest)
    }

    /// The name of its slices.
    pub const fn hash(&self) -> Digest {
        self.hash
    }

    /// What is cut into slices.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SealedManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedManifest({:?}, {} bytes)", self.hash, self.bytes.len())
    }
}

fn prologue(sender: &Address, recipient: &Recipient) -> Vec<u8> {
    let mut prologue = PROLOGUE_DOMAIN.to_vec();
    Writer::new(&mut prologue).bytes(sender.as_bytes()).recipient(recipient);
    prologue
}

#[cfg(test)]
mod tests;
