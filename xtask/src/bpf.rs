// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask bpf`: the probes for the kernel. They need a compiler of their own, so that they are built apart; every other
//! build takes the object in where there is one.

mod linker;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, metadata, run, workspace};
use crate::programs::{TO_TEST_PROBES, require};
use toolchain::Toolchain;

/// Builds the probes, has them loaded by this kernel, and tests them.
///
/// Built with rustup's nightly compiler where that has its source (`rustup component add rust-src --toolchain nightly`), else
/// with Debian's packages. Loaded is what is for interfaces with Ethernet headers and what is for those without; tested is
/// what they count of crafted packets and of traffic between two network namespaces. Loading needs root.
#[derive(Debug, clap::Args)]
pub(crate) struct Bpf {
    /// Only build, and print where the object is.
    #[arg(long)]
    build: bool,
}

/// The folder of the package, a workspace of its own.
const PACKAGE: &str = "ebpf/probes";

/// The name of its program, and of the object.
const OBJECT: &str = "irdest-probes";

/// Where other builds are told that there is an object: the build script of ebpf-loader reads it.
const VARIABLE: &str = "IRDEST_BPF_OBJECT";

/// With this, tests of probes that cannot be loaded fail instead of being skipped.
const REQUIRED: &str = "IRDEST_PROBES_REQUIRED";

impl Bpf {
    pub(crate) fn run(self) -> Result<()> {
        let object = built()?;
        println!("{}", object.display());
        if self.build {
            return Ok(());
        }
        require(TO_TEST_PROBES)?;
        let mut tests = cargo(&["test", "--package", "ebpf-abi", "--package", "ebpf-loader"]);
        tests.args(["--features", "ebpf-loader/lab-tests", "--", "--test-threads=1"]).env(VARIABLE, object);
        // Whoever asks for these tests is not helped by one that passes because it could not test.
        tests.env(REQUIRED, "1");
        run(&mut tests)
    }
}

/// A call of cargo that takes the probes into what it builds. Where they cannot be built it is told once, and the rest is
/// built without.
pub(crate) fn cargo_with_probes(arguments: &[&str]) -> Command {
    static OBJECT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let object = OBJECT.get_or_init(|| {
        let told = |error: &anyhow::Error| {
            eprintln!("The eBPF probes are left out, and everything works without them. Why: {error:#}");
        };
        built().inspect_err(told).ok()
    });
    let mut command = cargo(arguments);
    if let Some(object) = object {
        command.env(VARIABLE, object);
    }
    command
}

/// Builds the object, for what is not worth much without it.
pub(crate) fn require_probes() -> Result<()> {
    built().map(drop)
}

/// Builds the object, and returns its file.
fn built() -> Result<PathBuf> {
    let folder = metadata()?.target_directory.join("bpf").into_std_path_buf();
    let toolchain = Toolchain::find()?;
    let linker = linker::find(&toolchain, &folder)?;
    let build = folder.join("build");
    run(toolchain.build(&linker).current_dir(workspace().join(PACKAGE)).arg("--target-dir").arg(&build))
        .context("building the eBPF probes")?;
    let object = folder.join(OBJECT);
    replace(&build.join(toolchain::TARGET).join("release").join(OBJECT), &object)?;
    Ok(object)
}

/// Copies a file where the bytes are others: whoever has taken it in is then built again, and otherwise is not.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| from.display().to_string())?;
    ensure!(!new.is_empty(), "{} is empty", from.display());
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| to.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_touched_only_where_it_changed() {
        let folder = std::env::temp_dir().join(format!("xtask-bpf-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::write(&from, "one").unwrap();
        replace(&from, &to).unwrap();
        fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        let modified = || fs::metadata(&to).unwrap().modified().unwrap();
        let before = modified();
        replace(&from, &to).unwrap();
        assert_eq!(modified(), before);
        fs::remove_file(&to).unwrap();
        fs::write(&from, "").unwrap();
        assert!(replace(&from, &to).is_err(), "a linker that was interrupted");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_package_is_where_it_is_looked_for() {
        let manifest = fs::read_to_string(workspace().join(PACKAGE).join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("name = \"{OBJECT}\"")));
    }
}
