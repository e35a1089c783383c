// SPDX-License-Identifier: AGPL-3.0-or-later
//! Finding and removing the parts of labs: processes by their mark, namespaces and directories by their name.
//!
//! The same way serves a lab that ends and one whose owner was killed, so that the second case is as well
//! tried as the first.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::lab_name::{LabName, MARK};
use crate::process::{KILL_LIMIT, run_quick};
use crate::programs::command;
use crate::time_limit::TimeLimit;

/// Removes everything of labs whose owner no longer lives, and returns their names.
pub fn remove_leftovers() -> Result<Vec<LabName>> {
    let dead: Vec<LabName> = all_labs()?.into_iter().filter(|lab| !lab.is_alive()).collect();
    for lab in &dead {
        remove(*lab).with_context(|| format!("removing {lab}, whose owner is gone"))?;
    }
    Ok(dead)
}

/// The labs whose owner lives, also those in user namespaces.
pub fn living_labs() -> Result<Vec<LabName>> {
    Ok(directories().into_iter().filter(|lab| lab.is_alive()).collect())
}

/// Kills the processes of a lab, and removes its namespaces and its directory.
pub(crate) fn remove(lab: LabName) -> Result<()> {
    kill_processes(lab)?;
    for namespace in namespaces()?.iter().filter(|name| is_of(name, lab)) {
        delete(namespace)?;
    }
    match fs::remove_dir_all(lab.directory()) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", lab.directory().display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Deletes a namespace; that somebody else does so at the same time is no error, as several may remove the same lab.
fn delete(namespace: &str) -> Result<()> {
    TimeLimit::within(KILL_LIMIT).wait_for("the namespace to be gone", || {
        let deleted = run_quick(command("ip").args(["netns", "delete", namespace])).is_ok();
        Ok((deleted || !namespaces()?.iter().any(|name| name == namespace)).then_some(()))
    })
}

fn all_labs() -> Result<BTreeSet<LabName>> {
    let mut labs = directories();
    labs.extend(namespaces()?.iter().filter_map(|name| LabName::of_namespace(name)).map(|(lab, _)| lab));
    labs.extend(marked_processes().into_iter().map(|(_, lab)| lab));
    Ok(labs)
}

fn is_of(namespace: &str, lab: LabName) -> bool {
    LabName::of_namespace(namespace).is_some_and(|(of, _)| of == lab)
}

/// The named namespaces that this user sees.
fn namespaces() -> Result<Vec<String>> {
    let list = run_quick(command("ip").args(["netns", "list"]))?;
    Ok(list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// The labs of this user by their directories; those of others are theirs to remove.
fn directories() -> BTreeSet<LabName> {
    let own = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|meta| meta.uid() == geteuid().as_raw());
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten().filter(own);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn kill_processes(lab: LabName) -> Result<()> {
    TimeLimit::within(KILL_LIMIT).wait_for("the killed processes to be gone", || {
        let mut any = false;
        for (process, _) in marked_processes().into_iter().filter(|(_, of)| *of == lab) {
            any = true;
            match kill(process, Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => Err(error).with_context(|| format!("killing process {process} of {lab}"))?,
            }
        }
        Ok((!any).then_some(()))
    })
}

/// Processes that carry a lab's mark in their environment; dead ones that wait for their parent have none.
fn marked_processes() -> Vec<(Pid, LabName)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|id| Some((Pid::from_raw(id), mark_of(id)?))).collect()
}

fn mark_of(process: i32) -> Option<LabName> {
    let environment = fs::read(Path::new("/proc").join(process.to_string()).join("environ")).ok()?;
    let mut variables =
        environment.split(|byte| *byte == 0).filter_map(|bytes| std::str::from_utf8(bytes).ok());
    variables.find_map(|variable| variable.strip_prefix(MARK)?.strip_prefix('=')?.parse().ok())
}
