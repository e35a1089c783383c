// SPDX-License-Identifier: AGPL-3.0-or-later
//! Networks behind the gateway, and the gateway as an exit: real packets from node to node.

use irdest_gateway::host::{Forward, HostError, Plan};

use crate::scene::{Scene, plan};

fn forwarding(interfaces: &[&str], exit_interfaces: &[&str], nat: bool) -> Plan {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let forward = Forward {
        interfaces: names(interfaces),
        exit_interfaces: names(exit_interfaces),
        nat,
        exit_nat: true,
    };
    Plan { forward, ..plan(&["10.78.0.0/24"]) }
}

#[test]
fn site_to_site_passes_both_ways_and_nothing_else_does() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        // The way back, as if the host were a router to them.
        scene.net.ip(&["route", "add", "10.5.0.0/24", "via", "192.0.2.1"]).unwrap();
        let host = scene.start(forwarding(&["lan0"], &[], false)).await.unwrap();
        for (node, to) in [
            (&scene.lan, "10.78.0.1"),
            (&scene.lan, "fd69:7264::2"),
            (&scene.mesh, "10.5.0.2"),
            (&scene.mesh, "fd05::2"),
        ] {
            assert!(scene.reaches(node, to), "{} to {to}", node.name());
        }
        for (node, to) in [
            (&scene.net, "10.5.0.2"),
            (&scene.lan, "192.0.2.9"),
            (&scene.mesh, "192.0.2.9"),
            (&scene.mesh, "2001:db8::9"),
        ] {
            assert!(!scene.reaches(node, to), "{} to {to}", node.name());
        }
        host.end().await;
        assert_eq!(scene.snapshot(), before);
        assert!(!scene.reaches(&scene.lan, "10.78.0.1"));
    });
}

#[test]
fn hosts_of_a_lan_take_the_gateways_address() {
    Scene::play(|scene| async move {
        // Without a way back to the LAN, only an answer to the gateway's own address arrives.
        scene.mesh.ip(&["route", "delete", "default"]).unwrap();
        scene.mesh.ip(&["-6", "route", "delete", "default"]).unwrap();
        let mut host = scene.start(forwarding(&["lan0"], &[], false)).await.unwrap();
        assert!(!scene.reaches(&scene.lan, "10.78.0.1"));
        host.apply(forwarding(&["lan0"], &[], true)).await.unwrap();
        assert!(scene.reaches(&scene.lan, "10.78.0.1") && scene.reaches(&scene.lan, "fd69:7264::2"));
        host.end().await;
    });
}

#[test]
fn remotes_leave_by_the_exit_and_nobody_enters_there() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        scene.net.ip(&["route", "add", "10.77.0.0/24", "via", "192.0.2.1"]).unwrap();
        let mut host = scene.start(forwarding(&[], &["eth0"], false)).await.unwrap();
        for to in ["203.0.113.1", "2001:db8:9::9"] {
            assert!(scene.reaches(&scene.mesh, to), "{to}");
        }
        assert!(!scene.reaches(&scene.net, "10.77.0.2"), "answers only");
        assert!(!scene.reaches(&scene.mesh, "10.5.0.2"), "not into the LAN");
        // Reloaded without the exit, everything is as if it had never been one.
        host.apply(forwarding(&[], &[], false)).await.unwrap();
        assert!(!scene.reaches(&scene.mesh, "203.0.113.1"));
        host.end().await;
        assert_eq!(scene.snapshot(), before);
    });
}

#[test]
fn a_lan_reaches_the_exit_through_the_mesh_and_nothing_leaks_without_it() {
    Scene::play(|scene| async move {
        let mut plan = forwarding(&["lan0"], &[], true);
        plan.routing.prefixes.push("0.0.0.0/0".parse().unwrap());
        scene.net.ip(&["route", "add", "10.5.0.0/24", "via", "192.0.2.1"]).unwrap();
        scene.mesh.ip(&["address", "add", "203.0.113.1/32", "dev", "tun"]).unwrap();
        let host = scene.start(plan).await.unwrap();
        assert!(scene.reaches(&scene.lan, "203.0.113.1"));
        scene.ip("link delete mesh0");
        assert!(!scene.reaches(&scene.lan, "203.0.113.1"), "not by eth0, where it would be answered, too");
        host.end().await;
    });
}

#[test]
fn a_device_with_a_name_that_is_a_pattern_forwards_nothing() {
    Scene::play(|scene| async move {
        scene.add_device("mesh*");
        let plan = Plan { device: "mesh*".into(), ..forwarding(&["lan0"], &[], false) };
        let error = scene.start(plan).await.unwrap_err();
        assert!(matches!(error, HostError::DeviceName(_)), "{error}");
        assert!(scene.ip("rule").lines().all(|line| !line.contains("26994")));
    });
}
