// SPDX-License-Identifier: AGPL-3.0-or-later
//! The network: routers as values, cables between them, and one queue of everything that is yet to happen.

mod cable;
mod data_plane;
mod node;

use core::time::Duration;
use std::sync::Arc;

use ratman_types::{Address, Hop, LinkId, Now, Signer, Timestamp, Verifier, WallTime};
use router_core::{Class, Event, LinkEvent, Router, RouterConfig};

use crate::queue::Queue;
use crate::{Adversary, Medium, Probe, Random, Signatures, Trace};
use cable::Cable;
pub use cable::CableId;
use node::Node;
pub use node::{NodeId, Setup};

/// When every simulation begins, on a clock that is right; also the build time of its routers is a day before.
pub(crate) const START: WallTime = WallTime::from_micros(1_800_000_000_000_000);
/// How long a cable that a router closed stays down before it is dialed again.
const REDIAL: Duration = Duration::from_secs(1);
/// More wake-ups of one router at one instant than this are a loop.
const MOST_WAKES_AT_ONCE: u32 = 10_000;

/// What is yet to happen.
#[derive(Debug)]
enum Happening {
    /// A frame reaches the far end of a link.
    Arrival { node: NodeId, link: LinkId, frame: Vec<u8> },
    /// The driver tells a router how much crossed a link.
    Report { node: NodeId, link: LinkId },
    /// A router's deadline.
    Wake { node: NodeId },
    /// An adversary's turn to act by itself.
    Act { node: NodeId },
    /// A router gave a link up.
    Close { link: LinkId },
    /// A cable that a router closed is dialed again.
    Redial { cable: CableId },
}

/// A network of routers in virtual time.
#[derive(Debug)]
pub struct Network {
    now: Timestamp,
    queue: Queue<Happening>,
    random: Random,
    signatures: Signatures,
    verifier: Verifying,
    nodes: Vec<Node>,
    cables: Vec<Cable>,
    // The cable of every link that there ever was; a link's number is its index.
    links: Vec<CableId>,
    probes: Vec<Probe>,
    trace: Option<Trace>,
    wakes_at_once: u32,
}

/// A verifier, with the `Debug` that the trait does not ask for.
struct Verifying(Arc<dyn Verifier>);

impl core::fmt::Debug for Verifying {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Verifying")
    }
}

impl Network {
    /// An empty network; equal seeds and calls give equal runs.
    pub fn new(seed: u64, signatures: Signatures) -> Self {
        Self {
            now: Timestamp::default(),
            queue: Queue::default(),
            random: Random::new(seed),
            signatures,
            verifier: Verifying(signatures.verifier()),
            nodes: Vec::new(),
            cables: Vec::new(),
            links: Vec::new(),
            probes: Vec::new(),
            trace: None,
            wakes_at_once: 0,
        }
    }

    /// A network of so many routers, each with one address, and a cable for each edge; [`NodeId`]s and [`CableId`]s
    /// are the indices.
    pub fn laid_out(
        seed: u64,
        signatures: Signatures,
        nodes: usize,
        edges: &[(usize, usize)],
        mut medium: impl FnMut(&mut Random) -> Medium,
    ) -> Self {
        let mut network = Self::new(seed, signatures);
        for _ in 0..nodes {
            let node = network.add_router(Setup::default());
            network.add_address(node);
        }
        for (a, b) in edges {
            let medium = medium(&mut network.random);
            network.connect(NodeId(*a), NodeId(*b), medium);
        }
        network
    }

    /// Keeps a trace of everything from now on; costs about as much as everything else.
    pub fn record(&mut self) {
        self.trace = Some(Trace::default());
    }

    /// The trace, if it is recorded.
    pub const fn trace(&self) -> Option<Trace> {
        self.trace
    }

    /// The time since the network was made.
    pub const fn elapsed(&self) -> Duration {
        self.now.since(Timestamp::from_micros(0))
    }

    /// The source of chance, for the choices of a test.
    pub const fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// A router without links and addresses.
    pub fn add_router(&mut self, setup: Setup) -> NodeId {
        let id = NodeId(self.nodes.len());
        let key = self.signatures.key(&mut self.random);
        let booted = self.random.duration(Duration::from_secs(1_000_000));
        let mut config = RouterConfig::new(self.random.bytes(), START.shifted(-86_400_000_000));
        config.announce_interval = setup.announce_interval;
        config.max_addresses = setup.max_addresses;
        let clock = node::Clock { booted, wall_offset: setup.wall_offset };
        let verifier = Arc::clone(&self.verifier.0);
        let router =
            Router::new(config, Arc::clone(&key), verifier, self.random.bytes(), clock.read(self.now));
        self.nodes.push(Node::new(router, key, clock));
        self.settle(id);
        id
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
        of_node.locals.insert(key.address(), node::Local { key: Arc::clone(&key), last_origin_time });
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

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some((at, happening)) = self.queue.pop_until(end) {
            if at > self.now {
                self.wakes_at_once = 0;
            }
            self.now = at;
            self.happen(happening);
        }
        self.now = end;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival { node, link, frame } => self.arrive(node, link, frame),
            Happening::Report { node, link } => self.report(node, link),
            Happening::Wake { node } => self.wake(node),
            Happening::Act { node } => self.act(node),
            Happening::Close { link } => {
                let cable = self.cable_id(link);
                if self.cables[cable.0].link == Some(link) {
                    self.take_down(cable);
                    self.queue.push(self.now + REDIAL, Happening::Redial { cable });
                }
            }
            Happening::Redial { cable } => {
                if self.cables[cable.0].plugged && self.cables[cable.0].link.is_none() {
                    self.bring_up(cable);
                }
            }
        }
    }

    fn wake(&mut self, id: NodeId) {
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

    fn act(&mut self, id: NodeId) {
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
    fn settle(&mut self, id: NodeId) {
        while let Some(transmit) = self.nodes[id.0].router.poll_transmit() {
            self.transmit(id, transmit.hop, transmit.class, transmit.frame);
        }
        while let Some(event) = self.nodes[id.0].router.poll_event() {
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
        let node = &mut self.nodes[id.0];
        match &event {
            Event::FibChanged => node.fib = node.router.fib(),
            Event::OriginTime { address, time } => {
                if let Some(local) = node.locals.get_mut(address) {
                    local.last_origin_time = *time;
                }
            }
            Event::CloseLink { hop, .. } => {
                self.queue.push(self.now, Happening::Close { link: hop.link });
            }
            Event::RouteChanged { .. }
            | Event::Learned { .. }
            | Event::Forgotten { .. }
            | Event::ClockSkew { .. }
            | Event::KeyUsedTwice { .. }
            | Event::OriginTimeDiscarded { .. } => {}
        }
        let node = &mut self.nodes[id.0];
        if node.watched {
            node.events.push(event);
        }
    }

    fn tell(&mut self, id: NodeId, event: LinkEvent) {
        let now = self.read_clock(id);
        self.nodes[id.0].router.handle_link(event, now);
        self.settle(id);
    }

    fn note(&mut self, id: NodeId, kind: &str, bytes: &[u8]) {
        if let Some(trace) = &mut self.trace {
            trace.note(self.now, id.0, kind, bytes);
        }
    }

    fn read_clock(&self, id: NodeId) -> Now {
        self.nodes[id.0].clock.read(self.now)
    }

    fn hop(&self, cable: &Cable, side: usize) -> Option<Hop> {
        let neighbour = self.nodes[cable.ends[1 - side].0].key.router_id();
        cable.link.map(|link| Hop { link, neighbour })
    }
}
