// SPDX-License-Identifier: AGPL-3.0-or-later
//! Makes the package a second time, from nothing, to show that it is the same.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{epoch, made, version};
use crate::cargo::{cargo, metadata, run};

/// Tools that need not be built again: what they make is compared, not they.
const TOOLS: [&str; 2] = ["bpf/linker", "cargo-deb"];

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
    for tool in TOOLS.map(Path::new).into_iter().filter(|tool| target.join(tool).exists()) {
        let place = build.join(tool);
        fs::create_dir_all(place.parent().expect("a tool lies in a folder")).with_context(failed)?;
        symlink(target.join(tool), place).with_context(failed)?;
    }
    let mut dist = cargo(&["xtask", "dist", "--version-suffix", suffix, "--output"]);
    dist.arg(&output).env("CARGO_TARGET_DIR", &build).env(epoch::VARIABLE, epoch::find()?);
    run(&mut dist).context("making the package again")?;
    let again = made(&output, &version(suffix))?;
    ensure!(fs::read(package)? == fs::read(&again)?, "{} and {} differ", package.display(), again.display());
    println!("Made again, with the same bytes, after {} s", began.elapsed().as_secs());
    fs::remove_dir_all(&folder).with_context(failed)
}
