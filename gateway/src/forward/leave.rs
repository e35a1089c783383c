// SPDX-License-Identifier: AGPL-3.0-or-later
//! Leaving a link that gives nothing back: what it took and its neighbour has not acknowledged, and what still waits for
//! it, goes by the ways that the router has chosen instead.

use netmod_api::{FrameParts, Outbox};
use ratman_types::{Address, Hop, Recipient, Timestamp};
use ratman_wire::Frame;
use router_core::Lookup;

use super::Forwarder;
use crate::egress::{Egress, Left, OURS};
use crate::ways::Snapshot;

/// How much went another way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Frames that the link had taken; those that arrived after all arrive twice, and the remote opens them once.
    pub unacknowledged: usize,
    /// Packets and frames that waited for it.
    pub waiting: usize,
}

impl Forwarder {
    /// Sends what is left at `hop`, whose `outbox` this is, by other hops; what has no other way stays where it is. The
    /// forwarding table leads elsewhere already.
    pub fn leave(&self, hop: Hop, outbox: &dyn Outbox, now: Timestamp) -> Saved {
        let (ways, mut saved) = (self.ways.load(), Saved::default());
        // The oldest first: what waits is younger.
        outbox.unacknowledged(&mut |frame| {
            if let Some(egress) = way_of(&ways, frame, hop) {
                saved.unacknowledged +=
                    egress.send_frames(OURS, &[FrameParts::whole(frame)], self.sealer(), now);
            }
        });
        if let Some(left) = ways.egress(hop) {
            saved.waiting = left.leave(&mut |left| self.send_elsewhere(&ways, hop, left, now), now);
        }
        saved
    }

    /// Whether there is another way.
    fn send_elsewhere(&self, ways: &Snapshot, hop: Hop, left: Left<'_>, now: Timestamp) -> bool {
        match left {
            Left::Packets(packets) => {
                let (Some(egress), Some(sealer)) = (way_to(ways, &packets.remote, hop), self.sealer()) else {
                    return false;
                };
                if egress.send_packets(packets, sealer, now) {
                    egress.writable(Some(sealer), now);
                }
                true
            }
            Left::Frame { group, frame } => {
                let Some(egress) = way_of(ways, frame, hop) else { return false };
                egress.send_frames(group, &[FrameParts::whole(frame)], self.sealer(), now);
                true
            }
        }
    }
}

/// The way on for a frame that does not lead over `hop`; none for what is no frame for one address.
fn way_of<'a>(ways: &'a Snapshot, frame: &[u8], hop: Hop) -> Option<&'a Egress> {
    match Frame::decode(frame).ok()?.header.recipient? {
        Recipient::Address(address) => way_to(ways, &address, hop),
        Recipient::Namespace(_) => None,
    }
}

fn way_to<'a>(ways: &'a Snapshot, address: &Address, hop: Hop) -> Option<&'a Egress> {
    match ways.fib().lookup(address, None) {
        Lookup::Via(via) if via.hop != hop => ways.egress(via.hop).map(|egress| &**egress),
        Lookup::Via(_) | Lookup::Local | Lookup::OnlyWayBack | Lookup::NoRoute => None,
    }
}
