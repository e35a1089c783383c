// SPDX-License-Identifier: AGPL-3.0-or-later
//! One client's connection: microframes in, microframes and content out, each within its time.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::time::Duration;

use ratman_wire::api::{
    AuthToken, Microframe, MicroframeDecoder, MicroframeError, PayloadLimit, Reply, Request,
};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::secret::WipedReader;

/// A client that asks for nothing for so long is told so, and its connection ends (source: deployed routers, section 8.2).
pub(super) const IDLE: Duration = Duration::from_secs(120);

/// A client has so long to take what it is given, a reply or a piece of content: what it writes to may be slow.
pub(super) const TO_TAKE: Duration = Duration::from_secs(60);

/// While a client waits for something, so many requests behind it are read, to see that it is gone: programs say them at once, and no more.
const MOST_AHEAD: usize = 64;

/// Bytes of these, but for the last.
const BYTES_AHEAD: usize = 64 * 1024;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Left {
    /// The client closed it.
    #[error("it closed the connection")]
    Closed,
    /// It said that it goes.
    #[error("it said goodbye")]
    Goodbye,
    /// It said nothing for [`IDLE`].
    #[error("it asked for nothing")]
    Idle,
    /// What it says is not the protocol.
    #[error(transparent)]
    Broken(#[from] MicroframeError),
    /// It was told why.
    #[error("it was told {0:?}")]
    Told(Reply),
    /// The connection failed, or it does not take what it is given.
    #[error(transparent)]
    Lost(#[from] io::Error),
}

/// The connection; `R` and `W` are its two directions.
pub(super) struct Connection<R, W> {
    reader: WipedReader<R>,
    /// What the client asked for while it was waited for.
    // INVARIANT: at most MOST_AHEAD, and BYTES_AHEAD beside the last.
    ahead: VecDeque<Microframe>,
    writer: W,
    decoder: MicroframeDecoder,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// With nothing read from it.
    pub(super) fn new(reader: R, writer: W) -> Self {
        let decoder = MicroframeDecoder::new(PayloadLimit::REQUEST);
        Self { reader: WipedReader::new(reader), ahead: VecDeque::new(), writer, decoder }
    }

    /// The next microframe, which has to be whole within [`IDLE`].
    pub(super) async fn next(&mut self) -> Result<Microframe, Left> {
        match self.ahead.pop_front() {
            Some(frame) => Ok(frame),
            None => timeout(IDLE, self.read()).await.map_err(|_| Left::Idle)?,
        }
    }

    /// The next microframe, which may take any time. Cancel safe.
    pub(super) async fn frame(&mut self) -> Result<Microframe, Left> {
        match self.ahead.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Microframe, Left> {
        loop {
            let come = self.reader.fill_buf().await?;
            if come.is_empty() {
                let whole = self.decoder.is_between_frames();
                return Err(if whole {
                    Left::Closed
                } else {
                    io::Error::from(io::ErrorKind::UnexpectedEof).into()
                });
            }
            let mut rest = come;
            let frame = self.decoder.decode(&mut rest);
            let used = come.len() - rest.len();
            self.reader.consume(used);
            if let Some(frame) = frame? {
                return Ok(frame);
            }
        }
    }

    /// Says a reply, with the token of the request.
    pub(super) async fn reply(&mut self, reply: &Reply, echo: Option<&AuthToken>) -> io::Result<()> {
        self.say(&reply.to_frame(echo)).await
    }

    /// Says a microframe.
    pub(super) async fn say(&mut self, frame: &Microframe) -> io::Result<()> {
        self.give(&frame.encode()).await
    }

    /// Gives content as it is.
    pub(super) async fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(TO_TAKE, self.writer.write_all(bytes)).await?
    }

    /// Waits until the client is gone, or says that it goes; what else it asks for waits its turn. Cancel safe.
    pub(super) async fn left(&mut self) -> Left {
        match self.look_ahead().await.map(Request::decode) {
            Err(left) => left,
            Ok(Ok(Request::Disconnect(_))) => Left::Goodbye,
            Ok(_) => self.end().await,
        }
    }

    /// Waits until the client gives up what the connection is about; for ever where it has said something else already, which
    /// waits its turn. Cancel safe.
    async fn gives_up(&mut self) -> Result<(), Left> {
        match Request::decode(self.look_ahead().await?) {
            Ok(Request::Disconnect(_)) => Err(Left::Goodbye),
            Ok(Request::Cancel(_)) => {
                self.ahead.pop_front();
                Ok(())
            }
            // That is content, and counts although the connection ends behind it.
            _ => pending().await,
        }
    }

    /// The next microframe, which may take any time; where nothing else may be said now, nothing once the client gives up. Cancel safe.
    pub(super) async fn heard(&mut self, only_giving_up: bool) -> Result<Option<Microframe>, Left> {
        if only_giving_up { self.gives_up().await.map(|()| None) } else { self.frame().await.map(Some) }
    }

    async fn look_ahead(&mut self) -> Result<&Microframe, Left> {
        if self.ahead.is_empty() {
            let next = self.read().await?;
            self.ahead.push_back(next);
        }
        Ok(self.ahead.front().expect("invariant: something was read"))
    }

    /// Reads on behind what the client has asked for already, as far as there is room for it, until the connection ends. Cancel safe.
    async fn end(&mut self) -> Left {
        loop {
            let bytes: usize = self.ahead.iter().map(|frame| frame.payload.len()).sum();
            if self.ahead.len() >= MOST_AHEAD || bytes >= BYTES_AHEAD {
                return pending().await;
            }
            match self.read().await {
                Ok(frame) => self.ahead.push_back(frame),
                Err(left) => return left,
            }
        }
    }

    /// Whether the client is gone by now.
    pub(super) async fn has_left(&mut self) -> Option<Left> {
        // What has come is noticed when the runtime looks for it.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            left = self.left() => Some(left),
            () = std::future::ready(()) => None,
        }
    }
}
