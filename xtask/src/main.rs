// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask`: builds, runs, tests, checks and measures irdest-gateway. One file per command.
//!
//! It depends on Rust packages only, so that it builds on a machine on which nothing else is installed yet;
//! each command then installs the programs that it needs, or says which they are.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person at the terminal")]

mod bench;
mod bpf;
mod build;
mod cargo;
mod ci;
mod demonstration;
mod dist;
mod fuzz;
mod install;
mod lab;
mod programs;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Builds, runs, tests, checks and measures irdest-gateway.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    Run(run::Run),
    Lab(lab::Lab),
    Test(test::Test),
    Tidy(tidy::Tidy),
    Ci(ci::Ci),
    Fuzz(fuzz::Fuzz),
    Bench(bench::Bench),
    Bpf(bpf::Bpf),
    Install(install::Install),
    Dist(dist::Dist),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Build(build) => build.run(),
        Command::Run(run) => run.run(),
        Command::Lab(lab) => lab.run(),
        Command::Test(test) => test.run(),
        Command::Tidy(tidy) => tidy.run(),
        Command::Ci(ci) => ci.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Bench(bench) => bench.run(),
        Command::Bpf(bpf) => bpf.run(),
        Command::Install(install) => install.run(),
        Command::Dist(dist) => dist.run(),
    }
}
