// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask build`: the daemon, under both of its names, and the programs of clients.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bpf::cargo_with_probes;
use crate::cargo::{built, run, without_folders};
use crate::programs::{TO_BUILD, require};

/// Builds the daemon, `irdest-gateway`, and `ratmand` for the router alone; and the programs of clients.
#[derive(Debug, clap::Args)]
pub(crate) struct Build {
    /// Build for use, not for debugging.
    #[arg(long)]
    release: bool,
}

impl Build {
    pub(crate) fn run(self) -> Result<()> {
        let profile = if self.release { Profile::Release } else { Profile::Dev };
        let (daemon, tools) = all(profile)?;
        println!("{}\n{}", daemon.display(), daemon.with_file_name("ratmand").display());
        for tool in tools {
            println!("{}", tool.display());
        }
        Ok(())
    }
}

/// How the daemon is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// With debug assertions: what tests run.
    Dev,
    /// Optimised: what people run.
    Release,
}

/// The package of the daemon.
const DAEMON: &str = "irdest-gateway";

/// The programs of clients, by the packages that they are built from.
pub(crate) const TOOLS: [(&str, &[&str]); 2] = [
    ("irdest-tools", &["ratcat", "ratctl", "irdest-ping", "irdest-echo"]),
    ("irdest-mblog", &["irdest-mblog"]),
];

/// Builds the daemon and returns its file, with `ratmand` beside it.
pub(crate) fn daemon(profile: Profile) -> Result<PathBuf> {
    let daemon = packages(profile, &[DAEMON])?.join("irdest-gateway");
    link_name(&daemon, "ratmand")?;
    Ok(daemon)
}

/// Builds the daemon and the programs of clients, and returns their files. All in one call: what they share is built once.
pub(crate) fn all(profile: Profile) -> Result<(PathBuf, Vec<PathBuf>)> {
    let folder = packages(profile, &[&[DAEMON][..], &TOOLS.map(|(package, _)| package)].concat())?;
    let daemon = folder.join("irdest-gateway");
    link_name(&daemon, "ratmand")?;
    let tools = TOOLS.iter().flat_map(|(_, names)| *names).map(|name| folder.join(name));
    Ok((daemon, tools.collect()))
}

/// Builds packages and returns the folder of their programs.
fn packages(profile: Profile, packages: &[&str]) -> Result<PathBuf> {
    require(TO_BUILD)?;
    let mut build = cargo_with_probes(&["build"]);
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            for_use(&mut build);
            "release"
        }
    };
    build.args(packages.iter().map(|package| format!("--package={package}")));
    run(&mut build)?;
    built(folder)
}

/// Lets a call of cargo build what people run.
pub(crate) fn for_use(build: &mut Command) -> &mut Command {
    build.args(["--profile", "release"]).env(FLAGS, flags())
}

/// Where cargo takes flags for the compiler from before anywhere else, divided by [`DIVIDER`].
const FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";
const DIVIDER: &str = "\x1f";

/// The flags that are set, and those without which what people run would name folders of who built it.
fn flags() -> String {
    let set = std::env::var(FLAGS).unwrap_or_else(|_| {
        let plain = std::env::var("RUSTFLAGS").unwrap_or_default();
        plain.split_whitespace().collect::<Vec<_>>().join(DIVIDER)
    });
    let all = [set].into_iter().chain(without_folders());
    all.filter(|flag| !flag.is_empty()).collect::<Vec<_>>().join(DIVIDER)
}

/// The daemon is the router alone where it is called by this name.
fn link_name(daemon: &Path, name: &str) -> Result<()> {
    let target = daemon.file_name().context("the daemon is a file")?;
    let link = daemon.with_file_name(name);
    match symlink(target, &link) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(&link)?;
            symlink(target, &link)
        }
        result => result,
    }
    .with_context(|| format!("making {}", link.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_linked_again() {
        let folder = std::env::temp_dir().join(format!("xtask-build-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let daemon = folder.join("daemon");
        fs::write(&daemon, "it").unwrap();
        link_name(&daemon, "other").unwrap();
        link_name(&daemon, "other").unwrap();
        assert_eq!(fs::read_to_string(folder.join("other")).unwrap(), "it");
        fs::remove_dir_all(&folder).unwrap();
    }
}
