// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-echo`: sends back what comes, to whom it came from.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use ratman_client::types::Lifetime;
use ratman_client::{RatmanIpc, RatmanIpcExtV1};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

mod answering;
mod count;
mod rate;

use crate::examples::{ECHO, listed};
use crate::identity::{Identity, Location};
use crate::output::{Form, Output};
use crate::{Exit, Failure, GlobalArgs, Interrupt, Result, Session, run, time_span};
use answering::{Answering, Limits};
use count::Count;

/// The name of the program.
const NAME: &str = "irdest-echo";

/// What stands under `--help` behind the examples.
const MORE: &str = "\
Ask it with `irdest-ping ADDRESS`, or `echo hello | ratcat send -a ADDRESS` and then `ratcat recv ADDRESS`.

The address is one of its own, kept in irdest/echo in $XDG_CONFIG_HOME or ~/.config, so that it takes nothing that was sent to you.
What is too long is denied before it is sent, and the sender told so; what is too much of one sender is passed over. Echoes are marked by auxiliary data with the key
irdest-echo, and what has it is not echoed. What comes to namespaces is left alone. SIGUSR1 prints the figures; the end does, too,
and takes the address down.

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 failed, 2 wrong usage, 3 no router there, 4 not authorised.";

/// Sends every stream that comes to its address back to its sender, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_long_help = listed(ECHO) + MORE, after_help = "More and examples with --help.")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    /// The most bytes of a stream that is echoed
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_size: u64,
    /// The most streams a second of one sender, on average; five times as many at once
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// How long an echo waits for a sender that cannot be reached: 30s, 10m, 1d
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time_span::parse_lifetime)]
    lifetime: Lifetime,
}

/// The command line as data, for the manual and for completions.
pub fn command() -> clap::Command {
    // Neither the variable nor the usual file of the user: an echo would take what was sent to them.
    Cli::command().mut_arg("identity", |argument| {
        let argument = argument.env(clap::builder::Resettable::<clap::builder::OsStr>::Reset);
        argument.help("The file with its address [default: irdest/echo in $XDG_CONFIG_HOME or ~/.config]")
    })
}

/// Runs the program with the words that it was called with.
pub fn main() -> ExitCode {
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    run(NAME, async move |interrupt| Box::pin(echo(&cli, interrupt)).await)
}

async fn echo(cli: &Cli, mut interrupt: Interrupt) -> Result<Exit> {
    let output = cli.global.output();
    let ipc = tokio::select! {
        ipc = cli.global.connect() => ipc?,
        () = interrupt.came() => return Err(Failure::interrupted("")),
    };
    let mut asked = signal(SignalKind::user_defined1())?;
    let Identity { address, auth } = identity(cli, &ipc).await?;
    ipc.addr_up(&auth, address).await?;
    let session = Session { ipc, address, auth };
    let limits = Limits { size: cli.max_size, rate: cli.rate, lifetime: cli.lifetime };
    answering::filter(&session, limits).await?;
    output.answer(address, &json!({ "event": "up", "address": address }))?;
    output.note(format_args!("{NAME}: answers there until Ctrl-C; see --help for how to ask it"));
    let count = Cell::new(Count::default());
    let mut answering = Answering::new(session.clone(), limits, &count);
    let mut running = Box::pin(answering.run());
    let done = loop {
        tokio::select! {
            error = &mut running => break Err(error),
            _ = asked.recv() => tell(output, count.get())?,
            () = interrupt.came() => break Ok(()),
        }
    };
    tell(output, count.get())?;
    done?;
    // What is not there should not look as if it were.
    session.ipc.addr_down(&session.auth, session.address).await?;
    Ok(Exit::Done)
}

/// The figures: an answer for programs, a note for people.
fn tell(output: Output, count: Count) -> Result<()> {
    match output.form {
        Form::Json => output.answer("", &json!({ "event": "figures", "figures": count })),
        Form::Lines => {
            output.note(format_args!("{NAME}: {count}"));
            Ok(())
        }
    }
}

/// The address of this echo, which is made the first time.
async fn identity(cli: &Cli, ipc: &RatmanIpc) -> Result<Identity> {
    let usual = || -> Result<PathBuf> { Ok(Location::find(None)?.path.with_file_name("echo")) };
    let path = cli.global.identity.clone().map_or_else(usual, Ok)?;
    if let Some(identity) = Identity::read(&path, || cli.global.passphrase())? {
        return Ok(identity);
    }
    let (address, auth) = ipc.addr_create(Some(&NAME.to_owned()), None).await?;
    let identity = Identity { address, auth };
    if let Err(failure) = identity.write(&path, None, false) {
        // The first error says more than that of cleaning up.
        let _ = ipc.addr_destroy(&identity.auth, address, true).await;
        return Err(failure);
    }
    cli.global.output().note(format_args!("{NAME}: made a new address, kept in {}", path.display()));
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::from_arg_matches(&command().try_get_matches_from([&[NAME], words].concat())?)
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn an_echo_does_not_take_the_identity_of_the_user() {
        let command = command();
        let argument = command.get_arguments().find(|argument| argument.get_id() == "identity").unwrap();
        assert_eq!(argument.get_env(), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(parse(&["--rate", "0"]).is_err() && parse(&["--lifetime", "0s"]).is_err());
    }
}
