// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where a stream is written: standard output, or a file that is there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ratman_client::HexText;
use ratman_client::types::StreamId;
use tempfile::{PathPersistError, TempPath};

use super::tame::Tame;
use crate::{Failure, Result};

/// How many names are tried beside the one that a sender chose.
const MAX_NAMES: u32 = 1000;

/// Where streams are to be written.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// Standard output.
    Output,
    /// A file.
    File(PathBuf),
    /// A folder, under the names that the senders chose.
    Folder(PathBuf),
}

/// Where one stream is written.
#[derive(Debug)]
pub(super) enum Sink {
    /// Standard output, and what is shown of it where that is a terminal.
    Output(Option<Tame>),
    /// A part of a file.
    Part(Part),
}

/// A file that is not whole yet.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    target: Target,
}

impl Target {
    /// Whether it can be written there, as far as that is known before.
    ///
    /// # Errors
    /// The file is there already, or there is no such folder.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Output => Ok(()),
            Self::File(path) if path.symlink_metadata().is_ok() => Err(exists(path)),
            Self::File(_) | Self::Folder(_) => {
                let folder = self.folder();
                let is_there = folder.is_dir();
                let none = || Failure::failed(format!("{}: there is no such folder", folder.display()));
                is_there.then_some(()).ok_or_else(none)
            }
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Output => Path::new("."),
            Self::File(path) => match path.parent() {
                Some(folder) if folder != Path::new("") => folder,
                _ => Path::new("."),
            },
            Self::Folder(folder) => folder,
        }
    }

    /// Where a part of a stream is.
    pub(super) fn part(&self, stream: StreamId) -> PathBuf {
        let id = stream.to_hex();
        self.folder().join(format!(".ratcat-{}.part", &id[..32]))
    }

    /// Whether an earlier run left parts here.
    pub(super) fn has_parts(&self) -> bool {
        let is_part = |name: &str| name.starts_with(".ratcat-") && name.ends_with(".part");
        let mut entries = self.folder().read_dir().into_iter().flatten().flatten();
        !matches!(self, Self::Output) && entries.any(|entry| entry.file_name().to_str().is_some_and(is_part))
    }

    /// How much of a stream an earlier run wrote here.
    pub(super) fn has(&self, stream: StreamId) -> Option<u64> {
        if let Self::Output = self {
            return None;
        }
        let metadata = self.part(stream).symlink_metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Where a stream goes whose first `offset` bytes are there.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(&self, stream: StreamId, offset: u64) -> Result<Sink> {
        if let Self::Output = self {
            return Ok(Sink::Output(io::stdout().is_terminal().then(Tame::default)));
        }
        let path = self.part(stream);
        let open = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(offset == 0)
                .mode(0o666)
                .custom_flags(NOFOLLOW)
                .open(&path)?;
            file.set_len(offset)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok(file)
        };
        let file = open().map_err(|error: io::Error| Failure::file(&path, &error))?;
        Ok(Sink::Part(Part { file, path, target: self.clone() }))
    }
}

/// A link that somebody else laid there is not followed.
const NOFOLLOW: i32 = nix::fcntl::OFlag::O_NOFOLLOW.bits();

fn exists(path: &Path) -> Failure {
    Failure::failed(format!("{} is there already, and stays as it is", path.display()))
}

impl Sink {
    /// Writes a piece.
    ///
    /// # Errors
    /// The system's; of standard output that nobody reads it any more.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<()> {
        match self {
            Self::Output(tame) => {
                let shown = tame.as_mut().map(|tame| tame.show(piece));
                io::stdout().lock().write_all(shown.as_deref().unwrap_or(piece)).map_err(unread)
            }
            Self::Part(part) => part.file.write_all(piece).map_err(|error| Failure::file(&part.path, &error)),
        }
    }

    /// Makes durable what was written, as far as that can be, and gives the file its name: that of the sender if it goes to a folder and
    /// there is none of it yet. Says where it is.
    ///
    /// # Errors
    /// As [`Sink::write`], and where the file is there by now.
    pub(super) fn keep(self, name: &str) -> Result<Option<PathBuf>> {
        match self {
            Self::Output(tame) => {
                let end = tame.as_ref().map(Tame::end).unwrap_or_default();
                let mut output = io::stdout().lock();
                output.write_all(end).and_then(|()| output.flush()).map_err(unread).map(|()| None)
            }
            Self::Part(part) => part.keep(name).map(Some),
        }
    }

    /// Whether it is shown while it comes.
    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Output(Some(_)))
    }

    /// What is left of it when it is not whole: the part of a file.
    pub(super) fn leave(self) -> Option<PathBuf> {
        match self {
            Self::Output(_) => None,
            Self::Part(part) => Some(part.path),
        }
    }
}

fn unread(error: io::Error) -> Failure {
    let reason = match error.kind() == io::ErrorKind::BrokenPipe {
        true => "nobody reads it any more".to_owned(),
        false => error.to_string(),
    };
    Failure::failed(format!("standard output: {reason}; the stream stays with the router"))
}

impl Part {
    fn keep(self, name: &str) -> Result<PathBuf> {
        let Self { file, path, target } = self;
        file.sync_all().map_err(|error| Failure::file(&path, &error))?;
        let kept = match &target {
            Target::File(to) => rename(&path, to).map(|()| to.clone()),
            Target::Folder(folder) => rename_as_new(&path, folder, name),
            Target::Output => unreachable!("a part is that of a file"),
        };
        let kept = kept.map_err(|(to, error)| match error.kind() == io::ErrorKind::AlreadyExists {
            true => Failure::failed(format!(
                "{} is there by now, and stays as it is; the stream is in {}",
                to.display(),
                path.display()
            )),
            false => Failure::file(&to, &error),
        })?;
        let folder = target.folder();
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| Failure::file(folder, &error))?;
        Ok(kept)
    }
}

/// Gives a file another name, which nobody has.
fn rename(from: &Path, to: &Path) -> Result<(), (PathBuf, io::Error)> {
    let renamed = TempPath::try_from_path(from).and_then(|from| {
        from.persist_noclobber(to).map_err(|PathPersistError { error, path }| {
            // It is no temporary file: it stays.
            path.keep().map_or_else(|kept| kept.error, |_| error)
        })
    });
    renamed.map_err(|error| (to.to_owned(), error))
}

/// The same in a folder, with a number where the name is somebody else's.
fn rename_as_new(from: &Path, folder: &Path, name: &str) -> Result<PathBuf, (PathBuf, io::Error)> {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= 16 => {
            (stem, format!(".{extension}"))
        }
        _ => (name, String::new()),
    };
    let first = folder.join(name);
    let others = (1..MAX_NAMES).map(|number| folder.join(format!("{stem} ({number}){extension}")));
    let mut last = None;
    for to in std::iter::once(first).chain(others) {
        match rename(from, &to) {
            Ok(()) => return Ok(to),
            Err((to, error)) if error.kind() == io::ErrorKind::AlreadyExists => last = Some((to, error)),
            Err(failed) => return Err(failed),
        }
    }
    Err(last.unwrap_or_else(|| (folder.to_owned(), io::ErrorKind::AlreadyExists.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const ID: StreamId = StreamId::from_bytes([0xAB; 32]);

    fn kept(target: &Target, pieces: &[&[u8]], name: &str) -> Result<Option<PathBuf>> {
        let mut sink = target.open(ID, 0)?;
        pieces.iter().try_for_each(|piece| sink.write(piece))?;
        sink.keep(name)
    }

    #[test]
    fn a_file_is_there_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film");
        let target = Target::File(path.clone());
        target.check().unwrap();
        let mut sink = target.open(ID, 0).unwrap();
        sink.write(b"abc").unwrap();
        assert!(!path.exists());
        let left = sink.leave().unwrap();
        assert_eq!(left, dir.path().join(format!(".ratcat-{}.part", "ab".repeat(16))));
        assert_eq!(target.has(ID), Some(3));
        // Another run goes on from the second byte.
        let mut sink = target.open(ID, 1).unwrap();
        sink.write(b"xyz").unwrap();
        assert_eq!(sink.keep("ignored").unwrap(), Some(path.clone()));
        assert_eq!(fs::read(&path).unwrap(), b"axyz");
        assert_eq!(target.has(ID), None);
        assert_eq!(target.check(), Err(exists(&path)));
    }

    #[test]
    fn nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("film");
        let target = Target::File(path.clone());
        let mut sink = target.open(ID, 0).unwrap();
        sink.write(b"new").unwrap();
        fs::write(&path, "old").unwrap();
        let error = sink.keep("").unwrap_err();
        assert!(error.message.contains("stays as it is"), "{error}");
        assert_eq!((fs::read(&path).unwrap(), target.has(ID)), (b"old".to_vec(), Some(3)));
    }

    #[test]
    fn in_a_folder_each_gets_a_name_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::Folder(dir.path().to_owned());
        let mut names = ["cat.jpg", "cat.jpg", "cat.jpg", "README"].map(|name| {
            let path = kept(&target, &[b"a", b"b"], name).unwrap().unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        });
        names.sort();
        assert_eq!(names, ["README", "cat (1).jpg", "cat (2).jpg", "cat.jpg"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "no part is left");
    }

    #[test]
    fn a_link_that_was_laid_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::Folder(dir.path().to_owned());
        let victim = dir.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, target.part(ID)).unwrap();
        assert_eq!(target.has(ID), None);
        assert!(target.open(ID, 0).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        let nowhere = Target::File(dir.path().join("none/film"));
        assert!(nowhere.check().unwrap_err().message.ends_with("there is no such folder"));
    }
}
