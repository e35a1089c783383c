// SPDX-License-Identifier: AGPL-3.0-or-later
//! What waits in front of one link, shared out fairly: between groups first (our own traffic, and each link that we
//! relay from), then between the flows of a group.
//!
//! Both levels are deficit round robin with sparse members first, and each flow has a CoDel of its own (FQ-CoDel,
//! RFC 8290). A flow that sends little, such as a ping beside ten downloads, is always next in its group, and a flow
//! that keeps a standing queue is told so, by ECN marks where it knows them and by drops else. Memory has one limit
//! for all; above it, the flow that holds most gives way. Every step takes constant time and, once the
//! slots exist, no allocation; where the queue runs empty after a burst, all but a small number of slots is given back.

mod chain;
mod codel;
mod items;
mod limits;
mod round;
mod sizes;
mod tree;

use ratman_types::Timestamp;

use crate::drop_reasons;
use core::time::Duration;
use items::{Entry, Items};
use tree::Tree;

pub use limits::{MAX_FLOWS, MAX_GROUPS, QueueLimits, SHARED_FLOWS};

/// Items whose slots an empty queue keeps: 5 ms of full packets at 2.5 Gbit/s, so that only longer bursts allocate.
const KEPT_ITEMS: usize = 1024;

/// What can wait in a [`FairQueue`].
pub trait Queued {
    /// Bytes on the wire, for the shares; counted as at least 1 and at most 128 KiB. The same at each call.
    fn len(&self) -> usize;

    /// Bytes that the item holds, for the limit. The same at each call.
    fn memory(&self) -> usize;

    /// Marks the item as having met congestion (ECN, RFC 3168): true if it is marked now, or was before, and false if it
    /// cannot be, so that it is dropped instead.
    fn mark_congested(&mut self) -> bool;

    /// Whether nothing goes on the wire.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whose share an item takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueKey {
    /// 0 for our own traffic, else a number of the link that the item came from.
    pub group: u32,
    /// The flow: a hash under a secret seed, of the 5-tuple, or of sender and recipient on relays.
    pub flow: u64,
}

drop_reasons! {
    /// Why a fair queue dropped an item.
    pub enum QueueDrop {
        /// The memory limit was reached, and this flow held most.
        Overflow = "queue_overflow", "the queue is full and this flow holds most of it";
        /// CoDel: the flow has kept a standing queue, and the item has no ECN to be marked instead.
        Delay = "queue_delay", "the flow has kept a standing queue for too long";
    }
}

/// What a fair queue holds, and has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Flows that have items, or had some in one of the last two rounds.
    pub flows: usize,
    /// Groups likewise.
    pub groups: usize,
    /// Items dropped for [`QueueDrop::Overflow`].
    pub overflows: u64,
    /// Items dropped for [`QueueDrop::Delay`].
    pub delays: u64,
    /// Marks set instead of such a drop.
    pub marks: u64,
    /// The longest time that an item popped since the stats were last asked for had waited.
    pub longest_sojourn: Duration,
}

/// A queue that shares a link fairly; see the [module](self).
///
/// Time must come from one clock; where it goes back, it is taken to stand.
#[derive(Debug)]
pub struct FairQueue<T> {
    limits: QueueLimits,
    items: Items<T>,
    tree: Tree,
    // INVARIANT: the sum over all items, at most `limits.memory` after each call.
    memory: usize,
    clock: Timestamp,
    // INVARIANT: a flow with an item, the one peeked at last.
    shown: Option<usize>,
    /// Its flows and groups are not kept here.
    counts: QueueStats,
}

impl<T: Queued> FairQueue<T> {
    /// An empty queue; limits out of range are taken as the nearest that is in range.
    pub fn new(limits: QueueLimits) -> Self {
        let limits = limits.clamped();
        Self {
            limits,
            items: Items::new(),
            tree: Tree::new(limits.quantum),
            memory: 0,
            clock: Timestamp::default(),
            shown: None,
            counts: QueueStats::default(),
        }
    }

    /// Adds an item behind the others of its flow. What no longer fits is handed to `dropped`: the oldest items of a
    /// flow that holds most (to within a fifth) in a group that holds most, so possibly this one.
    pub fn push(&mut self, key: QueueKey, item: T, now: Timestamp, dropped: &mut dyn FnMut(T, QueueDrop)) {
        self.clock = self.clock.max(now);
        let flow = self.tree.flow_of(key);
        let bytes = u32::try_from(item.len()).unwrap_or(u32::MAX).clamp(1, limits::MAX_QUANTUM);
        // More than the limit is as bad as one byte more, and cannot overflow the sum.
        let memory = item.memory().saturating_add(Items::<T>::SLOT).min(self.limits.memory + 1);
        let entry = Entry { item, key, since: self.clock, bytes, memory };
        self.items.append(&mut self.tree.flow_mut(flow).fifo, entry);
        self.tree.grow(flow, memory);
        self.memory += memory;
        while self.memory > self.limits.memory {
            let fattest = self.tree.fattest().expect("invariant: what holds memory is a flow");
            let entry = self.take(fattest).expect("invariant: a flow that holds memory has items");
            self.counts.overflows += 1;
            dropped(entry.item, QueueDrop::Overflow);
        }
    }

    /// Shows the next item, after dropping those by which CoDel tells its flow of congestion. To be asked
    /// again when the link is writable again: fresh flows may have come first.
    pub fn peek(&mut self, now: Timestamp, dropped: &mut dyn FnMut(T, QueueDrop)) -> Option<&T> {
        self.clock = self.clock.max(now);
        self.shown = None;
        while let Some(flow) = self.next() {
            if self.may_pass(flow) {
                self.shown = Some(flow);
                return self.items.first(&self.tree.flow(flow).fifo).map(|entry| &entry.item);
            }
            let entry = self.take(flow)?;
            self.counts.delays += 1;
            dropped(entry.item, QueueDrop::Delay);
        }
        self.give_back();
        None
    }

    /// Takes what [`peek`](Self::peek) showed; nothing if it was not called since the last time, or if a push dropped
    /// that item since.
    pub fn pop(&mut self) -> Option<T> {
        let flow = self.shown?;
        let entry = self.take(flow)?;
        self.tree.charge(flow, entry.bytes);
        let sojourn = self.clock.since(entry.since);
        self.counts.longest_sojourn = self.counts.longest_sojourn.max(sojourn);
        self.give_back();
        Some(entry.item)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes that the waiting items hold, their slots included; at most the limit.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Takes out all items without CoDel, each flow's in order; what is not asked for stays.
    pub fn drain(&mut self) -> impl Iterator<Item = (QueueKey, T)> {
        core::iter::from_fn(|| {
            let flow = self.next()?;
            let entry = self.take(flow)?;
            self.give_back();
            Some((entry.key, entry.item))
        })
    }

    /// What the queue holds and has done; [`longest_sojourn`](QueueStats::longest_sojourn) begins anew.
    pub fn stats(&mut self) -> QueueStats {
        let stats = QueueStats { flows: self.tree.flows(), groups: self.tree.groups(), ..self.counts };
        self.counts.longest_sojourn = Duration::ZERO;
        stats
    }

    /// The flow whose turn it is.
    fn next(&mut self) -> Option<usize> {
        // Flows without items are left to a time when there are some: the next burst may be theirs.
        if self.is_empty() { None } else { self.tree.next() }
    }

    /// Asks CoDel about the first item of a flow, and marks it if need be; whether it may go.
    fn may_pass(&mut self, flow: usize) -> bool {
        let state = self.tree.flow_mut(flow);
        let Some(entry) = self.items.first_mut(&state.fifo) else { return false };
        let QueueLimits { quantum, target, interval, .. } = self.limits;
        // RFC 8289 section 4.1.1: less than one more packet is no queue. A super-packet is a packet.
        let behind = state.fifo.bytes() - u64::from(entry.bytes);
        let stands = behind > u64::from(quantum.max(entry.bytes));
        let late = stands && self.clock.since(entry.since) >= target;
        if !state.codel.signals(self.clock, late, interval) {
            return true;
        }
        let marked = entry.item.mark_congested();
        self.counts.marks += u64::from(marked);
        marked
    }

    /// Takes the first item of a flow.
    fn take(&mut self, flow: usize) -> Option<Entry<T>> {
        if self.shown == Some(flow) {
            self.shown = None;
        }
        let entry = self.items.take_first(&mut self.tree.flow_mut(flow).fifo)?;
        self.tree.shrink(flow, entry.memory);
        self.memory -= entry.memory;
        Some(entry)
    }

    /// Frees an empty queue's slots if they are many; what is known of recent flows goes with them.
    fn give_back(&mut self) {
        if self.is_empty() && (self.items.slots() > KEPT_ITEMS || self.tree.is_large()) {
            self.items = Items::new();
            self.tree = Tree::new(self.limits.quantum);
        }
    }
}

#[cfg(test)]
mod tests;
