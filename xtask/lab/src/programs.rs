// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where the programs are that the lab starts.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Debian keeps `ip` and `sshd` here, and leaves these folders out of a normal user's search path.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The file of a program, looked for in `PATH` and in the folders for system administration.
pub fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The daemon under test: `IRDEST_GATEWAY`, or else the one that cargo built beside the running program.
///
/// # Errors
/// Where there is no such file; the message says how to build it.
pub fn gateway_program() -> Result<PathBuf> {
    let program = match env::var_os("IRDEST_GATEWAY") {
        Some(program) => PathBuf::from(program),
        None => {
            let this = env::current_exe().context("finding the running program")?;
            let folders = this.ancestors().skip(1).take(2);
            let mut candidates = folders.map(|folder| folder.join("irdest-gateway"));
            candidates.find(|file| file.is_file()).unwrap_or_else(|| this.with_file_name("irdest-gateway"))
        }
    };
    ensure!(
        program.is_file(),
        "no daemon at {}: `cargo xtask build` makes it, or set IRDEST_GATEWAY to its file",
        program.display()
    );
    Ok(program)
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A command that is found although a normal user starts it.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(find_program(program).unwrap_or_else(|| program.into()));
    command.env("PATH", search_path());
    command
}

fn search_path() -> OsString {
    let given = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let folders = env::split_paths(&given).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    env::join_paths(folders).unwrap_or(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_commands_without_folders() {
        let mut command = Command::new("/usr/bin/cargo");
        assert_eq!(shown(command.args(["test", "--workspace"])), "cargo test --workspace");
    }

    #[test]
    fn finds_programs_by_name_only() {
        assert!(find_program("sh").is_some());
        assert!(find_program("no-such-program-anywhere").is_none());
    }
}
