// SPDX-License-Identifier: AGPL-3.0-or-later
//! All items of all flows in one vector, so that a flow costs no buffer of its own and a slot that one flow frees
//! serves the next.

use ratman_types::Timestamp;

use super::QueueKey;

/// An item that waits.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) item: T,
    pub(super) key: QueueKey,
    pub(super) since: Timestamp,
    /// Bytes on the wire, at least 1.
    pub(super) bytes: u32,
    /// Bytes held, the slot included.
    pub(super) memory: usize,
}

#[derive(Debug)]
struct Slot<T> {
    entry: Option<Entry<T>>,
    // The next item of the flow, or the next free slot.
    next: Option<usize>,
}

/// The items of one flow, in the order in which they came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fifo {
    first: Option<usize>,
    last: Option<usize>,
    bytes: u64,
}

impl Fifo {
    /// Bytes on the wire of all items.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The slots of all items.
#[derive(Debug)]
pub(super) struct Items<T> {
    slots: Vec<Slot<T>>,
    free: Option<usize>,
    len: usize,
}

impl<T> Items<T> {
    /// What an item costs beside what it holds itself.
    pub(super) const SLOT: usize = size_of::<Slot<T>>();

    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), free: None, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Slots that were needed at once; they stay until the queue is made anew.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn append(&mut self, fifo: &mut Fifo, entry: Entry<T>) {
        fifo.bytes += u64::from(entry.bytes);
        let slot = Slot { entry: Some(entry), next: None };
        let at = match self.free {
            Some(at) => {
                self.free = self.slots[at].next;
                self.slots[at] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        match fifo.last.replace(at) {
            Some(before) => self.slots[before].next = Some(at),
            None => fifo.first = Some(at),
        }
        self.len += 1;
    }

    pub(super) fn first(&self, fifo: &Fifo) -> Option<&Entry<T>> {
        self.slots[fifo.first?].entry.as_ref()
    }

    pub(super) fn first_mut(&mut self, fifo: &Fifo) -> Option<&mut Entry<T>> {
        self.slots[fifo.first?].entry.as_mut()
    }

    pub(super) fn take_first(&mut self, fifo: &mut Fifo) -> Option<Entry<T>> {
        let at = fifo.first?;
        let slot = &mut self.slots[at];
        let entry = slot.entry.take()?;
        fifo.first = slot.next;
        if fifo.first.is_none() {
            fifo.last = None;
        }
        fifo.bytes -= u64::from(entry.bytes);
        slot.next = self.free.replace(at);
        self.len -= 1;
        Some(entry)
    }
}
