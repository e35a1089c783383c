// SPDX-License-Identifier: AGPL-3.0-or-later
use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const FRAME: u64 = 32 * 1024;

/// A path with one bottleneck of unbounded queue, in virtual time: frames leave one after the other at its rate.
struct Path {
    bytes_per_second: u64,
    round_trip: Duration,
    /// When the bottleneck is free again.
    free: Timestamp,
    /// When the confirmation of each frame arrives, and when it was sent.
    coming: VecDeque<(Timestamp, Timestamp)>,
    now: Timestamp,
    delivered: u64,
    longest_queue: Duration,
}

impl Path {
    fn new(bytes_per_second: u64, round_trip: Duration) -> Self {
        let now = Timestamp::from_micros(1_000_000);
        Self {
            bytes_per_second,
            round_trip,
            free: now,
            coming: VecDeque::new(),
            now,
            delivered: 0,
            longest_queue: Duration::ZERO,
        }
    }

    fn on_the_way(&self) -> u64 {
        FRAME * u64::try_from(self.coming.len()).unwrap()
    }

    fn frame_time(&self) -> Duration {
        Duration::from_micros(FRAME * 1_000_000 / self.bytes_per_second)
    }

    /// Sends as much as the window allows for so long, confirming every frame.
    fn run(&mut self, window: &mut Window, time: Duration) {
        let end = self.now + time;
        (self.delivered, self.longest_queue) = (0, Duration::ZERO);
        while self.now < end {
            while self.on_the_way() < window.bytes() {
                self.longest_queue = self.longest_queue.max(self.free.since(self.now));
                self.free = self.free.max(self.now) + self.frame_time();
                self.coming.push_back((self.free + self.round_trip, self.now));
            }
            let (arrives, sent) = self.coming.pop_front().unwrap();
            self.now = arrives;
            self.delivered += FRAME;
            window.confirmed(FRAME, arrives.since(sent), true, self.now);
        }
    }

    /// What was delivered in the last run as a part in a hundred of what fits.
    fn used(&self, time: Duration) -> u64 {
        self.delivered * 100 / (self.bytes_per_second * u64::try_from(time.as_millis()).unwrap() / 1_000)
    }
}

#[test]
fn a_path_is_filled_and_its_queue_stays_short() {
    let second = Duration::from_secs(1);
    for megabit in [4, 20, 100, 500] {
        for milliseconds in [1, 20, 100] {
            let mut path = Path::new(megabit * 125_000, Duration::from_millis(milliseconds));
            let mut window = Window::default();
            path.run(&mut window, 20 * second);
            path.run(&mut window, 10 * second);
            let (used, queue) = (path.used(10 * second), path.longest_queue);
            let case =
                format!("{megabit} Mbit/s, {milliseconds} ms: {used} %, {queue:?}, {} B", window.bytes());
            assert!(used >= 90, "{case}");
            assert!(queue <= 2 * TARGET + 2 * path.frame_time(), "{case}");
        }
    }
}

#[test]
fn a_path_that_gets_slower_loses_its_queue_within_seconds() {
    let second = Duration::from_secs(1);
    let mut path = Path::new(12_500_000, Duration::from_millis(20));
    let mut window = Window::default();
    path.run(&mut window, 10 * second);
    path.bytes_per_second = 1_250_000;
    path.run(&mut window, 5 * second);
    path.run(&mut window, 5 * second);
    assert!(path.longest_queue <= 3 * TARGET, "{:?}", path.longest_queue);
    assert!(path.used(5 * second) >= 90, "{}", path.used(5 * second));
    path.bytes_per_second = 12_500_000;
    path.run(&mut window, 20 * second);
    path.run(&mut window, 5 * second);
    assert!(path.used(5 * second) >= 90, "{}", path.used(5 * second));
}

#[test]
fn it_grows_fast_until_half_of_the_target() {
    let mut window = Window::default();
    let (short, mut now) = (Duration::from_millis(10), Timestamp::from_micros(0));
    for doubled in [2, 4, 8] {
        window.confirmed(window.bytes(), short, true, now);
        assert_eq!(window.bytes(), doubled * INITIAL);
        now = now + short;
    }
    window.confirmed(FRAME, short + TARGET, true, now);
    let settled = window.bytes();
    assert_eq!(settled, 8 * INITIAL, "the target is met");
    window.confirmed(settled, short, true, now);
    assert_eq!(window.bytes(), settled + STEP, "a frame in a round trip from now on");
}

#[test]
fn a_window_that_is_not_in_use_does_not_grow_and_shrinks_all_the_same() {
    let mut window = Window::default();
    let now = Timestamp::from_micros(0);
    window.confirmed(INITIAL, Duration::from_millis(10), false, now);
    assert_eq!(window.bytes(), INITIAL);
    window.confirmed(INITIAL, Duration::from_millis(10) + 2 * TARGET, false, now);
    assert_eq!(window.bytes(), INITIAL / 2, "at most to half in a round trip");
}

#[test]
fn losses_count_once_in_a_round_trip_and_silence_begins_anew() {
    let mut window = Window::default();
    let (round_trip, now) = (Duration::from_millis(50), Timestamp::from_micros(0));
    window.confirmed(4 * INITIAL, round_trip, true, now);
    assert_eq!(window.round_trip(), round_trip);
    let before = window.bytes();
    window.lost(now);
    window.lost(now + round_trip);
    assert_eq!(window.bytes(), before / 2);
    window.lost(now + round_trip * 2);
    assert_eq!(window.bytes(), before / 4);
    window.silent();
    assert_eq!(window.bytes(), LEAST);
    window.confirmed(LEAST, round_trip, true, now + round_trip * 3);
    assert_eq!(window.bytes(), 2 * LEAST);
}

#[test]
fn a_way_that_became_longer_is_believed_after_ten_minutes() {
    let mut window = Window::default();
    let (mut now, short, long) =
        (Timestamp::from_micros(0), Duration::from_millis(10), Duration::from_millis(200));
    window.confirmed(FRAME, short, true, now);
    for _ in 0..599 {
        now = now + Duration::from_secs(1);
        window.confirmed(FRAME, long, true, now);
    }
    assert_eq!(window.bytes(), LEAST);
    for _ in 0..60 {
        now = now + Duration::from_secs(1);
        window.confirmed(FRAME, long, true, now);
    }
    assert!(window.bytes() > LEAST, "{}", window.bytes());
    assert_eq!(window.shortest.len(), MINUTES);
}

proptest! {
    #[test]
    fn it_stays_within_its_bounds_whatever_is_told(
        told in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<bool>(), 0_u8..4), 0..60),
    ) {
        let mut window = Window::default();
        let mut now = Timestamp::from_micros(0);
        for (bytes, micros, in_use, what) in told {
            now = now + Duration::from_micros(micros % 5_000_000);
            match what {
                0 => window.lost(now),
                1 => window.silent(),
                _ => window.confirmed(bytes, Duration::from_micros(micros), in_use, now),
            }
            prop_assert!((LEAST..=MOST).contains(&window.bytes()));
            prop_assert!(window.shortest.len() <= MINUTES);
        }
    }
}
