// SPDX-License-Identifier: AGPL-3.0-or-later
//! What running daemons may still do, and that it is enough for all that they do later.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use std::fs;
use std::time::Duration;

use irdest_lab::traffic::ping;
use irdest_lab::{Dials, Gateway, GatewayConfig, LinkEnd, ThreeRouters, TimeLimit};

const NOTHING: &str = "0000000000000000";
/// CAP_NET_ADMIN, bit 12 (capabilities(7)).
const NET_ADMIN: &str = "0000000000001000";

/// Asserts what each thread of a root daemon has: `kept`, which is all that a child could get.
fn assert_kept(gateway: &Gateway, kept: &str) {
    let folder = format!("/proc/{}/task", gateway.process_id().unwrap());
    let mut threads = 0;
    for thread in fs::read_dir(&folder).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let expected = [
            ("CapInh", NOTHING),
            ("CapPrm", kept),
            ("CapEff", kept),
            ("CapBnd", kept),
            ("CapAmb", NOTHING),
            ("NoNewPrivs", "1"),
        ];
        for (field, value) in expected {
            let line = format!("{field}:\t{value}");
            assert!(status.lines().any(|other| other == line), "{line} in {folder}:\n{status}");
        }
        threads += 1;
    }
    assert!(threads > 1, "the data path has threads of its own");
}

#[test]
fn only_what_is_needed_is_kept_and_it_is_enough() {
    let mut routers =
        ThreeRouters::prepare(TimeLimit::within(Duration::from_secs(90)), Dials::Edges).unwrap();
    let lan = routers.lab().node("lan").unwrap();
    let a = routers.a.node().clone();
    routers
        .lab()
        .link(
            LinkEnd { node: &lan, device: "eth0", addresses: &["10.5.0.2/24"] },
            LinkEnd { node: &a, device: "lan0", addresses: &["10.5.0.1/24"] },
        )
        .unwrap();
    lan.ip(&["route", "add", "default", "via", "10.5.0.1"]).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    assert_kept(&routers.a, NET_ADMIN);
    assert_kept(&routers.r, NOTHING);

    // Only now sysctls are set, and a table of nftables, by a child process.
    let config = GatewayConfig {
        peers: vec!["inet:192.0.2.2:5860".into()],
        routes: vec![("10.66.2.0/24".into(), routers.b.identity().address.clone())],
        tun: Some(vec![format!("{}/24", ThreeRouters::A_ADDRESS)]),
        extra: "forward = { interfaces = [\"lan0\"], nat = true }".into(),
        ..GatewayConfig::default()
    };
    routers.a.configure(&config).unwrap();
    let said = routers.a.reload().unwrap();
    assert!(said.contains("INFO"), "{said}");
    ping(&lan, ThreeRouters::B_ADDRESS.parse().unwrap(), 3, routers.limit()).unwrap();
    assert_kept(&routers.a, NET_ADMIN);

    routers.a.stop().unwrap();
    let tables = a.run("nft", &["list", "tables"], routers.limit()).unwrap();
    assert_eq!(tables, "", "it took away what it had made");
    let forwarding = a.run("cat", &["/proc/sys/net/ipv4/conf/lan0/forwarding"], routers.limit()).unwrap();
    assert_eq!(forwarding.trim(), "0");
}
