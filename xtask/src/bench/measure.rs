// SPDX-License-Identifier: AGPL-3.0-or-later
//! The measurements of one run, the same for every subject.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use irdest_lab::traffic::{IperfServer, Ping, Replies, ping};
use serde_json::Value;

use super::figures::{Figures, median, percentile};
use super::machine::Ticks;
use super::subject::Running;

/// How long a subject may take until its first ping is answered.
const FIRST_PING: Duration = Duration::from_secs(30);
/// Pause before measuring: caches, sessions and path probing come to rest.
const SETTLE: Duration = Duration::from_secs(1);
/// How long the idle tunnel is pinged, and how often.
const IDLE: Duration = Duration::from_secs(2);
const IDLE_PAUSE: Duration = Duration::from_millis(10);
/// How often the loaded tunnel is pinged: rarely enough not to be a load itself.
const LOADED_PAUSE: Duration = Duration::from_millis(20);
/// Pings at the edges of the stream say nothing about the time in between.
const EDGE: Duration = Duration::from_millis(500);
/// Length of the measurement with small datagrams, in seconds.
const UDP_SECONDS: u32 = 2;
/// 200 000 datagrams of 64 bytes per second.
const UDP_OFFER: [&str; 5] = ["--udp", "--length", "64", "--bitrate", "102400000"];

/// Time for a run apart from its two streams.
const OVERHEAD: Duration = Duration::from_secs(90);

/// The longest that a run may take, with streams of so many seconds.
pub(crate) fn longest(seconds: u32) -> Duration {
    OVERHEAD + 3 * Duration::from_secs(seconds.into())
}

/// Measures what runs.
pub(crate) fn measure(running: &Running, seconds: u32) -> Result<Figures> {
    let limit = running.field.limit();
    wait_for_ping(running)?;
    limit.pass(SETTLE)?;
    let server = IperfServer::start(&running.field.b.node, running.target, limit)?;
    let mut clock = Clock { steal: 0.0 };
    let idle = clock.over(|| ping_for(running, IDLE))?;
    running.forget_peaks();
    let before = running.usage()?;
    let (forth, loaded) = clock.over(|| loaded_stream(running, &server, seconds))?;
    let after = running.usage()?;
    let back = clock.over(|| stream(running, &server, &["--reverse"], seconds))?;
    let peak = running.usage()?;
    let small = clock.over(|| server.report(&running.field.a.node, &UDP_OFFER, UDP_SECONDS, limit))?;
    Ok(Figures {
        tcp_mbit: forth.mbit,
        tcp_reverse_mbit: back.mbit,
        retransmissions: forth.retransmissions,
        ping_idle_ms: median(milliseconds(&idle)).context("no ping was answered on the idle tunnel")?,
        ping_loaded_ms: median(milliseconds(&loaded)).context("no ping was answered beside the stream")?,
        ping_loaded_p95_ms: percentile(milliseconds(&loaded), 95).context("the median has failed before")?,
        udp64_pps: received_per_second(&small)?,
        cpu_s_per_gb: running
            .has_processes()
            .then(|| (after.cpu_seconds - before.cpu_seconds) / forth.gigabytes),
        rss_mib: running.has_processes().then_some(peak.peak_mib),
        steal_percent: clock.steal,
    })
}

/// The highest share of stolen time so far.
struct Clock {
    steal: f64,
}

impl Clock {
    fn over<T>(&mut self, measurement: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = Ticks::now()?;
        let result = measurement()?;
        self.steal = self.steal.max(Ticks::now()?.steal_since(before));
        Ok(result)
    }
}

fn wait_for_ping(running: &Running) -> Result<()> {
    let limit = running.field.limit().at_most(FIRST_PING);
    limit.wait_for("the first answer to ping", || {
        // Should a program of the subject have ended, nothing will answer.
        running.usage()?;
        Ok(ping(&running.field.a.node, running.target, 1, limit).is_ok().then_some(()))
    })
}

fn ping_for(running: &Running, duration: Duration) -> Result<Replies> {
    let limit = running.field.limit();
    let ping = Ping::start(&running.field.a.node, running.target, IDLE_PAUSE)?;
    limit.pass(duration)?;
    ping.stop(limit)
}

/// What one TCP stream reached.
struct Stream {
    mbit: f64,
    gigabytes: f64,
    retransmissions: f64,
}

fn loaded_stream(running: &Running, server: &IperfServer, seconds: u32) -> Result<(Stream, Replies)> {
    let ping = Ping::start(&running.field.a.node, running.target, LOADED_PAUSE)?;
    let began = SystemTime::now();
    let forth = stream(running, server, &[], seconds)?;
    let ended = SystemTime::now();
    let replies = ping.stop(running.field.limit())?;
    let until =
        ended.duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.saturating_sub(EDGE);
    let within = replies.after(began + EDGE).0.into_iter().filter(|reply| reply.at < until);
    Ok((forth, Replies(within.collect())))
}

fn stream(running: &Running, server: &IperfServer, options: &[&str], seconds: u32) -> Result<Stream> {
    let report = server.report(&running.field.a.node, options, seconds, running.field.limit())?;
    let stream = Stream {
        mbit: number(&report, "/end/sum_received/bits_per_second")? / 1e6,
        gigabytes: number(&report, "/end/sum_received/bytes")? / 1e9,
        retransmissions: number(&report, "/end/sum_sent/retransmits")?,
    };
    ensure!(stream.gigabytes > 0.0, "iperf3 brought nothing over");
    Ok(stream)
}

fn received_per_second(report: &Value) -> Result<f64> {
    let sent = number(report, "/end/sum/packets")?;
    let lost = number(report, "/end/sum/lost_packets")?;
    Ok((sent - lost) / number(report, "/end/sum/seconds")?)
}

fn number(report: &Value, pointer: &str) -> Result<f64> {
    let number = report.pointer(pointer).and_then(Value::as_f64);
    number.with_context(|| format!("no {pointer} in the report of iperf3:\n{report:#}"))
}

fn milliseconds(replies: &Replies) -> Vec<f64> {
    replies.0.iter().map(|reply| reply.round_trip.as_secs_f64() * 1e3).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_what_was_received() {
        let report = json!({"end": {"sum": {"packets": 400_000, "lost_packets": 100_000, "seconds": 2.0}}});
        assert_eq!(received_per_second(&report).unwrap(), 150_000.0);
        let error = received_per_second(&json!({"error": "unable to connect"})).unwrap_err();
        assert!(error.to_string().contains("unable to connect"), "{error}");
    }
}
