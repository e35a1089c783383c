// SPDX-License-Identifier: AGPL-3.0-or-later
//! The daemon as nobody with the capabilities of the unit, all of them ambient; `privileges.rs` tells what it keeps of them.

use irdest_lab::traffic::ping;
use irdest_lab::{GatewayConfig, ThreeRouters};

use crate::scene::{b, complete, is_true_root, prepared};

/// How the reasons begin for which a daemon may have no probes here; with any other the probes are broken.
const EXCUSES: [&str; 2] =
    ["this program was built without the probes", "not permitted to load the probes: "];

/// A with a network behind it, for both families.
fn with_a_network(routers: &ThreeRouters) -> GatewayConfig {
    GatewayConfig {
        peers: vec!["inet:192.0.2.2:5860".into()],
        routes: vec![("10.66.2.0/24".into(), routers.b.identity().address.clone())],
        tun: Some(vec![format!("{}/24", ThreeRouters::A_ADDRESS)]),
        extra: "forward = { interfaces = [\"to-r\"], nat = true }".into(),
        ..GatewayConfig::default()
    }
}

#[test]
fn nobody_has_probes_and_takes_over_what_a_killed_daemon_left() {
    if !is_true_root() {
        println!("left out: only the true root can start a daemon as somebody else");
        return;
    }
    let mut routers = prepared();
    routers.a.configure(&with_a_network(&routers)).unwrap();
    routers.a.start_as_nobody().unwrap();
    complete(&mut routers);
    let a = routers.a.node().clone();
    let probed = || {
        let links = routers.a.links().unwrap();
        let excused = links
            .probes
            .reason
            .as_ref()
            .is_some_and(|reason| EXCUSES.iter().any(|one| reason.starts_with(one)));
        excused || links.links.iter().all(|link| link.probes == "attached")
    };
    routers.limit().wait_until("probes on the link", probed).unwrap();
    if let Some(reason) = routers.a.links().unwrap().probes.reason {
        println!("no probes: {reason}");
    }
    let sysctls = ["net/ipv4/conf/to-r/forwarding", "net/ipv6/conf/to-r/force_forwarding"];
    let value = |name: &str| a.run("cat", &[&format!("/proc/sys/{name}")], a.limit()).ok();
    let set = sysctls.map(value);
    assert_eq!(set[0].as_deref(), Some("1\n"));
    // Linux 6.17 and later.
    assert!(set[1].as_deref().is_none_or(|value| value == "1\n"));

    // Routes, rules, filters and sysctls are there when the next one comes, the device is not.
    routers.a.kill().unwrap();
    routers.a.start_as_nobody().unwrap();
    routers.wait_for_routes().unwrap();
    ping(&a, b(), 3, routers.limit()).unwrap();
    assert!(routers.a.status().unwrap().warnings.is_empty());
    assert!(!routers.a.log().contains("ERROR"), "{}", routers.a.log());

    routers.a.stop().unwrap();
    assert_eq!(a.run("nft", &["list", "tables"], a.limit()).unwrap(), "");
    assert_eq!(value(sysctls[0]).as_deref(), Some("0\n"));
    assert!(!a.ip(&["rule"]).unwrap().contains("26994"));
}
