// SPDX-License-Identifier: AGPL-3.0-or-later
//! A behind its firewall, and B that A knows by a prefix and under the name `bob`.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use irdest_lab::traffic::Mirror;
use irdest_lab::{Gateway, GatewayConfig, Node, Sites, TimeLimit};

/// Prepares A with these rules and further tables; B knows the way to A's TUN device and to its network.
pub(crate) fn prepared(rules: &[String], tables: &str) -> Sites {
    let sites = Sites::prepare(TimeLimit::within(Duration::from_secs(100))).unwrap();
    configure(&sites, rules, tables);
    configure_b(&sites, "");
    sites
}

/// Gives A other rules and tables, to hold from its start.
pub(crate) fn configure(sites: &Sites, rules: &[String], tables: &str) {
    let b = &sites.b.identity().address;
    let rules: String = rules.iter().map(|rule| format!("  {{ {rule} }},\n")).collect();
    let extra = format!(
        "[contacts]\nbob = \"{b}\"\n[forward]\ninterfaces = [\"lan0\"]\n[firewall]\nrules = [\n{rules}]\n{tables}"
    );
    let routes = vec![("10.66.2.0/24".to_owned(), b.clone())];
    sites.a.configure(&GatewayConfig { routes, extra, ..Sites::config_of_a() }).unwrap();
}

/// Gives B further tables.
pub(crate) fn configure_b(sites: &Sites, tables: &str) {
    let to_a = |prefix: &str| (prefix.to_owned(), sites.a.identity().address.clone());
    let routes = vec![to_a("10.66.1.0/24"), to_a("10.1.0.0/24")];
    sites.b.configure(&GatewayConfig { routes, extra: tables.to_owned(), ..Sites::config_of_b() }).unwrap();
}

/// As [`prepared`], with running daemons.
pub(crate) fn running(rules: &[String], tables: &str) -> Sites {
    let mut sites = prepared(rules, tables);
    sites.start().unwrap();
    sites
}

/// A rule that accepts, with what else it says.
pub(crate) fn accept(name: &str, rest: &str) -> String {
    format!("name = \"{name}\", action = \"accept\", {rest}")
}

/// Whether a TCP connection is answered at all.
pub(crate) fn opens(from: &Node, target: &str, port: u16) -> bool {
    tcp(from, target, port).is_ok()
}

pub(crate) fn tcp(from: &Node, target: &str, port: u16) -> io::Result<IpAddr> {
    Mirror::ask(from, SocketAddr::new(target.parse().unwrap(), port))
}

pub(crate) fn udp(from: &Node, target: &str, port: u16) -> io::Result<IpAddr> {
    Mirror::ask_by_datagram(from, SocketAddr::new(target.parse().unwrap(), port))
}

/// What a rule has accepted, denied and limited.
pub(crate) fn counts(gateway: &Gateway, rule: &str) -> (u64, u64, u64) {
    let status = gateway.status().unwrap();
    let rule = status.rule(rule).unwrap_or_else(|| panic!("a rule {rule} in {:?}", status.rules));
    (rule.accepted, rule.denied, rule.limited)
}

/// The lines of the daemon's log about a rule.
pub(crate) fn log_lines(gateway: &Gateway, rule: &str) -> Vec<String> {
    let log = fs::read_to_string(gateway.node().directory().join("gateway.log")).unwrap();
    let marks = [format!("rule=\"{rule}\""), format!("rule={rule} ")];
    log.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).map(str::to_owned).collect()
}
