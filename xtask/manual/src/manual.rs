// SPDX-License-Identifier: AGPL-3.0-or-later
//! The pages of the manual: one of each program and one of each of its commands, and of theirs.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use crate::program::Program;

/// Writes the pages of a program into `folder`.
pub(crate) fn write(program: Program, folder: &Path) -> io::Result<()> {
    let Program { command, section, more } = program;
    // `help` is for the terminal.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    page(&command, section, folder, more)?;
    pages_of_commands(&command, section, folder)
}

fn pages_of_commands(command: &Command, section: &str, folder: &Path) -> io::Result<()> {
    // What another name does, for those who are used to it, is on no page.
    let shown = |subcommand: &&Command| subcommand.get_name() != "help" && !subcommand.is_hide_set();
    for subcommand in command.get_subcommands().filter(shown) {
        page(subcommand, section, folder, "")?;
        pages_of_commands(subcommand, section, folder)?;
    }
    Ok(())
}

fn page(command: &Command, section: &str, folder: &Path, more: &str) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut text = Vec::new();
    Man::new(command.clone()).title(&name).section(section).render(&mut text)?;
    text.extend_from_slice(more.as_bytes());
    fs::write(folder.join(format!("{name}.{section}")), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_and_every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        for program in Program::all() {
            let (command, section) = (program.command.clone(), program.section);
            write(program, folder.path()).unwrap();
            let name = command.get_name();
            let main = text(&format!("{name}.{section}"));
            assert!(main.contains("SH FILES") && main.contains("Exit codes"), "{main}");
            for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
                let page = format!("{name}-{}({section})", command.get_name()).replace('-', "\\-");
                assert!(main.contains(&page), "{page} in {main}");
                text(&format!("{name}-{}.{section}", command.get_name()));
            }
        }
        for option in ["lifetime", "wait"] {
            assert!(text("irdest-gateway-stream-send.8").contains(option), "{option}");
            assert!(text("ratcat-send.1").contains(option), "{option}");
        }
        assert!(text("ratctl-space-anycast.1").contains("timeout"), "commands of commands have pages");
    }
}
