// SPDX-License-Identifier: AGPL-3.0-or-later
//! One router of the network and what its driver would hold: its clocks, its keys, its forwarding table.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use ratman_types::{Address, Hop, Mtu, Now, RouterId, Signer, Timestamp, WallTime};
use router_core::{DropReason, Event, Fib, Lookup, Router, RouterConfig};

use super::{Happening, Network, START};
use crate::Adversary;

/// When the routers' program was built: a day before they start.
const BUILT: WallTime = START.shifted(-86_400_000_000);

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
    config: RouterConfig,
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
    fn new(router: Router, config: RouterConfig, key: Arc<dyn Signer>, clock: Clock) -> Self {
        Self {
            fib: router.fib(),
            router,
            config,
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
    /// A router without links and addresses.
    pub fn add_router(&mut self, setup: Setup) -> NodeId {
        let id = NodeId(self.nodes.len());
        let key = self.signatures.key(&mut self.random);
        let booted = self.random.duration(Duration::from_secs(1_000_000));
        let mut config = RouterConfig::new(self.random.bytes(), BUILT);
        config.announce_interval = setup.announce_interval;
        config.max_addresses = setup.max_addresses;
        let clock = Clock { booted, wall_offset: setup.wall_offset };
        let router = self.start(config.clone(), &key, clock);
        self.nodes.push(Node::new(router, config, key, clock));
        self.settle(id);
        id
    }

    fn start(&mut self, config: RouterConfig, key: &Arc<dyn Signer>, clock: Clock) -> Router {
        let verifier = Arc::clone(&self.verifier.0);
        Router::new(config, Arc::clone(key), verifier, self.random.bytes(), clock.read(self.now))
    }

    /// Kills a router and starts it again with what is on its disk: keys, configuration, last origin times. Its links
    /// come up again at once.
    pub fn restart(&mut self, id: NodeId) {
        let node = &self.nodes[id.0];
        let (config, key, clock) = (node.config.clone(), Arc::clone(&node.key), node.clock);
        let router = self.start(config, &key, clock);
        let node = &mut self.nodes[id.0];
        (node.fib, node.router, node.wake) = (router.fib(), router, None);
        for local in core::mem::take(&mut node.locals).into_values() {
            self.adopt(id, local.key, local.last_origin_time);
        }
        for cable in self.cables_of(id) {
            self.take_down(cable);
            self.bring_up(cable);
        }
    }

    /// A new address on a router.
    pub fn add_address(&mut self, node: NodeId) -> Address {
        let key = self.signatures.key(&mut self.random);
        let address = key.address();
        self.adopt(node, key, WallTime::default());
        address
    }

    /// Moves an address to another router, with what an operator takes along: the key and the last origin time.
    ///
    /// # Panics
    /// If the address is not on `from`.
    pub fn move_address(&mut self, address: &Address, from: NodeId, to: NodeId) {
        let now = self.read_clock(from);
        let node = &mut self.nodes[from.0];
        let local = node.locals.remove(address).expect("the address is on the router that it leaves");
        node.router.remove_local(address, now);
        self.settle(from);
        self.adopt(to, local.key, local.last_origin_time);
    }

    fn adopt(&mut self, node: NodeId, key: Arc<dyn Signer>, last_origin_time: WallTime) {
        let now = self.read_clock(node);
        let of_node = &mut self.nodes[node.0];
        of_node.locals.insert(key.address(), Local { key: Arc::clone(&key), last_origin_time });
        of_node.router.add_local(key, last_origin_time, now);
        self.settle(node);
    }

    /// Moves a router's wall clock, to this many microseconds ahead of the right time.
    pub fn set_clock(&mut self, node: NodeId, wall_offset: i64) {
        self.nodes[node.0].clock.wall_offset = wall_offset;
    }

    /// Hands a router to an adversary.
    pub fn corrupt(&mut self, node: NodeId, adversary: Box<dyn Adversary>) {
        if let Some(interval) = adversary.interval() {
            self.queue.push(self.now + interval, Happening::Act { node });
        }
        self.nodes[node.0].adversary = Some(adversary);
    }

    /// A router, to be asked.
    pub fn router(&self, node: NodeId) -> &Router {
        &self.nodes[node.0].router
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
        self.neighbour(node, self.hop_in_use(node, to)?.link)
    }

    pub(super) fn hop_in_use(&self, node: NodeId, to: &Address) -> Option<Hop> {
        match self.nodes[node.0].fib.lookup(to, None) {
            Lookup::Via(via) => Some(via.hop),
            Lookup::Local | Lookup::OnlyWayBack | Lookup::NoRoute => None,
        }
    }

    /// The largest frame that a router takes the way to an address to carry.
    pub fn path_mtu(&self, node: NodeId, to: &Address) -> Option<Mtu> {
        match self.nodes[node.0].fib.lookup(to, None) {
            Lookup::Via(via) => Some(via.mtu),
            Lookup::Local | Lookup::OnlyWayBack | Lookup::NoRoute => None,
        }
    }
}
