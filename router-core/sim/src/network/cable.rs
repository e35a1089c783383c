// SPDX-License-Identifier: AGPL-3.0-or-later
//! Cables: a medium between two routers that is plugged in or not. Each time it comes up it is a new link.

use core::time::Duration;

use ratman_types::{Address, Digest, Hop, LinkId, LinkSample, Mtu};
use router_core::{Class, LinkEvent};

use super::{Happening, Network, NodeId};
use crate::medium::Direction;
use crate::{Medium, probe};

/// How long a cable whose link a router closed stays down before it is dialed again.
const REDIAL: Duration = Duration::from_secs(1);
/// How often a driver tells how much crossed a link that session frames use.
const REPORT_INTERVAL: Duration = Duration::from_millis(25);

/// Names a cable of a network: the first one laid is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CableId(pub usize);

#[derive(Debug)]
pub(super) struct Cable {
    /// The first one dials.
    pub(super) ends: [NodeId; 2],
    pub(super) medium: Medium,
    pub(super) plugged: bool,
    pub(super) link: Option<LinkId>,
    pub(super) proofs: Digest,
    directions: [Direction; 2],
    totals: [Totals; 2],
}

/// What crossed a link since it came up, as the driver at one end counts it.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    sent_bytes: u64,
    received_frames: u64,
    report_planned: bool,
}

impl Cable {
    /// Which end a router holds.
    pub(super) fn side_of(&self, node: NodeId) -> Option<usize> {
        self.ends.iter().position(|end| *end == node)
    }
}

impl Network {
    /// Lays a cable and plugs it in.
    pub fn connect(&mut self, dialer: NodeId, listener: NodeId, medium: Medium) -> CableId {
        let id = CableId(self.cables.len());
        self.cables.push(Cable {
            ends: [dialer, listener],
            medium,
            plugged: false,
            link: None,
            proofs: Digest::from_bytes([0; 32]),
            directions: [Direction::default(); 2],
            totals: [Totals::default(); 2],
        });
        self.plug(id);
        id
    }

    /// Plugs a cable in: both routers learn of a new link at once. Nothing happens if it is plugged in.
    pub fn plug(&mut self, cable: CableId) {
        if !self.cables[cable.0].plugged {
            self.cables[cable.0].plugged = true;
            self.bring_up(cable);
        }
    }

    /// Pulls a cable out: both routers lose the link at once, and what is under way on it is lost.
    pub fn pull(&mut self, cable: CableId) {
        self.cables[cable.0].plugged = false;
        self.take_down(cable);
    }

    /// Changes what the cable is like; the routers are not told. A loss of 1 000 000 is a silent cut.
    pub fn set_medium(&mut self, cable: CableId, medium: Medium) {
        self.cables[cable.0].medium = medium;
    }

    /// Changes the largest frame of a cable; the routers at both ends are told.
    pub fn set_mtu(&mut self, cable: CableId, mtu: Mtu) {
        self.cables[cable.0].medium.mtu = mtu;
        for (side, end) in self.cables[cable.0].ends.into_iter().enumerate() {
            if let Some(hop) = self.hop(&self.cables[cable.0], side) {
                self.tell(end, LinkEvent::Mtu { hop, mtu });
            }
        }
    }

    /// Tells the router at one end of a cable what somebody measured of its link just now; nobody if the link is down.
    ///
    /// # Panics
    /// If the router is at no end of the cable.
    pub fn measure(&mut self, cable: CableId, node: NodeId, sample: LinkSample) {
        let at = self.read_clock(node).at;
        let cable = &self.cables[cable.0];
        let side = cable.side_of(node).expect("the router is at an end of the cable");
        if let Some(hop) = self.hop(cable, side) {
            self.tell(node, LinkEvent::Sample { hop, sample: LinkSample { at, ..sample } });
        }
    }

    /// The cable over which a router sends frames for an address.
    pub fn cable_in_use(&self, node: NodeId, to: &Address) -> Option<CableId> {
        self.hop_in_use(node, to).map(|hop| self.cable_id(hop.link))
    }

    /// Whether a cable's link is up; routers may have closed it.
    pub fn is_up(&self, cable: CableId) -> bool {
        self.cables[cable.0].link.is_some()
    }

    pub(super) fn bring_up(&mut self, id: CableId) {
        let link = LinkId(u32::try_from(self.links.len()).expect("simulations end before links run out"));
        self.links.push(id);
        let proofs = Digest::from_bytes(self.random.bytes());
        let cable = &mut self.cables[id.0];
        cable.link = Some(link);
        cable.proofs = proofs;
        cable.directions = [Direction::default(); 2];
        cable.totals = [Totals::default(); 2];
        let (ends, mtu) = (cable.ends, cable.medium.mtu);
        for (side, end) in ends.into_iter().enumerate() {
            if let Some(hop) = self.hop(&self.cables[id.0], side) {
                self.tell(end, LinkEvent::Up { hop, mtu, proofs, dialed: side == 0 });
            }
        }
    }

    pub(super) fn take_down(&mut self, id: CableId) {
        let ends = self.cables[id.0].ends;
        let hops = [0, 1].map(|side| self.hop(&self.cables[id.0], side));
        self.cables[id.0].link = None;
        for (end, hop) in ends.into_iter().zip(hops) {
            if let Some(hop) = hop {
                self.tell(end, LinkEvent::Down { hop });
            }
        }
    }

    /// The cables of a router whose links are up.
    pub(super) fn cables_of(&self, node: NodeId) -> Vec<CableId> {
        let up = |cable: &Cable| cable.link.is_some() && cable.side_of(node).is_some();
        (0..self.cables.len()).map(CableId).filter(|id| up(&self.cables[id.0])).collect()
    }

    /// A router gave a link up.
    pub(super) fn close(&mut self, link: LinkId) {
        let cable = self.cable_id(link);
        if self.cables[cable.0].link == Some(link) {
            self.take_down(cable);
            self.queue.push(self.now + REDIAL, Happening::Redial { cable });
        }
    }

    pub(super) fn redial(&mut self, cable: CableId) {
        if self.cables[cable.0].plugged && self.cables[cable.0].link.is_none() {
            self.bring_up(cable);
        }
    }

    /// A link as the router at one end of its cable sees it, while it is up.
    pub(super) fn hop(&self, cable: &Cable, side: usize) -> Option<Hop> {
        let neighbour = self.router_id(cable.ends[1 - side]);
        cable.link.map(|link| Hop { link, neighbour })
    }

    /// The router at the far end of a link that is up.
    pub(super) fn neighbour(&self, node: NodeId, link: LinkId) -> Option<NodeId> {
        let cable = &self.cables[self.cable_id(link).0];
        let side = cable.side_of(node)?;
        (cable.link == Some(link)).then_some(cable.ends[1 - side])
    }

    /// The cable of a link, whether the link is up or not.
    pub(super) fn cable_of(&mut self, link: LinkId) -> &mut Cable {
        let id = self.cable_id(link);
        &mut self.cables[id.0]
    }

    pub(super) fn cable_id(&self, link: LinkId) -> CableId {
        self.links[usize::try_from(link.0).expect("indices fit a machine word")]
    }

    /// Sends a frame; whatever a link that is gone would carry is lost.
    pub(super) fn put_on_link(&mut self, node: NodeId, link: LinkId, class: Class, frame: Vec<u8>) {
        let (now, id) = (self.now, self.cable_id(link));
        let cable = &mut self.cables[id.0];
        let side = cable.side_of(node).expect("routers send over their own links");
        if cable.link != Some(link) {
            return self.lose(&frame);
        }
        cable.totals[side].sent_bytes += u64::try_from(frame.len()).expect("lengths fit 64 bits");
        let arrival = cable.directions[side].send(&cable.medium, class, frame.len(), now, &mut self.random);
        let node = cable.ends[1 - side];
        match arrival {
            Some(at) => self.queue.push(at, Happening::Arrival { node, link, frame }),
            None => self.lose(&frame),
        }
    }

    pub(super) fn count_arrival(&mut self, node: NodeId, link: LinkId) {
        let cable = self.cable_of(link);
        if let Some(side) = cable.side_of(node) {
            cable.totals[side].received_frames += 1;
        }
    }

    /// A session frame leaves over a link: its router will be told.
    pub(super) fn plan_report(&mut self, node: NodeId, link: LinkId) {
        let at = self.now + REPORT_INTERVAL;
        let cable = self.cable_of(link);
        let Some(side) = cable.side_of(node) else { return };
        if !core::mem::replace(&mut cable.totals[side].report_planned, true) {
            self.queue.push(at, Happening::Report { node, link });
        }
    }

    pub(super) fn report(&mut self, node: NodeId, link: LinkId) {
        let id = self.cable_id(link);
        let cable = &mut self.cables[id.0];
        let Some(side) = cable.side_of(node).filter(|_| cable.link == Some(link)) else { return };
        cable.totals[side].report_planned = false;
        let Totals { sent_bytes, received_frames, .. } = cable.totals[side];
        if let Some(hop) = self.hop(&self.cables[id.0], side) {
            self.tell(node, LinkEvent::Activity { hop, sent_bytes, received_frames, acked_bytes: None });
        }
    }

    pub(super) fn lose(&mut self, frame: &[u8]) {
        if let Some(id) = probe::decode(frame) {
            self.end_probe(id, probe::Fate::Lost);
        }
    }
}
