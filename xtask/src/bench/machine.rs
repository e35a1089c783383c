// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the kernel counts: time that the hypervisor took away, and what processes have used.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Time of all processors since the machine started, in ticks (proc_stat(5), line `cpu`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ticks {
    total: f64,
    stolen: f64,
}

/// What the processes of some process groups have used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor time in user and kernel mode, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Peak resident memory of the largest group, in MiB.
    pub(crate) peak_mib: f64,
}

impl Ticks {
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
        Self::parse(&text).context("/proc/stat has no line `cpu`")
    }

    /// The first eight numbers; those behind them (guests) are contained in the first two.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let numbers: Vec<f64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
        Some(Self { total: numbers.iter().sum(), stolen: *numbers.get(7)? })
    }

    /// The share of the time since `earlier` in which a processor was ready and the hypervisor ran others, in percent.
    pub(crate) fn steal_since(self, earlier: Self) -> f64 {
        let total = self.total - earlier.total;
        if total > 0.0 { (self.stolen - earlier.stolen) / total * 100.0 } else { 0.0 }
    }
}

impl Usage {
    /// Of the living processes of each group.
    ///
    /// # Errors
    /// Where a group has no process left: the subject has ended.
    pub(crate) fn of(groups: &[u32]) -> Result<Self> {
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel knows its ticks")?;
        let second = f64::from(i32::try_from(ticks_per_second)?);
        let mut usage = Self::default();
        for group in groups {
            let members = members(*group);
            anyhow::ensure!(!members.is_empty(), "process {group} has ended");
            let ticks: f64 = members.iter().map(|member| member.ticks).sum();
            let kib: f64 = members.iter().filter_map(|member| peak_kib(member.id)).sum();
            usage.cpu_seconds += ticks / second;
            usage.peak_mib = usage.peak_mib.max(kib / 1024.0);
        }
        Ok(usage)
    }
}

/// A process as proc_pid_stat(5) describes it.
#[derive(Debug, PartialEq)]
struct Member {
    id: u32,
    group: u32,
    ticks: f64,
}

fn members(group: u32) -> Vec<Member> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        parse_member(id, &fs::read_to_string(entry.path().join("stat")).ok()?)
    });
    stats.filter(|member| member.group == group).collect()
}

/// A process that has not ended; one that has is there until its parent has asked for it (state Z).
///
/// The name of a program may contain anything, so the fields count from the last parenthesis.
fn parse_member(id: u32, stat: &str) -> Option<Member> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if *fields.first()? == "Z" {
        return None;
    }
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some(Member { id, group: fields.get(2)?.parse().ok()?, ticks: ticks(11)? + ticks(12)? })
}

/// Forgets the peaks so far, of the start say (`clear_refs` of proc_pid_clear_refs(5)).
pub(crate) fn forget_peaks(group: u32) {
    for member in members(group) {
        // One that has just ended has no peak any more.
        let _ = fs::write(format!("/proc/{}/clear_refs", member.id), "5");
    }
}

fn peak_kib(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn steal_is_a_share_of_all_time() {
        let before = Ticks::parse("cpu  100 0 100 700 0 0 0 100 0 0\ncpu0 1 1\n").unwrap();
        let after = Ticks::parse("cpu  150 0 150 770 0 0 0 130 50 0\n").unwrap();
        assert_eq!(after.steal_since(before), 15.0);
        assert_eq!(after.steal_since(after), 0.0);
        assert_eq!(Ticks::parse("intr 1 2 3\n"), None);
    }

    #[test]
    fn reads_a_process_with_an_unpleasant_name() {
        let stat = "7 (a) b (c) S 1 5 5 0 -1 4194560 0 0 0 0 30 12 0 0 20 0 1 0 1 1 1";
        assert_eq!(parse_member(7, stat), Some(Member { id: 7, group: 5, ticks: 42.0 }));
        assert_eq!(parse_member(7, "7 (short) S 1"), None);
        assert_eq!(parse_member(7, &stat.replace(" S ", " Z ")), None, "it has ended");
    }

    #[test]
    fn counts_a_group_until_it_has_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 600 & wait"]).process_group(0);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        // What has only just been executed has hardly a page of memory.
        let mut begun = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut begun).unwrap();
        assert_eq!(begun, "begun\n");
        let usage = Usage::of(&[child.id()]).unwrap();
        assert!(usage.peak_mib > 0.1, "{usage:?}");
        nix::sys::signal::killpg(
            nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        child.wait().unwrap();
        while !members(child.id()).is_empty() {
            std::thread::yield_now();
        }
        assert!(Usage::of(&[child.id()]).is_err());
        assert_eq!(Usage::of(&[]).unwrap(), Usage::default());
    }
}
