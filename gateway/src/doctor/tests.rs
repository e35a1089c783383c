// SPDX-License-Identifier: AGPL-3.0-or-later
//! What tests of the judges begin with, and the doctor as a whole.

use ratman_types::RouterId;

use super::judge::gateway::Answers;
use super::*;
use crate::status::tests::just_started;
use crate::status::{LinkState, LinkStatus};

/// What a judge adds to an empty report.
pub(super) fn found(judge: impl FnOnce(&mut Report)) -> Report {
    let mut report = Report::default();
    judge(&mut report);
    report
}

/// Asserts that a judge's only finding is as bad as expected and has these words, or that there is none.
pub(super) fn assert_says(
    said: Option<(Severity, String)>,
    expected: Option<(Severity, &str)>,
    of: impl std::fmt::Debug,
) {
    match (&said, expected) {
        (None, None) => {}
        (Some((severity, found)), Some((worst, words))) if *severity == worst && found.contains(words) => {}
        _ => panic!("{of:?}: {said:?}, expected {expected:?}"),
    }
}

/// A gateway of root that runs as process 7, without peers and links.
pub(super) fn answers() -> Answers {
    Answers { status: just_started(), links: None, pid: Some(7), uid: 0 }
}

/// A link to a neighbour whose clock is so far ahead.
pub(super) fn link(clock_offset_us: Option<i64>) -> LinkStatus {
    LinkStatus {
        link: 1,
        netmod: "inet".into(),
        neighbour: RouterId::from_bytes([3; 32]),
        local: "192.0.2.1:5860".into(),
        remote: "192.0.2.2:40000".into(),
        dialed: true,
        state: LinkState::Live,
        mtu: 33_004,
        rtt_us: Some(213),
        clock_offset_us,
        queued_bytes: 0,
        dropped_frames: 0,
        up_s: 60,
    }
}

#[test]
fn a_broken_configuration_is_the_only_finding() {
    let sources = Sources { assignments: vec!["tun.mtu=big".into()], ..Sources::default() };
    let report = examine(&sources).unwrap();
    assert_eq!(report.findings.len(), 1);
    assert!(report.has_errors() && report.findings[0].found.contains("tun.mtu"), "{report:?}");
}

#[test]
fn it_looks_at_a_host_without_a_gateway_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let assignments = vec![
        format!("state_dir={}", state.display()),
        format!("control.socket={}", dir.path().join("control.sock").display()),
        "inet.listen=[]".to_owned(),
    ];
    let report = examine(&Sources { assignments, ..Sources::default() }).unwrap();
    let gateway = report.findings.iter().find(|finding| finding.id == Check::Gateway).unwrap();
    assert_eq!(gateway.severity, Severity::Warning, "{report:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
