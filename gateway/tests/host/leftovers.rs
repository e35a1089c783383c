// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a killed daemon leaves behind, and two daemons on one host.

use irdest_gateway::host::{Forward, Plan, cleanup};

use crate::scene::{DEVICE, Scene, plan};

/// A plan that changes everything that can be changed.
fn full() -> Plan {
    let forward = Forward {
        interfaces: vec!["lan0".into()],
        exit_interfaces: vec!["eth0".into()],
        nat: true,
        exit_nat: true,
    };
    Plan { forward, ..plan(&["0.0.0.0/0"]) }
}

#[test]
fn the_next_start_takes_over_what_a_killed_daemon_left() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        std::mem::forget(scene.start(full()).await.unwrap());
        let running = scene.snapshot();
        let host = scene.start(full()).await.unwrap();
        assert_eq!(scene.snapshot(), running, "nothing twice");
        host.end().await;
        assert_eq!(scene.snapshot(), before, "sysctls as they were before the first");
    });
}

#[test]
fn a_start_with_another_plan_removes_what_is_not_in_it() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        std::mem::forget(scene.start(full()).await.unwrap());
        // Its device goes with a killed daemon.
        scene.ip("link delete mesh0");
        assert_eq!(scene.way("203.0.113.1", ""), "");
        scene.add_device(DEVICE);
        let mut other = plan(&["10.78.0.0/24"]);
        other.routing.table = 700;
        let host = scene.start(other).await.unwrap();
        assert_eq!(
            (scene.way("203.0.113.1", ""), scene.way("10.78.0.1", "")),
            ("eth0".into(), DEVICE.into())
        );
        host.end().await;
        let state = |text: &str| text.lines().filter(|line| !line.starts_with(DEVICE)).collect::<String>();
        assert_eq!(state(&scene.snapshot()), state(&before));
    });
}

#[test]
fn cleaning_up_needs_no_plan() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        let mut plan = full();
        plan.addresses.clear();
        std::mem::forget(scene.start(plan).await.unwrap());
        let state_dir = scene.state_dir();
        let node = scene.host.clone();
        node.thread(move || cleanup(&state_dir)).unwrap().join().unwrap().unwrap();
        assert_eq!(scene.snapshot(), before);
    });
}

/// As after the reboot of a container, whose network is new while the state and the boot id of the machine are the old ones.
#[test]
fn what_was_done_to_a_network_that_is_no_more_is_not_put_back() {
    Scene::play(|scene| async move {
        let mut plan = full();
        plan.addresses.clear();
        std::mem::forget(scene.start(plan.clone()).await.unwrap());
        let file = scene.state_dir().join("host.toml");
        let record = std::fs::read(&file).unwrap();
        let clean_up = || {
            let (node, state_dir) = (scene.host.clone(), scene.state_dir());
            node.thread(move || cleanup(&state_dir)).unwrap().join().unwrap().unwrap();
        };
        clean_up();
        // Somebody else forwards in the new network, before the record of the old one is found.
        scene.forward("lan0");
        let before = scene.snapshot();
        std::fs::write(&file, &record).unwrap();
        clean_up();
        assert_eq!(scene.snapshot(), before);
        std::fs::write(&file, &record).unwrap();
        scene.start(plan).await.unwrap().end().await;
        assert_eq!(scene.snapshot(), before);
    });
}

#[test]
fn sysctls_are_put_back_where_rules_or_filters_are_left() {
    Scene::play(|scene| async move {
        let before = scene.snapshot();
        let mut plan = full();
        plan.addresses.clear();
        let rules = "ip rule flush protocol 105 && ip -6 rule flush protocol 105";
        for gone in [rules, "nft flush ruleset"] {
            std::mem::forget(scene.start(plan.clone()).await.unwrap());
            scene.host.run("sh", &["-c", gone], scene.host.limit()).unwrap();
            let (node, state_dir) = (scene.host.clone(), scene.state_dir());
            node.thread(move || cleanup(&state_dir)).unwrap().join().unwrap().unwrap();
            assert_eq!(scene.snapshot(), before, "after {gone}");
        }
    });
}

#[test]
fn a_second_daemon_needs_a_table_of_its_own() {
    Scene::play(|scene| async move {
        let first = scene.start(plan(&["10.78.0.0/24"])).await.unwrap();
        let running = scene.snapshot();
        scene.add_device("mesh1");
        let other_state = scene.net.directory();
        let mut second = Plan { device: "mesh1".into(), addresses: Vec::new(), ..plan(&["10.79.0.0/24"]) };
        second.routing.prefixes.truncate(1);
        let error = irdest_gateway::host::Host::start(second.clone(), &other_state).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "host.table = 26994: in use by the gateway of mesh0; give this one a host.table and a host.priority of its own"
        );
        (second.routing.table, second.routing.priority) = (26995, 26995);
        let second = irdest_gateway::host::Host::start(second, &other_state).await.unwrap();
        assert_eq!((scene.way("10.78.0.1", ""), scene.way("10.79.0.1", "")), (DEVICE.into(), "mesh1".into()));
        assert_eq!(scene.marked_way("10.79.0.1"), "eth0");
        second.end().await;
        scene.ip("link delete mesh1");
        assert_eq!(scene.snapshot(), running);
        first.end().await;
    });
}

#[test]
fn a_table_of_somebody_else_is_left_alone() {
    Scene::play(|scene| async move {
        scene.ip("route add 198.51.100.0/24 dev lan0 table 26994");
        let before = scene.snapshot();
        let error = scene.start(plan(&["10.78.0.0/24"])).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "host.table = 26994: holds routes of another program; set host.table to an empty one (`ip route show table 26994`)"
        );
        assert_eq!(scene.snapshot(), before);
    });
}
