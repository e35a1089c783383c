// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the store says of a stream that comes here, and what follows.

use ratman_eris::Reference;
use ratman_types::Now;
use ratman_wire::stream::Outcome;

use super::{Inbound, Stage};
use crate::journal::GroupNumber;
use crate::streams::store_queue::Durable;
use crate::streams::{StreamEvent, StreamKey, Streams, Write};

impl Streams {
    /// Stores that all of a stream is there, once that is so: not before the last of its blocks, which the store may fail to take.
    pub(super) fn complete(&mut self, key: &StreamKey, inbound: &mut Inbound) {
        let batch = self.store.batch();
        let is_there = inbound.unstored.values().all(|(of, _)| *of == batch);
        if inbound.stage == Stage::Storing && is_there && !inbound.is_completing {
            inbound.is_completing = true;
            let write = Write::Group { group: inbound.group, record: inbound.record(*key) };
            self.store.write_then(inbound.group, write, Durable::Complete { key: *key });
        }
    }

    /// A block was read from the store; nothing if it is not to be had.
    pub(in crate::streams) fn received_block_read(
        &mut self,
        key: &StreamKey,
        reference: Reference,
        bytes: Option<Vec<u8>>,
        now: Now,
    ) {
        let Some(mut inbound) = self.received.remove(key) else { return };
        inbound.reading = None;
        let bytes = bytes.unwrap_or_default();
        let receiving = inbound.receiving.as_mut().map(|receiving| receiving.handle_read(&bytes));
        match receiving {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => {
                tracing::warn!("a block of a stream is damaged: it is asked for again");
                self.deliver_again(key);
                if let Some(entry) = self.journal.remove_entry(inbound.group, reference.as_bytes()) {
                    self.store.write(Write::RemoveEntry { group: inbound.group, number: entry.number });
                }
            }
            Some(Err(_)) => {
                let end = inbound.end;
                self.received.insert(*key, inbound);
                return self.refuse(key, end, now);
            }
        }
        self.go_on(key, inbound, now);
    }

    /// A block is durable.
    pub(in crate::streams) fn received_is_durable(
        &mut self,
        group: GroupNumber,
        key: &StreamKey,
        reference: &Reference,
    ) {
        let Some(mut inbound) = self.received.remove(key) else { return };
        if inbound.group == group {
            inbound.unstored.remove(reference);
            self.complete(key, &mut inbound);
        }
        self.received.insert(*key, inbound);
    }

    /// A block could not be stored: it is to come again.
    pub(in crate::streams) fn received_is_lost(
        &mut self,
        group: GroupNumber,
        key: &StreamKey,
        reference: &Reference,
        now: Now,
    ) {
        let Some(mut inbound) = self.received.remove(key) else { return };
        if inbound.group == group {
            inbound.unstored.remove(reference);
            self.journal.remove_entry(group, reference.as_bytes());
            if inbound.stage == Stage::Storing {
                // It is not all here after all.
                (inbound.stage, inbound.is_completing) = (Stage::Coming, false);
                self.storing.remove(&(key.recipient, *key));
                self.journal.loosen(group);
            }
            // The look through its tree may have passed it: it begins anew.
            if let Some(manifest) = inbound.manifest.take() {
                self.read_manifest(key, &mut inbound, manifest, now);
            }
            self.deliver_again(key);
        }
        self.go_on(key, inbound, now);
    }

    /// All of a stream is durable.
    pub(in crate::streams) fn received_is_complete(&mut self, group: GroupNumber, key: &StreamKey, now: Now) {
        let is_it = |inbound: &&mut Inbound| inbound.group == group && inbound.stage == Stage::Storing;
        let Some(inbound) = self.received.get_mut(key).filter(is_it) else { return };
        inbound.stage = Stage::Whole;
        inbound.answered = Some(now.at);
        let (arrival, spot) = (inbound.arrival(*key), inbound.spot());
        self.whole.insert(*key, spot);
        self.storing.remove(&(key.recipient, *key));
        self.journal.hold(group);
        self.send_receipt(key, Outcome::Delivered, now);
        self.events.extend(arrival.map(|arrival| StreamEvent::Received(Box::new(arrival))));
    }
}
