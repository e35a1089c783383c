// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is refused: each under its own reason, and the tunnel goes on.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::time::Duration;

use irdest_lab::traffic::ping;
use irdest_lab::{Conduct, Dials, Gateway, GatewayConfig, Peer, Relay, ThreeRouters, TimeLimit};

/// Frames of noise that R gets, a hundred on each connection.
const NOISE: usize = 10_000;

fn prepared(dials: Dials) -> ThreeRouters {
    ThreeRouters::prepare(TimeLimit::within(Duration::from_secs(90)), dials).unwrap()
}

fn running() -> ThreeRouters {
    let mut routers = prepared(Dials::Edges);
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    routers
}

fn address_of_b() -> IpAddr {
    ThreeRouters::B_ADDRESS.parse().unwrap()
}

fn wait_for_drop(gateway: &Gateway, reason: &str) {
    let node = gateway.node();
    let what = format!("a drop on node {} because of {reason}", node.name());
    node.limit().wait_for(&what, || Ok((gateway.status()?.drops(reason) > 0).then_some(()))).unwrap();
}

fn assert_tunnel_goes_on(routers: &ThreeRouters) {
    ping(routers.a.node(), address_of_b(), 3, routers.limit()).unwrap();
}

/// One request that nobody may answer.
fn assert_silence(from: &Gateway, arguments: &[&str]) {
    let once = ["-n", "-c", "1", "-W", "1"].into_iter().chain(arguments.iter().copied());
    let arguments: Vec<&str> = once.collect();
    assert!(from.node().run("ping", &arguments, from.node().limit()).is_err(), "{arguments:?} was answered");
}

#[test]
fn a_router_with_another_key_than_expected() {
    let mut routers = prepared(Dials::Edges);
    let wrong = routers.b.identity().router_id.clone();
    let peer = |key: &str| Peer { router_key: Some(key.into()), ..Peer::from("inet:192.0.2.2:5860") };
    let config = |key: &str| GatewayConfig { peers: vec![peer(key)], ..GatewayConfig::default() };
    routers.a.configure(&config(&wrong)).unwrap();
    routers.start().unwrap();
    wait_for_drop(&routers.a, "wrong_router_key");
    assert!(routers.a.status().unwrap().links.is_empty());

    routers.a.stop().unwrap();
    routers.a.configure(&config(&routers.r.identity().router_id)).unwrap();
    routers.a.start().unwrap();
    let linked = || routers.a.status().is_ok_and(|status| status.live_links() == 1);
    routers.limit().wait_until("a link with the key that is expected", linked).unwrap();
}

#[test]
fn an_unknown_neighbour_of_a_closed_router() {
    let mut routers = prepared(Dials::Edges);
    let known = routers.b.identity().router_id.clone();
    // R knows B, although B dials; nobody listens at the target.
    let peers = vec![Peer { router_key: Some(known), ..Peer::from("inet:198.51.100.2:9") }];
    let extra = "accept_unknown_peers = false".into();
    routers.r.configure(&GatewayConfig { peers, extra, ..GatewayConfig::default() }).unwrap();
    routers.start().unwrap();
    wait_for_drop(&routers.r, "unknown_router");
    let two = || routers.r.status().is_ok_and(|status| status.live_links() == 2);
    routers.limit().wait_until("the two links of the known neighbour", two).unwrap();
    assert!(routers.a.status().unwrap().links.is_empty());
}

/// B without a route to A: for B, A is a stranger.
fn with_a_stranger(sessions: &str) -> ThreeRouters {
    let mut routers = prepared(Dials::Edges);
    let config = GatewayConfig {
        peers: vec!["inet:198.51.100.1:5860".into(), "inet:203.0.113.1:5860".into()],
        tun: Some(vec![format!("{}/24", ThreeRouters::B_ADDRESS)]),
        extra: format!("sessions.accept = \"{sessions}\""),
        ..GatewayConfig::default()
    };
    routers.b.configure(&config).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    routers
}

#[test]
fn a_strangers_session_where_only_configured_ones_are_accepted() {
    let routers = with_a_stranger("configured");
    assert_silence(&routers.a, &[&routers.b.identity().overlay.to_string()]);
    wait_for_drop(&routers.b, "not_accepted");
    assert!(routers.b.status().unwrap().sessions.iter().all(|session| session.state != "established"));
}

#[test]
fn a_stranger_has_its_derived_address_only() {
    let routers = with_a_stranger("any");
    ping(routers.a.node(), routers.b.identity().overlay.into(), 3, routers.limit()).unwrap();
    assert_silence(&routers.a, &[ThreeRouters::B_ADDRESS]);
    wait_for_drop(&routers.b, "source_not_allowed");
    ping(routers.a.node(), routers.b.identity().overlay.into(), 3, routers.limit()).unwrap();
}

#[test]
fn a_source_that_does_not_belong_to_the_remote() {
    let routers = running();
    assert_tunnel_goes_on(&routers);
    routers.a.node().ip(&["address", "add", "10.66.99.1/32", "dev", "irdest0"]).unwrap();
    assert_silence(&routers.a, &["-I", "10.66.99.1", ThreeRouters::B_ADDRESS]);
    wait_for_drop(&routers.b, "source_not_allowed");
    assert_tunnel_goes_on(&routers);
}

#[test]
fn frames_that_come_twice() {
    let limit = TimeLimit::within(Duration::from_secs(90));
    let mut routers = ThreeRouters::prepare_with_relay(limit, 5861).unwrap();
    let (listen, target) = ("203.0.113.1:5861".parse().unwrap(), "203.0.113.1:5860".parse().unwrap());
    Relay { listen, target, conduct: Conduct::Twice }.start(routers.r.node()).unwrap();
    // Only the link through the relay is there.
    routers.r.node().ip(&["link", "set", "to-b1", "down"]).unwrap();
    routers.start().unwrap();
    routers
        .limit()
        .wait_for("a route between A and B", || {
            Ok(routers.a.status()?.next_hop(&routers.b.identity().address).map(drop))
        })
        .unwrap();
    ping(routers.a.node(), address_of_b(), 10, routers.limit()).unwrap();
    for reason in ["announcement_repeated", "replayed", "replayed_initiation"] {
        wait_for_drop(&routers.b, reason);
    }
    assert_tunnel_goes_on(&routers);
    let flows = routers.b.status().unwrap().flows;
    let pings = flows.iter().map(|flow| flow.rx_packets).max();
    assert_eq!(pings, Some(10), "no packet came out twice: {flows:?}");
}

#[test]
fn noise_on_a_link_closes_it_and_no_other() {
    let routers = running();
    let before = routers.r.status().unwrap().live_links();
    let noise = move || {
        let mut state: u64 = 1;
        for _ in 0..NOISE / 100 {
            let mut stream = TcpStream::connect(("192.0.2.2", 5860)).unwrap();
            for _ in 0..100 {
                // R may have hung up already.
                let _ = stream.write_all(&random_frame(&mut state));
            }
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    };
    routers.a.node().thread(noise).unwrap().join().unwrap();
    wait_for_drop(&routers.r, "broken_peering");
    assert_eq!(routers.r.status().unwrap().live_links(), before);
    assert_tunnel_goes_on(&routers);
}

/// A length prefix that is true, and up to 63 random bytes (the congruential generator of MMIX).
fn random_frame(state: &mut u64) -> Vec<u8> {
    let mut next = || {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let length = next() % 64;
    let mut frame = u32::from(length).to_be_bytes().to_vec();
    frame.extend((0..length).map(|_| next()));
    frame
}
