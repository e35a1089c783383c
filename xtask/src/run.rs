// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask run`: three routers in the lab, and a demonstration of what crosses them.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use irdest_lab::{Dials, ThreeRouters, TimeLimit, catch_signals, interrupted, isolated, shown};

use crate::build::{Profile, daemon};
use crate::demonstration::{demonstrate, headline};
use crate::programs::{FOR_A_LAB, TO_DEMONSTRATE, require};

/// How long starting and demonstrating may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Shows ping, HTTP and iperf3 across three routers, then stays until Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// Leave after the demonstration; the exit code is 0 only if all of it held.
    #[arg(long)]
    once: bool,
    /// Everything is built, and this process may make labs.
    #[arg(long, hide = true)]
    inside: bool,
}

impl Run {
    pub(crate) fn run(self) -> Result<()> {
        if self.inside {
            return in_the_lab(|routers| {
                demonstrate(routers)?;
                if self.once { Ok(()) } else { stay() }
            });
        }
        require(TO_DEMONSTRATE)?;
        let arguments: &[&str] =
            if self.once { &["run", "--inside", "--once"] } else { &["run", "--inside"] };
        start_inside(&daemon(Profile::Release)?, arguments)
    }
}

/// Builds what a lab needs, and starts one that stays.
pub(crate) fn lab_that_stays(inside: bool) -> Result<()> {
    if inside {
        return in_the_lab(|_| stay());
    }
    require(FOR_A_LAB)?;
    start_inside(&daemon(Profile::Release)?, &["lab", "--inside"])
}

/// Replaces this process by one that may make labs.
fn start_inside(daemon: &Path, arguments: &[&str]) -> Result<()> {
    let mut again = Command::new(std::env::current_exe().context("finding this program")?);
    again.args(arguments).env("IRDEST_GATEWAY", daemon);
    let mut again = isolated(again)?;
    Err(again.exec()).with_context(|| format!("starting `{}`", shown(&again)))
}

fn in_the_lab(show: impl FnOnce(&ThreeRouters) -> Result<()>) -> Result<()> {
    catch_signals()?;
    headline("Starting the routers A, R and B");
    let mut routers = ThreeRouters::prepare(TimeLimit::within(LIMIT), Dials::Edges)?;
    let shown = routers.start().and_then(|()| routers.wait_for_routes()).and_then(|()| show(&routers));
    if shown.is_err() && !interrupted() {
        eprint!("{}", routers.lab().log_tails());
    }
    shown
}

fn stay() -> Result<()> {
    headline("The lab stays until Ctrl-C");
    println!("In another terminal, a shell on any of its nodes: cargo xtask lab shell a    (or r, or b)");
    while !interrupted() {
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("Removing the lab");
    Ok(())
}
