// SPDX-License-Identifier: AGPL-3.0-or-later
//! One client's connection: microframes in, microframes and content out, each within its time.

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
    next: Option<Microframe>,
    writer: W,
    decoder: MicroframeDecoder,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// With nothing read from it.
    pub(super) fn new(reader: R, writer: W) -> Self {
        let decoder = MicroframeDecoder::new(PayloadLimit::REQUEST);
        Self { reader: WipedReader::new(reader), next: None, writer, decoder }
    }

    /// The next microframe, which has to be whole within [`IDLE`].
    pub(super) async fn next(&mut self) -> Result<Microframe, Left> {
        match self.next.take() {
            Some(frame) => Ok(frame),
            None => timeout(IDLE, self.read()).await.map_err(|_| Left::Idle)?,
        }
    }

    /// The next microframe, which may take any time. Cancel safe.
    pub(super) async fn frame(&mut self) -> Result<Microframe, Left> {
        match self.next.take() {
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

    /// Waits until the client is gone, or says that it goes; for ever where it has asked for something else already, which waits its
    /// turn. Cancel safe.
    pub(super) async fn left(&mut self) -> Left {
        match self.look_ahead().await.map(Request::decode) {
            Err(left) => left,
            Ok(Ok(Request::Disconnect(_))) => Left::Goodbye,
            Ok(_) => pending().await,
        }
    }

    /// Waits until the client gives up what the connection is about; for ever where it has asked for something else already, which
    /// waits its turn. Cancel safe.
    async fn gives_up(&mut self) -> Result<(), Left> {
        match Request::decode(self.look_ahead().await?) {
            Ok(Request::Disconnect(_)) => Err(Left::Goodbye),
            Ok(Request::Cancel(_)) => {
                self.next = None;
                Ok(())
            }
            _ => pending().await,
        }
    }

    /// The next microframe, which may take any time; where nothing else may be said now, nothing once the client gives up. Cancel safe.
    pub(super) async fn heard(&mut self, only_giving_up: bool) -> Result<Option<Microframe>, Left> {
        if only_giving_up { self.gives_up().await.map(|()| None) } else { self.frame().await.map(Some) }
    }

    async fn look_ahead(&mut self) -> Result<&Microframe, Left> {
        let next = match self.next.take() {
            Some(next) => next,
            None => self.read().await?,
        };
        Ok(self.next.insert(next))
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
