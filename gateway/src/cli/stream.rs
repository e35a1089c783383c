// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-gateway stream`: sends a file as a stream, takes one, and shares one.

mod sharing;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use ratman_types::{Address, ByteCount, Recipient};
use ratman_wire::stream::Lifetime;
use serde::Serialize;

use super::desk::AsArgs;
use super::{EXIT_FAILED, print};
use crate::control::{self, ControlError, ListedLine, StreamLine, StreamRequest};
use crate::daemon;
use crate::namespace_key::NamespaceKey;
use crate::status::Table;
use crate::telemetry;
pub(super) use sharing::{AnnounceArgs, DownArgs, UnsubscribeArgs, UpArgs, announce, down, unsubscribe, up};

#[derive(Debug, Subcommand)]
pub(super) enum StreamCommand {
    /// Send a file, or what comes by standard input, to addresses and namespaces; it is delivered now or later
    Send(SendArgs),
    /// Take the oldest stream that is here; it is forgotten once it is written
    Recv(RecvArgs),
    /// Share a file, or what comes by standard input, and print its name, a URN: it is stored once, and whoever is told of it fetches it
    /// from here, now or later. It is public: whoever has the name, or the same file, can tell what it is
    Up(UpArgs),
    /// Tell addresses and namespaces of shared content, as often as you like
    Announce(AnnounceArgs),
    /// Share content no more, and keep nothing of it
    Down(DownArgs),
    /// Show the streams that are not over, and how far each is
    List(ListArgs),
    /// Show which namespace the key in a file opens, as `stream send --to` takes it
    Namespace(NamespaceArgs),
    /// Take the key of a namespace back that `stream recv --namespace-key`, or a program, gave the gateway
    Unsubscribe(UnsubscribeArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Everything in full, as one line of JSON
    #[arg(long)]
    json: bool,
    /// The control socket [default: control.socket of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct NamespaceArgs {
    /// Make a key and write it to the file, which must not be there yet
    #[arg(long)]
    new: bool,
    /// The file with the key: whoever has it reads what is sent to the namespace
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Whom it is for: addresses, and namespaces as namespace:KEY; several joined by commas, or each with --to
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', required = true)]
    to: Vec<Recipient>,
    /// For how long it is wanted: seconds, or a number with s, m, h or d; at most 30d, to a namespace 1d [default: 7d, to a
    /// namespace 1d]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    lifetime: Option<Lifetime>,
    #[command(flatten)]
    on_behalf: AsArgs,
    /// Send no more than the manifest, and the content when the recipient asks for it: until then it stays here, and no other router stores
    /// it. Not to a namespace
    #[arg(long)]
    pull: bool,
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Wait::Stored)]
    wait: Wait,
    /// Say on standard error how far it is
    #[arg(long)]
    progress: bool,
    /// What happens to it as lines of JSON, each with the recipient and what is told of it
    #[arg(long)]
    json: bool,
    /// The control socket [default: control.socket of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    /// What to send; standard input if left out or -
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RecvArgs {
    /// Only of this sender
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Address>,
    /// What is sent to the namespace of the key in this file; the gateway stays subscribed to it for as long as it runs
    #[arg(long, value_name = "FILE")]
    namespace_key: Option<PathBuf>,
    #[command(flatten)]
    on_behalf: AsArgs,
    /// Where to write it, in place of what is there [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Fail where there is none, and do not wait for one
    #[arg(long)]
    no_wait: bool,
    /// Who sent it, and when, as a line of JSON on standard error
    #[arg(long)]
    json: bool,
    /// The control socket [default: control.socket of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

/// What `stream send` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// Durable here: it will be sent whatever happens to this host
    Accepted,
    /// Delivered, or stored by another router for a recipient that is not to be reached; with --pull only delivered
    Stored,
    /// The recipient has all of it
    Delivered,
}

impl Wait {
    /// Whether that is what was waited for.
    fn is_met_by(self, line: &StreamLine) -> bool {
        match line {
            // Of what is published nobody says more.
            StreamLine::Delivered | StreamLine::Published => true,
            StreamLine::Stored => self != Self::Delivered,
            StreamLine::Accepted => self == Self::Accepted,
            StreamLine::Progress { .. } | StreamLine::Streams { .. } => false,
            StreamLine::Opened { .. } | StreamLine::Arrived(_) | StreamLine::None | StreamLine::Taken => {
                false
            }
            StreamLine::Refused | StreamLine::Denied | StreamLine::Expired | StreamLine::Failed => false,
            StreamLine::Withdrawn | StreamLine::Down | StreamLine::Unsubscribed { .. } => false,
            StreamLine::Shared { .. } => false,
        }
    }
}

/// A number of seconds, or one with its unit.
fn lifetime(text: &str) -> Result<Lifetime, String> {
    let wrong = || "expected seconds, or a number with s, m, h or d, of at most 30d".to_owned();
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let seconds: u32 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).and_then(Lifetime::from_secs).ok_or_else(wrong)
}

/// What is told of the stream to one recipient, as a line of JSON.
#[derive(Serialize)]
struct Told<'a> {
    to: &'a Recipient,
    told: &'a StreamLine,
}

/// One recipient, and what became of its stream so far.
struct Fate {
    to: Recipient,
    met: bool,
    last: Option<StreamLine>,
}

/// What becomes of one content for several recipients, and is told.
struct Fates {
    each: Vec<Fate>,
    json: bool,
    printed: anyhow::Result<()>,
}

impl Fates {
    fn of(to: &BTreeSet<Recipient>, json: bool) -> Self {
        let each = to.iter().map(|to| Fate { to: *to, met: false, last: None }).collect();
        Self { each, json, printed: Ok(()) }
    }

    /// Hears of one, and whether that is what was waited for; says whether to hear more of it.
    fn hear(&mut self, place: usize, line: &StreamLine, met: bool) -> bool {
        let fate = &mut self.each[place];
        if let StreamLine::Progress { .. } = line {
            let _closed = writeln!(io::stderr(), "{}: {line}", fate.to);
            return true;
        }
        fate.met |= met;
        fate.last = Some(line.clone());
        let met = fate.met;
        if self.json {
            self.printed = shown(&Told { to: &fate.to, told: line }).and_then(print);
        }
        !met && self.printed.is_ok()
    }

    /// Says of whom it has not come, and why.
    fn end(self, told: &[Result<(), ControlError>]) -> anyhow::Result<ExitCode> {
        self.printed?;
        let mut code = ExitCode::SUCCESS;
        let several = self.each.len() > 1;
        for (Fate { to, last, .. }, told) in self.each.iter().zip(told).filter(|(fate, _)| !fate.met) {
            let why = match (told, last) {
                (Err(error), _) => error.to_string(),
                (Ok(()), Some(line)) => line.to_string(),
                (Ok(()), None) => continue,
            };
            let whose = if several { format!("{to}: ") } else { String::new() };
            let _closed = writeln!(io::stderr(), "{}irdest-gateway: {whose}{why}", telemetry::error_prefix());
            code = ExitCode::from(EXIT_FAILED);
        }
        Ok(code)
    }
}

/// Sends; the exit code says whether what was waited for has come for all recipients.
pub(super) fn send(socket: &Path, arguments: &SendArgs) -> anyhow::Result<ExitCode> {
    let SendArgs { lifetime, wait, progress, pull, json, file, .. } = arguments;
    let to: BTreeSet<Recipient> = arguments.to.iter().copied().collect();
    let (mut content, size) = source(file.as_deref())?;
    let owned = arguments.on_behalf.read()?;
    let request = |to: &Recipient| StreamRequest::Send {
        to: *to,
        size,
        lifetime: lifetime.unwrap_or(Lifetime::usual_to(to)).as_secs(),
        progress: *progress,
        pull: *pull,
        owned: owned.clone(),
    };
    let mut fates = Fates::of(&to, *json);
    let sent = control::send(socket, to.iter().map(request).collect(), &mut content, &mut |place, line| {
        fates.hear(place, line, wait.is_met_by(line))
    })?;
    fates.end(&sent)
}

/// Shows what streams there are.
pub(super) fn list(socket: &Path, arguments: &ListArgs) -> anyhow::Result<ExitCode> {
    let listed = control::list(socket)?;
    if arguments.json {
        print(shown(&listed)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let StreamLine::Streams { streams, more } = listed else { return Ok(ExitCode::from(EXIT_FAILED)) };
    let bytes = |bytes: Option<u64>| bytes.map_or("?".to_owned(), |bytes| ByteCount(bytes).to_string());
    let row = |line: &ListedLine| {
        let in_all = bytes(line.in_all);
        let arrived = format!("{} of {in_all}", ByteCount(line.arrived));
        let stream = line.stream.get(..16).unwrap_or_default().to_owned();
        let to = line.urn.as_ref().map_or_else(|| line.to.to_string(), ToString::to_string);
        [line.stage.clone(), line.from.short(), to, stream, bytes(line.size), arrived]
    };
    let header = ["stage", "from", "to, or name", "stream", "size", "arrived"];
    let table = Table::new("Streams", header, streams.iter().map(row).collect());
    print(table.to_string().trim())?;
    if more > 0 {
        print(format_args!("and {more} more"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a namespace, or makes one.
pub(super) fn namespace(arguments: &NamespaceArgs) -> anyhow::Result<ExitCode> {
    let NamespaceArgs { new, file } = arguments;
    let name = || file.display().to_string();
    let key = if *new {
        let key = NamespaceKey::from_bytes(daemon::random()?);
        key.write(file).with_context(name)?;
        key
    } else {
        NamespaceKey::read(file).with_context(name)?
    };
    print(Recipient::Namespace(key.namespace()))?;
    Ok(ExitCode::SUCCESS)
}

/// What to send, and its length where that is known.
fn source(file: Option<&Path>) -> anyhow::Result<(Box<dyn Read>, Option<u64>)> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        return Ok((Box::new(io::stdin().lock()), None));
    };
    let open = || path.display().to_string();
    let file = File::open(path).with_context(open)?;
    let metadata = file.metadata().with_context(open)?;
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// Takes; the exit code says whether there was one.
pub(super) fn recv(socket: &Path, arguments: &RecvArgs) -> anyhow::Result<ExitCode> {
    let RecvArgs { from, namespace_key, output, no_wait, json, .. } = arguments;
    let read = |path: &PathBuf| NamespaceKey::read(path).with_context(|| path.display().to_string());
    let namespace = namespace_key.as_ref().map(read).transpose()?;
    let owned = arguments.on_behalf.read()?;
    let request = StreamRequest::Receive { from: *from, namespace, owned, wait: !no_wait };
    let open = |_: &control::Arrived| match output {
        Some(path) => Ok(Sink::File(File::create(path)?)),
        None => Ok(Sink::Output(io::stdout().lock())),
    };
    let line = match control::receive(socket, request, open, Sink::keep)? {
        Some(arrived) => StreamLine::Arrived(arrived),
        None => StreamLine::None,
    };
    let text = if *json { shown(&line)? } else { line.to_string() };
    let _closed = writeln!(io::stderr(), "{text}");
    Ok(if line == StreamLine::None { ExitCode::from(EXIT_FAILED) } else { ExitCode::SUCCESS })
}

fn shown(line: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(line)?)
}

/// Where a stream is written.
enum Sink {
    File(File),
    Output(io::StdoutLock<'static>),
}

impl Sink {
    /// Makes durable what was written, as far as that can be.
    fn keep(mut self) -> io::Result<()> {
        self.flush()?;
        match self {
            Self::File(file) => file.sync_all(),
            Self::Output(_) => Ok(()),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Output(output) => output.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Output(output) => output.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_units_and_a_limit() {
        let seconds = |text| lifetime(text).map(Lifetime::as_secs).ok();
        assert_eq!(["60", "60s", "2m", "3h", "30d"].map(seconds), [60, 60, 120, 10_800, 2_592_000].map(Some));
        assert_eq!(["", "d", "31d", "1w", "-1", "99999999999", "1.5h"].map(seconds), [None; 7]);
    }

    #[test]
    fn what_is_more_than_waited_for_will_do() {
        use StreamLine::{Accepted, Delivered, Denied, Expired, Failed, Published, Refused, Stored};
        let lines = [Accepted, Stored, Delivered, Published, Refused, Denied, Expired, Failed];
        let met = |wait: Wait| lines.iter().filter(|line| wait.is_met_by(line)).cloned().collect::<Vec<_>>();
        assert_eq!(met(Wait::Accepted), [Accepted, Stored, Delivered, Published]);
        assert_eq!(met(Wait::Stored), [Stored, Delivered, Published]);
        assert_eq!(met(Wait::Delivered), [Delivered, Published]);
    }
}
