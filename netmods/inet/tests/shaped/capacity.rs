// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a link is said to carry: the truth while it is full, and nothing while it is not.

use ratman_types::{Capacity, SampleSource};

use super::*;

/// How long is sent at a rate that tells no capacity.
const MEASURING: Duration = Duration::from_secs(8);
/// How many seconds of a full link have to tell its capacity, and how long that may take: at 10 Mbit/s the socket is not busy in
/// every one, and 3 to 7 of the first 8 tell it.
const TELLING: usize = 4;
const AT_MOST: Duration = Duration::from_secs(24);

/// What the sockets say while something is sent, in bytes per second.
fn said(mbit: u32, send: impl FnOnce(&Bench)) -> Vec<u32> {
    let lab = Lab::create(TimeLimit::within(Duration::from_secs(45))).unwrap();
    let rate = format!("{mbit}mbit");
    let nodes = row(&lab, &["tbf", "rate", &rate, "burst", "32kb", "latency", "50ms"]);
    let routers = Routers::start(&nodes, None);
    send(&routers.near);
    assert!(routers.near.samples.lock().unwrap().len() >= 5, "a sample each second");
    told(&routers.near)
}

/// The capacities in the samples of the socket up to now.
fn told(bench: &Bench) -> Vec<u32> {
    let samples = bench.samples.lock().unwrap();
    let sockets = samples.iter().filter(|sample| sample.source == SampleSource::Socket);
    sockets
        .filter_map(|sample| match sample.capacity? {
            Capacity::Measured(rate) => Some(rate.as_bytes_per_second()),
            Capacity::AtLeast(_) => panic!("sockets know it or do not"),
        })
        .collect()
}

#[test]
fn a_full_link_tells_its_capacity() {
    at_each_rate(|mbit| {
        let truth = mbit * 125_000;
        let said = said(mbit, |bench| {
            let is_told = || bench.start.elapsed() > MEASURING && told(bench).len() >= TELLING;
            bench.send_while(|| !is_told() && bench.start.elapsed() < AT_MOST);
        });
        assert!(said.len() >= TELLING, "{mbit} Mbit/s: {said:?}");
        let wrong = |rate: &&u32| rate.abs_diff(truth) * 10 > truth;
        // Where the machine itself stood still the bucket is full, and the next sample has its 32 KB in it, which at 10 Mbit/s is an
        // eighth more.
        let wrong: Vec<_> = said.iter().filter(wrong).collect();
        let is_bucket = |rate: &&u32| (truth..=truth * 5 / 4).contains(*rate);
        assert!(wrong.len() <= 1 && wrong.iter().all(is_bucket), "{mbit} Mbit/s: {said:?} against {truth}");
    });
}

/// Frames of 16 KiB at a fifth of the rate: the kernel's own figure is 27 to 71 % of the truth then.
#[test]
fn a_link_that_is_not_full_tells_none() {
    at_each_rate(|mbit| {
        let pause = Duration::from_secs(1) * u32::try_from(FRAME).unwrap() / (mbit * 125_000 / 5);
        let said = said(mbit, |bench| {
            let frame = vec![0xee; FRAME];
            while bench.start.elapsed() < MEASURING {
                // A frame now and then waits for the thread of the link, where the machine has other things to do.
                bench.wait_until_ready();
                bench.send_frame(&frame);
                std::thread::sleep(pause);
            }
        });
        assert!(said.is_empty(), "{mbit} Mbit/s: {said:?}");
    });
}
