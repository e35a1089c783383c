// SPDX-License-Identifier: AGPL-3.0-or-later
//! Networks whose links are measured: the narrowest link of a way is known at its other end, the better of two links is
//! taken, kept under load, and left when the figures change.

use core::time::Duration;

use ratman_sim::{CableId, Medium, Network, NodeId, Random, Setup, Signatures, topology};
use ratman_types::{Bandwidth, ByteCount, Capacity, LinkSample, SampleSource, Timestamp, Traffic};

const SEEDS: u64 = 6;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn bandwidth(mbit: u32) -> Bandwidth {
    Bandwidth::from_bytes_per_second(mbit * 125_000)
}

/// What a source tells of a capacity.
fn capacity(bandwidth: Bandwidth) -> LinkSample {
    let capacity = Some(Capacity::Measured(bandwidth));
    LinkSample { capacity, ..LinkSample::new(Timestamp::default(), SampleSource::Train) }
}

/// Both ends of cables measure what they carry, in Mbit/s.
fn measure_all(network: &mut Network, cables: &[(usize, usize, u32)]) {
    for (cable, (a, b, mbit)) in cables.iter().enumerate() {
        for end in [a, b] {
            network.measure(CableId(cable), NodeId(*end), capacity(bandwidth(*mbit)));
        }
    }
}

/// What a router takes the way to another to carry.
fn known_bandwidth(network: &Network, from: usize, to: usize) -> Bandwidth {
    let to = network.address(NodeId(to));
    let selected = network.router(NodeId(from)).routes().find(|route| route.address == to && route.selected);
    selected.expect("a route").bandwidth
}

#[test]
fn the_narrowest_link_of_a_way_is_known_at_both_ends() {
    let mut network = Network::laid_out(1, Signatures::StandIn, 4, &topology::line(4), |_| {
        Medium::with_delay(micros(2_500))
    });
    network.run_for(secs(4));
    assert!(!known_bandwidth(&network, 0, 3).is_known(), "nobody measured anything");
    measure_all(&mut network, &[(0, 1, 50), (1, 2, 10), (2, 3, 30)]);
    network.run_for(secs(7));
    for (from, to, narrowest) in [(0, 3, 10), (3, 0, 10), (2, 3, 30), (1, 3, 10), (1, 0, 50)] {
        assert_eq!(known_bandwidth(&network, from, to), bandwidth(narrowest), "from {from} to {to}");
    }
    network.run_for(secs(20));
    measure_all(&mut network, &[(0, 1, 50), (1, 2, 100), (2, 3, 30)]);
    network.run_for(secs(7));
    assert_eq!(known_bandwidth(&network, 0, 3), bandwidth(30));
    assert_eq!(known_bandwidth(&network, 3, 0), bandwidth(30));
}

#[test]
fn the_wider_of_two_ways_is_taken_though_its_narrow_link_is_far_away() {
    let mut network = Network::new(2, Signatures::StandIn);
    for _ in 0..4 {
        let node = network.add_router(Setup::default());
        network.add_address(node);
    }
    let edges = [(0, 1, 2_500), (1, 3, 2_500), (0, 2, 2_500), (2, 3, 2_600)];
    for (a, b, delay) in edges {
        network.connect(NodeId(a), NodeId(b), Medium::with_delay(micros(delay)));
    }
    let (to, back) = (network.address(NodeId(3)), network.address(NodeId(0)));
    network.run_for(secs(40));
    measure_all(&mut network, &[(0, 1, 50), (1, 3, 10), (0, 2, 50), (2, 3, 50)]);
    network.run_for(secs(30));
    assert_eq!(network.next_hop(NodeId(0), &to), Some(NodeId(2)));
    assert_eq!(network.next_hop(NodeId(3), &back), Some(NodeId(2)));
    let routes = network.router(NodeId(0)).routes();
    let reasons: Vec<String> = routes.filter(|route| route.address == to).map(|route| route.reason).collect();
    let told = "within 10 %: bandwidth 50 Mbit/s against 10 Mbit/s";
    assert!(reasons.iter().any(|reason| reason.ends_with(told)), "{reasons:?}");
}

/// What one of two links is like.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// There and back, in microseconds.
    ping: u64,
    mbit: u32,
}

/// What crosses the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    /// Some pings.
    Light,
    /// As much as the link in use carries, with a queue in front of it.
    Bulk,
}

/// Two routers with two links between them, and what is measured there.
struct Pair {
    network: Network,
    links: [CableId; 2],
    figures: [Figures; 2],
    noise: Random,
    seconds: u64,
    /// When the link in use changed, for each of the routers.
    changes: [Vec<u64>; 2],
}

impl Pair {
    const NODES: [NodeId; 2] = [NodeId(0), NodeId(1)];

    fn new(seed: u64, figures: [Figures; 2]) -> Self {
        let mut network =
            Network::laid_out(seed, Signatures::StandIn, 2, &[], |_| Medium::with_delay(secs(0)));
        let links = figures
            .map(|link| network.connect(NodeId(0), NodeId(1), Medium::with_delay(micros(link.ping / 2))));
        let changes = [Vec::new(), Vec::new()];
        Self { network, links, figures, noise: Random::new(seed), seconds: 0, changes }
    }

    /// The link over which a router sends to the other.
    fn in_use(&self, side: usize) -> Option<usize> {
        let to = self.network.address(Self::NODES[1 - side]);
        let cable = self.network.cable_in_use(Self::NODES[side], &to);
        self.links.iter().position(|link| Some(*link) == cable)
    }

    fn run(&mut self, seconds: u64, load: Load) {
        for _ in 0..seconds {
            let before = [0, 1].map(|side| self.in_use(side));
            for _ in 0..10 {
                self.set_media(load);
                self.network.run_for(Duration::from_millis(100));
            }
            (0..2).for_each(|link| self.measure(link, load));
            self.seconds += 1;
            for (side, before) in before.into_iter().enumerate() {
                if before.is_some() && self.in_use(side) != before {
                    self.changes[side].push(self.seconds);
                }
            }
        }
    }

    /// The first router sends all of the load; its link has a queue of up to 50 ms.
    fn set_media(&mut self, load: Load) {
        for link in 0..2 {
            let ping = self.figures[link].ping;
            let noise = self.noise.below(ping / 20);
            let queue = if load == Load::Bulk && self.in_use(0) == Some(link) {
                5_000 + self.noise.below(45_000)
            } else {
                0
            };
            let delay = micros((ping + noise + queue) / 2);
            let medium = Medium { jitter: micros(100), ..Medium::with_delay(delay) };
            self.network.set_medium(self.links[link], medium);
        }
    }

    /// A link under load measures itself every second, an idle one by trains.
    fn measure(&mut self, link: usize, load: Load) {
        let busy = load == Load::Bulk && self.in_use(0) == Some(link);
        let truth = u64::from(bandwidth(self.figures[link].mbit).as_bytes_per_second());
        for (side, node) in Self::NODES.into_iter().enumerate() {
            let measured = truth * (970 + self.noise.below(61)) / 1_000;
            let measured = Bandwidth::from_bytes_per_second(u32::try_from(measured).expect("small figures"));
            let crossed = if busy { truth } else { 10_000 };
            let (sent, received) = if side == 0 { (crossed, crossed / 40) } else { (crossed / 40, crossed) };
            let traffic =
                Some(Traffic { over: secs(1), sent: ByteCount(sent), received: ByteCount(received) });
            let now = self.seconds.is_multiple_of(15) || busy && side == 0;
            let sample = LinkSample { traffic, ..capacity(measured) };
            let capacity = sample.capacity.filter(|_| now);
            self.network.measure(self.links[link], node, LinkSample { capacity, ..sample });
        }
    }

    /// Both routers use this link.
    fn assert_in_use(&self, link: usize, when: &str) {
        let in_use = [0, 1].map(|side| self.in_use(side));
        assert_eq!(in_use, [Some(link); 2], "{when}, {:?}", self.changes);
    }

    fn assert_no_flapping(&self) {
        for changes in &self.changes {
            assert!(changes.windows(2).all(|pair| pair[1] - pair[0] >= 30), "{changes:?}");
        }
    }
}

const NARROW: Figures = Figures { ping: 5_000, mbit: 10 };
const WIDE: Figures = Figures { ping: 5_200, mbit: 50 };
const SHORT: Figures = Figures { ping: 5_000, mbit: 50 };
const LONG: Figures = Figures { ping: 20_000, mbit: 50 };

/// The better link is in use after a while and stays so, whatever the load; when the figures are swapped, it is left
/// within 40 s.
fn better_is_used(figures: [Figures; 2], better: usize) {
    for seed in 0..SEEDS {
        for load in [Load::Light, Load::Bulk] {
            let mut pair = Pair::new(seed, figures);
            pair.run(70, Load::Light);
            pair.assert_in_use(better, "in the beginning");
            let settled = pair.changes.clone();
            pair.run(65, load);
            pair.assert_in_use(better, "after a minute of load");
            assert_eq!(pair.changes, settled, "seed {seed}, {load:?}: load moves nothing");
            pair.figures.swap(0, 1);
            pair.run(40, load);
            pair.assert_in_use(1 - better, "40 s after the swap");
            pair.run(100, load);
            pair.assert_in_use(1 - better, "for good");
            pair.assert_no_flapping();
        }
    }
}

#[test]
fn of_two_links_as_long_the_wider_is_used() {
    better_is_used([NARROW, WIDE], 1);
    better_is_used([WIDE, NARROW], 0);
}

#[test]
fn of_two_links_as_wide_the_shorter_is_used() {
    better_is_used([SHORT, LONG], 0);
    better_is_used([LONG, SHORT], 1);
}

#[test]
fn load_moves_nothing_between_equal_links_more_than_once() {
    for seed in 0..SEEDS {
        let mut pair = Pair::new(seed, [SHORT, SHORT]);
        pair.run(70, Load::Light);
        let settled = pair.changes.clone();
        pair.run(300, Load::Bulk);
        for (changes, settled) in pair.changes.iter().zip(&settled) {
            assert!(changes.len() <= settled.len() + 1, "seed {seed}: {changes:?}");
        }
    }
}
