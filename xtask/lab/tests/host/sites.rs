// SPDX-License-Identifier: AGPL-3.0-or-later
//! Networks behind gateways: site to site without NAT, and a site that appears as one address.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use irdest_lab::traffic::Mirror;
use irdest_lab::{Gateway, GatewayConfig, Node, Sites, TimeLimit};

const PORT: u16 = 8080;

/// A port that no rule opens.
const CLOSED: u16 = 8081;

const H: [&str; 2] = ["10.1.0.2", "fd01::2"];
const K: [&str; 2] = ["10.2.0.2", "fd02::2"];

fn prepared() -> Sites {
    let sites = Sites::prepare(TimeLimit::within(Duration::from_secs(90))).unwrap();
    for host in [&sites.h, &sites.k] {
        Mirror::start(host, &[PORT, CLOSED]).unwrap();
    }
    sites
}

/// A gateway with a network behind it that takes connections to one port there.
fn site(
    base: GatewayConfig,
    prefixes: [&str; 2],
    nat: bool,
    remote: &[&str],
    via: &Gateway,
) -> GatewayConfig {
    let extra = format!(
        "[forward]\ninterfaces = [\"lan0\"]\nnat = {nat}\n[firewall]\naccept = [{{ from = \"configured\", \
         protocol = \"tcp\", ports = [{PORT}], to = {prefixes:?} }}]\n"
    );
    let via = &via.identity().address;
    let routes = remote.iter().map(|prefix| ((*prefix).to_owned(), via.clone())).collect();
    GatewayConfig { routes, extra, ..base }
}

fn ask(from: &Node, target: &str, port: u16) -> std::io::Result<IpAddr> {
    Mirror::ask(from, SocketAddr::new(target.parse().unwrap(), port))
}

#[test]
fn two_networks_reach_each_other_as_they_are() {
    let mut sites = prepared();
    let (lan_a, lan_b) = (["10.1.0.0/24", "fd01::/64"], ["10.2.0.0/24", "fd02::/64"]);
    sites.a.configure(&site(Sites::config_of_a(), lan_a, false, &lan_b, &sites.b)).unwrap();
    sites.b.configure(&site(Sites::config_of_b(), lan_b, false, &lan_a, &sites.a)).unwrap();
    sites.start().unwrap();
    for (from, own, to) in [(&sites.h, H, K), (&sites.k, K, H)] {
        for (own, to) in own.into_iter().zip(to) {
            assert_eq!(ask(from, to, PORT).unwrap().to_string(), own, "to {to}");
            let closed = ask(from, to, CLOSED).map_err(|error| error.kind());
            assert!(closed.is_err() && closed != Err(ErrorKind::ConnectionRefused), "{to}: {closed:?}");
        }
    }
    let rule = |gateway: &Gateway| gateway.status().unwrap().rule("accept 1").unwrap().accepted;
    assert_eq!((rule(&sites.a), rule(&sites.b)), (2, 2));
}

#[test]
fn a_network_behind_nat_appears_as_its_gateway() {
    let mut sites = prepared();
    let (lan_a, lan_b) = (["10.1.0.0/24", "fd01::/64"], ["10.2.0.0/24", "fd02::/64"]);
    sites.a.configure(&site(Sites::config_of_a(), lan_a, true, &lan_b, &sites.b)).unwrap();
    let b = site(Sites::config_of_b(), lan_b, false, &["10.66.1.0/24"], &sites.a);
    sites.b.configure(&b).unwrap();
    sites.start().unwrap();
    let addresses_of_a = [Sites::A_ADDRESS.to_owned(), sites.a.identity().overlay.to_string()];
    for (to, seen) in K.into_iter().zip(addresses_of_a) {
        assert_eq!(ask(&sites.h, to, PORT).unwrap().to_string(), seen, "to {to}");
    }
}
