// SPDX-License-Identifier: AGPL-3.0-or-later
//! Writes the manual and the completions of shells from the command line of irdest-gateway, for its package.
//!
//! A program of its own, so that `cargo xtask` need not be built anew with every change of the daemon.

mod completions;
mod manual;

use std::fs::create_dir_all as make;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use irdest_gateway::cli;

/// Writes the manual into FOLDER/manual and the completions into FOLDER/completions.
#[derive(Debug, Parser)]
struct Arguments {
    folder: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { folder } = Arguments::parse();
    let (manual, completions) = (folder.join("manual"), folder.join("completions"));
    make(&manual).and_then(|()| manual::write(cli::command(), &manual)).context("writing the manual")?;
    make(&completions)
        .and_then(|()| completions::write(cli::command(), &completions))
        .context("writing the completions")?;
    Ok(())
}
