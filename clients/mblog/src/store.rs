// SPDX-License-Identifier: AGPL-3.0-or-later
//! The posts that a user has: a file of JSON lines, in the order in which they came. Several programs may have it open; each sees what
//! the others add.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use irdest_tools::identity::folder_of;
use irdest_tools::{Failure, Result};
use ratman_client::types::{Address, StreamId};
use tempfile::NamedTempFile;

use crate::KeptPost;

/// The most posts that are kept. Above, the older half goes.
pub const MAX_POSTS: usize = 10_000;

/// The most bytes that are kept. Above, the older half goes.
pub const MAX_BYTES: u64 = 64 << 20;

/// The posts that a user has.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Nobody changes the file who does not hold it.
    lock: File,
    file: File,
    /// How far the file was read: up to the end of a line.
    position: u64,
    posts: Vec<KeptPost>,
    keys: BTreeSet<(Address, StreamId)>,
    /// The most posts and bytes.
    limits: (usize, u64),
}

impl Store {
    /// Where it is, unless a user says otherwise: `irdest/mblog` in `$XDG_DATA_HOME` or `~/.local/share`.
    ///
    /// # Errors
    /// The user has no home.
    pub fn folder() -> Result<PathBuf> {
        let data = folder_of("XDG_DATA_HOME", ".local/share", |name| std::env::var_os(name));
        let data = data.ok_or_else(|| Failure::usage("neither XDG_DATA_HOME nor HOME is set"))?;
        Ok(data.join("irdest/mblog"))
    }

    /// Opens it, and makes it the first time.
    ///
    /// # Errors
    /// The system's.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, (MAX_POSTS, MAX_BYTES))
    }

    fn open_with(folder: &Path, limits: (usize, u64)) -> Result<Self> {
        let path = folder.join("posts.jsonl");
        let opened = || {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let lock = open(&folder.join("lock"))?;
            Ok((lock, open(&path)?))
        };
        let (lock, file) = opened().map_err(|error: io::Error| Failure::file(folder, &error))?;
        let (posts, keys) = (Vec::new(), BTreeSet::new());
        let mut store = Self { path, lock, file, position: 0, posts, keys, limits };
        store.refresh()?;
        Ok(store)
    }

    /// What is there, in the order in which it came.
    pub fn posts(&self) -> &[KeptPost] {
        &self.posts
    }

    /// What came after this one; all if it is not there.
    pub fn after(&self, key: Option<(Address, StreamId)>) -> &[KeptPost] {
        let place = self.posts.iter().rposition(|post| Some(post.key()) == key);
        &self.posts[place.map_or(0, |place| place + 1)..]
    }

    /// Reads what others have added since.
    ///
    /// # Errors
    /// The system's.
    pub fn refresh(&mut self) -> Result<()> {
        self.locked(Self::read_on)
    }

    /// Adds one, durably. False if it is there already.
    ///
    /// # Errors
    /// The system's: then it is not there.
    pub fn add(&mut self, post: KeptPost) -> Result<bool> {
        self.locked(|store| {
            store.read_on()?;
            if store.keys.contains(&post.key()) {
                return Ok(false);
            }
            store.append(&post.to_line())?;
            store.read_on()?;
            let (posts, bytes) = store.limits;
            if store.posts.len() > posts || store.position > bytes {
                store.drop_older()?;
            }
            Ok(true)
        })
    }

    /// Does it while nobody else does anything.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T> {
        let done = self.lock.lock().and_then(|()| {
            let done = work(self);
            self.lock.unlock()?;
            done
        });
        done.map_err(|error| Failure::file(&self.path, &error))
    }

    /// Reads whole lines from where it stopped; all anew where the file was replaced.
    fn read_on(&mut self) -> io::Result<()> {
        let is_same = |ours: &File, path: &Path| -> io::Result<bool> {
            let (ours, now) = (ours.metadata()?, path.metadata()?);
            Ok((ours.dev(), ours.ino()) == (now.dev(), now.ino()))
        };
        if !is_same(&self.file, &self.path).unwrap_or(false) || self.file.metadata()?.len() < self.position {
            self.file = open(&self.path)?;
            self.position = 0;
            self.posts.clear();
            self.keys.clear();
        }
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.position))?;
        // Twice the most: nobody but us writes it, and still no file fills the memory.
        (&self.file).take(2 * MAX_BYTES).read_to_end(&mut bytes)?;
        let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
        for line in bytes[..last].split(|byte| *byte == b'\n') {
            // What a power failure left of a line is none.
            let Ok(post) = KeptPost::from_line(line) else { continue };
            if self.keys.insert(post.key()) {
                self.posts.push(post);
            }
        }
        self.position += u64::try_from(last + 1).expect("invariant: a length fits");
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let end = self.file.seek(SeekFrom::End(0))?;
        // A line that was not completed would spoil this one.
        let line = if end > self.position { [b"\n", line].concat() } else { line.to_vec() };
        self.file.write_all(&line)?;
        self.file.sync_data()
    }

    /// Keeps the newer half.
    fn drop_older(&mut self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(folder)?;
        for post in &self.posts[self.posts.len() / 2..] {
            file.write_all(&post.to_line())?;
        }
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder)?.sync_all()?;
        self.read_on()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept_post::tests::sample;

    fn numbers(store: &Store) -> Vec<u64> {
        store.posts().iter().map(|post| post.created.as_micros() - 1000).collect()
    }

    #[test]
    fn each_post_is_kept_once_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new/mblog");
        let mut store = Store::open(&folder).unwrap();
        assert!(store.add(sample(1)).unwrap());
        assert!(!store.add(sample(1)).unwrap());
        assert!(store.add(sample(2)).unwrap());
        assert_eq!(numbers(&Store::open(&folder).unwrap()), [1, 2]);
        let mode = |name: &str| folder.join(name).metadata().unwrap().mode() & 0o777;
        assert_eq!((mode(""), mode("posts.jsonl")), (0o700, 0o600));
    }

    #[test]
    fn what_another_program_adds_is_seen_and_not_added_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
        one.add(sample(1)).unwrap();
        assert!(!other.add(sample(1)).unwrap());
        other.add(sample(2)).unwrap();
        one.refresh().unwrap();
        assert_eq!(numbers(&one), [1, 2]);
        assert_eq!(one.after(Some(sample(1).key())), [sample(2)]);
        assert_eq!((one.after(None).len(), one.after(Some(sample(2).key())).len()), (2, 0));
    }

    #[test]
    fn the_older_half_goes_and_others_notice() {
        let dir = tempfile::tempdir().unwrap();
        let mut one = Store::open_with(dir.path(), (4, MAX_BYTES)).unwrap();
        let mut other = Store::open(dir.path()).unwrap();
        for number in 0..5 {
            one.add(sample(number)).unwrap();
        }
        assert_eq!(numbers(&one), [2, 3, 4]);
        other.refresh().unwrap();
        assert_eq!(numbers(&other), [2, 3, 4]);
        other.add(sample(5)).unwrap();
        let mut small = Store::open_with(dir.path(), (MAX_POSTS, 100)).unwrap();
        small.add(sample(6)).unwrap();
        assert_eq!(numbers(&small), [4, 5, 6]);
        one.refresh().unwrap();
        assert_eq!(numbers(&one), [4, 5, 6]);
    }

    #[test]
    fn what_a_power_failure_left_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap().add(sample(1)).unwrap();
        let path = dir.path().join("posts.jsonl");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(&sample(2).to_line()[..20]);
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, bytes).unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        assert_eq!(numbers(&store), [1]);
        assert!(store.add(sample(3)).unwrap());
        assert_eq!(numbers(&store), [1, 3]);
        assert_eq!(numbers(&Store::open(dir.path()).unwrap()), [1, 3]);
    }
}
