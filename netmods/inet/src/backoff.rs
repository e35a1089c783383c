// SPDX-License-Identifier: AGPL-3.0-or-later
//! How long to wait before the next dial.

use core::time::Duration;

/// The first wait: a restarted peer is back within a second.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait (source: issue of the main job).
const CAP: Duration = Duration::from_secs(30);

/// Waits that grow by half from 0.5 s to 30 s, so that the gap never exceeds about half of the outage so far; up
/// to a quarter is taken off at random, so that peers of a restarted router do not all come at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// Starts over: the peer was there, or the network changed.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Goes to the longest wait: dialling again soon is no use.
    pub(crate) fn give_up(&mut self) {
        self.next = CAP;
    }

    /// The wait before the next dial; `random` decides on the jitter.
    pub(crate) fn wait(&mut self, random: u16) -> Duration {
        let full = self.next;
        self.next = (full * 3 / 2).min(CAP);
        full - full / 4 * u32::from(random) / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dial_comes_within_a_second_and_the_last_every_half_minute() {
        let mut backoff = Backoff::new();
        assert!(backoff.wait(0) < Duration::from_secs(1));
        for _ in 0..1000 {
            assert!(backoff.wait(0) <= CAP);
        }
        assert_eq!(backoff.wait(0), CAP);
        assert_eq!(backoff.wait(u16::MAX), CAP * 3 / 4);
        backoff.reset();
        assert_eq!(backoff.wait(0), FIRST);
        backoff.give_up();
        assert_eq!(backoff.wait(0), CAP);
    }

    #[test]
    fn after_three_seconds_of_outage_the_gap_is_below_two() {
        for random in [0, 1000, u16::MAX] {
            let mut backoff = Backoff::new();
            let mut outage = Duration::ZERO;
            while outage <= Duration::from_secs(3) {
                let gap = backoff.wait(random);
                assert!(gap < Duration::from_secs(2), "{gap:?} after {outage:?}");
                outage += gap;
            }
        }
    }
}
