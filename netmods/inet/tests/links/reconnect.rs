// SPDX-License-Identifier: AGPL-3.0-or-later
//! Peers that are away and come back.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use netmod_api::{DownReason, Netmod};
use netmod_inet::{InetConfig, InetError, PeerLine};

use crate::routers::{any_port, dialing, free_address, has_ipv6, id, listening, start, start_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_restarts_is_back_within_two_seconds_each_time() {
    let mut listener = start(1, listening(any_port("127.0.0.1")));
    let address = listener.address();
    let dialer = start(2, dialing(&[address]));
    for _ in 0..3 {
        let link = dialer.inbox.link();
        drop(listener);
        let reason = dialer.inbox.down(link.hop);
        let away = matches!(reason, DownReason::ClosedByPeer | DownReason::Io(_));
        assert!(away, "{reason}");
        listener = start(1, listening(address));
        let start = Instant::now();
        assert_eq!(dialer.inbox.link().hop.neighbour, id(1));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_starts_late_is_found_after_a_change_of_the_network_at_once() {
    let address = free_address("127.0.0.1");
    let dialer = start(2, dialing(&[address]));
    // Three attempts: the wait is above a second then.
    dialer.counted(|counters| counters.broken_peering >= 3);
    let _listener = start(1, listening(address));
    dialer.inet.network_changed();
    let start = Instant::now();
    dialer.inbox.link();
    assert!(start.elapsed() < Duration::from_millis(700), "{:?}", start.elapsed());
}

/// In virtual time; an attempt may take the 3.5 s that it has.
#[tokio::test(start_paused = true)]
async fn an_absent_peer_is_dialled_for_ever_every_half_minute() {
    let dialer = start(2, dialing(&[free_address("127.0.0.1")]));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let attempts = dialer.inet.counters().broken_peering;
    assert!((100..=180).contains(&attempts), "{attempts} attempts in an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialer_that_restarts_replaces_its_old_link() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    for _ in 0..3 {
        let dialer = start(2, dialing(&[listener.address()]));
        dialer.inbox.link();
        let link = listener.inbox.link_to(id(2));
        drop(dialer);
        listener.inbox.down(link.hop);
    }
    assert_eq!(listener.inbox.links().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_driver_says_that_its_links_are_gone() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let dialer = start(2, dialing(&[listener.address()]));
    let (near, far) = (dialer.inbox.link(), listener.inbox.link());
    drop(dialer.inet);
    assert_eq!(dialer.inbox.down(near.hop), DownReason::Stopped);
    let reason = listener.inbox.down(far.hop);
    assert!(matches!(reason, DownReason::ClosedByPeer | DownReason::Io(_)), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_several_addresses_is_tried_to_the_end() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let named =
        PeerLine { host: "localhost".into(), port: listener.address().port(), router_key: None, mtu: None };
    let dialer = start(2, InetConfig { peers: vec![named], ..InetConfig::default() });
    assert_eq!(dialer.inbox.link().hop.neighbour, id(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_tried_again() {
    let nowhere = PeerLine { host: "nowhere.invalid".into(), port: 1, router_key: None, mtu: None };
    let dialer = start(2, InetConfig { peers: vec![nowhere], ..InetConfig::default() });
    dialer.counted(|counters| counters.broken_peering >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unspecified_ipv6_address_takes_ipv4_too() {
    if !has_ipv6() {
        return;
    }
    let listener = start(1, listening(any_port("::")));
    let port = listener.address().port();
    let over_v4 = start(2, dialing(&[SocketAddr::from((Ipv4Addr::LOCALHOST, port))]));
    let over_v6 = start(3, dialing(&[SocketAddr::from((Ipv6Addr::LOCALHOST, port))]));
    over_v4.inbox.link();
    over_v6.inbox.link();
    listener.inbox.link_to(id(2));
    listener.inbox.link_to(id(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_unspecified_addresses_share_a_port() {
    if !has_ipv6() {
        return;
    }
    let port = free_address("::").port();
    let (v4, v6) = ((Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into());
    for listen in [vec![v4, v6], vec![v6, v4]] {
        let config = InetConfig { listen, accept_unknown_peers: true, ..InetConfig::default() };
        let listener = start(1, config);
        let over_v4 = start(2, dialing(&[SocketAddr::from((Ipv4Addr::LOCALHOST, port))]));
        let over_v6 = start(3, dialing(&[SocketAddr::from((Ipv6Addr::LOCALHOST, port))]));
        over_v4.inbox.link();
        over_v6.inbox.link();
        drop(listener);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let address = listener.address();
    let error = start_with(2, listening(address), listener.inbox.clone()).expect_err("the port is taken");
    assert!(matches!(error, InetError::AddressInUse { address: named } if named == address));
    assert_eq!(error.to_string(), format!("cannot listen on {address}: the address is in use already"));
}
