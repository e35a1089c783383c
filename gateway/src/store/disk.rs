// SPDX-License-Identifier: AGPL-3.0-or-later
//! The file below the database: a page of our own that says what the file is, then the database's pages.
//!
//! Our page comes first and is synced before anything follows, so that a file can be told to be of a later format, or no
//! journal at all, whatever the database makes of its own part.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;

use super::error::Fault;

/// The format of what we keep: the tables, their keys, and the database's own format. Read by [`Disk::new`].
pub(super) const FORMAT: u32 = 1;

/// How every journal begins; the format follows, 4 bytes big-endian, and zeros up to a page.
pub(super) const MAGIC: &[u8; 24] = b"irdest-gateway journal\n\0";

/// Our page is as long as the database's own, which stay aligned so.
pub(super) const PAGE: usize = 4096;
const OFFSET: u64 = 4096;

/// A file for the database to read and write.
#[derive(Debug)]
pub(super) struct Disk {
    medium: Box<dyn StorageBackend>,
    syncs: Arc<AtomicU64>,
}

impl Disk {
    /// What `medium` holds from our page on, which is written where there is nothing yet; `syncs` counts.
    pub(super) fn new(medium: Box<dyn StorageBackend>, syncs: Arc<AtomicU64>) -> Result<Self, Fault> {
        // Nothing was kept in a file that has no more than our page, whose write may have been cut short.
        if medium.len()? <= OFFSET {
            medium.set_len(OFFSET)?;
            medium.write(0, &first_page())?;
            medium.sync_data()?;
        }
        let mut page = [0; PAGE];
        medium.read(0, &mut page)?;
        let format = page.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk());
        match format.map(|bytes| u32::from_be_bytes(*bytes)) {
            Some(FORMAT) => Ok(Self { medium, syncs }),
            Some(found) if found > FORMAT => Err(Fault::Newer { found, known: FORMAT }),
            Some(_) | None => Err(Fault::Damaged("it does not begin as a journal does".to_owned())),
        }
    }
}

fn first_page() -> [u8; PAGE] {
    let mut page = [0; PAGE];
    page[..MAGIC.len()].copy_from_slice(MAGIC);
    page[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&FORMAT.to_be_bytes());
    page
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.medium.len()?.saturating_sub(OFFSET))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.medium.read(offset + OFFSET, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.medium.set_len(length + OFFSET)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.medium.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.medium.write(offset + OFFSET, data)
    }

    fn close(&self) -> io::Result<()> {
        self.medium.close()
    }
}

/// A file of the system. It is locked with the state directory it is in, not by itself.
#[derive(Debug)]
pub(super) struct Medium(pub(super) File);

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
