// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;

use super::*;

const MBIT: u64 = 125_000;

/// A connection that is fed with samples.
struct Fed {
    path: Path,
    sample: Sample,
}

impl Fed {
    fn new(min_rtt: Duration) -> Self {
        let (at, acked, busy) = (Timestamp::default(), 0, Duration::ZERO);
        Self { path: Path::default(), sample: Sample { at, acked, busy, rtt: min_rtt, min_rtt } }
    }

    /// Sends at a rate, without a pause, for some time; a sample each 10 ms.
    fn busy(&mut self, rate: u64, time: Duration) -> Bounds {
        let mut bounds = self.path.sample(self.sample);
        for _ in 0..time.as_millis() / 10 {
            self.sample.at = self.sample.at + INTERVAL;
            self.sample.busy += INTERVAL;
            self.sample.acked += rate / 100;
            bounds = self.path.sample(self.sample);
        }
        bounds
    }

    /// A time in which nothing, or hardly anything, is to be sent.
    fn idle(&mut self, time: Duration) {
        self.sample.at = self.sample.at + time;
    }
}

const SECOND: Duration = Duration::from_secs(1);
const SHORT: Duration = Duration::from_micros(100);

#[test]
fn nothing_is_bounded_while_nothing_is_known() {
    let mut fed = Fed::new(SHORT);
    assert_eq!(fed.busy(50 * MBIT, INTERVAL), Bounds::NONE);
    // Sent now and then, it says nothing about the path.
    for _ in 0..100 {
        fed.idle(Duration::from_millis(90));
        assert_eq!(fed.busy(1000 * MBIT, INTERVAL), Bounds::NONE);
    }
}

#[test]
fn bounds_follow_rate_and_round_trip() {
    let ms = Duration::from_millis;
    let table = [
        // 50 Mbit/s: 5.2 ms are 32.5 KB, less than a frame may be; 1 ms is less than what may always wait.
        (50, SHORT, 16 * 1024, Some(36 * 1024), 6_250),
        (50, ms(20), 16 * 1024, Some(250_000), 6_250),
        (200, SHORT, 25_000, Some(2_500 + 96 * 1024), 25_000),
        // 5 ms are more than what may stand in a queue.
        (400, SHORT, 32 * 1024, Some(5_000 + 96 * 1024), 50_000),
        (5000, SHORT, 32 * 1024, Some(62_500 + 96 * 1024), MAX_UNIT),
        // What is fast and long is left alone.
        (400, ms(20), 32 * 1024, None, 50_000),
        (1, ms(1), 16 * 1024, Some(36 * 1024), 4 * 1024),
    ];
    for (rate, min_rtt, unsent, in_flight, unit) in table {
        let found = Fed::new(min_rtt).busy(rate * MBIT, SECOND);
        let cut = Writes::Cut(usize::try_from(unsent).unwrap());
        let writes = if rate > 1_000 { Writes::Whole } else { cut };
        assert_eq!(found, Bounds { unsent, in_flight, unit, writes }, "{rate} Mbit/s, {min_rtt:?}");
    }
}

#[test]
fn a_moment_without_acknowledgements_does_not_choke_and_a_slower_path_is_found() {
    let mut fed = Fed::new(SHORT);
    let fast = fed.busy(400 * MBIT, SECOND);
    assert_eq!(fed.busy(0, SECOND), fast);
    assert_eq!(
        fed.busy(100 * MBIT, 2 * SECOND),
        Bounds { unsent: 16 * 1024, in_flight: Some(63_750), unit: 12_500, writes: Writes::Cut(16 * 1024) }
    );
    let faster = fed.busy(5000 * MBIT, Duration::from_millis(50));
    assert!(faster.in_flight > fast.in_flight, "and a faster one at once");
}

#[test]
fn what_is_known_stays_known_while_the_link_is_idle() {
    let mut fed = Fed::new(SHORT);
    let before = fed.busy(100 * MBIT, SECOND);
    fed.idle(100 * SECOND);
    assert_eq!(fed.busy(0, INTERVAL), before);
}

#[test]
fn with_others_in_the_queue_we_take_our_share_and_look_again() {
    let mut fed = Fed::new(SHORT);
    assert!(fed.busy(50 * MBIT, SECOND).in_flight.is_some());
    fed.sample.rtt = Duration::from_millis(150);
    assert_eq!(fed.busy(5 * MBIT, SECOND).in_flight, None);
    assert_eq!(fed.busy(25 * MBIT, 4 * SECOND).in_flight, None);
    // Bounded again it takes a while until what is in the queue has left.
    assert!(fed.busy(25 * MBIT, SECOND).in_flight.is_some());
    fed.sample.rtt = SHORT;
    assert!(fed.busy(50 * MBIT, 10 * SECOND).in_flight.is_some());
}

/// A path with a bottleneck and a queue in front of it, on which we send as much as the bounds allow, or, without one, as
/// much as makes a queue of 100 ms. What is in flight is the rate times the round trip (source: Little's law).
struct Full {
    fed: Fed,
    rate: u64,
    distance: Duration,
    bounds: Bounds,
}

impl Full {
    fn new(rate: u64, distance: Duration) -> Self {
        Self { fed: Fed::new(distance), rate, distance, bounds: Bounds::NONE }
    }

    /// Lets time pass, and says how many bytes a second crossed in the end.
    fn pass(&mut self, time: Duration) -> u64 {
        let mut rate = 0;
        for _ in 0..time.as_millis() / 10 {
            let queued = Duration::from_millis(100);
            let in_flight =
                self.bounds.in_flight.map_or(carried(self.rate, self.distance + queued), u64::from);
            let needed = Duration::from_micros(in_flight * 1_000_000 / self.rate);
            self.fed.sample.rtt = self.distance.max(needed);
            // The kernel remembers the shortest for longer than any test here takes.
            self.fed.sample.min_rtt = self.fed.sample.min_rtt.min(self.fed.sample.rtt);
            rate = ByteCount(in_flight).per_second(self.fed.sample.rtt).unwrap();
            self.bounds = self.fed.busy(rate, INTERVAL);
        }
        rate
    }
}

#[test]
fn a_path_that_becomes_longer_is_not_starved() {
    for (mbit, before, after) in [(100, 10, 30), (50, 5, 25), (100, 1, 20), (20, 20, 60), (150, 2, 12)] {
        let ms = Duration::from_millis;
        let mut full = Full::new(mbit * MBIT, ms(before));
        assert_eq!(full.pass(5 * SECOND), mbit * MBIT);
        full.distance = ms(after);
        full.pass(8 * SECOND);
        // It is tried again now and then, which costs a second.
        let rates: Vec<_> = (0..180).map(|_| full.pass(SECOND)).collect();
        let mean = rates.iter().sum::<u64>() / 180;
        assert!(
            mean * 100 >= 95 * mbit * MBIT,
            "{mbit} Mbit/s, {before} to {after} ms: {mean} bytes/s on average, {rates:?}"
        );
    }
}

#[test]
fn a_path_that_becomes_slower_keeps_its_short_queue() {
    for (mbit, slower) in [(100, 50), (100, 25), (200, 20)] {
        let distance = Duration::from_millis(10);
        let mut full = Full::new(mbit * MBIT, distance);
        full.pass(5 * SECOND);
        full.rate = slower * MBIT;
        full.pass(8 * SECOND);
        for _ in 0..100 {
            full.pass(SECOND);
            let queue = full.fed.sample.rtt - distance;
            assert!(queue < Duration::from_millis(12), "{mbit} to {slower} Mbit/s: {queue:?}");
        }
    }
}

#[test]
fn a_path_that_becomes_short_again_has_its_short_queue_again() {
    let ms = Duration::from_millis;
    let mut full = Full::new(100 * MBIT, ms(10));
    full.pass(5 * SECOND);
    full.distance = ms(30);
    full.pass(20 * SECOND);
    full.distance = ms(10);
    full.pass(70 * SECOND);
    assert!(full.fed.sample.rtt <= ms(22), "{:?}", full.fed.sample.rtt);
}

#[test]
fn while_a_fall_of_the_rate_is_not_explained_there_is_doubt() {
    let ms = Duration::from_millis;
    let mut full = Full::new(100 * MBIT, ms(10));
    full.pass(5 * SECOND);
    assert!(!full.fed.path.is_in_doubt());
    full.distance = ms(40);
    let (mut taken_for_full, mut doubted) = (Duration::ZERO, false);
    for _ in 0..1000 {
        let starved = full.pass(INTERVAL) * 100 < 79 * 100 * MBIT;
        let doubt = full.fed.path.is_in_doubt();
        doubted |= doubt;
        taken_for_full = if starved && !doubt { taken_for_full + INTERVAL } else { Duration::ZERO };
        assert!(taken_for_full <= ms(220), "longer would make a figure");
    }
    assert!(doubted && !full.fed.path.is_in_doubt(), "it ends");
    full.rate = 50 * MBIT;
    full.pass(10 * SECOND);
    assert!(!full.fed.path.is_in_doubt(), "a path that became slower is believed in the end");
}

#[test]
fn samples_are_wanted_every_ten_milliseconds() {
    let mut fed = Fed::new(SHORT);
    assert!(fed.path.wants_sample(fed.sample.at));
    fed.path.sample(fed.sample);
    assert!(!fed.path.wants_sample(fed.sample.at + Duration::from_millis(9)));
    assert!(fed.path.wants_sample(fed.sample.at + INTERVAL));
}

proptest! {
    #[test]
    fn any_samples_keep_to_the_limits(
        samples in prop::collection::vec((any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>(), any::<u32>()), 0..300),
    ) {
        let mut path = Path::default();
        for (at, acked, busy, rtt, min_rtt) in samples {
            let micros = |micros: u32| Duration::from_micros(micros.into());
            let (at, busy) = (Timestamp::from_micros(at.into()), micros(busy));
            let bounds = path.sample(Sample { at, acked, busy, rtt: micros(rtt), min_rtt: micros(min_rtt) });
            prop_assert!((16 * 1024..=128 * 1024).contains(&bounds.unsent));
            prop_assert!(bounds.in_flight.is_none_or(|bytes| (36 * 1024..512 * 1024).contains(&bytes)));
            prop_assert!(path.rates.len() <= RATES);
        }
    }
}
