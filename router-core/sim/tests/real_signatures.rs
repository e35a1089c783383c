// SPDX-License-Identifier: AGPL-3.0-or-later
//! The same with ed25519: fifty routers.

use core::time::Duration;

use ratman_sim::{CableId, Medium, Network, Random, Signatures, topology};
use router_core::DropReason;

#[test]
fn fifty_routers_with_real_signatures() {
    let edges = topology::random_of_degree_four(50, &mut Random::new(50));
    let mut network = Network::laid_out(50, Signatures::Ed25519, 50, &edges, |random| {
        Medium::with_delay(random.duration(Duration::from_millis(20)))
    });
    network.run_for(Duration::from_secs(4));
    assert_eq!(network.undelivered(), []);
    network.pull(CableId(7));
    network.run_for(Duration::from_secs(4));
    assert_eq!(network.undelivered(), []);
    for node in network.nodes() {
        assert_eq!(network.router(node).drops().get(DropReason::BadSignature), 0);
        assert!(network.router(node).counters().signatures_verified > 100);
    }
}
