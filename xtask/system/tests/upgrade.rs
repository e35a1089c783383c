// SPDX-License-Identifier: AGPL-3.0-or-later
//! An upgrade in place, from the package of the commit before: identity and state stay, and the daemon is restarted once.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::Duration;

use irdest_lab::TimeLimit;
use irdest_system_tests::{Package, TwoTrees};

/// Who it is, what opens that, and the addresses of its device.
const STATE: &str = "sha256sum /var/lib/irdest-gateway/identity /etc/credstore.encrypted/irdest-gateway.*
    ip -brief address show dev irdest0 scope global";
const VERSION: &str = "dpkg-query --show --showformat '${Version}' irdest-gateway";

#[test]
fn an_upgrade_keeps_the_identity_and_restarts_once() {
    let trees = TwoTrees::boot(TimeLimit::within(Duration::from_secs(300))).unwrap();
    let (older, newer) = (Package::before().unwrap(), Package::under_test().unwrap());
    trees.join(&older).unwrap();
    let b = trees.b.gateway();
    let line = "firewall.accept = [{ from = \"any\", ports = [5201] }]";
    b.configure(line).unwrap();
    b.reload().unwrap();
    let state = || (trees.b.shell(STATE).unwrap(), b.status().unwrap().address);
    let (before, announced) = (state(), b.last_origin_time().unwrap());
    let (old, pid) = (trees.b.shell(VERSION).unwrap(), b.main_pid().unwrap());

    let journal = b.journal().unwrap();
    newer.install(&trees.b).unwrap();
    journal.wait_for("Started irdest-gateway.service").unwrap();
    trees.wait_until_joined().unwrap();
    assert_ne!(trees.b.shell(VERSION).unwrap(), old);
    assert_ne!(b.main_pid().unwrap(), pid, "the new program runs");
    let starts = journal.lines().iter().filter(|line| line.text.starts_with("Started ")).count();
    assert_eq!(starts, 1, "{:#?}", journal.lines());
    assert_eq!(state(), before);
    assert!(b.last_origin_time().unwrap() > announced, "what was announced is known");
    assert!(b.configuration().unwrap().contains(line), "what the operator wrote stays");
    trees.ping().unwrap();
}
