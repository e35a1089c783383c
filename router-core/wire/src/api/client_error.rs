// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a router objects to, as deployed clients read it (source: deployed routers, section 8.3). The only part of the
//! protocol in bincode: little-endian, variants in four bytes, lengths in eight.

use super::field::Field;
use super::text::Text;
use super::{ApiMode, SubscriptionId};
use crate::{DecodeError, Reader, Writer};

/// The most bytes of a text in an error.
pub const MAX_ERROR_TEXT: usize = 4096;

/// A text in an error.
pub type ErrorText = Text<MAX_ERROR_TEXT>;

/// Why a router did not do what a client asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Client and router do not speak the same version.
    #[error("the router speaks version {0} of the client protocol, the client {1}")]
    IncompatibleVersion(ErrorText, ErrorText),
    /// The token is not that of an address that is up, or there is none.
    #[error("the token is not that of an address that is up")]
    InvalidAuth,
    /// The connection broke.
    #[error("the connection was lost")]
    ConnectionLost,
    /// The router does not do this.
    #[error("the router does not support this")]
    NotSupported,
    /// There is no such address.
    #[error("there is no such address")]
    NoAddress,
    /// The address is there already.
    #[error("the address is there already")]
    DuplicateAddress,
    /// Something went wrong in the router.
    #[error("the router failed: {0}")]
    Internal(ErrorText),
    /// There is no such subscription.
    #[error("there is no subscription {0:?}")]
    NoSuchSubscription(SubscriptionId),
    /// The client asked for something that makes no sense.
    #[error(transparent)]
    User(UserError),
}

/// What is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// A value that cannot be, and how it should be.
    #[error("invalid input: {0}{hint}", hint = hint(.1.as_ref()))]
    InvalidInput(ErrorText, Option<ErrorText>),
    /// A value is missing.
    #[error("missing input: {0}")]
    MissingInput(ErrorText),
    /// As much was received as had been asked for.
    #[error("as many streams as were asked for have been received")]
    RecvLimitReached,
}

fn hint(text: Option<&ErrorText>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

impl ClientError {
    /// [`ClientError::Internal`] with as much of `text` as may be.
    pub fn internal(text: &str) -> Self {
        Self::Internal(Text::of(text))
    }

    /// What deployed routers, and ours, answer to a request that they do not know.
    pub fn unsupported_mode(mode: ApiMode) -> Self {
        Self::internal(&format!("Unsupported frame mode: {:b}", mode.0))
    }

    /// Whether the router does not know requests with this mode, be it a deployed one or ours.
    pub fn is_unsupported_mode(&self, mode: ApiMode) -> bool {
        *self == Self::unsupported_mode(mode)
    }

    /// [`UserError::InvalidInput`] with as much of `text` as may be.
    pub fn invalid_input(text: &str) -> Self {
        Self::User(UserError::InvalidInput(Text::of(text), None))
    }

    /// Parses exactly one error.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let error = match variant(&mut reader)? {
            0 => Self::IncompatibleVersion(text(&mut reader)?, text(&mut reader)?),
            1 => Self::InvalidAuth,
            2 => Self::ConnectionLost,
            3 => Self::NotSupported,
            4 => Self::NoAddress,
            5 => Self::DuplicateAddress,
            6 => Self::Internal(text(&mut reader)?),
            7 => {
                if little_endian(&mut reader)? != 32 {
                    return Err(DecodeError::Value(FIELD));
                }
                Self::NoSuchSubscription(SubscriptionId::read(&mut reader, FIELD)?)
            }
            8 => Self::User(UserError::read(&mut reader)?),
            _ => return Err(DecodeError::Value(FIELD)),
        };
        reader.end()?;
        Ok(error)
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::IncompatibleVersion(router, client) => {
                write_variant(writer, 0);
                write_text(writer, router);
                write_text(writer, client);
            }
            Self::InvalidAuth => write_variant(writer, 1),
            Self::ConnectionLost => write_variant(writer, 2),
            Self::NotSupported => write_variant(writer, 3),
            Self::NoAddress => write_variant(writer, 4),
            Self::DuplicateAddress => write_variant(writer, 5),
            Self::Internal(text) => {
                write_variant(writer, 6);
                write_text(writer, text);
            }
            Self::NoSuchSubscription(id) => {
                write_variant(writer, 7);
                writer.bytes(&32_u64.to_le_bytes());
                id.write(writer);
            }
            Self::User(error) => {
                write_variant(writer, 8);
                error.write(writer);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn draw(random: &mut super::tests::Random) -> Self {
        match random.below(11) {
            0 => Self::IncompatibleVersion(Field::draw(random), Field::draw(random)),
            1 => Self::InvalidAuth,
            2 => Self::ConnectionLost,
            3 => Self::NotSupported,
            4 => Self::NoAddress,
            5 => Self::DuplicateAddress,
            6 => Self::Internal(Field::draw(random)),
            7 => Self::NoSuchSubscription(Field::draw(random)),
            8 => Self::User(UserError::InvalidInput(Field::draw(random), Field::draw(random))),
            9 => Self::User(UserError::MissingInput(Field::draw(random))),
            _ => Self::User(UserError::RecvLimitReached),
        }
    }
}

impl UserError {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match variant(reader)? {
            0 => Ok(Self::InvalidInput(text(reader)?, reader.option(FIELD, text)?)),
            1 => Ok(Self::MissingInput(text(reader)?)),
            2 => Ok(Self::RecvLimitReached),
            _ => Err(DecodeError::Value(FIELD)),
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::InvalidInput(text, hint) => {
                write_variant(writer, 0);
                write_text(writer, text);
                writer.option(hint.as_ref(), write_text);
            }
            Self::MissingInput(text) => {
                write_variant(writer, 1);
                write_text(writer, text);
            }
            Self::RecvLimitReached => write_variant(writer, 2),
        }
    }
}

const FIELD: &str = "error";

fn variant(reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
    reader.array(FIELD).map(u32::from_le_bytes)
}

fn little_endian(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    reader.array(FIELD).map(u64::from_le_bytes)
}

fn text(reader: &mut Reader<'_>) -> Result<ErrorText, DecodeError> {
    let length = usize::try_from(little_endian(reader)?).unwrap_or(usize::MAX);
    if length > MAX_ERROR_TEXT {
        return Err(DecodeError::TooLong { field: FIELD, length, limit: MAX_ERROR_TEXT });
    }
    Text::parse(reader.bytes(FIELD, length)?, FIELD)
}

fn write_variant(writer: &mut Writer<'_>, variant: u32) {
    writer.bytes(&variant.to_le_bytes());
}

fn write_text(writer: &mut Writer<'_>, text: &ErrorText) {
    let length = u64::try_from(text.as_str().len()).expect("invariant: a length fits");
    writer.bytes(&length.to_le_bytes()).bytes(text.as_str().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(error: &ClientError) -> Vec<u8> {
        let mut bytes = Vec::new();
        error.write(&mut Writer::new(&mut bytes));
        bytes
    }

    #[test]
    fn variants_that_nobody_captured() {
        for (error, golden) in [
            (
                ClientError::IncompatibleVersion(Text::of("a"), Text::of("")),
                &b"\0\0\0\0\x01\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0"[..],
            ),
            (ClientError::ConnectionLost, b"\x02\0\0\0"),
            (ClientError::NotSupported, b"\x03\0\0\0"),
            (ClientError::NoAddress, b"\x04\0\0\0"),
            (ClientError::DuplicateAddress, b"\x05\0\0\0"),
            (
                ClientError::User(UserError::InvalidInput(Text::of("a"), Some(Text::of("b")))),
                b"\x08\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0a\x01\x01\0\0\0\0\0\0\0b",
            ),
            (ClientError::invalid_input("a"), b"\x08\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0a\0"),
            (ClientError::User(UserError::RecvLimitReached), b"\x08\0\0\0\x02\0\0\0"),
        ] {
            assert_eq!(encoded(&error), golden, "{error:?}");
            assert_eq!(ClientError::decode(golden), Ok(error));
            for length in 0..golden.len() {
                assert!(ClientError::decode(&golden[..length]).is_err(), "{golden:?} cut to {length}");
            }
            let surplus = [golden, &[0]].concat();
            assert_eq!(ClientError::decode(&surplus), Err(DecodeError::Trailing(1)));
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let internal = |length: u64| [&6_u32.to_le_bytes()[..], &length.to_le_bytes(), b"abc"].concat();
        assert!(ClientError::decode(&internal(3)).is_ok());
        assert_eq!(
            ClientError::decode(&internal(4)),
            Err(DecodeError::Truncated { field: "error", missing: 1 })
        );
        for length in [4097, u64::from(u32::MAX), u64::MAX] {
            let length = usize::try_from(length).unwrap();
            let error = DecodeError::TooLong { field: "error", length, limit: 4096 };
            assert_eq!(ClientError::decode(&internal(length.try_into().unwrap())), Err(error));
        }
        let subscription = [&7_u32.to_le_bytes()[..], &31_u64.to_le_bytes(), &[1; 32]].concat();
        assert_eq!(ClientError::decode(&subscription), Err(DecodeError::Value("error")));
        assert_eq!(ClientError::decode(&[9, 0, 0, 0]), Err(DecodeError::Value("error")));
    }

    #[test]
    fn errors_read_well() {
        let error = ClientError::User(UserError::InvalidInput(Text::of("name\n"), Some(Text::of("short"))));
        assert_eq!(error.to_string(), "invalid input: name\\n (short)");
    }
}
