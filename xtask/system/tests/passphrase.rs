// SPDX-License-Identifier: AGPL-3.0-or-later
//! The passphrase that the installation makes: sealed to the machine where systemd can do that, and a file of root's where it cannot.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::Duration;

use irdest_lab::TimeLimit;
use irdest_system_tests::{OneTree, Package};

const SEALED: &str = "/etc/credstore.encrypted/irdest-gateway.identity-passphrase";
const PLAIN: &str = "/etc/credstore/irdest-gateway.identity-passphrase.plain";

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(300))
}

#[test]
fn a_new_gateway_runs_with_a_passphrase_that_is_sealed_to_its_machine() {
    let one = OneTree::with_package(limit()).unwrap();
    assert_eq!(one.tree.gateway().property("ActiveState").unwrap(), "active", "without another command");
    let found = one.tree.shell(&format!("stat -c '%a %U' {SEALED}; test ! -e {PLAIN}")).unwrap();
    assert_eq!(found.trim(), "600 root");
    let opened = format!("systemd-creds decrypt --name=identity-passphrase {SEALED} - | wc -c");
    assert_eq!(one.tree.shell(&opened).unwrap().trim(), "64", "256 bits in hexadecimal digits");
}

#[test]
fn where_nothing_can_be_sealed_root_alone_can_read_it() {
    let one = OneTree::boot(limit()).unwrap();
    one.tree.shell("mount --bind /bin/false /usr/bin/systemd-creds").unwrap();
    Package::under_test().unwrap().install(&one.tree).unwrap();
    assert_eq!(one.tree.gateway().property("ActiveState").unwrap(), "active");
    let found = format!("stat -c '%a %U %s' {PLAIN}; ls -d {SEALED}* 2>/dev/null; true");
    assert_eq!(one.tree.shell(&found).unwrap().trim(), "600 root 64");
}
