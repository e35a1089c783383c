// SPDX-License-Identifier: AGPL-3.0-or-later
//! What waits for the store, and what is to be done once it is durable.

use std::collections::{BTreeMap, VecDeque};

use ratman_eris::Reference;
use ratman_types::{Hop, RouterId};
use ratman_wire::FrameId;

use super::{StoreRequest, StreamKey, Write};
use crate::journal::GroupNumber;

/// One commit takes as much: the writer of the store has the next one ready while this one is under way.
const BATCH: usize = 1 << 20;
/// As much may wait for the store, bytes: then clients wait, and frames are dropped and asked for again.
const MOST_UNSTORED: usize = 6 << 20;
/// Questions to the store at a time; blocks that are read ahead lie in memory.
const MOST_READS: usize = 64;

/// What is to be done when a change is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    /// A block of a stream that we send.
    Sent { key: StreamKey, number: u32 },
    /// All of a stream that we send.
    Accepted { key: StreamKey },
    /// A block of a stream that comes here.
    Received { key: StreamKey, reference: Reference },
    /// All of what a client shares, under the name that it has until then.
    Shared { key: StreamKey },
    /// That shared content is gone.
    TakenDown { key: StreamKey },
    /// What is known of a group.
    Record,
    /// The last word about a stream that is here whole.
    Complete { key: StreamKey },
    /// A frame to a namespace.
    Flooded { group: GroupNumber, number: u32, name: FrameId, from: Hop },
    /// That a client has a stream.
    Taken { key: StreamKey },
    /// A frame that is carried.
    Carried { group: GroupNumber, number: u32, name: FrameId, from: Hop },
}

/// Whose an entry is that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A stream that is sent.
    Sent { key: StreamKey, number: u32 },
    /// A stream that comes here.
    Received { key: StreamKey, reference: Reference },
    /// A frame that goes on.
    Carried { group: GroupNumber, number: u32 },
    /// A frame to a namespace that a neighbour is to have.
    Flooded { group: GroupNumber, number: u32, to: RouterId },
    /// A frame to a namespace that a client here subscribed to after it had come.
    Subscribed { group: GroupNumber, number: u32 },
}

#[derive(Debug, Default)]
struct Batch {
    writes: Vec<Write>,
    bytes: usize,
    durable: Vec<(GroupNumber, Durable)>,
}

/// Changes and questions on their way to the store.
#[derive(Debug, Default)]
pub(super) struct StoreQueue {
    next_id: u64,
    /// How many batches were closed.
    closed: u64,
    open: Batch,
    full: VecDeque<Batch>,
    committing: BTreeMap<u64, (usize, Vec<(GroupNumber, Durable)>)>,
    questions: VecDeque<(u64, GroupNumber, u32)>,
    reading: BTreeMap<u64, Reader>,
    /// Bytes of all batches that are not durable yet.
    unstored: usize,
}

impl StoreQueue {
    /// Whether more may be stored that can as well wait.
    pub(super) const fn has_room(&self) -> bool {
        self.unstored < MOST_UNSTORED
    }

    /// Whether more may be read.
    pub(super) fn may_read(&self) -> bool {
        self.reading.len() < MOST_READS
    }

    /// Adds a change.
    pub(super) fn write(&mut self, write: Write) {
        let bytes = match &write {
            Write::Entry { bytes, .. } => bytes.len(),
            Write::Group { record, .. } => record.len(),
            Write::RemoveEntry { .. } | Write::RemoveGroup { .. } => 0,
        } + size_of::<Write>();
        if let Write::Group { group, .. } = &write {
            // Where it fails, its group is of no use.
            self.open.durable.push((*group, Durable::Record));
        }
        self.open.writes.push(write);
        self.open.bytes += bytes;
        self.unstored += bytes;
        if self.open.bytes >= BATCH {
            let batch = self.close();
            self.full.push_back(batch);
        }
    }

    fn close(&mut self) -> Batch {
        self.closed += 1;
        core::mem::take(&mut self.open)
    }

    /// What is written next is durable together with all that was written at the same number, or none of it is.
    pub(super) const fn batch(&self) -> u64 {
        self.closed
    }

    /// Adds a change, and what is to be done when it is durable.
    pub(super) fn write_then(&mut self, group: GroupNumber, write: Write, durable: Durable) {
        // Before the change: a full batch is closed behind it.
        self.promise(group, durable);
        self.write(write);
    }

    /// Says what is to be done when the next change is durable.
    pub(super) fn promise(&mut self, group: GroupNumber, durable: Durable) {
        self.open.durable.push((group, durable));
    }

    /// Asks for an entry.
    pub(super) fn read(&mut self, group: GroupNumber, number: u32, reader: Reader) {
        let id = self.id();
        self.questions.push_back((id, group, number));
        self.reading.insert(id, reader);
    }

    /// The next request; questions first, as somebody waits for each.
    pub(super) fn poll(&mut self) -> Option<StoreRequest> {
        if let Some((id, group, number)) = self.questions.pop_front() {
            return Some(StoreRequest::Read { id, group, number });
        }
        let batch = self.full.pop_front().unwrap_or_else(|| self.close());
        if batch.writes.is_empty() {
            return None;
        }
        let id = self.id();
        self.committing.insert(id, (batch.bytes, batch.durable));
        Some(StoreRequest::Commit { id, writes: batch.writes })
    }

    /// A commit is over.
    pub(super) fn committed(&mut self, id: u64) -> Vec<(GroupNumber, Durable)> {
        let Some((bytes, durable)) = self.committing.remove(&id) else { return Vec::new() };
        self.unstored -= bytes;
        durable
    }

    /// A question is answered.
    pub(super) fn answered(&mut self, id: u64) -> Option<Reader> {
        self.reading.remove(&id)
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32, length: usize) -> Write {
        Write::Entry { group: GroupNumber(1), number, name: [7; 32], bytes: vec![0; length] }
    }

    #[test]
    fn changes_come_in_order_in_batches_and_what_follows_is_told_with_theirs() {
        let key = super::super::tests::key(1, 2, 3);
        let mut queue = StoreQueue::default();
        for number in 0..40 {
            queue.write_then(GroupNumber(1), entry(number, 32 * 1024), Durable::Sent { key, number });
        }
        queue.read(GroupNumber(1), 7, Reader::Sent { key, number: 7 });
        let Some(StoreRequest::Read { id: read, number: 7, .. }) = queue.poll() else {
            panic!("a question is asked first")
        };
        let mut numbers = Vec::new();
        while let Some(StoreRequest::Commit { id, writes }) = queue.poll() {
            assert!(writes.len() <= 33, "about a MiB, not {} blocks", writes.len());
            let durable = queue.committed(id);
            assert_eq!(durable.len(), writes.len());
            for (write, (_, durable)) in writes.iter().zip(durable) {
                let Write::Entry { number, .. } = write else { panic!("{write:?}") };
                assert_eq!(durable, Durable::Sent { key, number: *number });
                numbers.push(*number);
            }
            assert_eq!(queue.committed(id), [], "told once");
        }
        assert_eq!(numbers, (0..40).collect::<Vec<_>>());
        assert_eq!(queue.unstored, 0);
        assert_eq!(queue.answered(read), Some(Reader::Sent { key, number: 7 }));
        assert_eq!(queue.answered(read), None);
    }

    #[test]
    fn it_says_when_it_is_full() {
        let mut queue = StoreQueue::default();
        while queue.has_room() {
            queue.write(entry(0, 32 * 1024));
        }
        assert!(queue.unstored < MOST_UNSTORED + 33 * 1024);
        let Some(StoreRequest::Commit { id, .. }) = queue.poll() else { panic!("a batch is full") };
        queue.committed(id);
        assert!(queue.has_room());
    }
}
