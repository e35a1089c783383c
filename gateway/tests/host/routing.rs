// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which way packets go beside the routes of the host, whose own sockets stay on the underlay.

use irdest_gateway::host::{HostError, Plan};
use irdest_gateway::netlink::NetlinkError;

use crate::scene::{DEVICE, MARK, Scene, plan};

#[test]
fn a_default_route_takes_all_but_our_own_sockets_and_the_hosts_networks() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        let host = scene.start(plan(&["0.0.0.0/0", "::/0"])).await.unwrap();
        for (to, unmarked, marked) in [
            ("203.0.113.1", DEVICE, "eth0"),
            ("2001:db8:9::9", DEVICE, "eth0"),
            ("192.0.2.9", "eth0", "eth0"),
            ("2001:db8::9", "eth0", "eth0"),
            ("10.5.0.2", "lan0", "lan0"),
            ("fd05::2", "lan0", "lan0"),
            ("224.0.0.251", "eth0", "eth0"),
            ("fd69:7264::7", DEVICE, "eth0"),
        ] {
            assert_eq!(
                (scene.way(to, "").as_str(), scene.marked_way(to).as_str()),
                (unmarked, marked),
                "{to}"
            );
        }
        // Real packets of a socket with the mark come and go on the underlay.
        for to in ["203.0.113.1", "2001:db8:9::9"] {
            let mark = u32::from_str_radix(&MARK[2..], 16).unwrap().to_string();
            scene.host.run("ping", &["-c", "1", "-W", "2", "-m", &mark, to], scene.host.limit()).unwrap();
        }
        host.end().await;
        assert_eq!(scene.snapshot(), before);
    });
}

#[test]
fn the_device_has_its_mtu_and_addresses_and_loses_them_when_dropped() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        let host = scene.start(plan(&["10.78.0.0/24"])).await.unwrap();
        let shown = scene.ip("address show dev mesh0");
        for words in
            ["mtu 1420", "state UP", "inet 10.77.0.1/24", "inet6 fd69:7264::1/128 scope global nodad"]
        {
            assert!(shown.contains(words), "{words} in {shown}");
        }
        assert!(!shown.contains("fd69:7264::1/128 scope global tentative"), "{shown}");
        drop(host);
        assert_eq!(scene.snapshot(), before);
    });
}

#[test]
fn exceptions_and_longer_prefixes_of_the_host_stay_out() {
    Scene::play(|scene| async move {
        let mut plan = plan(&["10.0.0.0/8", "10.5.0.128/25"]);
        plan.routing.except.push("10.9.0.0/16".parse().unwrap());
        let host = scene.start(plan).await.unwrap();
        for (to, way) in [
            ("10.1.1.1", DEVICE),
            ("10.9.1.1", "eth0"),
            ("10.5.0.2", "lan0"),
            ("10.5.0.200", DEVICE),
            ("10.77.0.2", DEVICE),
            ("11.0.0.1", "eth0"),
        ] {
            assert_eq!(scene.way(to, ""), way, "{to}");
        }
        host.end().await;
    });
}

#[test]
fn the_other_family_does_not_leak_unless_it_is_asked_for() {
    Scene::play(|scene| async move {
        for (prefix, closed, lan) in
            [("0.0.0.0/0", "2001:db8:9::9", "fd05::2"), ("::/0", "203.0.113.1", "10.5.0.2")]
        {
            let mut plan = plan(&[prefix]);
            let host = scene.start(plan.clone()).await.unwrap();
            assert_eq!(
                (scene.way(closed, ""), scene.way(lan, "")),
                (String::new(), "lan0".into()),
                "{prefix}"
            );
            assert_eq!(scene.marked_way(closed), "eth0");
            host.end().await;
            plan.routing.close_other_family = false;
            let host = scene.start(plan).await.unwrap();
            assert_eq!(scene.way(closed, ""), "eth0", "{prefix}");
            host.end().await;
        }
    });
}

#[test]
fn without_the_device_nothing_of_the_mesh_leaves_by_the_underlay() {
    Scene::play(|scene| async move {
        let host = scene.start(plan(&["0.0.0.0/0", "::/0", "10.78.0.0/24"])).await.unwrap();
        scene.ip("link delete mesh0");
        for to in ["203.0.113.1", "2001:db8:9::9", "10.78.0.1", "fd69:7264::2"] {
            assert_eq!((scene.way(to, ""), scene.marked_way(to)), (String::new(), "eth0".into()), "{to}");
        }
        assert_eq!(scene.way("10.5.0.2", ""), "lan0");
        host.end().await;
        assert_eq!(scene.way("203.0.113.1", ""), "eth0");
    });
}

#[test]
fn a_route_in_the_way_is_named_and_left_alone() {
    Scene::play(|scene| async move {
        scene.ip("route add 10.78.0.0/24 via 10.5.0.2");
        scene.ip("-6 route add fd78::/32 dev lan0");
        let before = scene.snapshot();
        for (prefix, words) in [("10.78.0.0/24", "via 10.5.0.2 dev lan0"), ("fd78::/32", "dev lan0")] {
            let error = scene.start(plan(&[prefix])).await.unwrap_err();
            let expected = format!(
                "mesh0: cannot route {prefix}: it is routed {words} already; remove that route or this one"
            );
            assert_eq!(error.to_string(), expected);
            assert_eq!(scene.snapshot(), before);
        }
    });
}

#[test]
fn the_devices_own_network_may_be_routed_too() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        scene.start(plan(&["10.77.0.0/24"])).await.unwrap().end().await;
        assert_eq!(scene.snapshot(), before);
    });
}

#[test]
fn a_missing_device_and_disabled_ipv6_are_named() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        let error = scene.start(Plan { device: "none0".into(), ..plan(&[]) }).await.unwrap_err();
        assert_eq!(error.to_string(), "none0: no such network device");
        // The sysctl tree of a new namespace is writable for who made it, where /proc/sys is mounted so.
        if std::fs::write(format!("/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6"), "1").is_ok() {
            let error = scene.start(plan(&[])).await.unwrap_err();
            assert!(matches!(error, HostError::Netlink(NetlinkError::Ipv6Disabled { .. })), "{error}");
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6"), "0").unwrap();
        }
        assert_eq!(scene.snapshot(), before);
    });
}
