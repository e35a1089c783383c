// SPDX-License-Identifier: AGPL-3.0-or-later
//! The network: routers as values, cables between them, and one queue of everything that is yet to happen.

mod cable;
mod data_plane;
mod driver;
mod node;

use core::time::Duration;
use std::sync::Arc;

use ratman_types::{LinkId, Timestamp, Verifier, WallTime};

use crate::queue::Queue;
use crate::{Medium, Probe, Random, Signatures, Trace};
use cable::Cable;
pub use cable::CableId;
use node::Node;
pub use node::{NodeId, Setup};

/// When every simulation begins, on a clock that is right.
pub(crate) const START: WallTime = WallTime::from_micros(1_800_000_000_000_000);

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
            Happening::Close { link } => self.close(link),
            Happening::Redial { cable } => self.redial(cable),
        }
    }

    fn note(&mut self, id: NodeId, kind: &str, bytes: &[u8]) {
        if let Some(trace) = &mut self.trace {
            trace.note(self.now, id.0, kind, bytes);
        }
    }
}
