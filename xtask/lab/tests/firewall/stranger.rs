// SPDX-License-Identifier: AGPL-3.0-or-later
//! A third gateway of the same mesh that nobody has configured.

use irdest_lab::traffic::{Mirror, ping};
use irdest_lab::{GatewayConfig, Sites, Watch};

use crate::scene::{accept, opens, prepared};

const SERVICE: u16 = 8080;

#[test]
fn a_stranger_reaches_no_service_of_a_gateway_nor_one_behind_it() {
    let lan = "to = [\"10.1.0.0/24\", \"fd01::/64\"]";
    let rules = [
        accept("service", &format!("remote = \"configured\", ports = [{SERVICE}], {lan}")),
        accept("self", &format!("remote = \"bob\", ports = [{SERVICE}]")),
    ];
    let mut sites = prepared(&rules, "");
    let a = &sites.a.identity().address;
    let routes = ["10.1.0.0/24", "10.66.1.0/24", "fd01::/64"].map(|prefix| (prefix.to_owned(), a.clone()));
    let config = GatewayConfig { routes: routes.to_vec(), ..GatewayConfig::default() };
    let mut x = sites.stranger(config).unwrap();
    Mirror::start(&sites.h, &[SERVICE]).unwrap();
    Mirror::start(sites.a.node(), &[SERVICE]).unwrap();
    sites.start().unwrap();
    x.start().unwrap();
    sites.wait_for_route(&x, &sites.a).unwrap();
    sites.wait_for_route(&sites.a, &x).unwrap();

    let overlay = sites.a.identity().overlay;
    ping(x.node(), overlay.into(), 1, sites.limit()).unwrap();
    let watch = Watch::start(sites.a.node(), &[("to_the_lan", "oifname \"lan0\" tcp dport 8080")]).unwrap();
    // Its IPv4 packets have an address that is not its own: they fail before any rule.
    x.node().ip(&["address", "add", "10.66.2.9/32", "dev", "irdest0"]).unwrap();
    let targets =
        ["fd01::2".to_owned(), "10.1.0.2".to_owned(), Sites::A_ADDRESS.to_owned(), overlay.to_string()];
    for target in &targets {
        assert!(!opens(x.node(), target, SERVICE), "{target}");
    }
    assert_eq!(watch.count("to_the_lan").unwrap(), 0);
    let status = sites.a.status().unwrap();
    assert!(status.drops("inbound_connection") > 0 && status.drops("source_not_allowed") > 0);
    assert!(status.rules.iter().all(|rule| rule.accepted == 0), "{:?}", status.rules);

    for target in [Sites::H_ADDRESS, Sites::A_ADDRESS] {
        assert!(opens(sites.b.node(), target, SERVICE), "B is known: {target}");
    }
    assert!(watch.count("to_the_lan").unwrap() > 0, "the service's packets are counted there");
}
