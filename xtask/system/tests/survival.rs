// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the unit survives: a kill, a hang, a reboot, mistakes in its configuration.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::Duration;

use irdest_lab::{TimeLimit, rounds};
use irdest_system_tests::{OneTree, Package, Tree, TwoTrees};

/// Within it a daemon that was killed is ready again.
const BACK_WITHIN: Duration = Duration::from_secs(3);

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(300))
}

fn joined() -> TwoTrees {
    let trees = TwoTrees::boot(limit()).unwrap();
    trees.join(&Package::under_test().unwrap()).unwrap();
    trees
}

/// Who it is, and the addresses of its device.
fn identity(tree: &Tree) -> (String, String) {
    let addresses = tree.shell("ip -brief address show dev irdest0 scope global").unwrap();
    assert!(addresses.contains("fd69:"), "{addresses}");
    (tree.gateway().status().unwrap().address, addresses)
}

/// B is as it was, for A as well.
fn assert_back(trees: &TwoTrees, before: &(String, String)) {
    trees.wait_until_joined().unwrap();
    assert_eq!(&identity(&trees.b), before);
    trees.ping().unwrap();
}

#[test]
fn a_killed_daemon_is_back_with_the_same_addresses() {
    let trees = joined();
    let (gateway, before) = (trees.b.gateway(), identity(&trees.b));
    for _ in 0..rounds() {
        let journal = gateway.journal().unwrap();
        trees.b.shell(&format!("kill -KILL {}", gateway.main_pid().unwrap())).unwrap();
        let killed = journal.wait_for("status=9/KILL").unwrap();
        let back = journal.wait_for("Started irdest-gateway.service").unwrap();
        let outage = back.at - killed.at;
        assert!(outage < BACK_WITHIN, "it was away for {outage:?}");
        assert_back(&trees, &before);
    }
}

#[test]
fn a_daemon_that_hangs_is_replaced() {
    let trees = joined();
    let (gateway, before) = (trees.b.gateway(), identity(&trees.b));
    let journal = gateway.journal().unwrap();
    let hung = gateway.main_pid().unwrap();
    trees.b.shell(&format!("kill -STOP {hung}")).unwrap();
    journal.wait_for("Watchdog timeout").unwrap();
    journal.wait_for("Started irdest-gateway.service").unwrap();
    assert_ne!(gateway.main_pid().unwrap(), hung);
    assert_back(&trees, &before);
}

#[test]
fn an_enabled_unit_is_back_after_a_reboot() {
    let mut trees = joined();
    let before = identity(&trees.b);
    assert_eq!(trees.b.gateway().property("UnitFileState").unwrap(), "enabled", "by its installation");
    trees.b.reboot().unwrap();
    assert_eq!(trees.b.gateway().property("ActiveState").unwrap(), "active");
    assert_back(&trees, &before);
}

#[test]
fn a_wrong_configuration_is_refused_at_the_start_with_the_reason_in_the_journal() {
    let one = OneTree::with_package(limit()).unwrap();
    let gateway = one.tree.gateway();
    gateway.stop().unwrap();
    gateway.configure("tun.mtu = 12").unwrap();
    let journal = gateway.journal().unwrap();
    gateway.start().unwrap_err();
    let reason = journal.wait_for("tun.mtu").unwrap();
    assert!(reason.text.contains("1280"), "{}", reason.text);
    // systemd does not try again what cannot succeed.
    assert_eq!(gateway.property("ActiveState").unwrap(), "failed");
    assert_eq!(gateway.property("NRestarts").unwrap(), "0");
}

#[test]
fn a_wrong_configuration_is_not_reloaded_and_the_old_one_holds() {
    let trees = joined();
    let gateway = trees.b.gateway();
    let (before, good) = (identity(&trees.b), gateway.configuration().unwrap());
    let (pid, journal) = (gateway.main_pid().unwrap(), gateway.journal().unwrap());
    gateway.configure("tun.mtu = 12").unwrap();
    // Whether systemctl itself fails is not what counts: the daemon says what it did.
    let _refused = gateway.reload();
    let said = journal.wait_for("not reloaded, the old one holds").unwrap();
    assert!(said.text.contains("tun.mtu"), "{}", said.text);
    let in_status = || Ok(gateway.property("StatusText")?.contains("reload refused").then_some(()));
    trees.b.limit().wait_for("the status line to say so, too", in_status).unwrap();
    assert_eq!(gateway.main_pid().unwrap(), pid, "it was not restarted");
    assert_back(&trees, &before);

    gateway.set_configuration(&good).unwrap();
    gateway.reload().unwrap();
    journal.wait_for("configuration reloaded").unwrap();
    trees.ping().unwrap();
}
