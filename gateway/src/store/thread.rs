// SPDX-License-Identifier: AGPL-3.0-or-later
//! The store on threads of its own: one that commits, and makes one commit of all that waits, and one that reads.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use ratman_types::ByteCount;
use tracing::{debug, error, info};

use super::{Change, Key, Store, StoreError, Table};

/// As much may wait or be under way to the disk, in bytes of memory: half of it is committed while the other half arrives. With
/// the database's pages beside it, small against the 96 MiB that the daemon may have.
const MOST_WAITING: usize = 8 << 20;

/// So many questions may wait. Each is answered in less than a millisecond; what waits is keys only.
const MOST_READS: usize = 1024;

/// What [`StoreThread::list`] answers at once, in bytes.
const LIST: usize = 256 * 1024;

/// The work of the store, done: handed to the callback of [`StoreThread::start`], on the thread that did it.
#[derive(Debug)]
pub enum Completion {
    /// A batch: durable, or else nothing of it unless the error came at the very end.
    Committed {
        /// What the batch was called.
        id: u64,
        /// How it went; batches of one commit share an error.
        result: Result<(), Arc<StoreError>>,
    },
    /// A value that was asked for.
    Found {
        /// What the question was called.
        id: u64,
        /// The value, if it is there.
        result: Result<Option<Vec<u8>>, StoreError>,
    },
    /// Entries that were asked for.
    Listed {
        /// What the question was called.
        id: u64,
        /// The entries in order; none where there are no more.
        result: Result<Vec<(Key, Vec<u8>)>, StoreError>,
    },
}

/// Why something was not taken: as much waits as may ([`StoreStatus::waiting`]). It can be tried after the next [`Completion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store has enough to do")]
pub struct Refused;

/// What a store is doing, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Why nothing can be stored, while it is so.
    pub trouble: Option<String>,
    /// What waits to be stored or is under way; at most 8 MiB, or one batch that is larger.
    pub waiting: ByteCount,
    /// Batches that were stored since the start.
    pub batches: u64,
    /// Commits that were made for them.
    pub commits: u64,
    /// How often the disk was asked to make durable what was written.
    pub syncs: u64,
    /// Batches and questions that were not taken as too many waited.
    pub refused: u64,
    /// How often a damaged database was moved aside since the start.
    pub begun_anew: u64,
    /// What the database takes of the disk; zero where that cannot be seen.
    pub on_disk: ByteCount,
}

/// A store with the threads that work for it. Dropped, it commits what waits, answers what was asked, and ends.
#[derive(Debug)]
pub struct StoreThread {
    shared: Arc<Shared>,
    batches: Option<Sender<Batch>>,
    reads: Option<SyncSender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    waiting: AtomicUsize,
    refused: AtomicU64,
    stored: AtomicU64,
    commits: AtomicU64,
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Batch {
    id: u64,
    changes: Vec<Change>,
    memory: usize,
}

#[derive(Debug)]
enum Read {
    Get { id: u64, table: Table, key: Key },
    List { id: u64, table: Table, prefix: Key, after: Option<Key> },
}

impl StoreThread {
    /// Starts the threads. `done` is told of each batch in the order in which they were handed in, and of each question likewise;
    /// it must not wait.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(store: Store, done: impl Fn(Completion) + Send + Sync + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store: Arc::new(store),
            waiting: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            trouble: Mutex::new(None),
        });
        let done = Arc::new(done);
        // Bounded by `waiting`, in bytes.
        let (batches, arriving) = channel();
        let (reads, asked) = sync_channel(MOST_READS);
        let (writer, reader) = (Arc::clone(&shared), Arc::clone(&shared));
        let (committed, answer) = (Arc::clone(&done), done);
        let threads = vec![
            Builder::new()
                .name("store".to_owned())
                .spawn(move || writer.write_all(&arriving, &*committed))?,
            Builder::new()
                .name("store-read".to_owned())
                .spawn(move || reader.answer_all(&asked, &*answer))?,
        ];
        Ok(Self { shared, batches: Some(batches), reads: Some(reads), threads })
    }

    /// Takes a batch, to be committed as a whole with what else waits; [`Completion::Committed`] says when it is durable.
    ///
    /// # Errors
    /// More than 8 MiB would wait: the batch comes back. A larger one is taken where nothing waits.
    pub fn commit(&self, id: u64, changes: Vec<Change>) -> Result<(), (Refused, Vec<Change>)> {
        let memory = size_of::<Batch>() + changes.iter().map(Change::memory).sum::<usize>();
        let fits =
            |waiting: usize| (waiting == 0 || waiting + memory <= MOST_WAITING).then_some(waiting + memory);
        if self.shared.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_err() {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            return Err((Refused, changes));
        }
        let sender = self.batches.as_ref().expect("invariant: there until it is dropped");
        sender.send(Batch { id, changes, memory }).map_err(|unsent| (Refused, unsent.0.changes))
    }

    /// Asks for the value under `key`; [`Completion::Found`] answers with what is committed by then.
    ///
    /// # Errors
    /// 1024 questions wait.
    pub fn get(&self, id: u64, table: Table, key: Key) -> Result<(), Refused> {
        self.ask(Read::Get { id, table, key })
    }

    /// Asks for entries whose keys begin with `prefix` and come after `after`; [`Completion::Listed`] answers with the first 256 KiB
    /// of them, or none. The last key of the answer asks for more.
    ///
    /// # Errors
    /// 1024 questions wait.
    pub fn list(&self, id: u64, table: Table, prefix: Key, after: Option<Key>) -> Result<(), Refused> {
        self.ask(Read::List { id, table, prefix, after })
    }

    /// The store itself, for who may wait for the disk.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.shared.store)
    }

    /// What it is doing.
    pub fn status(&self) -> StoreStatus {
        let shared = &self.shared;
        let waiting = shared.waiting.load(Ordering::Relaxed);
        StoreStatus {
            trouble: shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            waiting: ByteCount(u64::try_from(waiting).unwrap_or(u64::MAX)),
            batches: shared.stored.load(Ordering::Relaxed),
            commits: shared.commits.load(Ordering::Relaxed),
            syncs: shared.store.syncs(),
            refused: shared.refused.load(Ordering::Relaxed),
            begun_anew: shared.store.begun_anew(),
            on_disk: shared.store.bytes_on_disk().unwrap_or_default(),
        }
    }

    fn ask(&self, read: Read) -> Result<(), Refused> {
        let sender = self.reads.as_ref().expect("invariant: there until it is dropped");
        sender.try_send(read).map_err(|_| {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            Refused
        })
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        (self.batches, self.reads) = (None, None);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a thread of the store has panicked");
            }
        }
    }
}

impl Shared {
    fn write_all(&self, arriving: &Receiver<Batch>, done: &dyn Fn(Completion)) {
        while let Ok(first) = arriving.recv() {
            let mut group = vec![first];
            group.extend(arriving.try_iter());
            self.write(group, done);
        }
    }

    /// Commits batches together. One that cannot be made, or that no room is found for, must not keep the others from it.
    fn write(&self, group: Vec<Batch>, done: &dyn Fn(Completion)) {
        let result = self.store.commit(group.iter().flat_map(|batch| &batch.changes));
        if group.len() > 1 && result.as_ref().is_err_and(StoreError::is_of_some) {
            return group.into_iter().for_each(|batch| self.write(vec![batch], done));
        }
        self.note(&result);
        if result.is_ok() {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.stored.fetch_add(u64::try_from(group.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        let result = result.map_err(Arc::new);
        for Batch { id, changes, memory } in group {
            drop(changes);
            self.waiting.fetch_sub(memory, Ordering::AcqRel);
            done(Completion::Committed { id, result: result.clone() });
        }
    }

    fn answer_all(&self, asked: &Receiver<Read>, done: &dyn Fn(Completion)) {
        while let Ok(read) = asked.recv() {
            done(match read {
                Read::Get { id, table, key } => Completion::Found { id, result: self.store.get(table, &key) },
                Read::List { id, table, prefix, after } => {
                    let result = self.store.list(table, &prefix, after.as_ref(), LIST);
                    Completion::Listed { id, result }
                }
            });
        }
    }

    /// Says once what is wrong, and once that it is over.
    fn note(&self, result: &Result<(), StoreError>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) if trouble.take().is_some() => info!("the journal is stored again"),
            Ok(()) => {}
            Err(error) if error.is_of_change() => {
                error!(%error, "the journal was asked to keep what it never can")
            }
            Err(error) => {
                let words = error.to_string();
                if trouble.as_ref() == Some(&words) {
                    debug!(%error, "the journal still cannot be stored");
                } else {
                    error!(%error, "the journal cannot be stored: messages are not accepted");
                }
                *trouble = Some(words);
            }
        }
    }
}
