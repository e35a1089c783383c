// SPDX-License-Identifier: AGPL-3.0-or-later
//! What lies between two routers: how long frames take, how many are lost, how many fit.

use core::time::Duration;

use ratman_types::{Bandwidth, Mtu, Timestamp};
use router_core::Class;

use crate::Random;

/// The longest queue in front of a medium, by the time that it takes to drain; what does not fit is lost.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);

/// A point-to-point medium, the same in both directions. Frames keep their order, as over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medium {
    /// How long a frame takes at least.
    pub delay: Duration,
    /// How much longer it takes at most.
    pub jitter: Duration,
    /// How many of a million frames are lost.
    pub loss_per_million: u32,
    /// How fast frames enter; unknown is unlimited.
    pub bandwidth: Bandwidth,
    /// The largest frame.
    pub mtu: Mtu,
}

impl Medium {
    /// No jitter, no loss, no limit but inet's MTU.
    pub const fn with_delay(delay: Duration) -> Self {
        Self {
            delay,
            jitter: Duration::ZERO,
            loss_per_million: 0,
            bandwidth: Bandwidth::UNKNOWN,
            mtu: Mtu(33_004),
        }
    }
}

/// One direction of a medium.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Direction {
    free_at: Timestamp,
    last_arrival: Timestamp,
}

impl Direction {
    /// When a frame that is sent now arrives; nothing if it is lost.
    pub(crate) fn send(
        &mut self,
        medium: &Medium,
        class: Class,
        length: usize,
        now: Timestamp,
        random: &mut Random,
    ) -> Option<Timestamp> {
        if random.below(1_000_000) < medium.loss_per_million.into() {
            return None;
        }
        let start = match class {
            Class::Control => now,
            Class::Data => self.free_at.max(now),
        };
        if start.since(now) > LONGEST_QUEUE {
            return None;
        }
        let sent = start + sending_time(medium.bandwidth, length);
        self.free_at = self.free_at.max(sent);
        let arrival = sent + medium.delay + random.duration(medium.jitter);
        match class {
            Class::Control => Some(arrival),
            Class::Data => {
                self.last_arrival = self.last_arrival.max(arrival);
                Some(self.last_arrival)
            }
        }
    }
}

fn sending_time(bandwidth: Bandwidth, length: usize) -> Duration {
    let length = u64::try_from(length).expect("lengths fit 64 bits");
    let rate = u64::from(bandwidth.as_bytes_per_second());
    length.saturating_mul(1_000_000).checked_div(rate).map_or(Duration::ZERO, Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(millis * 1000)
    }

    #[test]
    fn frames_wait_for_those_before_them() {
        let medium = Medium {
            bandwidth: Bandwidth::from_bytes_per_second(100_000),
            ..Medium::with_delay(Duration::from_millis(10))
        };
        let mut direction = Direction::default();
        let mut random = Random::new(1);
        let mut send = |class| direction.send(&medium, class, 1_000, at(0), &mut random);
        assert_eq!(send(Class::Data), Some(at(20)));
        assert_eq!(send(Class::Data), Some(at(30)));
        assert_eq!(send(Class::Control), Some(at(20)), "control frames overtake");
        let accepted = (0..100).filter(|_| send(Class::Data).is_some()).count();
        assert_eq!(accepted, 49, "half a second of queue");
    }

    #[test]
    fn jitter_keeps_the_order_and_loss_its_rate() {
        let medium = Medium {
            jitter: Duration::from_millis(5),
            loss_per_million: 250_000,
            ..Medium::with_delay(Duration::from_millis(1))
        };
        let mut direction = Direction::default();
        let mut random = Random::new(1);
        let arrivals: Vec<_> = (0..1_000)
            .filter_map(|millis| direction.send(&medium, Class::Data, 9, at(millis), &mut random))
            .collect();
        assert!(arrivals.is_sorted());
        assert!((700..800).contains(&arrivals.len()), "{}", arrivals.len());
    }
}
