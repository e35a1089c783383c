// SPDX-License-Identifier: AGPL-3.0-or-later
//! The processor time that some threads of this process have used, as the kernel counts it.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{Pid, SysconfVar, gettid, sysconf};

/// Where the kernel tells of a thread: the fields behind the name of which [`USER`] and the next are its time in user space and
/// in the kernel, in ticks (source: proc_pid_stat(5)).
const USER: usize = 11;

/// The threads that have noted themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessorTime {
    threads: Arc<Mutex<Vec<Pid>>>,
}

impl ProcessorTime {
    /// Counts the calling thread in.
    pub(super) fn note_this_thread(&self) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(gettid());
    }

    /// What all of them have used since they began, as exact as the kernel's ticks (10 ms); nothing where it does not tell.
    pub(super) fn used(&self) -> Option<Duration> {
        let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok().filter(|rate| *rate > 0)?;
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let ticks = threads.iter().try_fold(0, |sum, thread| Some(sum + ticks_of(*thread)?))?;
        Some(Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second))
    }
}

fn ticks_of(thread: Pid) -> Option<u64> {
    ticks_in(&fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?)
}

/// The name of a thread, in brackets, may itself have brackets and spaces.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(USER).map(str::parse::<u64>);
    times.next()?.ok()?.checked_add(times.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn both_times_are_counted_behind_any_name() {
        let stat = "7 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 30 12 13 14 15 16";
        assert_eq!(ticks_in(stat), Some(42));
        for bad in ["", "7 (a) S 1 2 3 4 5 6 7 8 9 10 30", "7 a S 1", "7 (a) S 1 2 3 4 5 6 7 8 9 10 x 12"] {
            assert_eq!(ticks_in(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_threads_that_noted_themselves_count() {
        let time = ProcessorTime::default();
        assert_eq!(time.used(), Some(Duration::ZERO));
        time.note_this_thread();
        let before = time.used().unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while time.used().unwrap() < before + Duration::from_millis(50) {
            assert!(Instant::now() < end, "{before:?} and no more");
        }
    }

    #[test]
    fn a_thread_that_is_gone_tells_nothing() {
        let time = ProcessorTime::default();
        let noted = time.clone();
        std::thread::spawn(move || noted.note_this_thread()).join().unwrap();
        // The kernel removes it a moment after it was joined.
        let end = Instant::now() + Duration::from_secs(30);
        while time.used().is_some() {
            assert!(Instant::now() < end);
            std::thread::yield_now();
        }
    }
}
