// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are whole, and who has taken them: a stream to a namespace is for each address that takes part in it, and is here
//! until the last of them has it or its time has passed.

use ratman_types::{Address, Recipient};

use super::{Inbound, Spot, Stage};
use crate::journal::{GroupNumber, JournalFull};
use crate::streams::store_queue::Durable;
use crate::streams::{Arrival, StreamEvent, StreamKey, Streams, Write};

impl Streams {
    /// Whole streams that no client took, those of restored ones included: of each recipient in the order in which they were made, by
    /// their senders' clocks.
    pub fn arrivals(&self) -> impl Iterator<Item = Arrival> + '_ {
        self.whole.all().filter_map(|key| self.arrival(key))
    }

    /// Those for one recipient, the oldest first.
    pub fn arrivals_to(&self, recipient: &Recipient) -> impl Iterator<Item = &StreamKey> + '_ {
        self.whole.of(*recipient)
    }

    /// The oldest for a recipient, of one sender if that is said, from a spot in their order on.
    pub fn arrival_from(&self, to: Recipient, of: Option<Address>, from: Spot) -> Option<(Spot, StreamKey)> {
        self.whole.first(to, of, from)
    }

    /// The spot of a stream, if it is whole and no client took it.
    pub fn spot_of(&self, key: &StreamKey) -> Option<Spot> {
        let whole = self.received.get(key).filter(|inbound| inbound.stage == Stage::Whole);
        whole.map(Inbound::spot)
    }

    /// A stream, if it is whole and no client took it.
    pub fn arrival(&self, key: &StreamKey) -> Option<Arrival> {
        self.received.get(key)?.arrival(*key)
    }

    /// One of the addresses that a stream is for has it, and others are to have it too: it stays, and is not for that one any more,
    /// also after a restart. [`StreamEvent::TakenBy`] follows. It is for the driver to say who takes part.
    pub fn taken_by(&mut self, key: &StreamKey, member: Address) {
        let is_whole = self.received.get(key).filter(|inbound| inbound.stage == Stage::Whole);
        let Some(group) = is_whole.map(|inbound| inbound.group) else {
            // Its time has passed meanwhile, or its namespace's key is gone and it comes again.
            let durable = !self.asleep.contains_key(key);
            self.events.push_back(StreamEvent::TakenBy { key: *key, member, durable });
            return;
        };
        match self.mark(group, member) {
            Ok(Some(number)) => {
                // Beside blocks and frames it is an entry of the group, and goes with it.
                let write = Write::Entry { group, number, name: *member.as_bytes(), bytes: Vec::new() };
                self.store.write_then(group, write, Durable::TakenBy { key: *key, member });
            }
            Ok(None) => self.events.push_back(StreamEvent::TakenBy { key: *key, member, durable: true }),
            Err(_) => self.events.push_back(StreamEvent::TakenBy { key: *key, member, durable: false }),
        }
    }

    /// Whether one of the addresses that a stream is for has it.
    pub fn has_taken(&self, key: &StreamKey, member: &Address) -> bool {
        let group = self.received.get(key).and_then(|inbound| self.journal.get(inbound.group));
        group.is_some_and(|group| group.find(member.as_bytes()).is_some())
    }

    /// The number of the entry that says so; nothing where it is there.
    fn mark(&mut self, group: GroupNumber, member: Address) -> Result<Option<u32>, JournalFull> {
        if self.journal.get(group).is_some_and(|group| group.find(member.as_bytes()).is_some()) {
            return Ok(None);
        }
        let leaving = self.journal.room_for(group, 0)?;
        self.evict(&leaving);
        Ok(self.journal.insert(group, *member.as_bytes(), 0).map(|entry| entry.number))
    }

    /// That one has it was stored, or could not be.
    pub(in crate::streams) fn is_taken_by(
        &mut self,
        group: GroupNumber,
        (key, member): (StreamKey, Address),
        durable: bool,
    ) {
        if !durable {
            self.journal.remove_entry(group, member.as_bytes());
        }
        self.events.push_back(StreamEvent::TakenBy { key, member, durable });
    }
}
