// SPDX-License-Identifier: AGPL-3.0-or-later
//! A host whose clock was set back an hour, by libfaketime: what was announced before must not be announced again.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::fs;
use std::time::Duration;

use irdest_lab::TimeLimit;
use irdest_system_tests::{Package, TwoTrees};

/// The wall clock alone, for the daemon alone; it has no memory to share with others.
const AN_HOUR_BACK: &str = "FAKETIME=-1h DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1";
/// Of a line in the journal.
const WARNING: u8 = 4;
/// Origin times are made durable some seconds ahead; an hour is far more.
const A_MINUTE: u64 = 60_000_000;

#[test]
fn announcements_go_on_from_the_last_time_after_the_clock_was_set_back() {
    let trees = TwoTrees::boot(TimeLimit::within(Duration::from_secs(300))).unwrap();
    trees.join(&Package::under_test().unwrap()).unwrap();
    let b = trees.b.gateway();
    b.stop().unwrap();
    let before = b.last_origin_time().unwrap();

    let library = trees.b.shell("ls /usr/lib/*/faketime/libfaketimeMT.so.1").unwrap();
    let environment = format!("LD_PRELOAD={} {AN_HOUR_BACK}", library.trim());
    trees.b.run("mkdir", &["-p", "/run/systemd/system/irdest-gateway.service.d"]).unwrap();
    let clock = trees.b.path("/run/systemd/system/irdest-gateway.service.d/clock.conf").unwrap();
    fs::write(clock, format!("[Service]\nEnvironment={environment}\n")).unwrap();
    trees.b.run("systemctl", &["daemon-reload"]).unwrap();
    let journal = b.journal().unwrap();
    b.start().unwrap();

    let said = journal.wait_for("our clock is behind the times that we announced").unwrap();
    assert_eq!(said.priority, WARNING, "{said:?}");
    // A takes them: they are later than all that it has seen.
    trees.wait_until_joined().unwrap();
    trees.ping().unwrap();
    let after = b.last_origin_time().unwrap();
    assert!(before < after && after < before + A_MINUTE, "{before} {after}");
    // To the doctor the clock of the host is what it is to the daemon.
    let report = trees.b.shell(&format!("env {environment} irdest-gateway doctor --json || true")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let told = |finding: &&serde_json::Value| finding["id"] == "clock" && finding["severity"] != "ok";
    assert!(findings.iter().any(|finding| told(&finding)), "{report:#}");
}
