// SPDX-License-Identifier: AGPL-3.0-or-later
//! Frames to namespaces: whoever gets one keeps it for its lifetime and sees to it that each neighbour has it too, those
//! that come later included (decisions/flooding-with-custody.md).

mod delivery;
mod neighbour;

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{ByteCount, Hop, Mtu, Now, RouterId, Timestamp, WallTime};
use ratman_wire::stream::{Auxiliary, Lifetime};
use ratman_wire::{FrameId, Mode};

use super::frames::Arrived;
use super::store_queue::{Durable, Reader};
use super::way::LOOPBACK;
use super::{StreamEvent, StreamTransmit, Streams, Write};
use crate::journal::{Group, GroupKey, GroupNumber, Hold, Role};
use crate::{DropReason, Via};
use delivery::Delivery;
use neighbour::Neighbour;

pub use delivery::MAX_NAMESPACES;

/// Content to a namespace ends here: all routers keep it, whether anybody near them wants it or not.
pub const MAX_TO_NAMESPACE: ByteCount = ByteCount(1 << 20);
/// What the frames of such content may take: blocks, their tree, headers and signatures, as small as frames are.
const MOST_OF_A_STREAM: u64 = 2 * MAX_TO_NAMESPACE.0;
/// Nobody knows all links that a flooded frame will cross, and none of them cuts it: it fits in the smallest packet of IPv6.
pub(super) const FLOODED_MTU: Mtu = Mtu(1280);
/// Neighbours of which it is remembered what they have, those without a link included: as many as a router has links.
const MAX_NEIGHBOURS: usize = 1024;
/// A new neighbour hears of so many of the newest frames that we have them; those before it may bring once more.
const MOST_TOLD: usize = 1024;

/// A frame by its group and number, which no other group or frame gets again: the newest stream first, its frames in their
/// order.
type Order = (Reverse<GroupNumber>, u32);

/// What is kept for namespaces, and who has it.
#[derive(Debug, Default)]
pub(super) struct Flooding {
    // INVARIANT: both say the same, and of each the journal has an entry.
    held: BTreeMap<Order, Held>,
    by_name: BTreeMap<FrameId, Order>,
    // At most MAX_NEIGHBOURS.
    neighbours: BTreeMap<RouterId, Neighbour>,
    delivery: Delivery,
}

#[derive(Debug)]
struct Held {
    name: FrameId,
    length: u32,
    durable: bool,
    /// The neighbours that said so, or brought it.
    has: BTreeSet<u16>,
}

impl Flooding {
    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.neighbours.values().filter_map(Neighbour::deadline).min()
    }

    /// How many frames are kept.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    fn insert(&mut self, place: Order, name: FrameId, length: u32, durable: bool) {
        self.held.insert(place, Held { name, length, durable, has: BTreeSet::new() });
        self.by_name.insert(name, place);
    }

    fn remove(&mut self, place: Order) {
        if let Some(held) = self.held.remove(&place) {
            self.by_name.remove(&held.name);
            self.neighbours.values_mut().for_each(|neighbour| neighbour.has(place));
            self.delivery.forget(place);
        }
    }

    fn of_group(&self, group: GroupNumber) -> impl Iterator<Item = (Order, &Held)> {
        let range = (Reverse(group), 0)..=(Reverse(group), u32::MAX);
        self.held.range(range).map(|(place, held)| (*place, held))
    }

    /// What is remembered of a neighbour; nothing where there are too many, all of them connected.
    fn neighbour(&mut self, id: RouterId, now: Timestamp) -> Option<&mut Neighbour> {
        if !self.neighbours.contains_key(&id) {
            if self.neighbours.len() >= MAX_NEIGHBOURS {
                let gone = self.neighbours.iter().find(|(_, neighbour)| neighbour.via.is_none());
                let (gone, index) = gone.map(|(id, neighbour)| (*id, neighbour.index))?;
                self.neighbours.remove(&gone);
                self.held.values_mut().for_each(|held| _ = held.has.remove(&index));
            }
            let used: BTreeSet<u16> = self.neighbours.values().map(|neighbour| neighbour.index).collect();
            let index = (0..u16::MAX).find(|index| !used.contains(index))?;
            self.neighbours.insert(id, Neighbour::new(index, now));
        }
        self.neighbours.get_mut(&id)
    }

    /// Whether a neighbour may bring one more probe.
    pub(super) fn may_probe(&mut self, id: RouterId, now: Timestamp) -> bool {
        self.neighbour(id, now).is_some_and(|neighbour| neighbour.probes.take(now))
    }

    /// Whether an answer that came over a hop is looked at: what was wrong of what its neighbour brought is limited. What is our own is.
    pub(super) fn may_answer(&mut self, from: Hop, now: Timestamp) -> bool {
        let has = |neighbour: &mut Neighbour| neighbour.wrong_answers.has(now);
        from == LOOPBACK || self.neighbour(from.neighbour, now).is_some_and(has)
    }

    /// An answer that came over a hop was none to us.
    pub(super) fn note_wrong_answer(&mut self, from: Hop, now: Timestamp) {
        if from != LOOPBACK
            && let Some(neighbour) = self.neighbour(from.neighbour, now)
        {
            neighbour.wrong_answers.take(now);
        }
    }

    /// The best links of all neighbours.
    pub(super) fn links(&self) -> impl Iterator<Item = Via> {
        self.neighbours.values().filter_map(|neighbour| neighbour.via)
    }

    /// A neighbour has a frame.
    fn has(&mut self, id: RouterId, place: Order, now: Timestamp) {
        let Some(neighbour) = self.neighbour(id, now) else { return };
        neighbour.has(place);
        let index = neighbour.index;
        if let Some(held) = self.held.get_mut(&place) {
            held.has.insert(index);
        }
    }
}

impl Streams {
    /// The neighbours that may be sent to, each with its best link. Who has none any more is remembered for what it has.
    pub fn handle_neighbours(&mut self, neighbours: &[Via], now: Now) {
        self.anycast.begin(now.at);
        for (id, neighbour) in &mut self.flooding.neighbours {
            if !neighbours.iter().any(|via| via.hop.neighbour == *id) {
                neighbour.disconnect();
            }
        }
        for via in neighbours {
            let neighbour = self.flooding.neighbour(via.hop.neighbour, now.at);
            if neighbour.is_some_and(|neighbour| neighbour.connect(*via, now.at)) {
                let durable = self.flooding.held.values().filter(|held| held.durable);
                let names = durable.take(MOST_TOLD).map(|held| held.name).collect();
                self.tell_custody(via.hop, names);
            }
        }
        self.pump_flooding(now);
    }

    /// A frame to a namespace came. How many hops it has left is not asked: a neighbour could make that few, and what is known
    /// goes no further.
    pub(super) fn receive_flooded(&mut self, arrived: &Arrived<'_>, now: Now) -> Result<(), DropReason> {
        if !matches!(arrived.frame.header.mode, Mode::DATA | Mode::MANIFEST | Mode::PACKED) {
            return Err(DropReason::NamespaceNotServed);
        }
        let auxiliary = self.auxiliary(&arrived.frame.header, now)?;
        let signed = arrived.frame.signed_bytes();
        let name = signed.id();
        if let Some(place) = self.flooding.by_name.get(&name).copied() {
            self.flooded_came_again(place, name, arrived.from, now);
            return Err(DropReason::FloodedBefore);
        }
        if arrived.from == LOOPBACK && !self.handed.contains_key(&name) {
            // Its stream was given up meanwhile.
            return Err(DropReason::StreamOver);
        }
        let key = GroupKey {
            role: Role::Flooded,
            sender: arrived.sender,
            recipient: arrived.recipient,
            stream: Some(auxiliary.stream),
        };
        self.check_flooded(arrived, &auxiliary, &key, now)?;
        self.verify_signed(arrived, &signed)?;
        let kept = self.keep_flooded(arrived, key, auxiliary.end(), name);
        if arrived.from == LOOPBACK && kept == Err(DropReason::JournalFull) {
            self.cannot_publish(&name);
        }
        kept
    }

    /// The cheap questions, before the signature: what is refused may come again and again.
    fn check_flooded(
        &mut self,
        arrived: &Arrived<'_>,
        auxiliary: &Auxiliary,
        key: &GroupKey,
        now: Now,
    ) -> Result<(), DropReason> {
        let group = self.journal.find(key).and_then(|group| self.journal.get(group));
        let length = u64::try_from(arrived.bytes.len()).unwrap_or(u64::MAX);
        let is_too_much = group.map_or(0, Group::cost).saturating_add(length) > MOST_OF_A_STREAM;
        if is_too_much || auxiliary.lifetime > Lifetime::MAX_FLOODED {
            return Err(DropReason::FloodedTooLong);
        }
        if !self.store.has_room() {
            return Err(DropReason::StoreBusy);
        }
        if arrived.from != LOOPBACK {
            let neighbour = self.flooding.neighbour(arrived.from.neighbour, now.at);
            if !neighbour.is_some_and(|neighbour| neighbour.verifications.take(now.at)) {
                return Err(DropReason::VerificationQuota);
            }
        }
        Ok(())
    }

    /// Who brings it has it, and hears that we have it too.
    fn flooded_came_again(&mut self, place: Order, name: FrameId, from: Hop, now: Now) {
        if from != LOOPBACK {
            self.flooding.has(from.neighbour, place, now.at);
        }
        if self.flooding.held.get(&place).is_some_and(|held| held.durable) {
            self.answer_for(from, name, now);
        }
    }

    fn answer_for(&mut self, from: Hop, name: FrameId, now: Now) {
        if from != LOOPBACK {
            return self.tell_custody(from, vec![name]);
        }
        // It is of a sender of ours, which need not keep it any more.
        if let Some((_, key)) = self.handed.remove(&name) {
            self.sent_taken_over(&key, &name, now);
        }
    }

    /// There is no room for what a client of ours publishes, as nobody has taken what was published before.
    fn cannot_publish(&mut self, name: &FrameId) {
        if let Some((_, key)) = self.handed.get(name).copied() {
            tracing::warn!("no room is left for what is sent to namespaces: a stream is given up");
            self.remove_sent(&key);
            if let Some(group) = self.journal.find(&key.group(Role::Flooded)) {
                self.remove_group(group);
            }
            self.events.push_back(StreamEvent::Failed(key));
        }
    }

    fn keep_flooded(
        &mut self,
        arrived: &Arrived<'_>,
        key: GroupKey,
        end: WallTime,
        name: FrameId,
    ) -> Result<(), DropReason> {
        let (is_ours, frame) = (arrived.from == LOOPBACK, arrived.bytes.to_vec());
        let brought_by = (!is_ours).then_some(arrived.from.neighbour);
        let mut kept = self.keep_frame(key, brought_by, end, (name, frame.len()));
        // Of what clients here published what may go first: others have it.
        while kept == Err(DropReason::JournalFull)
            && is_ours
            && let Some(oldest) = self.journal.oldest_loose(Role::Flooded, None)
        {
            self.remove_group(oldest);
            kept = self.keep_frame(key, brought_by, end, (name, frame.len()));
        }
        let Some((group, number)) = kept? else { return Ok(()) };
        if is_ours {
            // Nobody else has it yet.
            self.journal.hold(group);
        }
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.flooding.insert((Reverse(group), number), name, length, false);
        let durable = Durable::Flooded { group, number, name, from: arrived.from };
        self.write_frame((group, number), name, frame, durable);
        Ok(())
    }

    /// A frame is durable: whoever brought it hears so, and all others get it, clients here as well.
    pub(super) fn flooded_is_durable(
        &mut self,
        (group, number): (GroupNumber, u32),
        name: FrameId,
        from: Hop,
        now: Now,
    ) {
        let place = (Reverse(group), number);
        let Some(held) = self.flooding.held.get_mut(&place) else { return };
        held.durable = true;
        if from != LOOPBACK {
            self.flooding.has(from.neighbour, place, now.at);
        }
        let others = self.flooding.neighbours.iter_mut().filter(|(id, _)| **id != from.neighbour);
        others.for_each(|(_, neighbour)| neighbour.offer(place));
        self.deliver_soon(place, now);
        self.answer_for(from, name, now);
    }

    /// The store did not take a frame, or what it has is another one: neighbours that have it may bring it again.
    pub(super) fn flooded_is_gone(&mut self, (group, number): (GroupNumber, u32)) {
        let place = (Reverse(group), number);
        let Some(held) = self.flooding.held.get(&place) else { return };
        self.journal.remove_entry(group, held.name.as_bytes());
        self.flooding.remove(place);
        self.store.write(Write::RemoveEntry { group, number });
        if self.journal.get(group).is_some_and(Group::is_empty) {
            self.remove_group(group);
        }
    }

    /// A group left the journal, for whatever reason.
    pub(super) fn forget_flooded(&mut self, group: GroupNumber) {
        let places: Vec<Order> = self.flooding.of_group(group).map(|(place, _)| place).collect();
        places.into_iter().for_each(|place| self.flooding.remove(place));
    }

    /// A neighbour has a frame; whether that is one of these.
    pub(super) fn flooded_is_known(&mut self, name: &FrameId, by: RouterId, now: Now) -> bool {
        let Some(place) = self.flooding.by_name.get(name).copied() else { return false };
        self.flooding.has(by, place, now.at);
        let (Reverse(group), _) = place;
        let is_ours = self.journal.get(group).is_some_and(|group| group.hold == Hold::Firm);
        if is_ours && self.flooding.of_group(group).all(|(_, held)| !held.has.is_empty()) {
            // Others have all of it: it makes room for what nobody has.
            self.journal.loosen(group);
        }
        true
    }

    /// Reads what neighbours and clients are to have next.
    pub(super) fn pump_flooding(&mut self, now: Now) {
        self.pump_delivery();
        let Flooding { held, neighbours, .. } = &mut self.flooding;
        for (id, neighbour) in neighbours {
            neighbour.handle_timeout(now.at);
            while self.store.may_read()
                && let Some((Reverse(group), number)) = neighbour.next(held, now.at)
            {
                self.store.read(group, number, Reader::Flooded { group, number, to: *id });
            }
        }
    }

    /// A frame was read, for a neighbour.
    pub(super) fn flooded_read(
        &mut self,
        (group, number): (GroupNumber, u32),
        to: RouterId,
        frame: Option<Vec<u8>>,
    ) {
        let Some(held) = self.flooding.held.get(&(Reverse(group), number)) else { return };
        let Some(frame) = frame else {
            // It may be a fault of the moment: it is tried again with what is not answered for.
            return tracing::warn!("a frame to a namespace cannot be read");
        };
        let (name, length) = (held.name, held.length);
        if !self.is_as_it_came(&frame, name) {
            tracing::warn!("a stored frame to a namespace is damaged");
            return self.flooded_is_gone((group, number));
        }
        let via = self.flooding.neighbours.get(&to).and_then(|neighbour| neighbour.via);
        if let Some(via) = via.filter(|via| length <= via.mtu.0) {
            self.outbox.push_back(StreamTransmit { hop: via.hop, came_over: None, frame });
        }
    }

    /// Puts back what was kept before a restart.
    pub(super) fn restored_flooded(&mut self, group: GroupNumber) {
        let Some(found) = self.journal.get(group) else { return };
        let entries: Vec<_> = found.entries().map(|(name, entry)| (*name, entry)).collect();
        for (name, entry) in entries {
            let place = (Reverse(group), entry.number);
            self.flooding.insert(place, FrameId::from_bytes(name), entry.bytes, true);
        }
    }
}
