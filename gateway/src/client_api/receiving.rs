// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that a client receives as deployed ones do: a letterhead and the content, one stream after the other.

use ratman_types::{Address, ByteCount, Recipient};
use ratman_wire::api::{AuxiliaryData, ClientError, Letterhead, Microframe, Reply, StreamHeader, StreamWay};
use router_core::streams::Arrival;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::error;

use super::failure::Failure;
use super::session::Session;
use crate::message_plane::{Held, Wanted};

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Gives the client exactly as many streams as it wants, for ever without a limit; waits for each.
    pub(super) async fn receive(
        &mut self,
        (address, recipient): (Address, Option<Recipient>),
        (way, limit): (StreamWay, Option<u32>),
        frame: &Microframe,
    ) -> Result<(), Failure> {
        self.authorise(address, frame).await?;
        let to = recipient.unwrap_or(Recipient::Address(address));
        if to != Recipient::Address(address) {
            return Err(ClientError::NotSupported.into());
        }
        self.connection.reply(&Reply::Ok, frame.auth.as_ref()).await?;
        let mut left = limit;
        while left != Some(0) {
            let wanted = Wanted { from: None, to: Some(to) };
            let held = tokio::select! {
                held = self.doors.streams.receive(wanted, true) => held?,
                left = self.connection.left() => return Err(left.into()),
            };
            let Some(held) = held else { continue };
            self.give(held, way, frame).await?;
            left = left.map(|left| left - 1);
        }
        Ok(())
    }

    /// Gives a stream, and forgets it once all of it was given.
    async fn give(&mut self, held: Held, way: StreamWay, frame: &Microframe) -> Result<(), Failure> {
        let header = StreamHeader { way, letterhead: letterhead(held.arrival()) };
        self.connection.say(&header.to_frame(frame.auth.as_ref())).await?;
        let mut pieces = self.doors.streams.pieces(held.arrival(), ByteCount(0));
        while let Some(piece) = pieces.next().await {
            self.connection.give(&piece).await?;
        }
        if let Err(error) = pieces.end()? {
            // The client waits for the rest: only the end of the connection tells it that there is none.
            error!(%error, "a stream that was stored cannot be read");
            return Err(std::io::Error::other(error).into());
        }
        if let Err(error) = held.take().await? {
            error!(%error, "a stream may be given to a client twice");
        }
        Ok(())
    }
}

fn letterhead(arrival: &Arrival) -> Letterhead {
    Letterhead {
        from: arrival.key.sender,
        to: arrival.key.recipient,
        stream_size: arrival.size,
        auxiliary_data: AuxiliaryData::default(),
    }
}
