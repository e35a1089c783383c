// SPDX-License-Identifier: AGPL-3.0-or-later
//! SIGHUP: another configuration while links, sessions and connections go on.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use irdest_lab::traffic::{EchoConnection, ping};
use irdest_lab::{Dials, Gateway, GatewayConfig, ThreeRouters, TimeLimit};

/// As long as a connection would need several times over.
const SILENCE: Duration = Duration::from_secs(2);

fn prepared() -> ThreeRouters {
    ThreeRouters::prepare(TimeLimit::within(Duration::from_secs(90)), Dials::Edges).unwrap()
}

fn at_b(port: u16) -> SocketAddr {
    SocketAddr::new(ThreeRouters::B_ADDRESS.parse().unwrap(), port)
}

/// B with a way back to A, and open on some ports of TCP.
fn b_open_on(routers: &ThreeRouters, ports: &[u16], extra: &str) -> GatewayConfig {
    GatewayConfig {
        peers: vec!["inet:198.51.100.1:5860".into(), "inet:203.0.113.1:5860".into()],
        routes: vec![("10.66.1.0/24".into(), routers.a.identity().address.clone())],
        tun: Some(vec![format!("{}/24", ThreeRouters::B_ADDRESS)]),
        accept: vec![("tcp", ports.to_vec())],
        extra: extra.to_owned(),
        ..GatewayConfig::default()
    }
}

fn is_refused(from: &Gateway, address: SocketAddr) -> bool {
    let connect = from.node().thread(move || TcpStream::connect_timeout(&address, SILENCE)).unwrap();
    connect.join().unwrap().is_err()
}

fn sessions_begun(gateway: &Gateway) -> usize {
    gateway.log().matches("session established").count()
}

/// A route that is lost may be long in coming back: applications are told so and do not wait.
fn assert_refused_at_once(routers: &ThreeRouters, address: Ipv6Addr) {
    let (command, began) = (format!("ping -6 -n -W 5 -c 1 {address}; true"), Instant::now());
    let said = routers.a.node().run("sh", &["-c", &command], routers.limit()).unwrap();
    assert!(said.contains("Address unreachable"), "{said}");
    assert!(began.elapsed() < SILENCE, "{:?}", began.elapsed());
    assert_eq!(routers.a.status().unwrap().drops("route_lost"), 1);
}

#[test]
fn a_rule_opens_a_port_beside_a_connection_that_goes_on() {
    let mut routers = prepared();
    routers.b.configure(&b_open_on(&routers, &[8080], "")).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    let (a, b) = (routers.a.node(), routers.b.node());
    let mut open = EchoConnection::open(a, b, at_b(8080)).unwrap();
    open.echo(routers.limit()).unwrap();
    let _listener = EchoConnection::listen(b, at_b(9090)).unwrap();
    assert!(is_refused(&routers.a, at_b(9090)));

    // A mistake in the file: everything stays as it was.
    routers.b.configure(&b_open_on(&routers, &[8080, 9090], "no TOML")).unwrap();
    let said = routers.b.reload().unwrap();
    assert!(said.contains("ERROR") && said.contains("gateway.toml:3"), "{said}");
    assert!(is_refused(&routers.a, at_b(9090)));
    open.echo(routers.limit()).unwrap();

    // A key that needs a restart beside others that do not.
    routers.b.configure(&b_open_on(&routers, &[8080, 9090], "inet.mtu = 1280")).unwrap();
    let said = routers.b.reload().unwrap();
    assert!(said.contains("WARN") && said.contains("inet.mtu"), "{said}");
    EchoConnection::connect(a, at_b(9090)).unwrap().echo(routers.limit()).unwrap();
    open.echo(routers.limit()).unwrap();
    assert_eq!((sessions_begun(&routers.a), sessions_begun(&routers.b)), (1, 1));

    // Closed again, for new connections only.
    routers.b.configure(&b_open_on(&routers, &[9], "log.filter = \"debug\"")).unwrap();
    let said = routers.b.reload().unwrap();
    assert!(said.contains("INFO"), "{said}");
    assert!(is_refused(&routers.a, at_b(8080)));
    open.echo(routers.limit()).unwrap();
    b.ip(&["address", "add", "10.9.9.9/32", "dev", "lo"]).unwrap();
    let told = || routers.b.log().contains("the host's network changed");
    routers.limit().wait_until("a line of the level that is logged now", told).unwrap();
}

#[test]
fn peers_and_routes_come_and_go() {
    let mut routers = prepared();
    let with = |peers: &[&str], routes: &[(&str, &str)]| GatewayConfig {
        peers: peers.iter().map(|peer| (*peer).into()).collect(),
        routes: routes.iter().map(|(prefix, via)| ((*prefix).into(), (*via).into())).collect(),
        tun: Some(vec![format!("{}/24", ThreeRouters::A_ADDRESS)]),
        ..GatewayConfig::default()
    };
    let (peer, via_b) = ("inet:192.0.2.2:5860", routers.b.identity().address.clone());
    routers.a.configure(&with(&[], &[])).unwrap();
    routers.start().unwrap();
    assert!(routers.a.status().unwrap().links.is_empty());

    // Routed before it can be reached, then by a link that is dialled.
    routers.a.configure(&with(&[], &[("10.66.2.0/24", &via_b)])).unwrap();
    assert!(routers.a.reload().unwrap().contains("INFO"));
    routers.a.configure(&with(&[peer], &[("10.66.2.0/24", &via_b)])).unwrap();
    assert!(routers.a.reload().unwrap().contains("INFO"));
    routers.wait_for_routes().unwrap();
    ping(routers.a.node(), at_b(0).ip(), 1, routers.limit()).unwrap();
    let flows = routers.a.status().unwrap().flows;
    assert_eq!(flows[0].tx_packets, 1, "a packet that waited for its session is counted once: {flows:?}");

    // Without the route, B has its overlay address still: it is announced.
    routers.a.configure(&with(&[peer], &[])).unwrap();
    assert!(routers.a.reload().unwrap().contains("INFO"));
    let routes = routers.a.node().ip(&["route", "show", "table", "26994"]).unwrap();
    assert!(!routes.contains("10.66.2.0"), "{routes}");
    ping(routers.a.node(), routers.b.identity().overlay.into(), 1, routers.limit()).unwrap();
    assert_eq!(sessions_begun(&routers.a), 1, "the session went on");

    // And without the peer there is no link.
    routers.a.configure(&with(&[], &[])).unwrap();
    assert!(routers.a.reload().unwrap().contains("INFO"));
    let gone = || routers.a.status().is_ok_and(|status| status.links.is_empty());
    routers.limit().wait_until("the end of A's link", gone).unwrap();
    assert_refused_at_once(&routers, routers.b.identity().overlay);
}
