// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask ci`: all checks, the quick ones first. `.ci/run` calls it.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::bpf::cargo_with_probes;
use crate::cargo::{cargo, metadata, run};
use crate::demonstration::headline;
use crate::programs::{TO_BUILD, require};
use crate::test::{Test, all_test_features};
use crate::tidy::Tidy;

/// Checks format, rules, lints, tests and documentation.
#[derive(Debug, clap::Args)]
pub(crate) struct Ci {}

/// A check and its name.
type Step = (&'static str, fn() -> Result<()>);

/// In the order of their length. Lints and documentation share one build, the tests are another: no third.
const STEPS: [Step; 5] =
    [("format", format), ("tidy", tidy), ("clippy", clippy), ("doc", doc), ("test", test)];

impl Ci {
    pub(crate) fn run(self) -> Result<()> {
        let began = Instant::now();
        for (name, step) in STEPS {
            headline(name);
            let step_began = Instant::now();
            step().with_context(|| format!("{name} failed after {}", minutes(step_began)))?;
            println!("{name}: {}", minutes(step_began));
        }
        headline(&format!("all checks hold, {}", minutes(began)));
        Ok(())
    }
}

fn minutes(began: Instant) -> String {
    let seconds = began.elapsed().as_secs();
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

fn format() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    // A workspace of its own.
    run(&mut cargo(&["fmt", "--check", "--manifest-path", "ebpf/probes/Cargo.toml"]))
}

fn tidy() -> Result<()> {
    Tidy {}.run()
}

fn clippy() -> Result<()> {
    require(TO_BUILD)?;
    let features = all_test_features(&metadata()?);
    let lints = ["clippy", "--workspace", "--all-targets", "--features", &features];
    run(cargo_with_probes(&lints).args(["--", "--deny", "warnings"]))
}

fn doc() -> Result<()> {
    run(cargo_with_probes(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

fn test() -> Result<()> {
    Test::default().run()
}
