// SPDX-License-Identifier: AGPL-3.0-or-later
//! The tests in the lab: those that mostly wait side by side, those that measure one after the other. What fails is tried once more
//! when nothing else runs, and told in either case (decisions/a-lab-test-is-tried-twice.md).

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::fs::{self, File};
use std::io::{BufReader, Write, stdout};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use cargo_metadata::Message;
use irdest_lab::shown;

use crate::demonstration::headline;

/// Lab tests that measure no times and mostly wait: several run at the same time, the longest first.
pub(super) const PATIENT: [&str; 17] = [
    "firewall",
    "tools",
    "clients",
    "kills",
    "hostile",
    "streams",
    "service",
    "host",
    "namespaces",
    "sharing",
    "reload",
    "doctor",
    "refusals",
    "captured",
    "privileges",
    "device",
    "lab_itself",
];

/// How many of them at the same time.
const AT_ONCE: usize = 3;

/// A file of tests, built.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    name: String,
    program: PathBuf,
    /// The folder of its package.
    folder: PathBuf,
}

/// Builds files of tests with a call of cargo that names them.
///
/// # Errors
/// They do not build.
pub(super) fn build(mut cargo: Command) -> Result<Vec<Binary>> {
    cargo.args(["--no-run", "--message-format=json-render-diagnostics"]).stdout(Stdio::piped());
    let mut building = cargo.spawn().with_context(|| format!("starting {}", shown(&cargo)))?;
    let messages = building.stdout.take().context("what cargo says is taken")?;
    let mut binaries = Vec::new();
    for message in Message::parse_stream(BufReader::new(messages)) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        let Some(program) = artifact.executable.filter(|_| artifact.profile.test) else { continue };
        let folder = artifact.manifest_path.parent().context("a manifest lies in a folder")?;
        let (program, folder) = (program.into_std_path_buf(), folder.as_std_path().to_owned());
        binaries.push(Binary { name: artifact.target.name, program, folder });
    }
    let status = building.wait()?;
    ensure!(status.success(), "`{}`: {status}", shown(&cargo));
    Ok(binaries)
}

/// How the tests are run.
#[derive(Debug)]
pub(super) struct InLab {
    /// Given to all of them.
    pub(super) environment: Vec<(&'static str, PathBuf)>,
    /// Where what they print is kept.
    pub(super) logs: PathBuf,
    /// Whether what fails is not tried again.
    pub(super) once: bool,
    /// Makes of a program's command the one that starts it where labs can be made.
    pub(super) inside: fn(Command) -> Result<Command>,
}

/// Tests that failed.
#[derive(Debug)]
struct Failed {
    binary: Binary,
    /// All of the file where none is named: it ended before it could say which.
    names: BTreeSet<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        write!(f, "{} {}", self.binary.name, names.join(" "))
    }
}

impl InLab {
    /// Runs tests of the lab to the end of the last one, and those that failed again.
    ///
    /// # Errors
    /// A test failed twice.
    pub(super) fn run(&self, binaries: Vec<Binary>) -> Result<()> {
        fs::create_dir_all(&self.logs).with_context(|| self.logs.display().to_string())?;
        let (mut patient, others): (Vec<_>, Vec<_>) =
            binaries.into_iter().partition(|binary| place(binary).is_some());
        patient.sort_by_key(place);
        let mut failed = self.side_by_side(patient)?;
        for binary in others {
            failed.extend(self.try_one(binary, &BTreeSet::new())?);
        }
        if failed.is_empty() {
            return Ok(());
        }
        let all: Vec<_> = failed.iter().map(Failed::to_string).collect();
        ensure!(!self.once, "failed: {}", all.join(", "));
        headline(&format!("once more: {}", all.join(", ")));
        let mut again = Vec::new();
        for Failed { binary, names } in failed {
            again.extend(self.try_one(binary, &names)?);
        }
        if !again.is_empty() {
            bail!("failed twice: {}", again.iter().map(Failed::to_string).collect::<Vec<_>>().join(", "));
        }
        headline(&format!("FLAKY, passed when tried again: {}", all.join(", ")));
        Ok(())
    }

    fn side_by_side(&self, binaries: Vec<Binary>) -> Result<Vec<Failed>> {
        let waiting = Mutex::new(VecDeque::from(binaries));
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let lane = || {
            let mut failed = Vec::new();
            while let Some(binary) = next() {
                failed.extend(self.try_one(binary, &BTreeSet::new())?);
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

    /// Runs tests of one file, all where none is named, and shows what they printed when they are over.
    fn try_one(&self, binary: Binary, names: &BTreeSet<String>) -> Result<Option<Failed>> {
        let path = self.logs.join(format!("{}.log", binary.name));
        let log = File::create(&path).with_context(|| path.display().to_string())?;
        let mut tests = Command::new(&binary.program);
        tests.args(["--test-threads=1", "--nocapture"]).current_dir(&binary.folder);
        tests.env("CARGO_MANIFEST_DIR", &binary.folder);
        tests.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if !names.is_empty() {
            tests.arg("--exact").args(names);
        }
        let mut tests = (self.inside)(tests)?;
        tests.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let status = tests.status().with_context(|| format!("starting {}", shown(&tests)))?;
        let printed = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        // In one piece, as others print, too.
        let mut out = stdout().lock();
        write!(out, "\n     Running {}: {status}\n{printed}", binary.name)?;
        out.flush()?;
        if status.success() {
            return Ok(None);
        }
        let names = failures(&printed);
        Ok(Some(Failed { binary, names }))
    }
}

/// Where a file stands among the patient ones.
fn place(binary: &Binary) -> Option<usize> {
    PATIENT.iter().position(|name| *name == binary.name)
}

/// The names in the last list of failures of what a test program printed; none where it did not come to its end.
fn failures(printed: &str) -> BTreeSet<String> {
    let Some((_, list)) = printed.rsplit_once("\nfailures:\n") else { return BTreeSet::new() };
    let names = list.lines().map_while(|line| line.strip_prefix("    "));
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell reads the script: nothing is executed that other threads may have open for writing still, and nothing needs a lab.
    fn read_by_a_shell(script: Command) -> Result<Command> {
        let mut shell = Command::new("sh");
        shell.arg(script.get_program()).args(script.get_args());
        shell.current_dir(script.get_current_dir().context("tests run in the folder of their package")?);
        Ok(shell)
    }

    /// A file of tests that is a script: its first run fails in `b`, the second as `second` says.
    fn flaky(folder: &str, second: &str) -> (InLab, Vec<Binary>) {
        let folder = std::env::temp_dir().join(format!("xtask-{folder}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("tests");
        let script = format!(
            "if [ -e seen ]; then [ \"$*\" = '--test-threads=1 --nocapture --exact b' ] && exit {second}; exit 3; fi\n\
             touch seen; printf 'test b ... FAILED\\n\\nfailures:\\n\\nfailures:\\n    b\\n\\ntest result: FAILED\\n'; exit 101\n"
        );
        fs::write(&program, script).unwrap();
        let binary = Binary { name: "script".to_owned(), program, folder: folder.clone() };
        let lab = InLab { environment: Vec::new(), logs: folder, once: false, inside: read_by_a_shell };
        (lab, vec![binary])
    }

    #[test]
    fn what_failed_is_tried_again_alone() {
        let (lab, binaries) = flaky("again", "0");
        lab.run(binaries).unwrap();
        fs::remove_dir_all(&lab.logs).unwrap();
    }

    #[test]
    fn what_fails_twice_fails() {
        let (lab, binaries) = flaky("twice", "101");
        let error = lab.run(binaries).unwrap_err();
        assert!(error.to_string().starts_with("failed twice: script"), "{error}");
        fs::remove_dir_all(&lab.logs).unwrap();
    }

    #[test]
    fn once_is_once() {
        let (mut lab, binaries) = flaky("once", "0");
        lab.once = true;
        assert_eq!(lab.run(binaries).unwrap_err().to_string(), "failed: script b");
        fs::remove_dir_all(&lab.logs).unwrap();
    }

    #[test]
    fn a_file_that_ends_without_a_list_names_none() {
        assert_eq!(failures("test a ... ok\ntest b ... Killed"), BTreeSet::new());
        let two = "x\nfailures:\n\n---- a ----\n    b\n\nfailures:\n    a\n    c::d\n\ntest result: FAILED";
        assert_eq!(failures(two), ["a", "c::d"].map(str::to_owned).into());
    }
}
