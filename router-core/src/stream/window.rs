// SPDX-License-Identifier: AGPL-3.0-or-later
//! How much of a stream may be on its way to its recipient: a window that keeps a path busy and its queues short.
//!
//! Streams are what may wait: they yield to whatever is being spoken or typed beside them. So the window goes by the delay that it
//! makes itself and not by losses alone (LEDBAT, RFC 6817, over round trips instead of one-way delays, since
//! no clocks are compared here). Knows no frames: bytes and round trips come in, bytes come out.

use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::Timestamp;

/// Before anything is known: ten frames of 32 KiB, as TCP begins with ten segments (RFC 6928).
const INITIAL: u64 = 10 * 32 * 1024;
/// The least: two frames of any size, so that one is on its way while the other is confirmed.
const LEAST: u64 = 2 * 33_004;
/// The most: 1 Gbit/s over 130 ms. A sender keeps as much at hand to send it again.
const MOST: u64 = 16 * 1024 * 1024;
/// The queueing delay that the window aims at; RFC 6817 allows 100 ms, of which people notice a quarter already.
const TARGET: Duration = Duration::from_millis(25);
/// The shortest round trip is that of the last minutes, one entry for each (RFC 6817, `BASE_HISTORY`).
const MINUTES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// What the window grows by at most in a round trip, once it has grown fast: RFC 6817's one segment, here a frame.
const STEP: u64 = 32 * 1024;

/// The window of one stream to one recipient.
#[derive(Clone, Debug)]
pub struct Window {
    bytes: u64,
    /// Whether it still doubles in each round trip.
    starting: bool,
    /// The shortest round trip of each of the last minutes, with when the minute began; the newest last.
    shortest: VecDeque<(Timestamp, Duration)>,
    /// The latest round trip, which says for how long a loss counts once.
    latest: Duration,
    /// When it was made smaller for a loss.
    reduced: Option<Timestamp>,
}

/// Of a path of which nothing is known.
impl Default for Window {
    fn default() -> Self {
        Self {
            bytes: INITIAL,
            starting: true,
            shortest: VecDeque::new(),
            latest: Duration::ZERO,
            reduced: None,
        }
    }
}

impl Window {
    /// Below how many bytes on their way another frame may follow.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The latest round trip; zero before the first.
    pub const fn round_trip(&self) -> Duration {
        self.latest
    }

    /// `bytes` more have arrived, and the newest of them took `round_trip` there and its confirmation back, while the
    /// window was in use; one that the sender does not fill says nothing about what the path carries.
    pub fn confirmed(&mut self, bytes: u64, round_trip: Duration, in_use: bool, now: Timestamp) {
        self.latest = round_trip;
        let queue = round_trip.saturating_sub(self.note_shortest(round_trip, now));
        if !in_use && queue <= TARGET {
            return;
        }
        // As long as half of the target is not reached: the delay of the next round trip is twice this one's.
        if self.starting && queue * 2 <= TARGET {
            self.set(self.bytes.saturating_add(bytes));
            return;
        }
        self.starting = false;
        let share = micros(bytes.min(self.bytes), queue);
        if queue <= TARGET {
            let up = (u128::from(bytes.min(self.bytes)) * TARGET.as_micros()).saturating_sub(share)
                / TARGET.as_micros();
            self.set(self.bytes + scaled(up, STEP, self.bytes));
        } else {
            // In proportion to what is too much, at most to half in a round trip.
            let over = share.saturating_sub(u128::from(bytes.min(self.bytes)) * TARGET.as_micros());
            let down =
                u64::try_from(over / TARGET.as_micros()).unwrap_or(u64::MAX).min(bytes.min(self.bytes)) / 2;
            self.set(self.bytes - down);
        }
    }

    /// Something on its way was lost: half as much, once in a round trip (RFC 5681).
    pub fn lost(&mut self, now: Timestamp) {
        self.starting = false;
        if self.reduced.is_none_or(|at| now.since(at) > self.latest) {
            self.reduced = Some(now);
            self.set(self.bytes / 2);
        }
    }

    /// Nothing was heard for so long that all may be lost: the least, and fast growth from there (RFC 5681).
    pub fn silent(&mut self) {
        self.starting = true;
        self.set(LEAST);
    }

    fn set(&mut self, bytes: u64) {
        self.bytes = bytes.clamp(LEAST, MOST);
    }

    /// The shortest round trip of the last minutes, this one included.
    fn note_shortest(&mut self, round_trip: Duration, now: Timestamp) -> Duration {
        match self.shortest.back_mut() {
            Some((began, shortest)) if now.since(*began) < MINUTE => *shortest = (*shortest).min(round_trip),
            _ => {
                self.shortest.push_back((now, round_trip));
                if self.shortest.len() > MINUTES {
                    self.shortest.pop_front();
                }
            }
        }
        self.shortest.iter().map(|(_, shortest)| *shortest).min().unwrap_or(round_trip)
    }
}

fn micros(bytes: u64, time: Duration) -> u128 {
    u128::from(bytes) * time.as_micros()
}

/// `value × by ÷ of`.
fn scaled(value: u128, by: u64, of: u64) -> u64 {
    u64::try_from(value * u128::from(by) / u128::from(of.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
