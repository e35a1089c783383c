// SPDX-License-Identifier: AGPL-3.0-or-later
//! How many threads of the data path work: as many as the processor time that they use asks for.

use std::time::Duration;

use ratman_types::Timestamp;
use tracing::debug;

use super::Spread;
use super::processor_time::ProcessorTime;

/// Decides how many threads work; to be asked every second or so.
#[derive(Debug)]
pub struct Duty {
    spread: Spread,
    time: ProcessorTime,
    /// The processor time of all threads when it was looked at last, and when that was.
    seen: Option<(Duration, Timestamp)>,
}

impl Duty {
    pub(super) fn new(spread: Spread, time: ProcessorTime, now: Timestamp) -> Self {
        let seen = time.used().map(|used| (used, now));
        Self { spread, time, seen }
    }

    /// Looks at what the threads have used since the last call, and puts one more to work or takes one back.
    ///
    /// Counted is processor time and not how long they were awake: a thread that waits for a processor gets no more done beside
    /// another one that does. Where the kernel does not tell (no `/proc`), all work.
    pub fn look(&mut self, now: Timestamp) {
        let used = self.time.used();
        self.look_at(used, now);
    }

    fn look_at(&mut self, used: Option<Duration>, now: Timestamp) {
        let before = std::mem::replace(&mut self.seen, used.map(|used| (used, now)));
        let (working, all) = (count(self.spread.working()), count(self.spread.all()));
        let wanted = match (before, used) {
            (Some((before, then)), Some(used)) => {
                wanted(working, all, used.saturating_sub(before), now.since(then))
            }
            (_, None) => all,
            (None, Some(_)) => working,
        };
        if wanted != working {
            debug!(working = wanted, all, "threads of the data path at work");
            self.spread.set_working(usize::try_from(wanted).unwrap_or(usize::MAX));
        }
    }
}

fn count(threads: usize) -> u32 {
    u32::try_from(threads).unwrap_or(u32::MAX)
}

/// How many of `all` threads are to work where `working` used so much processor time in so long: one more where they were busy
/// for more than four fifths of it, one fewer where the others would be busy for less than half of it.
fn wanted(working: u32, all: u32, used: Duration, elapsed: Duration) -> u32 {
    if used * 5 > elapsed * working * 4 {
        (working + 1).min(all)
    } else if used * 2 < elapsed * working.saturating_sub(1) {
        working - 1
    } else {
        working
    }
}

#[cfg(test)]
mod tests {
    use netmod_api::Executor;

    use super::super::DataThreads;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn percent(percent: u32) -> Duration {
        SECOND * percent / 100
    }

    #[test]
    fn as_many_work_as_the_time_asks_for_and_a_steady_load_changes_nothing() {
        for (working, all, used, expected) in [
            (1, 4, 0, 1),
            (1, 4, 80, 1),
            (1, 4, 81, 2),
            (2, 4, 81, 2),
            (2, 4, 50, 2),
            (2, 4, 49, 1),
            (2, 4, 161, 3),
            (3, 4, 100, 3),
            (3, 4, 99, 2),
            (4, 4, 400, 4),
            (1, 1, 100, 1),
        ] {
            assert_eq!(wanted(working, all, percent(used), SECOND), expected, "{working} of {all}, {used} %");
        }
        assert_eq!(wanted(1, 2, Duration::ZERO, Duration::ZERO), 1, "two looks at one instant say nothing");
        for (working, used) in (1..=4).flat_map(|working| (0..=400).map(move |used| (working, used))) {
            let then = wanted(working, 4, percent(used), SECOND);
            let back = wanted(then, 4, percent(used), SECOND);
            assert!(
                back == then || (back > working) == (then > working),
                "{working}, {used} %: {then}, {back}"
            );
        }
    }

    #[test]
    fn one_works_until_it_is_busy_and_all_where_nobody_knows() {
        let threads = DataThreads::start_many(3).unwrap();
        let at = |second: u64| Timestamp::from_micros(second * 1_000_000);
        let mut duty = threads.duty(at(0));
        duty.seen = Some((Duration::ZERO, at(0)));
        let working = || threads.spread().working();
        assert_eq!(working(), 1);
        let mut used = Duration::ZERO;
        for (second, (percent_used, expected)) in (1..).zip([(90, 2), (190, 3), (300, 3), (60, 2), (20, 1)]) {
            used += percent(percent_used);
            duty.look_at(Some(used), at(second));
            assert_eq!(working(), expected, "second {second}");
        }
        duty.look_at(None, at(6));
        assert_eq!(working(), 3);
        duty.look_at(Some(used), at(7));
        assert_eq!(working(), 3, "one look alone says nothing");
        duty.look_at(Some(used), at(8));
        assert_eq!(working(), 2);
        threads.end();
    }

    #[test]
    fn busy_threads_are_seen_and_get_help() {
        let threads = DataThreads::start_many(2).unwrap();
        let clock = crate::clock::Clock;
        let mut duty = threads.duty(clock.now().at);
        for _ in 0..2 {
            threads.spread().spawn(Box::pin(async {
                loop {
                    tokio::task::yield_now().await;
                }
            }));
        }
        let end = std::time::Instant::now() + Duration::from_secs(60);
        // Beside other programs that want the processor a thread may be less busy than would call for help.
        while threads.spread().working() == 1 {
            assert!(std::time::Instant::now() < end, "nobody helps");
            std::thread::sleep(Duration::from_millis(100));
            duty.look(clock.now().at);
        }
        threads.end();
    }
}
