// SPDX-License-Identifier: AGPL-3.0-or-later
//! A state directory that takes nothing: a disk that is full, and one that cannot be written to.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::time::Duration;

use irdest_lab::TimeLimit;
use irdest_system_tests::{OneTree, Tree, TwoTrees};

/// A file system of its own for the state, small enough to be filled. What was there, the identity, comes along.
const OWN_DISK: &str = "cp -a /var/lib/irdest-gateway /var/tmp/state &&
    mount -t tmpfs -o size=32m,mode=700 tmpfs /var/lib/irdest-gateway &&
    chown --reference=/var/tmp/state /var/lib/irdest-gateway &&
    cp -a /var/tmp/state/. /var/lib/irdest-gateway/";

/// Of a line in the journal.
const ERROR: u8 = 3;

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(300))
}

/// Gives the state of a gateway that has run once, and is stopped for it, a disk of its own.
fn give_own_disk(tree: &Tree) {
    tree.gateway().stop().unwrap();
    tree.shell(OWN_DISK).unwrap();
}

/// Makes the state read-only for the daemon, which has mounts of its own, or ends that.
fn set_read_only(tree: &Tree, read_only: bool) {
    let directory = "/var/lib/irdest-gateway";
    let change = match read_only {
        true => format!("mount --bind {directory} {directory} && mount -o remount,bind,ro {directory}"),
        false => format!("umount {directory}"),
    };
    let daemon = tree.gateway().main_pid().unwrap();
    tree.shell(&format!("nsenter --target {daemon} --mount sh -c '{change}'")).unwrap();
}

/// Takes all room on that disk.
fn fill(tree: &Tree) {
    tree.shell("head -c 40M /dev/zero > /var/lib/irdest-gateway/filler").unwrap_err();
}

#[test]
fn a_full_disk_is_told_of_and_announcements_go_on() {
    let trees = TwoTrees::joined(limit()).unwrap();
    let b = trees.b.gateway();
    give_own_disk(&trees.b);
    b.start().unwrap();
    trees.wait_until_joined().unwrap();
    let (address, pid) = (b.status().unwrap().address, b.main_pid().unwrap());
    assert_eq!(b.finding("disk").unwrap().severity, "ok");

    fill(&trees.b);
    assert_ne!(b.finding("disk").unwrap().severity, "ok");
    // What it announces has to be stored before, in the room that it has already.
    let full = b.last_origin_time().unwrap();
    let goes_on = || Ok((b.last_origin_time()? > full).then_some(()));
    trees.b.limit().wait_for("announcements on a full disk", goes_on).unwrap();
    trees.wait_until_joined().unwrap();
    trees.ping().unwrap();

    trees.b.run("rm", &["/var/lib/irdest-gateway/filler"]).unwrap();
    assert_eq!(b.finding("disk").unwrap().severity, "ok");
    assert_eq!(b.main_pid().unwrap(), pid, "it went on all the time");
    assert_eq!(b.status().unwrap().address, address);
}

#[test]
fn a_gateway_starts_on_a_full_disk_as_who_it_was() {
    let one = OneTree::with_package(limit()).unwrap();
    let gateway = one.tree.gateway();
    gateway.start().unwrap();
    let address = gateway.status().unwrap().address;
    give_own_disk(&one.tree);
    fill(&one.tree);
    gateway.start().unwrap();
    assert_eq!(gateway.status().unwrap().address, address);
}

#[test]
fn a_state_directory_that_becomes_read_only_is_told_of_and_the_gateway_runs_on() {
    let trees = TwoTrees::joined(limit()).unwrap();
    let b = trees.b.gateway();
    let (address, pid, journal) = (b.status().unwrap().address, b.main_pid().unwrap(), b.journal().unwrap());
    assert_eq!(b.finding_in_its_mounts("state-directory").unwrap().severity, "ok");

    set_read_only(&trees.b, true);
    let said = journal.wait_for("times cannot be stored").unwrap();
    assert!(said.priority == ERROR && said.text.contains("Read-only file system"), "{said:?}");
    let warns = || Ok(b.status()?.warnings.iter().any(|warning| warning.contains("Read-only")).then_some(()));
    trees.b.limit().wait_for("the warning in the status", warns).unwrap();
    let line = || Ok(b.property("StatusText")?.contains("Read-only").then_some(()));
    trees.b.limit().wait_for("the warning in the status line", line).unwrap();
    assert_eq!(b.finding_in_its_mounts("state-directory").unwrap().severity, "error");
    let told = b.finding("gateway").unwrap();
    assert!(told.severity == "warning" && told.found.contains("Read-only"), "{told:?}");
    trees.ping().unwrap();

    set_read_only(&trees.b, false);
    journal.wait_for("times are stored again").unwrap();
    trees.wait_until_joined().unwrap();
    trees.ping().unwrap();
    assert!(b.status().unwrap().warnings.is_empty());
    assert_eq!(b.finding_in_its_mounts("state-directory").unwrap().severity, "ok");
    assert_eq!(
        (b.status().unwrap().address, b.main_pid().unwrap()),
        (address, pid),
        "it went on all the time"
    );
}

#[test]
fn a_state_directory_that_cannot_be_written_to_is_refused_with_the_reason() {
    let one = OneTree::with_package(limit()).unwrap();
    let gateway = one.tree.gateway();
    gateway.start().unwrap();
    let address = gateway.status().unwrap().address;
    give_own_disk(&one.tree);
    one.tree.shell("mount -o remount,ro /var/lib/irdest-gateway").unwrap();
    let journal = gateway.journal().unwrap();
    gateway.start().unwrap_err();
    journal.wait_for("Read-only file system").unwrap();
    assert_eq!(gateway.finding("state-directory").unwrap().severity, "error");

    one.tree.shell("mount -o remount,rw /var/lib/irdest-gateway").unwrap();
    let back = || Ok((gateway.property("ActiveState")? == "active").then_some(()));
    one.tree.limit().wait_for("the unit to come back by itself", back).unwrap();
    assert_eq!(gateway.status().unwrap().address, address);
}
