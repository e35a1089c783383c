// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask test`: every test that there is, those in the lab included.

use anyhow::Result;
use irdest_lab::isolated;

use crate::build::{Profile, daemon};
use crate::cargo::{cargo, run};
use crate::programs::{TO_TEST, require};

/// The tests in the lab: each has namespaces and processors of its own time, hence one after the other.
const LAB_TESTS: [&str; 6] = ["test", "--package", "irdest-lab", "--features", "lab-tests", "--test=*"];

/// Runs everything: the tests of all packages, then those in the lab.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Test {
    /// Repeat what depends on chance or on time.
    #[arg(long)]
    long: bool,
}

impl Test {
    pub(crate) fn run(self) -> Result<()> {
        require(TO_TEST)?;
        let repetitions = if self.long { "1" } else { "0" };
        run(cargo(&["test", "--workspace"]).env("IRDEST_LONG", repetitions))?;
        // Built here, as the namespaces of a normal user have no network to fetch anything from.
        let daemon = daemon(Profile::Dev)?;
        run(cargo(&LAB_TESTS).arg("--no-run"))?;
        let mut tests = cargo(&LAB_TESTS);
        tests.args(["--offline", "--", "--test-threads=1", "--nocapture"]);
        tests.env("IRDEST_GATEWAY", daemon).env("IRDEST_LONG", repetitions);
        run(&mut isolated(tests)?)
    }
}
