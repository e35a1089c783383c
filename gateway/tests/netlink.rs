// SPDX-License-Identifier: AGPL-3.0-or-later
//! The TUN device's addresses and routes, in a network namespace of their own for each test.
//!
//! One end of a veth pair stands in for the TUN: like a persistent TUN it stays when the program goes, so that what is left
//! behind shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![allow(clippy::wildcard_enum_match_arm, reason = "netlink attributes are open-ended")]

use std::future::Future;
use std::time::Duration;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use irdest_gateway::netlink::{Device, NetlinkError, Plan, Watch};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteScope};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

const DEVICE: &str = "mesh0";

/// Runs `test` in a thread with a network namespace of its own, in a user namespace where we are not root.
fn isolated<F: Future<Output = ()>>(test: impl FnOnce(Handle) -> F + Send + 'static) {
    let run = move || {
        let user =
            if nix::unistd::geteuid().is_root() { CloneFlags::empty() } else { CloneFlags::CLONE_NEWUSER };
        unshare(CloneFlags::CLONE_NEWNET | user).expect("network namespaces are needed: run as root");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (connection, handle, _) = rtnetlink::new_connection().unwrap();
            tokio::spawn(connection);
            add_pair(&handle, DEVICE, "other0").await;
            test(handle).await;
        });
    };
    std::thread::spawn(run).join().unwrap();
}

async fn add_pair(handle: &Handle, one: &str, other: &str) {
    handle.link().add(LinkVeth::new(one, other).up().build()).execute().await.unwrap();
    let other = LinkMessageBuilder::<LinkUnspec>::new().index(index(handle, other).await).up().build();
    handle.link().set(other).execute().await.unwrap();
}

fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn plan() -> Plan {
    Plan {
        name: DEVICE.to_owned(),
        mtu: 1420,
        addresses: vec![prefix("10.77.0.1/24"), prefix("fd69:7264::1/128")],
        routes: vec![prefix("fd69:7264::/32"), prefix("10.78.0.0/24")],
    }
}

async fn index(handle: &Handle, name: &str) -> u32 {
    let mut links = std::pin::pin!(handle.link().get().match_name(name.to_owned()).execute());
    links.try_next().await.unwrap().unwrap().header.index
}

/// Global addresses of the device, with their flags.
async fn addresses(handle: &Handle) -> Vec<(String, AddressFlags)> {
    let request = handle.address().get().set_link_index_filter(index(handle, DEVICE).await);
    let all: Vec<_> = request.execute().try_collect().await.unwrap();
    let mut shown = Vec::new();
    for message in all {
        let mut flags = AddressFlags::empty();
        let mut address = None;
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(value) => address = Some(*value),
                AddressAttribute::Flags(value) => flags = *value,
                _ => {}
            }
        }
        let address = address.unwrap();
        if !matches!(address, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local()) {
            shown.push((format!("{address}/{}", message.header.prefix_len), flags));
        }
    }
    shown
}

/// Whether the main table routes `wanted` through `device`.
async fn is_routed(handle: &Handle, wanted: &str, device: &str) -> bool {
    let (wanted, device) = (prefix(wanted), index(handle, device).await);
    let all = match wanted.addr() {
        std::net::IpAddr::V4(_) => RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        std::net::IpAddr::V6(_) => RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    };
    let routes: Vec<_> = handle.route().get(all).execute().try_collect().await.unwrap();
    routes.iter().any(|route| {
        route.header.table == RouteHeader::RT_TABLE_MAIN
            && route.header.destination_prefix_length == wanted.prefix_len()
            && route.attributes.contains(&RouteAttribute::Destination(wanted.addr().into()))
            && route.attributes.contains(&RouteAttribute::Oif(device))
    })
}

async fn assert_clean(handle: &Handle) {
    assert_eq!(addresses(handle).await, []);
    assert!(!is_routed(handle, "fd69:7264::/32", DEVICE).await);
    assert!(!is_routed(handle, "10.78.0.0/24", DEVICE).await);
}

#[test]
fn a_device_is_configured_and_left_as_it_was() {
    isolated(|handle| async move {
        let device = Device::configure(&plan()).await.unwrap();
        let mut links = std::pin::pin!(handle.link().get().match_name(DEVICE.to_owned()).execute());
        let link = links.try_next().await.unwrap().unwrap();
        assert!(link.attributes.contains(&LinkAttribute::Mtu(1420)));
        assert!(link.header.flags.contains(LinkFlags::Up));
        let shown = addresses(&handle).await;
        assert_eq!(shown[0].0, "10.77.0.1/24");
        assert_eq!(shown[1].0, "fd69:7264::1/128");
        assert!(shown[1].1.contains(AddressFlags::Nodad) && !shown[1].1.contains(AddressFlags::Tentative));
        assert!(is_routed(&handle, "fd69:7264::/32", DEVICE).await);
        assert!(is_routed(&handle, "10.78.0.0/24", DEVICE).await);
        device.remove().await;
        assert_clean(&handle).await;
    });
}

#[test]
fn a_dropped_device_is_cleaned_too() {
    isolated(|handle| async move {
        drop(Device::configure(&plan()).await.unwrap());
        assert_clean(&handle).await;
    });
}

#[test]
fn what_a_killed_daemon_left_is_taken_over() {
    isolated(|handle| async move {
        std::mem::forget(Device::configure(&plan()).await.unwrap());
        let device = Device::configure(&plan()).await.unwrap();
        device.remove().await;
        assert_clean(&handle).await;
    });
}

#[test]
fn a_route_in_the_way_is_named_and_left_alone() {
    isolated(|handle| async move {
        let other = index(&handle, "other0").await;
        for shown in ["10.78.0.0/24", "fd69:7264::/32"] {
            let taken = prefix(shown);
            let mut route = RouteMessageBuilder::<std::net::IpAddr>::new()
                .destination_prefix(taken.addr(), taken.prefix_len())
                .unwrap()
                .output_interface(other)
                .build();
            if taken.addr().is_ipv4() {
                route.header.scope = RouteScope::Link;
            }
            handle.route().add(route.clone()).execute().await.unwrap();
            let error = Device::configure(&plan()).await.unwrap_err();
            assert!(matches!(error, NetlinkError::RouteExists { .. }), "{error}");
            let text = format!("mesh0: cannot route {shown}: it is routed dev other0 already");
            assert!(error.to_string().starts_with(&text), "{error}");
            assert_clean(&handle).await;
            assert!(is_routed(&handle, shown, "other0").await);
            handle.route().del(route).execute().await.unwrap();
        }
    });
}

#[test]
fn an_own_prefix_may_be_routed_too() {
    isolated(|handle| async move {
        let mut plan = plan();
        plan.routes.push(prefix("10.77.0.0/24"));
        Device::configure(&plan).await.unwrap().remove().await;
        assert_clean(&handle).await;
        assert!(!is_routed(&handle, "10.77.0.0/24", DEVICE).await);
    });
}

#[test]
fn a_missing_device_and_disabled_ipv6_are_named() {
    isolated(|_| async {
        let error = Device::configure(&Plan { name: "none0".into(), ..plan() }).await.unwrap_err();
        assert_eq!(error.to_string(), "none0: no such network device");
        // The sysctl tree of a new namespace is writable for who made it, where /proc/sys is mounted so.
        if std::fs::write(format!("/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6"), "1").is_ok() {
            let error = Device::configure(&plan()).await.unwrap_err();
            assert!(matches!(error, NetlinkError::Ipv6Disabled { .. }), "{error}");
        }
    });
}

#[test]
fn changes_of_the_network_are_told_once_a_burst() {
    isolated(|handle| async move {
        let watch = Watch::new().unwrap();
        let device = Device::configure(&plan()).await.unwrap();
        watch.changed().await;
        let quiet = tokio::time::timeout(Duration::from_millis(500), watch.changed()).await;
        assert!(quiet.is_err(), "one burst, one event");
        device.remove().await;
        add_pair(&handle, "late0", "late1").await;
        watch.changed().await;
    });
}
