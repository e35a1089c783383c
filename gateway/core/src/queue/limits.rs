// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a fair queue may hold and when it tells a flow of congestion.

use core::time::Duration;

/// The largest quantum, and the most that one item counts for: no item is larger than the super-packets of a
/// TUN device by more than its headers, and a flow pays for an item in at most this many bytes by quantum rounds.
pub(super) const MAX_QUANTUM: u32 = 128 * 1024;

/// The smallest quantum: below, rounds that serve nobody cost more than the items.
pub(super) const MIN_QUANTUM: u32 = 256;

/// The most memory that can be asked for, 1 GiB: more would be seconds of delay on any link.
pub(super) const MAX_MEMORY: usize = 1 << 30;

/// Flows in one group that have a queue of their own, as many as RFC 8290 section 4.1.2 has buckets. A map is used and no buckets,
/// as two of 32 flows would meet in one of 1024 buckets with a probability of two in five. Flows beyond this number
/// share [`SHARED_FLOWS`] queues, chosen by their hash, until those have been empty for a round.
pub const MAX_FLOWS: usize = 1024;

/// Queues in one group that flows beyond [`MAX_FLOWS`] share: enough that a flood of new flows leaves a chance to
/// others, few beside those that came before it.
pub const SHARED_FLOWS: u64 = 64;

/// Groups that have a turn of their own: more links than a router has neighbours in practice. All groups beyond
/// share one further group, until it has been empty for a round.
pub const MAX_GROUPS: usize = 256;

/// What a [`FairQueue`](super::FairQueue) may hold, and its timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Bytes that items may hold, their slots in the queue included: at most 1 GiB, default 8 MiB. That is the receive window
    /// of a fast TCP flow: with 1 MiB, super-packets of one flow overflowed the queue tens of thousands of times in
    /// seconds; delay is bounded by CoDel and not by this.
    pub memory: usize,
    /// Bytes that each flow, and each group, may send per round: 256 to 131 072, default 4096. Two or three full packets, so that slow
    /// links change between flows often, a sixteenth of a super-packet, so that a flow pays for one in few rounds, and more than
    /// calls, terminals and name queries send in a round, so that they go first.
    pub quantum: u32,
    /// The delay that is good at all times (RFC 8289 section 4.3): default 5 ms.
    pub target: Duration,
    /// How long the delay may be above the target, about the longest usual round trip (RFC 8289 section 4.2): default 100 ms.
    pub interval: Duration,
}

impl QueueLimits {
    /// The same limits within their ranges.
    pub(super) fn clamped(self) -> Self {
        Self {
            memory: self.memory.min(MAX_MEMORY),
            quantum: self.quantum.clamp(MIN_QUANTUM, MAX_QUANTUM),
            ..self
        }
    }
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            memory: 8 * 1024 * 1024,
            quantum: 4096,
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
        }
    }
}
