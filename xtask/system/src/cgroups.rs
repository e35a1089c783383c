// SPDX-License-Identifier: AGPL-3.0-or-later
//! A control group for each tree, below that of this process: two systemds in one group would take each other apart, and
//! what is in a group can be killed together.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use irdest_lab::{LabName, TimeLimit};

/// How long the kernel may take to let go of the processes of a group.
const EMPTY_LIMIT: Duration = Duration::from_secs(5);

/// The groups of one tree, one in each hierarchy that systemd uses.
#[derive(Debug)]
pub(crate) struct Cgroups {
    folders: Vec<PathBuf>,
}

impl Cgroups {
    /// Makes empty groups, after removing those that dead labs left.
    ///
    /// # Errors
    /// Where there is no hierarchy for systemd, or it cannot be written to.
    pub(crate) fn create(name: &str) -> Result<Self> {
        let parents = own_folders()?;
        remove_dead(&parents)?;
        let folders: Vec<PathBuf> = parents.iter().map(|parent| parent.join(name)).collect();
        for folder in &folders {
            fs::create_dir_all(folder).with_context(|| {
                format!("a tree cannot be booted here: making the control group {}", folder.display())
            })?;
        }
        Ok(Self { folders })
    }

    /// The files that a process writes its number to so as to be a member.
    pub(crate) fn members(&self) -> Vec<String> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs").display().to_string()).collect()
    }
}

impl Drop for Cgroups {
    #[allow(clippy::print_stderr, reason = "who drops cannot be told otherwise")]
    fn drop(&mut self) {
        if let Err(error) = remove(&self.folders) {
            eprintln!("could not remove a control group: {error:#}");
        }
    }
}

/// Kills and removes the trees below this process whose lab is dead.
pub(crate) fn remove_leftovers() -> Result<()> {
    remove_dead(&own_folders()?)
}

/// Where this process is in version 2, and the same path in `name=systemd` of version 1 where that is mounted (cgroups(7)):
/// nspawn keeps the two alike.
fn own_folders() -> Result<Vec<PathBuf>> {
    let memberships = fs::read_to_string("/proc/self/cgroup").context("reading the own control groups")?;
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading what is mounted")?;
    let folders = folders(&memberships, &mounts);
    ensure!(
        !folders.is_empty(),
        "a tree cannot be booted here: no control groups of version 2 are mounted below /sys/fs/cgroup"
    );
    Ok(folders)
}

fn folders(memberships: &str, mounts: &str) -> Vec<PathBuf> {
    let Some(own) = memberships.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let is_systemd = |mount: &&str| {
        let mut fields = mount.split_whitespace().skip(2);
        let (kind, options) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        kind == "cgroup2" || kind == "cgroup" && options.split(',').any(|option| option == "name=systemd")
    };
    let points = mounts.lines().filter(is_systemd).filter_map(|mount| mount.split_whitespace().nth(1));
    points.map(|point| Path::new(point).join(own)).collect()
}

fn remove_dead(parents: &[PathBuf]) -> Result<()> {
    let mut dead = Vec::new();
    for parent in parents {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let lab = name.rsplit_once('-').and_then(|(lab, _)| lab.parse::<LabName>().ok());
            dead.extend(lab.filter(|lab| !lab.is_alive()).map(|_| entry.path()));
        }
    }
    remove(&dead)
}

/// Kills what is in the groups and in those below them, and removes them.
fn remove(folders: &[PathBuf]) -> Result<()> {
    for folder in folders {
        kill(folder)?;
    }
    folders.iter().try_for_each(|folder| remove_empty(folder))
}

/// Only version 2 can kill; version 1 has the same processes.
fn kill(folder: &Path) -> Result<()> {
    let kill = File::options().write(true).open(folder.join("cgroup.kill"));
    match kill.and_then(|mut file| file.write_all(b"1")) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("killing what is in {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes a group and those in it, from the innermost outwards, as soon as their processes are gone.
fn remove_empty(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path())?;
        }
    }
    let what = format!("the control group {} to be empty", folder.display());
    TimeLimit::within(EMPTY_LIMIT).wait_for(&what, || match fs::remove_dir(folder) {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(())),
        Err(error) if error.kind() == ErrorKind::ResourceBusy => Ok(None),
        Err(error) => Err(error).with_context(|| format!("removing {}", folder.display())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &str = "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n\
                        cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,xattr,name=systemd 0 0\n\
                        cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";

    #[test]
    fn finds_the_hierarchies_of_systemd() {
        let found = folders("9:name=systemd:/\n3:cpu:/jobs\n0::/lab:1\n", BOTH);
        assert_eq!(
            found,
            [Path::new("/sys/fs/cgroup/systemd/lab:1"), Path::new("/sys/fs/cgroup/unified/lab:1")]
        );
        assert_eq!(
            folders("0::/\n", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"),
            [Path::new("/sys/fs/cgroup/")]
        );
        assert!(folders("3:cpu:/jobs\n", BOTH).is_empty());
        assert!(folders("0::/\n", "").is_empty());
    }

    #[test]
    fn what_is_gone_is_removed() {
        let missing = std::env::temp_dir().join(format!("irdest-no-cgroup-{}", std::process::id()));
        remove(std::slice::from_ref(&missing)).unwrap();
        fs::create_dir_all(missing.join("inner/innermost")).unwrap();
        remove(std::slice::from_ref(&missing)).unwrap();
        assert!(!missing.exists());
    }
}
