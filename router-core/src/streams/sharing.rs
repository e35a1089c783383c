// SPDX-License-Identifier: AGPL-3.0-or-later
//! Content that local clients share: encoded and stored once, announced to whomever they like, and fetched by whoever heard of
//! it (decisions/static-streams.md).

mod answers;

use std::collections::BTreeMap;
use std::sync::Arc;

use ratman_eris::{BlockSize, ReadCapability, Reference};
use ratman_types::{Address, ByteCount, Now, Recipient, WallTime, blake2b, is_valid_key};
use ratman_wire::stream::{AuxiliaryData, Contents, Lifetime, StreamId};

use super::listed::{ListedStream, StreamStage};
use super::outbound::{Outbound, Purpose};
use super::record::Record;
use super::store_queue::Durable;
use super::{NewShare, NewStream, SendError, StreamEvent, StreamKey, Streams, Write};
use crate::journal::{Group, GroupNumber, Role};
use crate::stream::{Ended, Routing, SealedManifest, Sending};
pub(super) use answers::Answers;
pub use answers::MAX_ANSWERED;

/// What is shared: blocks in the journal.
pub(super) struct Shared {
    group: GroupNumber,
    times: (WallTime, Lifetime),
    size: ByteCount,
    block_size: BlockSize,
    /// The manifest, sealed to the address that shares it.
    sealed: Vec<u8>,
    /// What it opens to, while that address is up.
    capability: Option<ReadCapability>,
    /// The numbers of all blocks, for who is told of them.
    numbers: Arc<BTreeMap<Reference, u32>>,
}

impl Shared {
    fn end(&self) -> WallTime {
        let (created, lifetime) = self.times;
        lifetime.end(created)
    }
}

/// What shared content is called in the journal, and in lists.
pub(super) fn shared_key(sender: Address, capability: &ReadCapability) -> StreamKey {
    let stream = StreamId::of_shared(capability);
    StreamKey { sender, recipient: Recipient::Address(sender), stream }
}

impl Streams {
    /// Begins to read content that is to be shared; it follows with [`Streams::write`] and [`Streams::finish`], and
    /// [`StreamEvent::Shared`] says what it is called. Whoever is told that name, or guesses the content, can read it: it is not
    /// encrypted for anybody.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn share(&mut self, new: NewShare, now: Now) -> Result<StreamKey, SendError> {
        let NewShare { sender, size, lifetime } = new;
        if !self.locals.contains_key(&sender) {
            return Err(SendError::Sender);
        }
        let recipient = Recipient::Address(sender);
        let (routing, auxiliary_data) = (Routing::Pull, AuxiliaryData::default());
        let new = NewStream { sender, recipient, size, lifetime, routing, auxiliary_data };
        self.open(new, Purpose::Share, now)
    }

    /// All of what a client shares is durable.
    pub(super) fn share_is_durable(&mut self, key: &StreamKey, now: Now) {
        let Some(out) = self.sent.get(key).filter(|out| out.purpose == Purpose::Share) else { return };
        let (Some(group), Some(sealed), Some(capability)) = (out.group, &out.sealed, out.capability.clone())
        else {
            return;
        };
        let shared = Shared {
            group,
            times: (out.created, out.lifetime),
            size: out.said.unwrap_or_default(),
            block_size: out.block_size,
            sealed: sealed.as_bytes().to_vec(),
            numbers: Arc::clone(out.sending.numbers()),
            capability: Some(capability.clone()),
        };
        self.forget_sent(key);
        self.keep_shared(&shared_key(key.sender, &capability), shared);
        self.events.push_back(StreamEvent::Shared { key: *key, capability });
        self.ways_changed(now);
    }

    /// Of equal contents the one that is wanted longer stays; both have the same blocks under the same numbers.
    fn keep_shared(&mut self, key: &StreamKey, shared: Shared) {
        let name = (key.sender, key.stream);
        let before = self.shared.get(&name).map(|before| (before.group, before.end()));
        match before {
            Some((_, end)) if end >= shared.end() => return self.remove_group(shared.group),
            Some((group, _)) => {
                self.shared.remove(&name);
                self.remove_group(group);
            }
            None => {}
        }
        self.journal.rename(shared.group, key.group(Role::Shared));
        self.shared.insert(name, shared);
    }

    /// Tells a recipient of shared content: an address until it has it, a namespace for as long as what is flooded is kept. Who was
    /// told and has it is not given it again.
    ///
    /// [`StreamEvent::Accepted`] follows when it is durable, unless it [was before](Streams::is_accepted), and
    /// [`StreamEvent::Ended`] when there is nothing more to tell.
    ///
    /// # Errors
    /// [`SendError::Sender`], [`SendError::Recipient`], [`SendError::NotShared`] and [`SendError::Journal`].
    pub fn announce(
        &mut self,
        sender: Address,
        stream: StreamId,
        recipient: Recipient,
        now: Now,
    ) -> Result<StreamKey, SendError> {
        if !self.locals.contains_key(&sender) {
            return Err(SendError::Sender);
        }
        if !is_valid_key(recipient.as_bytes()) {
            return Err(SendError::Recipient);
        }
        let shared = self.shared.get(&(sender, stream)).ok_or(SendError::NotShared)?;
        let (of_content, size) = (shared.times, shared.size);
        let capability = shared.capability.clone().ok_or(SendError::NotShared)?;
        let times = times_to(&recipient, of_content, self.wall(now)).ok_or(SendError::NotShared)?;
        let key = StreamKey { sender, recipient, stream };
        if self.is_announced(&key) {
            return Ok(key);
        }
        let sealed =
            self.seal(&key, of_content, (size, AuxiliaryData::default()), Contents::Blocks(capability))?;
        self.remove_sent(&key);
        let group = self.journal.open(key.group(Role::Sent), None, times.1.end(times.0))?;
        self.journal.hold(group);
        let (bytes, (created, lifetime)) = (sealed.as_bytes().to_vec(), times);
        self.journal.note_record(group, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let record = Record::Announced { key, created, lifetime, sealed: bytes }.encode();
        self.store.write_then(group, Write::Group { group, record }, Durable::Accepted { key });
        let sending = Sending::new(Routing::Pull);
        let mut out = Outbound::complete(Purpose::Announce, Some(group), times, sending);
        out.sealed = Some(sealed);
        self.take_shared_blocks(&key, &mut out);
        out.sending.finished();
        self.sent.insert(key, out);
        self.sent_way_changed(&key, now);
        Ok(key)
    }

    /// Whether a recipient is being told already, or a namespace was: of that its end is said once more.
    fn is_announced(&mut self, key: &StreamKey) -> bool {
        let end = self.shared.get(&(key.sender, key.stream)).map(Shared::end);
        if let Some(out) = self.sent.get(key).filter(|out| out.purpose == Purpose::Announce) {
            let is_to_namespace = matches!(key.recipient, Recipient::Namespace(_));
            let is_as_long = Some(out.lifetime.end(out.created)) == end;
            if is_to_namespace || is_as_long {
                return true;
            }
        }
        let flooded = self.journal.find(&key.group(Role::Flooded));
        if flooded.and_then(|group| self.journal.get(group)).is_some_and(|group| group.brought_by.is_none()) {
            self.events.push_back(StreamEvent::Accepted(*key));
            self.events.push_back(StreamEvent::Ended(*key, Ended::Published));
            return true;
        }
        false
    }

    /// Shares content no more: nobody is told of it any more, nobody gets a block, and nothing of it is kept here, which
    /// [`StreamEvent::TakenDown`] says. Other routers keep announcements to namespaces until they expire. False where it is not shared.
    pub fn take_down(&mut self, sender: Address, stream: StreamId) -> bool {
        let Some(shared) = self.shared.get(&(sender, stream)) else { return false };
        let group = shared.group;
        let key = StreamKey { sender, recipient: Recipient::Address(sender), stream };
        self.end_announcements((sender, stream), Ended::Withdrawn);
        let flooded = self.journal.of_stream(Role::Flooded, sender, stream);
        self.evict(&flooded);
        // Last: what is told is durable then, and so is what was done before it.
        self.store.promise(group, Durable::TakenDown { key });
        self.remove_group(group);
        true
    }

    pub(super) fn is_taken_down(&mut self, key: &StreamKey, durable: bool) {
        let StreamKey { sender, stream, .. } = *key;
        self.events.push_back(StreamEvent::TakenDown { sender, stream, durable });
    }

    /// The blocks of shared content are gone: with them goes what tells of it.
    pub(super) fn forget_shared(&mut self, number: GroupNumber, key: &StreamKey) {
        let name = (key.sender, key.stream);
        if self.shared.get(&name).is_none_or(|shared| shared.group != number) {
            return;
        }
        self.shared.remove(&name);
        self.end_announcements(name, Ended::Expired);
    }

    /// Nobody is told of content any more, and nobody gets it.
    fn end_announcements(&mut self, name: (Address, StreamId), ended: Ended) {
        let (sender, stream) = name;
        let of_it = self.sent_after(sender, None).filter(|key| key.stream == stream);
        let of_it = of_it.filter_map(|key| self.sent.get(key).map(|out| (*key, out)));
        let of_it = of_it.filter(|(_, out)| out.has_shared_blocks());
        for (key, purpose) in of_it.map(|(key, out)| (key, out.purpose)).collect::<Vec<_>>() {
            if purpose == Purpose::Announce {
                self.events.push_back(StreamEvent::Ended(key, ended));
            }
            self.remove_sent(&key);
        }
    }

    /// Where the blocks of a stream are that is sent.
    pub(super) fn blocks_of(&self, key: &StreamKey, out: &Outbound) -> Option<GroupNumber> {
        if out.has_shared_blocks() {
            return self.shared.get(&(key.sender, key.stream)).map(|shared| shared.group);
        }
        out.group
    }

    /// Whether a stream is of content that is shared.
    pub(super) fn find_shared(&self, key: &StreamKey) -> bool {
        self.shared.contains_key(&(key.sender, key.stream))
    }

    /// Lets an address ask for the blocks of shared content; a namespace gets a manifest and nothing else.
    pub(super) fn take_shared_blocks(&self, key: &StreamKey, out: &mut Outbound) {
        let Some(shared) = self.shared.get(&(key.sender, key.stream)) else { return };
        (out.said, out.block_size) = (Some(shared.size), shared.block_size);
        if let Recipient::Address(_) = key.recipient {
            out.sending = Sending::of_blocks(Arc::clone(&shared.numbers));
        }
    }

    /// What a client shared before a restart.
    pub(super) fn restore_shared(
        &mut self,
        number: GroupNumber,
        key: &StreamKey,
        (created, lifetime, size): (WallTime, Lifetime, ByteCount),
        sealed: Vec<u8>,
    ) {
        let times = (created, lifetime);
        let (block_size, numbers) = (BlockSize::Kib32, Arc::default());
        let shared = Shared { group: number, times, size, block_size, sealed, capability: None, numbers };
        // Where the same was shared twice just before: under another name until it is known which one stays.
        let unnamed = StreamKey { stream: StreamId::from_bytes(self.random()), ..*key };
        self.journal.restore(number, Group::new(unnamed.group(Role::Shared), None, shared.end()));
        self.journal.hold(number);
        self.keep_shared(key, shared);
    }

    /// All blocks of what was shared are known.
    pub(super) fn restored_shared(&mut self) {
        for shared in self.shared.values_mut() {
            let Some(group) = self.journal.get(shared.group) else { continue };
            let number = |(name, number): (&[u8; 32], u32)| (Reference::from_bytes(*name), number);
            let blocks = group.entries().map(|(name, entry)| number((name, entry.number)));
            shared.numbers = Arc::new(blocks.collect());
            let length = group.entries().next().and_then(|(_, entry)| usize::try_from(entry.bytes).ok());
            shared.block_size = length.and_then(BlockSize::from_bytes).unwrap_or(shared.block_size);
        }
        let senders: Vec<Address> = self.locals.keys().copied().collect();
        senders.iter().for_each(|sender| self.open_shared(sender));
    }

    /// An address is up: what it shares can be announced.
    pub(super) fn open_shared(&mut self, sender: &Address) {
        let Some(local) = self.locals.get(sender) else { return };
        for ((of, stream), shared) in &mut self.shared {
            if of != sender || shared.capability.is_some() {
                continue;
            }
            let sealed = SealedManifest::from_slices(blake2b(&[&shared.sealed]), shared.sealed.clone());
            let own = Recipient::Address(*of);
            let manifest = sealed.and_then(|sealed| sealed.open(of, &own, &local.key).ok());
            let manifest = manifest.filter(|manifest| manifest.stream() == *stream);
            match manifest.as_ref().map(|manifest| manifest.contents()) {
                Some(Contents::Blocks(capability)) => shared.capability = Some(capability.clone()),
                Some(Contents::Inline(_)) | None => tracing::warn!("a stored share cannot be opened"),
            }
        }
    }

    /// An address is down: what only its key opens is forgotten.
    pub(super) fn close_shared(&mut self, sender: &Address) {
        let theirs = self.shared.iter_mut().filter(|((of, _), _)| of == sender);
        theirs.for_each(|(_, shared)| shared.capability = None);
    }

    /// What is shared, as lists show it; called as in the journal.
    pub(super) fn listed_shared(&self, key: &StreamKey) -> Option<ListedStream> {
        let is_own = key.recipient == Recipient::Address(key.sender);
        let shared = self.shared.get(&(key.sender, key.stream)).filter(|_| is_own)?;
        let stored = self.journal.get(shared.group).map_or(ByteCount(0), Group::bytes);
        Some(ListedStream {
            key: *key,
            stage: StreamStage::Shared,
            size: Some(shared.size),
            arrived: stored,
            in_all: Some(stored),
            end: shared.end(),
            capability: shared.capability.clone(),
        })
    }
}

/// Made when and for how long what tells a recipient of content is; nothing where that has passed. The manifest says the times of the
/// content, so that who had it from one announcement knows it in the next.
fn times_to(
    recipient: &Recipient,
    (created, lifetime): (WallTime, Lifetime),
    now: WallTime,
) -> Option<(WallTime, Lifetime)> {
    let left = u64::try_from(lifetime.end(created).ahead_of(now)).ok()? / 1_000_000;
    let left = u32::try_from(left).ok().filter(|left| *left > 0)?;
    match recipient {
        Recipient::Address(_) => Some((created, lifetime)),
        Recipient::Namespace(_) => {
            Some((now, Lifetime::from_secs(left.min(Lifetime::MAX_FLOODED.as_secs()))?))
        }
    }
}
