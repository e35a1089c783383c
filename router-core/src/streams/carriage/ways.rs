// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where carried frames go, and what is done when that changes.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Hop, Now, Recipient, Timestamp};

use super::{AGAIN_FIRST, Carriage};
use crate::Via;
use crate::journal::{GroupNumber, Role};
use crate::streams::outbound::Kind;
use crate::streams::{LOOPBACK, Streams, Way};

impl Streams {
    /// Where frames of a group go: over any live route, or to a carrier that did not bring them.
    pub(super) fn carriage_way(&self, recipient: &Address, group: GroupNumber) -> Option<(Via, Kind)> {
        let brought_by = self.journal.get(group).and_then(|group| group.brought_by);
        match self.way(recipient) {
            Way::Live(via) => Some((via, Kind::Live)),
            Way::Carry(via) if Some(via.hop.neighbour) != brought_by => Some((via, Kind::Carry)),
            // The address is ours, and up again.
            Way::Local => Some((Via { hop: LOOPBACK, mtu: Way::Local.mtu() }, Kind::Live)),
            Way::Carry(_) | Way::Flood | Way::None => None,
        }
    }

    /// Looks at the ways of all that is carried; the newest streams of a recipient that is to be reached again come first.
    pub(in crate::streams) fn carried_ways_changed(&mut self, now: Now) {
        let ways = self.carriage.ways.iter();
        let changed: Vec<_> = ways
            .map(|(recipient, of_recipient)| (*recipient, of_recipient.way, looks(self.way(recipient))))
            .filter(|(_, before, way)| before != way)
            .collect();
        for (recipient, (_, before), way) in changed {
            if let Some(of_recipient) = self.carriage.ways.get_mut(&recipient) {
                of_recipient.way = way;
            }
            if let Some(hop) = before {
                let Carriage { takers, queue, .. } = &mut self.carriage;
                queue.append(&mut takers.release(hop.neighbour));
            }
            if way.0 != Kind::None {
                self.queue_for(recipient, now.at);
            }
        }
        let Carriage { takers, ways, .. } = &mut self.carriage;
        let used: BTreeSet<_> = ways.values().filter_map(|of| Some(of.way.1?.neighbour)).collect();
        takers.retain(|neighbour| used.contains(neighbour));
    }

    fn queue_for(&mut self, recipient: Address, now: Timestamp) {
        let groups = self.journal.of_recipient(Recipient::Address(recipient));
        let carried = groups.filter(|(_, group)| group.key.role == Role::Carried);
        let mut groups: Vec<_> = carried.map(|(number, group)| (number, group.key.sender)).collect();
        // Of the sender first that sent last, and what it sent in its order.
        let mut newest = BTreeMap::new();
        for (number, sender) in groups.iter().rev() {
            newest.insert(*sender, *number);
        }
        groups.sort_by_key(|(number, sender)| (Reverse(newest[sender]), *number));
        for (group, _) in groups {
            if let Some(carried) = self.carriage.groups.get_mut(&group) {
                carried.pause = AGAIN_FIRST;
            }
            self.queue_all(group, now);
        }
    }
}

/// Where frames go, and whether their recipient is known to be reached there.
pub(super) const fn looks(way: Way) -> (Kind, Option<Hop>) {
    (way.kind(), way.hop())
}
