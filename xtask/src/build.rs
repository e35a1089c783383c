// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask build`: the daemon, under both of its names.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::bpf::cargo_with_probes;
use crate::cargo::{built, run};
use crate::programs::{TO_BUILD, require};

/// Builds the daemon: `irdest-gateway`, and `ratmand` for the router alone.
#[derive(Debug, clap::Args)]
pub(crate) struct Build {
    /// Build for use, not for debugging.
    #[arg(long)]
    release: bool,
}

impl Build {
    pub(crate) fn run(self) -> Result<()> {
        let profile = if self.release { Profile::Release } else { Profile::Dev };
        let daemon = daemon(profile)?;
        println!("{}\n{}", daemon.display(), daemon.with_file_name("ratmand").display());
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

/// Builds the daemon and returns its file, with `ratmand` beside it.
pub(crate) fn daemon(profile: Profile) -> Result<PathBuf> {
    require(TO_BUILD)?;
    let (name, folder) = match profile {
        Profile::Dev => ("dev", "debug"),
        Profile::Release => ("release", "release"),
    };
    run(&mut cargo_with_probes(&["build", "--package", "irdest-gateway", "--profile", name]))?;
    let daemon = built(folder)?.join("irdest-gateway");
    link_name(&daemon, "ratmand")?;
    Ok(daemon)
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
