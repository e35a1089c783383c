// SPDX-License-Identifier: AGPL-3.0-or-later
//! Every kind of rule lets in or out what it names and nothing beside that, and counts it.

use irdest_lab::Sites;
use irdest_lab::traffic::{Mirror, ping};

use crate::scene::{accept, counts, log_lines, opens, prepared, running, tcp, udp};

/// A port on which A listens and that no rule names.
const CLOSED: u16 = 7099;

#[test]
fn remotes_by_kind_by_address_and_by_name() {
    let mut sites = prepared(&[], "");
    let rules = [
        accept("any", "remote = \"any\", ports = [7001]"),
        accept("configured", "remote = \"configured\", ports = [7002]"),
        accept("address", &format!("remote = \"{}\", ports = [7003]", sites.b.identity().address)),
        accept("contact", "remote = \"bob\", ports = [7004]"),
        accept("other", &format!("remote = \"{}\", ports = [7005]", sites.r.identity().address)),
    ];
    crate::scene::configure(&sites, &rules, "");
    Mirror::start(sites.a.node(), &[7001, 7002, 7003, 7004, 7005]).unwrap();
    sites.start().unwrap();
    for (name, port) in [("any", 7001), ("configured", 7002), ("address", 7003), ("contact", 7004)] {
        assert_eq!(
            tcp(sites.b.node(), Sites::A_ADDRESS, port).unwrap().to_string(),
            Sites::B_ADDRESS,
            "{name}"
        );
        assert_eq!(counts(&sites.a, name), (1, 0, 0), "{name}");
    }
    assert!(!opens(sites.b.node(), Sites::A_ADDRESS, 7005), "another remote's");
    assert_eq!(counts(&sites.a, "other"), (0, 0, 0));
    assert!(sites.a.status().unwrap().drops("inbound_connection") > 0);
}

#[test]
fn protocols_ports_and_the_first_rule_that_matches() {
    let rules = [
        "name = \"deny\", action = \"deny\", remote = \"any\", ports = [7011], log = true".to_owned(),
        accept("range", "remote = \"any\", protocol = \"tcp\", ports = [\"7010-7012\"]"),
        accept("udp", "remote = \"any\", protocol = \"udp\", ports = [7013]"),
        accept("number", "remote = \"any\", protocol = 6, ports = [7014], log = true"),
    ];
    let sites = running(&rules, "");
    let (from, to) = (sites.b.node(), Sites::A_ADDRESS);
    Mirror::start(sites.a.node(), &[7010, 7011, 7012, 7013, 7014, CLOSED]).unwrap();
    for port in [7010, 7012, 7014] {
        assert!(opens(from, to, port), "TCP {port}");
    }
    assert_eq!(udp(from, to, 7013).unwrap().to_string(), Sites::B_ADDRESS);
    assert_eq!(counts(&sites.a, "deny"), (0, 0, 0), "nothing was denied so far");
    for port in [7011, 7013, CLOSED] {
        assert!(!opens(from, to, port), "TCP {port}");
    }
    for port in [7010, 7011, CLOSED] {
        assert!(udp(from, to, port).is_err(), "UDP {port}");
    }
    assert_eq!(counts(&sites.a, "range"), (2, 0, 0));
    assert_eq!(counts(&sites.a, "udp"), (1, 0, 0));
    assert_eq!(counts(&sites.a, "number"), (1, 0, 0));
    let (accepted, denied, limited) = counts(&sites.a, "deny");
    assert!(accepted == 0 && denied >= 2 && limited == 0, "one of TCP, one of UDP, and what was sent again");
    let lines = log_lines(&sites.a, "deny");
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("port=7011")), "{lines:?}");
    assert_eq!(log_lines(&sites.a, "number").len(), 1);
    assert_eq!(log_lines(&sites.a, "range").len(), 0, "it asks for no line");
}

#[test]
fn hosts_behind_the_gateway_and_their_pings() {
    let rules = [
        accept("host", "remote = \"bob\", ports = [7020], to = [\"10.1.0.2/32\"]"),
        accept("pings", "remote = \"bob\", protocol = \"icmp\", to = [\"10.1.0.2/32\"]"),
    ];
    let sites = running(&rules, "");
    Mirror::start(&sites.h, &[7020, CLOSED]).unwrap();
    Mirror::start(sites.a.node(), &[7020]).unwrap();
    let from = sites.b.node();
    assert_eq!(tcp(from, Sites::H_ADDRESS, 7020).unwrap().to_string(), Sites::B_ADDRESS);
    ping(from, Sites::H_ADDRESS.parse().unwrap(), 1, sites.limit()).unwrap();
    assert!(!opens(from, Sites::H_ADDRESS, CLOSED));
    for own in [Sites::A_ADDRESS, "10.1.0.1"] {
        assert!(!opens(from, own, 7020), "the rule is about the host, not about {own}");
    }
    let unnamed = ["-c", "1", "-W", "1", "10.1.0.1"];
    assert!(
        from.run("ping", &unnamed, sites.limit()).is_err(),
        "only pings of the TUN device come in unasked"
    );
    assert_eq!((counts(&sites.a, "host"), counts(&sites.a, "pings")), ((1, 0, 0), (1, 0, 0)));
}

#[test]
fn what_goes_out_is_open_but_for_what_is_denied() {
    let rules =
        ["name = \"out\", action = \"deny\", direction = \"out\", remote = \"any\", ports = [7030]"
            .to_owned()];
    let mut sites = prepared(&rules, "");
    let open = "[firewall]\naccept = [{ from = \"configured\", ports = [7030, 7031] }]\n";
    crate::scene::configure_b(&sites, open);
    sites.start().unwrap();
    Mirror::start(sites.b.node(), &[7030, 7031]).unwrap();
    assert!(opens(sites.a.node(), Sites::B_ADDRESS, 7031));
    assert!(!opens(sites.a.node(), Sites::B_ADDRESS, 7030));
    let (accepted, denied, limited) = counts(&sites.a, "out");
    assert!(accepted == 0 && denied > 0 && limited == 0);
    let at_b = sites.b.status().unwrap();
    assert!(at_b.flows.iter().all(|flow| flow.destination.port != Some(7030)), "nothing of it has left A");
}

#[test]
fn a_rate_lets_its_burst_in_and_counts_the_rest() {
    let sites = running(&[accept("rate", "remote = \"any\", ports = [7040], rate = \"1/h\", burst = 3")], "");
    Mirror::start(sites.a.node(), &[7040]).unwrap();
    let opened = (0..4).filter(|_| opens(sites.b.node(), Sites::A_ADDRESS, 7040)).count();
    let (accepted, denied, limited) = counts(&sites.a, "rate");
    assert_eq!((opened, accepted, denied), (3, 3, 0));
    assert!(limited > 0);
}
