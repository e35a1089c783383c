// SPDX-License-Identifier: AGPL-3.0-or-later
//! The record of an address in the database: what is known of it, the seed of its key, sealed under the auth token, and a checksum.
//!
//! | field | bytes | |
//! |---|---|---|
//! | version | 1 | 2; version 1 is without the next three |
//! | made | 8 | microseconds since 1970; 0 where that is not known |
//! | used | 8 | when its token was shown last, give or take an hour; 0 where it was not |
//! | user | 5 | 1 and the id of the user who made it, big-endian; zeros where that is not known |
//! | nonce | 24 | XChaCha20-Poly1305's |
//! | sealed | 48 | the seed, and the tag; associated data are 1 and the address |
//! | checksum | 32 | BLAKE2b of the address and everything before: tells a damaged record from a wrong token |
//!
//! The key is BLAKE2b, keyed with the token, of `irdest address key 1` and the address. The token has 256 random bits, so that
//! nobody guesses it and nothing need make guessing slow, as Argon2id does for passphrases (decisions/addresses-at-rest.md).

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use ratman_types::{Address, SecretKey, Signer, WallTime, blake2b, blake2b_keyed};
use zeroize::Zeroizing;

use super::{AuthToken, Life};

const VERSION: u8 = 2;
/// Records of which only key and address are known.
const VERSION_1: u8 = 1;
/// How the seed is sealed.
const SEAL: u8 = 1;
const LIFE: usize = 8 + 8 + 5;
const NONCE: usize = 24;
const SEALED: usize = 32 + 16;
const CHECKSUM: usize = 32;

/// The exact length of a record.
pub(super) const LENGTH: usize = 1 + LIFE + NONCE + SEALED + CHECKSUM;
const LENGTH_1: usize = LENGTH - LIFE;

/// Why the record of an address is of no use, whatever the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Written by a later version of this program.
    #[error("expected version {VERSION} of its record, got {0}")]
    Version(u8),
    /// Cut short or grown.
    #[error("expected a record of {LENGTH} bytes, or {LENGTH_1} of version 1, got {0}")]
    Length(usize),
    /// Some byte has changed since it was written, or it is another address's.
    #[error("the checksum of its record does not fit")]
    Checksum,
}

/// A record that is whole, and still sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(super) life: Life,
    nonce: [u8; NONCE],
    sealed: [u8; SEALED],
}

impl Record {
    /// Seals a key; `nonce` is random.
    pub(super) fn seal(key: &SecretKey, token: &AuthToken, nonce: [u8; NONCE], life: Life) -> Self {
        let address = key.address();
        let sealed = cipher(&address, token)
            .encrypt(&nonce.into(), Payload { msg: key.seed(), aad: &associated(&address) })
            .expect("32 bytes are within the limits of the cipher");
        Self { life, nonce, sealed: sealed.try_into().expect("invariant: a seed and a tag") }
    }

    /// The key, if this is the token.
    pub(super) fn open(&self, address: &Address, token: &AuthToken) -> Option<SecretKey> {
        let payload = Payload { msg: &self.sealed, aad: &associated(address) };
        let seed = Zeroizing::new(cipher(address, token).decrypt(&self.nonce.into(), payload).ok()?);
        let seed = Zeroizing::new(<[u8; 32]>::try_from(seed.as_slice()).ok()?);
        Some(SecretKey::from_seed(*seed))
    }

    /// The bytes for the database, in the newest version.
    pub(crate) fn to_bytes(self, address: &Address) -> [u8; LENGTH] {
        let Life { made, used, uid } = self.life;
        let micros = |time: Option<WallTime>| time.unwrap_or_default().as_micros().to_be_bytes();
        let (tag, uid) = (u8::from(uid.is_some()), uid.unwrap_or_default().to_be_bytes());
        let content = [&[VERSION][..], &micros(made), &micros(used), &[tag], &uid, &self.nonce, &self.sealed];
        let content = content.concat();
        let mut bytes = [0; LENGTH];
        bytes[..LENGTH - CHECKSUM].copy_from_slice(&content);
        bytes[LENGTH - CHECKSUM..].copy_from_slice(blake2b(&[address.as_bytes(), &content]).as_bytes());
        bytes
    }

    /// What is in the database for an address.
    pub(crate) fn parse(address: &Address, bytes: &[u8]) -> Result<Self, Damage> {
        let expected = match bytes.first() {
            Some(&VERSION) | None => LENGTH,
            Some(&VERSION_1) => LENGTH_1,
            Some(&other) => return Err(Damage::Version(other)),
        };
        if bytes.len() != expected {
            return Err(Damage::Length(bytes.len()));
        }
        let (content, sum) = bytes.split_at(expected - CHECKSUM);
        if blake2b(&[address.as_bytes(), content]).as_bytes() != sum {
            return Err(Damage::Checksum);
        }
        let (life, rest) = content[1..].split_at(content.len() - 1 - NONCE - SEALED);
        let (nonce, sealed) = rest.split_at(NONCE);
        let invariant = "invariant: the length was compared";
        Ok(Self {
            life: life.try_into().map_or_else(|_| Life::default(), parse_life),
            nonce: nonce.try_into().expect(invariant),
            sealed: sealed.try_into().expect(invariant),
        })
    }
}

/// Whatever the bytes are they mean something: the checksum has shown that they are as they were written.
fn parse_life(bytes: &[u8; LIFE]) -> Life {
    let [m0, m1, m2, m3, m4, m5, m6, m7, u0, u1, u2, u3, u4, u5, u6, u7, tag, uid @ ..] = *bytes;
    let time = |micros| Some(WallTime::from_micros(u64::from_be_bytes(micros)));
    let known = |time: &WallTime| *time > WallTime::default();
    Life {
        made: time([m0, m1, m2, m3, m4, m5, m6, m7]).filter(known),
        used: time([u0, u1, u2, u3, u4, u5, u6, u7]).filter(known),
        uid: (tag == 1).then_some(u32::from_be_bytes(uid)),
    }
}

fn associated(address: &Address) -> [u8; 33] {
    let mut bytes = [SEAL; 33];
    bytes[1..].copy_from_slice(address.as_bytes());
    bytes
}

fn cipher(address: &Address, token: &AuthToken) -> XChaCha20Poly1305 {
    let derived = blake2b_keyed(token.as_bytes(), &[b"irdest address key 1", address.as_bytes()]);
    let key = Zeroizing::new(*derived.as_bytes());
    XChaCha20Poly1305::new(&(*key).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> (Address, AuthToken, Record) {
        let (key, token) = (SecretKey::from_seed([1; 32]), AuthToken::from_bytes([2; 32]));
        (key.address(), token.clone(), Record::seal(&key, &token, [3; 24], LIFE_OF_IT))
    }

    const LIFE_OF_IT: Life = Life {
        made: Some(WallTime::from_micros(258)),
        used: Some(WallTime::from_micros(259)),
        uid: Some(1_000),
    };

    #[test]
    fn the_layout_is_the_documented_one() {
        let (address, token, record) = sample();
        let bytes = record.to_bytes(&address);
        let life = [2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 3, 1, 0, 0, 3, 232];
        assert_eq!((bytes.len(), &bytes[..22], &bytes[22..46]), (126, &life[..], &[3; 24][..]));
        let key = blake2b_keyed(token.as_bytes(), &[b"irdest address key 1", address.as_bytes()]);
        let aad = [&[1][..], address.as_bytes()].concat();
        let sealed = XChaCha20Poly1305::new(key.as_bytes().into())
            .encrypt(&[3; 24].into(), Payload { msg: &[1; 32], aad: &aad })
            .unwrap();
        assert_eq!(bytes[46..94], sealed[..]);
        assert_eq!(bytes[94..], *blake2b(&[address.as_bytes(), &bytes[..94]]).as_bytes());
        // Version 1, as it was written before.
        let before = [&[1][..], &[3; 24], &sealed].concat();
        let sum = blake2b(&[address.as_bytes(), &before]);
        let before = Record::parse(&address, &[&before[..], sum.as_bytes()].concat()).unwrap();
        assert_eq!(before, Record { life: Life::default(), ..record });
        assert_eq!(Record::parse(&address, &before.to_bytes(&address)), Ok(before));
        assert_eq!(before.open(&address, &token).unwrap().seed(), &[1; 32]);
    }

    #[test]
    fn it_opens_with_its_token_for_its_address_only() {
        let (address, token, record) = sample();
        assert_eq!(record.open(&address, &token).unwrap().seed(), &[1; 32]);
        let mut other = *token.as_bytes();
        other[31] ^= 1;
        assert!(record.open(&address, &AuthToken::from_bytes(other)).is_none());
        let another = SecretKey::from_seed([9; 32]).address();
        assert!(record.open(&another, &token).is_none());
        assert_eq!(Record::parse(&another, &record.to_bytes(&address)), Err(Damage::Checksum));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let (address, token, record) = sample();
        let bytes = record.to_bytes(&address);
        assert_eq!(Record::parse(&address, &bytes), Ok(record));
        for length in 0..bytes.len() {
            assert_eq!(Record::parse(&address, &bytes[..length]), Err(Damage::Length(length)));
        }
        for index in 0..bytes.len() {
            let mut changed = bytes;
            changed[index] ^= 0x10;
            let expected = if index == 0 { Damage::Version(VERSION ^ 0x10) } else { Damage::Checksum };
            assert_eq!(Record::parse(&address, &changed), Err(expected), "byte {index}");
        }
        let mut changed = bytes;
        changed[0] = VERSION_1;
        assert_eq!(Record::parse(&address, &changed), Err(Damage::Length(LENGTH)));
        // One who can write a checksum still meets the tag.
        for index in 0..SEALED {
            let mut forged = record;
            forged.sealed[index] ^= 0x10;
            assert!(forged.open(&address, &token).is_none(), "byte {index}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(seed: [u8; 32], bytes in prop::collection::vec(any::<u8>(), 0..160)) {
            let address = Address::from_bytes(seed);
            if let Ok(record) = Record::parse(&address, &bytes) {
                prop_assert_eq!(Record::parse(&address, &record.to_bytes(&address)), Ok(record));
            }
        }
    }
}
