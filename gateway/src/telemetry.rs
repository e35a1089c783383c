// SPDX-License-Identifier: AGPL-3.0-or-later
//! Logs on standard error: with time and colour for a person; for the journal without, as it adds its own time, and with the
//! priority of each line.
//!
//! Every module logs under its own path (`irdest_gateway::state`, `router_core::…`); the TUN part logs under
//! `irdest_proxy`, its name in the manual, so that `log.filter = "info,irdest_proxy=trace"` reads as expected.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::LogFilter;

/// Replaces the filter of the logs while they are written.
#[derive(Debug)]
pub struct Logs(Handle<EnvFilter, Registry>);

impl Logs {
    /// From now on, what `filter` lets pass is logged.
    pub fn set_filter(&self, filter: &LogFilter) {
        // Fails only where a test or an embedding program has a subscriber of its own.
        let _others = self.0.reload(EnvFilter::new(filter.as_str()));
    }
}

/// Sends the logs of this process to standard error; does nothing where a subscriber is already in place.
pub fn init(filter: &LogFilter) -> Logs {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines =
        if is_for_journal() { lines.event_format(ForJournal::default()).boxed() } else { lines.boxed() };
    let (filter, handle) = reload::Layer::new(EnvFilter::new(filter.as_str()));
    // Fails only where a test or an embedding program has set a subscriber before: theirs stands.
    let _already_set = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Logs(handle)
}

/// What stands before a line about an error that ends the program: its priority for the journal, nothing for a person.
pub fn error_prefix() -> &'static str {
    if is_for_journal() { "<3>" } else { "" }
}

fn is_for_journal() -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|value| is_stream(&value, &std::io::stderr()))
}

/// Lines without time, each after its priority as in `<4>`, which the journal takes off (source: sd-daemon(3)).
struct ForJournal(Format<Full, ()>);

impl Default for ForJournal {
    fn default() -> Self {
        Self(fmt::format().without_time())
    }
}

impl<S, N> FormatEvent<S, N> for ForJournal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// Source: syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Whether `value`, device and inode joined by a colon (source: systemd.exec, `$JOURNAL_STREAM`), names `stream`.
fn is_stream(value: &str, stream: &impl AsFd) -> bool {
    let Ok(stat) = nix::sys::stat::fstat(stream) else { return false };
    value == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};
    use std::os::unix::fs::MetadataExt;
    use std::sync::Mutex;

    #[test]
    fn lines_for_the_journal_begin_with_their_priority() {
        let mut file = tempfile::tempfile().unwrap();
        let writer = Mutex::new(file.try_clone().unwrap());
        let lines = fmt::layer().with_writer(writer).with_ansi(false).event_format(ForJournal::default());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::error!("one");
            tracing::warn!(two = 2, "words");
            tracing::info!("three");
            tracing::debug!("four");
        });
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        let begins: Vec<_> = text.lines().map(|line| &line[..3]).collect();
        assert_eq!(begins, ["<3>", "<4>", "<6>", "<7>"], "{text}");
        assert!(text.lines().nth(1).unwrap().ends_with("words two=2"), "{text}");
    }

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let meta = file.metadata().unwrap();
        assert!(is_stream(&format!("{}:{}", meta.dev(), meta.ino()), &file));
        assert!(!is_stream(&format!("{}:{}", meta.dev(), meta.ino() + 1), &file));
        assert!(!is_stream("", &file));
    }
}
