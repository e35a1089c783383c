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
/// The same and CAP_PERFMON and CAP_BPF, bits 38 and 39: all that the unit gives.
const UNIT: &str = "000000c000001000";

/// Capability sets of a daemon, as in `/proc`.
#[derive(Clone, Copy)]
struct Kept {
    kept: &'static str,
    /// All that a child could ever get.
    bound: &'static str,
    /// What a child does get.
    passed_on: &'static str,
}

const ROUTER: Kept = Kept { kept: NOTHING, bound: NOTHING, passed_on: NOTHING };
const ROOT: Kept = Kept { kept: NET_ADMIN, bound: NET_ADMIN, passed_on: NOTHING };
/// What it lets do, it passes on, as a child of nobody has nothing by itself; nobody can change what bounds it.
const NOBODY: Kept = Kept { kept: NET_ADMIN, bound: UNIT, passed_on: NET_ADMIN };

/// Asserts what each thread has.
fn assert_kept(gateway: &Gateway, Kept { kept, bound, passed_on }: Kept) {
    let folder = format!("/proc/{}/task", gateway.process_id().unwrap());
    let mut threads = 0;
    for thread in fs::read_dir(&folder).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let expected = [
            ("CapInh", passed_on),
            ("CapPrm", kept),
            ("CapEff", kept),
            ("CapBnd", bound),
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
    is_enough(routers, ROOT);
}

#[test]
fn a_user_other_than_root_needs_no_more() {
    if !is_true_root() {
        println!("left out: only the true root can start a daemon as somebody else");
        return;
    }
    let mut routers = prepared();
    routers.a.start_as_nobody().unwrap();
    is_enough(routers, NOBODY);
}

/// Whether root in here is root of the machine: then all users are there (user_namespaces(7)).
fn is_true_root() -> bool {
    let users = fs::read_to_string("/proc/self/uid_map").unwrap();
    users.split_whitespace().eq(["0", "0", "4294967295"])
}

/// A, which runs, does with what it has left all that a gateway does; then it ends.
fn is_enough(mut routers: ThreeRouters, kept: Kept) {
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
    // Attached to interfaces that come, they would need CAP_NET_ADMIN.
    let without_probes = GatewayConfig { extra: "probes.enabled = false".into(), ..GatewayConfig::default() };
    routers.r.configure(&without_probes).unwrap();
    routers.r.start_as_ratmand().unwrap();
    routers.b.start().unwrap();
    routers.wait_for_routes().unwrap();
    assert_kept(&routers.a, kept);
    assert_kept(&routers.r, ROUTER);

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
    assert_kept(&routers.a, kept);

    routers.a.stop().unwrap();
    let tables = a.run("nft", &["list", "tables"], routers.limit()).unwrap();
    assert_eq!(tables, "", "it took away what it had made");
    let forwarding = a.run("cat", &["/proc/sys/net/ipv4/conf/lan0/forwarding"], routers.limit()).unwrap();
    assert_eq!(forwarding.trim(), "0");
}
