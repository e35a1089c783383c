// SPDX-License-Identifier: AGPL-3.0-or-later
//! What client and router agree on first (source: deployed routers, section 8.2).

use core::fmt;

use super::field::Field;
use crate::{DecodeError, Reader, Writer};

/// The version of the handshake itself, its first byte.
const FORMAT: u8 = 1;

/// The version of the client protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Raised where nothing fits any more.
    pub major: u8,
    /// Raised where something is new; with a major of 0 nothing fits either.
    pub minor: u8,
}

impl ApiVersion {
    /// What this module speaks, as deployed 0.6 routers and clients do. What is ours has versions of its own.
    pub const OURS: Self = Self { major: 0, minor: 1 };

    /// Whether both ends understand each other: equal majors, and of major 0 equal minors.
    pub const fn is_compatible_with(self, other: Self) -> bool {
        self.major == other.major && (self.major != 0 || self.minor == other.minor)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Field for ApiVersion {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        if reader.u8(field)? != FORMAT {
            return Err(DecodeError::Value(field));
        }
        Ok(Self { major: reader.u8(field)?, minor: reader.u8(field)? })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.u8(FORMAT).u8(self.major).u8(self.minor);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self { major: Field::draw(random), minor: Field::draw(random) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_understands_whom() {
        let version = |major, minor| ApiVersion { major, minor };
        assert!(version(0, 1).is_compatible_with(ApiVersion::OURS));
        assert!(!version(0, 2).is_compatible_with(version(0, 1)));
        assert!(!version(1, 1).is_compatible_with(version(0, 1)));
        assert!(version(1, 2).is_compatible_with(version(1, 7)));
        assert!(!version(1, 2).is_compatible_with(version(2, 2)));
        assert_eq!(ApiVersion::OURS.to_string(), "0.1");
    }

    #[test]
    fn another_format_is_refused() {
        let read = |bytes: &[u8]| ApiVersion::read(&mut Reader::new(bytes), "version");
        assert_eq!(read(&[1, 0, 1]), Ok(ApiVersion::OURS));
        assert_eq!(read(&[2, 0, 1]), Err(DecodeError::Value("version")));
    }
}
