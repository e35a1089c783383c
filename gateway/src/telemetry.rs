// SPDX-License-Identifier: AGPL-3.0-or-later
//! Logs on standard error: with time and colour for a person, bare for the journal, which adds its own time.
//!
//! Every module logs under its own path (`irdest_gateway::state`, `router_core::…`); the TUN part logs under
//! `irdest_proxy`, its name in the manual, so that `log.filter = "info,irdest_proxy=trace"` reads as expected.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use tracing_subscriber::EnvFilter;

use crate::config::LogFilter;

/// Sends the logs of this process to standard error; does nothing where a subscriber is already in place.
pub fn init(filter: &LogFilter) {
    let stderr = std::io::stderr();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.as_str()))
        .with_writer(std::io::stderr)
        .with_ansi(stderr.is_terminal());
    let journal = std::env::var("JOURNAL_STREAM").is_ok_and(|value| is_stream(&value, &stderr));
    // Fails only where a test or an embedding program has set a subscriber before: theirs stands.
    let _already_set = if journal { builder.without_time().try_init() } else { builder.try_init() };
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
