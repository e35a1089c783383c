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
        assert_eq!(found, Bounds { unsent, in_flight, unit }, "{rate} Mbit/s, {min_rtt:?}");
    }
}

#[test]
fn a_moment_without_acknowledgements_does_not_choke_and_a_slower_path_is_found() {
    let mut fed = Fed::new(SHORT);
    let fast = fed.busy(400 * MBIT, SECOND);
    assert_eq!(fed.busy(0, SECOND), fast);
    assert_eq!(
        fed.busy(100 * MBIT, 2 * SECOND),
        Bounds { unsent: 16 * 1024, in_flight: Some(63_750), unit: 12_500 }
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
