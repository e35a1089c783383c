// SPDX-License-Identifier: AGPL-3.0-or-later
//! What streams there are of an address, what becomes of one, and the end of one.

use ratman_types::{Address, Recipient};
use ratman_wire::api::{
    Cursor, List, Microframe, Page, Progress, RefusalReason, Reply, Stage, StreamEntry, StreamId,
    StreamKey as Key, StreamsOf,
};
use router_core::streams::{ListedStream, Place, StreamKey, StreamStage};
use tokio::io::{AsyncRead, AsyncWrite};

use super::own_key;
use crate::client_api::failure::Failure;
use crate::client_api::session::Session;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// A page of the streams from and to an address.
    pub(in crate::client_api) async fn query_streams(
        &self,
        wanted: &StreamsOf,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        self.authorise(&wanted.address, frame)?;
        let most = most_of(wanted.page.limit)?;
        let after = after(&wanted.page.after)?;
        let (listed, next) = self.doors.streams.list_of(wanted.address, after, most).await?;
        let next = next.as_ref().map(cursor).unwrap_or_default();
        let entries = List::new(listed.iter().map(entry).collect()).expect("invariant: no more than a page");
        Ok(Reply::StreamPage(Page { entries, next }))
    }

    /// Tells what becomes of a stream that an address sends, until nothing follows or the client gives up.
    pub(in crate::client_api) async fn follow_stream(
        &mut self,
        key: Key,
        frame: &Microframe,
    ) -> Result<Option<Reply>, Failure> {
        self.authorise(&key.from, frame)?;
        let key = own_key(&key);
        let mut following = self.doors.streams.follow(key).await?.ok_or_else(not_there)?;
        loop {
            tokio::select! {
                news = following.told() => {
                    let news = news.ok_or(crate::message_plane::Ending)?;
                    if !self.tell(&key, &news).await? {
                        return Ok(None);
                    }
                }
                frame = self.connection.frame() => if self.is_given_up(&frame?).await? {
                    return Ok(Some(Reply::Ok));
                },
            }
        }
    }

    /// Ends a stream: one that an address sends is sent no further, one that comes is refused.
    pub(in crate::client_api) async fn end_stream(
        &self,
        key: Key,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let of_sender = self.authorise(&key.from, frame).map(|()| key.from);
        let of = of_sender.or_else(|error| match key.to {
            Recipient::Address(to) => self.authorise(&to, frame).map(|()| to),
            Recipient::Namespace(_) => Err(error),
        })?;
        if self.end_of(&key, of).await? { Ok(Reply::Ok) } else { Err(not_there()) }
    }

    async fn end_of(&self, key: &Key, of: Address) -> Result<bool, Failure> {
        Ok(self.doors.streams.end(own_key(key), of).await?)
    }
}

fn not_there() -> Failure {
    Failure::refused(RefusalReason::NotFound, "there is no such stream, or it is over")
}

/// As the wire has it: sender 32 ‖ tag of the recipient 1 ‖ recipient 32 ‖ stream ‖ whether it is sent 1.
fn cursor((key, is_sent): &Place) -> Cursor {
    let tag = match key.recipient {
        Recipient::Address(_) => 1,
        Recipient::Namespace(_) => 2,
    };
    let mut bytes = key.sender.as_bytes().to_vec();
    bytes.push(tag);
    bytes.extend_from_slice(key.recipient.as_bytes());
    bytes.extend_from_slice(key.stream.as_bytes());
    bytes.push(u8::from(*is_sent));
    List::new(bytes).expect("invariant: a cursor has room for it")
}

fn after(cursor: &Cursor) -> Result<Option<Place>, Failure> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let place = place(cursor);
    place
        .map(Some)
        .ok_or_else(|| Failure::refused(RefusalReason::Invalid, "expected the cursor of a page before"))
}

fn place(bytes: &[u8]) -> Option<Place> {
    let (sender, rest) = bytes.split_first_chunk()?;
    let ([tag], rest) = rest.split_first_chunk()?;
    let (recipient, rest) = rest.split_first_chunk::<32>()?;
    let (stream, rest) = rest.split_first_chunk()?;
    let recipient = match tag {
        1 => Recipient::Address(Address::from_bytes(*recipient)),
        2 => Recipient::Namespace(ratman_types::Namespace::from_bytes(*recipient)),
        _ => return None,
    };
    let is_sent = match rest {
        [0] => false,
        [1] => true,
        _ => return None,
    };
    let stream = StreamId::from_bytes(*stream);
    Some((StreamKey { sender: Address::from_bytes(*sender), recipient, stream }, is_sent))
}

fn most_of(limit: u16) -> Result<usize, Failure> {
    let limit = usize::from(limit);
    if (1..=ratman_wire::api::MAX_ENTRIES).contains(&limit) {
        return Ok(limit);
    }
    let expected = format!("expected a page of 1 to {} entries", ratman_wire::api::MAX_ENTRIES);
    Err(Failure::refused(RefusalReason::Invalid, &expected))
}

fn entry(listed: &ListedStream) -> StreamEntry {
    let ListedStream { key, stage, size, arrived, in_all, end, capability: _ } = listed;
    StreamEntry {
        stream: Key { from: key.sender, to: key.recipient, stream: key.stream },
        stage: match stage {
            StreamStage::Opening => Stage::Opening,
            StreamStage::Sending | StreamStage::Shared => Stage::Sending,
            StreamStage::Stored => Stage::Stored,
            StreamStage::Receiving | StreamStage::Sleeping => Stage::Receiving,
            StreamStage::Waiting => Stage::Waiting,
        },
        size: *size,
        progress: Progress { arrived: *arrived, in_all: *in_all },
        end: *end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::Namespace;

    #[test]
    fn a_cursor_says_a_place() {
        let [one, other] = [1, 2].map(|byte| Address::from_bytes([byte; 32]));
        let to = [Recipient::Address(other), Recipient::Namespace(Namespace::from_bytes([3; 32]))];
        for (recipient, is_sent) in [(to[0], false), (to[1], true)] {
            let stream = StreamId::from_bytes([4; 32]);
            let here = (StreamKey { sender: one, recipient, stream }, is_sent);
            let cursor = cursor(&here);
            assert_eq!(place(&cursor), Some(here));
            for wrong in 0..cursor.len() {
                assert_eq!(place(&cursor[..wrong]), None);
            }
            let mut wrong = cursor.to_vec();
            wrong[32] = 9;
            assert_eq!(place(&wrong), None);
        }
    }
}
