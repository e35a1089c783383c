// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a message plane takes up again at a start: what the store has.

use ratman_types::Now;

use super::inbound::{Finished, Restored};
use super::record::Record;
use super::{Streams, Write};
use crate::journal::{Group, GroupNumber, Role};

impl Streams {
    /// Takes a record of the store at a start, in the order of their groups; all of them come before the entries.
    pub fn restore_group(&mut self, number: GroupNumber, record: &[u8]) {
        self.journal.keep_number(number);
        match Record::decode(record) {
            Ok(record) => self.restore_record(number, record),
            Err(error) => {
                tracing::warn!(group = number.0, %error, "a stored stream cannot be read");
                self.store.write(Write::RemoveGroup { group: number, entries: u32::MAX, record: true });
            }
        }
    }

    fn restore_record(&mut self, number: GroupNumber, record: Record) {
        match record {
            Record::Sent { key, routing, created, lifetime, size, sealed } => {
                let restored = Group::new(key.group(Role::Sent), None, lifetime.end(created));
                self.journal.restore(number, restored);
                self.journal.hold(number);
                self.restore_sent(number, key, routing, (created, lifetime, size), sealed);
            }
            Record::Shared { key, created, lifetime, size, sealed } => {
                self.restore_shared(number, &key, (created, lifetime, size), sealed);
            }
            Record::Announced { key, created, lifetime, sealed } => {
                let restored = Group::new(key.group(Role::Sent), None, lifetime.end(created));
                self.journal.restore(number, restored);
                self.journal.hold(number);
                self.restore_announced(number, key, (created, lifetime), sealed);
            }
            Record::Received { key, end, brought_by, sealed, complete } => {
                self.journal.restore(number, Group::new(key.group(Role::Received), brought_by, end));
                let length = sealed.as_ref().map_or(0, Vec::len);
                self.journal.note_record(number, u32::try_from(length).unwrap_or(u32::MAX));
                let restored = Restored { group: number, end, brought_by, sealed, complete };
                self.restoring.push((key, restored));
            }
            Record::Finished { key, end } => {
                self.remember(key, Finished::new(number, end));
            }
            Record::Carried { key, end, brought_by } => {
                self.journal.restore(number, Group::new(key, brought_by, end));
                // What is flooded is with others too, unless it is ours.
                if key.role == Role::Carried || brought_by.is_none() {
                    self.journal.hold(number);
                }
            }
        }
    }

    /// Takes an entry of the store at a start.
    pub fn restore_entry(&mut self, group: GroupNumber, number: u32, name: [u8; 32], bytes: u32) {
        if !self.journal.restore_entry(group, number, name, bytes) {
            // Of content that was never complete, or of a stream that is over.
            self.store.write(Write::RemoveEntry { group, number });
        }
    }

    /// Everything was restored.
    pub fn restored(&mut self, now: Now) {
        self.restored_shared();
        self.restored_sent(now);
        for (key, restored) in core::mem::take(&mut self.restoring) {
            let group = restored.group;
            if self.must_sleep(&key) {
                self.sleep(key, restored);
            } else if !self.restored_received(key, restored, now) {
                self.remove_group(group);
            }
        }
        for group in self.journal.of_role(Role::Carried) {
            self.restored_carried(group, now);
        }
        for group in self.journal.of_role(Role::Flooded) {
            self.restored_flooded(group);
        }
    }
}
