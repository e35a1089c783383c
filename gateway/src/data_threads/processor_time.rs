// SPDX-License-Identifier: AGPL-3.0-or-later
//! The processor time that some threads of this process have used, as the kernel counts it.

use std::fs;
use std::time::Duration;

use nix::unistd::{Pid, SysconfVar, sysconf};

/// Where the kernel tells of a thread: the fields behind the name of which this and the next are its time in user space and
/// in the kernel, in ticks (source: proc_pid_stat(5)).
const USER: usize = 11;

/// The processor time of these threads.
#[derive(Clone, Debug)]
pub(super) struct ProcessorTime(Vec<Pid>);

impl ProcessorTime {
    /// Of threads of this process.
    pub(super) fn of(threads: Vec<Pid>) -> Self {
        Self(threads)
    }

    /// What each of them has used since it began, as exact as the kernel's ticks (10 ms); nothing where it does not tell.
    pub(super) fn used(&self) -> Option<Vec<Duration>> {
        let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok().filter(|rate| *rate > 0)?;
        let time = |ticks: u64| Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second);
        self.0.iter().map(|thread| ticks_of(*thread).map(time)).collect()
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

    use nix::unistd::gettid;

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
    fn what_a_thread_uses_is_counted_for_it_alone() {
        let (tell, told) = std::sync::mpsc::channel();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let idle = std::thread::spawn(move || {
            tell.send(gettid()).unwrap();
            let _released = held.recv();
        });
        let time = ProcessorTime::of(vec![gettid(), told.recv().unwrap()]);
        let before = time.used().unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while time.used().unwrap()[0] < before[0] + Duration::from_millis(50) {
            assert!(Instant::now() < end, "{before:?} and no more");
        }
        assert!(time.used().unwrap()[1] < before[1] + Duration::from_millis(50));
        drop(release);
        idle.join().unwrap();
    }

    #[test]
    fn a_thread_that_is_gone_tells_nothing() {
        let gone = std::thread::spawn(gettid).join().unwrap();
        let time = ProcessorTime::of(vec![gettid(), gone]);
        // The kernel removes it a moment after it was joined.
        let end = Instant::now() + Duration::from_secs(30);
        while time.used().is_some() {
            assert!(Instant::now() < end);
            std::thread::yield_now();
        }
    }
}
