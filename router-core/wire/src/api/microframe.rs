// SPDX-License-Identifier: AGPL-3.0-or-later
//! The microframe, which everything between client and router travels in (source: deployed routers, section 8.1).
//!
//! | field | bytes | |
//! |---|---|---|
//! | header length | 4 | 7 or 38 |
//! | mode | 2 | |
//! | auth | 1 or 32 | a zero, or a token |
//! | payload size | 4 | |
//! | payload | | |

use core::fmt;

use zeroize::Zeroizing;

use super::{ApiMode, AuthToken};
use crate::Writer;

mod decoder;

pub use decoder::MicroframeDecoder;

/// Header length without a token.
const BARE: u8 = 7;
/// Header length with a token.
const AUTHENTICATED: u8 = 38;
/// The bytes of the header length itself.
const PREFIX: usize = 4;
/// The longest header, its length included.
const MAX_HEADER: usize = 42;

/// How many bytes a payload may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadLimit(u32);

impl PayloadLimit {
    /// What a router takes of a client unless it is told otherwise: 256 KiB, room for a request to as many recipients as may
    /// be with some auxiliary data each. A connection can make a router hold two of them.
    pub const REQUEST: Self = Self(256 << 10);
    /// What a client takes of a router unless it is told otherwise: 8 MiB. The longest reply is a deployed list of peers,
    /// 65 535 times 103 bytes.
    pub const REPLY: Self = Self(8 << 20);

    /// A limit in bytes.
    pub const fn from_bytes(bytes: u32) -> Self {
        Self(bytes)
    }

    /// The limit in bytes.
    pub const fn as_bytes(self) -> u32 {
        self.0
    }
}

/// One message between client and router. Its payload is zeroised when dropped, since it may hold a secret, and not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Microframe {
    /// What it is about.
    pub mode: ApiMode,
    /// The proof that an address is the client's, where there is one.
    pub auth: Option<AuthToken>,
    /// What the mode says.
    pub payload: Zeroizing<Vec<u8>>,
}

impl Microframe {
    /// The whole message.
    ///
    /// # Panics
    /// If the payload has 4 GiB or more; no request and no reply has.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let size = u32::try_from(self.payload.len()).expect("invariant: a payload is far below 4 GiB");
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_HEADER + self.payload.len()));
        let mut writer = Writer::new(&mut bytes);
        match &self.auth {
            None => writer.u32(BARE.into()).u16(self.mode.0).u8(0),
            Some(token) => writer.u32(AUTHENTICATED.into()).u16(self.mode.0).bytes(token.as_bytes()),
        };
        writer.u32(size).bytes(&self.payload);
        bytes
    }
}

impl fmt::Debug for Microframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let auth = if self.auth.is_some() { ", with a token" } else { "" };
        write!(f, "Microframe({}, {} bytes{auth})", self.mode, self.payload.len())
    }
}

/// Why bytes are no microframes; nothing that follows on the connection can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MicroframeError {
    /// The header has another length than any header.
    #[error("expected a header of 7 or 38 bytes, got one of {0}")]
    HeaderLength(u32),
    /// A header without a token has no zero in its place.
    #[error("expected 0 in place of a token, got {0}")]
    NoToken(u8),
    /// The payload is longer than is taken.
    #[error("{mode}: expected a payload of at most {} bytes, got one of {size}", limit.as_bytes())]
    PayloadTooLong {
        /// What it is about.
        mode: ApiMode,
        /// The length that was claimed.
        size: u32,
        /// The longest that is taken.
        limit: PayloadLimit,
    },
}

#[cfg(test)]
mod tests;
