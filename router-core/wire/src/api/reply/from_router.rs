// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whatever a client may read: a reply, the header of a stream, or content.

use super::{Content, Field, Layout, Letterhead, Microframe, Reply, ReplyError};
use crate::api::deployed::Nothing;
use crate::api::{ApiMode, AuthToken, Request};
use crate::{Reader, Writer};

/// On which of the ways of deployed routers a stream comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamWay {
    /// As [`Request::RecvOne`] asked.
    RecvOne,
    /// As [`Request::RecvMany`] asked.
    RecvMany,
    /// On the connection of a subscription.
    Subscription,
}

impl StreamWay {
    const ALL: [Self; 3] = [Self::RecvOne, Self::RecvMany, Self::Subscription];

    const fn mode(self) -> ApiMode {
        match self {
            Self::RecvOne => ApiMode::RECV_ONE,
            Self::RecvMany => ApiMode::RECV_MANY,
            Self::Subscription => ApiMode::SUBSCRIBED_STREAM,
        }
    }
}

/// A stream that comes as from a deployed router: exactly as many bytes of content follow as the letterhead says, in no
/// microframes (source: deployed routers, section 8.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// How it comes.
    pub way: StreamWay,
    /// From whom it is, to whom, and how long.
    pub letterhead: Letterhead,
}

impl StreamHeader {
    /// Parses a header; nothing if the microframe is about something else.
    ///
    /// # Errors
    /// [`ReplyError::Payload`].
    pub fn decode(frame: &Microframe) -> Result<Option<Self>, ReplyError> {
        let Some(way) = StreamWay::ALL.into_iter().find(|way| way.mode() == frame.mode) else {
            return Ok(None);
        };
        let mut reader = Reader::new(&frame.payload);
        let letterhead = Letterhead::read(&mut reader, "letterhead")?;
        reader.end()?;
        Ok(Some(Self { way, letterhead }))
    }

    /// The microframe of it, with the token of the request.
    pub fn to_frame(&self, echo: Option<&AuthToken>) -> Microframe {
        let mut payload = zeroize::Zeroizing::default();
        self.letterhead.write(&mut Writer::new(&mut payload));
        Microframe { mode: self.way.mode(), auth: echo.cloned(), payload }
    }
}

/// What a client reads from the connection of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromRouter {
    /// An answer.
    Reply(Reply),
    /// A stream as from a deployed router, whose content follows in no microframes.
    Stream(StreamHeader),
    /// A piece of the content of a stream that arrived.
    Content(Content),
    /// That content is complete.
    End,
}

impl FromRouter {
    /// Parses what comes after a request with this mode.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn decode(frame: &Microframe, to: ApiMode) -> Result<Self, ReplyError> {
        if let Some(header) = StreamHeader::decode(frame)? {
            return Ok(Self::Stream(header));
        }
        match frame.mode {
            ApiMode::CONTENT => Ok(Self::Content(Layout::Bare.read(&frame.payload, "content")?)),
            ApiMode::END => Ok(Layout::Ours.read(&frame.payload, "end").map(|Nothing| Self::End)?),
            _ => Reply::decode(frame, to).map(Self::Reply),
        }
    }

    /// The microframe of it, with the token of the request; content has none.
    pub fn to_frame(&self, echo: Option<&AuthToken>) -> Microframe {
        match self {
            Self::Reply(reply) => reply.to_frame(echo),
            Self::Stream(header) => header.to_frame(echo),
            Self::Content(content) => content.clone().into_frame(),
            Self::End => Request::End(Nothing).to_frame(None),
        }
    }
}
