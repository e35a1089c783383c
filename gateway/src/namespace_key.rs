// SPDX-License-Identifier: AGPL-3.0-or-later
//! The secret key of a namespace, which applications share with each other and give to the daemon to subscribe.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use ratman_types::{Namespace, SecretKey, Signer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Who has it reads what is sent to the namespace. As text it is 64 hexadecimal digits; it is never shown by `Debug`, and zeroised
/// when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct NamespaceKey(Secret);

/// What a text should have been.
const EXPECTED: &str = "the key of a namespace: 64 hexadecimal digits";

/// Why a text is not the key of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct NotAKey;

impl NamespaceKey {
    /// From 32 bytes that nobody can guess.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// What it opens with.
    pub fn secret(&self) -> SecretKey {
        let seed = Zeroizing::new(*self.0.as_bytes());
        SecretKey::from_seed(*seed)
    }

    /// What everybody may know, to send to it.
    pub fn namespace(&self) -> Namespace {
        Namespace::from_bytes(self.secret().public())
    }

    /// Reads it from a file of its text.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> io::Result<Self> {
        Secret::read(File::open(path)?)?.map(Self).ok_or_else(|| io::Error::other(NotAKey))
    }

    /// Writes it to a new file, with mode 0600.
    ///
    /// # Errors
    /// The file is there, or cannot be made.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.0.text().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

impl fmt::Debug for NamespaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamespaceKey({}…)", self.namespace().short())
    }
}

impl FromStr for NamespaceKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        Secret::parse(text.as_bytes()).map(Self).ok_or(NotAKey)
    }
}

impl Serialize for NamespaceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NamespaceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Secret::deserialize(deserializer, EXPECTED).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_kept_in_a_file_that_nobody_else_reads_and_is_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = NamespaceKey::from_bytes([0xAB; 32]);
        key.write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(NamespaceKey::read(&path).unwrap(), key);
        assert_eq!(key.write(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!format!("{key:?}").to_lowercase().contains("abab"));
        assert_eq!(serde_json::from_str::<NamespaceKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66), &"é".repeat(32)] {
            assert_eq!(text.parse::<NamespaceKey>(), Err(NotAKey), "{text}");
        }
    }
}
