// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why a tool did not do what it was asked, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

use ratman_client::Error;

use crate::Exit;

/// What everything here returns.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a tool did not do what it was asked: one line for people, with what to do, and the code for scripts.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// For scripts.
    pub exit: Exit,
    /// For people; empty where nobody is there to read it, or everything was said.
    pub message: String,
}

impl Failure {
    /// With a code of its own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// [`Exit::Failed`].
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// [`Exit::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The user ended it.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Exit::Interrupted, message)
    }

    /// What went wrong with a file.
    pub fn file(path: &Path, error: &io::Error) -> Self {
        Self::failed(format!("{}: {error}", path.display()))
    }

    /// What went wrong with writing to standard output. Who reads no further has what they want, as in `ratctl route list | head`.
    pub fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Done, "");
        }
        Self::failed(format!("standard output: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "of what comes with a later library it is not known what to do"
        )]
        let (exit, what_to_do) = match &error {
            Error::Unreachable { .. } => {
                (Exit::NoRouter, "start irdest-gateway, or say with --bind where it listens")
            }
            Error::Lost(_) => (Exit::NoRouter, "see whether irdest-gateway still runs"),
            Error::NotPermitted(_) => (Exit::NotAuthorised, "try it with sudo and --bind unix:PATH"),
            Error::InvalidAuth => {
                (Exit::NotAuthorised, "see with --identity that the identity is one of this router")
            }
            Error::NoSuchAddress => (Exit::Failed, "ratctl address list shows those that are there"),
            Error::NotSupported => (Exit::Failed, "it is an older one, or has that turned off"),
            Error::Input(_) => (Exit::Usage, ""),
            _ => (Exit::Failed, ""),
        };
        let separator = if what_to_do.is_empty() { "" } else { "; " };
        Self::new(exit, format!("{error}{separator}{what_to_do}"))
    }
}

/// What the system says where no file is concerned.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_library_have_a_code_and_say_what_to_do() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let bind = ratman_client::ApiBind::Unix("/run/x".into());
        let failure = Failure::from(Error::Unreachable { bind, source: refused });
        assert_eq!(failure.exit, Exit::NoRouter);
        assert!(failure.message.contains("unix:/run/x") && failure.message.contains("--bind"), "{failure}");
        assert_eq!(Failure::from(Error::InvalidAuth).exit, Exit::NotAuthorised);
        assert_eq!(Failure::from(Error::NotPermitted("no".into())).exit, Exit::NotAuthorised);
        assert_eq!(Failure::from(Error::Ended), Failure::failed("the stream is over"));
    }

    #[test]
    fn who_reads_no_further_has_what_they_want() {
        let closed = Failure::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(closed, Failure::new(Exit::Done, ""));
        assert_eq!(Failure::output(&io::ErrorKind::StorageFull.into()).exit, Exit::Failed);
    }
}
