// SPDX-License-Identifier: AGPL-3.0-or-later
//! The trees themselves, without the package: that they boot, reach each other, and leave nothing.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use irdest_lab::TimeLimit;
use irdest_system_tests::{OneTree, TwoTrees};
use nix::time::{ClockId, clock_gettime};

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(300))
}

#[test]
fn two_trees_boot_ping_each_other_and_end() {
    let trees = TwoTrees::boot(limit()).unwrap();
    for tree in [&trees.a, &trees.b] {
        let state = tree.run("systemctl", &["is-system-running"]).unwrap();
        assert_eq!(state.trim(), "running", "{}", tree.run("systemctl", &["--failed"]).unwrap());
    }
    trees.a.ping(&TwoTrees::B_ADDRESS.to_string()).unwrap();
    trees.b.power_off().unwrap();
}

#[test]
fn a_tree_reboots_with_its_files_and_leaves_nothing() {
    let mut one = OneTree::boot(limit()).unwrap();
    let (lab, folder) = (one.tree.node().namespace(), one.tree.node().directory());
    let boot =
        |one: &OneTree| one.tree.shell("cat /etc/machine-id; journalctl --list-boots | wc -l").unwrap();
    let before = boot(&one);
    one.tree.shell("echo kept > /etc/kept").unwrap();
    one.tree.reboot().unwrap();
    assert_eq!(one.tree.shell("cat /etc/kept").unwrap(), "kept\n");
    assert_eq!(before.lines().next(), boot(&one).lines().next(), "it is the same machine");
    drop(one);
    assert!(!folder.exists() && !Path::new("/run/netns").join(&lab).exists());
    let found = Command::new("find").args(["/sys/fs/cgroup", "-name", &lab]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "control groups are left");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&lab), "{mounts}");
}

#[test]
fn the_journal_of_a_unit_can_be_followed() {
    let one = OneTree::boot(limit()).unwrap();
    let unit = "[Service]\nType=oneshot\nExecStart=/bin/echo it was here\n";
    fs::write(one.tree.path("/run/systemd/system/hello.service").unwrap(), unit).unwrap();
    one.tree.run("systemctl", &["start", "hello"]).unwrap();
    let journal = one.tree.journal("hello.service").unwrap();
    let started = uptime();
    one.tree.run("systemctl", &["start", "hello"]).unwrap();
    // They come from two programs over two sockets: the journal may have taken them in either order.
    for text in ["it was here", "Finished hello.service"] {
        let line = journal.wait_for(text).unwrap();
        assert!(started <= line.at && line.at <= uptime(), "{started:?} {line:?}");
    }
    let times = journal.lines().iter().filter(|line| line.text == "it was here").count();
    assert_eq!(times, 1, "what was before is left out");
}

/// The clock by which the journal says when something was written.
fn uptime() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap().into()
}
