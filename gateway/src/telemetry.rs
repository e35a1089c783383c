// SPDX-License-Identifier: AGPL-3.0-or-later
//! Logs on standard error: with time and colour for a person, bare for the journal, which adds its own time.
//!
//! Every module logs under its own path (`irdest_gateway::state`, `router_core::…`); the TUN part logs under
//! `irdest_proxy`, its name in the manual, so that `log.filter = "info,irdest_proxy=trace"` reads as expected.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing_subscriber::layer::SubscriberExt;
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
    let stderr = std::io::stderr();
    let journal = std::env::var("JOURNAL_STREAM").is_ok_and(|value| is_stream(&value, &stderr));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(stderr.is_terminal());
    let lines = if journal { lines.without_time().boxed() } else { lines.boxed() };
    let (filter, handle) = reload::Layer::new(EnvFilter::new(filter.as_str()));
    // Fails only where a test or an embedding program has set a subscriber before: theirs stands.
    let _already_set = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Logs(handle)
}

/// Whether `value`, device and inode joined by a colon (source: systemd.exec, `$JOURNAL_STREAM`), names `stream`.
fn is_stream(value: &str, stream: &impl AsFd) -> bool {
    let Ok(stat) = nix::sys::stat::fstat(stream) else { return false };
    value == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let meta = file.metadata().unwrap();
        assert!(is_stream(&format!("{}:{}", meta.dev(), meta.ino()), &file));
        assert!(!is_stream(&format!("{}:{}", meta.dev(), meta.ino() + 1), &file));
        assert!(!is_stream("", &file));
    }
}
