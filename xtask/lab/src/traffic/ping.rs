// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ping` of iputils: once as a test of reachability, or continuously as a clock for outages.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::node::Node;
use crate::process::Process;
use crate::time_limit::TimeLimit;

/// Sends `count` echo requests and returns what `ping` says; every one has to be answered.
pub fn ping(node: &Node, target: IpAddr, count: u32, limit: TimeLimit) -> Result<String> {
    let family = if target.is_ipv6() { "-6" } else { "-4" };
    let (target, count) = (target.to_string(), count.to_string());
    let text = node.run("ping", &[family, "-n", "-i", "0.2", "-W", "2", "-c", &count, &target], limit)?;
    let all = format!("{count} packets transmitted, {count} received");
    anyhow::ensure!(text.contains(&all), "not all of {count} requests to {target} were answered:\n{text}");
    Ok(text)
}

/// An answer to an echo request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reply {
    /// When it came, since 1970.
    pub at: Duration,
    /// Number of the request, from 1.
    pub sequence: u32,
    /// How long the answer took.
    pub round_trip: Duration,
}

/// A series of answers, in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replies(pub Vec<Reply>);

/// A `ping` that goes on until it is stopped.
#[derive(Debug)]
pub struct Ping {
    process: Process,
}

impl Ping {
    /// Starts it with this pause between two requests.
    pub fn start(node: &Node, target: IpAddr, pause: Duration) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let (pause, target) = (format!("{:.3}", pause.as_secs_f32()), target.to_string());
        let log = format!("ping-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let process = node.spawn("ping", &["-n", "-D", "-i", &pause, &target], &log)?;
        Ok(Self { process })
    }

    /// All answers so far.
    pub fn replies(&self) -> Replies {
        Replies::parse(&self.process.log())
    }

    /// The first answer that came after an instant, as soon as there is one.
    pub fn reply_after(&self, instant: SystemTime, limit: TimeLimit) -> Result<Reply> {
        let since = instant.duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
        limit
            .wait_for("an answer to ping", || Ok(self.replies().0.into_iter().find(|reply| reply.at > since)))
    }

    /// Ends it and returns all answers.
    pub fn stop(mut self, limit: TimeLimit) -> Result<Replies> {
        self.process.signal(Signal::SIGINT)?;
        self.process.wait(limit)?;
        Ok(self.replies())
    }
}

impl Replies {
    fn parse(log: &str) -> Self {
        Self(log.lines().filter_map(parse_reply).collect())
    }

    /// Those that came after an instant.
    pub fn after(&self, instant: SystemTime) -> Self {
        let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(self.0.iter().copied().filter(|reply| reply.at > since).collect())
    }

    /// The median of the round trips; zero where none came.
    pub fn median(&self) -> Duration {
        let mut times: Vec<_> = self.0.iter().map(|reply| reply.round_trip).collect();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// The longest time without an answer between two that came.
    pub fn longest_gap(&self) -> Duration {
        self.0.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).max().unwrap_or_default()
    }

    /// How often the round trip changed between shorter and not shorter than `threshold`.
    ///
    /// Single values on the other side are the scheduler's doing and do not count.
    pub fn changes_of_speed(&self, threshold: Duration) -> usize {
        let fast: Vec<bool> = self.0.iter().map(|reply| reply.round_trip < threshold).collect();
        let settled: Vec<bool> =
            fast.windows(3).filter(|run| run.iter().all(|one| one == &run[0])).map(|run| run[0]).collect();
        settled.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}

/// Reads a line such as `[1700000000.250000] 64 bytes from 10.66.2.1: icmp_seq=5 ttl=64 time=0.31 ms`.
fn parse_reply(line: &str) -> Option<Reply> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once(']')?;
    let value_of = |key: &str| rest.split_whitespace().find_map(|word| word.strip_prefix(key));
    let milliseconds: f64 = value_of("time=")?.parse().ok()?;
    Some(Reply {
        at: Duration::try_from_secs_f64(stamp.parse().ok()?).ok()?,
        sequence: value_of("icmp_seq=")?.parse().ok()?,
        round_trip: Duration::try_from_secs_f64(milliseconds / 1000.0).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
PING 10.66.2.1 (10.66.2.1) 56(84) bytes of data.
[1700000000.250000] 64 bytes from 10.66.2.1: icmp_seq=1 ttl=64 time=0.250 ms
[1700000000.750000] 64 bytes from 10.66.2.1: icmp_seq=2 ttl=64 time=21.0 ms
[1700000002.000000] From 10.66.1.1 icmp_seq=3 Destination Host Unreachable
[1700000004.000000] 64 bytes from 10.66.2.1: icmp_seq=9 ttl=64 time=0.250 ms
[17000000";

    #[test]
    fn reads_answers_and_nothing_else() {
        let replies = Replies::parse(LOG);
        assert_eq!(replies.0.iter().map(|reply| reply.sequence).collect::<Vec<_>>(), [1, 2, 9]);
        assert_eq!(replies.0[1].round_trip, Duration::from_millis(21));
        assert_eq!(replies.longest_gap(), Duration::from_millis(3250));
        assert_eq!(replies.median(), Duration::from_micros(250));
        assert_eq!(Replies::default().median(), Duration::ZERO);
        let later = replies.after(UNIX_EPOCH + Duration::from_millis(1_700_000_000_300));
        assert_eq!(later.0.len(), 2);
    }

    #[test]
    fn counts_lasting_changes_of_speed() {
        let series = |speeds: &[u64]| {
            let reply =
                |ms: &u64| Reply { at: Duration::ZERO, sequence: 1, round_trip: Duration::from_millis(*ms) };
            Replies(speeds.iter().map(reply).collect())
        };
        let threshold = Duration::from_millis(10);
        assert_eq!(series(&[1, 1, 1, 30, 1, 1, 1]).changes_of_speed(threshold), 0);
        assert_eq!(series(&[1, 1, 1, 30, 30, 30, 1, 1, 1]).changes_of_speed(threshold), 2);
        assert_eq!(series(&[1, 1, 1, 30, 30, 30]).changes_of_speed(threshold), 1);
        assert_eq!(series(&[]).changes_of_speed(threshold), 0);
    }
}
