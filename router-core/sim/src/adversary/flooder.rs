// SPDX-License-Identifier: AGPL-3.0-or-later
//! Makes up addresses, which cost nothing, to fill others' tables.

use core::time::Duration;

use ratman_types::{Bandwidth, Hop};
use ratman_wire::announcement::{Announcement, PathLatency, origin_signed_bytes};

use super::{Adversary, CLAIMED_MTU, Position};
use crate::{Random, Signatures};

const INTERVAL: Duration = Duration::from_millis(100);

/// Announces ever new addresses, rightly signed, to all its neighbours.
#[derive(Debug)]
pub struct Flooder {
    per_interval: u32,
    signatures: Signatures,
    random: Random,
}

impl Flooder {
    /// Makes ten times as many addresses a second as this.
    pub const fn new(per_100_ms: u32, signatures: Signatures, random: Random) -> Self {
        Self { per_interval: per_100_ms, signatures, random }
    }
}

impl Adversary for Flooder {
    fn act(&mut self, position: &Position) -> Vec<(Hop, Vec<u8>)> {
        let mut frames = Vec::new();
        for _ in 0..self.per_interval {
            let key = self.signatures.key(&mut self.random);
            let (address, origin_time) = (key.address(), position.now.wall);
            let announcement = Announcement {
                origin_time,
                origin_signature: key.sign(&origin_signed_bytes(&address, origin_time)),
                peer: None,
                available_bw: Bandwidth::UNKNOWN,
                available_mtu: CLAIMED_MTU,
            };
            let frame = position.announce(&address, announcement, PathLatency(1));
            frames.extend(position.hops.iter().map(|(hop, _)| (*hop, frame.clone())));
        }
        frames
    }

    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }
}
