// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why the store did not do something, and what the database's own errors mean for it.

use std::any::Any;
use std::io;
use std::path::PathBuf;

use super::change::Table;

/// Why something was not stored, or not found.
///
/// After an error of a commit its batch may be there all the same, as a whole: the error came when it was nearly done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// The database contradicts itself; at the next use it is checked as a whole and, if that is true, begun anew.
    #[error("{path}: damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A later version of this program made the database.
    #[error(
        "{path}: made by a later version of this program (format {found}, this one knows up to {known}); use that one, or move the file away"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The last format that this program knows.
        known: u32,
    },
    /// A key of another length than those of its table, or a beginning that is longer.
    #[error("a key of {length} bytes in table {table:?}")]
    KeyLength {
        /// The table.
        table: Table,
        /// How long the key is.
        length: usize,
    },
    /// A value longer than [`super::MAX_VALUE`].
    #[error("a value of {length} bytes")]
    TooLong {
        /// How long it is.
        length: usize,
    },
}

impl StoreError {
    /// Whether there is no room left: removing something may help.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { error, .. }
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Whether fewer of the changes may do.
    pub(super) fn is_of_some(&self) -> bool {
        self.is_full() || self.is_of_change()
    }

    /// The same for another who waited.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Io { path, error } => {
                let same = error.raw_os_error().map(io::Error::from_raw_os_error);
                let error = same.unwrap_or_else(|| io::Error::new(error.kind(), error.to_string()));
                Self::Io { path: path.clone(), error }
            }
            Self::Damaged { path, what } => Self::Damaged { path: path.clone(), what: what.clone() },
            Self::Newer { path, found, known } => {
                Self::Newer { path: path.clone(), found: *found, known: *known }
            }
            Self::KeyLength { table, length } => Self::KeyLength { table: *table, length: *length },
            Self::TooLong { length } => Self::TooLong { length: *length },
        }
    }

    /// Whether a change is one that can never be made, on any disk.
    pub(super) fn is_of_change(&self) -> bool {
        matches!(self, Self::KeyLength { .. } | Self::TooLong { .. })
    }
}

/// What went wrong inside the database, before it is known of which file.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Damaged(String),
    Newer { found: u32, known: u32 },
}

impl Fault {
    /// With the file's name.
    pub(super) fn at(self, path: PathBuf) -> StoreError {
        match self {
            Self::Io(error) => StoreError::Io { path, error },
            Self::Damaged(what) => StoreError::Damaged { path, what },
            Self::Newer { found, known } => StoreError::Newer { path, found, known },
        }
    }

    /// The database gave up where it should have returned an error, as it does with some damaged files.
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Damaged(text.unwrap_or_else(|| "it panicked".to_owned()))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        // What the database says of a file that does not begin like one of its own, or ends too early.
        if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) {
            return Self::Damaged(error.to_string());
        }
        Self::Io(error)
    }
}

/// Any of the database's errors.
fn fault(error: redb::Error) -> Fault {
    if let redb::Error::Io(error) = error {
        return error.into();
    }
    // It failed before, was opened again since by nobody, and says only that.
    if let redb::Error::PreviousIo | redb::Error::DatabaseClosed = error {
        return Fault::Io(io::Error::other(error));
    }
    Fault::Damaged(error.to_string())
}

macro_rules! from_database {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                fault(error.into())
            }
        }
    )*};
}
from_database!(DatabaseError, TransactionError, TableError, StorageError, CommitError);
