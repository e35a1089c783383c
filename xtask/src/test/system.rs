// SPDX-License-Identifier: AGPL-3.0-or-later
//! The tests in booted Debian trees: makes what they need, runs them one after the other, and tidies up behind them.

use anyhow::{Context, Result, ensure};
use irdest_lab::catch_signals;
use irdest_system_tests::{BaseTree, PACKAGE, PACKAGE_BEFORE, TREES, remove_leftovers};
use nix::unistd::geteuid;

use super::SYSTEM_TESTS;
use crate::cargo::{cargo, metadata, run};
use crate::demonstration::headline;
use crate::dist;
use crate::programs::{TO_TEST_THE_SYSTEM, require};

/// Runs them; `repetitions` is 1 for more of them, 0 for few.
pub(super) fn run_tests(repetitions: &str) -> Result<()> {
    ensure!(geteuid().is_root(), "only root can boot trees");
    require(TO_TEST_THE_SYSTEM)?;
    let target = metadata()?.target_directory.into_std_path_buf();
    let trees = target.join("trees");
    headline(&format!("a tree of Debian in {}", trees.display()));
    BaseTree::keep(&trees)?;
    headline("packages");
    // The first sorts below the second: an upgrade leads from it. In a folder of its own, as cargo-deb empties the usual one.
    let before = dist::package("~before", Some(target.join("debian-before")))?;
    let package = dist::package("", None)?;
    headline("tests in booted trees");
    let mut tests = cargo(&["test", "--package", "irdest-system-tests", "--tests", "--no-fail-fast"]);
    tests.args(["--features", SYSTEM_TESTS, "--", "--test-threads=1", "--nocapture"]);
    tests.env(TREES, trees).env(PACKAGE, package).env(PACKAGE_BEFORE, before);
    tests.env("IRDEST_LONG", repetitions);
    // Ctrl-C ends the tests; this program stays to remove what they made.
    catch_signals()?;
    let outcome = run(&mut tests);
    let tidied = remove_leftovers().context("removing what the tests left");
    outcome.and(tidied)
}
