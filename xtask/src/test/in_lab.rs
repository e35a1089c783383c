// SPDX-License-Identifier: AGPL-3.0-or-later
//! The tests in the lab: those that mostly wait side by side, those that measure one after the other. What fails is tried once more
//! when nothing else runs, and told in either case (decisions/a-lab-test-is-tried-twice.md).

mod binary;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use irdest_lab::{Process, TimeLimit, interrupted};

use crate::demonstration::headline;
use binary::Binary;
pub(super) use binary::build;
use verdict::{Tests, Verdict};

/// Lab tests that measure no times and mostly wait, by package and name: several run at the same time, the longest first.
/// `lab_itself` is none of them: it leaves a dead lab for itself to remove, and any other lab that starts would remove it before.
pub(super) const PATIENT: [&str; 17] = [
    "irdest-lab::firewall",
    "irdest-lab::tools",
    "irdest-lab::clients",
    "irdest-lab::kills",
    "irdest-gateway::hostile",
    "irdest-lab::streams",
    "irdest-lab::service",
    "irdest-lab::host",
    "irdest-gateway::host",
    "irdest-lab::namespaces",
    "irdest-lab::sharing",
    "irdest-lab::reload",
    "irdest-lab::doctor",
    "irdest-lab::refusals",
    "irdest-gateway::captured",
    "irdest-lab::privileges",
    "gateway-tun::device",
];

/// How many of them at the same time.
const AT_ONCE: usize = 3;

/// How the tests are run.
#[derive(Debug)]
pub(super) struct InLab {
    /// Given to all of them.
    pub(super) environment: Vec<(&'static str, PathBuf)>,
    /// The folder where what they print is kept; what the run before left there goes.
    pub(super) logs: PathBuf,
    /// Whether what fails is not tried again.
    pub(super) once: bool,
    /// How long one file may take, before it is killed.
    pub(super) limit: Duration,
    /// Makes of a program's command the one that starts it where labs can be made.
    pub(super) inside: fn(Command) -> Result<Command>,
}

/// Which run of a file it is.
#[derive(Clone, Copy, Debug)]
enum Attempt {
    First,
    Again,
}

/// What became of tests that were run again.
#[derive(Debug)]
struct Retried {
    /// Those that passed.
    flaky: Vec<Failed>,
    /// Those that failed again.
    failed: Vec<Failed>,
}

/// Tests that failed.
#[derive(Debug)]
struct Failed {
    binary: Binary,
    tests: Tests,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.binary)?;
        match &self.tests {
            Tests::All => Ok(()),
            Tests::Named(names) => names.iter().try_for_each(|name| write!(f, " {name}")),
        }
    }
}

impl InLab {
    /// Runs tests of the lab to the end of the last one, and those that failed again.
    ///
    /// # Errors
    /// A test failed twice, or somebody asked this program to end.
    pub(super) fn run(&self, binaries: Vec<Binary>) -> Result<()> {
        self.prepare_logs(&binaries)?;
        let (mut patient, others): (Vec<_>, Vec<_>) =
            binaries.into_iter().partition(|binary| place(binary).is_some());
        patient.sort_by_key(place);
        let mut failed = self.side_by_side(patient)?;
        for binary in others {
            failed.extend(self.try_one(binary, &Tests::All, Attempt::First)?);
        }
        if failed.is_empty() {
            return Ok(());
        }
        ensure!(!self.once, "failed: {}", listed(&failed));
        headline(&format!("once more: {}", listed(&failed)));
        let retried = self.once_more(failed)?;
        if !retried.flaky.is_empty() {
            headline(&format!("FLAKY, passed when tried again: {}", listed(&retried.flaky)));
        }
        ensure!(retried.failed.is_empty(), "failed twice: {}", listed(&retried.failed));
        Ok(())
    }

    /// Runs what failed again, one file after the other.
    fn once_more(&self, failed: Vec<Failed>) -> Result<Retried> {
        let mut retried = Retried { flaky: Vec::new(), failed: Vec::new() };
        for first in failed {
            let again = self.try_one(first.binary.clone(), &first.tests, Attempt::Again)?;
            let passed = match &again {
                Some(again) => first.tests.but(&again.tests),
                None => Some(first.tests),
            };
            retried.flaky.extend(passed.map(|tests| Failed { binary: first.binary, tests }));
            retried.failed.extend(again);
        }
        Ok(retried)
    }

    /// Makes the folder of logs anew, for logs of these files.
    fn prepare_logs(&self, binaries: &[Binary]) -> Result<()> {
        let mut logs = BTreeSet::new();
        for binary in binaries {
            let both = [Attempt::First, Attempt::Again].map(|attempt| logs.insert(self.log(binary, attempt)));
            ensure!(both == [true, true], "the log of {binary} would be that of another file, too");
        }
        match fs::remove_dir_all(&self.logs) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => fs::create_dir_all(&self.logs),
        }
        .with_context(|| format!("making {} anew", self.logs.display()))
    }

    /// Where is kept what a file prints. What it printed when it failed stays when it is run again.
    fn log(&self, binary: &Binary, attempt: Attempt) -> PathBuf {
        let ending = match attempt {
            Attempt::First => "log",
            Attempt::Again => "again.log",
        };
        self.logs.join(format!("{}.{}.{ending}", binary.package, binary.name))
    }

    fn side_by_side(&self, binaries: Vec<Binary>) -> Result<Vec<Failed>> {
        let waiting = Mutex::new(VecDeque::from(binaries));
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let lane = || {
            let mut failed = Vec::new();
            while let Some(binary) = next() {
                failed.extend(self.try_one(binary, &Tests::All, Attempt::First)?);
            }
            Ok(failed)
        };
        let mut failed = Vec::new();
        thread::scope(|scope| {
            let lanes: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(lane)).collect();
            for lane in lanes {
                let of_lane: Result<Vec<Failed>> = lane.join().map_err(|_| anyhow!("a lane ended"))?;
                failed.extend(of_lane?);
            }
            Ok(failed)
        })
    }

    /// Runs tests of one file, and shows what they printed when they are over.
    fn try_one(&self, binary: Binary, tests: &Tests, attempt: Attempt) -> Result<Option<Failed>> {
        let path = self.log(&binary, attempt);
        File::create_new(&path).with_context(|| path.display().to_string())?;
        // Killed where this function is left before it has ended.
        let mut process = Process::spawn(&mut self.command(&binary, tests)?, path)?;
        let ended = process.wait(TimeLimit::within(self.limit));
        ensure!(!interrupted(), "interrupted");
        let printed = process.log();
        let verdict = match ended {
            Ok(status) => Verdict::of(tests, status, &printed),
            Err(error) => Verdict::Unclear(format!("{error:#}")),
        };
        // In one piece, as others print, too.
        println!("\n     Running {binary}: {verdict}\n{printed}");
        Ok(verdict.failed_of(tests).map(|tests| Failed { binary, tests }))
    }

    /// The command that runs tests of one file.
    fn command(&self, binary: &Binary, tests: &Tests) -> Result<Command> {
        let mut command = Command::new(&binary.program);
        command.args(["--test-threads=1", "--nocapture"]).current_dir(&binary.folder);
        command.env("CARGO_MANIFEST_DIR", &binary.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Tests::Named(names) = tests {
            command.arg("--exact").args(names);
        }
        (self.inside)(command)
    }
}

/// All of them in one line.
fn listed(failed: &[Failed]) -> String {
    failed.iter().map(Failed::to_string).collect::<Vec<_>>().join(", ")
}

/// Where a file stands among the patient ones.
fn place(binary: &Binary) -> Option<usize> {
    PATIENT.iter().position(|name| *name == binary.to_string())
}
