// SPDX-License-Identifier: AGPL-3.0-or-later
//! The three kinds of public key on the mesh, apart by type: an [`Address`] belongs to one application, a
//! [`Namespace`] is shared by many, a [`RouterId`] names a router to its direct neighbours.

use core::fmt;
use core::str::FromStr;

/// Why a text is not a key.
///
/// The form is 16 groups of 4 hexadecimal digits joined by `-` (source: deployed routers, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// Not 16 groups of 4 characters.
    #[error("expected 16 groups of 4 hexadecimal digits joined by '-', got {0} characters")]
    Shape(usize),
    /// A character that is not a hexadecimal digit.
    #[error("expected hexadecimal digits, got {0:?}")]
    Digit(char),
}

fn parse(text: &str) -> Result<[u8; 32], ParseKeyError> {
    let shape = ParseKeyError::Shape(text.chars().count());
    let mut bytes = [0; 32];
    let mut groups = text.split('-');
    for pair in bytes.chunks_exact_mut(2) {
        let group = groups.next().filter(|group| group.chars().count() == 4).ok_or(shape)?;
        let mut value = 0_u16;
        for digit in group.chars() {
            let nibble = digit.to_digit(16).ok_or(ParseKeyError::Digit(digit))?;
            value = value << 4 | u16::try_from(nibble).expect("a hexadecimal digit fits");
        }
        pair.copy_from_slice(&value.to_be_bytes());
    }
    if groups.next().is_some() { Err(shape) } else { Ok(bytes) }
}

fn write_groups(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, pair) in bytes.chunks_exact(2).enumerate() {
        if index > 0 {
            f.write_str("-")?;
        }
        write!(f, "{:02X}{:02X}", pair[0], pair[1])?;
    }
    Ok(())
}

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes as they are; whether they are a usable key is asked with
            /// [`is_valid_key`](crate::is_valid_key).
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of the key, as on the wire.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first four groups, enough for a person to tell keys apart in a table or a log.
            pub fn short(&self) -> String {
                self.to_string()[..19].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_groups(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseKeyError;

            fn from_str(text: &str) -> Result<Self, ParseKeyError> {
                parse(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

public_key! {
    /// The ed25519 public key of one application; routers learn in which direction it lies.
    Address
}
public_key! {
    /// An ed25519 public key whose secret many applications share.
    Namespace
}
public_key! {
    /// The ed25519 public key of a router, told to direct neighbours only and never announced.
    RouterId
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "ECB4-30B9-4416-C403-716F-601F-FC56-9AD3-BD2E-3892-227A-84AD-E6FC-A1CE-0A92-03F6";

    #[test]
    fn the_manuals_example_parses_and_prints() {
        let address: Address = TEXT.parse().unwrap();
        assert_eq!(address.as_bytes()[..3], [0xEC, 0xB4, 0x30]);
        assert_eq!(address.to_string(), TEXT);
        assert_eq!(TEXT.to_lowercase().parse::<Address>().unwrap(), address);
        assert_eq!(address.short(), "ECB4-30B9-4416-C403");
    }

    #[test]
    fn other_shapes_are_refused() {
        assert_eq!("".parse::<Address>(), Err(ParseKeyError::Shape(0)));
        assert_eq!(TEXT[5..].parse::<Address>(), Err(ParseKeyError::Shape(74)));
        assert_eq!(format!("{TEXT}-0000").parse::<Address>(), Err(ParseKeyError::Shape(84)));
        assert_eq!(TEXT.replace('-', ":").parse::<Address>(), Err(ParseKeyError::Shape(79)));
        assert_eq!(TEXT.replace('E', "G").parse::<Address>(), Err(ParseKeyError::Digit('G')));
        assert_eq!(TEXT.replace("ECB4", "ÄÄ").parse::<Address>(), Err(ParseKeyError::Shape(77)));
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(bytes: [u8; 32]) {
            let id = RouterId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<RouterId>().unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<RouterId>(&json).unwrap(), id);
        }

        #[test]
        fn any_text_is_answered(text: String) {
            let _ = text.parse::<Address>();
        }
    }
}
