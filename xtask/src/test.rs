// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask test`: every test that there is, those in the lab included; with `--system` those in booted trees instead.

mod system;

use std::fs::File;
use std::io::copy;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::Metadata;
use irdest_lab::isolated;

use crate::bpf::cargo_with_probes;
use crate::build::{Profile, daemon, tools};
use crate::cargo::{metadata, run};
use crate::programs::{TO_TEST, require};

/// The feature of tests that make network namespaces, and so need the rights for it.
const LAB_TESTS: &str = "lab-tests";
/// Lab tests that measure no times and mostly wait: they are run two at a time, in two lanes of about the same length.
const PATIENT: [&[&str]; 2] = [
    &["service", "doctor", "device", "refusals", "lab_itself", "reload", "privileges", "streams"],
    &["hostile", "host", "kills", "captured"],
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
    /// Where `--system` upgrades from: a commit, as git calls it [default: the one before, HEAD~1].
    #[arg(long, value_name = "REVISION", requires = "system")]
    upgrade_from: Option<String>,
}

impl Test {
    pub(crate) fn run(self) -> Result<()> {
        if self.system {
            return system::run_tests(self.long, self.upgrade_from.as_deref());
        }
        require(TO_TEST)?;
        let repetitions = repetitions(self.long);
        run(cargo_with_probes(&["test", "--workspace"]).env("IRDEST_LONG", repetitions))?;
        // Built here, as the namespaces of a normal user have no network to fetch anything from.
        let daemon = daemon(Profile::Dev)?;
        // Beside it.
        tools(Profile::Dev)?;
        let metadata = metadata()?;
        run(cargo_with_probes(&["test", "--no-run"]).args(with_those_inside(lab_tests(&metadata, |_| true))))?;
        let command = |lab_tests: Vec<String>| {
            let mut tests = cargo_with_probes(&["test", "--offline"]);
            tests.args(lab_tests).args(["--", "--test-threads=1", "--nocapture"]);
            tests.env("IRDEST_GATEWAY", &daemon).env("IRDEST_LONG", repetitions);
            isolated(tests)
        };
        let lanes = PATIENT.map(|lane| command(lab_tests(&metadata, |test| lane.contains(&test))));
        side_by_side(lanes, metadata.target_directory.as_std_path())?;
        // One after the other: what they measure are times.
        let others = lab_tests(&metadata, |test| !PATIENT.iter().any(|lane| lane.contains(&test)));
        run(&mut command(with_those_inside(others))?)
    }
}

/// Runs commands at the same time, and shows what each has printed when it has ended.
fn side_by_side(commands: [Result<Command>; 2], folder: &Path) -> Result<()> {
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
    ensure!(failed == 0, "{failed} of the two halves of the tests above failed");
    Ok(())
}

/// What `IRDEST_LONG` has to be.
fn repetitions(long: bool) -> &'static str {
    if long { "1" } else { "0" }
}

/// The features that switch on all tests of every package, for `--features`.
pub(crate) fn all_test_features(metadata: &Metadata) -> String {
    [LAB_TESTS, SYSTEM_TESTS].map(|feature| in_all_packages(metadata, feature)).join(",")
}

/// A feature of every package that has it, for `--features`.
fn in_all_packages(metadata: &Metadata, feature: &str) -> String {
    let packages = metadata.workspace_packages().into_iter();
    let with = packages.filter(|package| package.features.contains_key(feature));
    with.map(|package| format!("{}/{feature}", package.name)).collect::<Vec<_>>().join(",")
}

/// Arguments of `cargo test` that choose lab tests by their names, and nothing else. Packages and features are always the
/// same, so that nothing is built twice.
fn lab_tests(metadata: &Metadata, chosen: impl Fn(&str) -> bool) -> Vec<String> {
    let mut arguments = vec![format!("--features={}", in_all_packages(metadata, LAB_TESTS))];
    for package in metadata.workspace_packages() {
        let needs_lab = |features: &[String]| features.iter().any(|feature| feature == LAB_TESTS);
        let mut targets =
            package.targets.iter().filter(|target| needs_lab(&target.required_features)).peekable();
        if targets.peek().is_some() {
            arguments.push(format!("--package={}", package.name));
        }
        let targets = targets.filter(|target| chosen(&target.name));
        arguments.extend(targets.map(|target| format!("--test={}", target.name)));
    }
    arguments
}

/// Lab tests and those inside of packages, which the feature also switches on.
fn with_those_inside(mut lab_tests: Vec<String>) -> Vec<String> {
    lab_tests.push("--lib".to_owned());
    lab_tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_lab_tests_of_the_workspace() {
        let arguments = lab_tests(&metadata().unwrap(), |_| true);
        assert!(arguments[0].contains("irdest-lab/lab-tests"), "{arguments:?}");
        for expected in ["--package=irdest-lab", "--test=lab_itself", "--test=main_job", "--test=failures"] {
            assert!(arguments.iter().any(|argument| argument == expected), "{expected} in {arguments:?}");
        }
        for other in ["--package=ratman-wire", "--package=irdest-system-tests"] {
            assert!(!arguments.iter().any(|argument| argument == other), "{other} in {arguments:?}");
        }
    }

    #[test]
    fn every_test_that_is_called_patient_is_there() {
        let metadata = metadata().unwrap();
        for name in PATIENT.into_iter().flatten() {
            let arguments = lab_tests(&metadata, |test| test == *name);
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
