// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are whole, in the order in which their recipients have them.

use core::ops::Bound;
use std::collections::BTreeMap;

use ratman_types::{Address, Recipient, WallTime};
use ratman_wire::stream::StreamId;

use crate::journal::GroupNumber;
use crate::streams::StreamKey;

/// Where a whole stream is among those for its recipient: they are in the order in which they were made, by their senders' clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    created: WallTime,
    group: GroupNumber,
}

impl Spot {
    const LAST: Self = Self { created: WallTime::from_micros(u64::MAX), group: GroupNumber::LAST };

    /// That of a stream.
    pub const fn new(created: WallTime, group: GroupNumber) -> Self {
        Self { created, group }
    }

    /// The one behind it, with nothing in between.
    #[must_use]
    pub const fn behind(self) -> Self {
        Self { group: self.group.following(), ..self }
    }
}

/// All of them, for each recipient, and for each recipient by their senders.
#[derive(Debug, Default)]
pub(in crate::streams) struct Whole {
    // INVARIANT: both say the same.
    all: BTreeMap<(Recipient, Spot), StreamKey>,
    by_sender: BTreeMap<(Recipient, Address, Spot), StreamId>,
}

impl Whole {
    pub(in crate::streams) fn insert(&mut self, key: StreamKey, spot: Spot) {
        self.all.insert((key.recipient, spot), key);
        self.by_sender.insert((key.recipient, key.sender, spot), key.stream);
    }

    pub(in crate::streams) fn remove(&mut self, key: &StreamKey, spot: Spot) {
        self.all.remove(&(key.recipient, spot));
        self.by_sender.remove(&(key.recipient, key.sender, spot));
    }

    pub(in crate::streams) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &StreamKey> {
        self.all.values()
    }

    pub(super) fn of(&self, to: Recipient) -> impl Iterator<Item = &StreamKey> {
        self.all.range((to, Spot::default())..=(to, Spot::LAST)).map(|(_, key)| key)
    }

    /// The first for a recipient, of one sender if that is said, from a spot on.
    pub(super) fn first(&self, to: Recipient, of: Option<Address>, from: Spot) -> Option<(Spot, StreamKey)> {
        let Some(sender) = of else {
            let mut all = self.all.range((Bound::Included((to, from)), Bound::Included((to, Spot::LAST))));
            return all.next().map(|((_, spot), key)| (*spot, *key));
        };
        let mut theirs = self.by_sender.range((to, sender, from)..=(to, sender, Spot::LAST));
        let key = |stream: &StreamId| StreamKey { sender, recipient: to, stream: *stream };
        theirs.next().map(|((_, _, spot), stream)| (*spot, key(stream)))
    }
}
