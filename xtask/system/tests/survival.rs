// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the unit survives: a kill, a hang, a reboot.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something fails, and tells what it measured"
)]

use std::time::{Duration, Instant};

use irdest_lab::{TimeLimit, rounds};
use irdest_system_tests::{Tree, TwoTrees};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Within it a daemon that was killed is ready again.
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// The unit's WatchdogSec, and what ending and starting may take.
const REPLACED_WITHIN: Duration = Duration::from_secs(30 + 10);

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(300))
}

fn joined() -> TwoTrees {
    TwoTrees::joined(limit()).unwrap()
}

/// Who it is, and the addresses of its device.
fn identity(tree: &Tree) -> (String, String) {
    let addresses = tree.shell("ip -brief address show dev irdest0 scope global").unwrap();
    assert!(addresses.contains("fd69:"), "{addresses}");
    (tree.gateway().status().unwrap().address, addresses)
}

/// B is as it was, for A as well.
fn assert_back(trees: &TwoTrees, before: &(String, String)) {
    trees.wait_until_joined().unwrap();
    assert_eq!(&identity(&trees.b), before);
    trees.ping().unwrap();
}

/// A thread that hangs while the others of its process go on, stopped by ptrace(2).
struct Stopped(Pid);

impl Stopped {
    /// The control loop has the first thread, whose number is that of the process.
    fn first_thread_of(process: u32) -> Self {
        let thread = Pid::from_raw(process.try_into().unwrap());
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        Self(thread)
    }

    /// Waits until somebody has ended it. Only then who started the process hears that it has.
    fn ends(self, limit: TimeLimit) {
        let ended = || {
            let status = waitpid(self.0, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG))?;
            Ok(matches!(status, WaitStatus::Signaled(..) | WaitStatus::Exited(..)).then_some(()))
        };
        limit.wait_for("the hanging process to be ended", ended).unwrap();
    }
}

#[test]
fn a_killed_daemon_is_back_with_the_same_addresses() {
    let trees = joined();
    let (gateway, before) = (trees.b.gateway(), identity(&trees.b));
    for _ in 0..rounds() {
        let journal = gateway.journal().unwrap();
        trees.b.shell(&format!("kill -KILL {}", gateway.main_pid().unwrap())).unwrap();
        let killed = journal.wait_for("status=9/KILL").unwrap();
        let back = journal.wait_for("Started irdest-gateway.service").unwrap();
        let outage = back.at - killed.at;
        assert!(outage < BACK_WITHIN, "it was away for {outage:?}");
        assert_back(&trees, &before);
    }
}

#[test]
fn a_daemon_whose_control_loop_hangs_is_replaced() {
    let trees = joined();
    let (gateway, before) = (trees.b.gateway(), identity(&trees.b));
    let journal = gateway.journal().unwrap();
    let hung = gateway.main_pid().unwrap();
    let control_loop = Stopped::first_thread_of(trees.b.process(hung).unwrap());
    let since = Instant::now();
    let ended = journal.wait_for("Watchdog timeout").unwrap();
    control_loop.ends(trees.b.limit());
    let back = journal.wait_for("Started irdest-gateway.service").unwrap();
    println!("a hung control loop: replaced after {:.1} s", since.elapsed().as_secs_f32());
    assert!(since.elapsed() < REPLACED_WITHIN, "{:?}", since.elapsed());
    assert!(back.at - ended.at < BACK_WITHIN * 2, "{:?}", back.at - ended.at);
    assert_ne!(gateway.main_pid().unwrap(), hung);
    assert_back(&trees, &before);
}

#[test]
fn an_enabled_unit_is_back_after_a_reboot() {
    let mut trees = joined();
    let before = identity(&trees.b);
    assert_eq!(trees.b.gateway().property("UnitFileState").unwrap(), "enabled", "by its installation");
    trees.b.reboot().unwrap();
    assert_eq!(trees.b.gateway().property("ActiveState").unwrap(), "active");
    assert_back(&trees, &before);
}
