// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-ping`: whether somebody answers on the mesh, and how fast.

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser};
use getrandom::fill;
use ratman_client::types::{Address, Recipient};
use ratman_client::{Outgoing, RatmanIpc};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

mod event;
mod probe;
mod report;
mod seconds;
mod station;
mod tally;

use crate::examples::{PING, listed};
use crate::{Exit, Failure, GlobalArgs, Interrupt, Result, Whom, run};
use event::Event;
use probe::{Probe, RunId};
use report::Report;
use station::Station;
use tally::Tally;

/// The name of the program.
const NAME: &str = "irdest-ping";

/// The most probes that are waited for at once, each with a connection to the router, which has 512 for all.
const MAX_WAITING: usize = 64;

/// What stands under `--help` behind the examples.
const MORE: &str = "
Somebody has to answer there: irdest-echo does. A probe is a stream of its own. Routers repeat what is lost on a link until it
arrives, so loss shows as a longer time, and as a reply that is missing only where it takes longer than -W. A time includes what
routers take to save a stream on both sides. How many hops it is to there is told where the router knows.

Probes are sent from a temporary address, which is destroyed at the end, and the mesh has to hear of it before a reply finds its
way: the first one takes longer. With --own they are sent from your own address, for who answers only to that. If a stream waits
there that is no reply, the run ends, and the stream stays; and two runs would take each other's replies.

Exit codes, as those of ping(8): 0 somebody answered, 1 nobody did, 2 anything else, 130 interrupted before it began.";

/// Sends small streams to an address of the mesh, and tells which are answered, and how fast.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_long_help = listed(PING) + MORE, after_help = "More and examples with --help.")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    /// Whom: an address, or the name of a contact
    whom: Whom,
    /// How many probes to send [default: until Ctrl-C]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// How long to wait between two, in seconds or with a unit: 0.2, 200ms, 1m; at least 10ms
    #[arg(short, long, value_name = "TIME", default_value = "1", value_parser = seconds::interval)]
    interval: Duration,
    /// How long a reply may take; what comes later is told as late, and does not count
    #[arg(short = 'W', long, value_name = "TIME", default_value = "10", value_parser = seconds::wait)]
    timeout: Duration,
    /// How many bytes each has
    #[arg(short, long, value_name = "BYTES", default_value_t = 64, value_parser = size)]
    size: usize,
    /// Begin each line with the time of day, in seconds since 1970
    #[arg(short = 'D', long)]
    timestamps: bool,
    /// Send from your own address instead of a temporary one
    #[arg(long)]
    own: bool,
}

/// The most bytes of a probe: what irdest-echo sends back unless it is told otherwise.
const MAX_SIZE: usize = 1 << 20;

fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("expected a number from {} to {MAX_SIZE}", Probe::MIN_SIZE);
    let size: usize = text.parse().map_err(|_| wrong())?;
    if (Probe::MIN_SIZE..=MAX_SIZE).contains(&size) { Ok(size) } else { Err(wrong()) }
}

/// The command line as data, for the manual and for completions.
pub fn command() -> clap::Command {
    // `-i` is the interval, as in ping(8).
    let command = Cli::command().mut_arg("identity", |argument| argument.short(None));
    command.mut_arg("quiet", |argument| argument.help("Tell only how it went"))
}

/// Runs the program with the words that it was called with.
pub fn main() -> ExitCode {
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    run(NAME, async move |interrupt| match Box::pin(ping(&cli, interrupt)).await {
        // Not to be taken for the silence of whom was pinged.
        Err(Failure { exit, message }) if !matches!(exit, Exit::Done | Exit::Interrupted) => {
            Err(Failure::usage(message))
        }
        other => other,
    })
}

async fn ping(cli: &Cli, mut interrupt: Interrupt) -> Result<Exit> {
    let finding = async {
        let ipc: RatmanIpc = cli.global.connect().await?;
        let address = cli.whom.find_address(&ipc).await?;
        Ok::<_, Failure>((ipc, address))
    };
    let (ipc, address) = tokio::select! {
        found = finding => found?,
        () = interrupt.came() => return Err(Failure::interrupted("")),
    };
    let mut bytes = [0; 16];
    fill(&mut bytes).map_err(|error| Failure::failed(format!("no random bytes from the system: {error}")))?;
    let station = Station::open(&cli.global, ipc, cli.own).await?;
    let pinging = Pinging { cli, station: &station, address, run: RunId(bytes) };
    let done = Box::pin(pinging.run(interrupt)).await;
    let closed = station.close().await;
    let exit = done?;
    closed.map_err(|error| {
        Failure::failed(format!("the temporary address {} stays behind: {error}", station.address))
    })?;
    Ok(exit)
}

/// A run.
struct Pinging<'a> {
    cli: &'a Cli,
    station: &'a Station,
    address: Address,
    run: RunId,
}

impl Pinging<'_> {
    async fn run(&self, interrupt: Interrupt) -> Result<Exit> {
        let Cli { whom, size, timestamps, .. } = self.cli;
        let output = self.cli.global.output();
        let report =
            Report { whom: whom.to_string(), form: output.form, quiet: output.quiet, times: *timestamps };
        report.begin(self.address, self.station.address, self.station.is_temporary, *size)?;
        let begin = Instant::now();
        let mut tally = Tally::new(self.cli.timeout);
        let done = Box::pin(self.probe(&report, &mut tally, begin, interrupt)).await;
        let summary = tally.summary();
        report.end(&summary, begin.elapsed())?;
        done?;
        Ok(if summary.received > 0 { Exit::Done } else { Exit::Failed })
    }

    /// Sends and hears until it is done or the user ends it.
    async fn probe(
        &self,
        report: &Report,
        tally: &mut Tally,
        begin: Instant,
        mut interrupt: Interrupt,
    ) -> Result<()> {
        // Those who say something wait while there is no room.
        let (events, mut happens) = mpsc::channel(MAX_WAITING);
        let mut tasks = JoinSet::new();
        let hearing = event::hear(self.station.clone(), self.address, self.cli.size, events.clone());
        tasks.spawn(Box::pin(hearing));
        let mut ticks = interval(self.cli.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_wanted = self.cli.count.is_none_or(|count| tally.sent() < count);
            if !is_wanted && tally.waiting() == 0 {
                return Ok(());
            }
            let deadline = tally.deadline().map(|deadline| begin + deadline);
            tokio::select! {
                () = interrupt.came() => return Ok(()),
                Some(event) = happens.recv() => self.heard(event, report, tally, begin)?,
                () = sleep_until(deadline.unwrap_or(begin)), if deadline.is_some() => {
                    while let Some(seq) = tally.overdue(begin.elapsed()) {
                        report.miss(seq, &format!("within {} ms", self.cli.timeout.as_millis()))?;
                    }
                }
                _ = ticks.tick(), if is_wanted && tally.waiting() < MAX_WAITING => {
                    let probe = tally.send(begin.elapsed());
                    let content = probe.encode(self.run, self.cli.size);
                    let outgoing = self.outgoing(content.len());
                    let (station, deadline) = (self.station.clone(), Instant::now() + self.cli.timeout);
                    let sending = event::send(station, outgoing, probe.seq, content, deadline, events.clone());
                    tasks.spawn(Box::pin(sending));
                }
                Some(ended) = tasks.join_next() => {
                    ended.map_err(|error| Failure::failed(format!("a fault of this program: {error}")))?;
                }
            }
        }
    }

    fn outgoing(&self, size: usize) -> Outgoing {
        let size = u64::try_from(size).expect("invariant: a length fits");
        let to = [Recipient::Address(self.address)];
        Outgoing::new(self.station.address, to).size(size).lifetime(event::lifetime(self.cli.timeout))
    }

    fn heard(&self, event: Event, report: &Report, tally: &mut Tally, begin: Instant) -> Result<()> {
        match event {
            Event::Came { at, content, hops } => {
                let Some(probe) = Probe::decode(self.run, &content) else { return Ok(()) };
                let now = at.saturating_duration_since(begin);
                let Some(heard) = tally.hear(probe, now) else { return Ok(()) };
                report.reply(probe.seq, content.len(), hops, heard)
            }
            Event::Hopeless { seq, why } => {
                if tally.give_up(seq) {
                    report.miss(seq, &why)
                } else {
                    Ok(())
                }
            }
            Event::Foreign => Err(Failure::failed(format!(
                "{} sent you something else, which waits for you: take it with `ratcat recv {}`, or ping without --own",
                self.cli.whom, self.address
            ))),
            Event::Deaf(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "ECB4-30B9-4416-C403-716F-601F-FC56-9AD3-BD2E-3892-227A-84AD-E6FC-A1CE-0A92-03F6";

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::from_arg_matches(&command().try_get_matches_from([&[NAME], words].concat())?)
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn words_of_ping_mean_what_they_mean_there() {
        let cli = parse(&["-c", "5", "-i", "0.2", "-W", "2", "-s", "100", "-q", "-D", ADDRESS]).unwrap();
        assert_eq!((cli.count, cli.size, cli.timestamps), (Some(5), 100, true));
        assert_eq!((cli.interval, cli.timeout), (Duration::from_millis(200), Duration::from_secs(2)));
        assert!(cli.global.output().quiet && cli.global.identity.is_none());
        for wrong in [&["-c", "0", ADDRESS][..], &["-s", "39", ADDRESS], &["-i", "0.001", ADDRESS], &[]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
