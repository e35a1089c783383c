// SPDX-License-Identifier: AGPL-3.0-or-later
//! A state directory that is full or read-only, at the start and later: a file system of its own in the mounts of the daemon.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use irdest_lab::traffic::ping;
use irdest_lab::{Gateway, ThreeRouters};

use crate::scene::{b, complete, lines, prepared};

/// Moves the state to a small file system, does `$1` there, and becomes the rest.
const ON_A_SMALL_DISK: &str =
    "cp -a state saved && mount -t tmpfs -o size=64k,mode=700 tmpfs state && cp -a saved/. state || exit
( cd state && eval \"$1\" )
shift
exec \"$@\"";

/// Writes until there is no room left; smaller and smaller, as the last bytes count.
const FILL: &str = "dd if=/dev/zero of=fill bs=1 count=1M 2>/dev/null; true";

const ERROR: &str = "times cannot be stored";

/// Longer than the longest pause between two attempts.
const RECOVERED: Duration = Duration::from_secs(45);

fn start(routers: &mut ThreeRouters, first: &str) -> anyhow::Result<()> {
    routers.a.start_by("sh", &["-c", ON_A_SMALL_DISK, "sh", first])
}

/// A's state directory as A sees it.
fn inside(gateway: &Gateway) -> PathBuf {
    let state = gateway.node().directory().join("state");
    let root = format!("/proc/{}/root", gateway.process_id().unwrap());
    PathBuf::from(root).join(state.strip_prefix("/").unwrap())
}

/// Fills A's disk to the last byte.
fn fill(gateway: &Gateway) {
    let mut file = File::create(inside(gateway).join("fill")).unwrap();
    while file.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
}

fn times(gateway: &Gateway) -> String {
    fs::read_to_string(inside(gateway).join("times.toml")).unwrap_or_default()
}

fn announcements(gateway: &Gateway) -> u64 {
    gateway.status().unwrap().counters["announcements_made"]
}

/// A command with A's mounts.
fn with_mounts(gateway: &Gateway, command: &[&str]) {
    let process = gateway.process_id().unwrap().to_string();
    let arguments = [&["-t", &process, "-m", "--"], command].concat();
    gateway.node().run("nsenter", &arguments, gateway.node().limit()).unwrap();
}

#[test]
fn a_full_disk_keeps_a_new_gateway_silent_and_an_old_one_not() {
    let mut routers = prepared();
    // It has its identity, but never announced anything.
    start(&mut routers, FILL).unwrap();
    routers.r.start_as_ratmand().unwrap();
    routers.b.start().unwrap();
    let warns = || routers.a.status().is_ok_and(|status| !status.warnings.is_empty());
    routers.limit().wait_until("the warning", warns).unwrap();
    let warnings = routers.a.status().unwrap().warnings;
    assert!(warnings[0].contains("times.toml") && warnings[0].contains("No space left"), "{warnings:?}");
    let withheld = || routers.a.status().is_ok_and(|status| status.counters["announcements_withheld"] > 2);
    routers.limit().wait_until("attempts to announce", withheld).unwrap();
    assert_eq!(announcements(&routers.a), 0, "what is not stored is not announced");
    assert_eq!(lines(&routers.a, &["ERROR", ERROR, "times.toml", "No space left"]), 1);

    fs::remove_file(inside(&routers.a).join("fill")).unwrap();
    let recovered = || routers.a.status().is_ok_and(|status| status.warnings.is_empty());
    routers.limit().at_most(RECOVERED).wait_until("the state to be stored", recovered).unwrap();
    routers.wait_for_routes().unwrap();

    // From now on it needs no more room.
    fill(&routers.a);
    let before = times(&routers.a);
    let stored = || times(&routers.a) != before;
    routers.limit().wait_until("another ceiling on the full disk", stored).unwrap();
    ping(routers.a.node(), b(), 3, routers.limit()).unwrap();
    assert!(routers.a.status().unwrap().warnings.is_empty());
    assert_eq!(lines(&routers.a, &["ERROR"]), 2, "the times and the journal, each once");
    assert_eq!(lines(&routers.a, &["ERROR", "no room for the journal"]), 1);
}

#[test]
fn a_state_directory_that_becomes_read_only_is_told_once_and_used_again_afterwards() {
    let mut routers = prepared();
    start(&mut routers, "true").unwrap();
    complete(&mut routers);
    let state = routers.a.node().directory().join("state").display().to_string();
    with_mounts(&routers.a, &["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", &state]);
    let warns = || routers.a.status().is_ok_and(|status| !status.warnings.is_empty());
    routers.limit().wait_until("the warning", warns).unwrap();
    let warnings = routers.a.status().unwrap().warnings;
    assert!(warnings[0].contains("Read-only file system"), "{warnings:?}");
    ping(routers.a.node(), b(), 3, routers.limit()).unwrap();
    let (made, table) = (announcements(&routers.a), routers.a.status_table().unwrap());
    assert!(table.contains("warning    ") && table.contains("times.toml: cannot write"), "{table}");
    let withheld = |least: u64| {
        routers.a.status().is_ok_and(|status| status.counters["announcements_withheld"] >= least)
    };
    let before = routers.a.status().unwrap().counters["announcements_withheld"];
    routers.limit().wait_until("more attempts", || withheld(before + 3)).unwrap();
    assert_eq!(announcements(&routers.a), made, "what is not stored is not announced");
    assert_eq!(lines(&routers.a, &["ERROR", ERROR]), 1);

    with_mounts(&routers.a, &["umount", &state]);
    let recovered = || routers.a.status().is_ok_and(|status| status.warnings.is_empty());
    routers.limit().at_most(RECOVERED).wait_until("the state to be stored", recovered).unwrap();
    let goes_on = || announcements(&routers.a) > made;
    routers.limit().wait_until("announcements", goes_on).unwrap();
    routers.wait_for_routes().unwrap();
    ping(routers.a.node(), b(), 1, routers.limit()).unwrap();
}

#[test]
fn a_state_directory_that_is_read_only_at_the_start_is_named() {
    let mut routers = prepared();
    let error = format!("{:#}", start(&mut routers, "mount -o remount,ro .").unwrap_err());
    let path = routers.a.node().directory().join("state/lock").display().to_string();
    assert!(error.contains(&format!("{path}: cannot open: Read-only file system")), "{error}");
}
