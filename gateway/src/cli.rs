// SPDX-License-Identifier: AGPL-3.0-or-later
//! The command line: what can be asked of the program, and the exit code that answers.

mod desk;
mod stream;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use gateway_core::remotes::overlay_address;
use serde::Serialize;

use crate::config::{Config, ConfigError, Sources};
use crate::daemon::Settings;
use crate::host::HostError;
use crate::identity::{Identity, Passphrase, PassphraseError};
use crate::state::{State, StateError};
use crate::status::Status;
use crate::{control, daemon, doctor, host, telemetry};
use desk::{AddressArgs, ContactArgs, TrustArgs};
use stream::StreamCommand;

/// The program could not do what it was asked, though it was asked properly.
pub const EXIT_FAILED: u8 = 1;

/// The command line or the configuration is wrong.
pub const EXIT_USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  irdest-gateway                                   run as /etc/irdest-gateway/gateway.toml says
  irdest-gateway -c ./lab -p node-a                run with lab/gateway.toml and lab/node-a.toml over it
  irdest-gateway -s tun.mtu=1400 -s log.filter=debug
  irdest-gateway check-config -c new.toml          exit code 0 if the file could be used
  irdest-gateway status                            tables of links, routes, sessions, flows
  irdest-gateway status --json                     the same for programs
  irdest-gateway doctor                            what is wrong here, and what to do about it
  irdest-gateway links --watch                     what is measured about each link, every second
  irdest-gateway stream send --to ADDRESS FILE     exit code 0 once it is delivered, or stored on the way
  irdest-gateway stream recv -o FILE               the oldest message that is here, or the next that comes
  irdest-gateway stream up FILE --to ADDRESS       share a file: stored once, fetched by whoever hears of it
  irdest-gateway stream namespace --new KEYFILE    a namespace: send to it, and who has the file reads it
  irdest-gateway contact add ann ADDRESS --trust 5 a name, and trust in who may carry messages
  ratmand                                          the router alone: the same program under another name

Layers of configuration, each over the one before: built-in defaults, gateway.toml, PROFILE.toml,
gateway.toml in the state directory, each -s.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// Carries the IP traffic of unmodified applications over an Irdest mesh.
#[derive(Debug, Parser)]
#[command(name = "irdest-gateway", version, after_long_help = EXAMPLES, after_help = "More and examples with --help.")]
pub struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file, or a directory with a gateway.toml [default: /etc/irdest-gateway/gateway.toml]
    #[arg(short, long, global = true, value_name = "FILE|DIR")]
    config: Option<PathBuf>,
    /// Lay PROFILE.toml, beside the configuration file, over it
    #[arg(short, long, global = true)]
    profile: Option<String>,
    /// Set one key over all files; the value is TOML or a bare word. Can be given several times
    #[arg(short, long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM; what happens without a command
    Run,
    /// Show links, neighbours, routes and why each was chosen, sessions, flows and drops of a running gateway
    Status {
        /// Everything in full, as one line of JSON
        #[arg(long)]
        json: bool,
        /// The control socket [default: control.socket of the configuration]
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
    },
    /// Show what is measured about the links of a running gateway: rates, latency, capacity, loss, and by whom
    Links {
        /// Show it anew every second
        #[arg(long)]
        watch: bool,
        /// Everything in full, as one line of JSON each time
        #[arg(long)]
        json: bool,
        /// The control socket [default: control.socket of the configuration]
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
    },
    /// Send a message of any size to an address, or take one: it arrives, now or later
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Addresses of programs on this host: make one, announce it, forget it
    Address(AddressArgs),
    /// Names for addresses of others
    Contact(ContactArgs),
    /// How much others are trusted to carry messages
    Trust(TrustArgs),
    /// Find what is wrong with this host and its gateway, and say what to do; changes nothing, and tells more to root
    Doctor {
        /// Everything in full, as one line of JSON
        #[arg(long)]
        json: bool,
        /// What is well, too
        #[arg(short, long)]
        verbose: bool,
    },
    /// Check the configuration and say what is wrong with it
    CheckConfig,
    /// Take away what a gateway that was killed left on this host: routes, rules, filters, sysctls; not while it runs
    Cleanup,
    /// Show who this gateway is, making its identity if there is none
    Identity {
        /// As one line of JSON
        #[arg(long)]
        json: bool,
    },
}

/// What `identity` shows.
#[derive(Serialize)]
struct Who {
    address: ratman_types::Address,
    router_id: ratman_types::RouterId,
    overlay: std::net::Ipv6Addr,
}

impl From<&Identity> for Who {
    fn from(identity: &Identity) -> Self {
        let address = identity.address();
        Self { address, router_id: identity.router_id(), overlay: overlay_address(&address) }
    }
}

impl From<Status> for Who {
    fn from(Status { address, router_id, overlay, .. }: Status) -> Self {
        Self { address, router_id, overlay }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, router_id, overlay } = self;
        write!(f, "address    {address}\nrouter id  {router_id}\noverlay    {overlay}")
    }
}

/// The command line as data, for the manual and the completions of shells.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what the command line says; errors go to standard error.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    let router_only = arguments.peek().is_some_and(|name| is_ratmand(name));
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be told where not even standard error takes text.
            let _closed = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.execute(router_only) {
        Ok(code) => code,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "{}irdest-gateway: {error:#}", telemetry::error_prefix());
            ExitCode::from(exit_code(&error))
        }
    }
}

fn is_ratmand(program: &OsStr) -> bool {
    Path::new(program).file_name() == Some(OsStr::new("ratmand"))
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let device_name = matches!(error.downcast_ref(), Some(HostError::DeviceName(_)));
    let of_configuration = error.is::<ConfigError>() || error.is::<PassphraseError>() || device_name;
    if of_configuration { EXIT_USAGE } else { EXIT_FAILED }
}

impl Cli {
    fn execute(self, router_only: bool) -> anyhow::Result<ExitCode> {
        let ConfigArgs { config, profile, set } = self.config;
        let sources = Sources { config, profile, assignments: set, router_only };
        let done = match self.command.unwrap_or(Command::Run) {
            Command::Run => run(&sources),
            Command::Status { json, socket } => {
                print(shown(&control::status(&socket_of(&sources, socket)?)?, json)?)
            }
            Command::Links { watch, json, socket } => links(&socket_of(&sources, socket)?, watch, json),
            Command::Address(arguments) => {
                desk::address(&socket_of(&sources, arguments.asking.socket.clone())?, arguments)
            }
            Command::Contact(arguments) => {
                desk::contact(&socket_of(&sources, arguments.asking.socket.clone())?, arguments)
            }
            Command::Trust(arguments) => {
                desk::trust(&socket_of(&sources, arguments.asking.socket.clone())?, arguments)
            }
            Command::Stream(StreamCommand::Send(arguments)) => {
                return stream::send(&socket_of(&sources, arguments.socket.clone())?, &arguments);
            }
            Command::Stream(StreamCommand::Up(arguments)) => {
                return stream::up(&socket_of(&sources, arguments.socket.clone())?, &arguments);
            }
            Command::Stream(StreamCommand::Announce(arguments)) => {
                return stream::announce(&socket_of(&sources, arguments.socket.clone())?, &arguments);
            }
            Command::Stream(StreamCommand::Down(arguments)) => {
                return stream::down(&socket_of(&sources, arguments.socket.clone())?, &arguments);
            }
            Command::Stream(StreamCommand::Unsubscribe(arguments)) => {
                return stream::unsubscribe(&socket_of(&sources, arguments.socket.clone())?, &arguments);
            }
            Command::Stream(StreamCommand::List(arguments)) => {
                return stream::list(&socket_of(&sources, arguments.socket.clone())?, &arguments);
            }
            Command::Stream(StreamCommand::Namespace(arguments)) => return stream::namespace(&arguments),
            Command::Stream(StreamCommand::Recv(arguments)) => {
                return stream::recv(&socket_of(&sources, arguments.socket.clone())?, &arguments);
            }
            Command::CheckConfig => {
                Config::load(&sources)?;
                print("the configuration is good")
            }
            Command::Cleanup => cleanup(&sources),
            Command::Identity { json } => identity(&sources, json),
            Command::Doctor { json, verbose } => return examine(&sources, json, verbose),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

fn run(sources: &Sources) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    let logs = telemetry::init(&config.log_filter);
    let (state, identity) = open(&config)?;
    daemon::run(Settings::new(sources.clone(), config, logs), &identity, state)
}

/// The control socket that was named, or that of the configuration. A mistake in a file is no reason not to ask a gateway that
/// runs on with what it read before: it is told, and the default is asked.
fn socket_of(sources: &Sources, named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(socket) = named {
        return Ok(socket);
    }
    let error = match Config::load_for_client(sources) {
        Ok(config) => return Ok(config.control_socket),
        Err(error) if error.is_of_a_file() => error,
        Err(error) => return Err(error.into()),
    };
    let socket = Config::load_for_client(&sources.without_files())?.control_socket;
    let _closed =
        writeln!(io::stderr(), "irdest-gateway: {error}\nirdest-gateway: asking on {}", socket.display());
    Ok(socket)
}

fn shown(answer: &(impl Serialize + fmt::Display), json: bool) -> anyhow::Result<String> {
    // The tables end with a line feed of their own.
    Ok(if json { serde_json::to_string(answer)? } else { answer.to_string().trim_end().to_owned() })
}

/// Once, or every second until nobody reads on or the daemon ends.
fn links(socket: &Path, watch: bool, json: bool) -> anyhow::Result<()> {
    while is_read(&shown(&control::links(socket)?, json)?)? && watch {
        std::thread::sleep(netmod_api::SAMPLES_EVERY);
    }
    Ok(())
}

fn identity(sources: &Sources, json: bool) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    let _logs = telemetry::init(&config.log_filter);
    let who = match open(&config) {
        Ok((_state, identity)) => Who::from(&identity),
        // A gateway that runs has the state directory, and under systemd the passphrase: it knows.
        Err(error) if is_in_use(&error) => Who::from(control::status(&config.control_socket)?),
        Err(error) => return Err(error),
    };
    if json { print(serde_json::to_string(&who)?) } else { print(who) }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StateError::InUse { .. }))
}

/// Fails where there are errors, which the report names.
fn examine(sources: &Sources, json: bool, verbose: bool) -> anyhow::Result<ExitCode> {
    let report = doctor::examine(sources)?;
    if json {
        print(serde_json::to_string(&report)?)?
    } else {
        print(report.shown(verbose))?
    }
    Ok(if report.has_errors() { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
}

fn cleanup(sources: &Sources) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    let _logs = telemetry::init(&config.log_filter);
    let state = State::open(&config.state_dir)?;
    // Those of kernels that keep them when the process has gone.
    ebpf_loader::remove_leftovers();
    Ok(host::cleanup(state.dir())?)
}

/// The locked state directory, then the identity in it.
fn open(config: &Config) -> anyhow::Result<(State, Identity)> {
    let state = State::open(&config.state_dir)?;
    let passphrase = Passphrase::find(config.passphrase_file.as_deref())?;
    let identity = Identity::load_or_create(&state, &passphrase)?;
    Ok((state, identity))
}

fn print(text: impl fmt::Display) -> anyhow::Result<()> {
    is_read(&text).map(drop)
}

/// Prints a text; whether somebody still reads: `status | head` has seen enough.
fn is_read(text: &dyn fmt::Display) -> anyhow::Result<bool> {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
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
    fn ratmand_is_known_by_its_file_name() {
        for (name, expected) in [
            ("ratmand", true),
            ("/usr/sbin/ratmand", true),
            ("irdest-gateway", false),
            ("ratmand/irdest-gateway", false),
            ("", false),
        ] {
            assert_eq!(is_ratmand(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for line in [["x", "-s", "a=1", "status", "-s", "b=2"], ["x", "status", "-s", "a=1", "-s", "b=2"]] {
            assert!(Cli::try_parse_from(line).is_ok(), "{line:?}");
        }
    }
}
