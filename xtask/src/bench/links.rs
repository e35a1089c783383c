// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask bench links`: what the gateway says of its links beside what they are, and what its probes cost.

mod accuracy;
mod cost;
mod report;
mod verdict;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use irdest_lab::catch_signals;
use serde_json::json;

use super::start_inside;
use crate::programs::{TO_MEASURE_LINKS, require};
use accuracy::{Case, Source, Task};

/// Measures what the gateway says of its links, and what its probes in the kernel cost.
///
/// Two gateways are linked over a line of 10 ms there and back that carries 10, 50 or 200 Mbit/s behind a bucket of 32 KiB.
/// Their latency is compared with `ping` on the same line at the same time, their capacity with the rate: with probes in
/// the kernel and without. Then a TCP stream runs between two gateways on a bare link, with probes and without by turns.
/// The machine should have nothing else to do. It takes about half an hour.
#[derive(Debug, clap::Args)]
pub(crate) struct Links {
    /// Write the report to this file: every figure and its verdict.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail where a target is missed.
    #[arg(long)]
    check: bool,
    /// Measure links of these rates, in Mbit/s.
    #[arg(long, value_name = "MBIT", value_delimiter = ',', default_values_t = [10, 50, 200],
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    rates: Vec<u32>,
    /// Measure links that have this to do.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Task::ALL)]
    tasks: Vec<Task>,
    /// Measure this part only.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Everything is built, and this process may make labs.
    #[arg(long, hide = true)]
    inside: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Latency and capacity beside the truth.
    Accuracy,
    /// What the probes cost.
    Cost,
}

impl Links {
    pub(crate) fn run(self) -> Result<()> {
        if self.inside {
            return self.measure();
        }
        require(TO_MEASURE_LINKS)?;
        start_inside()
    }

    fn measure(self) -> Result<()> {
        catch_signals()?;
        let wanted = |part| self.only.is_none_or(|only| only == part);
        let mut rows = Vec::new();
        for case in self.cases().filter(|_| wanted(Part::Accuracy)) {
            let row = case.measure()?;
            println!("{}", report::told(&row));
            rows.push(row);
        }
        let cost = wanted(Part::Cost).then(cost::measure).transpose()?;
        if !rows.is_empty() {
            println!("\n{}", report::table(&rows));
        }
        if let Some(file) = &self.json {
            let text = format!("{:#}\n", json!({"accuracy": rows, "cost": cost}));
            fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        let cost_verdicts = cost.iter().flat_map(cost::Cost::verdicts);
        let verdicts: Vec<_> = rows.iter().flat_map(verdict::of_row).chain(cost_verdicts).collect();
        for verdict in &verdicts {
            println!("{verdict}");
        }
        let missed = verdicts.iter().filter(|verdict| !verdict.met).count();
        ensure!(!self.check || missed == 0, "{missed} of {} targets missed", verdicts.len());
        Ok(())
    }

    /// Source by source for each rate and load, so that those that are compared follow each other.
    fn cases(&self) -> impl Iterator<Item = Case> {
        let of_rate = |mbit: &u32| Case::all(*mbit, &self.tasks, [Source::Kernel, Source::Fallback]);
        self.rates.iter().flat_map(of_rate)
    }
}
