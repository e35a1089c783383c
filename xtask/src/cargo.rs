// SPDX-License-Identifier: AGPL-3.0-or-later
//! Calls of cargo, always on this workspace and always with what they do on the screen.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};
use irdest_lab::shown;

/// The folder of the workspace: the one above this package.
pub(crate) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the package lies in a folder of the workspace")
}

/// A call of the cargo that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(workspace());
    // Cargo tells its children which package it runs. The packages that they build are others.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end, on this terminal.
///
/// # Errors
/// Where it does not start, or ends with another exit code than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", shown(command)))?;
    ensure!(status.success(), "`{}`: {status}", shown(command));
    Ok(())
}

/// What cargo knows of our own packages.
pub(crate) fn metadata() -> Result<Metadata> {
    MetadataCommand::new().current_dir(workspace()).no_deps().exec().context("cargo metadata")
}

/// Flags for the compiler that keep the folders of who builds out of what it writes: messages of panics and what is told to
/// debuggers name source files.
pub(crate) fn without_folders() -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let folders = [(home, "cargo"), (Some(workspace().to_owned()), "irdest-gateway")];
    let flag = |(folder, name): (Option<PathBuf>, _)| {
        Some(format!("--remap-path-prefix={}=/{name}", folder?.display()))
    };
    folders.into_iter().filter_map(flag).collect()
}

/// The folder of what is built with a profile: `debug` or `release`.
pub(crate) fn built(folder: &str) -> Result<PathBuf> {
    Ok(metadata()?.target_directory.join(folder).into_std_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_of_this_machine_is_in_what_people_run() {
        let here = format!("--remap-path-prefix={}=/irdest-gateway", workspace().display());
        let flags = without_folders();
        assert!(flags.contains(&here) && flags[0].ends_with("=/cargo"), "{flags:?}");
    }

    #[test]
    fn knows_the_workspace() {
        assert!(workspace().join("xtask/Cargo.toml").is_file());
        assert!(metadata().unwrap().workspace_packages().iter().any(|package| package.name == "xtask"));
    }
}
