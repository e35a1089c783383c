// SPDX-License-Identifier: AGPL-3.0-or-later
//! The daemon's side of a conversation about one stream, between a client of the control socket and the message plane.
//!
//! Content is read only as fast as the message plane takes it, and written only as fast as the client does: a few pieces are
//! in memory. Time limits are about progress, so that a stream may take as long as it needs.

use std::io;
use std::time::Duration;

use ratman_types::{Address, ByteCount};
use ratman_wire::stream::Lifetime;
use router_core::streams::{Arrival, SendError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::server::{self, IDLE, encode, read_line};
use super::stream_line::{self, Arrived, BROKEN_OFF, Line, MAX_PIECE, StreamLine, StreamRequest};
use crate::message_plane::{Clients, ContentError, Ending, Held, Sending};

/// A client has so long to take a piece of content: what it writes to may be slow.
const TO_TAKE: Duration = Duration::from_secs(60);

/// A client has so long to make durable what it got.
const TO_KEEP: Duration = Duration::from_secs(600);

/// Pieces that wait for the client while the next one is read from the journal.
const READ_AHEAD: usize = 4;

/// One conversation.
pub(super) struct Conversation<'a> {
    reader: &'a mut BufReader<OwnedReadHalf>,
    write: &'a mut OwnedWriteHalf,
    streams: &'a Clients,
}

/// Why a conversation is over before its end.
enum Over {
    /// The client is told.
    Told(String),
    /// The client is gone, or too slow.
    Left(io::Error),
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        Self::Left(error)
    }
}

impl From<tokio::time::error::Elapsed> for Over {
    fn from(late: tokio::time::error::Elapsed) -> Self {
        Self::Left(late.into())
    }
}

impl From<Ending> for Over {
    fn from(ending: Ending) -> Self {
        Self::Told(ending.to_string())
    }
}

impl From<SendError> for Over {
    fn from(error: SendError) -> Self {
        Self::Told(error.to_string())
    }
}

impl<'a> Conversation<'a> {
    /// With the client behind `reader` and `write`.
    pub(super) const fn new(
        reader: &'a mut BufReader<OwnedReadHalf>,
        write: &'a mut OwnedWriteHalf,
        streams: &'a Clients,
    ) -> Self {
        Self { reader, write, streams }
    }

    /// Does what the client wants; when this returns without an error, it may want something else.
    pub(super) async fn hold(&mut self, request: StreamRequest) -> io::Result<()> {
        let held = match request {
            StreamRequest::Send { to, size, lifetime } => self.send(to, size, lifetime).await,
            StreamRequest::Receive { from, wait } => self.receive(from, wait).await,
        };
        match held {
            Ok(()) => Ok(()),
            Err(Over::Left(error)) => Err(error),
            Err(Over::Told(message)) => {
                // What it still sends would be taken for requests.
                self.say(&Line::Error(message)).await?;
                Err(io::Error::other("told why, and left"))
            }
        }
    }

    async fn send(&mut self, to: Address, size: Option<u64>, lifetime: u32) -> Result<(), Over> {
        let lifetime = Lifetime::from_secs(lifetime)
            .ok_or_else(|| Over::Told("expected a lifetime of at most 2592000 seconds".to_owned()))?;
        let mut sending = self.streams.send(to, size.map(ByteCount), lifetime).await??;
        let stream = stream_line::hexadecimal(&sending.key().stream);
        self.say(&Line::Stream(StreamLine::Opened { stream })).await?;
        if let Err(over) = self.take_content(&sending).await {
            // The message plane may know more of the reason.
            return Err(match sending.news_at_once() {
                Some(news) => Over::Told(StreamLine::from(news).to_string()),
                None => over,
            });
        }
        sending.finish().await??;
        loop {
            let news = tokio::select! {
                news = sending.news() => news.ok_or(Ending)?,
                end = self.reader.fill_buf() => {
                    end?;
                    return Err(io::Error::other("it said something out of turn, or left").into());
                }
            };
            self.say(&Line::Stream(news.into())).await?;
            if news.is_last() {
                return Ok(());
            }
        }
    }

    /// Hands the content over piece by piece: while the message plane has one, the next is read.
    async fn take_content(&mut self, sending: &Sending) -> Result<(), Over> {
        let mut before: Option<oneshot::Receiver<Result<(), SendError>>> = None;
        loop {
            let piece = self.read_piece().await?;
            if let Some(before) = before.take() {
                before.await.map_err(|_| Ending)??;
            }
            if piece.is_empty() {
                return Ok(());
            }
            before = Some(sending.write(piece));
        }
    }

    /// The next piece. Its beginning may take any time, since what the client reads from may; the rest has to come.
    async fn read_piece(&mut self) -> Result<Vec<u8>, Over> {
        let length = usize::try_from(self.reader.read_u32().await?).unwrap_or(usize::MAX);
        if length > MAX_PIECE {
            return Err(Over::Told(format!("expected a piece of at most {MAX_PIECE} bytes, got {length}")));
        }
        let mut piece = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match timeout(IDLE, self.reader.read(&mut piece[filled..])).await?? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                read => filled += read,
            }
        }
        Ok(piece)
    }

    async fn receive(&mut self, from: Option<Address>, wait: bool) -> Result<(), Over> {
        let held = tokio::select! {
            held = self.streams.receive(from, wait) => held?,
            end = self.reader.fill_buf() => {
                end?;
                return Err(io::Error::other("it said something out of turn, or left").into());
            }
        };
        let Some(held) = held else { return Ok(self.say(&Line::Stream(StreamLine::None)).await?) };
        self.say(&Line::Stream(StreamLine::Arrived(Arrived::from(held.arrival())))).await?;
        self.give_content(held.arrival()).await?;
        self.end(held).await
    }

    /// Gives the content to the client while a thread reads it from the journal.
    async fn give_content(&mut self, arrival: &Arrival) -> Result<(), Over> {
        let (give, mut pieces) = mpsc::channel::<Vec<u8>>(READ_AHEAD);
        let (streams, arrival) = (self.streams.clone(), arrival.clone());
        let reading = tokio::task::spawn_blocking(move || {
            // An empty one would be the end.
            streams.read(&arrival, |piece| piece.is_empty() || give.blocking_send(framed(piece)).is_ok())
        });
        while let Some(piece) = pieces.recv().await {
            self.give(&piece).await?;
        }
        let read = reading.await.map_err(io::Error::other)?;
        match read {
            Ok(()) => Ok(self.give(&0_u32.to_be_bytes()).await?),
            Err(error) => self.break_off(&error).await,
        }
    }

    async fn break_off(&mut self, error: &ContentError) -> Result<(), Over> {
        tracing::error!(%error, "a stream that was stored cannot be read");
        self.give(&BROKEN_OFF.to_be_bytes()).await?;
        Err(Over::Told(error.to_string()))
    }

    /// Waits until the client says that it has the stream, and forgets it.
    async fn end(&mut self, held: Held) -> Result<(), Over> {
        let mut line = Vec::new();
        match timeout(TO_KEEP, read_line(self.reader, &mut line)).await?? {
            server::Line::Whole => {}
            server::Line::End | server::Line::TooLong => {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        if serde_json::from_slice(&line).ok() != Some(Line::Stream(StreamLine::Taken)) {
            return Err(Over::Told("expected {\"stream\":\"taken\"}".to_owned()));
        }
        held.take().await?;
        Ok(self.say(&Line::Stream(StreamLine::Taken)).await?)
    }

    async fn say(&mut self, line: &Line) -> io::Result<()> {
        timeout(IDLE, self.write.write_all(&encode(line))).await?
    }

    async fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(TO_TAKE, self.write.write_all(bytes)).await?
    }
}

/// A piece with its length before it.
fn framed(piece: &[u8]) -> Vec<u8> {
    let length = u32::try_from(piece.len()).expect("invariant: a piece is no longer than a block");
    [&length.to_be_bytes(), piece].concat()
}

#[cfg(test)]
mod tests;
