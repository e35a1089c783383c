// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are received: each stays with the router until it is taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ratman_wire::api::{Address, Arrived, AuthToken, Letterhead, StreamId, StreamKey, WallTime};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::receiver::{Receiver, key};
use crate::{Error, RatmanIpc, ReceiveOptions, Result};

/// The streams for an address, one after the other. Dropping it leaves with the router what was not taken.
#[derive(Debug)]
pub struct Incoming {
    receiver: Receiver,
}

/// A stream that is here, as a reader of exactly its content; errors of reading are [`Error`]s within.
///
/// Dropping it before [`taken`](Self::taken) leaves it with the router, and it comes again: with the next
/// [`Incoming::next`] of whoever asks first. A stream that nobody wants has to be taken, too: its sender has heard that it is delivered.
#[derive(Debug)]
pub struct IncomingStream<'a> {
    receiver: &'a mut Receiver,
    arrived: Arrived,
}

/// One stream that is here, as a reader of exactly its content. It is taken when it was read to its end: the reader says that nothing
/// follows once the router has heard so. Dropping it before leaves it with the router.
#[derive(Debug)]
pub struct ReadStream {
    receiver: Receiver,
    arrived: Arrived,
}

impl RatmanIpc {
    /// Receives the streams for an address that is up. The router is asked when the first is awaited.
    pub fn receive(&self, auth: &AuthToken, address: Address, options: ReceiveOptions) -> Incoming {
        Incoming { receiver: Receiver::new(self.clone(), auth.clone(), address, options) }
    }

    /// Receives one stream, whatever the limit of `options`; nothing if none is there and it was not to be waited for.
    ///
    /// Cancel safe: a stream that came stays with the router.
    ///
    /// # Errors
    /// As [`Incoming::next`].
    pub async fn receive_one(
        &self,
        auth: &AuthToken,
        address: Address,
        options: ReceiveOptions,
    ) -> Result<Option<ReadStream>> {
        let mut receiver = Receiver::new(self.clone(), auth.clone(), address, options.limit(1));
        if !receiver.next().await? {
            return Ok(None);
        }
        let arrived = arrived(&receiver)?;
        Ok(Some(ReadStream { receiver, arrived }))
    }
}

fn arrived(receiver: &Receiver) -> Result<Arrived> {
    receiver.arrived().cloned().ok_or(Error::Ended)
}

impl Incoming {
    /// Waits for the next stream; nothing after the limit, or where none is there and none is waited for. A stream that was not taken
    /// comes again.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::InvalidAuth`], [`Error::Lost`] unless it is to [reconnect](ReceiveOptions::reconnect), and those of every request. It
    /// may be called again afterwards.
    pub async fn next(&mut self) -> Result<Option<IncomingStream<'_>>> {
        if !self.receiver.next().await? {
            return Ok(None);
        }
        let arrived = arrived(&self.receiver)?;
        Ok(Some(IncomingStream { receiver: &mut self.receiver, arrived }))
    }
}

macro_rules! stream {
    ($($name:ident $(<$life:lifetime>)?),*) => {$(
        impl $name$(<$life>)? {
            /// From whom it is, to whom, how long, and what the sender says beside.
            pub const fn letterhead(&self) -> &Letterhead {
                &self.arrived.letterhead
            }

            /// Its name.
            pub const fn id(&self) -> StreamId {
                self.arrived.stream
            }

            /// Its name beside sender and recipient: what to [resume](ReceiveOptions::resume) it with.
            pub fn key(&self) -> StreamKey {
                key(&self.arrived)
            }

            /// When it was made, by its sender's clock.
            pub const fn created(&self) -> WallTime {
                self.arrived.created
            }

            /// From which byte of its content on it is read: 0, unless it was resumed.
            pub const fn offset(&self) -> u64 {
                self.arrived.offset.0
            }

            /// How far it was read: from the beginning of the content, not from [`offset`](Self::offset).
            pub fn position(&self) -> u64 {
                self.receiver.position().unwrap_or(self.arrived.letterhead.stream_size.0)
            }

            fn missing(&self) -> u64 {
                self.arrived.letterhead.stream_size.0.saturating_sub(self.position())
            }

            /// The rest of the content, if it has at most so many bytes.
            ///
            /// Cancellation: what was read is lost; the stream comes again.
            ///
            /// # Errors
            /// [`Error::Unread`] where it is longer: nothing was read then; and those of reading.
            pub async fn content(&mut self, limit: usize) -> Result<Vec<u8>> {
                let missing = self.missing();
                let length = usize::try_from(missing).ok().filter(|length| *length <= limit);
                let mut content = Vec::with_capacity(length.ok_or(Error::Unread(missing))?.min(ROOM));
                self.read_to_end(&mut content).await?;
                Ok(content)
            }
        }
    )*};
}

stream!(IncomingStream<'_>, ReadStream);

/// No more room is made before bytes have come.
const ROOM: usize = 64 * 1024;

impl IncomingStream<'_> {
    /// Tells the router that this program has all of the stream for good, and waits until it has heard so. Then the stream will not
    /// come again. Save the content before.
    ///
    /// Cancellation: the router may have heard or not; [`Incoming::next`] waits for its answer first.
    ///
    /// # Errors
    /// [`Error::Unread`] where the content was not read to its end, so the stream stays with the router; [`Error::Lost`] where the
    /// router may have heard or not, unless it is to [reconnect](ReceiveOptions::reconnect).
    pub async fn taken(mut self) -> Result<()> {
        // Who read as much as there is did not see that nothing follows.
        if self.missing() == 0 {
            let mut nothing = Vec::new();
            self.read_to_end(&mut nothing).await?;
        }
        self.receiver.taken().await
    }
}

impl AsyncRead for IncomingStream<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().receiver.poll_content(cx, buf).map_err(io::Error::from)
    }
}

impl ReadStream {
    /// The reader that it is.
    pub const fn as_reader(&mut self) -> &mut Self {
        self
    }
}

impl AsyncRead for ReadStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.receiver.arrived().is_none() {
            // It was taken.
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(stream.receiver.poll_content(cx, buf))?;
        if buf.filled().len() > before || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        stream.receiver.poll_taken(cx).map_err(io::Error::from)
    }
}
