// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that come for local addresses: blocks and manifests are stored as they arrive, what is missing is asked for,
//! and when all of it is durable the sender hears so, and a client.

mod members;
mod pulling;
mod stored;
mod whole;
mod words;

use core::time::Duration;
use std::collections::BTreeMap;

use ratman_eris::Reference;
use ratman_types::{ByteCount, Hop, Now, Recipient, RouterId, Timestamp, WallTime, blake2b};
use ratman_wire::FrameId;
use ratman_wire::stream::{Contents, Manifest, Outcome};

use super::frames::AHEAD;
use super::listed::{ListedStream, StreamStage};
use super::record::Record;
use super::store_queue::{Durable, Reader};
use super::{Arrival, LOOPBACK, StreamKey, Streams, Write};
use crate::DropReason;
use crate::journal::{GroupNumber, Role};
use crate::stream::{Receiving, SealedManifest, Step, Unreadable};
use pulling::is_of_shared;
pub use whole::Spot;
pub(super) use whole::Whole;

/// The sender hears of its blocks after so many bytes, or after [`PROGRESS_WITHIN`] (decisions/window-of-streams.md).
const PROGRESS_BYTES: u64 = 64 * 1024;
const PROGRESS_WITHIN: Duration = Duration::from_millis(20);
/// A repeated manifest of a finished stream is answered at most once in this time (source: wire page, streams).
const RECEIPT_PAUSE: Duration = Duration::from_secs(2);
/// Who asks for blocks waits at least so long before it asks again.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// One stream that comes here.
pub(super) struct Inbound {
    pub(super) group: GroupNumber,
    end: WallTime,
    brought_by: Option<RouterId>,
    sealed: Option<Vec<u8>>,
    manifest: Option<Manifest>,
    receiving: Option<Receiving>,
    /// Blocks that are not durable yet, with the batch in which they are to be: bounded with what waits for the store.
    unstored: BTreeMap<Reference, (u64, Vec<u8>)>,
    /// Whether it was handed to the store that all of it is there.
    is_completing: bool,
    /// What is being read for `receiving`.
    reading: Option<Reference>,
    received: u64,
    told: u64,
    newest: Option<Reference>,
    progress_at: Option<Timestamp>,
    stage: Stage,
    /// When its sender was told that all of it is here.
    answered: Option<Timestamp>,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Coming,
    /// All of it is here, the last of it on its way to the disk.
    Storing,
    /// All of it is durable, and no client took it yet.
    Whole,
}

/// What is remembered of a stream that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    pub(super) group: GroupNumber,
    pub(super) end: WallTime,
    answered: Option<Timestamp>,
}

impl Finished {
    pub(super) const fn new(group: GroupNumber, end: WallTime) -> Self {
        Self { group, end, answered: None }
    }
}

/// What is remembered of a stream that was refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub(super) end: WallTime,
    answered: Option<Timestamp>,
}

impl Inbound {
    fn new(group: GroupNumber, end: WallTime, brought_by: Option<RouterId>) -> Self {
        Self {
            group,
            end,
            brought_by,
            sealed: None,
            manifest: None,
            receiving: None,
            unstored: BTreeMap::new(),
            is_completing: false,
            reading: None,
            received: 0,
            told: 0,
            newest: None,
            progress_at: None,
            stage: Stage::Coming,
            answered: None,
        }
    }

    fn record(&self, key: StreamKey) -> Vec<u8> {
        let complete = self.is_complete();
        let (end, brought_by, sealed) = (self.end, self.brought_by, self.sealed.clone());
        Record::Received { key, end, brought_by, sealed, complete }.encode()
    }

    /// Whether all of it is here and not durable yet.
    pub(super) fn is_storing(&self) -> bool {
        self.stage == Stage::Storing
    }

    /// How far it is; `stored` are the bytes of its blocks that are here.
    pub(super) fn listed(&self, key: StreamKey, stored: ByteCount) -> ListedStream {
        let size = self.manifest.as_ref().map(|manifest| manifest.letterhead().stream_size);
        let contents = self.manifest.as_ref().map(Manifest::contents);
        let in_all = match (contents, self.stage) {
            (Some(Contents::Blocks(capability)), Stage::Coming) => {
                size.map(|size| capability.block_size().bytes_of_tree(size))
            }
            (Some(_), _) => Some(stored),
            (None, _) => None,
        };
        let stage = if self.stage == Stage::Whole { StreamStage::Waiting } else { StreamStage::Receiving };
        ListedStream { key, stage, size, arrived: stored, in_all, end: self.end, capability: None }
    }

    /// Whether the store has all of it, or is about to.
    fn is_complete(&self) -> bool {
        self.stage == Stage::Whole || self.is_completing
    }

    /// As it is kept while nobody can open it.
    pub(super) fn asleep(self) -> Restored {
        let complete = self.is_complete();
        let Self { group, end, brought_by, sealed, .. } = self;
        Restored { group, end, brought_by, sealed, complete }
    }

    #[cfg(test)]
    pub(super) fn describe(&self) -> String {
        let (manifest, wanted) =
            (self.sealed.is_some(), self.receiving.as_ref().map(Receiving::poll_timeout));
        format!(
            "{:?} manifest: {manifest}, unstored: {}, reading: {:?}, due: {wanted:?}",
            self.stage,
            self.unstored.len(),
            self.reading
        )
    }

    /// Where it is among those that are whole.
    pub(super) fn spot(&self) -> Spot {
        Spot::new(self.manifest.as_ref().map(Manifest::created).unwrap_or_default(), self.group)
    }

    /// What a client is told of it, once it is whole.
    pub(super) fn arrival(&self, key: StreamKey) -> Option<Arrival> {
        let manifest = self.manifest.as_ref().filter(|_| self.stage == Stage::Whole)?;
        Some(Arrival {
            key,
            group: self.group,
            size: manifest.letterhead().stream_size,
            created: manifest.created(),
            end: self.end,
            auxiliary_data: manifest.letterhead().auxiliary_data.clone(),
            contents: manifest.contents().clone(),
        })
    }
}

impl Streams {
    /// The stream of this name, begun if it is new.
    fn inbound(&mut self, key: &StreamKey, end: WallTime, from: Hop) -> Result<Inbound, DropReason> {
        if let Some(inbound) = self.received.remove(key) {
            return Ok(inbound);
        }
        let group = self.journal.open(key.group(Role::Received), Some(from.neighbour), end);
        let group = group.map_err(|_| DropReason::JournalFull)?;
        let inbound = Inbound::new(group, end, Some(from.neighbour));
        self.store.write(Write::Group { group, record: inbound.record(*key) });
        Ok(inbound)
    }

    fn put_received(&mut self, key: StreamKey, inbound: Inbound, now: Now) {
        let asks = inbound.stage == Stage::Coming && inbound.reading.is_none();
        let pull = inbound.receiving.as_ref().filter(|_| asks);
        let pull = pull.and_then(Receiving::poll_timeout).filter(|_| self.can_ask(&key, &inbound));
        let deadline = [pull, inbound.progress_at].into_iter().flatten().min();
        self.received_deadlines.set(key, deadline.map(|at| at.max(now.at + LEAST_PAUSE)));
        self.received.insert(key, inbound);
    }

    /// Whether a stream needs nothing more.
    pub(super) fn has_all_of(&self, key: &StreamKey) -> bool {
        let is_whole = self.received.get(key).is_some_and(|inbound| inbound.stage == Stage::Whole);
        is_whole || self.finished.contains_key(key) || self.refused.contains_key(key)
    }

    /// Whether a frame is of a stream that needs nothing more: then its sender or a carrier hears so.
    pub(super) fn is_over(&mut self, key: &StreamKey, (from, frame): (Hop, FrameId)) -> bool {
        let is_over = self.has_all_of(key);
        // Of what is flooded the keeper tells.
        if is_over && matches!(key.recipient, Recipient::Address(_)) {
            self.tell_custody(from, vec![frame]);
        }
        if is_over && from == LOOPBACK {
            // We carried it ourselves while the address was down.
            self.carried_is_over(key);
        }
        is_over
    }

    /// The sender of a stream may be reached by another way.
    pub(super) fn received_way_changed(&mut self, key: &StreamKey, now: Now) {
        if let Some(inbound) = self.received.remove(key) {
            self.put_received(*key, inbound, now);
        }
    }

    /// Blocks of one verified frame.
    pub(super) fn receive_blocks<'a>(
        &mut self,
        key: &StreamKey,
        end: WallTime,
        blocks: impl Iterator<Item = (Reference, &'a [u8])>,
        from: Hop,
        now: Now,
    ) -> Result<(), DropReason> {
        if !self.store.has_room() {
            return Err(DropReason::StoreBusy);
        }
        let is_new = !self.received.contains_key(key);
        let mut inbound = self.inbound(key, end, from)?;
        let mut result = Ok(());
        for (reference, bytes) in blocks {
            match self.keep_block(&mut inbound, reference, bytes) {
                Ok(None) => {}
                Ok(Some(number)) => self.store_block(key, &mut inbound, (reference, number, bytes)),
                Err(reason) => {
                    result = Err(reason);
                    break;
                }
            }
        }
        if is_new && inbound.received == 0 {
            // Nothing of it found room: no place is kept for it either.
            self.remove_group(inbound.group);
            return result;
        }
        if inbound.received > inbound.told && inbound.progress_at.is_none() {
            inbound.progress_at = Some(now.at + PROGRESS_WITHIN);
        }
        if inbound.received - inbound.told >= PROGRESS_BYTES {
            self.tell_progress(key, &mut inbound, now);
        }
        self.go_on(key, inbound, now);
        result
    }

    fn store_block(
        &mut self,
        key: &StreamKey,
        inbound: &mut Inbound,
        (reference, number, bytes): (Reference, u32, &[u8]),
    ) {
        let (name, batch) = (*reference.as_bytes(), self.store.batch());
        let write = Write::Entry { group: inbound.group, number, name, bytes: bytes.to_vec() };
        self.store.write_then(inbound.group, write, Durable::Received { key: *key, reference });
        inbound.unstored.insert(reference, (batch, bytes.to_vec()));
        inbound.received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        inbound.newest = Some(reference);
        if let Some(receiving) = &mut inbound.receiving {
            receiving.arrived(&reference);
        }
    }

    /// Whether a block is new, and its number then.
    fn keep_block(
        &mut self,
        inbound: &mut Inbound,
        reference: Reference,
        bytes: &[u8],
    ) -> Result<Option<u32>, DropReason> {
        let there =
            self.journal.get(inbound.group).is_some_and(|group| group.find(reference.as_bytes()).is_some());
        if there || inbound.stage != Stage::Coming {
            return Ok(None);
        }
        let length = u32::try_from(bytes.len()).map_err(|_| DropReason::MalformedPayload)?;
        let leaving =
            self.journal.room_for(inbound.group, length.into()).map_err(|_| DropReason::JournalFull)?;
        self.evict(&leaving);
        Ok(self.journal.insert(inbound.group, *reference.as_bytes(), length).map(|entry| entry.number))
    }

    /// Something of a stream that needs nothing more came: its sender, and whoever carries it, hears what became of it.
    pub(super) fn answer_again(&mut self, key: &StreamKey, now: Now) {
        let answered = if let Some(finished) = self.finished.get_mut(key) {
            Some((&mut finished.answered, Outcome::Delivered))
        } else if let Some(refused) = self.refused.get_mut(key) {
            Some((&mut refused.answered, Outcome::Refused))
        } else {
            self.received.get_mut(key).map(|inbound| (&mut inbound.answered, Outcome::Delivered))
        };
        let Some((answered, outcome)) = answered else { return };
        if answered.is_none_or(|answered| now.at.since(answered) >= RECEIPT_PAUSE) {
            *answered = Some(now.at);
            self.send_receipt(key, outcome, now);
        }
    }

    /// A sealed manifest is whole.
    pub(super) fn receive_manifest(
        &mut self,
        key: &StreamKey,
        end: WallTime,
        sealed: Vec<u8>,
        from: Hop,
        now: Now,
    ) -> Result<(), DropReason> {
        let manifest = self.open_manifest(key, &sealed).ok_or(DropReason::BadManifest)?;
        // What tells a namespace of shared content is kept for a day, and the content for longer.
        let of_content = manifest.lifetime().end(manifest.created());
        let is_made = manifest.created().ahead_of(self.wall(now)) <= AHEAD;
        let fits =
            if is_of_shared(key, &manifest) { is_made && end <= of_content } else { end == of_content };
        if !fits {
            return Err(DropReason::BadManifest);
        }
        let end = of_content;
        let size = manifest.letterhead().stream_size;
        if self.refuses(key, size) {
            self.refuse(key, end, now);
            return Err(DropReason::StreamRefused);
        }
        if !self.store.has_room() {
            return Err(DropReason::StoreBusy);
        }
        let mut inbound = self.inbound(key, end, from)?;
        if inbound.sealed.is_some() {
            // Its sender asks what became of it; what is missing is asked for already.
            self.go_on(key, inbound, now);
            return Ok(());
        }
        let record = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        let leaving =
            self.journal.room_for(inbound.group, record.into()).map_err(|_| DropReason::JournalFull);
        let leaving = match leaving {
            Ok(leaving) => leaving,
            Err(reason) => {
                self.put_received(*key, inbound, now);
                return Err(reason);
            }
        };
        self.evict(&leaving);
        self.journal.note_record(inbound.group, record);
        inbound.sealed = Some(sealed);
        if !self.read_manifest(key, &mut inbound, manifest, now) {
            self.received.insert(*key, inbound);
            self.refuse(key, end, now);
            return Err(DropReason::BadManifest);
        }
        self.store.write(Write::Group { group: inbound.group, record: inbound.record(*key) });
        self.go_on(key, inbound, now);
        Ok(())
    }

    fn open_manifest(&self, key: &StreamKey, sealed: &[u8]) -> Option<Manifest> {
        let sealed = SealedManifest::from_slices(blake2b(&[sealed]), sealed.to_vec())?;
        let manifest = sealed.open(&key.sender, &key.recipient, self.key_of(&key.recipient)?).ok()?;
        (manifest.stream() == key.stream).then_some(manifest)
    }

    /// Whether it names a tree that can be.
    fn read_manifest(
        &mut self,
        key: &StreamKey,
        inbound: &mut Inbound,
        manifest: Manifest,
        now: Now,
    ) -> bool {
        let size = manifest.letterhead().stream_size;
        if let Contents::Blocks(capability) = manifest.contents() {
            // What does not fit is refused at once, not when the journal is full of it.
            if size.0 > self.config.quota.0 / 4 * 3 {
                tracing::info!(sender = %key.sender.short(), bytes = size.0, "a stream larger than the journal");
                return false;
            }
            match Receiving::new(capability, size, now.at) {
                Ok(receiving) => inbound.receiving = Some(receiving),
                Err(_) => return false,
            }
        }
        inbound.manifest = Some(manifest);
        true
    }

    /// Goes on with a stream as far as what is here allows, asks for the rest, and puts it back.
    fn go_on(&mut self, key: &StreamKey, mut inbound: Inbound, now: Now) {
        match self.advance(key, &mut inbound) {
            Ok(true) => {
                inbound.stage = Stage::Storing;
                self.storing.insert((key.recipient, *key));
                // From here on it must not make room for others: it is about to be told as delivered.
                self.journal.hold(inbound.group);
                inbound.progress_at = None;
                self.complete(key, &mut inbound);
            }
            Ok(false) => self.pull(key, &mut inbound, now),
            Err(unreadable) => {
                tracing::info!(sender = %key.sender.short(), %unreadable, "a stream cannot be read");
                let end = inbound.end;
                self.received.insert(*key, inbound);
                return self.refuse(key, end, now);
            }
        }
        self.put_received(*key, inbound, now);
    }

    /// Whether all of it is here now.
    fn advance(&mut self, key: &StreamKey, inbound: &mut Inbound) -> Result<bool, Unreadable> {
        if inbound.stage != Stage::Coming || inbound.manifest.is_none() || inbound.reading.is_some() {
            return Ok(false);
        }
        let Some(receiving) = &mut inbound.receiving else { return Ok(true) };
        let Some(group) = self.journal.get(inbound.group) else { return Ok(false) };
        loop {
            match receiving.advance(|reference| group.find(reference.as_bytes()).is_some())? {
                Step::Complete => return Ok(true),
                Step::Await => return Ok(false),
                Step::Read(reference) => {
                    if let Some((_, block)) = inbound.unstored.get(&reference) {
                        receiving.handle_read(block)?;
                        continue;
                    }
                    let Some(entry) = group.find(reference.as_bytes()) else { return Ok(false) };
                    inbound.reading = Some(reference);
                    let reader = Reader::Received { key: *key, reference };
                    self.store.read(inbound.group, entry.number, reader);
                    return Ok(false);
                }
            }
        }
    }

    /// What a stream wants to be done now.
    pub(super) fn received_timeout(&mut self, key: &StreamKey, now: Now) {
        let Some(mut inbound) = self.received.remove(key) else { return };
        if inbound.progress_at.is_some_and(|at| at <= now.at) {
            self.tell_progress(key, &mut inbound, now);
        }
        self.pull(key, &mut inbound, now);
        self.put_received(*key, inbound, now);
        debug_assert!(
            self.received_deadlines.get(key).is_none_or(|at| at > now.at),
            "it would be asked for ever"
        );
    }

    /// Puts a stream back that was coming before a restart; false if it can never be read.
    pub(super) fn restored_received(&mut self, key: StreamKey, restored: Restored, now: Now) -> bool {
        let mut inbound = Inbound::new(restored.group, restored.end, restored.brought_by);
        if let Some(sealed) = restored.sealed {
            let Some(manifest) = self.open_manifest(&key, &sealed) else { return false };
            inbound.sealed = Some(sealed);
            if !self.read_manifest(&key, &mut inbound, manifest, now) {
                return false;
            }
        }
        if restored.complete {
            inbound.stage = Stage::Whole;
            self.journal.hold(inbound.group);
            self.whole.insert(key, inbound.spot());
            self.received.insert(key, inbound);
            return true;
        }
        self.go_on(&key, inbound, now);
        true
    }
}

/// What was stored of a stream that comes here.
pub(super) struct Restored {
    pub(super) group: GroupNumber,
    pub(super) end: WallTime,
    pub(super) brought_by: Option<RouterId>,
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) complete: bool,
}
