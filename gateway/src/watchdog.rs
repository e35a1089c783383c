// SPDX-License-Identifier: AGPL-3.0-or-later
//! The watchdog of the service manager (`WatchdogSec=`, sd_notify(3)): the control loop feeds it, and only while every thread
//! of the data path goes on. A gateway in which one of them hangs is started anew instead of looking well.

use std::time::Duration;

use ratman_types::Timestamp;
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::notify;

mod thread;

use thread::Thread;

/// As often as this we look at most, whatever the service manager asks for: a watchdog must not be what keeps a machine busy.
const SHORTEST: Duration = Duration::from_millis(50);

/// After a look that found a thread standing still, this part of the period passes before the next one: a thread that goes on
/// again is told of before the service manager loses its patience.
const LOOK_AGAIN: u32 = 8;

/// Says to the service manager that the daemon goes on, for as long as that is so.
#[derive(Debug)]
pub struct Watchdog {
    period: Duration,
    threads: Vec<Thread>,
    next: Timestamp,
    still: bool,
}

impl Watchdog {
    /// Feeds the watchdog at half of `$WATCHDOG_USEC`, as sd_watchdog_enabled(3) wants it; nothing where the service manager
    /// has none, which then costs nothing. `data` are the runtimes of the data path, of one thread each.
    pub fn of_service_manager(data: &[Handle], now: Timestamp) -> Option<Self> {
        let limit = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())?;
        Some(Self::new(limit, data, now))
    }

    fn new(limit: Duration, data: &[Handle], now: Timestamp) -> Self {
        let threads = data.iter().cloned().map(Thread::of).collect();
        Self { period: (limit / 2).max(SHORTEST), threads, next: now, still: false }
    }

    /// When [`look`](Self::look) has something to do.
    pub fn deadline(&self) -> Timestamp {
        self.next
    }

    /// Looks whether the data path goes on, and feeds the watchdog if so. To be called by the control loop alone: a loop that
    /// hangs does not get here.
    pub fn look(&mut self, now: Timestamp) {
        // All are asked, whatever the first says: each tells of the time since it was asked last.
        let hanging = self.threads.iter_mut().enumerate().filter_map(|(number, thread)| {
            let goes_on = thread.goes_on();
            (!goes_on).then_some(number)
        });
        match hanging.reduce(|first, _| first) {
            None => {
                if std::mem::take(&mut self.still) {
                    info!("the data path goes on");
                }
                notify::alive();
                self.next = now + self.period;
            }
            Some(thread) => {
                if !std::mem::replace(&mut self.still, true) {
                    warn!(thread, "the data path stands still; the watchdog will end this daemon");
                }
                self.next = now + self.period / LOOK_AGAIN;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_at_half_of_the_limit_and_sooner_after_a_standstill() {
        let data =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let start = Timestamp::from_micros(1_000_000);
        let mut watchdog = Watchdog::new(Duration::from_secs(10), &[data.handle().clone()], start);
        assert_eq!(watchdog.deadline(), start);
        watchdog.look(start);
        assert_eq!(watchdog.deadline(), start + Duration::from_secs(5));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (holding, holds) = std::sync::mpsc::channel();
        data.spawn(async move {
            holding.send(()).unwrap();
            let _ended = held.recv();
        });
        holds.recv().unwrap();
        // The first look asks, and the second has no answer.
        for _ in 0..2 {
            watchdog.look(start);
        }
        assert!(watchdog.still);
        assert_eq!(watchdog.deadline(), start + Duration::from_millis(625));
        drop(release);
    }

    #[test]
    fn it_never_looks_all_the_time() {
        let data =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let watchdog =
            Watchdog::new(Duration::from_micros(1), &[data.handle().clone()], Timestamp::default());
        assert_eq!(watchdog.period, SHORTEST);
    }
}
