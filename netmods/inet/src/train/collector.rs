// SPDX-License-Identifier: AGPL-3.0-or-later
//! Gathers the train that a neighbour sends, one at a time, until it is whole or silent; then there is a report.

use std::time::Duration;

use ratman_types::Timestamp;
use ratman_wire::train::{Arrival, TrainPacket, TrainReport};

/// Without a packet for this long a train is over: a packet of 1500 bytes takes less on any line above 24 kbit/s.
const SILENCE: Duration = Duration::from_millis(500);
/// No train takes longer: 512 packets at 600 kbit/s.
const LONGEST: Duration = Duration::from_secs(10);
/// Trains of one link that are answered in a row, more than a series has;
const BURST: u32 = 16;
/// and how soon another one is answered then.
const EACH: Duration = Duration::from_secs(4);
/// Fewer packets get no answer, so that no answer is longer than what caused it.
const LEAST: usize = 8;

/// The trains of one neighbour over one link.
#[derive(Debug)]
pub(crate) struct Collector {
    /// The number of the last train that was begun.
    last: Option<u32>,
    train: Option<Train>,
    /// When the allowance is whole again: every train takes [`EACH`] of it.
    owed_until: Timestamp,
}

#[derive(Debug)]
struct Train {
    count: usize,
    began: Timestamp,
    heard: Timestamp,
    /// Which packets came, and when by the kernel's wall clock.
    arrived: Vec<(u16, Duration)>,
}

/// A packet that is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surplus {
    /// It belongs to a train that is over, or came twice.
    Old,
    /// Too many trains.
    Train,
}

impl Collector {
    pub(crate) fn new() -> Self {
        Self { last: None, train: None, owed_until: Timestamp::default() }
    }

    /// Whether a train is on its way here.
    pub(crate) fn is_collecting(&self) -> bool {
        self.train.is_some()
    }

    /// Takes a packet whose MAC holds, stamped by the kernel.
    pub(crate) fn take(
        &mut self,
        packet: TrainPacket,
        stamp: Duration,
        now: Timestamp,
    ) -> Result<(), Surplus> {
        if self.last != Some(packet.train) {
            self.begin(packet, now)?;
        }
        let train = self.train.as_mut().ok_or(Surplus::Old)?;
        if train.arrived.iter().any(|(index, _)| *index == packet.index) {
            return Err(Surplus::Old);
        }
        train.heard = now;
        train.arrived.push((packet.index, stamp));
        Ok(())
    }

    fn begin(&mut self, packet: TrainPacket, now: Timestamp) -> Result<(), Surplus> {
        if self.last.is_some_and(|last| packet.train < last) {
            return Err(Surplus::Old);
        }
        let owed = self.owed_until.max(now) + EACH;
        if owed > now + EACH * BURST {
            return Err(Surplus::Train);
        }
        self.owed_until = owed;
        self.last = Some(packet.train);
        let count = usize::from(packet.count);
        self.train = Some(Train { count, began: now, heard: now, arrived: Vec::with_capacity(count) });
        Ok(())
    }

    /// When the train on its way counts as over.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let train = self.train.as_ref()?;
        Some(
            if train.arrived.len() >= train.count { train.heard } else { train.heard + SILENCE }
                .min(train.began + LONGEST),
        )
    }

    /// The report, once the train is over and worth one.
    pub(crate) fn report(&mut self, now: Timestamp) -> Option<TrainReport> {
        if self.deadline()? > now {
            return None;
        }
        let Train { arrived, .. } = self.train.take()?;
        let received = u16::try_from(arrived.len()).ok().filter(|_| arrived.len() >= LEAST)?;
        let (_, first) = *arrived.first()?;
        let mut latest = 0;
        let arrivals = arrived.iter().step_by(TrainReport::every(received)).map(|(index, stamp)| {
            // A wall clock that is set back meanwhile spoils the train; it must not spoil the report.
            let micros = u32::try_from(stamp.saturating_sub(first).as_micros()).unwrap_or(u32::MAX);
            latest = latest.max(micros);
            Arrival { index: *index, micros: latest }
        });
        let arrivals = arrivals.collect();
        Some(TrainReport { train: self.last?, received, arrivals })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratman_types::RouterId;
    use ratman_wire::train::{MAX_TRAIN, TrainKey};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn packet(train: u32, index: u16) -> TrainPacket {
        TrainPacket { train, index, count: 64 }
    }

    fn at(millis: u32) -> Timestamp {
        Timestamp::default() + MS * millis
    }

    #[test]
    fn a_whole_train_is_reported_at_once_and_a_cut_one_after_a_silence() {
        let mut collector = Collector::new();
        assert_eq!(collector.deadline(), None);
        for index in 0..64 {
            assert!(collector.report(at(index)).is_none());
            collector.take(packet(1, u16::try_from(index).unwrap()), MS * (1000 + index), at(index)).unwrap();
        }
        let report = collector.report(at(63)).unwrap();
        assert_eq!((report.train, report.received, report.arrivals.len()), (1, 64, 64));
        assert_eq!(report.arrivals[63], Arrival { index: 63, micros: 63_000 });
        assert_eq!(collector.take(packet(1, 0), MS, at(64)), Err(Surplus::Old), "it is over");

        for index in 0..8 {
            collector.take(packet(9, index), MS, at(100)).unwrap();
        }
        assert_eq!(collector.take(packet(9, 7), MS, at(100)), Err(Surplus::Old), "twice");
        assert_eq!(collector.take(packet(8, 7), MS, at(100)), Err(Surplus::Old), "an older one");
        assert_eq!(collector.report(at(599)), None);
        assert_eq!(collector.report(at(600)).unwrap().received, 8);
    }

    #[test]
    fn few_packets_are_not_answered_and_none_for_ever_either() {
        let mut collector = Collector::new();
        for index in 0..7 {
            collector.take(packet(1, index), MS, at(0)).unwrap();
        }
        assert_eq!(collector.report(at(500)), None);
        assert!(!collector.is_collecting());
        let mut time = 1000;
        for index in 0..40 {
            collector.take(packet(2, index), MS, at(time)).unwrap();
            time += 400;
        }
        assert_eq!(collector.report(at(11_000)).unwrap().received, 40);
    }

    #[test]
    fn trains_are_answered_within_an_allowance() {
        let mut collector = Collector::new();
        let begun = |collector: &mut Collector, from: u32, now| {
            (from..from + 100).filter(|train| collector.take(packet(*train, 0), MS, now).is_ok()).count()
        };
        assert_eq!(begun(&mut collector, 0, at(0)), 16);
        assert_eq!(begun(&mut collector, 1000, at(0)), 0);
        assert_eq!(begun(&mut collector, 2000, at(8000)), 2);
        assert_eq!(begun(&mut collector, 3000, at(1_000_000)), 16);
    }

    proptest! {
        /// Whatever comes, a report can be sent and is not longer than what caused it.
        #[test]
        fn any_packets_make_a_report_that_can_be_sent(
            packets in prop::collection::vec((0_u32..4, 0..MAX_TRAIN, any::<u32>()), 0..600),
        ) {
            let mut collector = Collector::new();
            for (train, index, stamp) in packets {
                let packet = TrainPacket { train, index, count: MAX_TRAIN };
                let _ = collector.take(packet, Duration::from_micros(stamp.into()), at(0));
            }
            if let Some(report) = collector.report(at(20_000)) {
                let (id, key) = (RouterId::from_bytes([1; 32]), TrainKey::derive(&[1; 32], &[2; 32], &[3; 32]));
                let bytes = report.encode(id, &key);
                prop_assert_eq!(TrainReport::decode(&bytes, id, &key).unwrap(), report.clone());
                prop_assert!(bytes.len() < usize::from(report.received) * ratman_wire::train::MIN_TRAIN_PACKET);
            }
        }
    }
}
