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
    /// The processor time of each thread when it was looked at last, and when that was.
    seen: Option<(Vec<Duration>, Timestamp)>,
}

impl Duty {
    pub(super) fn new(spread: Spread, time: ProcessorTime, now: Timestamp) -> Self {
        let seen = time.used().map(|used| (used, now));
        Self { spread, time, seen }
    }

    /// Looks at what the threads have used since the last call, and puts one more to work or takes one back.
    ///
    /// Counted is the processor time of each, and not how long they were awake: a thread that waits for a processor gets no more done beside
    /// another one that does. Where the kernel does not tell (no `/proc`), all work.
    pub fn look(&mut self, now: Timestamp) {
        let used = self.time.used();
        self.look_at(used, now);
    }

    fn look_at(&mut self, used: Option<Vec<Duration>>, now: Timestamp) {
        let (working, all) = (count(self.spread.working()), count(self.spread.all()));
        let wanted = match (&self.seen, &used) {
            (Some((before, then)), Some(used)) => {
                let used = used.iter().zip(before).map(|(now, before)| now.saturating_sub(*before));
                wanted(working, all, used, now.since(*then))
            }
            (_, None) => all,
            (None, Some(_)) => working,
        };
        self.seen = used.map(|used| (used, now));
        if wanted != working {
            debug!(working = wanted, all, "threads of the data path at work");
            self.spread.set_working(usize::try_from(wanted).unwrap_or(usize::MAX));
        }
    }
}

fn count(threads: usize) -> u32 {
    u32::try_from(threads).unwrap_or(u32::MAX)
}

/// How many of `all` threads are to work where each `used` so much processor time in so long: one more where one of them was busy
/// for more than four fifths of it, since others share its tasks then; one fewer where the rest would be busy for less than half.
fn wanted(working: u32, all: u32, used: impl Iterator<Item = Duration> + Clone, elapsed: Duration) -> u32 {
    let busiest = used.clone().max().unwrap_or_default();
    if busiest * 5 > elapsed * 4 {
        (working + 1).min(all)
    } else if used.sum::<Duration>() * 2 < elapsed * working.saturating_sub(1) {
        working - 1
    } else {
        working
    }
}

#[cfg(test)]
mod tests {
    use super::super::DataThreads;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn percent(percent: u32) -> Duration {
        SECOND * percent / 100
    }

    #[test]
    fn as_many_work_as_the_busiest_asks_for_and_a_steady_load_changes_nothing() {
        for (working, all, used, expected) in [
            (1, 4, [0, 0, 0, 0], 1),
            (1, 4, [80, 0, 0, 0], 1),
            (1, 4, [81, 0, 0, 0], 2),
            (2, 4, [41, 40, 0, 0], 2),
            (2, 4, [25, 25, 0, 0], 2),
            (2, 4, [25, 24, 0, 0], 1),
            (2, 4, [0, 81, 0, 0], 3),
            (3, 4, [34, 33, 33, 0], 3),
            (3, 4, [33, 33, 33, 0], 2),
            (4, 4, [90, 10, 0, 0], 4),
            (1, 1, [100, 0, 0, 0], 1),
        ] {
            let expected = (expected, format!("{working} of {all}, {used:?} %"));
            let found = wanted(working, all, used.into_iter().map(percent), SECOND);
            assert_eq!((found, format!("{working} of {all}, {used:?} %")), expected);
        }
        let nothing = [Duration::ZERO; 2].into_iter();
        assert_eq!(wanted(1, 2, nothing, Duration::ZERO), 1, "two looks at one instant say nothing");
        // Evenly spread work never goes to and fro.
        for (working, used) in (1..=4).flat_map(|working| (0..=400).map(move |used| (working, used))) {
            let spread = |threads: u32| (0..threads).map(move |_| percent(used) / threads);
            let then = wanted(working, 4, spread(working), SECOND);
            let back = wanted(then, 4, spread(then), SECOND);
            assert!(back == then || (back > then) == (then > working), "{working}, {used} %: {then}, {back}");
        }
    }

    #[test]
    fn one_works_until_it_is_busy_and_all_where_nobody_knows() {
        let threads = DataThreads::start_many(3).unwrap();
        let at = |second: u64| Timestamp::from_micros(second * 1_000_000);
        let mut duty = threads.duty(at(0));
        let mut used = [Duration::ZERO; 3];
        duty.seen = Some((used.to_vec(), at(0)));
        let working = || threads.spread().working();
        assert_eq!(working(), 1);
        let load =
            [([90, 0, 0], 2), ([95, 95, 0], 3), ([100, 50, 90], 3), ([20, 20, 20], 2), ([10, 10, 0], 1)];
        for (second, (busy, expected)) in (1..).zip(load) {
            for (used, busy) in used.iter_mut().zip(busy) {
                *used += percent(busy);
            }
            duty.look_at(Some(used.to_vec()), at(second));
            assert_eq!(working(), expected, "second {second}");
        }
        duty.look_at(None, at(6));
        assert_eq!(working(), 3);
        duty.look_at(Some(used.to_vec()), at(7));
        assert_eq!(working(), 3, "one look alone says nothing");
        duty.look_at(Some(used.to_vec()), at(8));
        assert_eq!(working(), 2);
        threads.end();
    }

    #[test]
    fn what_each_thread_uses_is_known_whatever_else_its_runtime_does() {
        let threads = DataThreads::start_many(2).unwrap();
        let duty = threads.duty(crate::clock::Clock.now().at);
        // Such as a name that is looked up: a thread that belongs to the runtime, and soon ends.
        threads.first().block_on(threads.first().spawn_blocking(|| ())).unwrap();
        threads.spread().spawn_at(
            0,
            Box::pin(async {
                loop {
                    tokio::task::yield_now().await;
                }
            }),
        );
        let end = std::time::Instant::now() + Duration::from_secs(30);
        let used = loop {
            let used = duty.time.used().expect("this kernel tells");
            if used[0] > Duration::from_millis(100) {
                break used;
            }
            assert!(std::time::Instant::now() < end, "{used:?}");
            std::thread::yield_now();
        };
        assert_eq!(used.len(), 2);
        assert!(used[1] < used[0], "{used:?}: the other does nothing");
        threads.end();
    }
}
