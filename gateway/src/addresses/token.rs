// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a client proves with that an address is its own.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The auth token of one address: 32 random bytes, which the client keeps and the daemon does not; zeroised when dropped and
/// never printed but by [`AuthToken::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct AuthToken(Secret);

/// What a text should have been.
const EXPECTED: &str = "an auth token of 64 hexadecimal digits";

/// Why a text is no token; it does not say what the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct ParseTokenError;

impl AuthToken {
    /// A token that a client sent.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// A fresh one.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        // Deployed 0.6 clients read a zero as the end of it (source: deployed routers, section 2).
        let fill = |bytes: &mut [u8; 32]| {
            while bytes.contains(&0) {
                getrandom::fill(bytes)?;
            }
            Ok(())
        };
        Secret::made(fill).map(Self)
    }

    /// Reads one with nothing but spaces and line ends around it; nothing if that is something else.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(from: impl Read) -> io::Result<Option<Self>> {
        Ok(Secret::read(from)?.map(Self))
    }

    /// The 32 bytes, as in the microframes of the client protocol.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The token for the one whose it is: 64 hexadecimal digits.
    pub fn reveal(&self) -> Zeroizing<String> {
        self.0.text()
    }
}

impl fmt::Debug for AuthToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthToken(…)")
    }
}

impl FromStr for AuthToken {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        Secret::parse(text.as_bytes()).map(Self).ok_or(ParseTokenError)
    }
}

/// As [`AuthToken::reveal`]: for the control socket, whose other end the kernel has named.
impl Serialize for AuthToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AuthToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer, EXPECTED).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_on_request_only() {
        let token = AuthToken::from_bytes([0xAB; 32]);
        assert_eq!(format!("{token:?}"), "AuthToken(…)");
        assert_eq!(*token.reveal(), "ab".repeat(32));
        assert_eq!(serde_json::to_string(&token).unwrap(), format!("\"{}\"", "ab".repeat(32)));
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        let text = "0123456789abcdefABCDEF00112233445566778899aabbccddeeff0011223344";
        let token: AuthToken = text.parse().unwrap();
        assert_eq!((token.as_bytes()[0], token.as_bytes()[8], token.as_bytes()[31]), (0x01, 0xAB, 0x44));
        assert_eq!(*token.reveal(), text.to_lowercase());
        for wrong in ["", "01", &text[1..], &format!("{text}0"), &text.replace('f', "g"), &"é".repeat(32)] {
            assert_eq!(wrong.parse::<AuthToken>(), Err(ParseTokenError), "{wrong}");
            let line = serde_json::to_string(wrong).unwrap();
            let error = serde_json::from_str::<AuthToken>(&line).unwrap_err().to_string();
            assert!(error.starts_with("expected an auth token of 64 hexadecimal digits"), "{error}");
        }
    }

    #[test]
    fn fresh_tokens_differ_and_have_no_zero() {
        let [one, other] = [(), ()].map(|()| AuthToken::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one, one.clone());
        assert!(!one.as_bytes().contains(&0) && !other.as_bytes().contains(&0));
    }
}
