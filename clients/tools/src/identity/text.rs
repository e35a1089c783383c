// SPDX-License-Identifier: AGPL-3.0-or-later
//! The text of an identity file: two lines as deployed tools have them, `addr=` and `auth=`, or a JSON object with these two (source:
//! deployed routers, section 2).

use ratman_client::HexText;
use ratman_client::types::{Address, AuthToken};
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use super::SealedToken;

/// What is in the file.
pub(super) struct Stored {
    pub(super) address: Address,
    pub(super) token: StoredToken,
}

/// How the token is in the file.
pub(super) enum StoredToken {
    Plain(AuthToken),
    Sealed(SealedToken),
}

/// Why a file is no identity. What is in it instead is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAnIdentity {
    #[error("no identity: expected a line addr=ADDRESS and a line auth=TOKEN")]
    Form,
    #[error("no identity: addr is no address")]
    Address,
    #[error("no identity: auth is no token")]
    Token,
}

#[derive(Deserialize)]
struct Object {
    addr: String,
    auth: String,
}

impl Drop for Object {
    fn drop(&mut self) {
        self.auth.zeroize();
    }
}

impl Stored {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NotAnIdentity> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotAnIdentity::Form)?;
        if text.trim_start().starts_with('{') {
            let object: Object = serde_json::from_str(text).map_err(|_| NotAnIdentity::Form)?;
            return Self::of(&object.addr, &object.auth);
        }
        let (mut addr, mut auth) = (None, None);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let (key, value) = line.split_once('=').ok_or(NotAnIdentity::Form)?;
            let place = match key.trim_end() {
                "addr" => &mut addr,
                "auth" => &mut auth,
                _ => return Err(NotAnIdentity::Form),
            };
            if place.replace(value.trim_start()).is_some() {
                return Err(NotAnIdentity::Form);
            }
        }
        Self::of(addr.ok_or(NotAnIdentity::Form)?, auth.ok_or(NotAnIdentity::Form)?)
    }

    fn of(addr: &str, auth: &str) -> Result<Self, NotAnIdentity> {
        let address = addr.parse().map_err(|_| NotAnIdentity::Address)?;
        let token = match auth.parse() {
            Ok(sealed) => StoredToken::Sealed(sealed),
            // Deployed tools write it in groups, as an address.
            Err(_) => {
                let mut digits = Zeroizing::new(String::with_capacity(auth.len()));
                digits.extend(auth.chars().filter(|letter| *letter != '-'));
                StoredToken::Plain(AuthToken::from_hex(&digits).map_err(|_| NotAnIdentity::Token)?)
            }
        };
        Ok(Self { address, token })
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        text.push_str("addr=");
        text.push_str(&self.address.to_string());
        text.push_str("\nauth=");
        match &self.token {
            StoredToken::Plain(token) => text.push_str(&token.to_hex()),
            StoredToken::Sealed(sealed) => text.push_str(&sealed.to_string()),
        }
        text.push('\n');
        text
    }
}

/// Bytes as small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]) {
        text.extend(char::from_digit(nibble.into(), 16));
    }
    text
}

/// Exactly so many bytes of hexadecimal digits.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ADDR: &str = "ECB4-30B9-4416-C403-716F-601F-FC56-9AD3-BD2E-3892-227A-84AD-E6FC-A1CE-0A92-03F6";
    const AUTH: &str = "0707070707070707070707070707070707070707070707070707070707070707";

    fn token(text: &str) -> Result<Option<AuthToken>, NotAnIdentity> {
        let stored = Stored::parse(text.as_bytes())?;
        assert_eq!(stored.address.to_string(), ADDR);
        Ok(match stored.token {
            StoredToken::Plain(token) => Some(token),
            StoredToken::Sealed(_) => None,
        })
    }

    #[test]
    fn deployed_forms_are_read() {
        let in_groups = [&"0707-".repeat(15), "0707"].concat();
        let forms = [
            format!("addr={ADDR}\nauth={AUTH}\n"),
            format!("addr={ADDR}\nauth={in_groups}"),
            format!("# mine\n auth = {AUTH}\r\n\naddr = {ADDR}"),
            format!("{{\"addr\":\"{ADDR}\",\"auth\":\"{in_groups}\"}}\n"),
        ];
        for text in forms {
            assert_eq!(token(&text), Ok(Some(AuthToken::from_bytes([7; 32]))), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_and_not_shown() {
        let wrong = [
            (String::new(), NotAnIdentity::Form),
            (format!("addr={ADDR}"), NotAnIdentity::Form),
            (format!("addr={ADDR}\naddr={ADDR}\nauth={AUTH}"), NotAnIdentity::Form),
            (format!("addr={ADDR}\nauth={AUTH}\nname=x"), NotAnIdentity::Form),
            (format!("addr=x\nauth={AUTH}"), NotAnIdentity::Address),
            (format!("addr={ADDR}\nauth={AUTH}07"), NotAnIdentity::Token),
            ("{}".to_owned(), NotAnIdentity::Form),
        ];
        for (text, expected) in wrong {
            assert_eq!(token(&text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(Stored::parse(&bytes).is_err());
        }

        #[test]
        fn digits_come_back(bytes in any::<[u8; 24]>()) {
            prop_assert_eq!(unhex(&hex(&bytes)).map(|bytes| *bytes), Some(bytes));
        }
    }
}
