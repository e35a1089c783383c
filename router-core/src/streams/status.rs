// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a message plane looks like in numbers.

use ratman_types::ByteCount;

use super::Streams;
use crate::journal::JournalCounters;

/// Totals, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamsStatus {
    /// Streams that local clients send and that did not end.
    pub sending: usize,
    /// Streams that come for local addresses and are not whole.
    pub receiving: usize,
    /// Whole streams that no client took.
    pub waiting: usize,
    /// Streams whose address is down, or whose namespace's key is not here.
    pub sleeping: usize,
    /// Contents that local clients share.
    pub shared: usize,
    /// Who is getting such a content without having been told of it by us.
    pub answered: usize,
    /// Groups of frames that are carried for others.
    pub carried: usize,
    /// Frames to namespaces that are kept for others.
    pub flooded: usize,
    /// What the journal holds, costs included.
    pub used: ByteCount,
    /// What the journal may hold.
    pub quota: ByteCount,
    /// Frames of streams of others that were passed on at once.
    pub relayed: u64,
    /// What the journal refused and let go.
    pub journal: JournalCounters,
    /// Removals that the store did not make and that are repeated.
    pub removals_owed: usize,
    /// Removals that the store did not make and that are not repeated, since too many were not.
    pub removals_forgotten: u64,
}

impl Streams {
    /// Totals.
    pub fn status(&self) -> StreamsStatus {
        StreamsStatus {
            sending: self.sent.len() - self.answers.len(),
            receiving: self.received.len() - self.whole.len(),
            waiting: self.whole.len(),
            sleeping: self.asleep.len(),
            shared: self.shared.len(),
            answered: self.answers.len(),
            carried: self.carriage.len(),
            flooded: self.flooding.len(),
            used: self.journal.used(),
            quota: self.config.quota,
            relayed: self.relayed,
            journal: self.journal.counters(),
            removals_owed: self.store.owed(),
            removals_forgotten: self.store.forgotten(),
        }
    }
}
