// SPDX-License-Identifier: AGPL-3.0-or-later
//! One router of the network and what its driver would hold: its clocks, its keys, its forwarding table.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use ratman_types::{Address, Hop, Now, RouterId, Signer, Timestamp, WallTime};
use router_core::{DropReason, Event, Fib, Router};

use super::{Network, START};
use crate::{Adversary, Position};

/// Names a router of a network: the first one added is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// What is particular about a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// How far its wall clock is ahead of the right time, in microseconds (default: 0).
    pub wall_offset: i64,
    /// [`RouterConfig::announce_interval`](router_core::RouterConfig::announce_interval) (default: 2 s).
    pub announce_interval: Duration,
    /// [`RouterConfig::max_addresses`](router_core::RouterConfig::max_addresses) (default: 65 536).
    pub max_addresses: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self { wall_offset: 0, announce_interval: Duration::from_secs(2), max_addresses: 65_536 }
    }
}

/// A router's two clocks. Each boots at another time, so that no two boot-time clocks agree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) booted: Duration,
    pub(super) wall_offset: i64,
}

impl Clock {
    pub(super) fn read(&self, network: Timestamp) -> Now {
        let right = START + network.since(Timestamp::default());
        Now { at: network + self.booted, wall: right.shifted(self.wall_offset) }
    }

    pub(super) fn to_network(self, at: Timestamp) -> Timestamp {
        at - self.booted
    }
}

/// An address on a router.
pub(super) struct Local {
    pub(super) key: Arc<dyn Signer>,
    pub(super) last_origin_time: WallTime,
}

pub(super) struct Node {
    pub(super) router: Router,
    pub(super) key: Arc<dyn Signer>,
    pub(super) clock: Clock,
    pub(super) locals: BTreeMap<Address, Local>,
    pub(super) fib: Arc<Fib>,
    pub(super) wake: Option<Timestamp>,
    pub(super) watched: bool,
    pub(super) events: Vec<Event>,
    pub(super) drops: BTreeMap<DropReason, u64>,
    pub(super) adversary: Option<Box<dyn Adversary>>,
}

impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Node({})", self.key.router_id().short())
    }
}

impl Node {
    pub(super) fn new(router: Router, key: Arc<dyn Signer>, clock: Clock) -> Self {
        Self {
            fib: router.fib(),
            router,
            key,
            clock,
            locals: BTreeMap::new(),
            wake: None,
            watched: false,
            events: Vec::new(),
            drops: BTreeMap::new(),
            adversary: None,
        }
    }
}

impl Network {
    /// A router, to be asked.
    pub fn router(&self, node: NodeId) -> &Router {
        &self.nodes[node.0].router
    }

    /// The number of routers.
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no router.
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The id by which neighbours know a router.
    pub fn router_id(&self, node: NodeId) -> RouterId {
        self.nodes[node.0].key.router_id()
    }

    /// Every router.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// The only address on a router, or the smallest.
    ///
    /// # Panics
    /// If there is none.
    pub fn address(&self, node: NodeId) -> Address {
        *self.nodes[node.0].locals.first_key_value().expect("the router has an address").0
    }

    /// Keeps a router's events from now on.
    pub fn watch(&mut self, node: NodeId) {
        self.nodes[node.0].watched = true;
    }

    /// Every event of a watched router since this was last asked.
    pub fn take_events(&mut self, node: NodeId) -> Vec<Event> {
        core::mem::take(&mut self.nodes[node.0].events)
    }

    /// How often a router's data plane dropped a frame for this reason.
    pub fn data_drops(&self, node: NodeId, reason: DropReason) -> u64 {
        self.nodes[node.0].drops.get(&reason).copied().unwrap_or_default()
    }

    /// The neighbour to which a router sends frames for an address.
    pub fn next_hop(&self, node: NodeId, to: &Address) -> Option<NodeId> {
        match self.nodes[node.0].fib.lookup(to, None) {
            router_core::Lookup::Via(via) => self.neighbour(node, via.hop.link),
            router_core::Lookup::Local | router_core::Lookup::OnlyWayBack | router_core::Lookup::NoRoute => {
                None
            }
        }
    }

    /// What an adversary in place of this router knows.
    pub(super) fn position(&self, node: NodeId) -> Position {
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
}
