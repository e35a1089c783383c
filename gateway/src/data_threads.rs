// SPDX-License-Identifier: AGPL-3.0-or-later
//! The threads of the data path: one per core, of which only as many work as the traffic keeps busy.
//!
//! Two threads on one stream of packets cost more than one of them: they wake each other for every burst, and what one
//! has just read lies in the cache of the other's core (`decisions/data-path.md` has the figures). So one does everything until
//! that takes up most of its time; then the tasks are spread over more of them, and come back when there is less to do.
//!
//! Each thread has a runtime of its own. The first watches all sockets and queues of the device, whichever thread works on them.

mod duty;
mod mobile;
mod processor_time;

use std::fmt;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use netmod_api::Executor;
use nix::unistd::gettid;
use ratman_types::Timestamp;
use tokio::runtime::{Builder, Handle, Runtime};

pub use duty::Duty;

use mobile::Mobile;
use processor_time::ProcessorTime;

/// More threads than this gain nothing while there is a handful of links.
const MOST: u8 = 4;

/// The threads, and who spreads tasks over them.
#[derive(Debug)]
pub struct DataThreads {
    runtimes: Vec<Runtime>,
    spread: Spread,
    time: ProcessorTime,
}

impl DataThreads {
    /// As many as there are; also the number of queues that the TUN device should have: the kernel spreads the flows over them
    /// and keeps each flow in its own.
    pub fn count() -> u8 {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        u8::try_from(cores).unwrap_or(u8::MAX).min(MOST)
    }

    /// Starts [`count`](Self::count) threads, of which one works.
    ///
    /// # Errors
    /// The system gives no more threads, or no means to watch sockets.
    ///
    /// # Panics
    /// Within a runtime.
    pub fn start() -> io::Result<Self> {
        Self::start_many(Self::count())
    }

    fn start_many(count: u8) -> io::Result<Self> {
        let runtime =
            |_| Builder::new_multi_thread().worker_threads(1).thread_name("data").enable_all().build();
        let runtimes = (0..count).map(runtime).collect::<io::Result<Vec<_>>>()?;
        // Asked of the one that works: a runtime has more threads, for names that are looked up, which come and go.
        let thread = |runtime: &Runtime| runtime.block_on(runtime.spawn(async { gettid() }));
        let ids = runtimes.iter().map(thread).collect::<Result<_, _>>().map_err(io::Error::other)?;
        let handles = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        let shared = Shared { handles, working: AtomicUsize::new(1), next: AtomicUsize::new(0) };
        Ok(Self { runtimes, spread: Spread(Arc::new(shared)), time: ProcessorTime::of(ids) })
    }

    /// The runtime that watches sockets and the device, and runs what need not be spread.
    pub fn first(&self) -> &Handle {
        self.spread.first()
    }

    /// The runtimes of all threads.
    pub fn handles(&self) -> &[Handle] {
        &self.spread.0.handles
    }

    /// Who spreads tasks over the threads.
    pub fn spread(&self) -> &Spread {
        &self.spread
    }

    /// Who decides how many threads work.
    pub fn duty(&self, now: Timestamp) -> Duty {
        Duty::new(self.spread.clone(), self.time.clone(), now)
    }

    /// Ends all of them without waiting for what they do.
    pub fn end(self) {
        // The first, which watches the sockets of all, goes last.
        self.runtimes.into_iter().rev().for_each(Runtime::shutdown_background);
    }
}

/// Spreads tasks over the threads that work.
#[derive(Clone)]
pub struct Spread(Arc<Shared>);

struct Shared {
    handles: Vec<Handle>,
    /// INVARIANT: at least one, and at most as many as there are.
    working: AtomicUsize,
    /// How many tasks of links there were.
    next: AtomicUsize,
}

impl Spread {
    /// How many threads work.
    pub fn working(&self) -> usize {
        self.0.working.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub fn all(&self) -> usize {
        self.0.handles.len()
    }

    /// Lets so many work from now on, at least one and at most all. Each task changes to another thread when it is next
    /// woken.
    pub fn set_working(&self, working: usize) {
        // Tasks that see it late are where they were before.
        self.0.working.store(working.clamp(1, self.all()), Ordering::Relaxed);
    }

    /// Runs a task. Those whose places follow one another are on different threads while more than one works.
    pub fn spawn_at(&self, place: usize, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        Mobile::spawn(self.clone(), place, task);
    }

    fn thread_of(&self, place: usize) -> usize {
        place % self.working()
    }

    fn handle(&self, thread: usize) -> &Handle {
        &self.0.handles[thread]
    }

    fn first(&self) -> &Handle {
        self.0.handles.first().expect("INVARIANT: there is at least one")
    }
}

impl Executor for Spread {
    /// Tasks come in pairs, what reads a link and what writes to it: these two have different places, and so do the readers of
    /// links that come up one after the other.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.spawn_at(number / 2 + number % 2, task);
    }
}

impl fmt::Debug for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spread")
            .field("working", &self.working())
            .field("all", &self.all())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
