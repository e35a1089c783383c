// SPDX-License-Identifier: AGPL-3.0-or-later
//! The identity file: a header in the clear, two seeds sealed under a key derived from the passphrase, a checksum.
//!
//! | field | bytes | |
//! |---|---|---|
//! | magic | 15 | `irdest identity` |
//! | version | 1 | 1 |
//! | memory, passes, lanes | 4 each | Argon2id's (RFC 9106), memory in KiB, big-endian |
//! | salt | 16 | Argon2id's |
//! | nonce | 24 | XChaCha20-Poly1305's |
//! | sealed | 80 | seed of the address ‖ seed of the router id, and the tag; everything before is associated data |
//! | checksum | 32 | BLAKE2b of everything before: tells a damaged file from a wrong passphrase |

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use ratman_types::blake2b;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const MAGIC: &[u8; 15] = b"irdest identity";
const VERSION: u8 = 1;
const HEADER: usize = 15 + 1 + 12 + 16 + 24;
const SEALED: usize = 64 + 16;
const CHECKSUM: usize = 32;

/// The exact length of the file.
const LENGTH: usize = HEADER + SEALED + CHECKSUM;

/// What one try at the passphrase costs (Argon2id, RFC 9106); kept in the file, so that a later default does not
/// lock anybody out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// 64 MiB, 3 passes, one lane: RFC 9106's choice for little memory with one lane, since nobody waits on the others;
    /// a fraction of a second once per start.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };

    /// As cheap as Argon2id goes: for tests, worthless against guessing.
    pub const CHEAPEST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// A file may ask for no more than this: it must not exhaust the memory of a small router or hang its start.
    const MOST: Self = Self { memory_kib: 1024 * 1024, passes: 16, lanes: 4 };

    fn params(self) -> Option<Params> {
        let Self { memory_kib, passes, lanes } = self;
        let most = Self::MOST;
        if memory_kib > most.memory_kib || passes > most.passes || lanes > most.lanes {
            return None;
        }
        Params::new(memory_kib, passes, lanes, Some(32)).ok()
    }
}

/// Why an identity file does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsealError {
    /// Cut short or grown.
    #[error("damaged identity: expected {LENGTH} bytes, got {0}; restore it from a backup")]
    Length(usize),
    /// Another kind of file.
    #[error("not an identity file: expected it to begin with \"irdest identity\"")]
    Magic,
    /// Written by a later version of this program.
    #[error("expected version {VERSION} of the identity file, got {0}")]
    Version(u8),
    /// Some byte has changed since it was written.
    #[error("damaged identity: its checksum does not fit; restore it from a backup")]
    Checksum,
    /// Costs outside of what this program computes.
    #[error("expected an Argon2id cost of at most 1 GiB, 16 passes and 4 lanes, got {0:?}")]
    Cost(Cost),
    /// The file is whole, so it was sealed under another passphrase.
    #[error("wrong passphrase; the identity was left as it is")]
    Passphrase,
}

/// What is sealed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Seeds {
    pub(super) address: [u8; 32],
    pub(super) router: [u8; 32],
}

/// The part of the file in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 24],
}

impl Header {
    pub(crate) fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let parts: [&[u8]; 7] = [
            MAGIC,
            &[VERSION],
            &self.cost.memory_kib.to_be_bytes(),
            &self.cost.passes.to_be_bytes(),
            &self.cost.lanes.to_be_bytes(),
            &self.salt,
            &self.nonce,
        ];
        let mut rest = bytes.as_mut_slice();
        for part in parts {
            let (head, tail) = rest.split_at_mut(part.len());
            head.copy_from_slice(part);
            rest = tail;
        }
        bytes
    }
}

/// Seals `seeds`; `salt` and `nonce` must be random and never used before.
pub(super) fn seal(seeds: &Seeds, passphrase: &[u8], cost: Cost, salt: [u8; 16], nonce: [u8; 24]) -> Vec<u8> {
    let header = Header { cost, salt, nonce };
    let mut bytes = header.to_bytes().to_vec();
    let mut plain = Zeroizing::new([0; 64]);
    plain[..32].copy_from_slice(&seeds.address);
    plain[32..].copy_from_slice(&seeds.router);
    let sealed = cipher(&header, passphrase)
        .expect("our own costs are within the limits")
        .encrypt(&nonce.into(), Payload { msg: plain.as_slice(), aad: &bytes })
        .expect("64 bytes are within the limits of the cipher");
    bytes.extend_from_slice(&sealed);
    let checksum = blake2b(&[&bytes]);
    bytes.extend_from_slice(checksum.as_bytes());
    bytes
}

/// Opens what [`seal`] made.
pub(super) fn unseal(bytes: &[u8], passphrase: &[u8]) -> Result<Seeds, UnsealError> {
    let (header, sealed) = parse_header(bytes)?;
    let plain = cipher(&header, passphrase)?
        .decrypt(&header.nonce.into(), Payload { msg: sealed, aad: &bytes[..HEADER] })
        .map_err(|_| UnsealError::Passphrase)?;
    let plain = Zeroizing::new(plain);
    let (address, router) = plain.split_at(32);
    Ok(Seeds {
        address: address.try_into().expect("64 bytes were sealed"),
        router: router.try_into().expect("64 bytes were sealed"),
    })
}

/// The header of a whole and undamaged file, and its sealed part; derives no key.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<(Header, &[u8]), UnsealError> {
    let magic = MAGIC.len().min(bytes.len());
    if bytes[..magic] != MAGIC[..magic] {
        return Err(UnsealError::Magic);
    }
    match bytes.get(MAGIC.len()) {
        Some(&VERSION) => {}
        Some(&other) => return Err(UnsealError::Version(other)),
        None => return Err(UnsealError::Length(bytes.len())),
    }
    if bytes.len() != LENGTH {
        return Err(UnsealError::Length(bytes.len()));
    }
    let (content, checksum) = bytes.split_at(LENGTH - CHECKSUM);
    if blake2b(&[content]).as_bytes() != checksum {
        return Err(UnsealError::Checksum);
    }
    let (mut rest, sealed) = content.split_at(HEADER);
    rest = &rest[MAGIC.len() + 1..];
    let cost = Cost {
        memory_kib: u32::from_be_bytes(take(&mut rest)),
        passes: u32::from_be_bytes(take(&mut rest)),
        lanes: u32::from_be_bytes(take(&mut rest)),
    };
    Ok((Header { cost, salt: take(&mut rest), nonce: take(&mut rest) }, sealed))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (head, tail) = bytes.split_first_chunk().expect("the length was checked");
    *bytes = tail;
    *head
}

fn cipher(header: &Header, passphrase: &[u8]) -> Result<XChaCha20Poly1305, UnsealError> {
    let params = header.cost.params().ok_or(UnsealError::Cost(header.cost))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, &header.salt, key.as_mut_slice())
        .expect("lengths of passphrase, salt and key are within RFC 9106");
    Ok(XChaCha20Poly1305::new(&(*key).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let seeds = Seeds { address: [1; 32], router: [2; 32] };
        seal(&seeds, b"correct horse", Cost::CHEAPEST, [3; 16], [4; 24])
    }

    #[test]
    fn what_was_sealed_opens_again() {
        let seeds = unseal(&sample(), b"correct horse").unwrap();
        assert_eq!((seeds.address, seeds.router), ([1; 32], [2; 32]));
        assert_eq!(unseal(&sample(), b"Correct horse").err(), Some(UnsealError::Passphrase));
        assert_eq!(unseal(&sample(), b"").err(), Some(UnsealError::Passphrase));
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = sample();
        assert_eq!(bytes.len(), 180);
        assert_eq!(bytes[..16], *b"irdest identity\x01");
        assert_eq!(bytes[16..28], [0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!((&bytes[28..44], &bytes[44..68]), ([3; 16].as_slice(), [4; 24].as_slice()));
        assert_eq!(bytes[148..], *blake2b(&[&bytes[..148]]).as_bytes());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert_eq!(unseal(&bytes[..length], b"correct horse").err(), Some(UnsealError::Length(length)));
        }
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0x10;
            let expected = match index {
                0..15 => UnsealError::Magic,
                15 => UnsealError::Version(VERSION ^ 0x10),
                _ => UnsealError::Checksum,
            };
            assert_eq!(unseal(&changed, b"correct horse").err(), Some(expected), "byte {index}");
        }
    }

    #[test]
    fn a_forged_header_neither_opens_nor_exhausts_memory() {
        let mut bytes = sample();
        bytes.truncate(LENGTH - CHECKSUM);
        bytes[16] = 0xff;
        bytes.extend_from_slice(blake2b(&[&bytes]).clone().as_bytes());
        assert!(matches!(unseal(&bytes, b"correct horse"), Err(UnsealError::Cost(_))));

        let mut bytes = sample();
        bytes.truncate(LENGTH - CHECKSUM);
        bytes[19] = 16; // another cost than it was sealed at
        bytes.extend_from_slice(blake2b(&[&bytes]).clone().as_bytes());
        assert_eq!(unseal(&bytes, b"correct horse").err(), Some(UnsealError::Passphrase));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(unseal(&bytes, b"").is_err());
        }
    }
}
