// SPDX-License-Identifier: AGPL-3.0-or-later
//! Programs of the lab: those that stay, with their log, and those that are run to their end.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::programs::shown;
use crate::time_limit::TimeLimit;

/// A program in the background. Dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command; everything that it says is appended to `log`.
    ///
    /// It gets a process group of its own, so that Ctrl-C in the terminal reaches the owner of the lab alone.
    pub fn spawn(command: &mut Command, log: PathBuf) -> Result<Self> {
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("opening {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting `{}`", shown(command)))?;
        Ok(Self { child, log })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Asks it to end with SIGTERM and waits for that.
    ///
    /// # Errors
    /// Where it has not ended within the limit.
    pub fn terminate(mut self, limit: TimeLimit) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(limit)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Where it has not ended within the limit.
    pub fn wait(&mut self, limit: TimeLimit) -> Result<ExitStatus> {
        let what = format!("the end of process {}, which logs to {}", self.id(), self.log.display());
        limit.wait_for(&what, || Ok(self.child.try_wait()?))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.id()).context("process ids are positive numbers of 31 bits")?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("sending {signal} to process {id}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended already, and then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the command to its end and returns what it wrote to its standard output.
///
/// # Errors
/// Where it cannot be started, does not end within the limit (it is killed), or ends with an exit code other
/// than 0; the message has its last words.
pub(crate) fn run_to_end(command: &mut Command, scratch: &Path, limit: TimeLimit) -> Result<String> {
    // Files instead of pipes: nobody has to read them while the program runs.
    let mut output = scratch_file(scratch, "output")?;
    let mut errors = scratch_file(scratch, "errors")?;
    let child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(errors.try_clone()?)
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting `{}`", shown(command)))?;
    let mut process = Process { child, log: PathBuf::new() };
    let what = format!("the end of `{}`", shown(command));
    let status = limit.wait_for(&what, || Ok(process.child.try_wait()?))?;
    let output = read_back(&mut output)?;
    if !status.success() {
        let said = read_back(&mut errors)?;
        bail!("`{}`: {status}\n{}{}", shown(command), last_lines(&output, 10), last_lines(&said, 10));
    }
    Ok(output)
}

/// Runs a quick command that needs no limit of its own, such as those of `ip`.
pub(crate) fn run_quick(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("starting `{}`", shown(command)))?;
    if !output.status.success() {
        bail!("`{}`: {}\n{}", shown(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last `count` lines of a text, each ended.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| format!("{line}\n")).collect()
}

/// An open file without a name: it is gone with its last user.
fn scratch_file(folder: &Path, purpose: &str) -> Result<File> {
    let path = folder.join(format!("{purpose}-{}-{:?}", std::process::id(), std::thread::current().id()));
    let file = File::options().create(true).truncate(true).read(true).write(true).open(&path);
    let file = file.with_context(|| format!("making {}", path.display()))?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn read_back(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How long a process that was killed may take to be gone.
pub(crate) const KILL_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> TimeLimit {
        TimeLimit::within(Duration::from_secs(10))
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn returns_the_output_and_tells_the_last_words_of_a_failure() {
        let folder = std::env::temp_dir();
        assert_eq!(run_to_end(&mut shell("echo yes"), &folder, limit()).unwrap(), "yes\n");
        let error = run_to_end(&mut shell("echo alas >&2; exit 3"), &folder, limit()).unwrap_err();
        assert!(error.to_string().contains("alas"), "{error}");
    }

    #[test]
    fn kills_what_does_not_end_in_time() {
        let short = TimeLimit::within(Duration::from_millis(50));
        let error = run_to_end(&mut shell("exec sleep 600"), &std::env::temp_dir(), short).unwrap_err();
        assert!(error.to_string().contains("sleep 600"), "{error}");
    }

    #[test]
    fn a_process_has_a_log_and_ends_on_demand() {
        let log = std::env::temp_dir().join(format!("irdest-lab-process-{}.log", std::process::id()));
        let script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done";
        let process = Process::spawn(&mut shell(script), log.clone()).unwrap();
        limit().wait_until("the log", || process.log() == "up\n").unwrap();
        assert!(process.terminate(limit()).unwrap().success());
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn takes_the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last_lines("a", 2), "a\n");
        assert_eq!(last_lines("", 2), "");
    }
}
