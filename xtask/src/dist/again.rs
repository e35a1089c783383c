// SPDX-License-Identifier: AGPL-3.0-or-later
//! Makes the package a second time, elsewhere, to show that it is the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{epoch, made, version};
use crate::cargo::{cargo, metadata, run, workspace};

/// Tools that need not be built again: what they make is compared, not they.
const TOOLS: [&str; 2] = ["bpf/linker", "cargo-deb"];

/// Copies the sources to another folder, makes the package there from nothing, and compares it with `package`.
///
/// # Errors
/// Where it cannot be made, or differs.
pub(super) fn same(package: &Path, suffix: &str) -> Result<()> {
    let began = Instant::now();
    let target = metadata()?.target_directory.into_std_path_buf();
    let folder = target.join("again");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    let (sources, build, output) = (folder.join("sources"), folder.join("build"), folder.join("output"));
    copy_sources(&sources)?;
    for tool in TOOLS {
        let (from, to) = (target.join(tool), build.join(tool));
        fs::create_dir_all(to.parent().expect("a tool lies in a folder"))?;
        symlink(from, to)?;
    }
    let mut dist = cargo(&["xtask", "dist", "--version-suffix", suffix, "--output"]);
    dist.arg(&output).current_dir(&sources);
    dist.env("CARGO_TARGET_DIR", &build).env(epoch::VARIABLE, epoch::find()?);
    run(&mut dist).context("making the package again")?;
    let again = made(&output, &version(suffix))?;
    ensure!(fs::read(package)? == fs::read(&again)?, "{} and {} differ", package.display(), again.display());
    println!("Made again in {}, with the same bytes, after {} s", build.display(), began.elapsed().as_secs());
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())
}

/// Copies what git knows, or would know.
fn copy_sources(folder: &Path) -> Result<()> {
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(workspace());
    let output = list.output().context("starting git, which knows the files of the project")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    for path in paths.split_terminator('\0') {
        let (from, to) = (workspace().join(path), folder.join(path));
        // Git still lists what was deleted.
        if from.is_file() {
            fs::create_dir_all(to.parent().expect("a file lies in a folder"))?;
            fs::copy(&from, &to).with_context(|| path.to_owned())?;
        }
    }
    Ok(())
}
