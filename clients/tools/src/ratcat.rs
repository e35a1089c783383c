// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratcat`: sends and receives streams, files and pipes.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use ratman_client::types::{Namespace, ParseKeyError};
use serde_json::json;

mod fates;
mod file_name;
mod kept_send;
mod recv;
mod send;
mod sink;
mod tame;

use crate::{Exit, GlobalArgs, Result, examples, run};

/// The name of the program.
const NAME: &str = "ratcat";

/// Sends and receives streams over an Irdest mesh: files, pipes, messages of any size, that arrive now or later.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_long_help = examples::help(examples::RATCAT), after_help = "More and examples with --help.")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a file, or what comes by standard input, to addresses, contacts and namespaces
    #[command(after_long_help = examples::help(examples::RATCAT_SEND))]
    Send(send::SendArgs),
    /// Receive streams, to standard output or into files
    #[command(alias = "receive", after_long_help = examples::help(examples::RATCAT_RECV))]
    Recv(recv::RecvArgs),
    /// Print your address, to give to others
    Id,
    /// Print where your identity is
    #[command(name = "idpath")]
    IdPath,
}

/// The command line as data, for the manual and for completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with the words that it was called with.
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    run(NAME, async move |interrupt| match command {
        Command::Send(arguments) => Box::pin(send::send(&global, arguments, interrupt)).await,
        Command::Recv(arguments) => Box::pin(recv::recv(&global, arguments, interrupt)).await,
        Command::Id => print_id(&global),
        Command::IdPath => {
            let location = global.location()?;
            let path = location.existing().display().to_string();
            global.output().answer(&path, &json!({ "path": path }))?;
            Ok(Exit::Done)
        }
    })
}

/// A namespace as deployed tools write it, or as a recipient.
fn namespace(text: &str) -> Result<Namespace, ParseKeyError> {
    text.strip_prefix("namespace:").unwrap_or(text).parse()
}

fn print_id(global: &GlobalArgs) -> Result<Exit> {
    let address = global.read_address()?;
    global.output().answer(address, &json!({ "address": address }))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_words_of_deployed_scripts_work() {
        let address = "ECB4-30B9-4416-C403-716F-601F-FC56-9AD3-BD2E-3892-227A-84AD-E6FC-A1CE-0A92-03F6";
        let pair = format!("{address},{address}");
        for words in [
            &["-b", "127.0.0.1:5852", "-q", "send", "-a", &pair][..],
            &["send", "-s", address],
            &["recv", address, "-c", "0"],
            &["-o", "json", "recv", "-c", "3"],
            &["idpath"],
        ] {
            Cli::try_parse_from([&[NAME], words].concat()).unwrap();
        }
    }
}
