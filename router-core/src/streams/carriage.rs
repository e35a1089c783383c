// SPDX-License-Identifier: AGPL-3.0-or-later
//! Frames that are carried for others: kept while there is no way to their recipients, and sent on when there is one,
//! those of the newest stream first.

mod flights;
mod takers;
mod ways;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use ratman_types::{Address, Hop, Now, Recipient, RouterId, Timestamp, WallTime};
use ratman_wire::carrier::peek_mode;
use ratman_wire::stream::StreamId;
use ratman_wire::{FrameId, Mode};

use super::deadlines::Deadlines;
use super::outbound::Kind;
use super::record::Record;
use super::store_queue::{Durable, Reader};
use super::{LOOPBACK, StreamKey, StreamTransmit, Streams, Write};
use crate::journal::{GroupKey, GroupNumber, JournalFull, Role};
use crate::{DropReason, Via};
use flights::Flights;
use takers::{Place, Takers};
use ways::looks;

/// As many bytes are on their way from the disk to neighbours at a time: a returning route must not be filled with what is
/// old before what is new.
const BUDGET: usize = 1 << 20;
/// What nobody answered for is sent again, in growing pauses: as long as manifests (source: wire page, streams).
const AGAIN_FIRST: Duration = Duration::from_secs(10);
const AGAIN_LONGEST: Duration = Duration::from_secs(600);

/// A receipt or a refusal is sent so often to a recipient that is reached: who passes it on, or takes it behind somebody who
/// does, does not answer for it, and a sender that does not get it asks again.
const WORDS_SENT: u8 = 3;

/// What is carried.
#[derive(Debug, Default)]
pub(super) struct Carriage {
    groups: BTreeMap<GroupNumber, Carried>,
    by_name: BTreeMap<FrameId, (GroupNumber, u32)>,
    /// Of each recipient of something carried, what its way was like when it was looked at last.
    ways: BTreeMap<Address, OfRecipient>,
    queue: VecDeque<Place>,
    /// Who is handed something to carry it on; what it does not take now is kept there.
    takers: Takers,
    flight: Flights,
    again: Deadlines<GroupNumber>,
}

/// What is carried for one recipient.
#[derive(Debug)]
struct OfRecipient {
    groups: usize,
    /// Where its frames went when it was looked at last, and whether it was known to be reached there.
    way: (Kind, Option<Hop>),
}

/// The frames of one group.
#[derive(Debug)]
struct Carried {
    recipient: Address,
    frames: BTreeMap<u32, Carry>,
    pause: Duration,
}

#[derive(Debug)]
struct Carry {
    name: FrameId,
    bytes: usize,
    durable: bool,
    queued: bool,
    /// The neighbour that it was sent to last: nobody else can answer for it.
    sent_to: Option<RouterId>,
    /// How often it went where its recipient is known to be reached.
    live: u8,
}

impl Carriage {
    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let waits = !self.queue.is_empty() || self.takers.has_ready();
        let leaves = self.flight.next().filter(|_| waits);
        [leaves, self.again.next(), self.takers.next()].into_iter().flatten().min()
    }

    /// How many groups are carried.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    fn forget(&mut self, group: GroupNumber) {
        let Some(carried) = self.groups.remove(&group) else { return };
        carried.frames.values().for_each(|carry| _ = self.by_name.remove(&carry.name));
        self.again.set(group, None);
        if let Some(of_recipient) = self.ways.get_mut(&carried.recipient) {
            of_recipient.groups = of_recipient.groups.saturating_sub(1);
            if of_recipient.groups == 0 {
                self.ways.remove(&carried.recipient);
            }
        }
    }
}

impl Streams {
    /// Keeps a verified frame, of which `hops_left` is taken down already, until there is a way to its recipient.
    pub(super) fn carry(
        &mut self,
        from: Hop,
        (sender, recipient, stream): (Address, Address, Option<StreamId>),
        end: WallTime,
        (name, frame): (FrameId, Vec<u8>),
        now: Now,
    ) -> Result<(), DropReason> {
        if let Some((group, number)) = self.carriage.by_name.get(&name).copied() {
            let carried = self.carriage.groups.get(&group).and_then(|carried| carried.frames.get(&number));
            // Two that carry the same must not both let go of it.
            if carried.is_some_and(|carry| carry.durable && carry.sent_to != Some(from.neighbour)) {
                self.tell_custody(from, vec![name]);
            }
            return Ok(());
        }
        if end <= self.wall(now) {
            return Err(DropReason::Expired);
        }
        let key = GroupKey { role: Role::Carried, sender, recipient: Recipient::Address(recipient), stream };
        let kept = self.keep_frame(key, Some(from.neighbour), end, (name, frame.len()))?;
        let Some((group, number)) = kept else { return Ok(()) };
        self.hold_carried(group, recipient, number, (name, frame.len()));
        self.write_frame((group, number), name, frame, Durable::Carried { group, number, name, from });
        Ok(())
    }

    /// Finds a place in the journal for a frame that is kept for others; nothing if it is there already.
    pub(super) fn keep_frame(
        &mut self,
        key: GroupKey,
        brought_by: Option<RouterId>,
        end: WallTime,
        (name, length): (FrameId, usize),
    ) -> Result<Option<(GroupNumber, u32)>, DropReason> {
        if !self.store.has_room() {
            return Err(DropReason::StoreBusy);
        }
        let is_new = self.journal.find(&key).is_none();
        let group = self.journal.open(key, brought_by, end).map_err(JournalFull::drop_reason)?;
        let length = u32::try_from(length).map_err(|_| DropReason::MalformedFrame)?;
        let leaving = self.journal.room_for(group, length.into());
        let leaving = match leaving {
            Ok(leaving) => leaving,
            Err(full) => {
                if is_new {
                    self.journal.remove(group);
                }
                return Err(full.drop_reason());
            }
        };
        self.evict(&leaving);
        let Some(entry) = self.journal.insert(group, *name.as_bytes(), length) else { return Ok(None) };
        if is_new {
            let record = Record::Carried { key, end, brought_by }.encode();
            self.store.write(Write::Group { group, record });
        }
        Ok(Some((group, entry.number)))
    }

    /// Stores a frame in its place.
    pub(super) fn write_frame(
        &mut self,
        (group, number): (GroupNumber, u32),
        name: FrameId,
        frame: Vec<u8>,
        durable: Durable,
    ) {
        let write = Write::Entry { group, number, name: *name.as_bytes(), bytes: frame };
        self.store.write_then(group, write, durable);
    }

    fn hold_carried(
        &mut self,
        group: GroupNumber,
        recipient: Address,
        number: u32,
        (name, bytes): (FrameId, usize),
    ) {
        self.carriage.by_name.insert(name, (group, number));
        let way = looks(self.way(&recipient));
        if !self.carriage.groups.contains_key(&group) {
            let new = || OfRecipient { groups: 0, way };
            self.carriage.ways.entry(recipient).or_insert_with(new).groups += 1;
        }
        let carried = self.carriage.groups.entry(group).or_insert_with(|| Carried {
            recipient,
            frames: BTreeMap::new(),
            pause: AGAIN_FIRST,
        });
        let carry = Carry { name, bytes, durable: false, queued: false, sent_to: None, live: 0 };
        carried.frames.insert(number, carry);
    }

    /// A frame is durable: we answer for it, and it goes on if it can by now.
    pub(super) fn carried_is_durable(
        &mut self,
        group: GroupNumber,
        number: u32,
        name: FrameId,
        from: Option<Hop>,
        now: Now,
    ) {
        let Some(carried) = self.carriage.groups.get_mut(&group) else { return };
        let recipient = carried.recipient;
        let Some(carry) = carried.frames.get_mut(&number) else { return };
        carry.durable = true;
        if self.journal.get(group).is_some_and(|group| group.hold == crate::journal::Hold::Loose) {
            self.journal.hold(group);
        }
        if let Some(from) = from {
            self.tell_custody(from, vec![name]);
        }
        if self.carriage_way(&recipient, group).is_some() {
            self.queue_carried(group, number);
            self.schedule_again(group, now.at);
        }
    }

    fn queue_carried(&mut self, group: GroupNumber, number: u32) {
        let frames = self.carriage.groups.get_mut(&group).map(|carried| &mut carried.frames);
        if let Some(carry) = frames.and_then(|frames| frames.get_mut(&number))
            && carry.durable
            && !core::mem::replace(&mut carry.queued, true)
        {
            self.carriage.queue.push_back((group, number));
        }
    }

    fn queue_all(&mut self, group: GroupNumber, now: Timestamp) {
        let Some(carried) = self.carriage.groups.get(&group) else { return };
        for number in carried.frames.keys().copied().collect::<Vec<_>>() {
            self.queue_carried(group, number);
        }
        self.schedule_again(group, now);
    }

    fn schedule_again(&mut self, group: GroupNumber, now: Timestamp) {
        if let Some(carried) = self.carriage.groups.get(&group) {
            self.carriage.again.set(group, Some(now + carried.pause));
        }
    }

    /// Reads as much of what is to go on as may be on its way.
    pub(super) fn pump_carried(&mut self, now: Now) {
        self.carriage.flight.let_leave(now.at);
        while let Some(group) = self.carriage.again.take_due(now.at) {
            if let Some(carried) = self.carriage.groups.get_mut(&group) {
                carried.pause = (carried.pause * 2).min(AGAIN_LONGEST);
                let recipient = carried.recipient;
                match self.carriage_way(&recipient, group) {
                    Some(_) => self.queue_all(group, now.at),
                    None => self.schedule_again(group, now.at),
                }
            }
        }
        self.carriage.takers.handle_timeout(now.at);
        while self.carriage.flight.bytes() < BUDGET && self.store.may_read() {
            let Carriage { takers, queue, .. } = &mut self.carriage;
            let Some(place) = takers.pop_ready().or_else(|| queue.pop_front()) else { return };
            self.read_to_go_on(place, now.at);
        }
    }

    /// Reads the frame whose turn it is, or holds it where the next router does not take more.
    fn read_to_go_on(&mut self, (group, number): Place, now: Timestamp) {
        let Some(carried) = self.carriage.groups.get(&group) else { return };
        let recipient = carried.recipient;
        let way = self.carriage_way(&recipient, group);
        let Carriage { groups, takers, flight, .. } = &mut self.carriage;
        let frames = groups.get_mut(&group).map(|carried| &mut carried.frames);
        let Some(carry) = frames.and_then(|frames| frames.get_mut(&number)) else { return };
        if let Some((Via { hop, .. }, Kind::Carry)) = way {
            if !takers.may_hand(hop.neighbour) {
                return takers.hold(hop.neighbour, (group, number));
            }
            takers.handed(hop.neighbour, carry.bytes, now);
        }
        carry.queued = false;
        if way.is_none() {
            return;
        }
        flight.push((group, number), carry.bytes, now);
        self.store.read(group, number, Reader::Carried { group, number });
    }

    /// A frame was read, to go on.
    pub(super) fn carried_read(&mut self, group: GroupNumber, number: u32, frame: Option<Vec<u8>>) {
        let Some(carried) = self.carriage.groups.get(&group) else { return };
        let recipient = carried.recipient;
        let Some(frame) = frame else {
            // It may be a fault of the moment: it is tried again with the others of its group.
            return tracing::warn!("a carried frame cannot be read");
        };
        let Some((Via { hop, mtu }, kind)) = self.carriage_way(&recipient, group) else { return };
        if !u32::try_from(frame.len()).is_ok_and(|length| length <= mtu.0) {
            return self.drops.count(DropReason::FrameTooBig);
        }
        let name =
            self.carriage.groups.get(&group).and_then(|carried| Some(carried.frames.get(&number)?.name));
        if name.is_some_and(|name| !self.is_as_it_came(&frame, name)) {
            tracing::warn!("a carried frame is damaged");
            return self.carried_is_gone(group, number);
        }
        let frames = self.carriage.groups.get_mut(&group).map(|carried| &mut carried.frames);
        let Some(carry) = frames.and_then(|frames| frames.get_mut(&number)) else { return };
        carry.sent_to = Some(hop.neighbour);
        carry.live = carry.live.saturating_add(u8::from(kind == Kind::Live));
        // The other frames stay until the whole of their stream is there.
        let is_over = is_word(&frame) && (hop == LOOPBACK || carry.live >= WORDS_SENT);
        self.outbox.push_back(StreamTransmit { hop, came_over: None, frame });
        if is_over {
            self.carried_is_gone(group, number);
        }
    }

    /// Somebody else answers for a frame from now on, or nobody can.
    pub(super) fn carried_is_gone(&mut self, group: GroupNumber, number: u32) {
        let Some(carried) = self.carriage.groups.get_mut(&group) else { return };
        let Some(carry) = carried.frames.remove(&number) else { return };
        let is_last = carried.frames.is_empty();
        self.carriage.flight.end(&(group, number));
        self.carriage.by_name.remove(&carry.name);
        self.journal.remove_entry(group, carry.name.as_bytes());
        self.store.write(Write::RemoveEntry { group, number });
        if is_last {
            self.remove_group(group);
        }
    }

    /// A neighbour answers for a carried frame; whether there was one.
    pub(super) fn carried_taken_over(&mut self, name: &FrameId, by: RouterId, now: Now) -> bool {
        let Some((group, number)) = self.carriage.by_name.get(name).copied() else { return false };
        let Carriage { groups, takers, .. } = &mut self.carriage;
        let Some(carried) = groups.get_mut(&group) else { return true };
        let carry = carried.frames.get(&number).filter(|carry| carry.sent_to == Some(by));
        if let Some(carry) = carry {
            let was_longer = core::mem::replace(&mut carried.pause, AGAIN_FIRST) > AGAIN_FIRST;
            takers.took(by, carry.bytes);
            self.carried_is_gone(group, number);
            if was_longer {
                self.schedule_again(group, now.at);
            }
        }
        true
    }

    /// The recipient has a stream, or does not want it: nothing of it needs to be carried to it any more.
    pub(super) fn carried_is_over(&mut self, key: &StreamKey) {
        if let Some(group) = self.journal.find(&key.group(Role::Carried)) {
            self.remove_group(group);
        }
    }

    /// A group was removed, for whatever reason.
    pub(super) fn forget_carried(&mut self, group: GroupNumber) {
        self.carriage.forget(group);
    }

    /// Puts back what was carried before a restart.
    pub(super) fn restored_carried(&mut self, group: GroupNumber, now: Now) {
        let Some(found) = self.journal.get(group) else { return };
        let Recipient::Address(recipient) = found.key.recipient else { return };
        let entries: Vec<_> = found.entries().map(|(name, entry)| (*name, entry)).collect();
        for (name, entry) in entries {
            let bytes = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
            let name = FrameId::from_bytes(name);
            self.hold_carried(group, recipient, entry.number, (name, bytes));
            self.carried_is_durable(group, entry.number, name, None, now);
        }
    }
}

/// Whether a frame is a recipient's last word about a stream.
fn is_word(frame: &[u8]) -> bool {
    peek_mode(frame).is_some_and(|mode| matches!(mode, Mode::RECEIPT | Mode::DENY_NOTICE))
}
