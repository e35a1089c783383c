// SPDX-License-Identifier: AGPL-3.0-or-later
//! The host's network changes around the gateway, and the gateway's plan changes while it runs.
#![allow(clippy::wildcard_enum_match_arm, reason = "messages of netlink are open-ended")]

use std::time::Duration;

use futures_util::StreamExt;
use irdest_gateway::host::HostError;
use irdest_gateway::netlink::{PROTOCOL, Watch};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol};

use crate::scene::{DEVICE, Scene, plan};

#[test]
fn a_network_that_comes_to_the_host_is_reached_there_and_left_with_it() {
    Scene::play(|scene| async move {
        let mut host = scene.start(plan(&["0.0.0.0/0", "::/0"])).await.unwrap();
        assert_eq!(scene.way("10.200.0.5", ""), DEVICE);
        scene.add_device("lan1");
        scene.ip("address add 10.200.0.1/16 dev lan1");
        scene.ip("address add fd20::1/64 dev lan1 nodad");
        let both =
            |scene: &Scene, way: &str| scene.way("10.200.0.5", "") == way && scene.way("fd20::5", "") == way;
        scene.follow_until(&mut host, "the LAN is reached", |scene| both(scene, "lan1")).await;
        scene.ip("link delete lan1");
        scene.follow_until(&mut host, "the LAN is the mesh's again", |scene| both(scene, DEVICE)).await;
        host.end().await;
    });
}

#[test]
fn what_somebody_removes_comes_back() {
    Scene::play(|scene| async move {
        let mut host = scene.start(plan(&["10.78.0.0/24", "::/0"])).await.unwrap();
        let whole = scene.snapshot();
        let mesh =
            |scene: &Scene| scene.way("10.78.0.1", "") == DEVICE && scene.way("2001:db8:9::9", "") == DEVICE;
        for words in [
            "rule delete priority 26994",
            "-6 rule delete priority 26994",
            "route flush table 26994",
            "-6 route flush table 26994",
        ] {
            scene.ip(words);
            scene.follow_until(&mut host, words, mesh).await;
        }
        // Set down, the device loses its routes and IPv6 addresses, and nothing may leave by the underlay.
        scene.ip("link set mesh0 down");
        scene.follow_until(&mut host, "it is seen", |scene| scene.way("10.78.0.1", "").is_empty()).await;
        scene.ip("link set mesh0 up");
        scene.follow_until(&mut host, "all is there again", |scene| scene.snapshot() == whole).await;
        host.end().await;
    });
}

#[test]
fn a_reload_changes_the_difference_only() {
    Scene::play(|scene| async move {
        let mut host = scene.start(plan(&["10.78.0.0/24", "10.79.0.0/24", "fd90::/16"])).await.unwrap();
        let groups = [
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
            MulticastGroup::Ipv4Ifaddr,
        ];
        let (connection, _handle, mut messages) = rtnetlink::new_multicast_connection(&groups).unwrap();
        tokio::spawn(connection);
        let mut next = plan(&["10.78.0.0/24", "10.80.0.0/24", "fd90::/16"]);
        next.addresses.push("10.88.0.1/24".parse().unwrap());
        host.apply(next.clone()).await.unwrap();
        assert_eq!(
            ["10.78.0.1", "10.79.0.1", "10.80.0.1"].map(|to| scene.way(to, "")),
            [DEVICE, "eth0", DEVICE]
        );
        // The kernel tells of every change, in their order: the last one is the sentinel's.
        scene.ip("route add 198.51.100.0/24 dev lan0");
        let mut changes = Vec::new();
        loop {
            let (message, _) = messages.next().await.unwrap();
            let NetlinkPayload::InnerMessage(message) = message.payload else { continue };
            if format!("{message:?}").contains("198.51.100.0") {
                break;
            }
            changes.extend(change(&message));
        }
        // One prefix came and one went, each with its route through the device and the one behind it.
        assert_eq!(changes, ["added", "added", "removed", "removed"]);
        next.addresses.pop();
        host.apply(next).await.unwrap();
        assert!(!scene.ip("address show dev mesh0").contains("10.88.0.1"));
        host.end().await;
    });
}

/// What of ours changed, if it did.
fn change(message: &RouteNetlinkMessage) -> Option<&'static str> {
    let is_ours = |route: &RouteMessage| route.header.protocol == RouteProtocol::Other(PROTOCOL);
    match message {
        RouteNetlinkMessage::NewRoute(route) if is_ours(route) => Some("added"),
        RouteNetlinkMessage::DelRoute(route) if is_ours(route) => Some("removed"),
        RouteNetlinkMessage::DelRule(_) | RouteNetlinkMessage::NewRule(_) => Some("a rule"),
        RouteNetlinkMessage::DelAddress(_) => Some("an address removed"),
        _ => None,
    }
}

#[test]
fn a_reload_that_fails_leaves_what_was() {
    Scene::play(|scene| async move {
        let mut host = scene.start(plan(&["10.78.0.0/24"])).await.unwrap();
        let before = scene.snapshot();
        let error = host.apply(plan(&["10.79.0.0/24", "10.5.0.0/24"])).await.unwrap_err();
        assert!(matches!(error, HostError::RouteExists { .. }), "{error}");
        let mut other = plan(&["10.79.0.0/24"]);
        other.routing.mark = 7;
        let error = host.apply(other).await.unwrap_err();
        assert_eq!(error.to_string(), "host.mark: cannot change while the gateway runs; restart it");
        // The kernel takes no multicast address, and the one before it is there by then.
        let mut half = plan(&["10.79.0.0/24"]);
        half.addresses
            .extend(["10.88.0.1/24", "ff02::1/64"].map(|text| text.parse::<ipnet::IpNet>().unwrap()));
        let error = host.apply(half).await.unwrap_err();
        assert!(error.to_string().starts_with("mesh0: cannot add the address ff02::1/64"), "{error}");
        assert_eq!(scene.snapshot(), before);
        let mut other = plan(&["10.78.0.0/24"]);
        other.routing.priority = 100;
        host.apply(other).await.unwrap();
        let rules = scene.ip("rule");
        assert!(rules.contains("100:\tnot from all fwmark") && !rules.contains("26994:"), "{rules}");
        host.end().await;
    });
}

#[test]
fn changes_of_the_network_are_told_once_a_burst() {
    Scene::play(|scene| async move {
        let watch = Watch::new().unwrap();
        let host = scene.start(plan(&["10.78.0.0/24"])).await.unwrap();
        watch.changed().await;
        let quiet = tokio::time::timeout(Duration::from_millis(500), watch.changed()).await;
        assert!(quiet.is_err(), "one burst, one event");
        host.end().await;
        watch.changed().await;
        scene.add_device("late0");
        watch.changed().await;
    });
}

#[test]
fn rules_of_others_are_news_and_ours_are_not() {
    Scene::play(|scene| async move {
        let watch = Watch::new().unwrap();
        for word in ["", "-6 "] {
            scene.ip(&format!("{word}rule add priority 100 lookup 100 protocol 105"));
        }
        let quiet = tokio::time::timeout(Duration::from_millis(500), watch.changed()).await;
        assert!(quiet.is_err(), "our own rules are no news");
        for word in ["", "-6 "] {
            scene.ip(&format!("{word}rule add priority 101 lookup 100"));
            watch.changed().await;
        }
    });
}
