// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that a client receives as deployed ones do: a letterhead and the content, one stream after the other.

use ratman_types::{Address, ByteCount, Recipient};
use ratman_wire::api::{ClientError, Letterhead, Microframe, Reply, StreamHeader, StreamWay};
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
        self.authorise(&address, frame)?;
        self.may_receive(address, recipient).await?;
        self.connection.reply(&Reply::Ok, frame.auth.as_ref()).await?;
        let mut left = limit;
        while left != Some(0) {
            let wanted = Wanted { by: Some(address), to: recipient, wait: true, ..Wanted::default() };
            let held = tokio::select! {
                biased;
                left = self.connection.left() => return Err(left.into()),
                held = self.doors.streams.receive(wanted) => held?,
            };
            let Some(held) = held else { continue };
            self.give(held, way, frame).await?;
            left = left.map(|left| left - 1);
        }
        Ok(())
    }

    /// That an address can have streams to a recipient: who waited for others would wait for ever.
    pub(super) async fn may_receive(
        &self,
        address: Address,
        recipient: Option<Recipient>,
    ) -> Result<(), Failure> {
        match recipient {
            None => Ok(()),
            Some(Recipient::Address(to)) if to == address => Ok(()),
            Some(Recipient::Address(_)) => {
                Err(ClientError::invalid_input("expected the address itself, or a namespace").into())
            }
            Some(Recipient::Namespace(namespace)) => {
                let known = self.doors.streams.namespaces(address).await?;
                if known.contains(&(namespace, true)) {
                    return Ok(());
                }
                Err(ClientError::invalid_input("the address does not take part in this namespace").into())
            }
        }
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
            held.cannot_be_read(&error).await;
            return Err(std::io::Error::other(error).into());
        }
        if let Err(error) = held.take().await? {
            error!(%error, "a stream may be given to a client twice");
        }
        Ok(())
    }
}

pub(super) fn letterhead(arrival: &Arrival) -> Letterhead {
    Letterhead {
        from: arrival.key.sender,
        to: arrival.key.recipient,
        stream_size: arrival.size,
        auxiliary_data: arrival.auxiliary_data.clone(),
    }
}
