// SPDX-License-Identifier: AGPL-3.0-or-later
//! Makes the package a second time, from nothing, to show that it is the same.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{epoch, made, tools, version};
use crate::cargo::{cargo, metadata, run};

/// Makes the package with nothing built before, and compares it with `package`.
///
/// # Errors
/// Where it cannot be made, or differs; then both stay, to be looked into.
pub(super) fn same(package: &Path, suffix: &str) -> Result<()> {
    let began = Instant::now();
    let target = metadata()?.target_directory.into_std_path_buf();
    let folder = target.join("again");
    let failed = || folder.display().to_string();
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(failed)?;
    }
    let (build, output) = (folder.join("build"), folder.join("output"));
    // What tools make is compared, not they.
    tools::lend(&target, &build)?;
    let mut dist = cargo(&["xtask", "dist", "--version-suffix", suffix, "--output"]);
    dist.arg(&output).env("CARGO_TARGET_DIR", &build).env(epoch::VARIABLE, epoch::find()?);
    run(&mut dist).context("making the package again")?;
    let again = made(&output, &version(suffix))?;
    ensure!(fs::read(package)? == fs::read(&again)?, "{} and {} differ", package.display(), again.display());
    println!("Made again, with the same bytes, after {} s", began.elapsed().as_secs());
    fs::remove_dir_all(&folder).with_context(failed)
}
