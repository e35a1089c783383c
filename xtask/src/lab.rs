// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask lab`: the three routers without the demonstration, and shells on their nodes.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, bail, ensure};
use irdest_lab::{LabName, enter_lab, living_labs, shown};

use crate::run::lab_that_stays;

/// Starts the three routers and stays, or opens a shell on a node of a lab that runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Lab {
    /// `shell NODE`, or just NODE: `a`, `r` or `b`. Without it a lab is started.
    #[arg(value_name = "NODE", num_args = 0..=2)]
    words: Vec<String>,
    /// Everything is built, and this process may make labs.
    #[arg(long, hide = true)]
    inside: bool,
}

impl Lab {
    pub(crate) fn run(self) -> Result<()> {
        match self.words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => lab_that_stays(self.inside),
            ["shell", node] | [node] if node != "shell" => shell(&node.to_lowercase()),
            _ => bail!("expected `cargo xtask lab`, or `cargo xtask lab shell NODE` with NODE a, r or b"),
        }
    }
}

fn shell(node: &str) -> Result<()> {
    let labs = living_labs()?;
    let lab = *labs.last().context("no lab runs: start one with `cargo xtask run` or `cargo xtask lab`")?;
    ensure!(labs.len() == 1, "more than one lab runs: {}", names(&labs));
    ensure!(lab.directory().join(node).is_dir(), "{lab} has no node `{node}`");
    let program = std::env::var("SHELL").unwrap_or_else(|_| "sh".into());
    println!("A shell on node {node} of {lab}; its configuration and logs are here. `exit` leaves it.");
    let mut enter = enter_lab(lab, node, &program);
    let error = enter.exec();
    Err(error).with_context(|| format!("starting `{}`", shown(&enter)))
}

fn names(labs: &[LabName]) -> String {
    labs.iter().map(LabName::to_string).collect::<Vec<_>>().join(", ")
}
