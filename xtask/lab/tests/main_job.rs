// SPDX-License-Identifier: AGPL-3.0-or-later
//! The main job: the traffic of unmodified applications crosses a mesh of routers, A–R–B.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use std::net::IpAddr;
use std::time::Duration;

use irdest_lab::traffic::{HttpServer, IperfServer, SshServer, Transport, ping};
use irdest_lab::{Dials, ThreeRouters, TimeLimit};
use nix::sys::signal::SigSet;

fn running(seconds: u64) -> ThreeRouters {
    let limit = TimeLimit::within(Duration::from_secs(seconds));
    let mut routers = ThreeRouters::prepare(limit, Dials::Edges).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    routers
}

fn address_of_b() -> IpAddr {
    ThreeRouters::B_ADDRESS.parse().unwrap()
}

#[test]
fn ping_reaches_overlay_addresses_and_a_configured_prefix() {
    let routers = running(60);
    let overlay = |identity: &irdest_lab::Identity| IpAddr::from(identity.overlay);
    let (a, b) = (routers.a.identity(), routers.b.identity());
    for target in [address_of_b(), overlay(b)] {
        ping(routers.a.node(), target, 5, routers.limit()).unwrap();
    }
    for target in [ThreeRouters::A_ADDRESS.parse().unwrap(), overlay(a)] {
        ping(routers.b.node(), target, 5, routers.limit()).unwrap();
    }
    let status = routers.a.status().unwrap();
    let session = status.sessions.iter().find(|session| session.remote == b.address).unwrap();
    assert_eq!(session.state, "established");
    assert!(session.tx_packets >= 10 && session.rx_packets >= 10, "{session:?}");
    assert!(!status.flows.is_empty());
}

#[test]
fn the_router_in_the_middle_has_neither_tun_nor_sessions() {
    let routers = running(60);
    ping(routers.a.node(), address_of_b(), 1, routers.limit()).unwrap();
    let devices = routers.r.node().ip(&["-brief", "link"]).unwrap();
    assert_eq!(devices.lines().count(), 4, "lo and three links:\n{devices}");
    assert!(routers.r.status().unwrap().sessions.is_empty());
}

#[test]
fn http_brings_64_mib_with_an_equal_checksum() {
    let routers = running(120);
    let server = HttpServer::start(routers.b.node(), address_of_b(), 64 << 20, routers.limit()).unwrap();
    let download = server.download(routers.a.node(), routers.limit()).unwrap();
    println!("HTTP: {} bytes in {:.2} s", download.size, download.took.as_secs_f64());
}

#[test]
fn http_crosses_overlay_addresses_too() {
    let routers = running(60);
    let overlay = routers.b.identity().overlay.into();
    let server = HttpServer::start(routers.b.node(), overlay, 1 << 20, routers.limit()).unwrap();
    server.download(routers.a.node(), routers.limit()).unwrap();
}

#[test]
fn ssh_logs_in_and_runs_a_command() {
    let routers = running(60);
    let server = SshServer::start(routers.b.node(), address_of_b(), routers.limit()).unwrap();
    let answer = server.run(routers.a.node(), "echo over there", routers.limit()).unwrap();
    assert_eq!(answer, "over there\n");
}

#[test]
fn iperf3_measures_tcp_and_udp() {
    let routers = running(60);
    let server = IperfServer::start(routers.b.node(), address_of_b(), routers.limit()).unwrap();
    for transport in [Transport::Tcp, Transport::Udp] {
        let figure = server.measure(routers.a.node(), transport, 3, routers.limit()).unwrap();
        println!("iperf3, build with debug assertions: {figure}");
        assert!(figure.bits_per_second > 1e6, "{figure}");
    }
}

#[test]
fn what_is_not_opened_stays_closed() {
    let routers = running(60);
    let target = (address_of_b(), 9).into();
    let connect = move || std::net::TcpStream::connect_timeout(&target, Duration::from_secs(2)).is_ok();
    assert!(!routers.a.node().thread(connect).unwrap().join().unwrap());
    assert!(routers.b.status().unwrap().drops("inbound_connection") > 0);
}

#[test]
fn daemons_end_cleanly_and_take_their_device_along() {
    let mut routers = running(60);
    let routes =
        |routers: &ThreeRouters| routers.a.node().ip(&["-6", "route", "show", "table", "all"]).unwrap();
    assert!(routes(&routers).contains("fd69:7264::/32"));
    routers.a.stop().unwrap();
    routers.r.stop().unwrap();
    let devices = routers.a.node().ip(&["-brief", "link"]).unwrap();
    assert_eq!(devices.lines().count(), 2, "lo and the link to R:\n{devices}");
    assert!(!routes(&routers).contains("fd69:7264"));
    assert_eq!(routers.a.node().ip(&["-6", "rule"]).unwrap().lines().count(), 2, "local and main");
}

#[test]
fn a_daemon_hears_its_signals_whoever_started_it() {
    // A program that blocks signals has what it starts block them, too.
    SigSet::all().thread_block().unwrap();
    let mut routers = running(60);
    routers.a.stop().unwrap();
}
