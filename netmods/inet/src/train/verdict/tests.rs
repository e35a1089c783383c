// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;
use ratman_wire::train::Arrival;

use super::*;

const WIRE: u64 = 1514;
const MBIT: u64 = 125_000;
/// When a report comes.
const AFTER: Duration = Duration::from_secs(12);

fn sent(count: u64, rate: u64) -> SentTrain {
    let at = (0..count).map(|index| Duration::from_nanos(index * WIRE * 1_000_000_000 / rate)).collect();
    SentTrain { number: 7, at, wire: WIRE }
}

/// What arrives behind a token bucket with a queue, from the model: `fast` is the line in front of it.
fn through(sent: &SentTrain, rate: u64, bucket: u64, queue: u64) -> TrainReport {
    let nanos = |bytes: u64, rate: u64| bytes * 1_000_000_000 / rate;
    let (mut tokens, mut at) = (bucket, 0);
    let mut arrived: Vec<(u16, u64)> = Vec::new();
    for (index, time) in sent.at.iter().enumerate() {
        let now = u64::try_from(time.as_nanos()).unwrap();
        // What has gathered since the bucket was looked at last, and what waits in front of it.
        if now > at {
            tokens = (tokens + (now - at) * rate / 1_000_000_000).min(bucket);
            at = now;
        }
        if (at - now) * rate / 1_000_000_000 > queue {
            continue;
        }
        if tokens < WIRE {
            at += nanos(WIRE - tokens, rate);
            tokens = WIRE;
        }
        tokens -= WIRE;
        arrived.push((u16::try_from(index).unwrap(), at));
    }
    report(&arrived)
}

fn report(arrived: &[(u16, u64)]) -> TrainReport {
    let received = u16::try_from(arrived.len()).unwrap();
    let first = arrived.first().map_or(0, |(_, at)| *at);
    let arrivals = arrived
        .iter()
        .step_by(TrainReport::every(received))
        .map(|(index, at)| Arrival { index: *index, micros: u32::try_from((at - first) / 1000).unwrap() })
        .collect();
    TrainReport { train: 7, received, arrivals }
}

fn verdict(sent: &SentTrain, report: &TrainReport) -> Verdict {
    sent.judge(report, AFTER).unwrap().1
}

const ENDLESS: u64 = 100_000_000;
const BUCKET: u64 = 32 * 1024;

#[test]
fn behind_a_small_bucket_the_rate_is_found() {
    for rate in [1, 10, 50, 200] {
        for count in [64, 128, 256, 512] {
            for queue in [ENDLESS, 62_500 + BUCKET] {
                let sent = sent(count, 4000 * MBIT);
                let Verdict::Rate(found) = verdict(&sent, &through(&sent, rate * MBIT, BUCKET, queue)) else {
                    panic!("{rate} Mbit/s, {count} packets, a queue of {queue}")
                };
                assert!(found.abs_diff(rate * MBIT) * 50 <= rate * MBIT, "{found} of {rate} Mbit/s");
            }
        }
    }
}

#[test]
fn a_bucket_larger_than_the_train_is_never_a_rate() {
    for rate in [10, 50, 200] {
        for count in [64, 128] {
            let sent = sent(count, 2000 * MBIT);
            let found = verdict(&sent, &through(&sent, rate * MBIT, 256 * 1024, ENDLESS));
            assert!(matches!(found, Verdict::AsSent(_)), "{rate} Mbit/s, {count} packets: {found:?}");
            // It runs out somewhere in the last quarters.
            let half = verdict(&sent, &through(&sent, rate * MBIT, count * WIRE * 3 / 4, ENDLESS));
            assert_eq!(half, Verdict::Open);
        }
    }
}

#[test]
fn a_link_faster_than_the_sender_is_not_measured() {
    let sent = sent(512, 800 * MBIT);
    for rate in [600, 800, 10_000] {
        let found = verdict(&sent, &through(&sent, rate * MBIT, WIRE, ENDLESS));
        let Verdict::AsSent(rate_found) = found else { panic!("{rate}: {found:?}") };
        assert!(rate_found <= 801 * MBIT);
    }
    assert!(matches!(verdict(&sent, &through(&sent, 500 * MBIT, WIRE, ENDLESS)), Verdict::Rate(_)));
}

#[test]
fn little_is_no_verdict_and_lies_are_refused() {
    let sent = sent(64, 4000 * MBIT);
    assert_eq!(verdict(&sent, &report(&[])), Verdict::Lost);
    let few: Vec<_> = (0..15).map(|index| (index, u64::from(index) * 1_000_000)).collect();
    assert_eq!(verdict(&sent, &report(&few)), Verdict::Lost);
    let backwards: Vec<_> = (0..16).map(|index| (15 - index, u64::from(index) * 1_000_000)).collect();
    assert_eq!(verdict(&sent, &report(&backwards)), Verdict::Open);

    let good = report(&(0..64).map(|index| (index, u64::from(index) * 1_000_000)).collect::<Vec<_>>());
    assert_eq!(sent.judge(&TrainReport { train: 8, ..good.clone() }, AFTER), Err(BadReport::Train));
    let mut twice = good.clone();
    twice.arrivals[9].index = 8;
    assert_eq!(sent.judge(&twice, AFTER), Err(BadReport::Packets));
    let mut unsent = good.clone();
    unsent.arrivals[63].index = 64;
    assert_eq!(sent.judge(&unsent, AFTER), Err(BadReport::Packets));
    let more: Vec<_> = (0..65).map(|index| (index, 0)).collect();
    assert_eq!(sent.judge(&report(&more), AFTER), Err(BadReport::Packets));
    assert!(sent.judge(&good, AFTER).is_ok());
}

#[test]
fn a_link_never_took_longer_than_has_passed() {
    let sent = sent(64, 4000 * MBIT);
    let mut arrived: Vec<_> = (0..64).map(|index| (index, u64::from(index) * 1_000_000)).collect();
    assert_eq!(sent.judge(&report(&arrived), AFTER).unwrap().0, Duration::from_millis(63));
    arrived[63].1 = u64::from(u32::MAX) * 1000;
    let passed = Duration::from_millis(80);
    assert_eq!(sent.judge(&report(&arrived), passed), Ok((passed, Verdict::Open)));
}

proptest! {
    /// Behind any bucket: the truth within a tenth, or no rate.
    #[test]
    fn a_rate_is_never_wrong(rate in 1_u64..1000, bucket in 1514_u64..600_000, size in 0_u32..4, speed in 300_u64..5000) {
        let sent = sent(64 << size, speed * MBIT);
        if let Verdict::Rate(found) = verdict(&sent, &through(&sent, rate * MBIT, bucket, ENDLESS)) {
            prop_assert!(found.abs_diff(rate * MBIT) * 10 <= rate * MBIT, "{found} of {}", rate * MBIT);
        }
    }

    #[test]
    fn any_report_is_judged(arrived in prop::collection::vec((0_u16..600, 0_u64..100_000), 0..300)) {
        let mut micros = 0;
        let arrived: Vec<_> = arrived.into_iter().map(|(index, step)| { micros += step; (index, micros) }).collect();
        let _ = sent(300, 4000 * MBIT).judge(&report(&arrived), AFTER);
    }
}
