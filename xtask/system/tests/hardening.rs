// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the unit keeps from the daemon: each claim tried by a program in the same sandbox, and outside of it, where it
//! succeeds.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something fails, and tells what it measured"
)]

use std::fs;
use std::time::Duration;

use irdest_lab::TimeLimit;
use irdest_system_tests::{OneTree, Tree};

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF: bits 12, 38 and 39 (capabilities(7)).
const NAMED: u64 = 1 << 12 | 1 << 38 | 1 << 39;
/// What remains of them once the daemon runs.
const KEPT: u64 = 1 << 12;
/// The worst figure of `systemd-analyze security` that the unit may have; 10 would be no protection at all.
const MOST_EXPOSED: f64 = 2.0;

/// What a probe says when it has tried everything.
const LAST_WORDS: &str = "the probe has tried all";

fn with_package() -> OneTree {
    OneTree::with_package(TimeLimit::within(Duration::from_secs(300))).unwrap()
}

/// Runs a script in the unit's sandbox as a user, and returns what it says; whether it fails does not matter.
///
/// The unit is the installed one but for what it starts, so that every directive of the sandbox holds, those too that
/// are added one day.
fn in_sandbox(tree: &Tree, user: &str, script: &str) -> String {
    // Both would have the same directories.
    tree.gateway().stop().unwrap();
    fs::write(tree.path("/usr/local/bin/probe").unwrap(), format!("{script}\necho {LAST_WORDS}\n")).unwrap();
    tree.shell(
        "unit=$(systemctl show --value --property FragmentPath irdest-gateway.service)
        mkdir -p /run/systemd/system/probe.service.d
        cp $unit /run/systemd/system/probe.service
        chmod 755 /usr/local/bin/probe",
    )
    .unwrap();
    let instead = format!(
        "[Service]\nType=oneshot\nUser={user}\nGroup={user}\nRestart=no\nWatchdogSec=0\nExecReload=\nExecStart=\n\
         ExecStart=/bin/sh /usr/local/bin/probe\nStandardOutput=journal\nStandardError=inherit\n"
    );
    fs::write(tree.path("/run/systemd/system/probe.service.d/instead.conf").unwrap(), instead).unwrap();
    tree.run("systemctl", &["daemon-reload"]).unwrap();
    let journal = tree.journal("probe.service").unwrap();
    tree.run("systemctl", &["start", "probe.service"]).unwrap();
    journal.wait_for(LAST_WORDS).unwrap();
    journal.lines().into_iter().map(|line| line.text + "\n").collect()
}

/// What the script says outside of the sandbox, as root.
fn outside(tree: &Tree, script: &str) -> String {
    tree.shell(&format!("{{ {script}; }} 2>&1; true")).unwrap()
}

#[test]
fn the_figure_of_systemd_analyze_is_good() {
    let one = with_package();
    let table =
        one.tree.run("systemd-analyze", &["security", "--no-pager", "irdest-gateway.service"]).unwrap();
    let line = table.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    println!("{line}");
    let figure = line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
    assert!(figure <= MOST_EXPOSED, "{table}");
}

#[test]
fn the_running_daemon_has_its_own_user_the_capabilities_named_and_a_filter() {
    let one = with_package();
    one.tree.gateway().start().unwrap();
    let pid = one.tree.gateway().main_pid().unwrap();
    let status = one.tree.shell(&format!("cat /proc/{pid}/task/*/status")).unwrap();
    let user = one.tree.shell("id -u irdest-gateway").unwrap();
    let values = |field: &str| -> Vec<String> {
        let fields = status.lines().filter_map(|line| line.split_once(':'));
        let fields = fields.filter(|(name, _)| *name == field);
        fields.map(|(_, value)| value.split_whitespace().next().unwrap().to_owned()).collect()
    };
    let all = |field: &str, wanted: &str| {
        let values = values(field);
        assert!(!values.is_empty() && values.iter().all(|value| value == wanted), "{field}: {values:?}");
    };
    all("Uid", user.trim());
    assert_ne!(user.trim(), "0");
    all("CapBnd", &format!("{NAMED:016x}"));
    all("CapEff", &format!("{KEPT:016x}"));
    all("CapPrm", &format!("{KEPT:016x}"));
    // What `nft` has of it.
    all("CapAmb", &format!("{KEPT:016x}"));
    all("CapInh", &format!("{KEPT:016x}"));
    all("NoNewPrivs", "1");
    // SECCOMP_MODE_FILTER (seccomp(2)).
    all("Seccomp", "2");
}

#[test]
fn homes_cannot_be_read() {
    let one = with_package();
    let tree = &one.tree;
    tree.shell("cd /home; mkdir somebody; echo secret > somebody/key; chmod 644 somebody/key").unwrap();
    let read = "cd /home; ls; cat somebody/key";
    assert!(outside(tree, read).contains("secret"));
    let said = in_sandbox(tree, "root", read);
    assert!(!said.contains("secret") && !said.contains("somebody\n"), "{said}");
}

#[test]
fn neither_programs_nor_configuration_can_be_written() {
    let one = with_package();
    let write = "touch /usr/written; touch /etc/irdest-gateway/written; touch /boot/written";
    let said = in_sandbox(&one.tree, "root", write);
    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    assert_eq!(outside(&one.tree, write), "", "outside it is allowed");
}

#[test]
fn no_module_can_be_loaded() {
    let one = with_package();
    let load = "echo no module > /var/lib/irdest-gateway/x.ko; insmod /var/lib/irdest-gateway/x.ko";
    let control = outside(&one.tree, load);
    assert!(control.contains("could not insert") && !control.contains("not permitted"), "{control}");
    let said = in_sandbox(&one.tree, "root", load);
    assert!(said.contains("Operation not permitted"), "{said}");
}

#[test]
fn no_privileges_can_be_gained() {
    let one = with_package();
    let tree = &one.tree;
    tree.shell("cp /usr/bin/id /usr/local/bin/root-id; chmod u+s /usr/local/bin/root-id").unwrap();
    let user = "setpriv --reuid=irdest-gateway --regid=irdest-gateway --clear-groups";
    assert_eq!(outside(tree, &format!("{user} /usr/local/bin/root-id -u")).trim(), "0");
    let said = in_sandbox(tree, "irdest-gateway", "echo it is $(/usr/local/bin/root-id -u) of $(id -u)");
    let uid = tree.shell("id -u irdest-gateway").unwrap();
    assert!(said.contains(&format!("it is {uid} of {uid}", uid = uid.trim())), "{said}");
}

#[test]
fn system_calls_are_filtered() {
    let one = with_package();
    // No other directive of the unit refuses these.
    assert_refused(&one.tree, ["ionice --class idle true", "renice -n 5 $$"]);
}

#[test]
fn namespaces_and_personalities_are_closed() {
    let one = with_package();
    assert_refused(&one.tree, ["unshare --user true", "setarch --addr-no-randomize true"]);
}

/// Each succeeds outside, without any privilege, and is refused in the sandbox.
fn assert_refused(tree: &Tree, calls: [&str; 2]) {
    for call in calls {
        let script = format!("{call} && echo done");
        assert!(outside(tree, &script).contains("done"), "{call}");
        let said = in_sandbox(tree, "irdest-gateway", &script);
        let refused = said.contains("Operation not permitted") || said.contains("Permission denied");
        assert!(refused && !said.contains("done"), "{call}: {said}");
    }
}
