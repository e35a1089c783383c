// SPDX-License-Identifier: AGPL-3.0-or-later
//! What clients are told where something was not done.

use std::io;

use ratman_wire::api::{ClientError, Refusal, RefusalReason, Text};
use router_core::streams::SendError;

use super::connection::Left;
use crate::addresses::AddressError;
use crate::desk::DeskError;
use crate::message_plane::{Ending, ReceiveError};

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client is told, and may ask for something else.
    Told(ClientError),
    /// The client is told in the words of what is ours, and may ask for something else.
    Refused(Refusal),
    /// There is nobody to tell.
    Left(Left),
}

impl Failure {
    /// With as much of `text` as may be.
    pub(super) fn internal(text: &str) -> Self {
        Self::Told(ClientError::internal(text))
    }

    /// What is ours is not done, for this reason, with as much of `detail` as may be.
    pub(super) fn refused(reason: RefusalReason, detail: &str) -> Self {
        Self::Refused(Refusal { reason, detail: Text::of(detail) })
    }

    /// The same, but where the client would be told `this`, it is told `that`.
    pub(super) fn instead_of(self, this: &ClientError, that: ClientError) -> Self {
        match self {
            Self::Told(error) if error == *this => Self::Told(that),
            Self::Told(_) | Self::Refused(_) | Self::Left(_) => self,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Told(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Left(error.into())
    }
}

impl From<Left> for Failure {
    fn from(left: Left) -> Self {
        Self::Left(left)
    }
}

impl From<Ending> for Failure {
    fn from(ending: Ending) -> Self {
        Self::internal(&ending.to_string())
    }
}

impl From<ReceiveError> for Failure {
    fn from(error: ReceiveError) -> Self {
        match error {
            // As if it had not been up when it was asked for.
            ReceiveError::Down => Self::Told(ClientError::InvalidAuth),
            ReceiveError::Ending(ending) => ending.into(),
        }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        Self::internal(&error.to_string())
    }
}

impl From<DeskError> for Failure {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "deployed clients know errors of their own for these alone"
    )]
    fn from(error: DeskError) -> Self {
        Self::Told(match error {
            DeskError::Address(AddressError::Unknown(_)) => ClientError::NoAddress,
            DeskError::Address(AddressError::Token(_)) => ClientError::InvalidAuth,
            DeskError::Address(AddressError::Duplicate(_)) => ClientError::DuplicateAddress,
            other => ClientError::internal(&other.to_string()),
        })
    }
}
