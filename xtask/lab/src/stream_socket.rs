// SPDX-License-Identifier: AGPL-3.0-or-later
//! The daemon's control socket as a program uses it for short messages: one connection for many, and no process for each.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::streams::StreamNews;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how long messages are wanted, in seconds.
const LIFETIME: u32 = 3600;

/// A connection for streams, of which it carries one at a time.
#[derive(Debug)]
pub struct StreamSocket {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

/// A message that was taken.
#[derive(Debug)]
pub struct Message {
    /// What it says.
    pub content: Vec<u8>,
    /// When all of it was here.
    pub at: Instant,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    Stream(StreamNews),
    Error(String),
}

impl StreamSocket {
    /// Connects to a daemon that runs.
    pub fn open(gateway: &Gateway) -> Result<Self> {
        let path = gateway.node().directory().join("control.sock");
        let writer = UnixStream::connect(&path).with_context(|| path.display().to_string())?;
        writer.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::new(writer.try_clone()?), writer })
    }

    /// Sends a message to an address, and returns once it was delivered.
    pub fn send(&mut self, to: &str, content: &[u8]) -> Result<()> {
        let size = u32::try_from(content.len())?;
        self.say(&json!({"stream": {"send": {"to": to, "size": size, "lifetime": LIFETIME}}}))?;
        let opened = self.hear()?;
        ensure!(matches!(opened, StreamNews::Opened { .. }), "{opened:?}");
        // One piece, and one of length 0 for the end.
        self.writer.write_all(&[&size.to_be_bytes(), content, &[0; 4]].concat())?;
        let mut news = self.hear()?;
        while news == StreamNews::Accepted {
            news = self.hear()?;
        }
        ensure!(news == StreamNews::Delivered, "a message was {news:?}");
        Ok(())
    }

    /// Takes the oldest message that is here, or waits for one.
    pub fn take(&mut self) -> Result<Message> {
        self.say(&json!({"stream": {"receive": {"from": null, "wait": true}}}))?;
        let arrived = self.hear()?;
        ensure!(matches!(arrived, StreamNews::Arrived { .. }), "{arrived:?}");
        let mut content = Vec::new();
        loop {
            let mut length = [0; 4];
            self.reader.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length == 0 {
                break;
            }
            let read = (&mut self.reader).take(length.into()).read_to_end(&mut content)?;
            ensure!(u32::try_from(read)? == length, "a message broke off");
        }
        let at = Instant::now();
        self.say(&json!({"stream": "taken"}))?;
        let taken = self.hear()?;
        ensure!(taken == StreamNews::Taken, "{taken:?}");
        Ok(Message { content, at })
    }

    fn say(&mut self, line: &Value) -> Result<()> {
        Ok(self.writer.write_all(format!("{line}\n").as_bytes())?)
    }

    fn hear(&mut self) -> Result<StreamNews> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        match serde_json::from_str(&line).with_context(|| format!("the daemon said `{line}`"))? {
            Reply::Stream(news) => Ok(news),
            Reply::Error(error) => bail!("the daemon said: {error}"),
        }
    }
}
