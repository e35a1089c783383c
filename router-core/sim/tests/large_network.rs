// SPDX-License-Identifier: AGPL-3.0-or-later
//! Five hundred routers in a random graph of degree four: everybody is reached, cuts are healed around, and no frame
//! goes in circles meanwhile.

use core::time::Duration;

use ratman_sim::{CableId, Fate, Medium, Network, NodeId, ProbeId, Random, Signatures, topology};
use router_core::DropReason;

const ROUTERS: usize = 500;

fn medium(random: &mut Random) -> Medium {
    let delay = Duration::from_millis(1) + random.duration(Duration::from_millis(20));
    Medium { jitter: Duration::from_micros(500), ..Medium::with_delay(delay) }
}

/// Probes from one router to another, for many pairs.
fn send_probes(network: &mut Network, count: usize) -> Vec<ProbeId> {
    (0..count)
        .map(|_| {
            let from = NodeId(network.random().index(ROUTERS));
            let to = NodeId(network.random().index(ROUTERS));
            let to = network.address(to);
            network.send_probe(from, &to)
        })
        .collect()
}

#[test]
fn everybody_reaches_everybody_and_cuts_are_healed_around() {
    #[expect(clippy::disallowed_methods, reason = "the limit is one of real time")]
    let began = std::time::Instant::now();
    let edges = topology::random_of_degree_four(ROUTERS, &mut Random::new(500));
    let mut network = Network::laid_out(1, Signatures::StandIn, ROUTERS, &edges, medium);
    network.run_for(Duration::from_millis(1_500));
    assert_eq!(network.undelivered(), []);

    network.pull(CableId(0));
    network.set_medium(CableId(1), Medium { loss_per_million: 1_000_000, ..medium(&mut Random::new(1)) });
    let mut probes = Vec::new();
    for _ in 0..35 {
        probes.extend(send_probes(&mut network, 20));
        network.run_for(Duration::from_millis(100));
    }
    assert_eq!(network.undelivered(), []);
    network.run_for(Duration::from_millis(300));

    let fates: Vec<Fate> = probes.iter().map(|probe| network.probe(*probe).fate).collect();
    let delivered = fates.iter().filter(|fate| **fate == Fate::Delivered).count();
    assert!(delivered >= 690, "{delivered} of 700 probes arrived: {fates:?}");
    assert!(probes.iter().all(|probe| network.probe(*probe).hops <= 64));
    let circled: u64 = network.nodes().map(|node| network.data_drops(node, DropReason::HopLimit)).sum();
    assert_eq!(circled, 0, "frames that went in circles until the hop limit");
    let took = began.elapsed();
    println!("{ROUTERS} routers took {took:?}");
    // A limit of real time belongs to a machine that does nothing else: `cargo xtask test --long`.
    if std::env::var("IRDEST_LONG").is_ok_and(|long| long == "1") {
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
}
