// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are received.

use std::io::{self, Read};
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::Result;
use crate::types::{Letterhead, StreamId, StreamKey, WallTime};

/// [`crate::Incoming`].
#[derive(Debug)]
pub struct Incoming {
    incoming: crate::Incoming,
    runtime: Arc<Runtime>,
}

/// [`crate::IncomingStream`] as a reader.
#[derive(Debug)]
pub struct IncomingStream<'a> {
    stream: crate::IncomingStream<'a>,
    runtime: &'a Runtime,
}

/// [`crate::ReadStream`] as a reader.
#[derive(Debug)]
pub struct ReadStream {
    stream: crate::ReadStream,
    runtime: Arc<Runtime>,
}

impl Incoming {
    pub(super) const fn new(incoming: crate::Incoming, runtime: Arc<Runtime>) -> Self {
        Self { incoming, runtime }
    }

    /// [`crate::Incoming::next`].
    ///
    /// # Errors
    /// As there.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it: no iterator's does")]
    pub fn next(&mut self) -> Result<Option<IncomingStream<'_>>> {
        let stream = self.runtime.block_on(self.incoming.next())?;
        Ok(stream.map(|stream| IncomingStream { stream, runtime: &self.runtime }))
    }
}

impl ReadStream {
    pub(super) const fn new(stream: crate::ReadStream, runtime: Arc<Runtime>) -> Self {
        Self { stream, runtime }
    }
}

impl IncomingStream<'_> {
    /// [`crate::IncomingStream::taken`].
    ///
    /// # Errors
    /// As there.
    pub fn taken(self) -> Result<()> {
        self.runtime.block_on(self.stream.taken())
    }
}

macro_rules! stream {
    ($($name:ident $(<$life:lifetime>)?),*) => {$(
        impl $name$(<$life>)? {
            /// From whom it is, to whom, how long, and what the sender says beside.
            pub const fn letterhead(&self) -> &Letterhead {
                self.stream.letterhead()
            }

            /// Its name.
            pub const fn id(&self) -> StreamId {
                self.stream.id()
            }

            /// Its name beside sender and recipient.
            pub fn key(&self) -> StreamKey {
                self.stream.key()
            }

            /// When it was made, by its sender's clock.
            pub const fn created(&self) -> WallTime {
                self.stream.created()
            }

            /// From which byte of its content on it is read.
            pub const fn offset(&self) -> u64 {
                self.stream.offset()
            }

            /// How far it was read, from the beginning of the content.
            pub fn position(&self) -> u64 {
                self.stream.position()
            }

            /// The rest of the content, if it has at most so many bytes.
            ///
            /// # Errors
            /// [`Error::Unread`](crate::Error::Unread) where it is longer: nothing was read then; and those of reading.
            pub fn content(&mut self, limit: usize) -> Result<Vec<u8>> {
                self.runtime.block_on(self.stream.content(limit))
            }
        }

        impl Read for $name$(<$life>)? {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                self.runtime.block_on(self.stream.read(bytes))
            }
        }
    )*};
}

stream!(IncomingStream<'_>, ReadStream);
