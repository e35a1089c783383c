// SPDX-License-Identifier: AGPL-3.0-or-later
//! Frames that are carried for others: kept while there is no way to their recipients, and sent on when there is one,
//! those of the newest stream first.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use ratman_types::{Address, Hop, Now, Recipient, RouterId, Timestamp, WallTime};
use ratman_wire::FrameId;
use ratman_wire::stream::StreamId;

use super::deadlines::Deadlines;
use super::record::Record;
use super::store_queue::{Durable, Reader};
use super::{StreamKey, StreamTransmit, Streams, Way, Write};
use crate::DropReason;
use crate::journal::{GroupKey, GroupNumber, Role};

/// As many bytes are on their way from the disk to neighbours at a time: a returning route must not be filled with what is
/// old before what is new.
const BUDGET: usize = 1 << 20;
/// After this a frame counts as having left, although nobody said that it has it: only who stores frames says so.
const LEAVES_WITHIN: Duration = Duration::from_millis(100);
/// What nobody answered for is sent again, in growing pauses: as long as manifests (source: wire page, streams).
const AGAIN_FIRST: Duration = Duration::from_secs(10);
const AGAIN_LONGEST: Duration = Duration::from_secs(600);

/// What is carried.
#[derive(Debug, Default)]
pub(super) struct Carriage {
    groups: BTreeMap<GroupNumber, Carried>,
    by_name: BTreeMap<FrameId, (GroupNumber, u32)>,
    /// Of each recipient of something carried, what its way was like when it was looked at last.
    ways: BTreeMap<Address, OfRecipient>,
    queue: VecDeque<(GroupNumber, u32)>,
    flight: VecDeque<Flight>,
    in_flight: usize,
    again: Deadlines<GroupNumber>,
}

/// What is carried for one recipient.
#[derive(Debug, Default)]
struct OfRecipient {
    groups: usize,
    /// Where its frames went when it was looked at last.
    hop: Option<Hop>,
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
}

#[derive(Debug)]
struct Flight {
    of: (GroupNumber, u32),
    at: Timestamp,
    bytes: usize,
}

impl Carriage {
    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let leaves =
            self.flight.front().filter(|_| !self.queue.is_empty()).map(|flight| flight.at + LEAVES_WITHIN);
        [leaves, self.again.next()].into_iter().flatten().min()
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
        if !self.store.has_room() {
            return Err(DropReason::StoreBusy);
        }
        let key = GroupKey { role: Role::Carried, sender, recipient: Recipient::Address(recipient), stream };
        let is_new = self.journal.find(&key).is_none();
        let full = |_| DropReason::JournalFull;
        let group = self.journal.open(key, Some(from.neighbour), end).map_err(full)?;
        let length = u32::try_from(frame.len()).map_err(|_| DropReason::MalformedFrame)?;
        let leaving = self.journal.room_for(group, length.into());
        let leaving = match leaving {
            Ok(leaving) => leaving,
            Err(_) => {
                if is_new {
                    self.journal.remove(group);
                }
                return Err(DropReason::JournalFull);
            }
        };
        self.evict(&leaving);
        let Some(entry) = self.journal.insert(group, *name.as_bytes(), length) else { return Ok(()) };
        if is_new {
            let record = Record::Carried { key, end, brought_by: Some(from.neighbour) }.encode();
            self.store.write(Write::Group { group, record });
        }
        self.hold_carried(group, recipient, entry.number, (name, frame.len()));
        let write = Write::Entry { group, number: entry.number, name: *name.as_bytes(), bytes: frame };
        let durable = Durable::Carried { group, number: entry.number, name, from };
        self.store.write_then(group, write, durable);
        Ok(())
    }

    fn hold_carried(
        &mut self,
        group: GroupNumber,
        recipient: Address,
        number: u32,
        (name, bytes): (FrameId, usize),
    ) {
        self.carriage.by_name.insert(name, (group, number));
        let hop = self.way(&recipient).hop();
        if !self.carriage.groups.contains_key(&group) {
            let new = || OfRecipient { groups: 0, hop };
            self.carriage.ways.entry(recipient).or_insert_with(new).groups += 1;
        }
        let carried = self.carriage.groups.entry(group).or_insert_with(|| Carried {
            recipient,
            frames: BTreeMap::new(),
            pause: AGAIN_FIRST,
        });
        carried.frames.insert(number, Carry { name, bytes, durable: false, queued: false, sent_to: None });
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

    /// Where frames of a group go: over any live route, or to a carrier that did not bring them.
    fn carriage_way(&self, recipient: &Address, group: GroupNumber) -> Option<(Hop, u32)> {
        let brought_by = self.journal.get(group).and_then(|group| group.brought_by);
        match self.way(recipient) {
            Way::Live(via) => Some((via.hop, via.mtu.0)),
            Way::Carry(via) if Some(via.hop.neighbour) != brought_by => Some((via.hop, via.mtu.0)),
            Way::Carry(_) | Way::None | Way::Local => None,
        }
    }

    /// Looks at the ways of all that is carried; the newest streams of a recipient that is to be reached again come first.
    pub(super) fn carried_ways_changed(&mut self, now: Now) {
        let changed: Vec<(Address, Option<Hop>)> = self
            .carriage
            .ways
            .iter()
            .map(|(recipient, of_recipient)| (*recipient, of_recipient.hop, self.way(recipient).hop()))
            .filter(|(_, before, hop)| before != hop)
            .map(|(recipient, _, hop)| (recipient, hop))
            .collect();
        for (recipient, hop) in changed {
            if let Some(of_recipient) = self.carriage.ways.get_mut(&recipient) {
                of_recipient.hop = hop;
            }
            if hop.is_none() {
                continue;
            }
            let groups: Vec<GroupNumber> = self
                .journal
                .of_recipient(Recipient::Address(recipient))
                .filter(|(_, group)| group.key.role == Role::Carried)
                .map(|(number, _)| number)
                .collect();
            for group in groups {
                if let Some(carried) = self.carriage.groups.get_mut(&group) {
                    carried.pause = AGAIN_FIRST;
                }
                self.queue_all(group, now.at);
            }
        }
    }

    /// Reads as much of what is to go on as may be on its way.
    pub(super) fn pump_carried(&mut self, now: Now) {
        let Carriage { flight, in_flight, .. } = &mut self.carriage;
        while let Some(oldest) = flight.front().filter(|flight| now.at.since(flight.at) >= LEAVES_WITHIN) {
            *in_flight -= oldest.bytes;
            flight.pop_front();
        }
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
        while self.carriage.in_flight < BUDGET && self.store.may_read() {
            let Some((group, number)) = self.carriage.queue.pop_front() else { return };
            let frames = self.carriage.groups.get_mut(&group).map(|carried| &mut carried.frames);
            let Some(carry) = frames.and_then(|frames| frames.get_mut(&number)) else { continue };
            carry.queued = false;
            let bytes = carry.bytes;
            self.carriage.flight.push_back(Flight { of: (group, number), at: now.at, bytes });
            self.carriage.in_flight += bytes;
            self.store.read(group, number, Reader::Carried { group, number });
        }
    }

    /// A frame was read, to go on.
    pub(super) fn carried_read(&mut self, group: GroupNumber, number: u32, frame: Option<Vec<u8>>) {
        let Some(carried) = self.carriage.groups.get(&group) else { return };
        let recipient = carried.recipient;
        let Some(frame) = frame else {
            // It may be a fault of the moment: it is tried again with the others of its group.
            return tracing::warn!("a carried frame cannot be read");
        };
        let Some((hop, mtu)) = self.carriage_way(&recipient, group) else { return };
        if u32::try_from(frame.len()).is_ok_and(|length| length <= mtu) {
            let frames = self.carriage.groups.get_mut(&group).map(|carried| &mut carried.frames);
            if let Some(carry) = frames.and_then(|frames| frames.get_mut(&number)) {
                carry.sent_to = Some(hop.neighbour);
            }
            self.outbox.push_back(StreamTransmit { hop, came_over: None, frame });
        } else {
            self.drops.count(DropReason::FrameTooBig);
        }
    }

    /// Somebody else answers for a frame from now on, or nobody can.
    pub(super) fn carried_is_gone(&mut self, group: GroupNumber, number: u32) {
        let Some(carried) = self.carriage.groups.get_mut(&group) else { return };
        let Some(carry) = carried.frames.remove(&number) else { return };
        let is_last = carried.frames.is_empty();
        let Carriage { flight, in_flight, .. } = &mut self.carriage;
        if let Some(place) = flight.iter().position(|flight| flight.of == (group, number)) {
            *in_flight -= flight.remove(place).map_or(0, |flight| flight.bytes);
        }
        self.carriage.by_name.remove(&carry.name);
        self.journal.remove_entry(group, carry.name.as_bytes());
        if is_last {
            self.remove_group(group);
        } else {
            self.store.write(Write::RemoveEntry { group, number });
        }
    }

    /// A neighbour answers for a carried frame; whether there was one.
    pub(super) fn carried_taken_over(&mut self, name: &FrameId, by: RouterId) -> bool {
        let Some((group, number)) = self.carriage.by_name.get(name).copied() else { return false };
        let frames = self.carriage.groups.get(&group).map(|carried| &carried.frames);
        let sent_to = frames.and_then(|frames| frames.get(&number)).and_then(|carry| carry.sent_to);
        if sent_to == Some(by) {
            self.carried_is_gone(group, number);
        }
        true
    }

    /// The recipient has a stream, or does not want it: nothing of it needs to be carried to it any more.
    pub(super) fn carried_is_over(&mut self, key: &StreamKey) {
        let stream = Some(key.stream);
        let key = GroupKey { role: Role::Carried, sender: key.sender, recipient: key.to(), stream };
        if let Some(group) = self.journal.find(&key) {
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
