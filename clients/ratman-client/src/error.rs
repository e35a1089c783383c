// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why something was not done.

use std::io;
use std::time::Duration;

use ratman_wire::api::{
    ClientError, MicroframeError, Refusal, RefusalReason, Reply, ReplyError, SubscriptionId, Text, UserError,
};

use crate::ApiBind;

/// What everything here returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No router listens there: none runs, or it listens somewhere else.
    #[error("no router listens on {bind}: {source}")]
    Unreachable {
        /// Where.
        bind: ApiBind,
        /// What the system says.
        source: io::Error,
    },
    /// The system does not let this program connect, or what was asked for is the operator's, on the unix socket.
    #[error("not permitted: {0}")]
    NotPermitted(String),
    /// The router did not answer in time.
    #[error("{what} took longer than {limit:?}")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// The token is not that of the address, or the address is not up.
    #[error("the token is not that of an address that is up")]
    InvalidAuth,
    /// There is no such address on this router.
    #[error("there is no such address")]
    NoSuchAddress,
    /// The address is there already.
    #[error("the address is there already")]
    AddressExists,
    /// There is no such subscription.
    #[error("there is no subscription {0:?}")]
    NoSuchSubscription(SubscriptionId),
    /// What was asked about is not there.
    #[error("not found: {0}")]
    NotFound(Text<512>),
    /// The router does not do it now, or not with these values.
    #[error("refused: {}", refusal_text(.0))]
    Refused(Refusal),
    /// This router does not know how: it is an older one, or that part of it is off.
    #[error("this router does not support it")]
    NotSupported,
    /// Router and client speak different versions of the protocol.
    #[error("the router speaks version {router} of the client protocol, this library {client}")]
    IncompatibleVersion {
        /// The router's.
        router: String,
        /// The client's, as the router read it.
        client: String,
    },
    /// Something went wrong in the router; its words.
    #[error("the router failed: {0}")]
    Router(String),
    /// A value that cannot be.
    #[error("invalid input: {0}")]
    Input(String),
    /// The connection broke. What was asked for last may have been done or not.
    #[error("the connection to the router was lost{}", lost_text(.0.as_ref()))]
    Lost(Option<io::Error>),
    /// The other end is no router, or breaks the protocol.
    #[error("not the protocol: {0}")]
    Protocol(String),
    /// The content of a stream was not read to its end, so the stream stays with the router.
    #[error("{0} bytes of the content were not read")]
    Unread(u64),
    /// The stream is over: nothing more can be written to it.
    #[error("the stream is over")]
    Ended,
    /// A list is longer than this library takes.
    #[error("the list has more than {0} entries")]
    TooMany(usize),
    /// Something else went wrong with a socket.
    #[error(transparent)]
    Io(io::Error),
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal.detail.as_str() {
        "" => format!("{:?}", refusal.reason),
        _ => refusal.detail.to_string(),
    }
}

fn lost_text(error: Option<&io::Error>) -> String {
    error.map_or_else(String::new, |error| format!(": {error}"))
}

impl Error {
    /// Whether the router cannot be reached at the moment, and may be again: what a program waits for that outlives its router.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Lost(_) | Self::TimedOut { .. })
    }

    /// Connecting failed.
    pub(crate) fn connecting(bind: &ApiBind, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::NotPermitted(format!("{bind}: {source}"));
        }
        Self::Unreachable { bind: bind.clone(), source }
    }

    /// An established connection failed.
    pub(crate) const fn broken(error: io::Error) -> Self {
        Self::Lost(Some(error))
    }

    /// A reply that does not go with what was asked for.
    pub(crate) fn unexpected(reply: &Reply) -> Self {
        // What a reply holds may be secret or long: only its kind is told.
        let debug = format!("{reply:?}");
        let kind = debug.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
        Self::Protocol(format!("{kind} is no reply to this"))
    }
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::IncompatibleVersion(router, client) => {
                Self::IncompatibleVersion { router: router.to_string(), client: client.to_string() }
            }
            ClientError::InvalidAuth => Self::InvalidAuth,
            ClientError::ConnectionLost => Self::Lost(None),
            ClientError::NotSupported => Self::NotSupported,
            ClientError::NoAddress => Self::NoSuchAddress,
            ClientError::DuplicateAddress => Self::AddressExists,
            ClientError::Internal(text) => Self::Router(text.to_string()),
            ClientError::NoSuchSubscription(id) => Self::NoSuchSubscription(id),
            ClientError::User(UserError::InvalidInput(wrong, None)) => Self::Input(wrong.to_string()),
            ClientError::User(UserError::InvalidInput(wrong, Some(hint))) => {
                Self::Input(format!("{wrong} ({hint})"))
            }
            ClientError::User(UserError::MissingInput(what)) => Self::Input(format!("{what} is missing")),
            ClientError::User(error @ UserError::RecvLimitReached) => Self::Input(error.to_string()),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason {
            RefusalReason::OperatorOnly => Self::NotPermitted(refusal_text(&refusal)),
            RefusalReason::NotFound => Self::NotFound(refusal.detail),
            RefusalReason::Version(_) | RefusalReason::NoStreams => Self::NotSupported,
            RefusalReason::InUse
            | RefusalReason::Configured
            | RefusalReason::Invalid
            | RefusalReason::TooLong(_)
            | RefusalReason::Size(_)
            | RefusalReason::Full
            | RefusalReason::Busy
            | RefusalReason::Ending
            | RefusalReason::NotStored
            | RefusalReason::OutOfTurn => Self::Refused(refusal),
        }
    }
}

impl From<MicroframeError> for Error {
    fn from(error: MicroframeError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<ReplyError> for Error {
    fn from(error: ReplyError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// An error that came through `Read` or `Write` becomes what it was before.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Io)
    }
}

/// For `Read` and `Write`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Unreachable { source, .. } => source.kind(),
            Error::NotPermitted(_) | Error::InvalidAuth => io::ErrorKind::PermissionDenied,
            Error::TimedOut { .. } => io::ErrorKind::TimedOut,
            Error::NoSuchAddress | Error::NoSuchSubscription(_) | Error::NotFound(_) => {
                io::ErrorKind::NotFound
            }
            Error::AddressExists => io::ErrorKind::AlreadyExists,
            Error::NotSupported | Error::IncompatibleVersion { .. } => io::ErrorKind::Unsupported,
            Error::Input(_) => io::ErrorKind::InvalidInput,
            Error::Lost(_) => io::ErrorKind::ConnectionReset,
            Error::Protocol(_) => io::ErrorKind::InvalidData,
            Error::Ended => io::ErrorKind::BrokenPipe,
            Error::Refused(_) | Error::Router(_) | Error::Unread(_) | Error::TooMany(_) => {
                io::ErrorKind::Other
            }
            Error::Io(error) => error.kind(),
        };
        if let Error::Io(error) = error { error } else { Self::new(kind, error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_request_is_said_once() {
        let of_router = |error: ClientError| Error::from(error).to_string();
        assert_eq!(of_router(ClientError::invalid_input("expected a key")), "invalid input: expected a key");
        let hinted = UserError::InvalidInput(Text::of("a name"), Some(Text::of("too long")));
        assert_eq!(of_router(ClientError::User(hinted)), "invalid input: a name (too long)");
        let missing = ClientError::User(UserError::MissingInput(Text::of("a letterhead")));
        assert_eq!(of_router(missing), "invalid input: a letterhead is missing");
    }
}
