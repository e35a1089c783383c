// SPDX-License-Identifier: AGPL-3.0-or-later
//! The pages of the manual, in section 8: one of the program and one of each of its commands, and of theirs.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

const SECTION: &str = "8";

/// What the command line does not know: files, signals, and where to read on.
const MORE: &str = r#".SH FILES
.TP
.I /etc/irdest\-gateway/gateway.toml
The configuration; every key is explained in
.IR /usr/share/doc/irdest\-gateway/defaults.toml .
.TP
.I /var/lib/irdest\-gateway
The sealed identity, and what must survive a restart.
.TP
.I /etc/credstore.encrypted/irdest\-gateway.identity\-passphrase
The passphrase of the identity, sealed to this machine; where that was not possible it is
.IR /etc/credstore/irdest\-gateway.identity\-passphrase.plain .
.TP
.I /run/irdest\-gateway/control.sock
The control socket, for root and the group irdest\-gateway.
.TP
.I /run/irdest\-gateway/clients.sock
The socket of programs that speak the client protocol, for everybody; they may also connect to port 5852 of the loopback interface.
.SH SIGNALS
.TP
.B SIGHUP
Read the configuration again; links, sessions and flows go on. A mistake changes nothing.
.TP
.BR SIGTERM ", " SIGINT
End, and put back what was changed on the host.
.SH SEE ALSO
.BR systemctl (1),
.BR systemd\-creds (1),
.BR nft (8)
"#;

/// Writes the pages into `folder`.
pub(crate) fn write(command: Command, folder: &Path) -> io::Result<()> {
    // `help` is for the terminal.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    page(&command, folder, MORE)?;
    pages_of_commands(&command, folder)
}

fn pages_of_commands(command: &Command, folder: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        page(subcommand, folder, "")?;
        pages_of_commands(subcommand, folder)?;
    }
    Ok(())
}

fn page(command: &Command, folder: &Path, more: &str) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut text = Vec::new();
    Man::new(command.clone()).title(&name).section(SECTION).render(&mut text)?;
    text.extend_from_slice(more.as_bytes());
    fs::write(folder.join(format!("{name}.{SECTION}")), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_every_command_have_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(irdest_gateway::cli::command(), folder.path()).unwrap();
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let main = text("irdest-gateway.8");
        assert!(main.contains("SH FILES") && main.contains("Exit codes"), "{main}");
        for command in irdest_gateway::cli::command().get_subcommands() {
            let page = format!("irdest\\-gateway\\-{}(8)", command.get_name().replace('-', "\\-"));
            assert!(main.contains(&page), "{page} in {main}");
            text(&format!("irdest-gateway-{}.8", command.get_name()));
        }
        for option in ["lifetime", "wait"] {
            assert!(text("irdest-gateway-stream-send.8").contains(option), "{option}");
        }
    }
}
