// SPDX-License-Identifier: AGPL-3.0-or-later
//! A token under a passphrase.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use ratman_client::types::{Address, AuthToken};
use zeroize::Zeroizing;

use super::text::{hex, unhex};

/// The first word of the text.
const FORM: &str = "argon2id-xchacha20poly1305";

/// What one try at the passphrase costs (Argon2id, RFC 9106); kept in the file, so that a later default locks nobody out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// 64 MiB, 3 passes, one lane, as the identity of a gateway: RFC 9106's choice for little memory with one lane, a fraction of a
    /// second.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };

    /// As cheap as Argon2id goes: for tests, worthless against guessing.
    pub const CHEAPEST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// A file may ask for no more than this: it must not exhaust the memory of its reader.
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

/// A token under a passphrase. As a text: its form, memory in KiB, passes, lanes, salt, nonce and what is sealed, with colons between;
/// all before the last, and the address, is associated data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedToken {
    cost: Cost,
    salt: [u8; 16],
    nonce: [u8; 24],
    // 32 bytes and the tag.
    sealed: [u8; 48],
}

/// Why a sealed token does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Costs outside of what this program computes.
    #[error("expected an Argon2id cost of at most 1 GiB, 16 passes and 4 lanes")]
    Cost,
    /// It was sealed under another passphrase, or for another address.
    #[error("wrong passphrase, or the file was changed")]
    Passphrase,
}

impl SealedToken {
    /// Seals; `salt` and `nonce` must be random and never used before.
    ///
    /// # Panics
    /// At a cost that is more than a file may ask for.
    pub fn seal(
        auth: &AuthToken,
        address: &Address,
        passphrase: &[u8],
        cost: Cost,
        salt: [u8; 16],
        nonce: [u8; 24],
    ) -> Self {
        let mut token = Self { cost, salt, nonce, sealed: [0; 48] };
        let sealed = token
            .cipher(passphrase)
            .expect("invariant: our own costs are within the limits")
            .encrypt(&nonce.into(), Payload { msg: auth.as_bytes(), aad: &token.beside(address) })
            .expect("invariant: 32 bytes are within the limits of the cipher");
        token.sealed = sealed.try_into().expect("invariant: the tag has 16 bytes");
        token
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// The passphrase is another one, or what was kept is not as it was made.
    pub fn open(&self, address: &Address, passphrase: &[u8]) -> Result<AuthToken, OpenError> {
        let payload = Payload { msg: &self.sealed, aad: &self.beside(address) };
        let plain = self.cipher(passphrase)?.decrypt(&self.nonce.into(), payload);
        let plain = Zeroizing::new(plain.map_err(|_| OpenError::Passphrase)?);
        let bytes: &[u8; 32] = plain.as_slice().try_into().map_err(|_| OpenError::Passphrase)?;
        Ok(AuthToken::from_bytes(*bytes))
    }

    fn beside(&self, address: &Address) -> Vec<u8> {
        [self.header().as_bytes(), address.as_bytes()].concat()
    }

    fn header(&self) -> String {
        let Cost { memory_kib, passes, lanes } = self.cost;
        format!("{FORM}:{memory_kib}:{passes}:{lanes}:{}:{}", *hex(&self.salt), *hex(&self.nonce))
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<XChaCha20Poly1305, OpenError> {
        let params = self.cost.params().ok_or(OpenError::Cost)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &self.salt, key.as_mut_slice())
            .expect("invariant: lengths of passphrase, salt and key are within RFC 9106");
        Ok(XChaCha20Poly1305::new(&(*key).into()))
    }
}

impl fmt::Display for SealedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.header(), *hex(&self.sealed))
    }
}

/// What a text should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {FORM}, three numbers, salt, nonce and what is sealed")]
pub struct NotSealed;

impl FromStr for SealedToken {
    type Err = NotSealed;

    fn from_str(text: &str) -> Result<Self, NotSealed> {
        let words: Vec<&str> = text.split(':').collect();
        let &[FORM, memory, passes, lanes, salt, nonce, sealed] = words.as_slice() else {
            return Err(NotSealed);
        };
        let number = |text: &str| text.parse().map_err(|_| NotSealed);
        let cost = Cost { memory_kib: number(memory)?, passes: number(passes)?, lanes: number(lanes)? };
        let token = Self {
            cost,
            salt: *unhex(salt).ok_or(NotSealed)?,
            nonce: *unhex(nonce).ok_or(NotSealed)?,
            sealed: *unhex(sealed).ok_or(NotSealed)?,
        };
        // One text each, so that what is associated is what is written.
        if token.to_string() == text { Ok(token) } else { Err(NotSealed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ADDRESS: Address = Address::from_bytes([1; 32]);

    fn sample() -> SealedToken {
        let auth = AuthToken::from_bytes([7; 32]);
        SealedToken::seal(&auth, &ADDRESS, b"secret", Cost::CHEAPEST, [3; 16], [4; 24])
    }

    #[test]
    fn it_opens_with_its_passphrase_for_its_address() {
        let token: SealedToken = sample().to_string().parse().unwrap();
        assert_eq!(token, sample());
        assert_eq!(token.open(&ADDRESS, b"secret"), Ok(AuthToken::from_bytes([7; 32])));
        assert_eq!(token.open(&ADDRESS, b"other"), Err(OpenError::Passphrase));
        assert_eq!(token.open(&Address::from_bytes([2; 32]), b"secret"), Err(OpenError::Passphrase));
    }

    #[test]
    fn every_changed_letter_is_noticed() {
        let text = sample().to_string();
        let costs = text.find("8:").unwrap();
        for at in (0..text.len()).filter(|at| !(costs..costs + 6).contains(at)) {
            let other = if text[at..].starts_with('1') { "2" } else { "1" };
            let changed = [&text[..at], other, &text[at + 1..]].concat();
            let opened = changed.parse::<SealedToken>().map(|token| token.open(&ADDRESS, b"secret"));
            assert!(matches!(opened, Err(NotSealed) | Ok(Err(OpenError::Passphrase))), "{at} of {text}");
        }
    }

    #[test]
    fn a_file_does_not_exhaust_the_memory() {
        let greedy = sample().to_string().replacen(":8:", ":4000000000:", 1);
        let token: SealedToken = greedy.parse().unwrap();
        assert_eq!(token.open(&ADDRESS, b"secret"), Err(OpenError::Cost));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".{0,300}") {
            prop_assert!(text.parse::<SealedToken>().is_err());
        }
    }
}
