// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whom a frame is for.

use core::fmt;
use core::str::FromStr;

use crate::{Address, Namespace, ParseKeyError};

/// What stands before the key of a namespace in a text, where an address could stand too.
const NAMESPACE: &str = "namespace:";

/// The recipient of an addressed frame (source: wire page, carrier frame).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// One application.
    Address(Address),
    /// Everybody who subscribed.
    Namespace(Namespace),
}

impl Recipient {
    /// The ed25519 key that it is.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        match self {
            Self::Address(address) => address.as_bytes(),
            Self::Namespace(namespace) => namespace.as_bytes(),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Namespace(namespace) => write!(f, "{NAMESPACE}{namespace}"),
        }
    }
}

/// An address as it is, a namespace with `namespace:` before it.
impl FromStr for Recipient {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        match text.strip_prefix(NAMESPACE) {
            Some(key) => key.parse().map(Self::Namespace),
            None => text.parse().map(Self::Address),
        }
    }
}

impl serde::Serialize for Recipient {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Recipient {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_which_of_the_two_it_is() {
        let (address, namespace) = (Address::from_bytes([0xAB; 32]), Namespace::from_bytes([0xAB; 32]));
        for recipient in [Recipient::Address(address), Recipient::Namespace(namespace)] {
            assert_eq!(recipient.to_string().parse(), Ok(recipient));
            let json = serde_json::to_string(&recipient).unwrap();
            assert_eq!(json, format!("\"{recipient}\""));
            assert_eq!(serde_json::from_str::<Recipient>(&json).unwrap(), recipient);
        }
        assert_eq!(format!("namespace:{address}").parse(), Ok(Recipient::Namespace(namespace)));
        assert_eq!("namespace:".parse::<Recipient>(), Err(ParseKeyError::Shape(0)));
    }
}
