// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that local clients send: content becomes blocks, and what becomes of them.

mod pushing;

use std::collections::{BTreeMap, BTreeSet};

use ratman_eris::{BlockSize, ConvergenceSecret, Encoder, Reference};
use ratman_types::{ByteCount, Now, Recipient, RouterId, Timestamp, WallTime, blake2b, is_valid_key};
use ratman_wire::FrameId;
use ratman_wire::stream::{
    Auxiliary, Contents, InlineContents, Letterhead, Lifetime, MAX_INLINE, Manifest, StreamId,
};
use zeroize::Zeroizing;

use super::flooding::MAX_TO_NAMESPACE;
use super::listed::{ListedStream, StreamStage};
use super::record::Record;
use super::store_queue::Durable;
use super::{NewStream, SendError, StreamEvent, StreamKey, Streams, Way, Write};
use crate::journal::{GroupNumber, Role};
use crate::stream::{EphemeralKey, Routing, SealedManifest, Sending, convergence_secret};

/// Blocks of a stream that wait in memory to be pushed, bytes: a client waits beyond. Above what a fast link takes in a
/// turn of the daemon.
const AT_HAND: usize = 1 << 20;
/// Content whose length is not known is collected up to here, to choose its blocks: where the table has the largest ones.
const COLLECTED: usize = 28 * 1024;
/// Pull requests of a recipient that are remembered, so that none is answered twice (source: wire page, freshness).
const REMEMBERED_PULLS: usize = 64;

/// One stream that is sent.
pub(super) struct Outbound {
    pub(super) group: GroupNumber,
    created: WallTime,
    lifetime: Lifetime,
    said: Option<ByteCount>,
    content: Content,
    block_size: BlockSize,
    sealed: Option<SealedManifest>,
    pub(super) sending: Sending,
    /// Blocks that are next, in memory, with their names.
    at_hand: BTreeMap<u32, (Reference, Vec<u8>)>,
    reading: BTreeSet<u32>,
    /// Blocks that are not durable yet, and cannot be read before.
    unstored: BTreeSet<u32>,
    wants_room: bool,
    notice: bool,
    /// Times of the recipient's last requests.
    pulls: BTreeSet<WallTime>,
    way: Kind,
    /// Who carries it, where that is the way.
    carrier: Option<RouterId>,
    handed: Handed,
}

/// What a carrier was given.
#[derive(Default)]
struct Handed {
    /// Frames without a word of the carrier yet, and the blocks that are in them or that they are slices of; none stands
    /// for the manifest.
    frames: BTreeMap<FrameId, Vec<Option<Reference>>>,
    /// How many slices of a block are left.
    slices: BTreeMap<Option<Reference>, usize>,
    manifest: bool,
    told: bool,
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
    fn new(group: GroupNumber, created: WallTime, lifetime: Lifetime, said: Option<ByteCount>) -> Self {
        Self {
            group,
            created,
            lifetime,
            said,
            content: Content::Collecting(Zeroizing::default()),
            block_size: BlockSize::Kib32,
            sealed: None,
            sending: Sending::new(Routing::Push),
            at_hand: BTreeMap::new(),
            reading: BTreeSet::new(),
            unstored: BTreeSet::new(),
            wants_room: false,
            notice: false,
            pulls: BTreeSet::new(),
            way: Kind::None,
            carrier: None,
            handed: Handed::default(),
        }
    }

    fn auxiliary(&self, stream: StreamId) -> Auxiliary {
        Auxiliary { created: self.created, lifetime: self.lifetime, stream }
    }

    fn bytes_at_hand(&self) -> usize {
        self.at_hand.len() * self.block_size.bytes()
    }

    /// How far it is; `stored` are the bytes of all blocks so far.
    pub(super) fn listed(&self, key: StreamKey, stored: ByteCount, end: WallTime) -> ListedStream {
        let block = u64::try_from(self.block_size.bytes()).unwrap_or(u64::MAX);
        let (received, taken) = self.sending.arrived();
        let (stage, in_all) = match (&self.sealed, self.handed.told) {
            (None, _) => (StreamStage::Opening, self.said.map(|size| self.block_size.bytes_of_tree(size))),
            (Some(_), false) => (StreamStage::Sending, Some(stored)),
            (Some(_), true) => (StreamStage::Stored, Some(stored)),
        };
        let arrived = ByteCount(received.0.max(taken * block));
        ListedStream { key, stage, size: self.said, arrived, in_all, end }
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
        if matches!(new.recipient, Recipient::Namespace(_)) && new.lifetime > Lifetime::MAX_FLOODED {
            return Err(SendError::LifetimeForNamespace { limit: Lifetime::MAX_FLOODED });
        }
        if let Some(size) = new.size {
            check_size(&new.recipient, size)?;
            BlockSize::choose(size, self.way_out(&new.recipient).mtu())
                .map_err(|narrow| SendError::PathTooNarrow { limit: narrow.limit })?;
        }
        let stream = StreamId::from_bytes(self.random());
        let key = StreamKey { sender: new.sender, recipient: new.recipient, stream };
        let (created, lifetime) = (self.wall(now), new.lifetime);
        let group = self.journal.open(key.group(Role::Sent), None, lifetime.end(created))?;
        self.journal.hold(group);
        let out = Outbound::new(group, created, lifetime, new.size);
        self.sent.insert(key, out);
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

    fn take_content(
        &mut self,
        key: &StreamKey,
        out: &mut Outbound,
        content: &[u8],
    ) -> Result<usize, SendError> {
        let mut taken = 0;
        while taken < content.len() {
            if !self.store.has_room() || out.bytes_at_hand() >= AT_HAND {
                out.wants_room = true;
                break;
            }
            let rest = &content[taken..];
            match &mut out.content {
                Content::Complete => return Err(SendError::NotOpen),
                Content::Collecting(collected) => {
                    let most = if out.said.is_some() { MAX_INLINE + 1 } else { COLLECTED + 1 };
                    let piece = rest.len().min(most.saturating_sub(collected.len()));
                    collected.extend_from_slice(&rest[..piece]);
                    taken += piece;
                    if collected.len() == most {
                        self.begin_encoding(key, out)?;
                    }
                }
                Content::Encoding(encoder) => {
                    let too_long = |_| SendError::Size { said: ByteCount(63), found: ByteCount(64) };
                    let (pushed, length) = (encoder.push(rest).map_err(too_long)?, encoder.content_len());
                    taken += pushed;
                    if let Some(said) = out.said.filter(|said| *said < length) {
                        return Err(SendError::Size { said, found: length });
                    }
                    check_size(&key.recipient, length)?;
                    self.drain_blocks(key, out)?;
                }
            }
        }
        Ok(taken)
    }

    /// What was collected is too much for a manifest: from now on it becomes blocks.
    fn begin_encoding(&mut self, key: &StreamKey, out: &mut Outbound) -> Result<(), SendError> {
        let Content::Collecting(collected) = core::mem::replace(&mut out.content, Content::Complete) else {
            return Err(SendError::NotOpen);
        };
        let so_far = ByteCount(u64::try_from(collected.len()).unwrap_or(u64::MAX));
        out.block_size = BlockSize::choose(out.said.unwrap_or(so_far), self.way_out(&key.recipient).mtu())
            .map_err(|narrow| SendError::PathTooNarrow { limit: narrow.limit })?;
        let local = self.locals.get(&key.sender).ok_or(SendError::Sender)?;
        let secret =
            convergence_secret(&*local.key, &key.recipient, &key.stream).ok_or(SendError::Recipient)?;
        out.content =
            Content::Encoding(Encoder::new(out.block_size, &ConvergenceSecret::from_bytes(*secret)));
        let mut rest = &collected[..];
        while !rest.is_empty() {
            let Content::Encoding(encoder) = &mut out.content else { return Err(SendError::NotOpen) };
            let too_long = |_| SendError::Size { said: ByteCount(63), found: so_far };
            rest = &rest[encoder.push(rest).map_err(too_long)?..];
            self.drain_blocks(key, out)?;
        }
        Ok(())
    }

    fn drain_blocks(&mut self, key: &StreamKey, out: &mut Outbound) -> Result<(), SendError> {
        loop {
            let Content::Encoding(encoder) = &mut out.content else { return Ok(()) };
            let Some(block) = encoder.poll_block() else { return Ok(()) };
            let (reference, bytes) = (block.reference, block.bytes.to_vec());
            let Some(number) = out.sending.block_made(reference) else { continue };
            let length = u32::try_from(bytes.len()).expect("a block is at most 32 KiB");
            let leaving = self.journal.room_for(out.group, length.into())?;
            self.evict(&leaving);
            self.journal.insert(out.group, *reference.as_bytes(), length);
            let name = *reference.as_bytes();
            let write = Write::Entry { group: out.group, number, name, bytes: bytes.clone() };
            self.store.write_then(out.group, write, Durable::Sent { key: *key, number });
            out.unstored.insert(number);
            if out.way != Kind::None && out.sending.takes_blocks() {
                out.at_hand.insert(number, (reference, bytes));
            }
        }
    }

    fn complete_content(&mut self, key: &StreamKey, out: &mut Outbound) -> Result<(), SendError> {
        let (contents, size) = self.contents(key, out)?;
        if let Some(said) = out.said.filter(|said| *said != size) {
            return Err(SendError::Size { said, found: size });
        }
        let letterhead = Letterhead {
            from: key.sender,
            to: key.recipient,
            stream_size: size,
            auxiliary_data: Default::default(),
        };
        let manifest = Manifest::new(key.stream, out.created, out.lifetime, letterhead, contents)
            .expect("invariant: the tree is that of the content");
        let ephemeral = EphemeralKey::new(Zeroizing::new(self.random()));
        let local = self.locals.get(&key.sender).ok_or(SendError::Sender)?;
        let sealed =
            SealedManifest::seal(&manifest, &local.key, ephemeral).map_err(|_| SendError::Recipient)?;
        let record = Record::Sent {
            key: *key,
            created: out.created,
            lifetime: out.lifetime,
            size,
            sealed: sealed.as_bytes().to_vec(),
        };
        let write = Write::Group { group: out.group, record: record.encode() };
        self.store.write_then(out.group, write, Durable::Accepted { key: *key });
        (out.sealed, out.said) = (Some(sealed), Some(size));
        out.sending.finished();
        Ok(())
    }

    fn contents(&mut self, key: &StreamKey, out: &mut Outbound) -> Result<(Contents, ByteCount), SendError> {
        if let Content::Collecting(collected) = &out.content {
            if let Some(contents) = InlineContents::new(collected) {
                let size = ByteCount(u64::try_from(collected.len()).unwrap_or(u64::MAX));
                out.content = Content::Complete;
                return Ok((Contents::Inline(contents), size));
            }
            self.begin_encoding(key, out)?;
        }
        let Content::Encoding(encoder) = &mut out.content else { return Err(SendError::NotOpen) };
        encoder.finish();
        self.drain_blocks(key, out)?;
        let Content::Encoding(encoder) = core::mem::replace(&mut out.content, Content::Complete) else {
            return Err(SendError::NotOpen);
        };
        let capability = encoder.capability().expect("invariant: all blocks were taken");
        Ok((Contents::Blocks(capability), encoder.content_len()))
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
        self.sent.insert(key, out);
        self.active.insert(key);
    }

    pub(super) fn remove_sent(&mut self, key: &StreamKey) {
        if let Some(out) = self.sent.get(key) {
            self.remove_group(out.group);
        }
        self.forget_sent(key);
    }

    /// Forgets a stream whose group is gone.
    pub(super) fn forget_sent(&mut self, key: &StreamKey) {
        if let Some(out) = self.sent.remove(key) {
            out.handed.frames.keys().for_each(|frame| _ = self.handed.remove(frame));
        }
        self.sent_deadlines.set(*key, None);
        self.waiting_for_room.remove(key);
        self.active.remove(key);
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
        match key.recipient {
            Recipient::Namespace(_) if out.sealed.is_none() => Way::None,
            Recipient::Namespace(_) | Recipient::Address(_) => self.way_out(&key.recipient),
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
        self.put_sent(*key, out, now);
        if !is_there && self.sent.contains_key(key) {
            tracing::error!(stream = ?key.stream, number, "a block of a stream that is sent cannot be read: given up");
            self.remove_sent(key);
            self.events.push_back(StreamEvent::Failed(*key));
        }
    }

    /// A block is durable.
    pub(super) fn sent_is_durable(&mut self, key: &StreamKey, number: u32) {
        if let Some(out) = self.sent.get_mut(key) {
            out.unstored.remove(&number);
            if !out.at_hand.contains_key(&number) && out.sending.takes_blocks() {
                self.active.insert(*key);
            }
        }
    }

    /// The recipient asks for blocks.
    pub(super) fn pulled(
        &mut self,
        key: &StreamKey,
        time: WallTime,
        references: Option<&[Reference]>,
        now: Now,
    ) {
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

    /// Restores a stream whose content is complete.
    pub(super) fn restore_sent(
        &mut self,
        group: GroupNumber,
        key: StreamKey,
        (created, lifetime, size): (WallTime, Lifetime, ByteCount),
        sealed: Vec<u8>,
    ) {
        let mut out = Outbound::new(group, created, lifetime, Some(size));
        out.content = Content::Complete;
        out.sealed = SealedManifest::from_slices(blake2b(&[&sealed]), sealed);
        self.sent.insert(key, out);
    }

    /// All blocks of the restored streams are known.
    pub(super) fn restored_sent(&mut self, now: Now) {
        for key in self.sent.keys().copied().collect::<Vec<_>>() {
            self.with_sent(&key, now, |streams, out| {
                let mut blocks: Vec<_> = streams.journal.get(out.group).map_or_else(Vec::new, |group| {
                    group.entries().map(|(name, entry)| (entry.number, *name, entry.bytes)).collect()
                });
                blocks.sort_unstable();
                for (_, name, bytes) in blocks {
                    out.sending.block_made(Reference::from_bytes(name));
                    out.block_size =
                        usize::try_from(bytes).ok().and_then(BlockSize::from_bytes).unwrap_or(out.block_size);
                }
                out.sending.finished();
                out.sending.interrupted();
            });
            self.sent_way_changed(&key, now);
        }
    }
}

/// Whether so much may be sent to a recipient.
fn check_size(recipient: &Recipient, size: ByteCount) -> Result<(), SendError> {
    let limit = MAX_TO_NAMESPACE;
    let is_too_long = matches!(recipient, Recipient::Namespace(_)) && size > limit;
    if is_too_long { Err(SendError::TooLongForNamespace { limit }) } else { Ok(()) }
}

impl Handed {
    /// This goes in other frames from now on.
    ///
    /// Says which frames need not be answered for any more.
    fn forget(&mut self, reference: Option<Reference>) -> Vec<FrameId> {
        let mut empty = Vec::new();
        if self.slices.remove(&reference).is_some() {
            self.frames.retain(|name, of_frame| {
                of_frame.retain(|other| *other != reference);
                if of_frame.is_empty() {
                    empty.push(*name);
                }
                !of_frame.is_empty()
            });
        }
        empty
    }

    fn add(&mut self, frame: FrameId, reference: Option<Reference>) {
        let of_frame = self.frames.entry(frame).or_default();
        if !of_frame.contains(&reference) {
            of_frame.push(reference);
            *self.slices.entry(reference).or_default() += 1;
        }
    }

    /// What is taken as a whole with this frame.
    fn taken(&mut self, frame: &FrameId) -> Vec<Option<Reference>> {
        let mut whole = Vec::new();
        for reference in self.frames.remove(frame).unwrap_or_default() {
            let Some(left) = self.slices.get_mut(&reference) else { continue };
            *left -= 1;
            if *left == 0 {
                self.slices.remove(&reference);
                whole.push(reference);
            }
        }
        whole
    }
}
