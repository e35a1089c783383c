// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;
use ratman_types::{ByteCount, RoundTrips};

use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn bandwidth(bytes: u32) -> Bandwidth {
    Bandwidth::from_bytes_per_second(bytes)
}

/// A sample of the kernel's with these round trips.
fn kernel(millis: u64, p10: u64, p90: u64, count: u32) -> LinkSample {
    let round_trips = Some(RoundTrips { p10: us(p10), p90: us(p90), count });
    LinkSample { round_trips, ..LinkSample::new(at(millis), SampleSource::Kernel) }
}

fn add(estimator: &mut Estimator, sample: LinkSample) {
    estimator.add_sample(&sample, sample.at);
}

/// Half a minute of echoes that take so long.
fn echoed(micros: u64) -> Estimator {
    let mut estimator = Estimator::default();
    (0..60).for_each(|step| estimator.add_echo(at(step * 500), us(micros)));
    estimator
}

fn latency(estimator: &Estimator) -> Option<(Duration, SampleSource)> {
    estimator.latency().map(|estimate| (estimate.value, estimate.source))
}

#[test]
fn nothing_is_known_of_a_new_link() {
    let estimator = Estimator::default();
    assert_eq!(
        (estimator.latency(), estimator.loaded_latency(), estimator.latency_under_load()),
        (None, None, None)
    );
    assert_eq!(
        (estimator.capacity(at(0)), estimator.loss(at(0)), estimator.traffic(at(0))),
        (None, None, None)
    );
    assert!(!estimator.bandwidth(at(0)).is_known());
}

#[test]
fn the_smaller_latency_counts_once_the_kernel_has_seen_enough() {
    let mut estimator = echoed(5_300);
    add(&mut estimator, kernel(29_600, 5_050, 5_900, 9));
    assert_eq!(latency(&estimator), Some((us(5_300), SampleSource::Echo)));
    add(&mut estimator, kernel(29_700, 5_050, 5_900, 1));
    assert_eq!(latency(&estimator), Some((us(5_050), SampleSource::Kernel)));
    let mut estimator = echoed(5_300);
    add(&mut estimator, kernel(29_600, 40_000, 50_000, 20));
    assert_eq!(latency(&estimator), Some((us(5_300), SampleSource::Echo)), "acknowledgements waited");
}

#[test]
fn a_link_without_echoes_has_no_latency_and_a_silent_kernel_no_say() {
    let mut estimator = Estimator::default();
    add(&mut estimator, kernel(0, 5_000, 5_000, 100));
    assert_eq!(latency(&estimator), None);
    (0..80).for_each(|step| estimator.add_echo(at(step * 500), us(5_300)));
    assert_eq!(latency(&estimator), Some((us(5_300), SampleSource::Echo)));
}

#[test]
fn delayed_acknowledgements_and_sockets_change_neither_figure() {
    let mut estimator = echoed(10_100);
    add(&mut estimator, kernel(29_600, 10_050, 53_900, 100));
    let socket = LinkSample { source: SampleSource::Socket, ..kernel(29_700, 1_000, 30_000, 1_000) };
    add(&mut estimator, socket);
    assert_eq!(latency(&estimator), Some((us(10_050), SampleSource::Kernel)));
    let loaded = estimator.loaded_latency().unwrap();
    assert_eq!((loaded.value, loaded.source), (us(10_100), SampleSource::Echo));
}

#[test]
fn a_minute_of_bulk_traffic_leaves_the_link_as_long_as_it_is() {
    let mut estimator = echoed(5_000);
    for second in 30..90 {
        let traffic = Some(Traffic {
            over: Duration::from_secs(1),
            sent: ByteCount(1_200_000),
            received: ByteCount(40_000),
        });
        let capacity = Some(Capacity::Measured(bandwidth(1_250_000)));
        let sample = LinkSample::new(at(second * 1_000 + 999), SampleSource::Socket);
        (0..2).for_each(|half| estimator.add_echo(at(second * 1_000 + half * 500), us(55_000)));
        add(&mut estimator, LinkSample { traffic, capacity, ..sample });
        assert_eq!(latency(&estimator), Some((us(5_000), SampleSource::Echo)), "after {second} s");
    }
    assert_eq!(estimator.loaded_latency().map(|loaded| loaded.value), Some(us(55_000)));
    assert_eq!(estimator.latency_under_load(), Some(us(55_000)));
    assert_eq!(estimator.latency().map(|latency| latency.at), Some(at(29_500)), "as old as it is");
}

#[test]
fn a_longer_way_is_seen_within_half_a_minute_and_a_shorter_one_within_seconds() {
    let mut estimator = echoed(5_000);
    let followed = |estimator: &mut Estimator, from: u64, micros: u64| {
        (1..120).find(|step| {
            estimator.add_echo(at(from + step * 500), us(micros));
            latency(estimator) == Some((us(micros), SampleSource::Echo))
        })
    };
    let longer = followed(&mut estimator, 29_500, 20_000).unwrap();
    assert!((50..=60).contains(&longer), "{longer}");
    let shorter = followed(&mut estimator, 29_500 + longer * 500, 5_000).unwrap();
    assert!(shorter <= 7, "{shorter}");
}

#[test]
fn a_time_that_has_not_come_yet_is_now() {
    let mut estimator = Estimator::default();
    let capacity = Some(Capacity::Measured(bandwidth(9)));
    let sample = LinkSample { capacity, ..LinkSample::new(at(u64::MAX / 1_000), SampleSource::Train) };
    estimator.add_sample(&sample, at(5));
    assert_eq!(estimator.capacity(at(5)).map(|estimate| estimate.at), Some(at(5)));
    assert_eq!(estimator.capacity(at(400_000)), None, "and no figure is kept for ever");
}

#[test]
fn each_quantity_keeps_its_source() {
    let mut estimator = echoed(5_000);
    let traffic = Traffic { over: Duration::from_secs(1), sent: ByteCount(7), received: ByteCount(9) };
    let loss = Loss { sent: 100, lost: 1, reordered: false };
    let told = at(29_900);
    add(&mut estimator, LinkSample { traffic: Some(traffic), ..LinkSample::new(told, SampleSource::Kernel) });
    add(&mut estimator, LinkSample { loss: Some(loss), ..LinkSample::new(told, SampleSource::Socket) });
    let bound = Some(Capacity::AtLeast(bandwidth(9)));
    add(&mut estimator, LinkSample { capacity: bound, ..LinkSample::new(told, SampleSource::Train) });
    let (now, at) = (at(30_000), told);
    assert_eq!(estimator.traffic(now), Some(Estimate { value: traffic, source: SampleSource::Kernel, at }));
    assert_eq!(estimator.loss(now), Some(Estimate { value: loss, source: SampleSource::Socket, at }));
    let bound = Estimate { value: Capacity::AtLeast(bandwidth(9)), source: SampleSource::Train, at };
    assert_eq!(estimator.capacity(now), Some(bound));
    assert!(!estimator.bandwidth(now).is_known(), "a bound is no figure");
}

fn any_sample() -> impl Strategy<Value = LinkSample> {
    let source = prop_oneof![
        Just(SampleSource::Echo),
        Just(SampleSource::Socket),
        Just(SampleSource::Train),
        Just(SampleSource::Kernel),
    ];
    let duration = any::<u64>().prop_map(Duration::from_micros);
    let round_trips = (duration.clone(), duration.clone(), any::<u32>())
        .prop_map(|(p10, p90, count)| RoundTrips { p10, p90, count });
    let capacity = (any::<bool>(), any::<u32>()).prop_map(|(exact, bytes)| {
        if exact { Capacity::Measured(bandwidth(bytes)) } else { Capacity::AtLeast(bandwidth(bytes)) }
    });
    let traffic = (duration, any::<u64>(), any::<u64>()).prop_map(|(over, sent, received)| Traffic {
        over,
        sent: ByteCount(sent),
        received: ByteCount(received),
    });
    let loss = any::<(u64, u64, bool)>().prop_map(|(sent, lost, reordered)| Loss { sent, lost, reordered });
    let quantities = (
        prop::option::of(round_trips),
        prop::option::of(capacity),
        prop::option::of(traffic),
        prop::option::of(loss),
    );
    (any::<u64>(), source, quantities).prop_map(|(at, source, (round_trips, capacity, traffic, loss))| {
        LinkSample {
            round_trips,
            capacity,
            traffic,
            loss,
            ..LinkSample::new(Timestamp::from_micros(at), source)
        }
    })
}

proptest! {
    #[test]
    fn any_sample_is_survived(samples in prop::collection::vec((any_sample(), any::<u64>(), any::<u64>()), 0..60)) {
        let mut estimator = Estimator::default();
        for (sample, now, round_trip) in samples {
            let now = Timestamp::from_micros(now);
            estimator.add_sample(&sample, now);
            estimator.add_echo(now, us(round_trip));
            let all = (estimator.latency(), estimator.loaded_latency(), estimator.capacity(now));
            prop_assert!(all.0.is_some() && all.1.is_some());
            let _ = (estimator.loss(now), estimator.traffic(now), estimator.latency_under_load());
        }
    }
}
