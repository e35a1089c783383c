// SPDX-License-Identifier: AGPL-3.0-or-later
//! The stream that a receiver has before it.

use ratman_wire::api::{Arrived, Content, StreamKey, Text};
use tokio::io::ReadBuf;

use crate::{Error, Result};

/// The stream that is here.
pub(super) struct Current {
    pub(super) arrived: Arrived,
    /// How far its content was given.
    pub(super) position: u64,
    /// How much comes that was given already.
    skip: u64,
    piece: Option<(Content, usize)>,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Content,
    /// All of the content was given.
    Whole,
    /// The router was told that it is taken.
    Told,
}

impl Current {
    /// With nothing given of its content.
    pub(super) const fn new(arrived: Arrived) -> Self {
        let position = arrived.offset.0;
        Self { arrived, position, skip: 0, piece: None, stage: Stage::Content }
    }

    /// How much of the content has not been given.
    pub(super) const fn missing(&self) -> u64 {
        self.arrived.letterhead.stream_size.0.saturating_sub(self.position)
    }

    /// Gives what is here; whether something was.
    pub(super) fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some((content, used)) = &mut self.piece else { return false };
        let rest = &content.as_bytes()[*used..];
        let length = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..length]);
        *used += length;
        self.position += u64::try_from(length).expect("invariant: a length fits");
        if *used == content.as_bytes().len() {
            self.piece = None;
        }
        true
    }

    /// Takes the next piece.
    pub(super) fn take(&mut self, content: Content) -> Result<()> {
        let bytes = content.as_bytes().len();
        let length = u64::try_from(bytes).expect("invariant: a length fits");
        if length > self.missing().saturating_add(self.skip) {
            return Err(Error::Protocol("content that is longer than was said".to_owned()));
        }
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes);
        self.skip = self.skip.saturating_sub(length);
        if skipped < bytes {
            self.piece = Some((content, skipped));
        }
        Ok(())
    }

    /// Takes what came after the connection was lost as the rest of it.
    pub(super) fn go_on_with(&mut self, arrived: &Arrived) -> Result<()> {
        let is_same = key(arrived) == key(&self.arrived) && arrived.letterhead == self.arrived.letterhead;
        if !is_same {
            // Its time passed, or another program took it.
            return Err(Error::NotFound(Text::of("the stream whose content was being read")));
        }
        let Some(skip) = self.position.checked_sub(arrived.offset.0) else {
            return Err(Error::Protocol("content from a later byte on than was asked for".to_owned()));
        };
        self.skip = skip;
        Ok(())
    }
}

/// The name of a stream that came.
pub(crate) fn key(arrived: &Arrived) -> StreamKey {
    StreamKey { from: arrived.letterhead.from, to: arrived.letterhead.to, stream: arrived.stream }
}
