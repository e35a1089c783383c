// SPDX-License-Identifier: AGPL-3.0-or-later
//! Says everything again and again.

use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::Hop;

use super::{Adversary, Position};

const INTERVAL: Duration = Duration::from_millis(500);
const KEPT: usize = 200;

/// Repeats the last 200 frames of its router twice a second, each on the link where it was sent.
#[derive(Clone, Debug, Default)]
pub struct Replayer {
    kept: VecDeque<(Hop, Vec<u8>)>,
}

impl Adversary for Replayer {
    fn outgoing(&mut self, _position: &Position, hop: Hop, frame: Vec<u8>) -> Vec<(Hop, Vec<u8>)> {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((hop, frame.clone()));
        vec![(hop, frame)]
    }

    fn act(&mut self, _position: &Position) -> Vec<(Hop, Vec<u8>)> {
        self.kept.iter().cloned().collect()
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }
}
