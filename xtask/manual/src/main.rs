// SPDX-License-Identifier: AGPL-3.0-or-later
//! Writes the manual and the completions of shells from the command lines of our programs, for their packages.
//!
//! A program of its own, so that `cargo xtask` need not be built anew with every change of these.

mod completions;
mod manual;
mod program;

use std::fs::create_dir_all as make;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use program::Program;

/// Writes the manual into FOLDER/manual and the completions into FOLDER/completions.
#[derive(Debug, Parser)]
struct Arguments {
    folder: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { folder } = Arguments::parse();
    let (manual, completions) = (folder.join("manual"), folder.join("completions"));
    make(&manual).context("making the folder of the manual")?;
    make(&completions).context("making the folder of the completions")?;
    for program in Program::all() {
        completions::write(program.command.clone(), &completions).context("writing the completions")?;
        manual::write(program, &manual).context("writing the manual")?;
    }
    Ok(())
}
