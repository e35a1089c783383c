// SPDX-License-Identifier: AGPL-3.0-or-later
//! What each router's data plane does with a frame, and the probes that show it.

use ratman_types::{Address, Hop, LinkId};
use router_core::{Class, DropReason, Forward, Lookup, forward};

use super::{Network, NodeId};
use crate::probe::{self, Fate, Probe, ProbeId, Walk};

/// A walk of more links than this has not been stopped by the hop limit.
const LONGEST_WALK: usize = 100;

impl Network {
    /// Sends a session frame from an address of `from` to `to` over the media.
    ///
    /// # Panics
    /// If there is no address on `from`.
    pub fn send_probe(&mut self, from: NodeId, to: &Address) -> ProbeId {
        let id = ProbeId(self.probes.len());
        self.probes.push(Probe { fate: Fate::UnderWay, hops: 0 });
        match self.first_hop(from, to) {
            Ok(hop) => {
                let frame = self.session_frame(from, to, id);
                self.carry(from, hop, frame);
            }
            Err(fate) => self.end_probe(id, fate),
        }
        id
    }

    /// What became of a probe.
    pub fn probe(&self, id: ProbeId) -> Probe {
        self.probes[id.0]
    }

    /// The way of a session frame by the forwarding tables as they stand, without passing time.
    ///
    /// # Panics
    /// If there is no address on `from`, or if the frame is not stopped by the hop limit.
    pub fn walk(&self, from: NodeId, to: &Address) -> Walk {
        let mut way = vec![from];
        let mut next = match self.first_hop(from, to) {
            Ok(hop) => hop,
            Err(fate) => return Walk { fate, way },
        };
        let mut frame = self.session_frame(from, to, ProbeId(0));
        let mut at = from;
        loop {
            let Some((node, hop)) = self.across(at, next) else {
                return Walk { fate: Fate::Lost, way };
            };
            way.push(node);
            assert!(way.len() <= LONGEST_WALK, "the hop limit does not stop a frame: {way:?}");
            match forward(&self.nodes[node.0].fib, hop, &mut frame) {
                Forward::Send { hop } => (at, next) = (node, hop),
                Forward::Local => return Walk { fate: Fate::Delivered, way },
                Forward::Drop(reason) => return Walk { fate: Fate::Dropped { by: node, reason }, way },
                Forward::Control | Forward::Stream => unreachable!("session frames are the data plane's"),
            }
        }
    }

    /// The walks from every router to every address that do not arrive, if nothing changed from now on.
    pub fn undelivered(&self) -> Vec<(NodeId, NodeId, Walk)> {
        let pairs = self.nodes().flat_map(|from| self.nodes().map(move |to| (from, to)));
        pairs
            .map(|(from, to)| (from, to, self.walk(from, &self.address(to))))
            .filter(|(_, _, walk)| walk.fate != Fate::Delivered)
            .collect()
    }

    /// Where the frames of a local application leave.
    fn first_hop(&self, from: NodeId, to: &Address) -> Result<Hop, Fate> {
        match self.nodes[from.0].fib.lookup(to, None) {
            Lookup::Local => Err(Fate::Delivered),
            Lookup::Via(via) => Ok(via.hop),
            Lookup::OnlyWayBack | Lookup::NoRoute => {
                Err(Fate::Dropped { by: from, reason: DropReason::NoRoute })
            }
        }
    }

    fn session_frame(&self, from: NodeId, to: &Address, id: ProbeId) -> Vec<u8> {
        let sender = self.address(from);
        probe::encode(sender, *to, self.router(from).initial_hops(&sender), id)
    }

    /// The router behind a hop, and the same link as that one sees it.
    fn across(&self, from: NodeId, hop: Hop) -> Option<(NodeId, Hop)> {
        let node = self.neighbour(from, hop.link)?;
        Some((node, Hop { link: hop.link, neighbour: self.router_id(from) }))
    }

    /// A frame reaches a router: its data plane decides.
    pub(super) fn arrive(&mut self, id: NodeId, link: LinkId, mut frame: Vec<u8>) {
        let Some(neighbour) = self.neighbour(id, link) else {
            return self.lose(&frame);
        };
        self.note(id, "frame", &frame);
        self.count_arrival(id, link);
        let hop = Hop { link, neighbour: self.router_id(neighbour) };
        match forward(&self.nodes[id.0].fib, hop, &mut frame) {
            // There are no streams here: the router counts what is not its own.
            Forward::Control | Forward::Stream => self.hear(id, hop, &frame),
            Forward::Send { hop } => self.carry(id, hop, frame),
            Forward::Local => self.end_probe_of(&frame, Fate::Delivered),
            Forward::Drop(reason) => {
                *self.nodes[id.0].drops.entry(reason).or_default() += 1;
                self.end_probe_of(&frame, Fate::Dropped { by: id, reason });
            }
        }
    }

    /// A session frame goes one hop further.
    fn carry(&mut self, from: NodeId, hop: Hop, frame: Vec<u8>) {
        if let Some(id) = probe::decode(&frame) {
            self.probes[id.0].hops += 1;
        }
        self.plan_report(from, hop.link);
        self.put_on_link(from, hop.link, Class::Data, frame);
    }

    fn end_probe_of(&mut self, frame: &[u8], fate: Fate) {
        if let Some(id) = probe::decode(frame) {
            self.end_probe(id, fate);
        }
    }

    pub(super) fn end_probe(&mut self, id: ProbeId, fate: Fate) {
        if let Some(probe) = self.probes.get_mut(id.0) {
            probe.fate = fate;
        }
    }
}
