// SPDX-License-Identifier: AGPL-3.0-or-later
//! The linker of the probes, bpf-linker: LLVM behind the interface of a linker.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use irdest_lab::find_program;

use super::toolchain::Toolchain;
use crate::cargo::run;
use crate::programs::{TO_BUILD_LINKER, require};

/// The major version of the LLVM that the linker is built with: it reads what compilers with this one or an older one write.
pub(super) const LINKER_LLVM: u32 = 22;

/// The one that was tried with [`LINKER_LLVM`].
const VERSION: &str = "0.13.0";

/// Where Debian has LLVM.
const LLVM: &str = "/usr/lib/llvm-22";

/// The linker of the system, or one that is built below `folder` once.
///
/// # Errors
/// Where it is not there and cannot be built: says what is missing.
pub(super) fn find(toolchain: &Toolchain, folder: &Path) -> Result<PathBuf> {
    if let Some(linker) = find_program("bpf-linker") {
        return Ok(linker);
    }
    let root = folder.join("linker");
    let linker = root.join("bin/bpf-linker");
    if linker.is_file() {
        return Ok(linker);
    }
    require(TO_BUILD_LINKER)?;
    println!("Building bpf-linker {VERSION}, once, in about two minutes");
    let mut install = toolchain.cargo();
    install.args(["install", "bpf-linker", "--quiet", "--version", VERSION, "--locked"]);
    install.args(["--no-default-features", "--features", "llvm-22"]).env("LLVM_PREFIX", LLVM);
    install.arg("--root").arg(&root).arg("--target-dir").arg(folder.join("linker-build"));
    run(&mut install).context("building bpf-linker")?;
    Ok(linker)
}
