// SPDX-License-Identifier: AGPL-3.0-or-later
//! What an idle link is said to carry: the truth behind a bucket smaller than a train, never a lie behind a larger one.

use ratman_types::{Capacity, SampleSource};

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

/// What trains said first at each end, or nothing within some time. The way towards the listener is shaped, and the way
/// back at the same hop as fast as the machine is.
fn said(mbit: u32, bucket: &str, time: Duration) -> [Option<Capacity>; 2] {
    let lab = Lab::create(TimeLimit::within(LIMIT + LIMIT)).unwrap();
    let rate = format!("{mbit}mbit");
    let nodes = row(&lab, &["tbf", "rate", &rate, "burst", bucket, "latency", "50ms"]);
    let routers = Routers::start(&nodes, Some(TrainConfig::default()));
    let found = |bench: &Bench| {
        let samples = bench.samples.lock().unwrap();
        let trains: Vec<_> = samples.iter().filter(|sample| sample.source == SampleSource::Train).collect();
        assert!(trains.len() <= 1, "one measurement a minute: {trains:?}");
        trains.first().and_then(|sample| sample.capacity)
    };
    while routers.near.start.elapsed() < time && found(&routers.near).or(found(&routers.far)).is_none() {
        std::thread::sleep(SAMPLES_EVERY);
    }
    // The listener's turn comes after the dialer's.
    std::thread::sleep(4 * SAMPLES_EVERY);
    [&routers.near, &routers.far].map(|bench| found(bench))
}

fn is_close(found: Capacity, mbit: u32) -> bool {
    let truth = mbit * 125_000;
    matches!(found, Capacity::Measured(rate) if rate.as_bytes_per_second().abs_diff(truth) * 10 <= truth)
}

#[test]
fn behind_a_small_bucket_an_idle_link_tells_its_capacity() {
    at_each_rate(|mbit| {
        let [near, far] = said(mbit, "32kb", LIMIT);
        assert!(near.is_some_and(|found| is_close(found, mbit)), "{mbit} Mbit/s: {near:?}");
        if let Some(Capacity::Measured(back)) = far {
            assert!(back.as_bytes_per_second() / 125_000 > 210, "{mbit} Mbit/s there, {far:?} back");
        }
    });
}

#[test]
fn behind_a_large_bucket_nothing_wrong_is_told() {
    at_each_rate(|mbit| {
        let [near, _] = said(mbit, "128kb", LIMIT / 3);
        let right = near.is_none_or(|found| is_close(found, mbit) || matches!(found, Capacity::AtLeast(_)));
        assert!(right, "{mbit} Mbit/s: {near:?}");
    });
}
