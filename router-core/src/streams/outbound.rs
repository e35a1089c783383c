// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that local clients send: content becomes blocks, and what becomes of them.

mod content;
mod handed;
mod pushing;
mod restored;

use std::collections::{BTreeMap, BTreeSet};

use ratman_eris::{BlockSize, Encoder, ReadCapability, Reference};
use ratman_types::{ByteCount, Now, Recipient, RouterId, Timestamp, WallTime, is_valid_key};
use ratman_wire::FrameId;
use ratman_wire::stream::{Auxiliary, AuxiliaryData, Lifetime, StreamId};
use zeroize::Zeroizing;

use super::listed::{ListedStream, StreamStage};
use super::{NewStream, SendError, StreamEvent, StreamKey, Streams, Turn, Way};
use crate::DropReason;
use crate::journal::{GroupNumber, Role};
use crate::stream::{Ended, Routing, SealedManifest, Sending};
use content::check_size;
use handed::Handed;

/// Blocks of a stream that wait in memory to be pushed, bytes: a client waits beyond. Above what a fast link takes in a
/// turn of the daemon.
const AT_HAND: usize = 1 << 20;
/// Pull requests of a recipient that are remembered, so that none is answered twice (source: wire page, freshness).
const REMEMBERED_PULLS: usize = 64;

/// Why something is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is content for this recipient.
    Send,
    /// It is content that becomes [`Shared`](super::sharing::Shared), under a name of its own until then: it goes to nobody.
    Share,
    /// A recipient is told of shared content.
    Announce,
    /// Somebody asks for shared content.
    Answer,
}

/// One stream that is sent.
pub(super) struct Outbound {
    pub(super) purpose: Purpose,
    /// What the journal has of it; nothing of an answer, and only a record of an announcement.
    pub(super) group: Option<GroupNumber>,
    pub(super) created: WallTime,
    pub(super) lifetime: Lifetime,
    pub(super) said: Option<ByteCount>,
    auxiliary_data: AuxiliaryData,
    /// What opens the blocks, of content that is shared.
    pub(super) capability: Option<ReadCapability>,
    content: Content,
    pub(super) block_size: BlockSize,
    pub(super) sealed: Option<SealedManifest>,
    pub(super) sending: Sending,
    /// Blocks that are next, in memory, with their names.
    at_hand: BTreeMap<u32, (Reference, Vec<u8>)>,
    reading: BTreeSet<u32>,
    /// Blocks that are not durable yet, and cannot be read before.
    unstored: BTreeSet<u32>,
    wants_room: bool,
    notice: bool,
    /// Whether all of it is durable that a client was promised.
    pub(super) is_durable: bool,
    /// Times of the recipient's last requests.
    pub(super) pulls: BTreeSet<WallTime>,
    way: Kind,
    /// Who carries it, where that is the way.
    carrier: Option<RouterId>,
    handed: Handed,
}

enum Content {
    Collecting(Zeroizing<Vec<u8>>),
    Encoding(Encoder),
    Complete,
}

/// What a way is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Live,
    Carry,
}

impl Outbound {
    /// Content of which nothing has been read.
    pub(super) fn new(
        purpose: Purpose,
        group: Option<GroupNumber>,
        (created, lifetime): (WallTime, Lifetime),
        sending: Sending,
    ) -> Self {
        Self {
            purpose,
            group,
            created,
            lifetime,
            said: None,
            auxiliary_data: AuxiliaryData::default(),
            capability: None,
            content: Content::Collecting(Zeroizing::default()),
            block_size: BlockSize::Kib32,
            sealed: None,
            // Who pulls has read in the manifest how large it is.
            notice: sending.wanted() == Routing::Pull,
            sending,
            is_durable: false,
            at_hand: BTreeMap::new(),
            reading: BTreeSet::new(),
            unstored: BTreeSet::new(),
            wants_room: false,
            pulls: BTreeSet::new(),
            way: Kind::None,
            carrier: None,
            handed: Handed::default(),
        }
    }

    /// As [`Outbound::new`], of content that is complete.
    pub(super) fn complete(
        purpose: Purpose,
        group: Option<GroupNumber>,
        times: (WallTime, Lifetime),
        sending: Sending,
    ) -> Self {
        Self { content: Content::Complete, ..Self::new(purpose, group, times, sending) }
    }

    /// Its place among those that take turns.
    fn turn(&self, key: StreamKey) -> Turn {
        (self.group.unwrap_or_default(), key)
    }

    fn auxiliary(&self, stream: StreamId) -> Auxiliary {
        Auxiliary { created: self.created, lifetime: self.lifetime, stream }
    }

    /// Whether its blocks are those of shared content, and not its own.
    pub(super) const fn has_shared_blocks(&self) -> bool {
        match self.purpose {
            Purpose::Announce | Purpose::Answer => true,
            Purpose::Send | Purpose::Share => false,
        }
    }

    fn bytes_at_hand(&self) -> usize {
        self.at_hand.len() * self.block_size.bytes()
    }

    /// How far it is; `stored` are the bytes of all blocks so far.
    pub(super) fn listed(&self, key: StreamKey, stored: ByteCount, end: WallTime) -> ListedStream {
        let block = u64::try_from(self.block_size.bytes()).unwrap_or(u64::MAX);
        let (received, taken) = self.sending.arrived();
        let (stage, in_all) = match (&self.sealed, self.handed.told) {
            _ if self.purpose == Purpose::Share => (StreamStage::Opening, None),
            (None, _) => (StreamStage::Opening, self.said.map(|size| self.block_size.bytes_of_tree(size))),
            (Some(_), false) => (StreamStage::Sending, Some(stored)),
            (Some(_), true) => (StreamStage::Stored, Some(stored)),
        };
        let arrived = ByteCount(received.0.max(taken * block));
        ListedStream { key, stage, size: self.said, arrived, in_all, end, capability: None }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        if self.way == Kind::None { None } else { self.sending.poll_timeout() }
    }
}

impl Streams {
    /// Begins a stream; its content follows with [`Streams::write`].
    ///
    /// # Errors
    /// [`SendError`].
    pub fn send(&mut self, new: NewStream, now: Now) -> Result<StreamKey, SendError> {
        if !self.locals.contains_key(&new.sender) {
            return Err(SendError::Sender);
        }
        if !is_valid_key(new.recipient.as_bytes()) {
            return Err(SendError::Recipient);
        }
        if matches!(new.recipient, Recipient::Namespace(_)) {
            if new.lifetime > Lifetime::MAX_FLOODED {
                return Err(SendError::LifetimeForNamespace { limit: Lifetime::MAX_FLOODED });
            }
            if new.routing == Routing::Pull {
                return Err(SendError::PullForNamespace);
            }
        }
        if let Some(size) = new.size {
            check_size(&new.recipient, size)?;
            BlockSize::choose(size, self.way_out(&new.recipient).mtu())
                .map_err(|narrow| SendError::PathTooNarrow { limit: narrow.limit })?;
        }
        self.open(new, Purpose::Send, now)
    }

    /// Begins to read content.
    pub(super) fn open(
        &mut self,
        new: NewStream,
        purpose: Purpose,
        now: Now,
    ) -> Result<StreamKey, SendError> {
        let NewStream { sender, recipient, size, lifetime, routing, auxiliary_data } = new;
        let stream = StreamId::from_bytes(self.random());
        let key = StreamKey { sender, recipient, stream };
        let created = self.wall(now);
        let role = if purpose == Purpose::Share { Role::Shared } else { Role::Sent };
        let group = self.journal.open(key.group(role), None, lifetime.end(created))?;
        self.journal.hold(group);
        let out = Outbound::new(purpose, Some(group), (created, lifetime), Sending::new(routing));
        self.sent.insert(key, Outbound { said: size, auxiliary_data, ..out });
        self.sent_way_changed(&key, now);
        Ok(key)
    }

    /// Takes content from the front of a piece and says how many bytes. Where it takes less than all,
    /// [`StreamEvent::Room`] says when there is room again.
    ///
    /// # Errors
    /// [`SendError`]; the stream is to be abandoned then.
    pub fn write(&mut self, key: &StreamKey, content: &[u8], now: Now) -> Result<usize, SendError> {
        let mut out = self.sent.remove(key).ok_or(SendError::NotOpen)?;
        let taken = self.take_content(key, &mut out, content);
        self.put_sent(*key, out, now);
        taken
    }

    /// Says that the content is complete; [`StreamEvent::Accepted`] follows when all of it is durable.
    ///
    /// # Errors
    /// [`SendError`]; the stream is to be abandoned then.
    pub fn finish(&mut self, key: &StreamKey, now: Now) -> Result<(), SendError> {
        let mut out = self.sent.remove(key).ok_or(SendError::NotOpen)?;
        let finished = self.complete_content(key, &mut out);
        self.put_sent(*key, out, now);
        self.sent_way_changed(key, now);
        finished
    }

    /// The client gave up before its content was complete: nothing of it is left.
    pub fn abandon(&mut self, key: &StreamKey) {
        if self.sent.get(key).is_some_and(|out| out.sealed.is_none()) {
            self.remove_sent(key);
        }
    }

    /// Whether all of a stream that is sent is durable here, as [`StreamEvent::Accepted`] said.
    pub fn is_accepted(&self, key: &StreamKey) -> bool {
        self.sent.get(key).is_some_and(|out| out.is_durable)
    }

    /// Sends a stream no further, whether its content is complete or not, and keeps nothing of it; [`Ended::Withdrawn`] follows. What
    /// has arrived stays where it is. False where it is not sent: shared content is [taken down](Streams::take_down).
    pub fn withdraw(&mut self, key: &StreamKey) -> bool {
        let may_go = |out: &Outbound| matches!(out.purpose, Purpose::Send | Purpose::Announce);
        let is_there = self.sent.get(key).is_some_and(may_go);
        if is_there {
            self.remove_sent(key);
            self.events.push_back(StreamEvent::Ended(*key, Ended::Withdrawn));
        }
        is_there
    }

    /// Puts a stream back that was taken out to work on it, or ends it.
    pub(super) fn put_sent(&mut self, key: StreamKey, mut out: Outbound, now: Now) {
        if out.handed.manifest && out.sending.is_taken_over() && !out.handed.told {
            out.handed.told = true;
            match key.recipient {
                Recipient::Address(_) => self.events.push_back(StreamEvent::Stored(key)),
                Recipient::Namespace(_) => out.sending.published(),
            }
        }
        if let Some(ended) = out.sending.ended() {
            self.sent.insert(key, out);
            self.remove_sent(&key);
            self.events.push_back(StreamEvent::Ended(key, ended));
            return;
        }
        if !out.sending.takes_blocks() {
            out.at_hand.clear();
        }
        if out.wants_room && self.store.has_room() && out.bytes_at_hand() < AT_HAND / 2 {
            out.wants_room = false;
            self.events.push_back(StreamEvent::Room(key));
        }
        if out.wants_room {
            self.waiting_for_room.insert(key);
        }
        self.sent_deadlines.set(key, out.deadline().map(|at| at.max(now.at)));
        self.active.insert(out.turn(key));
        self.sent.insert(key, out);
    }

    pub(super) fn remove_sent(&mut self, key: &StreamKey) {
        if let Some(group) = self.sent.get(key).and_then(|out| out.group) {
            self.remove_group(group);
        }
        self.forget_sent(key);
    }

    /// Forgets a stream whose group is gone.
    pub(super) fn forget_sent(&mut self, key: &StreamKey) {
        if let Some(out) = self.sent.remove(key) {
            out.handed.frames.keys().for_each(|frame| _ = self.handed.remove(frame));
            self.active.remove(&out.turn(*key));
            self.waiting_to_read.remove(&out.turn(*key));
        }
        self.answers.forget(key);
        self.sent_deadlines.set(*key, None);
        self.waiting_for_room.remove(key);
    }

    /// Works on one stream, if it is there.
    pub(super) fn with_sent(
        &mut self,
        key: &StreamKey,
        now: Now,
        act: impl FnOnce(&mut Self, &mut Outbound),
    ) {
        if let Some(mut out) = self.sent.remove(key) {
            act(self, &mut out);
            self.put_sent(*key, out, now);
        }
    }

    /// The way to a recipient may be another one.
    pub(super) fn sent_way_changed(&mut self, key: &StreamKey, now: Now) {
        let Some(out) = self.sent.get(key) else { return };
        let way = self.way_out_for(key, out);
        let (kind, carrier) = (way.kind(), way.carrier());
        if (out.way, out.carrier) == (kind, carrier) {
            return;
        }
        self.with_sent(key, now, |streams, out| {
            (out.way, out.carrier) = (kind, carrier);
            match kind {
                Kind::None => {
                    out.at_hand.clear();
                    out.sending.interrupted();
                }
                Kind::Live => out.sending.reachable(),
                Kind::Carry => {
                    let before = core::mem::take(&mut out.handed);
                    before.frames.keys().for_each(|frame| _ = streams.handed.remove(frame));
                    out.sending.hand_over();
                }
            }
        });
    }

    /// Where a stream may go now: nowhere while nobody can sign for its sender. What everybody would keep leaves when it is complete,
    /// since its client may give it up before.
    fn way_out_for(&self, key: &StreamKey, out: &Outbound) -> Way {
        if !self.locals.contains_key(&key.sender) {
            return Way::None;
        }
        let way = self.way_out(&key.recipient);
        match (out.purpose, key.recipient) {
            (Purpose::Share, _) => Way::None,
            // Who asks can ask again, and nobody else is to keep what was asked for.
            (Purpose::Answer, _) if way.kind() != Kind::Live => Way::None,
            (_, Recipient::Namespace(_)) if out.sealed.is_none() => Way::None,
            (_, Recipient::Namespace(_) | Recipient::Address(_)) => way,
        }
    }

    /// A block was read; nothing if it is not to be had.
    pub(super) fn sent_block_read(&mut self, key: &StreamKey, number: u32, bytes: Option<Vec<u8>>, now: Now) {
        let Some(mut out) = self.sent.remove(key) else { return };
        out.reading.remove(&number);
        let block = bytes.map(|bytes| (Reference::of(&bytes), bytes));
        let block = block.filter(|(reference, _)| out.sending.number_of(reference) == Some(number));
        let is_there = block.is_some();
        if let Some(block) = block.filter(|_| out.sending.takes_blocks()) {
            out.at_hand.insert(number, block);
        }
        if !is_there && out.has_shared_blocks() {
            // It may be a fault of the moment, and the content was taken down meanwhile perhaps: it is asked for again.
            tracing::warn!(stream = ?key.stream, number, "a block of shared content cannot be read");
            out.sending.interrupted();
            return self.put_sent(*key, out, now);
        }
        self.put_sent(*key, out, now);
        if !is_there && self.sent.contains_key(key) {
            tracing::error!(stream = ?key.stream, number, "a block of a stream that is sent cannot be read: given up");
            self.remove_sent(key);
            self.events.push_back(StreamEvent::Failed(*key));
        }
    }

    /// All of a stream is durable.
    pub(super) fn sent_is_accepted(&mut self, key: &StreamKey) {
        if let Some(out) = self.sent.get_mut(key) {
            out.is_durable = true;
        }
        self.events.push_back(StreamEvent::Accepted(*key));
    }

    /// A block is durable.
    pub(super) fn sent_is_durable(&mut self, key: &StreamKey, number: u32) {
        if let Some(out) = self.sent.get_mut(key) {
            out.unstored.remove(&number);
            if !out.at_hand.contains_key(&number) && out.sending.takes_blocks() {
                self.active.insert(out.turn(*key));
            }
        }
    }

    /// The recipient asks for blocks, or anybody for what is shared with all.
    pub(super) fn pulled(
        &mut self,
        key: &StreamKey,
        time: WallTime,
        references: Option<&[Reference]>,
        now: Now,
    ) -> Result<(), DropReason> {
        if !self.sent.contains_key(key) {
            self.begin_answer(key, time, now)?;
        }
        self.with_sent(key, now, |_, out| {
            let oldest = out.pulls.first().copied().filter(|_| out.pulls.len() >= REMEMBERED_PULLS);
            if oldest.is_some_and(|oldest| time <= oldest) || !out.pulls.insert(time) {
                return;
            }
            if out.pulls.len() > REMEMBERED_PULLS {
                out.pulls.pop_first();
            }
            out.sending.pulled(references, now.at);
        });
        self.note_asked(key, now.at);
        Ok(())
    }

    /// A carrier answers for a frame that it was given.
    pub(super) fn sent_taken_over(&mut self, key: &StreamKey, frame: &FrameId, now: Now) {
        self.with_sent(key, now, |_, out| {
            for reference in out.handed.taken(frame) {
                match reference {
                    Some(reference) => out.sending.taken_over(&reference, now.at),
                    None => out.handed.manifest = true,
                }
            }
        });
    }
}
