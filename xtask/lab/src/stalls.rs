// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether the machine itself stood still: what a test measures then is not the program under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How often the clock is looked at. Shorter stalls are not seen.
const TICK: Duration = Duration::from_millis(5);

/// Watches how late a thread wakes up that asks for nothing else, until it is dropped.
#[derive(Debug)]
pub struct Stalls {
    longest: Arc<AtomicU64>,
    /// Ends the thread when it goes.
    _ends: Sender<()>,
}

impl Stalls {
    /// Starts watching.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn watch() -> Result<Self> {
        let longest = Arc::new(AtomicU64::new(0));
        let (ends, ended) = mpsc::channel();
        let seen = Arc::clone(&longest);
        thread::Builder::new().name("stalls".to_owned()).spawn(move || {
            let mut due = Instant::now() + TICK;
            while ended.recv_timeout(due.saturating_duration_since(Instant::now()))
                == Err(RecvTimeoutError::Timeout)
            {
                let now = Instant::now();
                let late = u64::try_from((now - due).as_micros()).unwrap_or(u64::MAX);
                seen.fetch_max(late, Ordering::Relaxed);
                due = now + TICK;
            }
        })?;
        Ok(Self { longest, _ends: ends })
    }

    /// The longest stall since the last call, or since watching began.
    pub fn take_longest(&self) -> Duration {
        Duration::from_micros(self.longest.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_told_again() {
        let stalls = Stalls { longest: Arc::new(AtomicU64::new(20_000)), _ends: mpsc::channel().0 };
        assert_eq!(stalls.take_longest(), Duration::from_millis(20));
        assert_eq!(stalls.take_longest(), Duration::ZERO);
    }

    #[test]
    fn every_wake_up_is_a_little_late() {
        let stalls = Stalls::watch().unwrap();
        let limit = crate::TimeLimit::within(Duration::from_secs(10));
        limit.wait_until("a wake-up", || stalls.take_longest() > Duration::ZERO).unwrap();
    }
}
