// SPDX-License-Identifier: AGPL-3.0-or-later
//! The daemon's one database, which keeps the journal of streams, the addresses of clients and the operator's contacts: what was
//! accepted survives `kill -9` and power loss.
//!
//! [`Store`] makes batches of [`Change`]s durable, each as a whole or not at all, and finds what was stored;
//! [`StoreThread`] does so on threads of its own for who must not wait. What a block, a stream or a recipient is, and when
//! something may go, is the router's business; values come sealed where that is due.
//!
//! It is redb in a file of the state directory (decisions/store.md), with a page of ours before it. A file that turns out to be
//! damaged is moved aside and a new one begun; one of a later format is refused.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ratman_types::ByteCount;
use redb::{Builder, Database, ReadableDatabase, WriteTransaction};
use tracing::{error, info};

mod change;
mod disk;
mod error;
mod layout;
mod place;
mod thread;
mod turns;

pub use change::{Change, Key, MAX_KEY, MAX_VALUE, Table};
use disk::Disk;
use error::Fault;
pub use error::StoreError;
use layout::Tables;
use place::{InDirectory, Place};
pub use thread::{Completion, Refused, StoreStatus, StoreThread};
use turns::{Along, Turn, Turns};

/// As much is looked up at once by [`Store::scan`], in bytes: some blocks, in the time of one commit.
const CHUNK: usize = 256 * 1024;

/// What a store may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// The pages that are kept in memory, in bytes; default 8 MiB: a commit of 4 MiB fits in the half of it that keeps what is
    /// to be written. At least 1 MiB is used.
    pub cache: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { cache: 8 << 20 }
    }
}

/// Whether the open database can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// It failed to read or write, and has to be opened again.
    Failed,
    /// It contradicts itself, and has to be checked when it is opened again.
    Suspect,
}

/// The database. Readers do not wait for who writes, nor the other way round.
pub struct Store {
    place: Box<dyn Place>,
    config: StoreConfig,
    /// None where it could not be opened; it is tried again at every use.
    database: RwLock<Option<Database>>,
    health: Mutex<Health>,
    turns: Turns,
    syncs: Arc<AtomicU64>,
    begun_anew: AtomicU64,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.place.path()).finish_non_exhaustive()
    }
}

impl Store {
    /// Whether there is a database in `dir` in which something may be.
    pub fn exists(dir: &Path) -> bool {
        std::fs::metadata(dir.join(place::FILE)).is_ok_and(|file| file.len() > 0)
    }

    /// Opens the database in `dir`, the locked state directory, and makes it with mode 0600 where it is not there.
    ///
    /// A damaged one is moved aside with an ERROR and a new one begun. After a crash no more is read than after a clean end.
    /// On a disk without room the store opens too, and works once there is.
    ///
    /// # Errors
    /// The file cannot be read or written, or is of a later format.
    pub fn open(dir: &Path, config: &StoreConfig) -> Result<Self, StoreError> {
        Self::open_in(Box::new(InDirectory::new(dir)), config)
    }

    fn open_in(place: Box<dyn Place>, config: &StoreConfig) -> Result<Self, StoreError> {
        let store = Self {
            place,
            config: *config,
            database: RwLock::new(None),
            health: Mutex::new(Health::Failed),
            turns: Turns::default(),
            syncs: Arc::default(),
            begun_anew: AtomicU64::new(0),
        };
        match store.reopen() {
            Err(error) if error.is_full() => {
                error!(%error, "no room for the journal: nothing is stored until there is")
            }
            opened => opened?,
        }
        Ok(store)
    }

    /// Makes all `changes` durable, in their order: all of them or none. Waits for the disk, and for other commits.
    ///
    /// # Errors
    /// One of the changes cannot be made, or the disk does not take them; the next call tries the disk again.
    pub fn commit<'a>(&self, changes: impl IntoIterator<Item = &'a Change>) -> Result<(), StoreError> {
        let changes: Vec<_> = changes.into_iter().collect();
        changes.iter().try_for_each(|change| layout::check(change))?;
        self.commit_in(self.turns.first(), &changes)
    }

    /// [`Store::commit`] for few changes, of which many may wait at once: all that wait are one commit, together with the next that is
    /// made in any case.
    ///
    /// # Errors
    /// As [`Store::commit`], for these changes alone.
    pub fn commit_along(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        changes.iter().try_for_each(layout::check)?;
        match self.turns.along(changes) {
            Along::Durable => Ok(()),
            Along::Turn(turn, own) => self.commit_in(turn, &own.iter().collect::<Vec<_>>()),
            Along::Alone(own) => self.commit_in(self.turns.alone(), &own.iter().collect::<Vec<_>>()),
            Along::Failed(error) => Err(error),
        }
    }

    /// Commits changes, and with them what goes along. Where fewer may do the latter are left to those who wait for them: what is wrong
    /// with them must not keep these from it. What else is wrong is so for all of them.
    fn commit_in(&self, mut turn: Turn<'_>, changes: &[&Change]) -> Result<(), StoreError> {
        let together: Vec<_> = changes.iter().copied().chain(turn.along()).collect();
        let written = self.write(&together);
        match &written {
            Ok(()) => turn.is_durable(),
            Err(error) if !error.is_of_some() => turn.has_failed(error),
            Err(_) if turn.has_none_along() => {}
            Err(_) => return self.write(changes),
        }
        written
    }

    fn write(&self, changes: &[&Change]) -> Result<(), StoreError> {
        self.with(|database| {
            let transaction = begin(database)?;
            let mut tables = Tables::open(&transaction)?;
            changes.iter().try_for_each(|change| tables.apply(change))?;
            drop(tables);
            Ok(transaction.commit()?)
        })
    }

    /// The value under `key`, as the last commit left it.
    ///
    /// # Errors
    /// The key has not the length of its table, or the file cannot be read.
    pub fn get(&self, table: Table, key: &Key) -> Result<Option<Vec<u8>>, StoreError> {
        layout::check_key(table, key, true)?;
        self.with(|database| layout::get(&database.begin_read()?, table, key))
    }

    /// Entries whose keys begin with `prefix` and come after `after`, in the order of their keys: as many as have `most` bytes
    /// together, and at least one; none where there are no more. All are as one commit left them.
    ///
    /// # Errors
    /// A key is longer than those of the table, or the file cannot be read.
    pub fn list(
        &self,
        table: Table,
        prefix: &Key,
        after: Option<&Key>,
        most: usize,
    ) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        layout::check_key(table, prefix, false)?;
        after.map_or(Ok(()), |after| layout::check_key(table, after, false))?;
        self.with(|database| layout::list(&database.begin_read()?, table, prefix, after, most))
    }

    /// All entries whose keys begin with `prefix`, in the order of their keys; what is committed meanwhile is among them or not.
    ///
    /// # Errors
    /// As [`Store::list`], after which there is no more.
    pub fn scan(
        &self,
        table: Table,
        prefix: Key,
    ) -> impl Iterator<Item = Result<(Key, Vec<u8>), StoreError>> {
        // One chunk after the other, as one long transaction would keep all pages that are freed during it.
        let (mut chunk, mut last, mut ended) = (VecDeque::new(), None, false);
        std::iter::from_fn(move || {
            if chunk.is_empty() && !ended {
                match self.list(table, &prefix, last.as_ref(), CHUNK) {
                    Ok(entries) => chunk.extend(entries),
                    Err(error) => {
                        ended = true;
                        return Some(Err(error));
                    }
                }
                last = chunk.back().map(|(key, _)| *key);
                ended = last.is_none();
            }
            chunk.pop_front().map(Ok)
        })
    }

    /// What the file takes of the disk: it grows with what is stored, and what is removed makes room in it for what comes; only
    /// its end is given back.
    ///
    /// # Errors
    /// The file is not there, or not to be seen.
    pub fn bytes_on_disk(&self) -> Result<ByteCount, StoreError> {
        let allotted = self.place.allotted().map_err(|error| self.error(Fault::Io(error)))?;
        Ok(ByteCount(allotted))
    }

    /// How often the disk was asked to make durable what was written.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// How often a damaged database was moved aside since the start; what was in it is not found any more.
    pub fn begun_anew(&self) -> u64 {
        self.begun_anew.load(Ordering::Relaxed)
    }

    /// Does something with the database, which is opened again first if it failed before.
    fn with<T>(&self, act: impl Fn(&Database) -> Result<T, Fault>) -> Result<T, StoreError> {
        if *self.health() != Health::Well {
            self.reopen()?;
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = database.as_ref() else {
            return Err(self.error(Fault::Io(std::io::Error::other("not open"))));
        };
        guarded(|| act(database)).map_err(|fault| {
            *self.health() = match fault {
                Fault::Io(_) => Health::Failed,
                Fault::Damaged(_) | Fault::Newer { .. } => Health::Suspect,
            };
            self.error(fault)
        })
    }

    /// Closes the database and opens it again; what is damaged is moved aside.
    fn reopen(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let health = *self.health();
        if health == Health::Well {
            return Ok(());
        }
        // Both at once would write to the same pages. It may give up on closing what it gave up on before.
        let _ = guarded(|| {
            drop(database.take());
            Ok(())
        });
        let opened = match self.attach(health == Health::Suspect) {
            Err(fault @ Fault::Damaged(_)) => {
                let damage = self.error(fault);
                let moved_to = self.place.set_aside().map_err(|error| self.error(Fault::Io(error)))?;
                error!(error = %damage, moved_to = %moved_to.display(), "the journal is damaged: begun anew without what was in it");
                self.begun_anew.fetch_add(1, Ordering::Relaxed);
                self.attach(false)
            }
            attached => attached,
        };
        *database = Some(opened.map_err(|fault| self.error(fault))?);
        *self.health() = Health::Well;
        Ok(())
    }

    fn attach(&self, check: bool) -> Result<Database, Fault> {
        let path = self.place.path().to_owned();
        guarded(|| {
            let disk = Disk::new(self.place.open()?, Arc::clone(&self.syncs))?;
            let mut builder = Builder::new();
            builder.set_cache_size(self.config.cache.max(1 << 20)).set_check_integrity_on_open(check);
            let path = path.clone();
            builder.set_repair_callback(
                move |_| info!(file = %path.display(), "the journal is checked as a whole"),
            );
            let database = builder.create_with_backend(disk)?;
            if !layout::is_complete(&database.begin_read()?)? {
                let transaction = begin(&database)?;
                Tables::open(&transaction)?;
                transaction.commit()?;
            }
            Ok(database)
        })
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, fault: Fault) -> StoreError {
        fault.at(self.place.path().to_owned())
    }
}

/// A transaction that leaves nothing to repair after a crash: what is allotted is written with it, and synced before it counts.
fn begin(database: &Database) -> Result<WriteTransaction, Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// With a panic of the database made an error: it gives up so on some damaged files.
fn guarded<T>(act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| Err(Fault::panicked(panic.as_ref())))
}

#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
