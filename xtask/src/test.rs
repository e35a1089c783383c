// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask test`: every test that there is, those in the lab included; with `--system` those in booted trees instead, with
//! `--window` that of the window.

mod system;
mod window;

use std::fs::File;
use std::io::copy;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, Target};
use irdest_lab::isolated;

use crate::bpf::cargo_with_probes;
use crate::build::{Profile, all};
use crate::cargo::{metadata, run};
use crate::programs::{TO_TEST, require};
use window::WINDOW_TESTS;

/// The feature of tests that make network namespaces, and so need the rights for it.
const LAB_TESTS: &str = "lab-tests";
/// Lab tests that measure no times and mostly wait: they are run side by side, in lanes of about the same length.
const PATIENT: [&[&str]; 3] = [
    &["service", "doctor", "refusals", "streams", "reload", "lab_itself", "privileges"],
    &["hostile", "kills", "captured", "device", "namespaces", "sharing"],
    &["firewall", "host", "tools", "clients"],
];
/// The feature of tests that boot Debian trees, and so need root.
const SYSTEM_TESTS: &str = "system-tests";

/// Runs everything: the tests of all packages, then those in the lab; or else those in booted trees.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Test {
    /// Repeat what depends on chance or on time.
    #[arg(long)]
    long: bool,
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
        run(&mut test(outside_the_lab(&metadata)))?;
        run(&mut test(vec!["--doc".to_owned()]))?;
        // Built here, as the namespaces of a normal user have no network to fetch anything from; by itself, as people build it.
        let (daemon, _) = all(Profile::Dev)?;
        let in_lab = |chosen: &dyn Fn(&str) -> bool| {
            let mut tests = test(lab_tests(&metadata, chosen));
            tests.args(["--offline", "--", "--test-threads=1", "--nocapture"]).env("IRDEST_GATEWAY", &daemon);
            isolated(tests)
        };
        run(test(lab_tests(&metadata, &|_| true)).arg("--no-run"))?;
        let lanes = PATIENT.map(|lane| in_lab(&|test| lane.contains(&test)));
        side_by_side(lanes, metadata.target_directory.as_std_path())?;
        // One after the other: what they measure are times.
        run(&mut in_lab(&|test| !PATIENT.iter().any(|lane| lane.contains(&test)))?)
    }
}

/// Runs commands at the same time, and shows what each has printed when it has ended.
fn side_by_side(commands: [Result<Command>; PATIENT.len()], folder: &Path) -> Result<()> {
    let mut running = Vec::new();
    for (number, command) in commands.into_iter().enumerate() {
        let (mut command, path) = (command?, folder.join(format!("lane-{number}.log")));
        let log = File::create(&path).with_context(|| path.display().to_string())?;
        command.stdout(log.try_clone()?).stderr(log);
        running.push((command.spawn().context("starting tests")?, path));
    }
    let mut failed = 0;
    for (mut child, path) in running {
        let status = child.wait()?;
        copy(&mut File::open(path)?, &mut std::io::stdout())?;
        failed += usize::from(!status.success());
    }
    ensure!(failed == 0, "{failed} of the lanes of tests above failed");
    Ok(())
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

/// Arguments of `cargo test` that choose lab tests by their names, and nothing else.
fn lab_tests(metadata: &Metadata, chosen: &dyn Fn(&str) -> bool) -> Vec<String> {
    named(metadata, &|target| needs_lab(target) && chosen(&target.name))
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
    use super::*;

    #[test]
    fn finds_the_lab_tests_of_the_workspace() {
        let metadata = metadata().unwrap();
        let arguments = lab_tests(&metadata, &|_| true);
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
        for name in PATIENT.into_iter().flatten() {
            let arguments = lab_tests(&metadata, &|test| test == *name);
            assert!(arguments.iter().any(|argument| *argument == format!("--test={name}")), "{name}");
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
