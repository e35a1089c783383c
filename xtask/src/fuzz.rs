// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask fuzz`: the parsers of untrusted bytes against bytes of every kind.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::bpf::cargo_with_probes;
use crate::cargo::{run, workspace};
use crate::programs::{TO_BUILD, require};

/// Folder with the targets and their corpus, in the workspace.
const FOLDER: &str = "xtask/fuzz";

/// Feeds the parsers: with cargo-fuzz and a nightly compiler where both are there, else on the stable one.
#[derive(Debug, clap::Args)]
pub(crate) struct Fuzz {
    /// One target; without it all of them, one after the other.
    target: Option<String>,
    /// How long to go on with each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

impl Fuzz {
    pub(crate) fn run(self) -> Result<()> {
        let all = targets()?;
        let chosen: Vec<&String> = match &self.target {
            Some(target) => all.iter().filter(|name| *name == target).collect(),
            None => all.iter().collect(),
        };
        ensure!(!chosen.is_empty(), "no such target; there are: {}", all.join(", "));
        require(TO_BUILD)?;
        let guided = has_cargo_fuzz();
        let engine = if guided { "cargo-fuzz" } else { "bolero on the stable compiler" };
        for target in chosen {
            println!("{target}: {} s with {engine}", self.seconds);
            let mut fuzz = if guided {
                with_cargo_fuzz(target, self.seconds)
            } else {
                with_bolero(target, self.seconds)
            };
            run(&mut fuzz).with_context(|| format!("target {target}"))?;
        }
        Ok(())
    }
}

/// The names of all targets: each has a folder in the corpus.
fn targets() -> Result<Vec<String>> {
    let corpus = workspace().join(FOLDER).join("corpus");
    let entries = fs::read_dir(&corpus).with_context(|| format!("reading {}", corpus.display()))?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn has_cargo_fuzz() -> bool {
    let mut probe = Command::new("cargo");
    probe.args(["+nightly", "fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

fn with_cargo_fuzz(target: &str, seconds: u32) -> Command {
    let corpus = workspace().join(FOLDER).join("corpus").join(target);
    let mut fuzz = Command::new("cargo");
    fuzz.current_dir(workspace()).args([
        "+nightly",
        "fuzz",
        "run",
        "--fuzz-dir",
        FOLDER,
        "--features",
        "libfuzzer",
    ]);
    fuzz.arg("any").arg(corpus).args(["--", &format!("-max_total_time={seconds}")]);
    fuzz.env("IRDEST_FUZZ_TARGET", target);
    fuzz
}

fn with_bolero(target: &str, seconds: u32) -> Command {
    // The development profile: its assertions and its checks of overflow are what finds something.
    let mut fuzz = cargo_with_probes(&["test", "--package", "irdest-fuzz", "--lib", "--", "--exact"]);
    fuzz.arg(format!("target::{target}")).env("IRDEST_FUZZ_SECONDS", seconds.to_string());
    fuzz
}
