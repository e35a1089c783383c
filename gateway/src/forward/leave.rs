// SPDX-License-Identifier: AGPL-3.0-or-later
//! Leaving a link that gives nothing back: what it took and its neighbour has not acknowledged, and what still waits for
//! it, goes by the ways that the router has chosen instead.

use netmod_api::{FrameParts, Outbox};
use ratman_types::{Address, Hop, LinkId, Recipient, RouterId, Timestamp};
use ratman_wire::Frame;
use router_core::{Fib, Lookup, Via};

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
    /// Sends what is left at `hop`, whose `outbox` this is, by other hops; what has no other way than back to where it came
    /// from, or none that carries it whole and has room, stays where it is. The forwarding table leads elsewhere already.
    pub fn leave(&self, hop: Hop, outbox: &dyn Outbox, now: Timestamp) -> Saved {
        let (ways, mut saved) = (self.ways.load(), Saved::default());
        // The oldest first: what waits is younger.
        outbox.unacknowledged(&mut |frame| {
            if let Some(egress) = way_of(&ways, frame, hop, None) {
                saved.unacknowledged +=
                    egress.send_frames(OURS, &[FrameParts::whole(frame)], self.sealer(), now);
            }
        });
        if let Some(left) = ways.egress(hop) {
            saved.waiting = left.leave(&mut |left| self.send_elsewhere(&ways, hop, left, now), now);
        }
        saved
    }

    /// Whether another way took it.
    fn send_elsewhere(&self, ways: &Snapshot, hop: Hop, left: Left<'_>, now: Timestamp) -> bool {
        match left {
            Left::Packets(packets) => {
                let via = way_to(ways.fib(), &packets.remote, None).filter(|via| via.hop.link != hop.link);
                let egress = via.and_then(|via| ways.egress(via.hop));
                let (Some(egress), Some(sealer)) = (egress, self.sealer()) else { return false };
                if egress.send_packets(packets, sealer, now) {
                    egress.writable(Some(sealer), now);
                }
                true
            }
            Left::Frame { group, frame } => {
                // What was not acknowledged at another link waits among ours, whoever sent it.
                let from = (group != OURS).then_some(LinkId(group));
                let Some(egress) = way_of(ways, frame, hop, from) else { return false };
                egress.send_frames(group, &[FrameParts::whole(frame)], self.sealer(), now) > 0
            }
        }
    }
}

/// The way on for a frame that leads neither over the link of `left` nor back, and on which it is not too big; none for
/// what is no frame for one address. Unacknowledged bytes do not tell which link a frame came `from`.
fn way_of<'a>(ways: &'a Snapshot, frame: &[u8], left: Hop, from: Option<LinkId>) -> Option<&'a Egress> {
    let header = Frame::decode(frame).ok()?.header;
    let to = match header.recipient? {
        Recipient::Address(address) => address,
        Recipient::Namespace(_) => return None,
    };
    let (fib, sender) = (ways.fib(), header.sender_address());
    let via = match from {
        Some(link) => way_to(fib, &to, behind(fib, link, [&to, &sender])).filter(|via| via.hop.link != link),
        None if fib.lookup(&sender, None) == Lookup::Local => way_to(fib, &to, None),
        // It was sent to this neighbour, hence did not come from it; any other may be the one that it came from.
        None => way_to(fib, &to, None).filter(|via| via.hop.neighbour == left.neighbour),
    };
    let via = via.filter(|via| via.hop.link != left.link)?;
    let egress = ways.egress(via.hop)?;
    let fits = u32::try_from(frame.len()).is_ok_and(|length| length <= via.mtu.min(egress.mtu()).0);
    fits.then_some(egress)
}

/// The neighbour behind a link, if the way to one of these addresses leads over it.
fn behind(fib: &Fib, link: LinkId, ends: [&Address; 2]) -> Option<RouterId> {
    let mut hops = ends.into_iter().filter_map(|end| way_to(fib, end, None)).map(|via| via.hop);
    hops.find(|hop| hop.link == link).map(|hop| hop.neighbour)
}

fn way_to(fib: &Fib, address: &Address, not_to: Option<RouterId>) -> Option<Via> {
    match fib.lookup(address, not_to) {
        Lookup::Via(via) => Some(via),
        Lookup::Local | Lookup::OnlyWayBack | Lookup::NoRoute => None,
    }
}
