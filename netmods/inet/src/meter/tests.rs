// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;

use super::*;

const MBIT: u64 = 125_000;
const STEP: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);

/// A connection that is read every 10 ms while something waits, and asked each second.
struct Fed {
    meter: Meter,
    reading: Reading,
    said: Vec<u64>,
}

impl Fed {
    fn new() -> Self {
        Self::with(false)
    }

    fn with(measures: bool) -> Self {
        let ms = Duration::from_millis;
        let info =
            TcpInfo { timestamps: true, segment: 1448, rtt: ms(20), min_rtt: ms(10), ..TcpInfo::default() };
        let reading = Reading { at: Timestamp::default(), waited: Duration::ZERO, info };
        Self { meter: Meter::new("192.0.2.1".parse().unwrap(), measures), reading, said: Vec::new() }
    }

    fn passes(&mut self, time: Duration, mut step: impl FnMut(&mut Reading)) -> &[u64] {
        let before = self.said.len();
        let end = self.reading.at + time;
        while self.reading.at < end {
            self.reading.at = self.reading.at + STEP;
            step(&mut self.reading);
            self.meter.full(self.reading);
            if self.reading.at.as_micros().is_multiple_of(1_000_000) {
                self.ask();
            }
        }
        &self.said[before..]
    }

    /// What is acknowledged in 10 ms of a full link, as payload of a rate on the wire.
    fn full(&mut self, rate: u64, time: Duration) -> &[u64] {
        self.passes(time, |reading| {
            reading.waited += STEP;
            reading.info.acked += rate / 100 * 1448 / 1514;
        })
    }

    fn ask(&mut self) {
        match self.meter.report(self.reading.at, self.reading.info).capacity {
            Some(Capacity::Measured(rate)) => self.said.push(rate.as_bytes_per_second().into()),
            Some(Capacity::AtLeast(_)) => panic!("never said"),
            None => {}
        }
    }
}

fn close(said: u64, truth: u64) -> bool {
    said.abs_diff(truth) * 100 <= truth
}

#[test]
fn a_full_link_tells_its_rate_on_the_wire_each_second() {
    for rate in [2, 10, 50, 200, 9000] {
        let mut fed = Fed::new();
        let said = fed.full(rate * MBIT, 10 * SECOND);
        assert!(said.len() >= 2, "{rate} Mbit/s: {said:?}");
        assert!(said.iter().all(|said| close(*said, rate * MBIT)), "{rate} Mbit/s: {said:?}");
    }
}

#[test]
fn where_the_kernel_avoids_queues_its_own_pace_says_that_the_link_is_full() {
    let truth = 50 * MBIT;
    let said_at = |micros: u64, measures, pacing| {
        let mut fed = Fed::with(measures);
        fed.reading.info.min_rtt = Duration::from_micros(micros);
        fed.reading.info.rtt = Duration::from_micros(micros * 11 / 10);
        fed.reading.info.pacing = pacing;
        fed.full(truth, 10 * SECOND).to_vec()
    };
    let said = |measures, pacing| said_at(10_000, measures, pacing);
    let paced = said(true, truth * 5 / 4);
    assert_eq!(said_at(4_900, true, truth * 5 / 4), [], "on a short path it is no evidence");
    assert!(paced.len() >= 2 && paced.iter().all(|said| close(*said, truth)), "{paced:?}");
    assert_eq!(said(true, truth * 2), [], "it still looks for more");
    assert_eq!(said(false, truth * 5 / 4), [], "paced by losses, maybe, which say nothing of the link");
}

/// 27 ms of 10 Mbit/s are in a bucket of 32 KiB, which refills while the link is idle.
#[test]
fn a_shapers_bucket_is_not_the_rate() {
    let mut fed = Fed::new();
    for _ in 0..20 {
        fed.full(500 * MBIT, STEP);
        fed.full(10 * MBIT, Duration::from_millis(590));
        fed.reading.at = fed.reading.at + Duration::from_millis(400);
        fed.ask();
    }
    assert!(fed.said.len() >= 10 && fed.said.iter().all(|said| close(*said, 10 * MBIT)), "{:?}", fed.said);
}

#[test]
fn a_link_that_is_not_full_tells_nothing() {
    // Something waits four fifths of the time only.
    let mut fed = Fed::new();
    let said = fed.passes(20 * SECOND, |reading| {
        reading.waited += STEP / 5 * 4;
        reading.info.acked += 40 * MBIT / 100;
    });
    assert!(said.is_empty(), "{said:?}");
    // The peer does not read.
    let said = fed.passes(20 * SECOND, |reading| {
        reading.waited += STEP;
        reading.info.receiver_limited += STEP / 5;
        reading.info.acked += 40 * MBIT / 100;
    });
    assert!(said.is_empty(), "{said:?}");
    // No queue stands anywhere: the congestion control is what limits.
    fed.reading.info.rtt = Duration::from_millis(11);
    assert!(fed.full(10 * MBIT, 20 * SECOND).is_empty());
}

/// Long after a full time: what is told once is not told again, and rates of a minute ago are none.
#[test]
fn nothing_stale_is_told() {
    let mut fed = Fed::new();
    assert!(!fed.full(50 * MBIT, 2 * SECOND).is_empty());
    let told = fed.said.len();
    fed.full(50 * MBIT, Duration::from_millis(350));
    for _ in 0..70 {
        fed.reading.at = fed.reading.at + SECOND;
        fed.ask();
    }
    fed.full(50 * MBIT, Duration::from_millis(350));
    fed.ask();
    assert_eq!(fed.said.len(), told, "few rates now and few of a minute ago are not enough");
}

#[test]
fn a_path_that_went_silent_and_came_back_is_not_slow() {
    let mut fed = Fed::new();
    for _ in 0..5 {
        fed.full(50 * MBIT, SECOND);
        fed.passes(SECOND, |reading| {
            reading.waited += STEP;
            reading.info.timeouts = 2;
        });
        fed.reading.info.timeouts = 0;
    }
    assert!(fed.said.len() >= 5 && fed.said.iter().all(|said| close(*said, 50 * MBIT)), "{:?}", fed.said);
}

#[test]
fn traffic_and_loss_are_what_came_since_the_last_report() {
    let mut meter = Meter::new("::1".parse().unwrap(), false);
    let mut info = TcpInfo {
        sent: 1000,
        received: 10,
        segments_out: u32::MAX,
        data_segments: u32::MAX,
        ..TcpInfo::default()
    };
    let first = meter.report(Timestamp::from_micros(1), info);
    assert_eq!(first, LinkSample::new(Timestamp::from_micros(1), SampleSource::Socket));
    info = TcpInfo {
        sent: 3000,
        received: 30,
        segments_out: 9,
        segments_in: 1,
        data_segments: 7,
        resent: 2,
        ..info
    };
    let second = meter.report(Timestamp::from_micros(2_000_001), info);
    let (sent, received) = (ByteCount(2000 + 10 * 74), ByteCount(20 + 74));
    assert_eq!(second.traffic, Some(Traffic { over: 2 * SECOND, sent, received }));
    assert_eq!(second.loss, Some(Loss { sent: 8, lost: 2, reordered: false }));
    info.reorderings = 1;
    assert_eq!(meter.report(second.at, info).loss, None, "nothing was sent");
    info =
        TcpInfo { data_segments: 8, reorderings: 2, timestamps: true, sent: 3001, segments_out: 10, ..info };
    let third = meter.report(second.at, info);
    assert_eq!(third.loss, Some(Loss { sent: 1, lost: 0, reordered: true }));
    assert_eq!(third.traffic.unwrap().sent, ByteCount(1 + 86));
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let numbers = prop::array::uniform8(any::<u64>());
    (numbers, any::<[u32; 5]>(), any::<(u8, bool)>()).prop_map(|(wide, narrow, (timeouts, timestamps))| {
        let short = |number: u32| Duration::from_micros(number.into());
        let info = TcpInfo {
            timeouts,
            timestamps,
            segment: narrow[0],
            rtt: short(narrow[1]),
            min_rtt: short(narrow[2]),
            resent: narrow[3],
            acked: wide[0],
            received: wide[1],
            segments_out: narrow[4],
            receiver_limited: Duration::from_micros(wide[2]),
            sent: wide[3],
            ..TcpInfo::default()
        };
        Reading { at: Timestamp::from_micros(wide[4]), waited: Duration::from_micros(wide[5]), info }
    })
}

proptest! {
    #[test]
    fn any_readings_are_taken(measures: bool, readings in prop::collection::vec(any_reading(), 0..100)) {
        let mut meter = Meter::new("192.0.2.1".parse().unwrap(), measures);
        for (index, reading) in readings.into_iter().enumerate() {
            meter.full(reading);
            if index % 10 == 0 {
                meter.report(reading.at, reading.info);
            }
        }
    }

    /// However often it is read, what is kept is bounded.
    #[test]
    fn rates_are_bounded(steps in 0_u64..20_000) {
        let mut fed = Fed::new();
        for step in 0..steps {
            fed.reading.at = Timestamp::from_micros((step + 1) * 10_000);
            fed.reading.waited += STEP;
            fed.reading.info.acked += MBIT;
            fed.meter.full(fed.reading);
            prop_assert!(fed.meter.rates.len() <= RATES);
        }
    }
}
