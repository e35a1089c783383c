// SPDX-License-Identifier: AGPL-3.0-or-later
//! Secrets and ids as hexadecimal digits: only where a program asks for it in so many words.

use ratman_wire::api::{AuthToken, NamespaceSeed, StreamId, SubscriptionId};
use zeroize::Zeroizing;

use crate::{Error, Result};

mod sealed {
    pub trait Sealed {}
}

/// Why a text is none of these. What it is instead is not told: it may be most of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct ParseHexError;

/// 32 bytes as 64 hexadecimal digits. None of these types prints itself, or only a part, so that no secret gets into a log by
/// accident; this is for the file where a program keeps it.
pub trait HexText: sealed::Sealed + Sized {
    /// 64 small digits, zeroised when dropped.
    fn to_hex(&self) -> Zeroizing<String>;

    /// From 64 digits, small or large; spaces around them are passed over.
    ///
    /// # Errors
    /// [`ParseHexError`].
    fn from_hex(text: &str) -> Result<Self, ParseHexError>;
}

macro_rules! hex_text {
    ($($type:ty),*) => {$(
        impl sealed::Sealed for $type {}

        impl HexText for $type {
            fn to_hex(&self) -> Zeroizing<String> {
                write(self.as_bytes())
            }

            fn from_hex(text: &str) -> Result<Self, ParseHexError> {
                parse(text).map(|bytes| Self::from_bytes(*bytes))
            }
        }
    )*};
}

hex_text!(AuthToken, NamespaceSeed, StreamId, SubscriptionId);

fn write(bytes: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(64));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 0xF] {
            text.push(char::from_digit(nibble.into(), 16).expect("invariant: below 16"));
        }
    }
    text
}

fn parse(text: &str) -> Result<Zeroizing<[u8; 32]>, ParseHexError> {
    let digits: &[u8; 64] = text.trim_ascii().as_bytes().try_into().map_err(|_| ParseHexError)?;
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [Some(high), Some(low)] = [nibble(pair[0]), nibble(pair[1])] else { return Err(ParseHexError) };
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

/// The seed of a new namespace, from the entropy of the system. Whoever is to be a member needs the same.
///
/// # Errors
/// [`Error::Io`] where the system has no entropy.
pub fn fresh_seed() -> Result<NamespaceSeed> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| Error::Io(error.into()))?;
    Ok(NamespaceSeed::from_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back() {
        let token = AuthToken::from_bytes(std::array::from_fn(|index| u8::try_from(index * 8).unwrap()));
        let text = token.to_hex();
        assert!(text.starts_with("0008101820"), "{}", *text);
        assert_eq!(AuthToken::from_hex(&text), Ok(token.clone()));
        assert_eq!(AuthToken::from_hex(&format!(" {}\n", text.to_uppercase())), Ok(token));
        for wrong in ["", &text[1..], &text.replace('0', "g"), &format!("{}0", *text), &"ß".repeat(32)] {
            assert_eq!(AuthToken::from_hex(wrong), Err(ParseHexError), "{wrong}");
        }
    }

    #[test]
    fn no_two_seeds_are_alike() {
        assert_ne!(fresh_seed().unwrap(), fresh_seed().unwrap());
    }
}
