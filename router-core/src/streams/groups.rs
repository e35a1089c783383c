// SPDX-License-Identifier: AGPL-3.0-or-later
//! Groups of the journal that go, and what goes with them.

use super::inbound::Finished;
use super::{MAX_FINISHED, StreamEvent, StreamKey, Streams, Write};
use crate::journal::{Group, GroupKey, GroupNumber, Role};

impl Streams {
    /// Lets groups go that make room for others.
    pub(super) fn evict(&mut self, groups: &[GroupNumber]) {
        groups.iter().for_each(|group| self.remove_group(*group));
    }

    /// Removes a group with everything that is known of it, here and in the store.
    pub(super) fn remove_group(&mut self, number: GroupNumber) {
        if let Some(group) = self.journal.remove(number) {
            self.group_is_gone(number, &group);
        }
    }

    /// A group left the journal.
    pub(super) fn group_is_gone(&mut self, number: GroupNumber, group: &Group) {
        let entries = u32::try_from(group.len()).unwrap_or(u32::MAX);
        self.store.write(Write::RemoveGroup { group: number, entries, record: true });
        match (group.key.role, stream_of(group)) {
            (Role::Received, Some(key)) => {
                if let Some(inbound) = self.received.remove(&key) {
                    self.whole.remove(&key, inbound.spot());
                }
                self.storing.remove(&(key.recipient, key));
                self.asleep.remove(&key);
                self.received_deadlines.set(key, None);
                self.deliver_again(&key);
            }
            (Role::Carried, _) => self.forget_carried(number),
            (Role::Flooded, _) => self.forget_flooded(number),
            (Role::Shared, Some(key)) => self.forget_shared(number, &key),
            (Role::Received | Role::Sent | Role::Shared, _) => {}
        }
    }

    /// The store failed to take something of a group.
    pub(super) fn give_up(&mut self, number: GroupNumber) {
        let of_ours = |group: &&Group| matches!(group.key.role, Role::Sent | Role::Shared);
        let sent = self.journal.get(number).filter(of_ours).and_then(stream_of);
        match sent {
            Some(key) => {
                self.remove_sent(&key);
                self.events.push_back(StreamEvent::Failed(key));
            }
            None => self.remove_group(number),
        }
    }

    pub(super) fn remember(&mut self, key: StreamKey, finished: Finished) {
        if self.finished.len() >= MAX_FINISHED
            && let Some((_, oldest)) = self.finished_order.first_key_value()
        {
            let oldest = *oldest;
            self.forget_finished(&oldest);
        }
        self.finished_order.insert(finished.group, key);
        self.finished.insert(key, finished);
    }

    pub(super) fn forget_finished(&mut self, key: &StreamKey) {
        if let Some(finished) = self.finished.remove(key) {
            self.finished_order.remove(&finished.group);
            let group = finished.group;
            self.store.write(Write::RemoveGroup { group, entries: 0, record: true });
        }
    }
}

/// The stream that a group belongs to, if it is known.
pub(super) fn stream_of(group: &Group) -> Option<StreamKey> {
    let GroupKey { sender, recipient, stream, .. } = group.key;
    Some(StreamKey { sender, recipient, stream: stream? })
}
