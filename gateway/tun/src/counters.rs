// SPDX-License-Identifier: AGPL-3.0-or-later
//! What happened at the device, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::IoError;

/// Totals since the device was opened, in packets as the device sees them (a super-packet is one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunCounters {
    /// Read from the device.
    pub received: u64,
    /// Written to the device.
    pub sent: u64,
    /// Super-packets and partial checksums that the device could not take, so that software finished them.
    pub segmented: u64,
    /// Not written: the send buffer of the device was full.
    pub would_block: u64,
    /// Not written: the kernel had no memory for it.
    pub no_memory: u64,
    /// Not written: the interface is down.
    pub down: u64,
    /// Not written for any other reason.
    pub refused: u64,
}

/// The running totals of one queue; each is exact, a snapshot of all is not taken at one instant.
///
/// Aligned to a cache line, so that the threads of two queues do not take it from each other with every packet.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Counting {
    received: AtomicU64,
    sent: AtomicU64,
    segmented: AtomicU64,
    would_block: AtomicU64,
    no_memory: AtomicU64,
    down: AtomicU64,
    refused: AtomicU64,
}

impl Counting {
    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn segmented(&self) {
        self.segmented.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn written(&self, result: &Result<(), IoError>) {
        let counter = match result {
            Ok(()) => &self.sent,
            Err(IoError::WouldBlock) => &self.would_block,
            Err(IoError::NoMemory) => &self.no_memory,
            Err(IoError::Down) => &self.down,
            Err(
                IoError::Refused
                | IoError::Offload(_)
                | IoError::BufferTooShort { .. }
                | IoError::Gone
                | IoError::Other(_),
            ) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_to(&self, totals: &mut TunCounters) {
        totals.received += self.received.load(Ordering::Relaxed);
        totals.sent += self.sent.load(Ordering::Relaxed);
        totals.segmented += self.segmented.load(Ordering::Relaxed);
        totals.would_block += self.would_block.load(Ordering::Relaxed);
        totals.no_memory += self.no_memory.load(Ordering::Relaxed);
        totals.down += self.down.load(Ordering::Relaxed);
        totals.refused += self.refused.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_counter() {
        let counting = Counting::default();
        counting.received();
        counting.segmented();
        counting.refused();
        for result in [
            Ok(()),
            Err(IoError::WouldBlock),
            Err(IoError::NoMemory),
            Err(IoError::Down),
            Err(IoError::Refused),
            Err(IoError::Gone),
        ] {
            counting.written(&result);
        }
        let expected = TunCounters {
            received: 1,
            sent: 1,
            segmented: 1,
            would_block: 1,
            no_memory: 1,
            down: 1,
            refused: 3,
        };
        let mut totals = TunCounters::default();
        counting.add_to(&mut totals);
        assert_eq!(totals, expected);
        counting.add_to(&mut totals);
        assert_eq!(totals.refused, 6, "queues add up");
    }
}
