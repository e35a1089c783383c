// SPDX-License-Identifier: AGPL-3.0-or-later
//! Claims to be next to everybody, to draw traffic.

use ratman_types::Hop;
use ratman_wire::announcement::PathLatency;

use super::{Adversary, Position, announcement_in};

/// Puts path latency 0 into every announcement that its router floods, and gives it to all neighbours, the one included
/// that it came from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Liar;

impl Adversary for Liar {
    fn outgoing(&mut self, position: &Position, hop: Hop, frame: Vec<u8>) -> Vec<(Hop, Vec<u8>)> {
        let Some((address, announcement)) = announcement_in(&frame) else {
            return vec![(hop, frame)];
        };
        let lie = position.announce(&address, announcement, PathLatency(0));
        position.hops.iter().map(|(hop, _)| (*hop, lie.clone())).collect()
    }
}
