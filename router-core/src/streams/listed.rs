// SPDX-License-Identifier: AGPL-3.0-or-later
//! What streams there are, and how far each is, for people and programs.

use core::cmp::{Ordering, Reverse};
use core::ops::Bound;
use std::collections::BinaryHeap;

use ratman_eris::ReadCapability;
use ratman_types::{Address, ByteCount, Recipient, WallTime};
use ratman_wire::stream::StreamId;

use super::{StreamKey, Streams};
use crate::journal::{Group, GroupKey, Role};

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

/// Where a stream is in a list of them, and whether it is there as one that is sent: one that an address sends to itself is there twice.
pub type Place = (StreamKey, bool);

impl ListedStream {
    /// Its place.
    pub const fn place(&self) -> Place {
        let is_sent = matches!(
            self.stage,
            StreamStage::Opening | StreamStage::Sending | StreamStage::Stored | StreamStage::Shared
        );
        (self.key, is_sent)
    }
}

impl Streams {
    /// All streams that are not over, those that are sent first, and what is shared.
    pub fn list(&self) -> impl Iterator<Item = ListedStream> + '_ {
        let sent = self.sent.keys().filter_map(|key| self.listed_sent(key));
        let shared = self.shared.keys().filter_map(|name| self.listed_shared(&own_name(name)));
        let here = self.received.keys().chain(self.asleep.keys());
        sent.chain(shared).chain(here.filter_map(|key| self.listed_here(key)))
    }

    /// How many [`Streams::list`] says.
    pub fn count(&self) -> usize {
        let sent = self.sent.len() - self.answers.len();
        sent + self.shared.len() + self.received.len() + self.asleep.len()
    }

    /// What an address sends and shares, and what is here for these recipients, beyond a place, in the order of the places. Nothing is
    /// looked at that is not asked for.
    pub fn list_of(
        &self,
        sender: Address,
        recipients: impl IntoIterator<Item = Recipient>,
        after: Option<Place>,
    ) -> impl Iterator<Item = ListedStream> + '_ {
        let sent = self.sent_after(sender, after).map(|key| (*key, true));
        let shared = self.shared_after(sender, after).map(|key| (key, true));
        let here = |to| self.here_for(to, beyond(&to, after)).map(|key| (key, false));
        let mut sources: Vec<Places<'_>> = vec![Box::new(sent), Box::new(shared)];
        sources.extend(recipients.into_iter().map(|to| -> Places<'_> { Box::new(here(to)) }));
        let mut last = None;
        // What an address tells itself of is shared and sent.
        let once = merged(sources).filter(move |place| last.replace(*place) != Some(*place));
        once.filter_map(|(key, is_sent)| match is_sent {
            true => self.listed_sent(&key).or_else(|| self.listed_shared(&key)),
            false => self.listed_here(&key),
        })
    }

    /// One that is sent.
    pub fn listed_sent(&self, key: &StreamKey) -> Option<ListedStream> {
        let out = self.sent.get(key)?;
        let end = self.journal.get(out.group?)?.end;
        let blocks = self.blocks_of(key, out).and_then(|group| self.journal.get(group));
        Some(out.listed(*key, blocks.map_or(ByteCount(0), Group::bytes), end))
    }

    /// One that is here, whole or in part.
    fn listed_here(&self, key: &StreamKey) -> Option<ListedStream> {
        let Some(inbound) = self.received.get(key) else { return self.listed_asleep(key) };
        let stored = self.journal.get(inbound.group).map_or(ByteCount(0), Group::bytes);
        Some(inbound.listed(*key, stored))
    }

    /// What is here for a recipient, whole or in part, asleep or not, in the order of the keys.
    pub(super) fn here_for(
        &self,
        to: Recipient,
        from: Bound<(Address, StreamId)>,
    ) -> impl Iterator<Item = StreamKey> + '_ {
        let named = self.journal.named_to(Role::Received, to, from);
        named.filter_map(|name| {
            let GroupKey { recipient, sender, stream, .. } = *name;
            Some(StreamKey { sender, recipient, stream: stream? })
        })
    }

    /// What an address sends, beyond a place.
    pub(super) fn sent_after(
        &self,
        sender: Address,
        after: Option<Place>,
    ) -> impl Iterator<Item = &StreamKey> {
        let first = StreamKey {
            sender,
            recipient: Recipient::Address(Address::from_bytes([0; 32])),
            stream: StreamId::from_bytes([0; 32]),
        };
        let from = match after {
            Some((key, true)) if key >= first => Bound::Excluded(key),
            Some((key, _)) => Bound::Included(key.max(first)),
            None => Bound::Included(first),
        };
        let sent = self.sent.range((from, Bound::Unbounded)).map(|(key, _)| key);
        sent.take_while(move |key| key.sender == sender)
    }

    fn shared_after(&self, sender: Address, after: Option<Place>) -> impl Iterator<Item = StreamKey> + '_ {
        let first = (sender, StreamId::from_bytes([0; 32]));
        let name = |(key, _): Place| (key.sender, key.recipient);
        let own = (sender, Recipient::Address(sender));
        let from = match after {
            Some(after) if name(after) > own => None,
            Some((key, is_sent)) if name((key, is_sent)) == own => Some(match is_sent {
                true => Bound::Excluded((sender, key.stream)),
                false => Bound::Included((sender, key.stream)),
            }),
            _ => Some(Bound::Included(first)),
        };
        let shared = from.map(|from| self.shared.range((from, Bound::Unbounded)));
        let theirs = shared.into_iter().flatten().take_while(move |((of, _), _)| *of == sender);
        theirs.map(|(name, _)| own_name(name))
    }
}

/// Places in their order.
pub(super) type Places<'a> = Box<dyn Iterator<Item = Place> + 'a>;

/// What shared content is called in lists.
const fn own_name((sender, stream): &(Address, StreamId)) -> StreamKey {
    StreamKey { sender: *sender, recipient: Recipient::Address(*sender), stream: *stream }
}

/// Where what is for a recipient begins that is beyond a place: the order is that of senders first.
fn beyond(to: &Recipient, after: Option<Place>) -> Bound<(Address, StreamId)> {
    let Some((key, _)) = after else { return Bound::Unbounded };
    match to.cmp(&key.recipient) {
        Ordering::Less => Bound::Excluded((key.sender, StreamId::from_bytes([u8::MAX; 32]))),
        Ordering::Equal => Bound::Excluded((key.sender, key.stream)),
        Ordering::Greater => Bound::Included((key.sender, StreamId::from_bytes([0; 32]))),
    }
}

/// The places of all of these in one order, each of which is in order.
pub(super) fn merged<'a>(mut sources: Vec<Places<'a>>) -> impl Iterator<Item = Place> + 'a {
    let firsts = sources.iter_mut().enumerate();
    let mut next: BinaryHeap<_> =
        firsts.filter_map(|(source, places)| Some(Reverse((places.next()?, source)))).collect();
    core::iter::from_fn(move || {
        let Reverse((place, source)) = next.pop()?;
        next.extend(sources[source].next().map(|behind| Reverse((behind, source))));
        Some(place)
    })
}
