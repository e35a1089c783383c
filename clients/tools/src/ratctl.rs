// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl`: asks and tells a router what is not content: addresses, namespaces, contacts, links, routes, streams, filters.
//!
//! Each command answers people in lines, and programs with `--json` in one JSON value, whose fields stay
//! (`decisions/command-line.md`).

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;

mod address;
mod contact;
mod filter;
mod mesh;
mod router;
mod space;
mod stream;
mod subscription;

use crate::{Exit, GlobalArgs, Result, examples, run, unless_interrupted};

/// The name of the program.
const NAME: &str = "ratctl";

/// Shows and changes what a router of an Irdest mesh keeps for you: addresses, namespaces, streams, filters, and what it knows of the mesh.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_long_help = examples::help(examples::RATCTL), after_help = "More and examples with --help.")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Addresses of programs and users of this host: make yours, announce it, forget it
    #[command(subcommand, alias = "addr", after_long_help = examples::help(examples::RATCTL_ADDRESS))]
    Address(address::AddressCommand),
    /// Namespaces: keys that many share
    #[command(subcommand, alias = "namespace", after_long_help = examples::help(examples::RATCTL_SPACE))]
    Space(space::SpaceCommand),
    /// Names for addresses of others; for operators, on the unix socket
    #[command(subcommand)]
    Contact(contact::ContactCommand),
    /// How much others are trusted to carry messages; for operators, on the unix socket
    #[command(subcommand)]
    Trust(contact::TrustCommand),
    /// Links to neighbours, and what is measured of them
    #[command(subcommand)]
    Link(mesh::LinkCommand),
    /// Routers that this one dials
    #[command(subcommand)]
    Peer(mesh::PeerCommand),
    /// Addresses of others that the router has heard of
    #[command(subcommand)]
    Peers(mesh::PeersCommand),
    /// Ways to addresses
    #[command(subcommand)]
    Route(mesh::RouteCommand),
    /// Streams from and to you that are on their way, and subscriptions
    #[command(subcommand, after_long_help = examples::help(examples::RATCTL_STREAM))]
    Stream(stream::StreamCommand),
    /// Which streams you take
    #[command(subcommand, after_long_help = examples::help(examples::RATCTL_FILTER))]
    Filter(filter::FilterCommand),
    /// What the router keeps for you and others until it can go on
    Journal,
    /// What the router is and how it does
    Status(router::StatusArgs),
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
    run(NAME, async move |interrupt| {
        unless_interrupted(interrupt, Box::pin(command.run(&global))).await?;
        Ok(Exit::Done)
    })
}

impl Command {
    async fn run(self, global: &GlobalArgs) -> Result<()> {
        match self {
            Self::Address(command) => Box::pin(command.run(global)).await,
            Self::Space(command) => Box::pin(command.run(global)).await,
            Self::Contact(command) => Box::pin(command.run(global)).await,
            Self::Trust(command) => Box::pin(command.run(global)).await,
            Self::Link(command) => Box::pin(command.run(global)).await,
            Self::Peer(command) => Box::pin(command.run(global)).await,
            Self::Peers(command) => Box::pin(command.run(global)).await,
            Self::Route(command) => Box::pin(command.run(global)).await,
            Self::Stream(command) => Box::pin(command.run(global)).await,
            Self::Filter(command) => Box::pin(command.run(global)).await,
            Self::Journal => Box::pin(router::journal(global)).await,
            Self::Status(arguments) => Box::pin(router::status(global, arguments)).await,
            Self::IdPath => {
                let location = global.location()?;
                let path = location.existing().display().to_string();
                global.output().answer(&path, &json!({ "path": path }))
            }
        }
    }
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
        let id = "07".repeat(32);
        for words in [
            &["-b", "127.0.0.1:5852", "addr", "create"][..],
            &["addr", "list", "-o", "json"],
            &["-q", "addr", "up"],
            &["stream", "sub"],
            &["stream", "unsub", &id],
            &["stream", "resub", &id],
            &["status", "system"],
            &["peers", "list"],
            &["space", "register", "-f", "key"],
            &["space", "up", "-f", "key"],
            &["space", "anycast", "-f", "key", "-t", "500"],
            &["idpath"],
        ] {
            Cli::try_parse_from([&[NAME], words].concat()).unwrap();
        }
    }
}
