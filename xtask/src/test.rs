// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask test`: every test that there is, those in the lab included; with `--system` those in booted trees instead, with
//! `--window` that of the window.

mod in_lab;
mod system;
mod window;

use std::time::Duration;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, Target};
use irdest_lab::{catch_signals, isolated, remove_leftovers};

use crate::bpf::cargo_with_probes;
use crate::build::{Profile, all};
use crate::cargo::{metadata, run};
use crate::programs::{TO_TEST, require};
use in_lab::InLab;
use window::WINDOW_TESTS;

/// The feature of tests that make network namespaces, and so need the rights for it.
const LAB_TESTS: &str = "lab-tests";
/// The feature of tests that boot Debian trees, and so need root.
const SYSTEM_TESTS: &str = "system-tests";

/// How long a file of lab tests may take before it hangs: as long as all of them together otherwise take.
const LAB_LIMIT: Duration = Duration::from_secs(30 * 60);
/// With `--long`: a single test may take two hours of it.
const LONG_LAB_LIMIT: Duration = Duration::from_secs(5 * 60 * 60);

/// Runs everything: the tests of all packages, then those in the lab; or else those in booted trees.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Test {
    /// Repeat what depends on chance or on time.
    #[arg(long)]
    long: bool,
    /// Do not try tests in the lab again that failed.
    #[arg(long)]
    once: bool,
    /// Make the Debian package and try it in two Debian trees that are booted for it; as root. With --long it is made twice, to
    /// see that it is the same.
    #[arg(long)]
    system: bool,
    /// Try the window of posts on a screen that nobody sees, with GTK; a picture of it is kept.
    #[arg(long, conflicts_with = "system")]
    window: bool,
    /// Where `--system` upgrades from: a commit, as git calls it [default: the one before, HEAD~1].
    #[arg(long, value_name = "REVISION", requires = "system")]
    upgrade_from: Option<String>,
}

impl Test {
    pub(crate) fn run(self) -> Result<()> {
        if self.system {
            return system::run_tests(self.long, self.upgrade_from.as_deref());
        }
        if self.window {
            return window::run_tests();
        }
        require(TO_TEST)?;
        let repetitions = repetitions(self.long);
        let metadata = metadata()?;
        let features = format!("--features={}", in_all_packages(&metadata, LAB_TESTS));
        // All calls of cargo for tests have the same packages and features, so that nothing is built twice.
        let test = |arguments: Vec<String>| {
            let mut test = cargo_with_probes(&["test", "--workspace", &features]);
            test.env("IRDEST_LONG", repetitions).args(arguments);
            test
        };
        run(test(outside_the_lab(&metadata)).arg("--no-fail-fast"))?;
        run(&mut test(vec!["--doc".to_owned()]))?;
        // By itself, as people build it.
        let (daemon, _) = all(Profile::Dev)?;
        let lab = InLab {
            environment: vec![("IRDEST_GATEWAY", daemon), ("IRDEST_LONG", repetitions.into())],
            logs: metadata.target_directory.join("lab-logs").into_std_path_buf(),
            once: self.once,
            limit: if self.long { LONG_LAB_LIMIT } else { LAB_LIMIT },
            inside: isolated,
        };
        let files = lab_tests(&metadata);
        let count = files.len();
        let binaries = in_lab::build(test(files), count, &metadata)?;
        // Ctrl-C ends the tests; this program stays to remove what those left that were killed.
        catch_signals()?;
        let outcome = lab.run(binaries);
        let tidied = remove_leftovers().context("removing what the tests left");
        outcome.and(tidied.map(drop))
    }
}

/// What `IRDEST_LONG` has to be.
fn repetitions(long: bool) -> &'static str {
    if long { "1" } else { "0" }
}

/// The features that switch on all tests of every package, for `--features`.
pub(crate) fn all_test_features(metadata: &Metadata) -> String {
    [LAB_TESTS, SYSTEM_TESTS, WINDOW_TESTS].map(|feature| in_all_packages(metadata, feature)).join(",")
}

/// A feature of every package that has it, for `--features`.
fn in_all_packages(metadata: &Metadata, feature: &str) -> String {
    let packages = metadata.workspace_packages().into_iter();
    let with = packages.filter(|package| package.features.contains_key(feature));
    with.map(|package| format!("{}/{feature}", package.name)).collect::<Vec<_>>().join(",")
}

/// Arguments of `cargo test` that choose the lab tests, and nothing else.
fn lab_tests(metadata: &Metadata) -> Vec<String> {
    named(metadata, &needs_lab)
}

/// Those that choose everything but lab tests and the tests in booted trees; documentation has a call of its own.
fn outside_the_lab(metadata: &Metadata) -> Vec<String> {
    let mut arguments = ["--lib", "--bins", "--examples"].map(str::to_owned).to_vec();
    let needs_nothing = |target: &Target| target.required_features.is_empty();
    arguments.extend(named(metadata, &|target| target.is_test() && needs_nothing(target)));
    arguments
}

fn named(metadata: &Metadata, chosen: &dyn Fn(&Target) -> bool) -> Vec<String> {
    let packages = metadata.workspace_packages().into_iter();
    let targets = packages.flat_map(|package| &package.targets).filter(|target| chosen(target));
    targets.map(|target| format!("--test={}", target.name)).collect()
}

fn needs_lab(target: &Target) -> bool {
    target.required_features.iter().any(|feature| feature == LAB_TESTS)
}

#[cfg(test)]
mod tests {
    use cargo_metadata::Package;

    use super::*;

    #[test]
    fn finds_the_lab_tests_of_the_workspace() {
        let metadata = metadata().unwrap();
        let arguments = lab_tests(&metadata);
        for expected in ["--test=lab_itself", "--test=main_job", "--test=failures"] {
            assert!(arguments.iter().any(|argument| argument == expected), "{expected} in {arguments:?}");
        }
        // Between them they have every test but those in booted trees and those of the window.
        let others = outside_the_lab(&metadata);
        assert!(others.iter().any(|argument| argument == "--test=same_seed"), "{others:?}");
        let tests = metadata.workspace_packages().into_iter().flat_map(|package| &package.targets);
        for test in tests.filter(|target| target.is_test()) {
            let name = format!("--test={}", test.name);
            let apart = |feature: &String| [SYSTEM_TESTS, WINDOW_TESTS].contains(&feature.as_str());
            let is_apart = test.required_features.iter().any(apart);
            let runs = [&arguments, &others].map(|of| usize::from(of.contains(&name)));
            assert_eq!(runs.iter().sum::<usize>(), usize::from(!is_apart), "{name}");
        }
    }

    #[test]
    fn every_test_that_is_called_patient_is_there() {
        let metadata = metadata().unwrap();
        let of = |package: &Package| {
            let tests = package.targets.iter().filter(|target| needs_lab(target));
            tests.map(|target| format!("{}::{}", package.name, target.name)).collect::<Vec<_>>()
        };
        let all: Vec<_> = metadata.workspace_packages().into_iter().flat_map(of).collect();
        for name in in_lab::PATIENT {
            assert!(all.iter().any(|test| test == name), "{name} in {all:?}");
        }
    }

    #[test]
    fn lints_see_every_test() {
        let features = all_test_features(&metadata().unwrap());
        assert!(
            features.contains("irdest-lab/lab-tests")
                && features.contains("irdest-system-tests/system-tests")
        );
    }
}
