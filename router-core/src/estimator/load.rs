// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether a link is so busy that a queue stands in front of it: its round trips are those of the queue then. Without
//! this half a minute of bulk traffic would make every link look long and move the traffic to and fro.

use core::time::Duration;

use ratman_types::{Bandwidth, Timestamp, Traffic};

/// From this rate on, in bytes per second, a link of unknown capacity counts as busy: it would fill one of 8 Mbit/s.
const BUSY_UNKNOWN: u64 = 1_000_000;
/// The share of a measured capacity from which on a link counts as busy: one part in so many.
const BUSY_PART: u64 = 2;
/// What was busy is taken to stay so until it is told the next time, and a little longer; at most for this time.
const LONGEST: Duration = Duration::from_secs(3);

/// Until when the link counts as busy.
#[derive(Debug, Default)]
pub(super) struct Load {
    until: Option<Timestamp>,
}

impl Load {
    /// Takes what crossed the link until `at`; whether that was so much that it was busy all the time.
    pub(super) fn note(&mut self, at: Timestamp, traffic: &Traffic, capacity: Bandwidth) -> bool {
        let busiest = traffic.sent.max(traffic.received).per_second(traffic.over).unwrap_or(0);
        let threshold = if capacity.is_known() {
            u64::from(capacity.as_bytes_per_second()) / BUSY_PART
        } else {
            BUSY_UNKNOWN
        };
        let busy = busiest >= threshold;
        if busy {
            let until = at + traffic.over.saturating_mul(2).min(LONGEST);
            self.until = self.until.max(Some(until));
        }
        busy
    }

    /// Whether the link counts as busy at this time.
    pub(super) fn covers(&self, at: Timestamp) -> bool {
        self.until.is_some_and(|until| at < until)
    }
}

#[cfg(test)]
mod tests {
    use ratman_types::ByteCount;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    fn traffic(sent: u64, received: u64) -> Traffic {
        Traffic { over: Duration::from_secs(1), sent: ByteCount(sent), received: ByteCount(received) }
    }

    #[test]
    fn half_of_a_measured_capacity_in_either_direction_is_busy() {
        let capacity = Bandwidth::from_bytes_per_second(10_000);
        let busy = |sent, received| Load::default().note(at(0), &traffic(sent, received), capacity);
        assert!(!busy(4_999, 4_999));
        assert!(busy(5_000, 0) && busy(0, 5_000));
    }

    #[test]
    fn a_link_of_unknown_capacity_is_busy_above_a_fixed_rate() {
        let busy = |sent| Load::default().note(at(0), &traffic(sent, 0), Bandwidth::UNKNOWN);
        assert!(!busy(BUSY_UNKNOWN - 1));
        assert!(busy(BUSY_UNKNOWN));
    }

    #[test]
    fn it_stays_busy_until_the_next_report_is_overdue() {
        let mut load = Load::default();
        assert!(!load.covers(at(0)));
        load.note(at(1_000), &traffic(BUSY_UNKNOWN, 0), Bandwidth::UNKNOWN);
        assert!(load.covers(at(2_999)) && !load.covers(at(3_000)));
        load.note(at(2_000), &traffic(1, 0), Bandwidth::UNKNOWN);
        assert!(load.covers(at(2_999)), "the queue takes a while to drain");
        let long = Traffic { over: Duration::MAX, ..traffic(u64::MAX, 0) };
        assert!(!load.note(at(2_000), &long, Bandwidth::UNKNOWN));
        let none = Traffic { over: Duration::ZERO, ..traffic(u64::MAX, 0) };
        assert!(!load.note(at(2_000), &none, Bandwidth::UNKNOWN), "in no time nothing crosses");
    }
}
