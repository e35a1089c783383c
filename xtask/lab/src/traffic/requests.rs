// SPDX-License-Identifier: AGPL-3.0-or-later
//! A client that asks an HTTP server for a small object again and again, as a person who browses would.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use crate::node::Node;
use crate::process::Process;
use crate::traffic::HttpServer;

const REQUESTS: &str = include_str!("requests.py");

/// The client, until it is dropped.
#[derive(Debug)]
pub struct SmallRequests {
    process: Process,
}

impl SmallRequests {
    /// Starts it; each request opens a connection of its own, 50 ms after the answer before.
    pub fn start(node: &Node, server: &HttpServer) -> Result<Self> {
        Ok(Self { process: node.spawn("python3", &["-u", "-c", REQUESTS, server.url()], "requests")? })
    }

    /// How long each answer took that came after an instant, from the name of the server to the last byte.
    ///
    /// # Errors
    /// Where the client has ended, which it does at the first request without answer.
    pub fn times_since(&mut self, instant: SystemTime) -> Result<Vec<Duration>> {
        ensure!(self.process.is_running(), "a request failed:\n{}", self.process.log());
        let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
        let answers = self.process.log();
        Ok(answers.lines().filter_map(parse).filter(|(at, _)| *at > since).map(|(_, took)| took).collect())
    }
}

/// Reads the seconds since 1970 and those that a request took.
fn parse(line: &str) -> Option<(Duration, Duration)> {
    let (at, took) = line.split_once(' ')?;
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
    Some((seconds(at)?, seconds(took)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_client_prints() {
        let line = parse("1700000000.500000 0.020000");
        assert_eq!(line, Some((Duration::from_millis(1_700_000_000_500), Duration::from_millis(20))));
        assert_eq!(parse("Traceback (most recent call last):"), None);
        assert_eq!(parse("17000"), None);
    }
}
