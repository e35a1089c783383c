// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the data half tells the control half about one remote: totals for people, and the three times that the
//! timers need. Atomics, since several threads seal and open at once.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use ratman_types::{ByteCount, Timestamp};

const RELAXED: Ordering = Ordering::Relaxed;

/// IP packets and their bytes that a session carried since it came up; keepalives count as nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficTotals {
    /// Packets sealed; a super-packet is one.
    pub sent_packets: u64,
    /// Bytes of the packets sealed.
    pub sent_bytes: ByteCount,
    /// Packets opened.
    pub received_packets: u64,
    /// Bytes of the packets opened.
    pub received_bytes: ByteCount,
}

/// The counters and times of one remote, across all its keys. A time of 0 stands for none.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent_packets: AtomicU64,
    sent_bytes: AtomicU64,
    received_packets: AtomicU64,
    received_bytes: AtomicU64,
    /// When the first packet came in since we last sent anything.
    owed: AtomicU64,
    /// When we sent the first packet since anything last came in.
    unheard: AtomicU64,
    /// When packets last went either way.
    active: AtomicU64,
}

impl Traffic {
    /// A batch was sealed; without packets it is a keepalive.
    pub(super) fn sent(&self, packets: u64, bytes: u64, now: Timestamp) {
        self.owed.store(0, RELAXED);
        if packets > 0 {
            self.sent_packets.fetch_add(packets, RELAXED);
            self.sent_bytes.fetch_add(bytes, RELAXED);
            begin(&self.unheard, now);
            self.active.store(now.as_micros(), RELAXED);
        }
    }

    /// A frame authenticated; without body it is a keepalive.
    pub(super) fn received(&self, has_body: bool, now: Timestamp) {
        self.heard();
        if has_body {
            begin(&self.owed, now);
            self.active.store(now.as_micros(), RELAXED);
        }
    }

    /// Packets were delivered.
    pub(super) fn delivered(&self, packets: u64, bytes: u64) {
        if packets > 0 {
            self.received_packets.fetch_add(packets, RELAXED);
            self.received_bytes.fetch_add(bytes, RELAXED);
        }
    }

    /// Something authentic came in.
    pub(super) fn heard(&self) {
        self.unheard.store(0, RELAXED);
    }

    /// Whether the remote has waited for any frame of ours for `limit` since it sent packets.
    pub(super) fn owes(&self, limit: Duration, now: Timestamp) -> bool {
        older(&self.owed, limit, now)
    }

    /// Whether nothing came back for `limit` since we sent packets.
    pub(super) fn is_unheard(&self, limit: Duration, now: Timestamp) -> bool {
        older(&self.unheard, limit, now)
    }

    /// Whether packets went either way at or after `time`.
    pub(super) fn is_active_since(&self, time: Timestamp) -> bool {
        self.active.load(RELAXED) >= time.as_micros()
    }

    /// The totals as they stand.
    pub(super) fn totals(&self) -> TrafficTotals {
        TrafficTotals {
            sent_packets: self.sent_packets.load(RELAXED),
            sent_bytes: ByteCount(self.sent_bytes.load(RELAXED)),
            received_packets: self.received_packets.load(RELAXED),
            received_bytes: ByteCount(self.received_bytes.load(RELAXED)),
        }
    }
}

/// Starts a time that does not run yet; the load first keeps the cache line shared while it runs.
fn begin(time: &AtomicU64, now: Timestamp) {
    if time.load(RELAXED) == 0 {
        time.store(now.as_micros().max(1), RELAXED);
    }
}

fn older(time: &AtomicU64, limit: Duration, now: Timestamp) -> bool {
    match time.load(RELAXED) {
        0 => false,
        since => now.since(Timestamp::from_micros(since)) >= limit,
    }
}
