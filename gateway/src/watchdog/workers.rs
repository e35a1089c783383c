// SPDX-License-Identifier: AGPL-3.0-or-later
//! The threads of a runtime as seen from outside: whether each of them goes on.
//!
//! A task cannot be sent to a thread of tokio's choice only, so two signs are taken together. Each thread counts how often
//! it went to rest and how long it was busy, between any two rests and at least every 61 tasks: one that is awake and
//! has counted nothing since the last look hangs in a task. And a task that is sent at each look, which sleeps for a moment, must
//! be back at the next: then new tasks are taken, and timers and sockets are attended to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

/// Long enough to go through the timers of the runtime.
const MOMENT: Duration = Duration::from_millis(1);

/// What does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standstill {
    /// This thread hangs in a task.
    Thread(usize),
    /// No thread takes new tasks or looks at the timers.
    Tasks,
}

impl fmt::Display for Standstill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(number) => write!(f, "thread {number} hangs"),
            Self::Tasks => f.write_str("no thread takes tasks"),
        }
    }
}

/// How far a thread had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// Grows when the thread goes to rest and when it wakes: odd while it rests.
    rests: u64,
    busy: Duration,
}

impl Progress {
    fn is_awake(self) -> bool {
        self.rests.is_multiple_of(2)
    }
}

/// The threads of a runtime.
#[derive(Debug)]
pub(super) struct Workers {
    runtime: Handle,
    seen: Vec<Progress>,
    answered: Arc<AtomicBool>,
}

impl Workers {
    /// Those of `runtime`, which has several and a timer.
    pub(super) fn of(runtime: Handle) -> Self {
        Self { runtime, seen: Vec::new(), answered: Arc::new(AtomicBool::new(true)) }
    }

    /// What did not go on since the last call.
    pub(super) fn standstill(&mut self) -> Option<Standstill> {
        let seen = self.progress();
        let hangs = |(before, now): (&Progress, &Progress)| before == now && now.is_awake();
        let hanging = self.seen.iter().zip(&seen).position(hangs);
        self.seen = seen;
        let answered = self.answered.load(Ordering::Relaxed);
        if answered {
            self.ask();
        }
        hanging.map(Standstill::Thread).or((!answered).then_some(Standstill::Tasks))
    }

    /// One task at a time: where none is taken, they must not pile up.
    fn ask(&mut self) {
        let answered = Arc::new(AtomicBool::new(false));
        self.answered = Arc::clone(&answered);
        self.runtime.spawn(async move {
            tokio::time::sleep(MOMENT).await;
            answered.store(true, Ordering::Relaxed);
        });
    }

    fn progress(&self) -> Vec<Progress> {
        let metrics = self.runtime.metrics();
        let progress = |worker| Progress {
            rests: metrics.worker_park_unpark_count(worker),
            busy: metrics.worker_total_busy_duration(worker),
        };
        (0..metrics.num_workers()).map(progress).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// How long a thread may take to do what it is about to do, on a machine that is busy with something else.
    const SOON: Duration = Duration::from_secs(30);

    fn runtime(threads: usize) -> Runtime {
        Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
    }

    /// Holds one more thread of the runtime until the sender is dropped.
    fn hold(runtime: &Runtime) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel();
        let (holding, holds) = mpsc::channel();
        runtime.spawn(async move {
            holding.send(()).unwrap();
            let _released = held.recv();
        });
        holds.recv().unwrap();
        release
    }

    /// Looks until the look finds this.
    fn wait_for(workers: &mut Workers, wanted: impl Fn(Option<Standstill>) -> bool) {
        let end = Instant::now() + SOON;
        while !wanted(workers.standstill()) {
            assert!(Instant::now() < end, "not within {SOON:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn idle_threads_go_on() {
        let runtime = runtime(2);
        let mut workers = Workers::of(runtime.handle().clone());
        wait_for(&mut workers, |found| found.is_none());
        for _ in 0..5 {
            // Ten times what the task sleeps; on a machine that stands still itself it is waited for.
            thread::sleep(MOMENT * 10);
            wait_for(&mut workers, |found| found.is_none());
        }
        assert_eq!(workers.seen.len(), 2);
    }

    #[test]
    fn busy_threads_that_never_rest_go_on() {
        let runtime = runtime(2);
        for _ in 0..2 {
            runtime.spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut workers = Workers::of(runtime.handle().clone());
        workers.standstill();
        let mut hanging = 0;
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(100));
            hanging += u32::from(matches!(workers.standstill(), Some(Standstill::Thread(_))));
        }
        assert!(hanging < 5, "they count while they are busy");
        wait_for(&mut workers, |found| found.is_none());
        runtime.shutdown_background();
    }

    #[test]
    fn one_thread_that_hangs_is_found_beside_one_that_works_and_may_recover() {
        let runtime = runtime(2);
        let mut workers = Workers::of(runtime.handle().clone());
        let release = hold(&runtime);
        wait_for(&mut workers, |found| matches!(found, Some(Standstill::Thread(_))));
        // It stays so, and the other one still takes tasks.
        wait_for(&mut workers, |found| matches!(found, Some(Standstill::Thread(_))));
        runtime.block_on(runtime.spawn(async {})).unwrap();
        drop(release);
        wait_for(&mut workers, |found| found.is_none());
    }

    #[test]
    fn where_no_thread_takes_tasks_one_waits_and_no_more() {
        let runtime = runtime(2);
        let mut workers = Workers::of(runtime.handle().clone());
        let releases = [hold(&runtime), hold(&runtime)];
        workers.standstill();
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(10));
            assert!(workers.standstill().is_some());
        }
        assert_eq!(runtime.metrics().num_alive_tasks(), 3, "two that hold the threads, and one that asks");
        drop(releases);
        wait_for(&mut workers, |found| found.is_none());
    }
}
