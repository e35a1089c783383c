// SPDX-License-Identifier: AGPL-3.0-or-later
//! Carried frames on their way from the disk to a neighbour.

use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::Timestamp;

use super::takers::Place;

/// After this a frame counts as having left, although nobody said that it has it: only who stores frames says so.
const LEAVES_WITHIN: Duration = Duration::from_millis(100);

/// The frames on their way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Flights {
    frames: VecDeque<Flight>,
    bytes: usize,
}

#[derive(Debug)]
struct Flight {
    of: Place,
    at: Timestamp,
    bytes: usize,
}

impl Flights {
    /// How many bytes are on their way.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the next one has left.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.frames.front().map(|flight| flight.at + LEAVES_WITHIN)
    }

    /// A frame is on its way from now on.
    pub(super) fn push(&mut self, of: Place, bytes: usize, at: Timestamp) {
        self.frames.push_back(Flight { of, at, bytes });
        self.bytes += bytes;
    }

    /// Forgets those that have left.
    pub(super) fn let_leave(&mut self, now: Timestamp) {
        while let Some(flight) = self.frames.pop_front_if(|flight| now.since(flight.at) >= LEAVES_WITHIN) {
            self.bytes -= flight.bytes;
        }
    }

    /// A frame is there, or is gone.
    pub(super) fn end(&mut self, of: &Place) {
        if let Some(place) = self.frames.iter().position(|flight| flight.of == *of) {
            self.bytes -= self.frames.remove(place).map_or(0, |flight| flight.bytes);
        }
    }
}
