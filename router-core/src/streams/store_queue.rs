// SPDX-License-Identifier: AGPL-3.0-or-later
//! What waits for the store, and what is to be done once it is durable. Removals that it did not make are repeated behind the
//! next commit that goes through, and when somebody [asks for it](StoreQueue::repeat).

mod owed;

use std::collections::{BTreeMap, VecDeque};

use ratman_eris::Reference;
use ratman_types::{Address, Hop, RouterId};
use ratman_wire::FrameId;

use super::{StoreRequest, StreamKey, Write};
use crate::journal::GroupNumber;
use owed::{Owed, Removal, writes_of};

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
    /// That one of the addresses that a stream is for has it.
    TakenBy { key: StreamKey, member: Address },
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

/// A commit that the store is making.
#[derive(Debug)]
struct Committing {
    bytes: usize,
    durable: Vec<(GroupNumber, Durable)>,
    /// What is to be done again where it fails.
    removals: Vec<Removal>,
}

/// Changes and questions on their way to the store.
#[derive(Debug, Default)]
pub(super) struct StoreQueue {
    next_id: u64,
    /// How many batches were closed.
    closed: u64,
    open: Batch,
    full: VecDeque<Batch>,
    committing: BTreeMap<u64, Committing>,
    owed: Owed,
    /// Whether what is owed is to be tried again, and which commit tries it.
    repeats: bool,
    repeating: Option<u64>,
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
        self.push(write);
        self.close_if_full();
    }

    fn push(&mut self, write: Write) {
        let bytes = memory(&write);
        match &write {
            // Where it fails, its group is of no use.
            Write::Group { group, .. } => self.open.durable.push((*group, Durable::Record)),
            Write::RemoveGroup { group, record: true, .. } => self.owed.goes_for_good(*group),
            Write::Entry { .. } | Write::RemoveEntry { .. } | Write::RemoveGroup { .. } => {}
        }
        self.open.writes.push(write);
        self.open.bytes += bytes;
        self.unstored += bytes;
    }

    fn close_if_full(&mut self) {
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

    /// Removes the entries of a group and says what is known of it from now on, both at once; `durable` follows.
    pub(super) fn replace_then(
        &mut self,
        (group, entries): (GroupNumber, u32),
        record: Vec<u8>,
        durable: Durable,
    ) {
        self.open.durable.push((group, durable));
        self.push(Write::RemoveGroup { group, entries, record: false });
        self.push(Write::Group { group, record });
        self.close_if_full();
    }

    /// Removals that failed are to be tried again, as many as go at once: where nothing else is stored, as on a full disk, they
    /// may be what makes room.
    pub(super) const fn repeat(&mut self) {
        self.repeats = true;
    }

    /// Removals that failed and were not repeated yet.
    pub(super) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Removals that failed and are not repeated, since too many were.
    pub(super) const fn forgotten(&self) -> u64 {
        self.owed.forgotten()
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
            return self.poll_owed();
        }
        let removals = Removal::all_of(&batch.writes);
        let id = self.id();
        self.committing.insert(id, Committing { bytes: batch.bytes, durable: batch.durable, removals });
        Some(StoreRequest::Commit { id, writes: batch.writes })
    }

    fn poll_owed(&mut self) -> Option<StoreRequest> {
        if !self.repeats || self.repeating.is_some() {
            return None;
        }
        self.repeats = false;
        let removals = self.owed.take();
        let writes = writes_of(&removals);
        if writes.is_empty() {
            return None;
        }
        let (id, bytes) = (self.id(), writes.iter().map(memory).sum());
        self.unstored += bytes;
        self.committing.insert(id, Committing { bytes, durable: Vec::new(), removals });
        self.repeating = Some(id);
        Some(StoreRequest::Commit { id, writes })
    }

    /// A commit is over. `replaced` says whether what was said of a group then still is what is to be known of it.
    pub(super) fn committed(
        &mut self,
        id: u64,
        durable: bool,
        replaced: impl Fn(&GroupNumber) -> bool,
    ) -> Vec<(GroupNumber, Durable)> {
        let Some(Committing { bytes, durable: done, removals }) = self.committing.remove(&id) else {
            return Vec::new();
        };
        self.unstored -= bytes;
        self.repeating = self.repeating.filter(|repeating| *repeating != id);
        if durable {
            self.repeats = true;
            return done;
        }
        for removal in removals {
            self.owed.add(match removal {
                Removal::Replace(group, entries, _) if !replaced(&group) => Removal::Group(group, entries),
                Removal::Entry(..) | Removal::Group(..) | Removal::Replace(..) => removal,
            });
        }
        done
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

/// What a change takes while it waits, in bytes.
fn memory(write: &Write) -> usize {
    let bytes = match write {
        Write::Entry { bytes, .. } => bytes.len(),
        Write::Group { record, .. } => record.len(),
        Write::RemoveEntry { .. } | Write::RemoveGroup { .. } => 0,
    };
    bytes + size_of::<Write>()
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
            let durable = queue.committed(id, true, |_| true);
            assert_eq!(durable.len(), writes.len());
            for (write, (_, durable)) in writes.iter().zip(durable) {
                let Write::Entry { number, .. } = write else { panic!("{write:?}") };
                assert_eq!(durable, Durable::Sent { key, number: *number });
                numbers.push(*number);
            }
            assert_eq!(queue.committed(id, true, |_| true), [], "told once");
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
        queue.committed(id, true, |_| true);
        assert!(queue.has_room());
    }

    /// The next commit, and what it does.
    fn next(queue: &mut StoreQueue) -> Option<(u64, Vec<Write>)> {
        queue.poll().map(|request| match request {
            StoreRequest::Commit { id, writes } => (id, writes),
            StoreRequest::Read { .. } => panic!("nothing is read"),
        })
    }

    const GONE: Write = Write::RemoveGroup { group: GroupNumber(1), entries: 3, record: true };

    #[test]
    fn removals_that_failed_are_repeated_behind_the_next_commit_that_goes_through() {
        let mut queue = StoreQueue::default();
        let single = Write::RemoveEntry { group: GroupNumber(2), number: 7 };
        [GONE, entry(5, 10), single.clone()].into_iter().for_each(|write| queue.write(write));
        let (failed, _) = next(&mut queue).unwrap();
        queue.committed(failed, false, |_| true);
        assert_eq!(
            (next(&mut queue), queue.owed()),
            (None, 2),
            "a disk that fails is not asked again at once"
        );
        queue.write(entry(6, 10));
        let (failed, writes) = next(&mut queue).unwrap();
        assert_eq!(writes, [entry(6, 10)], "what fails must not make others fail");
        queue.committed(failed, false, |_| true);
        assert_eq!(next(&mut queue), None);
        queue.write(entry(7, 10));
        let (done, _) = next(&mut queue).unwrap();
        queue.committed(done, true, |_| true);
        let (repeated, writes) = next(&mut queue).unwrap();
        assert_eq!(writes, [GONE, single]);
        queue.repeat();
        assert_eq!(next(&mut queue), None, "one at a time");
        queue.committed(repeated, false, |_| true);
        assert_eq!(queue.owed(), 2, "and again");
        let (repeated, _) = next(&mut queue).unwrap();
        queue.committed(repeated, true, |_| true);
        assert_eq!((next(&mut queue), queue.owed(), queue.unstored), (None, 0, 0));
    }

    #[test]
    fn what_was_replaced_is_replaced_as_a_whole_unless_it_went_meanwhile() {
        let mut queue = StoreQueue::default();
        let (group, key) = (GroupNumber(1), super::super::tests::key(1, 2, 3));
        let both = [
            Write::RemoveGroup { group, entries: 3, record: false },
            Write::Group { group, record: vec![7] },
        ];
        for still_there in [true, false] {
            // Also where it is the last that has room in a batch.
            queue.write(entry(0, BATCH - 2 * size_of::<Write>()));
            queue.replace_then((group, 3), vec![7], Durable::Taken { key });
            let (failed, writes) = next(&mut queue).unwrap();
            assert_eq!(writes[1..], both);
            let told = queue.committed(failed, false, |_| still_there);
            assert!(told.contains(&(group, Durable::Taken { key })));
            queue.repeat();
            let (repeated, writes) = next(&mut queue).unwrap();
            assert_eq!(writes, if still_there { both.to_vec() } else { vec![GONE] });
            assert_eq!(queue.committed(repeated, true, |_| true), [], "nobody is told twice");
        }
    }
}
