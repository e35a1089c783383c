// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-gateway stream`: sends a file as a stream, and takes one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use ratman_types::Address;
use ratman_wire::stream::Lifetime;
use serde::Serialize;

use super::{EXIT_FAILED, print};
use crate::control::{self, StreamLine, StreamRequest};
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub(super) enum StreamCommand {
    /// Send a file, or what comes by standard input, to an address; it is delivered now or later
    Send(SendArgs),
    /// Take the oldest stream that is here; it is forgotten once it is written
    Recv(RecvArgs),
}

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Whom it is for
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    /// For how long it is wanted: seconds, or a number with s, m, h or d; at most 30d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = lifetime)]
    lifetime: Lifetime,
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Wait::Stored)]
    wait: Wait,
    /// What happens to it as lines of JSON
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
    /// Delivered, or stored by another router for a recipient that is not to be reached
    Stored,
    /// The recipient has all of it
    Delivered,
}

impl Wait {
    /// Whether that is what was waited for.
    fn is_met_by(self, line: &StreamLine) -> bool {
        match line {
            StreamLine::Delivered => true,
            StreamLine::Stored => self != Self::Delivered,
            StreamLine::Accepted => self == Self::Accepted,
            StreamLine::Opened { .. } | StreamLine::Arrived(_) | StreamLine::None | StreamLine::Taken => {
                false
            }
            StreamLine::Refused | StreamLine::Denied | StreamLine::Expired | StreamLine::Failed => false,
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

/// Sends; the exit code says whether what was waited for has come.
pub(super) fn send(socket: &Path, arguments: &SendArgs) -> anyhow::Result<ExitCode> {
    let SendArgs { to, lifetime, wait, json, file, .. } = arguments;
    let (mut content, size) = source(file.as_deref())?;
    let request = StreamRequest::Send { to: *to, size, lifetime: lifetime.as_secs() };
    let (mut met, mut last, mut printed) = (false, None, Ok(()));
    control::send(socket, request, &mut content, &mut |line| {
        met |= wait.is_met_by(line);
        last = Some(line.clone());
        if *json {
            printed = shown(line).and_then(print);
        }
        !met && printed.is_ok()
    })?;
    printed?;
    if met {
        return Ok(ExitCode::SUCCESS);
    }
    let why = last.map_or_else(String::new, |line| line.to_string());
    let _closed = writeln!(io::stderr(), "{}irdest-gateway: {why}", telemetry::error_prefix());
    Ok(ExitCode::from(EXIT_FAILED))
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
    let RecvArgs { from, output, no_wait, json, .. } = arguments;
    let request = StreamRequest::Receive { from: *from, wait: !no_wait };
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
        use StreamLine::{Accepted, Delivered, Denied, Expired, Failed, Refused, Stored};
        let lines = [Accepted, Stored, Delivered, Refused, Denied, Expired, Failed];
        let met = |wait: Wait| lines.iter().filter(|line| wait.is_met_by(line)).cloned().collect::<Vec<_>>();
        assert_eq!(met(Wait::Accepted), [Accepted, Stored, Delivered]);
        assert_eq!(met(Wait::Stored), [Stored, Delivered]);
        assert_eq!(met(Wait::Delivered), [Delivered]);
    }
}
