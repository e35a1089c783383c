// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams our way: on the connection that asked for them, until each has come to its end (source: [`ratman_wire::api`]).

use ratman_wire::api::{News, OpenedStream, Refusal, RefusalReason, Reply, StreamNews, Text};
use router_core::stream::Ended;
use router_core::streams::{SendError, StreamKey};
use tokio::io::{AsyncRead, AsyncWrite};

mod going;
mod parked;
mod queries;
mod receiving;
mod sending;

pub(super) use parked::ParkingLot;

use super::failure::Failure;
use super::session::Session;
use crate::message_plane::{self, ReceiveError};

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// The client said what does not fit; nothing ends.
    pub(super) async fn out_of_turn(&mut self) -> Result<(), Failure> {
        let detail = "the connection is about something else, or about nothing";
        let refusal = Refusal { reason: RefusalReason::OutOfTurn, detail: Text::of(detail) };
        Ok(self.connection.reply(&Reply::Refused(refusal), None).await?)
    }

    /// Tells what became of a stream; whether anything follows about it.
    async fn tell(&mut self, key: &StreamKey, news: &message_plane::News) -> Result<bool, Failure> {
        let news = news_of(news);
        let is_last = news.is_last();
        let news = StreamNews { stream: named(key), news };
        self.connection.reply(&Reply::News(news), None).await?;
        Ok(!is_last)
    }
}

const fn named(key: &StreamKey) -> OpenedStream {
    OpenedStream { to: key.recipient, stream: key.stream }
}

const fn own_key(key: &ratman_wire::api::StreamKey) -> StreamKey {
    StreamKey { sender: key.from, recipient: key.to, stream: key.stream }
}

const fn news_of(news: &message_plane::News) -> News {
    match news {
        // Content that is shared is told of on the control socket only.
        message_plane::News::Accepted | message_plane::News::Shared(_) => News::Accepted,
        message_plane::News::Stored => News::Stored,
        message_plane::News::Failed => News::Failed,
        message_plane::News::Ended(Ended::Delivered) => News::Delivered,
        message_plane::News::Ended(Ended::Refused) => News::Refused,
        message_plane::News::Ended(Ended::Denied) => News::Denied,
        message_plane::News::Ended(Ended::Expired) => News::Expired,
        message_plane::News::Ended(Ended::Withdrawn) => News::Cancelled,
        message_plane::News::Ended(Ended::Published) => News::Published,
    }
}

/// Why a stream is not sent, or not any further, in the words of what is ours.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is wrong is wrong with what was asked for")]
fn refused(error: SendError) -> Failure {
    let reason = match error {
        SendError::PathTooNarrow { limit } | SendError::TooLongForNamespace { limit } => {
            RefusalReason::TooLong(limit)
        }
        SendError::Size { found, .. } => RefusalReason::Size(found),
        SendError::Journal(_) => RefusalReason::Full,
        SendError::NotShared | SendError::NotOpen => RefusalReason::NotFound,
        _ => RefusalReason::Invalid,
    };
    Failure::refused(reason, &error.to_string())
}

/// Why no stream is received, in the words of what is ours.
fn not_received(error: ReceiveError) -> Failure {
    let reason = match error {
        ReceiveError::Down => RefusalReason::NotFound,
        ReceiveError::Ending(_) => RefusalReason::Ending,
    };
    Failure::refused(reason, &error.to_string())
}
