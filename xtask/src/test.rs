// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask test`: every test that there is, those in the lab included; with `--system` those in booted trees instead.

mod system;

use anyhow::Result;
use cargo_metadata::Metadata;
use irdest_lab::isolated;

use crate::bpf::cargo_with_probes;
use crate::build::{Profile, daemon};
use crate::cargo::{metadata, run};
use crate::programs::{TO_TEST, require};

/// The feature of tests that make network namespaces, and so need the rights for it.
const LAB_TESTS: &str = "lab-tests";
/// The feature of tests that boot Debian trees, and so need root.
const SYSTEM_TESTS: &str = "system-tests";

/// Runs everything: the tests of all packages, then those in the lab; or else those in booted trees.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Test {
    /// Repeat what depends on chance or on time.
    #[arg(long)]
    long: bool,
    /// Make the Debian package and try it in two Debian trees that are booted for it; as root.
    #[arg(long)]
    system: bool,
}

impl Test {
    pub(crate) fn run(self) -> Result<()> {
        let repetitions = if self.long { "1" } else { "0" };
        if self.system {
            return system::run_tests(repetitions);
        }
        require(TO_TEST)?;
        run(cargo_with_probes(&["test", "--workspace"]).env("IRDEST_LONG", repetitions))?;
        // Built here, as the namespaces of a normal user have no network to fetch anything from.
        let daemon = daemon(Profile::Dev)?;
        let lab_tests = lab_tests(&metadata()?);
        run(cargo_with_probes(&["test", "--no-run"]).args(&lab_tests))?;
        // One after the other: what they measure are times.
        let mut tests = cargo_with_probes(&["test", "--offline"]);
        tests.args(lab_tests).args(["--", "--test-threads=1", "--nocapture"]);
        tests.env("IRDEST_GATEWAY", daemon).env("IRDEST_LONG", repetitions);
        run(&mut isolated(tests)?)
    }
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

/// Arguments of `cargo test` that choose the lab tests of every package and nothing else.
fn lab_tests(metadata: &Metadata) -> Vec<String> {
    let mut arguments = vec![format!("--features={}", in_all_packages(metadata, LAB_TESTS))];
    for package in metadata.workspace_packages() {
        let needs_lab = |features: &[String]| features.iter().any(|feature| feature == LAB_TESTS);
        let targets = package.targets.iter().filter(|target| needs_lab(&target.required_features));
        let tests: Vec<String> = targets.map(|target| format!("--test={}", target.name)).collect();
        if !tests.is_empty() {
            arguments.push(format!("--package={}", package.name));
            arguments.extend(tests);
        }
    }
    // The feature also switches on tests inside of these packages.
    arguments.push("--lib".to_owned());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_lab_tests_of_the_workspace() {
        let arguments = lab_tests(&metadata().unwrap());
        assert!(arguments[0].contains("irdest-lab/lab-tests"), "{arguments:?}");
        for expected in
            ["--package=irdest-lab", "--test=lab_itself", "--test=main_job", "--test=failures", "--lib"]
        {
            assert!(arguments.iter().any(|argument| argument == expected), "{expected} in {arguments:?}");
        }
        for other in ["--package=ratman-wire", "--package=irdest-system-tests"] {
            assert!(!arguments.iter().any(|argument| argument == other), "{other} in {arguments:?}");
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
