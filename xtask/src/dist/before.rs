// SPDX-License-Identifier: AGPL-3.0-or-later
//! The package of an earlier commit, as that commit's own `cargo xtask dist` makes it: what an upgrade leads from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{epoch, tools};
use crate::cargo::{cargo, metadata, run, workspace};

/// Sorts below the version of the same sources without it.
pub(super) const SUFFIX: &str = "~before";

/// A commit of the repository that these sources are a clone of.
#[derive(Debug)]
pub(crate) struct Commit {
    /// Its full name.
    id: String,
    /// When it was made, in seconds since 1970.
    time: String,
}

impl Commit {
    /// The one that git calls so.
    ///
    /// # Errors
    /// Without git, in sources that are no clone of their own, and where there is no such commit.
    pub(crate) fn find(revision: &str) -> Result<Self> {
        // Sources may have been unpacked inside of somebody else's clone.
        let top = git(&["rev-parse", "--show-toplevel"]).context("these sources are no clone of git")?;
        ensure!(
            Path::new(&top).canonicalize()? == workspace().canonicalize()?,
            "these sources are no clone of git, but inside of one, {top}"
        );
        let commit = format!("{revision}^{{commit}}");
        let id = git(&["rev-parse", "--verify", "--end-of-options", &commit])
            .with_context(|| format!("there is no commit {revision}"))?;
        let time = git(&["log", "-1", "--format=%ct", &id])?;
        Ok(Self { id, time })
    }

    /// Its package, made where that was not done yet; only the last one is kept. Takes minutes, the first time some more.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(crate) fn package(&self) -> Result<PathBuf> {
        let target = metadata()?.target_directory.into_std_path_buf();
        let folder = target.join("before");
        let output = folder.join("packages").join(&self.id);
        if let Some(made) = only_package(&output) {
            println!("{}: of {}, made before", made.display(), self.id);
            return Ok(made);
        }
        println!("Making the package of commit {}", self.id);
        let (source, build) = (folder.join("source"), folder.join("build"));
        for old in [&folder.join("packages"), &source] {
            remove(old)?;
        }
        self.unpack(&folder, &source)?;
        tools::lend(&target, &build)?;
        let mut dist = cargo(&["xtask", "dist", "--version-suffix", SUFFIX, "--output"]);
        dist.arg(&output).current_dir(&source);
        dist.env("CARGO_TARGET_DIR", &build).env(epoch::VARIABLE, &self.time);
        run(&mut dist).with_context(|| format!("making the package of commit {}", self.id))?;
        only_package(&output).with_context(|| format!("no package in {}", output.display()))
    }

    /// Without a trace in the clone. All files are as old as now: to cargo those of a commit would be older than what it built.
    fn unpack(&self, folder: &Path, source: &Path) -> Result<()> {
        fs::create_dir_all(source).with_context(|| source.display().to_string())?;
        let archive = folder.join("source.tar");
        let mut pack = Command::new("git");
        pack.args(["archive", "--format=tar", "--output"]).arg(&archive).arg(&self.id);
        run(pack.current_dir(workspace()))?;
        let mut unpack = Command::new("tar");
        run(unpack.args(["--extract", "--touch", "--file"]).arg(&archive).arg("--directory").arg(source))?;
        fs::remove_file(&archive).with_context(|| archive.display().to_string())
    }
}

/// What git says, in one line.
fn git(arguments: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    let output = git.args(arguments).current_dir(workspace()).output().context("starting git")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {}: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

/// The package in a folder that has one: its version is that of its commit.
fn only_package(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut packages = files.filter(|file| file.extension().is_some_and(|end| end == "deb"));
    packages.next().filter(|_| packages.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_is_not_there_is_named() {
        let error = format!("{:#}", Commit::find("no-such-commit").unwrap_err());
        assert!(error.contains("no-such-commit") || error.contains("no clone"), "{error}");
    }

    #[test]
    fn a_folder_with_one_package_has_it() {
        let folder = std::env::temp_dir().join(format!("xtask-before-{}", std::process::id()));
        assert_eq!(only_package(&folder), None);
        fs::create_dir_all(&folder).unwrap();
        for (name, expected) in [("other.txt", false), ("a.deb", true), ("b.deb", false)] {
            fs::write(folder.join(name), "").unwrap();
            assert_eq!(only_package(&folder).is_some(), expected, "{name}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
