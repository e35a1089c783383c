// SPDX-License-Identifier: AGPL-3.0-or-later
//! A runtime of one thread as seen from outside: whether it goes on.
//!
//! A task that is sent at each look, which sleeps for a moment, must be back at the next: then the thread takes new tasks, and
//! attends to timers and sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

/// Long enough to go through the timers of the runtime.
const MOMENT: Duration = Duration::from_millis(1);

/// The one thread of a runtime.
#[derive(Debug)]
pub(super) struct Thread {
    runtime: Handle,
    answered: Arc<AtomicBool>,
}

impl Thread {
    /// That of `runtime`, which has a timer.
    pub(super) fn of(runtime: Handle) -> Self {
        Self { runtime, answered: Arc::new(AtomicBool::new(true)) }
    }

    /// Whether it went on since the last call.
    pub(super) fn goes_on(&mut self) -> bool {
        let answered = self.answered.load(Ordering::Relaxed);
        if answered {
            self.ask();
        }
        answered
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

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    /// Holds the thread of the runtime until the sender is dropped.
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

    /// Looks until it goes on.
    fn wait_for(thread: &mut Thread) {
        let end = Instant::now() + SOON;
        while !thread.goes_on() {
            assert!(Instant::now() < end, "not within {SOON:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn an_idle_thread_goes_on() {
        let runtime = runtime();
        let mut thread = Thread::of(runtime.handle().clone());
        for _ in 0..5 {
            wait_for(&mut thread);
            // Ten times what the task sleeps; on a machine that stands still itself it is waited for.
            thread::sleep(MOMENT * 10);
        }
    }

    #[test]
    fn a_busy_thread_that_never_rests_goes_on() {
        let runtime = runtime();
        runtime.spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        let mut thread = Thread::of(runtime.handle().clone());
        for _ in 0..5 {
            wait_for(&mut thread);
            thread::sleep(Duration::from_millis(20));
        }
        runtime.shutdown_background();
    }

    #[test]
    fn one_that_hangs_is_found_asked_once_and_may_recover() {
        let runtime = runtime();
        let mut thread = Thread::of(runtime.handle().clone());
        let release = hold(&runtime);
        assert!(thread.goes_on(), "nothing was asked before");
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(10));
            assert!(!thread.goes_on());
        }
        assert_eq!(runtime.metrics().num_alive_tasks(), 2, "one that holds the thread, and one that asks");
        drop(release);
        wait_for(&mut thread);
    }
}
