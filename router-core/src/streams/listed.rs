// SPDX-License-Identifier: AGPL-3.0-or-later
//! What streams there are, and how far each is, for people and programs.

use ratman_eris::ReadCapability;
use ratman_types::{ByteCount, WallTime};

use super::{StreamKey, Streams};
use crate::journal::Group;

/// Where a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStage {
    /// A local client sends it, and its content is not complete.
    Opening,
    /// It is on its way from here.
    Sending,
    /// Another router answers for it, since its recipient is not to be reached.
    Stored,
    /// It comes here, and is not whole.
    Receiving,
    /// It is here, and no client took it.
    Waiting,
    /// It is here, whole or in part, and its address is down, or its namespace's key is not here.
    Sleeping,
    /// A local client shares it with whomever it tells of it.
    Shared,
}

/// One stream that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedStream {
    /// Which.
    pub key: StreamKey,
    /// Where it is.
    pub stage: StreamStage,
    /// The length of its content, where that is known.
    pub size: Option<ByteCount>,
    /// Bytes of its blocks that are where they are to go: with the recipient, or with the router that carries it. None of a
    /// stream whose content is in its manifest.
    pub arrived: ByteCount,
    /// Bytes of all its blocks, where that is known. Blocks are padded and have a tree above them: it is more than the content.
    pub in_all: Option<ByteCount>,
    /// Until when it is wanted.
    pub end: WallTime,
    /// What reads it, of content that is shared by an address that is up.
    pub capability: Option<ReadCapability>,
}

impl Streams {
    /// All streams that are not over, those that are sent first, and what is shared.
    pub fn list(&self) -> impl Iterator<Item = ListedStream> + '_ {
        let sent = self.sent.keys().filter_map(|key| self.listed_sent(key));
        let received = self.received.iter().map(|(key, inbound)| {
            let stored = self.journal.get(inbound.group).map_or(ByteCount(0), |group| group.bytes());
            inbound.listed(*key, stored)
        });
        sent.chain(self.listed_shared()).chain(received).chain(self.listed_asleep())
    }

    /// One that is sent.
    pub fn listed_sent(&self, key: &StreamKey) -> Option<ListedStream> {
        let out = self.sent.get(key)?;
        let end = self.journal.get(out.group?)?.end;
        let blocks = self.blocks_of(key, out).and_then(|group| self.journal.get(group));
        Some(out.listed(*key, blocks.map_or(ByteCount(0), Group::bytes), end))
    }
}
