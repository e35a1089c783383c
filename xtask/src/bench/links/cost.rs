// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the probes cost: time per packet as the kernel counts it, and throughput with them and without, by turns.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use irdest_lab::traffic::{IperfServer, stream_rates};
use irdest_lab::{Neighbours, TimeLimit, find_program, interrupted};
use serde::{Deserialize, Serialize};

use super::verdict::Verdict;
use crate::bench::figures::median;

/// How often everything is measured.
const PAIRS: u32 = 5;

/// Length of each stream, in seconds.
const SECONDS: u32 = 5;

/// The longest that one lab may take.
const LIMIT: Duration = Duration::from_secs(90);

/// Whether the kernel measures its programs, for as long as this lives (`Documentation/admin-guide/sysctl/kernel.rst`).
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Nanoseconds per call, and the part of the throughput that is left.
const INGRESS_NS: f64 = 300.0;
const EGRESS_NS: f64 = 1500.0;
const LEFT: f64 = 0.95;

/// What the probes cost on A, which sends.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Cost {
    ingress_ns: Vec<f64>,
    /// Per super-packet, as the kernel hands them over.
    egress_ns: Vec<f64>,
    mbit_with: Vec<f64>,
    mbit_without: Vec<f64>,
    /// Why something is missing.
    failure: Option<String>,
}

/// A program as `bpftool` lists it; without times where the kernel does not measure.
#[derive(Clone, Debug, Deserialize)]
struct Program {
    id: u32,
    #[serde(default)]
    name: String,
    #[serde(default)]
    run_time_ns: u64,
    #[serde(default)]
    run_cnt: u64,
}

/// Measures all, alternating which comes first.
///
/// # Errors
/// Only where somebody interrupts.
pub(super) fn measure() -> Result<Cost> {
    let mut cost = Cost::default();
    for pair in 0..PAIRS {
        let outcome = cost.measure_pair(pair % 2 == 0);
        ensure!(!interrupted(), "interrupted");
        if let Err(error) = outcome {
            cost.failure = Some(format!("{error:#}"));
            break;
        }
    }
    Ok(cost)
}

impl Cost {
    fn measure_pair(&mut self, with_probes_first: bool) -> Result<()> {
        for probes in [with_probes_first, !with_probes_first] {
            let extra = if probes { "" } else { Neighbours::WITHOUT_PROBES };
            let lab = Neighbours::start_without_line(TimeLimit::within(LIMIT), extra)?;
            let server = IperfServer::start(lab.b.node(), Neighbours::B_ADDRESS.parse()?, lab.limit())?;
            let stream = || -> Result<f64> {
                let report = server.report(lab.a.node(), &[], SECONDS, lab.limit())?;
                Ok(stream_rates(&report)?.iter().sum::<f64>() / 1e6)
            };
            let mbit = stream()?;
            println!("{} probes: {mbit:.0} Mbit/s", if probes { "with" } else { "without" });
            if !probes {
                self.mbit_without.push(mbit);
                continue;
            }
            self.mbit_with.push(mbit);
            let _on = Measuring::start()?;
            let own = own_programs(lab.a.process_id().context("the gateway runs")?)?;
            let before = programs()?;
            stream()?;
            let after = programs()?;
            let of =
                |end| per_call(&own, &before, &after, end).with_context(|| format!("no program of {end}"));
            let (ingress, egress) = (of("_in")?, of("_out")?);
            println!("probes: {ingress:.0} ns in, {egress:.0} ns out");
            self.ingress_ns.push(ingress);
            self.egress_ns.push(egress);
        }
        Ok(())
    }

    /// Three targets.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let ratios = self.mbit_with.iter().zip(&self.mbit_without).map(|(with, without)| with / without);
        let figures = [
            ("ingress, ns per call", median(self.ingress_ns.clone()), INGRESS_NS, false),
            ("egress, ns per super-packet", median(self.egress_ns.clone()), EGRESS_NS, false),
            ("throughput with probes, as a part of that without", median(ratios.collect()), LEFT, true),
        ];
        let verdict = |(what, value, bound, at_least): (&str, Option<f64>, f64, bool)| {
            let direction = if at_least { "at least" } else { "at most" };
            let Some(value) = value else {
                let why = self.failure.as_deref().unwrap_or_default();
                return Verdict { met: false, what: format!("{what}: not measured: {why}") };
            };
            let met = if at_least { value >= bound } else { value <= bound };
            Verdict { met, what: format!("{what} = {value:.2}, {direction} {bound}") }
        };
        figures.into_iter().map(verdict).collect()
    }
}

/// The kernel measures its programs while this lives.
struct Measuring {
    before: String,
}

impl Measuring {
    fn start() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).context("asking whether the kernel measures programs")?;
        fs::write(SWITCH, "1").context("letting the kernel measure programs")?;
        Ok(Self { before })
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        if let Err(error) = fs::write(SWITCH, self.before.trim()) {
            eprintln!("could not set {SWITCH} back to {}: {error}", self.before.trim());
        }
    }
}

/// The numbers of the programs of which a process holds descriptors, itself or by their links (proc_pid_fdinfo(5)).
fn own_programs(process: u32) -> Result<BTreeSet<u32>> {
    let folder = format!("/proc/{process}/fdinfo");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {folder}"))?;
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    Ok(texts.filter_map(|text| program_id(&text)).collect())
}

fn program_id(information: &str) -> Option<u32> {
    information.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())
}

fn programs() -> Result<Vec<Program>> {
    let bpftool = find_program("bpftool").context("no bpftool")?;
    let output = Command::new(bpftool).args(["--json", "prog", "show"]).output().context("bpftool")?;
    ensure!(output.status.success(), "bpftool: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("reading what bpftool says")
}

/// Nanoseconds per call of the programs whose names end so.
fn per_call(own: &BTreeSet<u32>, before: &[Program], after: &[Program], end: &str) -> Option<f64> {
    let (mut nanoseconds, mut calls) = (0, 0);
    let wanted = |program: &&Program| own.contains(&program.id) && program.name.ends_with(end);
    for program in after.iter().filter(wanted) {
        let earlier = before.iter().find(|earlier| earlier.id == program.id);
        let (time, count) = earlier.map_or((0, 0), |earlier| (earlier.run_time_ns, earlier.run_cnt));
        nanoseconds += program.run_time_ns - time;
        calls += program.run_cnt - count;
    }
    // A duration is the way from 64 bits to a float; in both the same unit cancels out.
    let [nanoseconds, calls] = [nanoseconds, calls].map(|number| Duration::from_nanos(number).as_secs_f64());
    (calls > 0.0).then_some(nanoseconds / calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = r#"[
        {"id": 3, "type": "cgroup_device", "tag": "e3db", "gpl_compatible": true},
        {"id": 7, "type": "sched_cls", "name": "irdest_eth_in", "run_time_ns": 3000, "run_cnt": 20},
        {"id": 8, "type": "sched_cls", "name": "irdest_eth_out", "run_time_ns": 9000, "run_cnt": 10},
        {"id": 9, "type": "sched_cls", "name": "irdest_eth_in", "run_time_ns": 99999, "run_cnt": 1}]"#;

    #[test]
    fn counts_calls_of_own_programs_since_before() {
        let after: Vec<Program> = serde_json::from_str(LISTED).unwrap();
        let mut before = after[1..2].to_vec();
        (before[0].run_time_ns, before[0].run_cnt) = (1000, 10);
        let own = BTreeSet::from([7, 8]);
        assert_eq!(per_call(&own, &before, &after, "_in"), Some(200.0));
        assert_eq!(per_call(&own, &before, &after, "_out"), Some(900.0));
        assert_eq!(per_call(&own, &after, &after, "_in"), None, "no call");
    }

    #[test]
    fn finds_the_number_of_a_program_in_what_a_descriptor_tells() {
        assert_eq!(program_id("pos:\t0\nlink_type:\ttcx\nprog_id:\t605\nifindex:\t2\n"), Some(605));
        assert_eq!(program_id("pos:\t0\nflags:\t02\n"), None);
    }

    #[test]
    fn what_was_not_measured_is_missed_and_medians_are_judged() {
        let none = Cost { failure: Some("no probes".into()), ..Cost::default() };
        assert!(none.verdicts().iter().all(|verdict| !verdict.met && verdict.what.contains("no probes")));
        let cost = Cost {
            ingress_ns: vec![290.0, 310.0, 280.0],
            egress_ns: vec![1600.0],
            mbit_with: vec![95.0, 96.0, 10.0],
            mbit_without: vec![100.0, 100.0, 100.0],
            failure: None,
        };
        let met: Vec<bool> = cost.verdicts().iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [true, false, true]);
    }
}
