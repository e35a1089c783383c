// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask bench streams`: a large stream and short messages between two gateways, beside what encoding alone reaches.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use irdest_lab::{
    Gateway, Neighbours, StreamNews, StreamSocket, TimeLimit, catch_signals, same_content, shown,
};
use serde::{Deserialize, Serialize};

use super::figures::{median, percentile};
use super::machine::Usage;
use super::start_inside;
use crate::cargo::{cargo, run};
use crate::programs::{TO_MEASURE, require};

/// The longest that all of it may take inside.
const LIMIT: Duration = Duration::from_secs(1800);

/// Room for the largest stream with its tree.
const QUOTA: &str = "[streams]\nquota = 137438953472\n";

/// What measures encoding alone.
const ENCODE: [&str; 7] = ["bench", "--offline", "--quiet", "--package", "ratman-eris", "--bench", "encode"];

/// A short message, in bytes.
const SHORT: usize = 1024;

/// How many are sent one after the other for their latency, and by each of so many clients at once for their rate.
const ONE_BY_ONE: usize = 200;
const EACH: usize = 100;
const SENDERS: usize = 16;
const TAKERS: usize = 4;

/// Least parts: encoding of its primitives, and the stream of encoding.
const ENCODING_OF_PRIMITIVES: f64 = 0.7;
const STREAM_OF_ENCODING: f64 = 0.5;

/// A GiB, in bytes.
const GIB: f64 = 1_073_741_824.0;

/// What the routers deployed in 2026 need, in seconds, for 1 KiB and for 16 MiB.
const DEPLOYED: [f64; 2] = [0.1, 2.5];

/// Measures streams from A to B over a veth pair, both journals durable, beside what encoding reaches in the same run.
///
/// A file of random bytes is sent once; then messages of 1 KiB, one after the other for their latency, which is that from the
/// request of the sending client to the last byte at the one that takes, and by many clients at once for their rate. Both ends
/// share this machine, so only the ratios mean something. The machine should have nothing else to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Streams {
    /// Write the report to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail where a target is missed.
    #[arg(long)]
    check: bool,
    /// How long the large stream is.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    mib: u32,
    /// Everything is built, and this process may make labs.
    #[arg(long, hide = true)]
    inside: bool,
}

/// What encoding alone reaches on one processor, as its bench prints it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Encoding {
    eris_bytes_per_second: f64,
    primitives_bytes_per_second: f64,
}

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
struct Report {
    encoding: Encoding,
    encoding_of_primitives: f64,
    stream_mib: u32,
    stream_s: f64,
    stream_bytes_per_second: f64,
    stream_of_encoding: f64,
    /// What both gateways computed for the stream, per GiB, and which part that is of what the machine's processors could.
    stream_cpu_s_per_gib: f64,
    stream_busy: f64,
    /// What all processors can compute in the time that the target leaves for a GiB.
    target_cpu_s_per_gib: f64,
    /// 1 KiB.
    message_median_ms: f64,
    message_p95_ms: f64,
    messages_per_second: f64,
    /// 16 MiB, and what routers deployed in 2026 need for 1 KiB and for that.
    mib_16_s: f64,
    deployed_s: [f64; 2],
}

impl Streams {
    pub(crate) fn run(self) -> Result<()> {
        if self.inside {
            return self.measure();
        }
        require(TO_MEASURE)?;
        run(cargo(&ENCODE).arg("--no-run"))?;
        start_inside()
    }

    fn measure(self) -> Result<()> {
        catch_signals()?;
        let encoding = encoding()?;
        let lab = Neighbours::start_without_line(TimeLimit::within(LIMIT), QUOTA)?;
        let Sent { took: stream_s, computed } = stream(&lab, self.mib)?;
        let processors = f64::from(u32::try_from(thread::available_parallelism()?.get())?);
        let latencies = latencies(&lab)?;
        let bytes_per_second = f64::from(self.mib) / 1024.0 * GIB / stream_s;
        let report = Report {
            encoding,
            encoding_of_primitives: encoding.eris_bytes_per_second / encoding.primitives_bytes_per_second,
            stream_mib: self.mib,
            stream_s,
            stream_bytes_per_second: bytes_per_second,
            stream_of_encoding: bytes_per_second / encoding.eris_bytes_per_second,
            stream_cpu_s_per_gib: computed / f64::from(self.mib) * 1024.0,
            stream_busy: computed / (stream_s * processors),
            target_cpu_s_per_gib: processors * GIB / (STREAM_OF_ENCODING * encoding.eris_bytes_per_second),
            message_median_ms: median(latencies.clone()).context("no message")?,
            message_p95_ms: percentile(latencies, 95).context("no message")?,
            messages_per_second: rate(&lab)?,
            mib_16_s: stream(&lab, 16)?.took,
            deployed_s: DEPLOYED,
        };
        println!("{report}");
        if let Some(file) = &self.json {
            let text = format!("{:#}\n", serde_json::to_value(&report)?);
            fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        ensure!(!self.check || report.meets_all(), "a target was missed");
        Ok(())
    }
}

impl Report {
    fn meets_all(&self) -> bool {
        self.encoding_of_primitives >= ENCODING_OF_PRIMITIVES && self.stream_of_encoding >= STREAM_OF_ENCODING
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mb = |bytes: f64| bytes / 1e6;
        let Encoding { eris_bytes_per_second: eris, primitives_bytes_per_second: primitives } = self.encoding;
        let [deployed_kib, deployed_mib] = DEPLOYED;
        writeln!(
            f,
            "encoding   {:.0} MB/s, {:.2} of its primitives ({:.0} MB/s); at least {ENCODING_OF_PRIMITIVES}",
            mb(eris),
            self.encoding_of_primitives,
            mb(primitives)
        )?;
        writeln!(
            f,
            "{} MiB   {:.1} s, {:.0} MB/s, {:.2} of encoding; at least {STREAM_OF_ENCODING}",
            self.stream_mib,
            self.stream_s,
            mb(self.stream_bytes_per_second),
            self.stream_of_encoding
        )?;
        writeln!(
            f,
            "           {:.1} s of processor time per GiB, {:.0} % of the processors; in the time of the target there are {:.1} s",
            self.stream_cpu_s_per_gib,
            self.stream_busy * 100.0,
            self.target_cpu_s_per_gib
        )?;
        writeln!(f, "16 MiB     {:.2} s; deployed routers {deployed_mib} s", self.mib_16_s)?;
        write!(
            f,
            "1 KiB      {:.1} ms (95 %: {:.1} ms), {:.0} per second; deployed routers {:.0} ms",
            self.message_median_ms,
            self.message_p95_ms,
            self.messages_per_second,
            deployed_kib * 1e3
        )
    }
}

/// Asks the bench of the encoder, whose own verdict does not count here.
fn encoding() -> Result<Encoding> {
    let mut bench = cargo(&ENCODE);
    let output = bench.args(["--", "--json"]).output().context("starting cargo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with('{'));
    let Some(line) = line else {
        bail!("`{}`: {}", shown(&bench), String::from_utf8_lossy(&output.stderr));
    };
    serde_json::from_str(line).with_context(|| format!("reading `{line}`"))
}

/// What a stream took, in seconds: of time, and of both gateways' processor time.
struct Sent {
    took: f64,
    computed: f64,
}

/// How long a stream takes from the start of its client until that is told that it was delivered.
fn stream(lab: &Neighbours, mib: u32) -> Result<Sent> {
    let file = lab.a.random_file("content", u64::from(mib) << 20)?;
    let gateways: Vec<u32> = [&lab.a, &lab.b].into_iter().filter_map(Gateway::process_id).collect();
    let (before, began) = (Usage::of(&gateways)?, Instant::now());
    lab.a.send_stream(&lab.b, &file, "delivered")?.wait_for(&StreamNews::Delivered)?;
    let took = began.elapsed().as_secs_f64();
    let computed = Usage::of(&gateways)?.cpu_seconds - before.cpu_seconds;
    let taken = lab.b.take_stream(true)?.context("it was delivered")?;
    ensure!(same_content(&taken.file, &file)?, "what came is not what was sent");
    fs::remove_file(&taken.file).context("removing what was taken")?;
    Ok(Sent { took, computed })
}

/// Of messages one by one, in milliseconds.
fn latencies(lab: &Neighbours) -> Result<Vec<f64>> {
    let (mut sender, mut taker) = (StreamSocket::open(&lab.a)?, StreamSocket::open(&lab.b)?);
    let to = lab.b.identity().address.clone();
    let mut latencies = Vec::new();
    for number in 0..ONE_BY_ONE {
        let content = message(number);
        let taking = thread::spawn(move || (taker.take(), taker));
        let began = Instant::now();
        sender.send(&to, &content)?;
        let (message, back) = taking.join().map_err(|_| anyhow::anyhow!("a taker panicked"))?;
        taker = back;
        let message = message?;
        ensure!(message.content == content, "what came is not what was sent");
        latencies.push((message.at - began).as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

/// Messages per second, until the last is taken.
fn rate(lab: &Neighbours) -> Result<f64> {
    const ALL: usize = SENDERS * EACH;
    let sockets = |of, count| (0..count).map(|_| StreamSocket::open(of)).collect::<Result<Vec<_>>>();
    let (senders, takers) = (sockets(&lab.a, SENDERS)?, sockets(&lab.b, TAKERS)?);
    let to = &lab.b.identity().address;
    let began = Instant::now();
    thread::scope(|scope| {
        let mut all = Vec::new();
        for mut sender in senders {
            all.push(scope.spawn(move || (0..EACH).try_for_each(|number| sender.send(to, &message(number)))));
        }
        for mut taker in takers {
            all.push(scope.spawn(move || (0..ALL / TAKERS).try_for_each(|_| taker.take().map(drop))));
        }
        all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let all = u32::try_from(ALL).context("a small number")?;
    Ok(f64::from(all) / began.elapsed().as_secs_f64())
}

/// A message of its own.
fn message(number: usize) -> Vec<u8> {
    number.to_be_bytes().into_iter().cycle().take(SHORT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_bench_of_the_encoder_and_judges_both_parts() {
        let line =
            r#"{"eris_bytes_per_second":300,"primitives_bytes_per_second":400,"ratio_thousandths":750}"#;
        let encoding: Encoding = serde_json::from_str(line).unwrap();
        let report = |encoding_of_primitives, stream_of_encoding| Report {
            encoding,
            encoding_of_primitives,
            stream_mib: 1024,
            stream_s: 5.0,
            stream_bytes_per_second: 2e8,
            stream_of_encoding,
            stream_cpu_s_per_gib: 14.6,
            stream_busy: 0.75,
            target_cpu_s_per_gib: 9.4,
            message_median_ms: 2.0,
            message_p95_ms: 4.0,
            messages_per_second: 500.0,
            mib_16_s: 0.25,
            deployed_s: DEPLOYED,
        };
        assert!(report(0.75, 0.5).meets_all());
        assert!(!report(0.75, 0.49).meets_all() && !report(0.69, 0.5).meets_all());
        let shown = report(0.75, 0.5).to_string();
        assert!(shown.contains("1024 MiB   5.0 s, 200 MB/s, 0.50 of encoding"), "{shown}");
        assert!(shown.contains("14.6 s of processor time per GiB, 75 % of the processors;"), "{shown}");
    }

    #[test]
    fn messages_have_their_length() {
        assert_eq!([message(0).len(), message(7).len()], [SHORT; 2]);
        assert_ne!(message(0), message(7));
    }
}
