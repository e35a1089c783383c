// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask bench`: the gateway beside the yardstick, the bare link and other products.

mod beside;
mod field;
mod figures;
mod links;
mod machine;
mod measure;
mod peers;
mod report;
mod streams;
mod subject;
mod targets;

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use irdest_lab::{catch_signals, interrupted, isolated, shown};
use serde_json::{Value, json};

use crate::build::{Profile, daemon};
use crate::cargo::{cargo, run};
use crate::programs::{FOR_PEERS, TO_MEASURE, require};
use figures::{Figures, Outcome, Run, Runs};
use measure::{longest, measure};
use peers::Peer;
use report::NOISY;
use subject::Subject;
use targets::TARGETS;

/// How often a run is measured until little of its time was stolen.
const ATTEMPTS: u32 = 3;

/// Measures the gateway beside a bare encrypted tunnel, the bare link, and other products.
///
/// Subjects: `raw` (the veth pair), `yardstick` (TUN to UDP with offload, AES-256-GCM per packet, nothing of a router), `bare`
/// (TUN to TCP, AES-256-GCM per super-packet, nothing of a router) and `plain` (the same without encryption), which no
/// gateway over TCP can pass, `direct` (two gateways, linked), `relay` (two gateways with a router between them), and
/// `wireguard-go`, `yggdrasil` and `tinc` where they are installed. Each runs in network namespaces of its own, which are removed afterwards, and all have
/// an MTU of 1420 inside. Both ends and the load share this machine's processors, so only the ratios mean something; every
/// round measures every subject once, and ratios are taken within a round.
///
/// Measured are: one TCP stream each way; ping on the idle tunnel and beside the stream from A to B; datagrams of 64 bytes,
/// 200 000 per second offered; the processor time of the tunnel's processes per 10⁹ bytes; their peak resident memory; and
/// the time that the hypervisor stole meanwhile. A run that lost more than 5 % is measured again, at most twice, and marked
/// with `!` where that did not help. The machine should have nothing else to do.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    other: Option<Other>,
    /// Write the report to this file: ratios, medians, and every single run.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail where a target is missed.
    #[arg(long)]
    check: bool,
    /// How often every subject is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Length of each TCP stream.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=600))]
    seconds: u32,
    /// Measure these subjects only.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Measure another program too: a script that starts one end of it and stays. Its environment: BENCH_NODE (a or b),
    /// BENCH_DIR (a private folder), BENCH_TUN (the interface to make), BENCH_LOCAL and BENCH_PEERS (underlay addresses),
    /// BENCH_TARGET (a file for its overlay address).
    #[arg(long, value_name = "NAME=SCRIPT", value_parser = parse_beside)]
    beside: Vec<Subject>,
    /// Install wireguard-go and tinc from Debian's packages first.
    #[arg(long)]
    install_peers: bool,
    /// Everything is built, and this process may make labs.
    #[arg(long, hide = true)]
    inside: bool,
}

/// Benches of something else than the way from A to B.
#[derive(Debug, clap::Subcommand)]
enum Other {
    Links(links::Links),
    Streams(streams::Streams),
}

fn parse_beside(argument: &str) -> Result<Subject, String> {
    match argument.split_once('=') {
        Some((name, script)) if !name.is_empty() && !script.is_empty() => {
            Ok(Subject::Beside { name: name.to_owned(), script: script.into() })
        }
        _ => Err("expected NAME=SCRIPT".to_owned()),
    }
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        match self.other {
            Some(Other::Links(links)) => return links.run(),
            Some(Other::Streams(streams)) => return streams.run(),
            None => {}
        }
        if self.inside {
            return self.measure_all();
        }
        // Unknown names are found before anything is built.
        self.subjects()?;
        require(TO_MEASURE)?;
        if self.install_peers {
            require(FOR_PEERS)?;
        }
        run(&mut cargo(&["build", "--package", "irdest-yardstick", "--release"]))?;
        start_inside()
    }

    /// What is to be measured, in this order.
    fn subjects(&self) -> Result<Vec<Subject>> {
        let limits = [Subject::Raw, Subject::Yardstick, Subject::Bare, Subject::Plain];
        let ours = limits.into_iter().chain([Subject::Direct, Subject::Relay]);
        let peers = Peer::ALL.map(Subject::Peer);
        let all: Vec<Subject> = ours.chain(self.beside.iter().cloned()).chain(peers).collect();
        if let Some(name) = self.only.iter().find(|name| all.iter().all(|subject| subject.name() != **name)) {
            let names: Vec<&str> = all.iter().map(Subject::name).collect();
            bail!("no subject `{name}`; there are {}", names.join(", "));
        }
        let wanted =
            |subject: &Subject| self.only.is_empty() || self.only.iter().any(|name| name == subject.name());
        Ok(all.into_iter().filter(wanted).collect())
    }

    fn measure_all(self) -> Result<()> {
        catch_signals()?;
        let (present, absent): (Vec<_>, Vec<_>) = self.subjects()?.into_iter().partition(is_present);
        for subject in &absent {
            println!("{} is not installed", subject.name());
        }
        let mut runs = Runs::default();
        for round in 1..=self.rounds {
            for subject in &present {
                runs.0.push(self.measure_one(subject, round)?);
            }
        }
        self.tell(&runs, &present)
    }

    /// One subject in one round, again where too much time was stolen.
    ///
    /// # Errors
    /// Only where somebody interrupts: a subject that fails is a result.
    fn measure_one(&self, subject: &Subject, round: u32) -> Result<Run> {
        let began = Instant::now();
        let mut best: Option<Figures> = None;
        let mut attempts = 0;
        let outcome = loop {
            attempts += 1;
            let attempt = subject.start(longest(self.seconds)).and_then(|running| {
                measure(&running, self.seconds).map_err(|error| running.field.explain(error))
            });
            ensure!(!interrupted(), "interrupted");
            match (attempt, best) {
                (Ok(figures), _) if figures.steal_percent <= NOISY => break Outcome::Figures(figures),
                (Ok(figures), Some(calmest)) if calmest.steal_percent <= figures.steal_percent => {}
                (Ok(figures), _) => best = Some(figures),
                (Err(_), Some(calmest)) => break Outcome::Figures(calmest),
                (Err(error), None) => break Outcome::Failure(format!("{error:#}")),
            }
            if let (ATTEMPTS.., Some(calmest)) = (attempts, best) {
                break Outcome::Figures(calmest);
            }
        };
        let run = Run { subject: subject.name().to_owned(), round, attempts, outcome };
        println!("round {round} of {}: {} ({} s)", self.rounds, told(&run), began.elapsed().as_secs());
        Ok(run)
    }

    fn tell(&self, runs: &Runs, subjects: &[Subject]) -> Result<()> {
        let report = report::json(runs, subjects, self.machine()?);
        println!("\n{}", report::table(runs, subjects));
        if let Some(file) = &self.json {
            let text = format!("{report:#}\n");
            fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        let verdicts = TARGETS.map(|target| target.judge(&report));
        for verdict in &verdicts {
            println!("{verdict}");
        }
        let missed = verdicts.iter().filter(|verdict| !verdict.is_met()).count();
        ensure!(!self.check || missed == 0, "{missed} of {} targets missed", verdicts.len());
        let ours = |run: &&Run| !Peer::ALL.iter().any(|peer| peer.name() == run.subject);
        match runs.0.iter().filter(ours).find_map(|run| Some((run, run.failure()?))) {
            Some((run, reason)) => bail!("{} failed in round {}: {reason}", run.subject, run.round),
            None => Ok(()),
        }
    }

    /// On what was measured, and how.
    fn machine(&self) -> Result<Value> {
        let kernel =
            fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's release")?;
        let processors = std::thread::available_parallelism()?;
        Ok(json!({
            "processors": processors, "kernel": kernel.trim(), "rounds": self.rounds, "seconds": self.seconds,
        }))
    }
}

/// Builds the daemon and starts this command again where it may make labs.
///
/// # Errors
/// Always where it returns: who succeeds has become the other process.
fn start_inside() -> Result<()> {
    let mut again = Command::new(env::current_exe().context("finding this program")?);
    again.args(env::args_os().skip(1)).arg("--inside").env("IRDEST_GATEWAY", daemon(Profile::Release)?);
    let mut again = isolated(again)?;
    Err(again.exec()).with_context(|| format!("starting `{}`", shown(&again)))
}

fn is_present(subject: &Subject) -> bool {
    match subject {
        Subject::Peer(peer) => peer.missing().is_none(),
        Subject::Raw | Subject::Yardstick | Subject::Bare | Subject::Plain => true,
        Subject::Direct | Subject::Relay | Subject::Beside { .. } => true,
    }
}

/// A run in one line.
fn told(run: &Run) -> String {
    let name = &run.subject;
    match &run.outcome {
        Outcome::Figures(figures) => format!(
            "{name}: {:.0} Mbit/s, ping {:.3} ms idle and {:.3} ms loaded, steal {:.1} %",
            figures.tcp_mbit, figures.ping_idle_ms, figures.ping_loaded_ms, figures.steal_percent
        ),
        Outcome::Failure(reason) => format!("{name} failed: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    fn subjects(arguments: &[&str]) -> Result<Vec<String>> {
        let line = Line::try_parse_from(["bench"].iter().chain(arguments))?;
        Ok(line.bench.subjects()?.iter().map(|subject| subject.name().to_owned()).collect())
    }

    #[test]
    fn measures_all_or_what_is_asked_for() {
        let all = subjects(&["--beside", "other=/bin/other"]).unwrap();
        assert_eq!(
            all,
            [
                "raw",
                "yardstick",
                "bare",
                "plain",
                "direct",
                "relay",
                "other",
                "wireguard-go",
                "yggdrasil",
                "tinc"
            ]
        );
        assert_eq!(subjects(&["--only", "direct,yardstick"]).unwrap(), ["yardstick", "direct"]);
        assert!(subjects(&["--only", "fast"]).unwrap_err().to_string().contains("wireguard-go"));
        assert!(subjects(&["--beside", "nameless"]).is_err());
        assert!(subjects(&["--rounds", "0"]).is_err());
    }
}
