// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is kept of files that are being sent, so that another run of ratcat can go on with them.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratman_client::types::{Address, Recipient};
use ratman_client::{HexText, ResumeToken};
use serde::{Deserialize, Serialize};

use crate::identity::folder_of;
use crate::{Result, private_file};

/// Routers keep half a stream for minutes; what is older than this is of no use to anybody.
const LONGEST: Duration = Duration::from_secs(86_400);

/// More are not looked at: so many sends that were broken off within a day are no accident.
const MAX_KEPT: usize = 1024;

/// A file as it was when it was begun to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentFile {
    path: PathBuf,
    size: u64,
    /// Since the epoch, in nanoseconds.
    modified: u64,
}

impl SentFile {
    /// Nothing where the file is none that can be gone on with: no regular one, or one without a path.
    pub(super) fn of(path: &Path, metadata: &Metadata) -> Option<Self> {
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        let modified = u64::try_from(modified).ok()?;
        let path = path.canonicalize().ok()?;
        metadata.is_file().then_some(Self { path, size: metadata.len(), modified })
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    file: SentFile,
    token: String,
}

/// The folder in which they are kept.
#[derive(Clone, Debug)]
pub(super) struct KeptSends {
    folder: PathBuf,
}

/// One that is kept.
#[derive(Debug)]
pub(super) struct KeptSend {
    path: PathBuf,
    pub(super) token: ResumeToken,
}

impl KeptSends {
    /// The folder of the user, where they have one.
    pub(super) fn of_user() -> Option<Self> {
        let state = folder_of("XDG_STATE_HOME", ".local/state", |name| std::env::var_os(name))?;
        Some(Self { folder: state.join("irdest/sends") })
    }

    /// Keeps one, and forgets those that are of no use any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep(&self, file: &SentFile, token: ResumeToken) -> Result<KeptSend> {
        for (path, age) in self.entries() {
            if age > LONGEST {
                // It will be tried again.
                let _ = fs::remove_file(path);
            }
        }
        let kept = Kept { file: file.clone(), token: token.to_string() };
        let text = serde_json::to_vec(&kept).map_err(std::io::Error::from)?;
        let first = token.streams().first().map(|stream| stream.stream.to_hex()).unwrap_or_default();
        let name = first.get(..32).unwrap_or_default();
        let path = self.folder.join(format!("{name}.json"));
        private_file::write(&path, &text, true)?;
        Ok(KeptSend { path, token })
    }

    /// What is kept of this file to these recipients.
    pub(super) fn find(&self, file: &SentFile, from: Address, to: &[Recipient]) -> Option<KeptSend> {
        let fits = |token: &ResumeToken| {
            let streams = token.streams();
            let is_to = |recipient: &Recipient| streams.iter().any(|stream| stream.to == *recipient);
            token.from() == from && streams.len() == to.len() && to.iter().all(is_to)
        };
        self.entries().into_iter().find_map(|(path, _)| {
            let bytes = private_file::read(&path).ok()??;
            let kept: Kept = serde_json::from_slice(&bytes).ok()?;
            let token: ResumeToken = kept.token.parse().ok()?;
            (kept.file == *file && fits(&token)).then_some(KeptSend { path, token })
        })
    }

    fn entries(&self) -> Vec<(PathBuf, Duration)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let entry = |entry: fs::DirEntry| {
            let modified = entry.metadata().ok()?.modified().ok()?;
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            Some((entry.path(), age))
        };
        entries.filter_map(entry).take(MAX_KEPT).collect()
    }
}

impl KeptSend {
    /// It is of no use any more.
    pub(super) fn forget(self) {
        // What is left is forgotten after a day.
        let _ = fs::remove_file(self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Address = Address::from_bytes([1; 32]);

    fn to(byte: u8) -> Recipient {
        Recipient::Address(Address::from_bytes([byte; 32]))
    }

    fn token() -> ResumeToken {
        let id = "02".repeat(32);
        format!("irdest-resume-1 {FROM} {} {id} {} {id}", to(2), to(3)).parse().unwrap()
    }

    #[test]
    fn the_same_file_to_the_same_recipients_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film");
        fs::write(&path, "abc").unwrap();
        let file = SentFile::of(&path, &fs::metadata(&path).unwrap()).unwrap();
        let sends = KeptSends { folder: dir.path().join("sends") };
        assert!(sends.find(&file, FROM, &[to(2), to(3)]).is_none());
        sends.keep(&file, token()).unwrap();
        let found = sends.find(&file, FROM, &[to(3), to(2)]).unwrap();
        assert_eq!(found.token, token());
        assert!(sends.find(&file, FROM, &[to(2)]).is_none());
        assert!(sends.find(&file, Address::from_bytes([9; 32]), &[to(2), to(3)]).is_none());
        fs::write(&path, "abcd").unwrap();
        let changed = SentFile::of(&path, &fs::metadata(&path).unwrap()).unwrap();
        assert!(sends.find(&changed, FROM, &[to(2), to(3)]).is_none(), "its content is another");
        found.forget();
        assert!(sends.find(&file, FROM, &[to(2), to(3)]).is_none());
    }

    #[test]
    fn old_and_damaged_ones_are_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let file = SentFile { path: "/film".into(), size: 1, modified: 1 };
        let sends = KeptSends { folder: dir.path().to_owned() };
        private_file::write(&dir.path().join("damaged.json"), b"{", false).unwrap();
        let old = dir.path().join("old.json");
        private_file::write(&old, b"{}", false).unwrap();
        let long_ago = SystemTime::now() - LONGEST - Duration::from_secs(60);
        fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
        sends.keep(&file, token()).unwrap();
        assert!(!old.exists());
        assert!(sends.find(&file, FROM, &[to(2), to(3)]).is_some());
        assert!(SentFile::of(dir.path(), &fs::metadata(dir.path()).unwrap()).is_none());
    }
}
