// SPDX-License-Identifier: AGPL-3.0-or-later
//! What running daemons may still do, and that it is enough for all that they do later.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::fs;
use std::time::Duration;

use irdest_lab::traffic::ping;
use irdest_lab::{Dials, Gateway, GatewayConfig, LinkEnd, ThreeRouters, TimeLimit};

const NOTHING: &str = "0000000000000000";
/// CAP_NET_ADMIN, bit 12 (capabilities(7)).
const NET_ADMIN: &str = "0000000000001000";

/// Asserts what each thread has: `kept`, which is all that a child could get, and what it does get.
fn assert_kept(gateway: &Gateway, kept: &str, passed_on: &str) {
    let folder = format!("/proc/{}/task", gateway.process_id().unwrap());
    let mut threads = 0;
    for thread in fs::read_dir(&folder).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let expected = [
            ("CapInh", passed_on),
            ("CapPrm", kept),
            ("CapEff", kept),
            ("CapBnd", kept),
            ("CapAmb", passed_on),
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

fn prepared() -> ThreeRouters {
    ThreeRouters::prepare(TimeLimit::within(Duration::from_secs(90)), Dials::Edges).unwrap()
}

#[test]
fn only_what_is_needed_is_kept_and_it_is_enough() {
    let mut routers = prepared();
    routers.a.start().unwrap();
    is_enough(routers, NOTHING);
}

#[test]
fn a_user_other_than_root_needs_no_more() {
    if !is_true_root() {
        println!("left out: only the true root can start a daemon as somebody else");
        return;
    }
    let mut routers = prepared();
    routers.a.start_as_nobody().unwrap();
    // What it lets do, it passes on: a child of nobody has nothing by itself.
    is_enough(routers, NET_ADMIN);
}

/// Whether root in here is root of the machine: then all users are there (user_namespaces(7)).
fn is_true_root() -> bool {
    let users = fs::read_to_string("/proc/self/uid_map").unwrap();
    users.split_whitespace().eq(["0", "0", "4294967295"])
}

/// A, which runs, does with what it has left all that a gateway does; then it ends.
fn is_enough(mut routers: ThreeRouters, passed_on: &str) {
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
    routers.r.start_as_ratmand().unwrap();
    routers.b.start().unwrap();
    routers.wait_for_routes().unwrap();
    assert_kept(&routers.a, NET_ADMIN, passed_on);
    assert_kept(&routers.r, NOTHING, NOTHING);

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
    assert_kept(&routers.a, NET_ADMIN, passed_on);

    routers.a.stop().unwrap();
    let tables = a.run("nft", &["list", "tables"], routers.limit()).unwrap();
    assert_eq!(tables, "", "it took away what it had made");
    let forwarding = a.run("cat", &["/proc/sys/net/ipv4/conf/lan0/forwarding"], routers.limit()).unwrap();
    assert_eq!(forwarding.trim(), "0");
}
