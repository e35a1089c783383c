// SPDX-License-Identifier: AGPL-3.0-or-later
//! The program that makes the package, cargo-deb, in a version that was tried.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::cargo::{cargo, run, workspace};

/// Another version may write other bytes.
const VERSION: &str = "3.8.0";

/// The one below the folder of what is built, made once.
///
/// # Errors
/// Where it cannot be built.
pub(super) fn find(target: &Path) -> Result<PathBuf> {
    let root = target.join("cargo-deb").join(VERSION);
    let program = root.join("bin/cargo-deb");
    if program.is_file() {
        return Ok(program);
    }
    println!("Building cargo-deb {VERSION}, once, in about two minutes");
    let mut install = cargo(&["install", "cargo-deb", "--quiet", "--version", VERSION, "--locked"]);
    install.arg("--root").arg(&root).arg("--target-dir").arg(target.join("cargo-deb/build"));
    run(&mut install).context("building cargo-deb")?;
    Ok(program)
}

/// A call that packs what is built into `output`.
pub(super) fn call(packager: &Path, version: &str, output: &Path) -> Command {
    let mut call = Command::new(packager);
    call.args(["--quiet", "--package", "irdest-gateway", "--no-build", "--locked", "--strip"]);
    call.args(["--deb-version", version, "--output"]).arg(output).current_dir(workspace());
    // It names the package, as we do.
    call.stdout(Stdio::null());
    call
}
