// SPDX-License-Identifier: AGPL-3.0-or-later
//! Two runs with one seed are the same, byte for byte, whatever happens in them.

use core::time::Duration;

use ratman_sim::adversary::{Flooder, Liar, Replayer};
use ratman_sim::{CableId, Medium, Network, NodeId, Random, Signatures, Trace, topology};
use ratman_types::Bandwidth;

const ROUTERS: usize = 60;

fn run(seed: u64) -> Trace {
    let edges = topology::random_of_degree_four(ROUTERS, &mut Random::new(seed));
    let mut network = Network::laid_out(seed, Signatures::StandIn, ROUTERS, &edges, |random| Medium {
        jitter: Duration::from_millis(2),
        loss_per_million: 10_000,
        bandwidth: Bandwidth::from_bytes_per_second(1_000_000),
        ..Medium::with_delay(random.duration(Duration::from_millis(30)))
    });
    network.record();
    network.corrupt(NodeId(1), Box::new(Liar));
    network.corrupt(NodeId(2), Box::new(Replayer::default()));
    let random = Random::new(seed);
    network.corrupt(NodeId(3), Box::new(Flooder::new(2, Signatures::StandIn, random)));
    network.set_clock(NodeId(4), -240_000_000);
    for second in 0..8 {
        network.pull(CableId(second));
        let to = network.address(NodeId(second));
        network.send_probe(NodeId(30 + second), &to);
        network.run_for(Duration::from_millis(700));
        network.plug(CableId(second));
        network.run_for(Duration::from_millis(300));
    }
    network.trace().expect("recorded from the start")
}

#[test]
fn equal_seeds_give_equal_traces_and_others_do_not() {
    let first = run(7);
    assert!(first.happenings() > 50_000, "{first:?}");
    assert_eq!(run(7), first);
    assert_ne!(run(8), first);
}
