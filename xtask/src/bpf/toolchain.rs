// SPDX-License-Identifier: AGPL-3.0-or-later
//! The compilers that can build for the kernel: rustup's nightly with its source, or Debian's with its library.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::linker::LINKER_LLVM;
use crate::cargo::without_folders;
use crate::programs::{TO_BUILD_PROBES, require};

/// What is built for: the kernel of this machine, with its order of bytes.
pub(crate) const TARGET: &str =
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };

/// What the toolchain that runs this program has set for its children, and another one must not see.
const NOT_FOR_OTHERS: [&str; 12] = [
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
    "IRDEST_BPF_OBJECT",
];

/// A compiler that can build for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// rustup's nightly, which builds the library from its source.
    Nightly,
    /// Debian's `rustc-web` with `libstd-rust-web-dev-bpf`.
    Debian,
}

impl Toolchain {
    /// The one that is here; Debian's is installed where that is possible, and also where the nightly is ahead of what
    /// [the linker](super::linker) reads.
    ///
    /// # Errors
    /// Says how to get one.
    pub(crate) fn find() -> Result<Self> {
        if nightly_has_its_source() {
            match nightly_llvm() {
                Some(newer) if newer > LINKER_LLVM => {
                    println!(
                        "rustup's nightly writes what LLVM {newer} reads, the linker is of {LINKER_LLVM}: left aside"
                    );
                }
                Some(_) | None => return Ok(Self::Nightly),
            }
        }
        require(TO_BUILD_PROBES)?;
        Ok(Self::Debian)
    }

    /// A call of its cargo.
    pub(crate) fn cargo(self) -> Command {
        let mut command = match self {
            Self::Nightly => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", "nightly", "cargo"]);
                rustup
            }
            Self::Debian => Command::new("/usr/bin/cargo"),
        };
        for name in NOT_FOR_OTHERS {
            command.env_remove(name);
        }
        if self == Self::Debian {
            // A rustup.sh installation comes first in most search paths.
            command.env("RUSTC", "/usr/bin/rustc");
        }
        command
    }

    /// The build of the probes, with this linker. They use features of the compiler that are not stable for this target,
    /// which Debian's allows when it is told to.
    pub(crate) fn build(self, linker: &Path) -> Command {
        let mut command = self.cargo();
        command.args(["build", "--quiet", "--release", "--locked", "--target", TARGET]);
        let mut flags = format!("-C linker={} -C debuginfo=2 -C link-arg=--btf", linker.display());
        for flag in without_folders() {
            flags = flags + " " + &flag;
        }
        command.env("RUSTFLAGS", flags);
        match self {
            Self::Nightly => command.args(["-Z", "build-std=core"]),
            Self::Debian => command.env("RUSTC_BOOTSTRAP", "1"),
        };
        command
    }
}

fn nightly_llvm() -> Option<u32> {
    let output = Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]).output().ok()?;
    llvm_of(&String::from_utf8_lossy(&output.stdout))
}

/// The major version of LLVM in what `rustc -vV` says.
fn llvm_of(version: &str) -> Option<u32> {
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next()?.parse().ok()
}

fn nightly_has_its_source() -> bool {
    let mut ask = Command::new("rustup");
    ask.args(["run", "nightly", "rustc", "--print", "sysroot"]).stdin(Stdio::null()).stderr(Stdio::null());
    let Ok(output) = ask.output() else { return false };
    let root = String::from_utf8_lossy(&output.stdout);
    output.status.success() && Path::new(root.trim()).join("lib/rustlib/src/rust/library/core").is_dir()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_compiler_tells_its_llvm() {
        let version =
            "rustc 1.97.0-nightly (f2b9de2ee 2026-05-18)\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(llvm_of(version), Some(22));
        assert_eq!(llvm_of("rustc 1.95.0\n"), None);
        assert_eq!(llvm_of("LLVM version: unknown\n"), None);
    }

    #[test]
    fn nothing_of_the_running_toolchain_reaches_another_one() {
        let build = Toolchain::Debian.build(Path::new("/x/bpf-linker"));
        let value = |name: &str| {
            build.get_envs().find(|(key, _)| *key == OsStr::new(name)).and_then(|(_, value)| value)
        };
        assert_eq!(value("RUSTUP_TOOLCHAIN"), None);
        assert_eq!(value("RUSTC"), Some(OsStr::new("/usr/bin/rustc")));
        assert!(value("RUSTFLAGS").unwrap().to_str().unwrap().contains("linker=/x/bpf-linker"));
    }
}
