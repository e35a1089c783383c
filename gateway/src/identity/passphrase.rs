// SPDX-License-Identifier: AGPL-3.0-or-later
//! The passphrase that opens the identity: from a file of the operator's, or handed over by systemd.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The name of the systemd credential.
const CREDENTIAL: &str = "identity-passphrase";

/// The name under which our unit asks for one that is not encrypted: systemd takes one source for each name.
const PLAIN_CREDENTIAL: &str = "identity-passphrase.plain";

/// A passphrase is a line or a key file, not a disk image.
const MAX_BYTES: usize = 4096;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Neither way is configured.
    #[error(
        "no passphrase for the identity: set identity.passphrase_file to a file with the passphrase, or hand over the \
         systemd credential {CREDENTIAL} (LoadCredentialEncrypted= in the unit)"
    )]
    Missing,
    /// The file cannot be read.
    #[error("{path}: cannot read the passphrase: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// Everybody on the machine may read or change it.
    #[error("{path}: expected a passphrase file closed to others (chmod 0600), got mode {mode:04o}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Nothing in it.
    #[error("{0}: expected a passphrase, got an empty file")]
    Empty(PathBuf),
    /// More than a passphrase.
    #[error("{0}: expected a passphrase of at most {MAX_BYTES} bytes")]
    Long(PathBuf),
}

/// A passphrase; zeroised when dropped and never printed.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes the passphrase as it is.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads it from `file` (`identity.passphrase_file`), else from the systemd credential `identity-passphrase`.
    ///
    /// One line feed at the end, as editors leave it, is not part of the passphrase. A file that others than owner
    /// and group may read is refused.
    pub fn find(file: Option<&Path>) -> Result<Self, PassphraseError> {
        Self::find_in(file, std::env::var_os("CREDENTIALS_DIRECTORY").as_deref().map(Path::new))
    }

    fn find_in(file: Option<&Path>, credentials: Option<&Path>) -> Result<Self, PassphraseError> {
        if let Some(file) = file {
            return Self::read(file);
        }
        let named = |name| credentials.map(|dir| dir.join(name)).filter(|path| path.exists());
        let credential = named(CREDENTIAL).or_else(|| named(PLAIN_CREDENTIAL));
        Self::read(&credential.ok_or(PassphraseError::Missing)?)
    }

    fn read(path: &Path) -> Result<Self, PassphraseError> {
        let failed = |error| PassphraseError::Io { path: path.to_owned(), error };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o007 != 0 {
            return Err(PassphraseError::Open { path: path.to_owned(), mode });
        }
        // With room from the start the vector never grows and leaves no copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 2));
        let limit = u64::try_from(MAX_BYTES + 2).expect("a small constant fits");
        file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        match bytes.len() {
            0 => Err(PassphraseError::Empty(path.to_owned())),
            1..=MAX_BYTES => Ok(Self(bytes)),
            _ => Err(PassphraseError::Long(path.to_owned())),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn both_ways_work_and_the_configured_file_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let own = file(dir.path(), "own", b"mine \n", 0o600);
        file(dir.path(), PLAIN_CREDENTIAL, b"open", 0o400);
        assert_eq!(Passphrase::find_in(None, Some(dir.path())).unwrap().as_bytes(), b"open");
        file(dir.path(), CREDENTIAL, b"systemd's\n\n", 0o400);
        let find = |file, credentials| Passphrase::find_in(file, credentials).unwrap().as_bytes().to_vec();
        assert_eq!(find(Some(&own), Some(dir.path())), b"mine ");
        assert_eq!(find(None, Some(dir.path())), b"systemd's\n");
    }

    #[test]
    fn without_one_the_error_names_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        for credentials in [None, Some(dir.path())] {
            let text = Passphrase::find_in(None, credentials).unwrap_err().to_string();
            assert!(text.contains("identity.passphrase_file") && text.contains(CREDENTIAL), "{text}");
        }
    }

    #[test]
    fn unfit_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = |path: &Path| Passphrase::read(path).unwrap_err().to_string();
        let open = file(dir.path(), "open", b"secret", 0o604);
        assert!(error(&open).contains("got mode 0604"), "{}", error(&open));
        assert!(error(&file(dir.path(), "empty", b"\n", 0o600)).contains("empty"));
        assert!(error(&file(dir.path(), "long", &[b'a'; MAX_BYTES + 1], 0o600)).contains("at most 4096"));
        assert!(error(&dir.path().join("none")).contains("cannot read the passphrase"));
        let longest = file(dir.path(), "longest", &[&[b'a'; MAX_BYTES][..], b"\n"].concat(), 0o640);
        assert_eq!(Passphrase::read(&longest).unwrap().as_bytes().len(), MAX_BYTES);
    }

    #[test]
    fn a_passphrase_is_not_printed() {
        assert_eq!(format!("{:?}", Passphrase::new(b"secret".to_vec())), "Passphrase(…)");
    }
}
