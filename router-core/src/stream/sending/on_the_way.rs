// SPDX-License-Identifier: AGPL-3.0-or-later
//! The blocks of one stream that were sent and of which nothing is known yet, in the order of sending.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use ratman_types::{ByteCount, Timestamp};

/// Blocks without a word about them. As many as the window lets out: it is the bound of this queue.
#[derive(Debug, Default)]
pub(super) struct OnTheWay {
    blocks: VecDeque<Sent>,
    /// Of all blocks in the queue.
    bytes: u64,
    /// Bytes of which it is known what became of them.
    settled: u64,
    /// How much of that had not arrived when the recipient was heard last.
    missing: u64,
    /// Since when a word about the oldest block is awaited: since it was sent, or since the last word about another.
    waiting_since: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u32,
    bytes: u32,
    at: Timestamp,
    filled_window: bool,
}

/// What a word of the recipient says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Bytes that are not on their way any more.
    pub(super) bytes: u64,
    /// How long the newest of them took, with the word about it.
    pub(super) round_trip: Duration,
    /// Whether the window had no room for more when that one was sent.
    pub(super) filled_window: bool,
    /// Whether something was lost that was not known to be.
    pub(super) lost: bool,
}

impl OnTheWay {
    /// Bytes on their way.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Since when a word is awaited.
    pub(super) const fn waiting_since(&self) -> Option<Timestamp> {
        self.waiting_since
    }

    pub(super) fn push(&mut self, number: u32, bytes: u32, filled_window: bool, at: Timestamp) {
        self.blocks.push_back(Sent { number, bytes, at, filled_window });
        self.bytes += u64::from(bytes);
        self.waiting_since = self.waiting_since.or(Some(at));
    }

    /// This block came last, and `received` bytes in all: nothing that was sent before it is on its way any more. An
    /// older word than one that is known says nothing.
    pub(super) fn arrived(&mut self, number: u32, received: ByteCount, now: Timestamp) -> Option<Arrived> {
        let newest = self.blocks.iter().rposition(|sent| sent.number == number)?;
        let sent = self.blocks[newest];
        let bytes = self.blocks.drain(..=newest).map(|sent| u64::from(sent.bytes)).sum::<u64>();
        self.settle(bytes, now);
        let missing = self.settled.saturating_sub(received.0);
        let lost = missing > self.missing;
        self.missing = missing;
        Some(Arrived { bytes, round_trip: now.since(sent.at), filled_window: sent.filled_window, lost })
    }

    /// This block need not arrive: somebody else answers for it.
    pub(super) fn taken_over(&mut self, number: u32, now: Timestamp) -> Option<Arrived> {
        let place = self.blocks.iter().position(|sent| sent.number == number)?;
        let Sent { bytes, at, filled_window, .. } = self.blocks.remove(place)?;
        self.settle(bytes.into(), now);
        // The recipient will not count it yet.
        self.missing += u64::from(bytes);
        Some(Arrived { bytes: bytes.into(), round_trip: now.since(at), filled_window, lost: false })
    }

    fn settle(&mut self, bytes: u64, now: Timestamp) {
        self.bytes -= bytes;
        self.settled += bytes;
        self.waiting_since = (!self.blocks.is_empty()).then_some(now);
    }

    /// These are to be sent again.
    pub(super) fn forget(&mut self, numbers: &BTreeSet<u32>) {
        self.blocks.retain(|sent| !numbers.contains(&sent.number));
        let left = self.blocks.iter().map(|sent| u64::from(sent.bytes)).sum();
        self.give_up(left);
    }

    /// All of it counts as lost.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.give_up(0);
    }

    fn give_up(&mut self, left: u64) {
        let lost = self.bytes - left;
        self.bytes = left;
        self.settled += lost;
        self.missing += lost;
        if self.blocks.is_empty() {
            self.waiting_since = None;
        }
    }
}
