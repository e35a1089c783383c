// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-mblog`: posts from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use irdest_tools::examples::listed;
use irdest_tools::{Exit, GlobalArgs, Interrupt, Result, run};

mod post;
mod read;
mod show;
mod topics;

use crate::examples::ALL;
use crate::{Store, TopicFilter};

/// The name of the program.
const NAME: &str = "irdest-mblog";

/// What stands under `--help` behind the examples.
const MORE: &str = "
Who you are is made once, by `ratctl address create`. Posts are public. Everybody whose router is reached within a day gets them, once, in whatever order they come; a nick is what its
author says, and the address behind it is what is proven. They are kept in irdest/mblog in $XDG_DATA_HOME or ~/.local/share, the
newest 10,000 at most. `send` and `recv` are what deployed programs call `post` and `read --follow`.

";

/// Short posts under topics, for everybody on an Irdest mesh.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_long_help = [&listed(ALL), MORE, Exit::HELP].concat(), after_help = "More and examples with --help.")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    /// Where posts are kept [default: irdest/mblog in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a post
    #[command(alias = "send")]
    Post(post::PostArgs),
    /// Show what has come
    Read(read::ReadArgs),
    /// Show what comes, until Ctrl-C: what deployed programs call `read --follow`
    #[command(hide = true)]
    Recv {
        /// Only topics that begin so
        topic: Option<TopicFilter>,
    },
    /// Show under what there is something
    Topics(topics::TopicsArgs),
}

/// The command line as data, for the manual and for completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with the words that it was called with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    run(NAME, async move |interrupt| Box::pin(work(cli, interrupt)).await)
}

async fn work(cli: Cli, interrupt: Interrupt) -> Result<Exit> {
    let store = match &cli.data {
        Some(folder) => Store::open(folder)?,
        None => Store::open(&Store::folder()?)?,
    };
    let global = &cli.global;
    match cli.command {
        Command::Post(arguments) => Box::pin(post::post(global, arguments, store, interrupt)).await,
        Command::Read(arguments) => Box::pin(read::read(global, arguments, store, interrupt)).await,
        Command::Recv { topic } => {
            let arguments = read::ReadArgs::following(topic);
            Box::pin(read::read(global, arguments, store, interrupt)).await
        }
        Command::Topics(arguments) => topics::topics(global, &arguments, &store),
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
    fn the_words_of_deployed_programs_work() {
        for words in [&["send", "-n", "ann", "-t", "/a/b/c", "hello"][..], &["recv"], &["recv", "/a"]] {
            Cli::try_parse_from([&[NAME], words].concat()).unwrap();
        }
        for wrong in [&["post", "hello"][..], &["post", "-t", "/a/b", "x"], &["post", "-t", "/a/b/c"], &[]] {
            assert!(Cli::try_parse_from([&[NAME], wrong].concat()).is_err(), "{wrong:?}");
        }
    }
}
