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

/// The longest piece of content, in bytes.
const PIECE: usize = 64 * 1024;

/// A message that came.
#[derive(Debug)]
pub struct Message {
    /// The address of its sender.
    pub from: String,
    /// The name of its stream.
    pub stream: String,
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
        self.open_stream(to, content.len())?;
        self.write(content)?;
        let mut news = self.news()?;
        while news == StreamNews::Accepted {
            news = self.news()?;
        }
        ensure!(news == StreamNews::Delivered, "a message was {news:?}");
        Ok(())
    }

    /// Begins a message of so many bytes to an address, and returns the name of its stream.
    pub fn open_stream(&mut self, to: &str, size: usize) -> Result<String> {
        self.say(&json!({"stream": {"send": {"to": to, "size": size, "lifetime": LIFETIME}}}))?;
        let news = self.news()?;
        let StreamNews::Opened { stream } = news else { bail!("a new stream is {news:?}") };
        Ok(stream)
    }

    /// Hands over all of the content of a message that was begun.
    pub fn write(&mut self, content: &[u8]) -> Result<()> {
        let mut pieces = Vec::with_capacity(content.len() + 4 * (2 + content.len() / PIECE));
        for piece in content.chunks(PIECE) {
            pieces.extend(u32::try_from(piece.len())?.to_be_bytes());
            pieces.extend(piece);
        }
        // One of length 0 is the end.
        pieces.extend([0; 4]);
        Ok(self.writer.write_all(&pieces)?)
    }

    /// Takes the oldest message that is here, or waits for one.
    pub fn take(&mut self) -> Result<Message> {
        let message = self.receive()?;
        self.taken()?;
        Ok(message)
    }

    /// The oldest message that is here, or the next one; the daemon keeps it until it was [taken](Self::taken).
    pub fn receive(&mut self) -> Result<Message> {
        self.say(&json!({"stream": {"receive": {"from": null, "wait": true}}}))?;
        let StreamNews::Arrived { from, stream, .. } = self.news()? else { bail!("none arrived") };
        let mut content = Vec::new();
        loop {
            let mut length = [0; 4];
            self.reader.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length == 0 {
                return Ok(Message { from, stream, content, at: Instant::now() });
            }
            let read = (&mut self.reader).take(length.into()).read_to_end(&mut content)?;
            ensure!(u32::try_from(read)? == length, "a message broke off");
        }
    }

    /// Says that the message is here for good, and returns once the daemon has heard it.
    pub fn taken(&mut self) -> Result<()> {
        self.say(&json!({"stream": "taken"}))?;
        let taken = self.news()?;
        ensure!(taken == StreamNews::Taken, "{taken:?}");
        Ok(())
    }

    fn say(&mut self, line: &Value) -> Result<()> {
        Ok(self.writer.write_all(format!("{line}\n").as_bytes())?)
    }

    /// Waits for what the daemon tells next.
    pub fn news(&mut self) -> Result<StreamNews> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        match serde_json::from_str(&line).with_context(|| format!("the daemon said `{line}`"))? {
            Reply::Stream(news) => Ok(news),
            Reply::Error(error) => bail!("the daemon said: {error}"),
        }
    }
}
