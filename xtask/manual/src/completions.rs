// SPDX-License-Identifier: AGPL-3.0-or-later
//! What shells complete.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate_to};

/// Writes a file for each of these shells into `folder`, named as it expects it.
pub(crate) fn write(mut command: Command, folder: &Path) -> io::Result<()> {
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, &name, folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::program::Program;

    #[test]
    fn every_command_is_completed_in_every_shell() {
        let folder = tempfile::tempdir().unwrap();
        for program in Program::all() {
            write(program.command.clone(), folder.path()).unwrap();
            let name = program.command.get_name();
            for file in [format!("{name}.bash"), format!("_{name}"), format!("{name}.fish")] {
                let text = fs::read_to_string(folder.path().join(&file)).unwrap();
                for command in program.command.get_subcommands() {
                    assert!(text.contains(command.get_name()), "{} in {file}", command.get_name());
                }
            }
        }
    }
}
