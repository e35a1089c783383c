// SPDX-License-Identifier: AGPL-3.0-or-later
//! The daemon's side of a conversation about one stream, between a client of the control socket and the message plane.
//!
//! Content is read only as fast as the message plane takes it, and written only as fast as the client does: a few pieces are
//! in memory. Time limits are about progress, so that a stream may take as long as it needs.

use std::io;
use std::time::Duration;

use ratman_types::{Address, ByteCount, Namespace, Recipient};
use ratman_wire::stream::{AuxiliaryData, Lifetime};
use router_core::stream::Routing;
use router_core::streams::{Arrival, SendError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::encode;
use super::server::{self, IDLE, NO_DESK, read_line};
use super::stream_line::{self, Arrived, BROKEN_OFF, Line, MAX_PIECE, StreamLine, StreamRequest};
use super::{Owned, Urn};
use crate::desk::Desk;
use crate::message_plane::{Clients, ContentError, Ending, Held, Outgoing, Sending, Wanted};
use crate::namespace_key::NamespaceKey;
use crate::secret::{WipedBytes, WipedReader};

/// A client has so long to take a piece of content: what it writes to may be slow.
const TO_TAKE: Duration = Duration::from_secs(60);

/// A client has so long to make durable what it got.
const TO_KEEP: Duration = Duration::from_secs(600);

/// One conversation.
pub(super) struct Conversation<'a> {
    reader: &'a mut WipedReader<OwnedReadHalf>,
    write: &'a mut OwnedWriteHalf,
    streams: &'a Clients,
    desk: Option<&'a Desk>,
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
        reader: &'a mut WipedReader<OwnedReadHalf>,
        write: &'a mut OwnedWriteHalf,
        (streams, desk): (&'a Clients, Option<&'a Desk>),
    ) -> Self {
        Self { reader, write, streams, desk }
    }

    /// Does what the client wants; when this returns without an error, it may want something else.
    pub(super) async fn hold(&mut self, request: StreamRequest) -> io::Result<()> {
        let held = match request {
            StreamRequest::Send { to, size, lifetime, progress, pull, owned } => {
                let routing = if pull { Routing::Pull } else { Routing::Push };
                self.send((to, routing), (size, lifetime), progress, owned).await
            }
            StreamRequest::Up { size, lifetime, owned } => self.share((size, lifetime), owned).await,
            StreamRequest::Announce { urn, to, owned } => self.announce(&urn, to, owned).await,
            StreamRequest::Down { urn, owned } => self.take_down(&urn, owned).await,
            StreamRequest::Unsubscribe { namespace } => self.unsubscribe(namespace).await,
            StreamRequest::List => self.list().await,
            StreamRequest::Receive { from, namespace, owned, wait } => {
                self.receive(from, (namespace, owned), wait).await
            }
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

    async fn list(&mut self) -> Result<(), Over> {
        let listed = self.streams.list().await?;
        Ok(self.say(&Line::Stream(listed.into())).await?)
    }

    async fn send(
        &mut self,
        (recipient, routing): (Recipient, Routing),
        (size, lifetime): (Option<u64>, u32),
        progress: bool,
        owned: Option<Owned>,
    ) -> Result<(), Over> {
        let (size, lifetime) = (size.map(ByteCount), lifetime_of(lifetime)?);
        let auxiliary_data = AuxiliaryData::default();
        let outgoing = Outgoing { recipient, size, lifetime, routing, auxiliary_data };
        let sending = match self.address_of(owned).await? {
            Some(sender) => self.streams.send_as(sender, outgoing).await??,
            None => self.streams.send(outgoing).await??,
        };
        self.hand_over(sending, progress).await
    }

    async fn share(
        &mut self,
        (size, lifetime): (Option<u64>, u32),
        owned: Option<Owned>,
    ) -> Result<(), Over> {
        let (size, lifetime) = (size.map(ByteCount), lifetime_of(lifetime)?);
        let sender = self.address_of(owned).await?;
        let sending = self.streams.share(sender, size, lifetime).await??;
        self.hand_over(sending, false).await
    }

    async fn announce(&mut self, urn: &Urn, to: Recipient, owned: Option<Owned>) -> Result<(), Over> {
        let sender = self.address_of(owned).await?;
        let mut announcing = self.streams.announce(sender, urn.stream(), to).await??;
        let stream = stream_line::hexadecimal(&announcing.key().stream);
        self.say(&Line::Stream(StreamLine::Opened { stream })).await?;
        loop {
            let news = tokio::select! {
                news = announcing.told() => news.ok_or(Ending)?,
                end = self.reader.fill_buf() => return Err(out_of_turn(end)),
            };
            let line = StreamLine::from(news);
            let is_last = line.is_last();
            self.say(&Line::Stream(line)).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn take_down(&mut self, urn: &Urn, owned: Option<Owned>) -> Result<(), Over> {
        let sender = self.address_of(owned).await?;
        let gone = self.streams.take_down(sender, urn.stream()).await?;
        gone.map_err(|error| Over::Told(error.to_string()))?;
        Ok(self.say(&Line::Stream(StreamLine::Down)).await?)
    }

    async fn unsubscribe(&mut self, namespace: Namespace) -> Result<(), Over> {
        let was_subscribed = self.streams.unsubscribe(namespace).await?;
        Ok(self.say(&Line::Stream(StreamLine::Unsubscribed { was_subscribed })).await?)
    }

    /// Takes the content of a stream from the client, and tells it what becomes of that.
    async fn hand_over(&mut self, mut sending: Sending, progress: bool) -> Result<(), Over> {
        let stream = stream_line::hexadecimal(&sending.key().stream);
        self.say(&Line::Stream(StreamLine::Opened { stream })).await?;
        if let Err(over) = self.take_content(&mut sending, progress).await {
            // The message plane may know more of the reason.
            return Err(match sending.news_at_once() {
                Some(news) => Over::Told(StreamLine::from(news).to_string()),
                None => over,
            });
        }
        sending.finish().await??;
        loop {
            let told = tokio::select! {
                told = sending.told(progress) => told.ok_or(Ending)?,
                end = self.reader.fill_buf() => return Err(out_of_turn(end)),
            };
            let line = StreamLine::from(told);
            self.say(&Line::Stream(line.clone())).await?;
            if line.is_last() {
                return Ok(());
            }
        }
    }

    /// Hands the content over piece by piece: while the message plane has one, the next is read.
    async fn take_content(&mut self, sending: &mut Sending, progress: bool) -> Result<(), Over> {
        let mut before: Option<oneshot::Receiver<Result<(), SendError>>> = None;
        loop {
            let piece = self.read_piece().await?;
            if progress && let Some(now) = sending.progress_at_once() {
                self.say(&Line::Stream(now.into())).await?;
            }
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

    async fn receive(
        &mut self,
        from: Option<Address>,
        (key, owned): (Option<NamespaceKey>, Option<Owned>),
        wait: bool,
    ) -> Result<(), Over> {
        if let Some(key) = &key {
            let subscribed = tokio::select! {
                subscribed = self.streams.subscribe(key.secret()) => subscribed?,
                end = self.reader.fill_buf() => return Err(out_of_turn(end)),
            };
            subscribed.map_err(|error| Over::Told(error.to_string()))?;
        }
        let address = self.address_of(owned).await?;
        let namespace = key.map(|key| Recipient::Namespace(key.namespace()));
        // What goes to a namespace is the operator's, who gave the key.
        let by = if namespace.is_some() { None } else { address };
        let wanted =
            Wanted { by, from, to: namespace.or(address.map(Recipient::Address)), wait, ..Wanted::default() };
        let held = tokio::select! {
            held = self.streams.receive(wanted) => held.map_err(|error| Over::Told(error.to_string()))?,
            end = self.reader.fill_buf() => return Err(out_of_turn(end)),
        };
        let Some(held) = held else { return Ok(self.say(&Line::Stream(StreamLine::None)).await?) };
        self.say(&Line::Stream(StreamLine::Arrived(Arrived::from(held.arrival())))).await?;
        self.give_content(held.arrival()).await?;
        self.end(held).await
    }

    /// The address of a client, if it has shown that it is its own.
    async fn address_of(&self, owned: Option<Owned>) -> Result<Option<Address>, Over> {
        let Some(Owned { address, token }) = owned else { return Ok(None) };
        let desk = self.desk.ok_or_else(|| Over::Told(NO_DESK.to_owned()))?;
        desk.prove(address, token).await.map_err(|error| Over::Told(error.to_string()))?;
        Ok(Some(address))
    }

    /// Gives the content to the client, each piece with its length before it.
    async fn give_content(&mut self, arrival: &Arrival) -> Result<(), Over> {
        let mut pieces = self.streams.pieces(arrival, ByteCount(0));
        while let Some(piece) = pieces.next().await {
            let length = u32::try_from(piece.len()).expect("invariant: a piece is no longer than a block");
            self.give(&length.to_be_bytes()).await?;
            self.give(&piece).await?;
        }
        match pieces.end()? {
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
        let mut line = WipedBytes::default();
        match timeout(TO_KEEP, read_line(self.reader, &mut line)).await?? {
            server::Line::Whole => {}
            server::Line::End | server::Line::TooLong => {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        if serde_json::from_slice(&line).ok() != Some(Line::Stream(StreamLine::Taken)) {
            return Err(Over::Told("expected {\"stream\":\"taken\"}".to_owned()));
        }
        held.take().await?.map_err(|error| Over::Told(error.to_string()))?;
        Ok(self.say(&Line::Stream(StreamLine::Taken)).await?)
    }

    async fn say(&mut self, line: &Line) -> io::Result<()> {
        timeout(IDLE, self.write.write_all(&encode(line))).await?
    }

    async fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(TO_TAKE, self.write.write_all(bytes)).await?
    }
}

fn lifetime_of(seconds: u32) -> Result<Lifetime, Over> {
    let too_long = || Over::Told("expected a lifetime of at most 2592000 seconds".to_owned());
    Lifetime::from_secs(seconds).ok_or_else(too_long)
}

/// What a client says while it is to hear something, or that it is gone.
fn out_of_turn(end: io::Result<&[u8]>) -> Over {
    Over::Left(end.err().unwrap_or_else(|| io::Error::other("it said something out of turn, or left")))
}

#[cfg(test)]
mod tests;
