// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams of the lab: `irdest-gateway stream` on a node, and what it tells.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::gateway::Gateway;
use crate::process::Process;
use crate::status::Streams;
use crate::time_limit::TimeLimit;

/// What is told of a stream, to its sender or to whom it is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamNews {
    /// The daemon takes its content.
    Opened {
        /// Its name.
        stream: String,
    },
    /// It is durable with its sender.
    Accepted,
    /// Another router answers for it.
    Stored,
    /// Its recipient has it.
    Delivered,
    /// Its recipient does not take it.
    Refused,
    /// Its recipient did not want it to be sent.
    Denied,
    /// Its time passed.
    Expired,
    /// It goes to everybody who subscribed.
    Published,
    /// What it tells of is shared no more.
    Withdrawn,
    /// The journal of its sender does not take it.
    Failed,
    /// It is here.
    Arrived {
        /// The address of its sender.
        from: String,
        /// Its name.
        stream: String,
        /// Its length in bytes.
        size: u64,
    },
    /// None is here.
    None,
    /// It was taken, and is forgotten.
    Taken,
}

/// A stream that somebody sends: `irdest-gateway stream send` in the background. Dropped, the client is killed; what was
/// accepted goes on.
#[derive(Debug)]
pub struct StreamSender {
    process: Process,
    limit: TimeLimit,
}

/// A stream that was taken, in a file.
#[derive(Debug)]
pub struct TakenStream {
    /// The address of its sender.
    pub from: String,
    /// Its name.
    pub stream: String,
    /// Its content.
    pub file: PathBuf,
}

impl Gateway {
    /// A file on its node of so many random bytes: nothing in it can be left out, or be taken for another one.
    pub fn random_file(&self, name: &str, size: u64) -> Result<PathBuf> {
        let file = self.node().directory().join(name);
        random_file(&file, size)?;
        Ok(file)
    }

    /// Waits until this holds of its streams, as `status` counts them.
    pub fn wait_for_streams(&self, what: &str, holds: impl Fn(Streams) -> bool) -> Result<()> {
        let what = format!("streams of node {}: {what}", self.node().name());
        let seen = Cell::new(Streams::default());
        let look = || {
            seen.set(self.status()?.streams());
            Ok(holds(seen.get()).then_some(()))
        };
        self.node().limit().wait_for(&what, look).with_context(|| format!("seen last: {:?}", seen.get()))
    }

    /// Begins to send a file to another gateway. The client stays until it is told `until`, which is `accepted`, `stored` or
    /// `delivered`.
    pub fn send_stream(&self, to: &Self, file: &Path, until: &str) -> Result<StreamSender> {
        self.send_stream_to(&[&to.identity().address], file, until)
    }

    /// As [`send_stream`](Self::send_stream), to all these addresses and namespaces.
    pub fn send_stream_to(&self, to: &[&str], file: &Path, until: &str) -> Result<StreamSender> {
        let (to, file) = (to.join(","), file.display().to_string());
        let arguments = ["send", "--json", "--to", &to, "--wait", until, &file];
        Ok(StreamSender { process: self.stream_client(&arguments)?, limit: self.node().limit() })
    }

    /// Makes a namespace: the file with its key, and what it is sent to by.
    pub fn new_namespace(&self) -> Result<(PathBuf, String)> {
        let key = self.node().directory().join(format!("namespace-{}", next_number()));
        let namespace = self.ask_stream(&["namespace", "--new", &key.display().to_string()])?;
        Ok((key, namespace))
    }

    /// Shares a file, tells these addresses and namespaces of it, and says what it is called.
    pub fn share_file(&self, file: &Path, to: &[&str]) -> Result<String> {
        let (to, file) = (to.join(","), file.display().to_string());
        let mut arguments = vec!["up", &*file];
        arguments.extend(if to.is_empty() { None } else { Some(["--to", &*to]) }.into_iter().flatten());
        self.ask_stream(&arguments)
    }

    /// Tells these addresses and namespaces of a shared file; returns once the daemon will do so whatever happens.
    pub fn announce_file(&self, urn: &str, to: &[&str]) -> Result<()> {
        self.ask_stream(&["announce", urn, "--to", &to.join(",")]).map(drop)
    }

    /// Shares a file no more.
    pub fn take_down_file(&self, urn: &str) -> Result<()> {
        self.ask_stream(&["down", urn]).map(drop)
    }

    /// What a client prints that ends well.
    fn ask_stream(&self, arguments: &[&str]) -> Result<String> {
        let mut client = self.stream_client(arguments)?;
        let status = client.wait(self.node().limit())?;
        ensure!(status.success(), "`stream {}`: {status}\n{}", arguments[0], client.log());
        Ok(client.log().trim().to_owned())
    }

    /// Takes the oldest stream to the namespace of this key, as [`take_stream`](Self::take_stream); the gateway is subscribed to
    /// it from then on.
    pub fn take_published(&self, key: &Path, wait: bool) -> Result<Option<TakenStream>> {
        self.take(&["--namespace-key", &key.display().to_string()], wait)
    }

    /// Takes the oldest stream that is here; where there is none, `wait` says whether to wait for one.
    ///
    /// # Errors
    /// Where the daemon gives none for another reason than that there is none.
    pub fn take_stream(&self, wait: bool) -> Result<Option<TakenStream>> {
        self.take(&[], wait)
    }

    fn take(&self, wanted: &[&str], wait: bool) -> Result<Option<TakenStream>> {
        let file = self.node().directory().join(format!("taken-{}", next_number()));
        let output = file.display().to_string();
        let mut arguments = vec!["recv", "--json", "--output", &output];
        arguments.extend(wanted);
        arguments.extend((!wait).then_some("--no-wait"));
        let mut client = self.stream_client(&arguments)?;
        let status = client.wait(self.node().limit())?;
        match (status.success(), news_in(&client.log()).pop()) {
            (true, Some(StreamNews::Arrived { from, stream, size })) => {
                let length = fs::metadata(&file).with_context(|| output.clone())?.len();
                ensure!(length == size, "{size} bytes were told, and {length} came");
                Ok(Some(TakenStream { from, stream, file }))
            }
            (false, Some(StreamNews::None)) if !wait => Ok(None),
            _ => bail!("`stream recv` on node {}: {status}\n{}", self.node().name(), client.log()),
        }
    }

    /// Forgets the [peak](Self::peak_memory) so far: that of the start, say (proc_pid_clear_refs(5)).
    pub fn forget_peak_memory(&self) -> Result<()> {
        let process = self.process_id().context("no daemon runs")?;
        fs::write(format!("/proc/{process}/clear_refs"), "5").context("forgetting a peak")
    }

    /// The most memory that the daemon ever had resident, in bytes (`VmHWM` of proc_pid_status(5)).
    pub fn peak_memory(&self) -> Result<u64> {
        let process = self.process_id().context("no daemon runs")?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.context("a process has a peak")? << 10)
    }

    fn stream_client(&self, arguments: &[&str]) -> Result<Process> {
        let log = format!("stream-{}", next_number());
        self.client(&[&["stream"], arguments].concat(), &log)
    }
}

impl StreamSender {
    /// The name of the stream, once it has one.
    pub fn stream(&self) -> Option<String> {
        self.news().into_iter().find_map(|news| {
            let StreamNews::Opened { stream } = news else { return None };
            Some(stream)
        })
    }

    /// What was told so far, the last last.
    pub fn news(&self) -> Vec<StreamNews> {
        news_in(&self.process.log())
    }

    /// Waits until it was told something.
    ///
    /// # Errors
    /// Where it was not within the limit of the lab, or the client has ended without.
    pub fn wait_for(&mut self, news: &StreamNews) -> Result<()> {
        self.limit.wait_for(&format!("{news:?} of a stream"), || {
            // Asked first: what it says before its end is in the log then.
            let running = self.process.is_running();
            let told = self.news().contains(news);
            ensure!(told || running, "`stream send` ended without {news:?}:\n{}", self.process.log());
            Ok(told.then_some(()))
        })
    }
}

fn random_file(path: &Path, size: u64) -> Result<()> {
    let mut random = File::open("/dev/urandom").context("opening /dev/urandom")?.take(size);
    let mut file = File::create(path).with_context(|| path.display().to_string())?;
    let written = io::copy(&mut random, &mut file).with_context(|| path.display().to_string())?;
    ensure!(written == size, "{written} of {size} random bytes");
    Ok(())
}

/// Whether two files have the same bytes.
pub fn same_content(one: &Path, other: &Path) -> Result<bool> {
    let status = Command::new("cmp").args(["--silent", "--"]).args([one, other]).status();
    match status.context("starting cmp")?.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => bail!("cmp {} {} failed", one.display(), other.display()),
    }
}

fn news_in(log: &str) -> Vec<StreamNews> {
    let told = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        // Of what is sent, beside whom it is told.
        let told = line.get("told").unwrap_or(&line).clone();
        serde_json::from_value(told).ok()
    };
    log.lines().filter_map(told).collect()
}

fn next_number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_print() {
        let told = |told: &str| format!("{{\"to\":\"AAAA\",\"told\":{told}}}\n");
        let sent = ["{\"opened\":{\"stream\":\"ab\"}}", "\"accepted\"", "\"delivered\""].map(told);
        let log = sent.join("irdest-gateway: alas\n");
        let opened = StreamNews::Opened { stream: "ab".into() };
        assert_eq!(news_in(&log), [opened, StreamNews::Accepted, StreamNews::Delivered]);
        let arrived =
            "{\"arrived\":{\"from\":\"AAAA\",\"stream\":\"ab\",\"size\":7,\"created_us\":1}}\n\"none\"";
        let expected = StreamNews::Arrived { from: "AAAA".into(), stream: "ab".into(), size: 7 };
        assert_eq!(news_in(arrived), [expected, StreamNews::None]);
    }

    #[test]
    fn files_have_their_length_and_differ() {
        let path =
            |name: &str| std::env::temp_dir().join(format!("irdest-lab-{}-{name}", std::process::id()));
        let (one, other) = (path("one"), path("other"));
        for size in [0, 1, 65_537] {
            random_file(&one, size).unwrap();
            assert_eq!(fs::metadata(&one).unwrap().len(), size);
        }
        random_file(&other, 65_537).unwrap();
        assert!(same_content(&one, &one).unwrap() && !same_content(&one, &other).unwrap());
        fs::copy(&one, &other).unwrap();
        assert!(same_content(&one, &other).unwrap());
        [one, other].iter().for_each(|file| fs::remove_file(file).unwrap());
    }
}
