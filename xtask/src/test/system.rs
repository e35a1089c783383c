// SPDX-License-Identifier: AGPL-3.0-or-later
//! The tests in booted Debian trees: makes what they need, runs them one after the other, and tidies up behind them.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use irdest_lab::catch_signals;
use irdest_system_tests::{BaseTree, PACKAGE, PACKAGE_BEFORE, TREES, remove_leftovers};
use nix::unistd::geteuid;

use super::{SYSTEM_TESTS, repetitions};
use crate::cargo::{cargo, metadata, run};
use crate::demonstration::headline;
use crate::dist::{self, Commit};
use crate::programs::{TO_TEST_THE_SYSTEM, require};

/// Where upgrades lead from unless it was said.
const COMMIT_BEFORE: &str = "HEAD~1";

/// Runs them; `long` for more of them, and `upgrade_from` for another commit than the one before.
pub(super) fn run_tests(long: bool, upgrade_from: Option<&str>) -> Result<()> {
    ensure!(geteuid().is_root(), "only root can boot trees");
    require(TO_TEST_THE_SYSTEM)?;
    let trees = metadata()?.target_directory.into_std_path_buf().join("trees");
    headline(&format!("a tree of Debian in {}", trees.display()));
    BaseTree::keep(&trees)?;
    headline("packages");
    let package = dist::package(long)?;
    let before = package_before(upgrade_from)?;
    headline("tests in booted trees");
    let mut tests = cargo(&["test", "--package", "irdest-system-tests", "--tests", "--no-fail-fast"]);
    tests.args(["--features", SYSTEM_TESTS, "--", "--test-threads=1", "--nocapture"]);
    tests.env(TREES, trees).env(PACKAGE, package).env(PACKAGE_BEFORE, before);
    tests.env("IRDEST_LONG", repetitions(long));
    // Ctrl-C ends the tests; this program stays to remove what they made.
    catch_signals()?;
    let outcome = run(&mut tests);
    let tidied = remove_leftovers().context("removing what the tests left");
    outcome.and(tidied)
}

/// The package to upgrade from: that of the commit which was named, which must be there, or else of the one before.
fn package_before(named: Option<&str>) -> Result<PathBuf> {
    match (Commit::find(named.unwrap_or(COMMIT_BEFORE)), named) {
        (Ok(commit), _) => commit.package(),
        (Err(error), Some(_)) => Err(error),
        (Err(error), None) => {
            println!(
                "The upgrade leads from a package of these same sources with a lower version: {error:#}"
            );
            dist::package_below()
        }
    }
}
