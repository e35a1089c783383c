// SPDX-License-Identifier: AGPL-3.0-or-later
//! irdest-ping and irdest-echo as users run them, against a router that says what the mesh does.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "what fails is the test")]

mod examples;
mod router;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

use ratman_wire::api::{Address, AuxiliaryData, News, Request};
use router::{Heard, OURS, Router, Stream, THEIRS};

fn ping(router: &Router, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_irdest-ping"));
    command.env_clear().args(["-b", &router.address.to_string()]).args(words).arg(THEIRS.to_string());
    command
}

/// What is shown, with figures of time as T.
fn shown(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap().replace(&THEIRS.to_string(), "ADDRESS");
    let lines = text.lines().map(|line| match line.split_once("time") {
        Some((before, _)) => format!("{before}time…"),
        None if line.starts_with("rtt ") => "rtt…".to_owned(),
        None => line.to_owned(),
    });
    lines.collect()
}

fn press_ctrl_c(child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

/// The temporary address is up before anything is sent, and gone at the end.
fn is_tidy(heard: &Heard) -> bool {
    let last = heard.requests.iter().rev().find(|request| !matches!(request, Request::Cancel(_)));
    matches!(last, Some(Request::AddressDestroy(gone)) if gone.address == OURS && gone.force)
}

#[test]
fn who_answers_is_told_with_hops_and_statistics() {
    let router = Router::new(|_, content| vec![content], News::Delivered);
    let output = ping(&router, &["-c", "2", "-i", "0.01"]).output().unwrap();
    let from = OURS.to_string();
    assert_eq!(
        shown(&output),
        [
            format!("PING ADDRESS: 64 bytes each, from {from} (a temporary address)"),
            "64 bytes from ADDRESS: seq=1 hops=2 time…".to_owned(),
            "64 bytes from ADDRESS: seq=2 hops=2 time…".to_owned(),
            String::new(),
            "--- ADDRESS ping statistics ---".to_owned(),
            "2 transmitted, 2 received, 0% loss, time…".to_owned(),
            "rtt…".to_owned(),
        ]
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(is_tidy(&router.heard()));
    assert_eq!(router.heard().taken, 2);
}

#[test]
fn what_is_lost_doubled_or_changed_is_told_apart() {
    let answer = |number, mut content: Vec<u8>| match number {
        1 => Vec::new(),
        2 => vec![content.clone(), content],
        _ => {
            content[50] ^= 1;
            vec![content]
        }
    };
    let router = Router::new(answer, News::Delivered);
    let output = ping(&router, &["-c", "3", "-i", "0.05", "-W", "0.4"]).output().unwrap();
    let lines = shown(&output);
    for line in [
        "64 bytes from ADDRESS: seq=2 hops=2 time…",
        "no reply from ADDRESS: seq=1 within 400 ms",
        "no reply from ADDRESS: seq=3 within 400 ms",
        "3 transmitted, 1 received, +1 duplicates, 66.6% loss, time…",
    ] {
        assert!(lines.iter().any(|shown| shown == line), "{line}: {lines:?}");
    }
    assert_eq!(output.status.code(), Some(0), "somebody answered");
}

#[test]
fn nobody_is_told_by_the_exit_code_and_a_denial_at_once() {
    let router = Router::new(|_, _| Vec::new(), News::Denied);
    // Nothing here takes ten seconds.
    let output = ping(&router, &["-c", "1", "-W", "1d"]).output().unwrap();
    let lines = shown(&output);
    assert_eq!(lines[1], "no reply from ADDRESS: seq=1 denied: it does not want it");
    assert_eq!(output.status.code(), Some(1));
    assert!(is_tidy(&router.heard()));
}

#[test]
fn ctrl_c_prints_the_summary_and_leaves_nothing_behind() {
    let router = Router::new(|_, content| vec![content], News::Delivered);
    let mut child = ping(&router, &["--json", "-i", "0.01"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(r#""event":"reply""#) {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0);
    }
    press_ctrl_c(&child);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let summary: serde_json::Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(summary["event"], "summary");
    assert!(summary["received"].as_u64().unwrap() >= 1, "{summary}");
    assert!(is_tidy(&router.heard()));
}

#[test]
fn what_goes_wrong_is_not_the_silence_of_others() {
    let router = Router::new(|_, _| Vec::new(), News::Delivered);
    let nowhere = Command::new(env!("CARGO_BIN_EXE_irdest-ping"))
        .args(["-b", "127.0.0.1:1", "-c", "1", &THEIRS.to_string()])
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    let home = tempfile::tempdir().unwrap();
    let own = ping(&router, &["--own"]).env("HOME", home.path()).output().unwrap();
    assert_eq!(own.status.code(), Some(2));
    assert!(String::from_utf8(own.stderr).unwrap().contains("ratctl address create"));
}

fn from(with: u8, content: &[u8]) -> Stream {
    let with = Address::from_bytes([with; 32]);
    Stream { with, content: content.to_vec(), data: AuxiliaryData::default() }
}

#[test]
fn an_echo_answers_within_bounds_and_no_echo() {
    let router = Router::new(|_, _| Vec::new(), News::Delivered);
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_irdest-echo"))
        .env_clear()
        .env("HOME", home.path())
        .env("IRDEST_IDENTITY", "/nowhere")
        .args(["-b", &router.address.to_string(), "--json", "-q", "--max-size", "10", "--rate", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains(&OURS.to_string()), "{line}");
    assert!(home.path().join(".config/irdest/echo").exists());

    // An echo of another one, one that is too long, six of one sender who may send five, one of somebody else.
    let mark = AuxiliaryData::new([(c"irdest-echo", c"1")]).unwrap();
    router.bring(Stream { data: mark.clone(), ..from(0x22, b"echo") });
    router.bring(from(0x22, b"eleven bytes"));
    for _ in 0..6 {
        router.bring(from(0x33, b"hello"));
    }
    router.bring(from(0x44, b"last"));
    router.wait_until(|heard| heard.taken == 9);
    press_ctrl_c(&child);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let told: serde_json::Value = serde_json::from_str(&rest).unwrap();
    let figure = |name: &str| told["figures"][name].as_u64().unwrap();
    let figures = ["echoed", "bytes", "echoes", "too_long", "failed"].map(figure);
    // Whoever is slow enough for the rate sees all six echoed.
    let echoed = figure("echoed");
    assert!(figures[2..] == [1, 1, 0] && echoed + figure("too_many") == 7 && echoed >= 6, "{told}");

    let heard = router.heard();
    assert_eq!(heard.sent[0], Stream { data: mark, ..from(0x33, b"hello") });
    assert_eq!(heard.sent.last().unwrap().content, b"last");
    assert!(matches!(heard.requests.last(), Some(Request::AddressDown(OURS))));
}
