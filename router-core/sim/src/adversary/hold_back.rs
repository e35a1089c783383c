// SPDX-License-Identifier: AGPL-3.0-or-later
//! Keeps announcements and hands them on late, to look like the way to somebody who is long gone.

use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::{Address, Hop, Timestamp};

use super::{Adversary, Position, announcement_in};

const INTERVAL: Duration = Duration::from_millis(100);

/// From some time on sends every announcement of the victim later than its router would; the lag stays the same.
#[derive(Clone, Debug)]
pub struct HoldBack {
    victim: Address,
    begin: Duration,
    lag: Duration,
    began: Option<Timestamp>,
    kept: VecDeque<(Timestamp, Hop, Vec<u8>)>,
}

impl HoldBack {
    /// Lets `begin` pass before it holds anything back for `lag`.
    pub const fn new(victim: Address, begin: Duration, lag: Duration) -> Self {
        Self { victim, begin, lag, began: None, kept: VecDeque::new() }
    }
}

impl Adversary for HoldBack {
    fn outgoing(&mut self, position: &Position, hop: Hop, frame: Vec<u8>) -> Vec<(Hop, Vec<u8>)> {
        let now = position.now.at;
        let began = *self.began.get_or_insert(now + self.begin);
        match announcement_in(&frame) {
            Some((address, announcement)) if address == self.victim && now >= began => {
                // What takes the route back would spoil it.
                if announcement.peer.is_none_or(|peer| !peer.latency.is_retraction()) {
                    self.kept.push_back((now + self.lag, hop, frame));
                }
                Vec::new()
            }
            Some(_) | None => vec![(hop, frame)],
        }
    }

    fn act(&mut self, position: &Position) -> Vec<(Hop, Vec<u8>)> {
        let due = self.kept.partition_point(|(at, ..)| *at <= position.now.at);
        self.kept.drain(..due).map(|(_, hop, frame)| (hop, frame)).collect()
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }
}
