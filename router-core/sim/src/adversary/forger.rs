// SPDX-License-Identifier: AGPL-3.0-or-later
//! Announces an address whose key it does not have.

use core::time::Duration;

use ratman_types::{Address, Bandwidth, Hop, Signature};
use ratman_wire::announcement::{Announcement, PathLatency};

use super::{Adversary, CLAIMED_MTU, Position};

const INTERVAL: Duration = Duration::from_millis(50);

/// Sends its neighbours newer and newer announcements of the victim, each with another made-up origin signature.
#[derive(Clone, Copy, Debug)]
pub struct Forger {
    victim: Address,
    attempts: u64,
}

impl Forger {
    /// Twenty attempts a second on this address.
    pub const fn new(victim: Address) -> Self {
        Self { victim, attempts: 0 }
    }
}

impl Adversary for Forger {
    fn act(&mut self, position: &Position) -> Vec<(Hop, Vec<u8>)> {
        self.attempts += 1;
        let mut signature = [0x5A; 64];
        signature[..8].copy_from_slice(&self.attempts.to_be_bytes());
        let announcement = Announcement {
            origin_time: position.now.wall,
            origin_signature: Signature(signature),
            peer: None,
            available_bw: Bandwidth::UNKNOWN,
            available_mtu: CLAIMED_MTU,
        };
        let frame = position.announce(&self.victim, announcement, PathLatency(1));
        position.hops.iter().map(|(hop, _)| (*hop, frame.clone())).collect()
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }
}
