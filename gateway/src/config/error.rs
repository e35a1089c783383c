// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is wrong with a configuration: where, which key, what was expected and what was found.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ratman_types::Address;

/// Where a key was set: a line of a file, or an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) source: Arc<str>,
    pub(super) line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file that must be there cannot be read.
    #[error("{path}: cannot read the configuration: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// The text is not TOML.
    #[error("{place}: not TOML: {message}")]
    Syntax {
        /// Where.
        place: Place,
        /// What the TOML parser expected.
        message: String,
    },
    /// An argument of `-s` is not KEY=VALUE.
    #[error("-s {0}: expected KEY=VALUE, such as tun.mtu=1400")]
    Assignment(String),
    /// A profile that cannot be a file name.
    #[error("-p {0}: expected a profile name of letters, digits, '-' and '_'")]
    Profile(String),
    /// A key that does not exist, or not here.
    #[error("{place}: {key}: unknown key, expected {}", list(known))]
    Unknown {
        /// Where it was set.
        place: Place,
        /// Its full name.
        key: String,
        /// The keys of that table.
        known: Vec<&'static str>,
    },
    /// A key without which its table means nothing.
    #[error("{place}: {key}: missing, expected {expected}")]
    Missing {
        /// The table.
        place: Place,
        /// The full name of the key.
        key: String,
        /// What to set it to.
        expected: &'static str,
    },
    /// A route to ourselves.
    #[error("route: via {0}: expected a remote, this is our own address")]
    OwnAddress(Address),
    /// A value that does not fit.
    #[error("{place}: {key}: expected {expected}, got {got}")]
    Value {
        /// Where it was set.
        place: Place,
        /// The full name of the key.
        key: String,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        got: String,
    },
}

impl ConfigError {
    /// Whether a file is to blame that is there, and not what was typed.
    pub fn is_of_a_file(&self) -> bool {
        match self {
            Self::Read { error, .. } => error.kind() != io::ErrorKind::NotFound,
            // Arguments have no lines.
            Self::Syntax { place, .. }
            | Self::Unknown { place, .. }
            | Self::Missing { place, .. }
            | Self::Value { place, .. } => place.line.is_some(),
            Self::Assignment(_) | Self::Profile(_) | Self::OwnAddress(_) => false,
        }
    }
}

fn list(keys: &[&str]) -> String {
    match keys {
        [] => "no key at all".to_owned(),
        [one] => (*one).to_owned(),
        [many @ .., last] => format!("{} or {last}", many.join(", ")),
    }
}
