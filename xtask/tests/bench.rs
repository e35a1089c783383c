// SPDX-License-Identifier: AGPL-3.0-or-later
//! The bench as a program: what it writes, and that nothing of it stays.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Longer than any case takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A script for `--beside` that needs no tunnel: it carries nothing and names the underlay address as its own.
const NO_TUNNEL: &str = r#"#!/bin/sh
echo "$BENCH_NODE" "$BENCH_TUN" "$BENCH_LOCAL" "$BENCH_PEERS" >> "$(dirname "$0")/seen"
test -d "$BENCH_DIR" || exit 1
echo "$BENCH_LOCAL" > "$BENCH_TARGET"
exec sleep 600
"#;

/// A folder of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn script(&self, text: &str) -> String {
        let path = self.0.join("script");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["bench", "--inside", "--rounds", "1", "--seconds", "2"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// The name that everything of the bench with this process id carries.
fn parts_of(process: u32) -> Vec<String> {
    let mark = format!("irdest-lab-{process}-");
    let folders = [std::env::temp_dir(), "/run/netns".into()];
    let entries = folders.iter().flat_map(fs::read_dir).flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(&mark))
        .collect()
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn report(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn measures_and_writes_a_report() {
    let folder = Folder::new("report");
    let (script, file) = (folder.script(NO_TUNNEL), folder.0.join("report.json"));
    let beside = format!("nothing={script}");
    let arguments = ["--only", "raw,nothing", "--beside", &beside, "--json", &file.display().to_string()]
        .map(str::to_owned);
    let output = bench(&arguments.each_ref().map(String::as_str)).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report = report(&file);
    for figure in ["tcp_mbit", "tcp_reverse_mbit", "ping_idle_ms", "ping_loaded_ms", "udp64_pps"] {
        for subject in ["raw", "nothing"] {
            assert!(report["medians"][subject][figure].as_f64().unwrap() > 0.0, "{subject}: {figure}");
        }
    }
    assert!(report["medians"]["nothing"]["rss_mib"].as_f64().unwrap() > 0.1, "the memory of `sleep`");
    assert_eq!(report["medians"]["raw"]["rss_mib"], Value::Null);
    assert_eq!(report["runs"].as_array().unwrap().len(), 2);
    let seen = fs::read_to_string(folder.0.join("seen")).unwrap();
    for line in ["a bench0 192.0.2.1 192.0.2.2", "b bench0 192.0.2.2 192.0.2.1"] {
        assert_eq!(seen.lines().filter(|other| *other == line).count(), 1, "{line} in\n{seen}");
    }
    assert!(said(&output).contains("tcp.direct.ratio_to_yardstick was not measured"));
}

#[test]
fn a_target_that_was_not_measured_fails_the_check() {
    let output = bench(&["--only", "raw", "--check"]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("7 of 7 targets missed"), "{}", said(&output));
}

#[test]
fn a_program_that_ends_at_once_is_a_failure_with_its_last_words() {
    let folder = Folder::new("failure");
    let script = folder.script("#!/bin/sh\necho 192.0.2.2 > \"$BENCH_TARGET\"\necho alas\n");
    let output = bench(&["--only", "short", "--beside", &format!("short={script}")]).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("alas"), "{}", said(&output));
}

#[test]
fn nothing_stays_when_it_is_interrupted() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let child: Child = bench(&["--only", "raw"]).spawn().unwrap();
        let id = child.id();
        wait_until(|| parts_of(id).len() >= 3);
        kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success() && said(&output).contains("interrupted"), "{}", said(&output));
        assert_eq!(parts_of(id), Vec::<String>::new());
    }
}
