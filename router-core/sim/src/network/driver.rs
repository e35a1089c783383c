// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a driver does for its router: hands in frames, link events and time, takes out frames and events.

use std::sync::Arc;

use ratman_types::{Hop, Now};
use router_core::{Class, Event, LinkEvent};

use super::{Happening, Network, NodeId};
use crate::Position;

/// More wake-ups at one instant than this are a router that does not get on.
const MOST_WAKES_AT_ONCE: u32 = 10_000;

impl Network {
    /// A frame for the router and not for the data plane.
    pub(super) fn hear(&mut self, id: NodeId, from: Hop, frame: &[u8]) {
        let now = self.read_clock(id);
        self.nodes[id.0].router.handle_frame(from, frame, now.at, now);
        self.settle(id);
    }

    /// A deadline of the router's.
    pub(super) fn wake(&mut self, id: NodeId) {
        let now = self.read_clock(id);
        let node = &mut self.nodes[id.0];
        if node.wake != Some(self.now) {
            return;
        }
        self.wakes_at_once += 1;
        assert!(self.wakes_at_once < MOST_WAKES_AT_ONCE, "{:?} does not get on", node.router.poll_timeout());
        node.wake = None;
        node.router.handle_timeout(now);
        self.note(id, "wake", &[]);
        self.settle(id);
    }

    /// An adversary's turn.
    pub(super) fn act(&mut self, id: NodeId) {
        let position = self.position(id);
        let Some(adversary) = &mut self.nodes[id.0].adversary else {
            return;
        };
        let frames = adversary.act(&position);
        if let Some(interval) = adversary.interval() {
            self.queue.push(self.now + interval, Happening::Act { node: id });
        }
        for (hop, frame) in frames {
            self.put_on_link(id, hop.link, Class::Data, frame);
        }
    }

    /// Takes out of a router what came of its last input, until nothing more comes.
    pub(super) fn settle(&mut self, id: NodeId) {
        loop {
            while let Some(transmit) = self.nodes[id.0].router.poll_transmit() {
                self.transmit(id, transmit.hop, transmit.class, transmit.frame);
            }
            let Some(event) = self.nodes[id.0].router.poll_event() else { break };
            self.notice(id, event);
        }
        let node = &mut self.nodes[id.0];
        let Some((deadline, _)) = node.router.poll_timeout() else {
            return;
        };
        let deadline = node.clock.to_network(deadline).max(self.now);
        if node.wake.is_none_or(|planned| deadline < planned) {
            node.wake = Some(deadline);
            self.queue.push(deadline, Happening::Wake { node: id });
        }
    }

    fn notice(&mut self, id: NodeId, event: Event) {
        if self.trace.is_some() {
            self.note(id, "event", format!("{event:?}").as_bytes());
        }
        let now = self.read_clock(id);
        let node = &mut self.nodes[id.0];
        match &event {
            Event::FibChanged => node.fib = node.router.fib(),
            Event::OriginTime { address, time } => {
                if let Some(local) = node.locals.get_mut(address) {
                    local.last_origin_time = *time;
                }
                node.router.handle_origin_time_stored(address, *time, now);
            }
            Event::CloseLink { hop, .. } => {
                self.queue.push(self.now, Happening::Close { link: hop.link });
            }
            Event::RouteChanged { .. }
            | Event::Learned { .. }
            | Event::Forgotten { .. }
            | Event::Carrier { .. }
            | Event::Resync
            | Event::LinkStalled { .. }
            | Event::Custody { .. }
            | Event::ClockSkew { .. }
            | Event::ClockSetBack { .. }
            | Event::KeyUsedTwice { .. }
            | Event::Neighbours
            | Event::OriginTimeDiscarded { .. } => {}
        }
        let node = &mut self.nodes[id.0];
        if node.watched {
            node.events.push(event);
        }
    }

    /// Something happened to a link.
    pub(super) fn tell(&mut self, id: NodeId, event: LinkEvent) {
        let now = self.read_clock(id);
        self.nodes[id.0].router.handle_link(event, now);
        self.settle(id);
    }

    /// A router sends a frame of its own; an adversary in its place may change or swallow it.
    fn transmit(&mut self, id: NodeId, hop: Hop, class: Class, frame: Vec<u8>) {
        if self.nodes[id.0].adversary.is_none() {
            return self.put_on_link(id, hop.link, class, frame);
        }
        let position = self.position(id);
        let Some(adversary) = &mut self.nodes[id.0].adversary else { return };
        for (hop, frame) in adversary.outgoing(&position, hop, frame) {
            self.put_on_link(id, hop.link, class, frame);
        }
    }

    /// What an adversary in place of this router knows.
    fn position(&self, node: NodeId) -> Position {
        let hops = self
            .cables
            .iter()
            .filter_map(|cable| {
                let side = cable.side_of(node)?;
                let hop: Hop = self.hop(cable, side)?;
                Some((hop, cable.proofs))
            })
            .collect();
        Position { key: Arc::clone(&self.nodes[node.0].key), hops, now: self.read_clock(node) }
    }

    pub(super) fn read_clock(&self, id: NodeId) -> Now {
        self.nodes[id.0].clock.read(self.now)
    }
}
