// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that a client takes on this connection, one by one: each stays with the router until the client says that it has it.

use std::time::Duration;

use ratman_types::{Address, ByteCount};
use ratman_wire::api::{
    Arrived, Content, FromRouter, Microframe, Receive, RefusalReason, Reply, Request, ResumedReceive,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use super::{not_received, own_key};
use crate::client_api::connection::Left;
use crate::client_api::failure::Failure;
use crate::client_api::receiving::letterhead;
use crate::client_api::session::Session;
use crate::message_plane::{Held, Wanted};

/// A connection that broke is noticed within this time, and its stream free for the next.
const TO_LET_GO: Duration = Duration::from_secs(5);

/// What became of giving a stream.
enum Given {
    /// The client has it.
    Taken,
    /// It takes none any more.
    GivenUp,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Gives streams until there are as many as are wanted, or the client gives up.
    pub(in crate::client_api) async fn receive_streams(
        &mut self,
        receive: Receive,
        frame: &Microframe,
    ) -> Result<Option<Reply>, Failure> {
        let Receive { address, from, to, limit, wait, resume } = receive;
        self.authorise(&address, frame)?;
        self.may_receive(address, to).await?;
        let (mut left, mut resume) = (limit.map(core::num::NonZeroU32::get), resume);
        while left != Some(0) {
            let (wanted, offset) = match resume.take() {
                Some(ResumedReceive { stream, offset }) => {
                    (Wanted { stream: Some(own_key(&stream)), wait: true, ..of(address, None) }, offset)
                }
                None => (Wanted { to, wait, ..of(address, from) }, ByteCount(0)),
            };
            let is_resumed = wanted.stream.is_some();
            let held = match self.next_stream(wanted).await? {
                Some(Some(held)) => held,
                Some(None) if is_resumed => {
                    let gone = "no such stream is here: it was taken, or its time has passed";
                    return Err(Failure::refused(RefusalReason::NotFound, gone));
                }
                Some(None) => return Ok(Some(Reply::NoStream)),
                None => return Ok(Some(Reply::Ok)),
            };
            match self.give_stream(held, offset, frame).await? {
                Given::Taken => left = left.map(|left| left - 1),
                Given::GivenUp => return Ok(Some(Reply::Ok)),
            }
        }
        Ok(None)
    }

    /// The next stream, if there is one; nothing where the client gives up.
    async fn next_stream(&mut self, wanted: Wanted) -> Result<Option<Option<Held>>, Failure> {
        let streams = self.doors.streams.clone();
        let receiving = streams.receive(wanted);
        tokio::pin!(receiving);
        let patience = sleep(TO_LET_GO);
        tokio::pin!(patience);
        loop {
            tokio::select! {
                held = &mut receiving => return Ok(Some(held.map_err(not_received)?)),
                () = &mut patience, if wanted.stream.is_some() => {
                    let held = "another connection has the stream";
                    return Err(Failure::refused(RefusalReason::InUse, held));
                }
                frame = self.connection.frame() => if self.is_given_up(&frame?).await? {
                    return Ok(None);
                },
            }
        }
    }

    async fn give_stream(
        &mut self,
        held: Held,
        offset: ByteCount,
        frame: &Microframe,
    ) -> Result<Given, Failure> {
        let arrival = held.arrival();
        let offset = offset.min(arrival.size);
        let (letterhead, stream, created) = (letterhead(arrival), arrival.key.stream, arrival.created);
        let arrived = Arrived { letterhead, stream, created, offset };
        self.connection.reply(&Reply::Arrived(Box::new(arrived)), frame.auth.as_ref()).await?;
        let mut pieces = self.doors.streams.pieces(arrival, offset);
        loop {
            tokio::select! {
                piece = pieces.next() => {
                    let Some(content) = piece.and_then(Content::new) else { break };
                    self.connection.say(&content.into_frame()).await?;
                }
                frame = self.connection.frame() => if self.is_given_up(&frame?).await? {
                    return Ok(Given::GivenUp);
                },
            }
        }
        if let Err(error) = pieces.end()? {
            held.cannot_be_read(&error).await;
            return Err(Failure::refused(RefusalReason::NotStored, &error.to_string()));
        }
        self.connection.say(&FromRouter::End.to_frame(None)).await?;
        loop {
            let frame = self.connection.frame().await?;
            if matches!(Request::decode(&frame), Ok(Request::Taken(_))) {
                break;
            }
            if self.is_given_up(&frame).await? {
                return Ok(Given::GivenUp);
            }
        }
        match held.take().await? {
            Ok(()) => self.connection.reply(&Reply::Taken, None).await?,
            Err(error) => return Err(Failure::refused(RefusalReason::NotStored, &error.to_string())),
        }
        Ok(Given::Taken)
    }

    /// Whether the client gives up with what it says. Nothing else fits while it waits, and it is told so.
    pub(super) async fn is_given_up(&mut self, frame: &Microframe) -> Result<bool, Failure> {
        match Request::decode(frame) {
            Ok(Request::Cancel(_)) => return Ok(true),
            Ok(Request::Disconnect(_)) => return Err(Left::Goodbye.into()),
            Ok(_) => self.out_of_turn().await?,
            Err(error) => self.connection.reply(&error.reply(), None).await?,
        }
        Ok(false)
    }
}

/// Streams for an address.
fn of(address: Address, from: Option<Address>) -> Wanted {
    Wanted { by: Some(address), from, ..Wanted::default() }
}
