// SPDX-License-Identifier: AGPL-3.0-or-later

use ebpf_abi::bucket;
use ratman_types::{LinkId, RouterId};

use super::*;

fn hop() -> Hop {
    Hop { link: LinkId(1), neighbour: RouterId::from_bytes([1; 32]) }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn counters(sent_bytes: u64, received_bytes: u64) -> Counters {
    Counters { sent_bytes, received_bytes, sent_packets: 1, received_packets: 1, ..Counters::default() }
}

fn histogram(micros: &[u32]) -> Histogram {
    let mut histogram = Histogram::EMPTY;
    for value in micros {
        histogram.counts[bucket(*value)] += 1;
    }
    histogram
}

/// What one conversation tells.
fn read(
    followed: &mut Followed,
    counters: Counters,
    histogram: Option<Histogram>,
    now: Timestamp,
) -> Option<LinkSample> {
    let mut since = Since::nothing();
    followed.advance(counters, histogram, now, &mut since);
    since.sample(now)
}

#[test]
fn the_first_time_is_what_traffic_is_counted_from() {
    let mut followed = Followed::new(hop(), Place(0));
    assert_eq!(read(&mut followed, counters(100, 50), None, at(10)), None);
    let sample = read(&mut followed, counters(350, 51), None, at(12)).unwrap();
    let over = Duration::from_secs(2);
    assert_eq!(sample.traffic, Some(Traffic { over, sent: ByteCount(250), received: ByteCount(1) }));
    assert_eq!((sample.at, sample.source, sample.round_trips), (at(12), SampleSource::Kernel, None));
    let idle = read(&mut followed, counters(350, 51), None, at(13)).unwrap();
    assert_eq!(idle.traffic.unwrap().sent, ByteCount(0));
}

#[test]
fn what_was_not_seen_each_way_tells_no_traffic() {
    let mut followed = Followed::new(hop(), Place(0));
    let silent = Counters::default();
    assert_eq!(read(&mut followed, silent, None, at(1)), None);
    assert_eq!(read(&mut followed, silent, None, at(2)), None, "nothing matches");
    let only_sent = Counters { sent_bytes: 100, sent_packets: 1, ..silent };
    assert_eq!(read(&mut followed, only_sent, None, at(3)), None, "answers come another way");
    let only_received = Counters { received_bytes: 100, received_packets: 1, ..silent };
    assert_eq!(read(&mut followed, only_received, None, at(4)), None, "what we send goes another way");
    let mut other = Followed::new(hop(), Place(1));
    read(&mut other, only_sent, None, at(3));
    let both =
        Counters { received_bytes: 40, received_packets: 1, sent_bytes: 130, sent_packets: 2, ..silent };
    let traffic = read(&mut other, both, None, at(4)).unwrap().traffic.unwrap();
    assert_eq!((traffic.over, traffic.sent.0, traffic.received.0), (Duration::from_secs(1), 30, 40));
    let idle = read(&mut other, both, None, at(5)).unwrap().traffic.unwrap();
    assert_eq!((idle.sent.0, idle.received.0), (0, 0), "it is known to be seen");
}

#[test]
fn round_trips_are_those_since_the_last_time() {
    let mut followed = Followed::new(hop(), Place(0));
    let slow = histogram(&[20_000; 10]);
    let first = read(&mut followed, counters(0, 0), Some(slow), at(1)).unwrap().round_trips.unwrap();
    assert_eq!((first.count, first.p10), (10, first.p90));
    let mut then = slow;
    then.counts[bucket(5_000)] += 3;
    let second = read(&mut followed, counters(0, 0), Some(then), at(2)).unwrap().round_trips.unwrap();
    assert_eq!(second.count, 3);
    assert!(second.p90 < Duration::from_millis(6), "{second:?}");
    assert_eq!(read(&mut followed, counters(0, 0), Some(then), at(3)).unwrap().round_trips, None);
}

#[test]
fn counts_may_wrap_around() {
    let mut followed = Followed::new(hop(), Place(0));
    let mut before = Histogram::EMPTY;
    before.counts[7] = u32::MAX;
    read(&mut followed, counters(u64::MAX, 0), Some(before), at(1));
    let mut after = before;
    after.counts[7] = 1;
    let sample = read(&mut followed, counters(4, 0), Some(after), at(2)).unwrap();
    assert_eq!(sample.round_trips.unwrap().count, 2);
    assert_eq!(sample.traffic.unwrap().sent, ByteCount(5));
}

#[test]
fn conversations_of_one_hop_are_taken_together() {
    let (mut one, mut other) = (Followed::new(hop(), Place(0)), Followed::new(hop(), Place(0)));
    read(&mut one, counters(0, 0), None, at(1));
    read(&mut other, counters(0, 0), None, at(1));
    let mut since = Since::nothing();
    one.advance(counters(10, 1), Some(histogram(&[1000])), at(2), &mut since);
    other.advance(counters(20, 2), Some(histogram(&[9000])), at(2), &mut since);
    let sample = since.sample(at(2)).unwrap();
    let over = Duration::from_secs(1);
    assert_eq!(sample.traffic, Some(Traffic { over, sent: ByteCount(30), received: ByteCount(3) }));
    assert_eq!(sample.round_trips.unwrap().count, 2);
}

#[test]
fn histograms_are_read_only_of_who_was_heard() {
    let mut followed = Followed::new(hop(), Place(0));
    let silent = Counters::default();
    assert!(!followed.has_heard(&silent));
    let heard = Counters { received_packets: 7, ..silent };
    assert!(followed.has_heard(&heard));
    read(&mut followed, heard, None, at(1));
    assert!(!followed.has_heard(&heard));
}
