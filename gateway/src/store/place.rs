// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where the file of the store is: how it is made, measured, and moved aside.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::StorageBackend;

use super::disk::Medium;
use crate::state::hand_over;

/// The name of the database in the state directory.
pub(super) const FILE: &str = "journal.redb";

/// So many damaged databases are kept; a further one replaces the last.
const KEPT: u32 = 4;

/// Where a store is kept.
pub(super) trait Place: Debug + Send + Sync {
    /// What people know it by.
    fn path(&self) -> &Path;

    /// Opens it, made empty where it is not there.
    fn open(&self) -> io::Result<Box<dyn StorageBackend>>;

    /// Moves it out of the way, so that the next [`Place::open`] makes an empty one; says where to.
    fn set_aside(&self) -> io::Result<PathBuf>;

    /// What it takes of the disk, in bytes.
    fn allotted(&self) -> io::Result<u64>;
}

/// A file in the state directory.
#[derive(Debug)]
pub(super) struct InDirectory {
    dir: PathBuf,
    path: PathBuf,
}

impl InDirectory {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), path: dir.join(FILE) }
    }
}

impl Place for InDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&self.path)?;
        hand_over(&file, &self.dir)?;
        // What is synced in the file is lost with its name.
        File::open(&self.dir)?.sync_all()?;
        Ok(Box::new(Medium(file)))
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let name = |number| match number {
            1 => format!("{FILE}.damaged"),
            _ => format!("{FILE}.damaged.{number}"),
        };
        let mut names = (1..=KEPT).map(|number| self.dir.join(name(number)));
        let free = names.find(|path| !path.exists()).unwrap_or_else(|| self.dir.join(name(KEPT)));
        std::fs::rename(&self.path, &free)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(free)
    }

    fn allotted(&self) -> io::Result<u64> {
        // The unit of `st_blocks` whatever the file system's own is (stat(2)).
        Ok(std::fs::metadata(&self.path)?.blocks() * 512)
    }
}
