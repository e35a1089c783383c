// SPDX-License-Identifier: AGPL-3.0-or-later
//! Joins slices to the blocks and sealed manifests that they were cut from, in whatever order they come (source: wire page,
//! data frames).
//!
//! What comes out has the name that its slices said, so a block is checked before anybody stores it. Memory is bounded: who
//! fills it loses what was touched longest ago, and nobody loses anything to another neighbour that fills more.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Digest, Recipient, RouterId, Timestamp, blake2b};
use ratman_wire::stream::{MAX_SEALED, Slice, SliceOf};

/// Bytes of unfinished wholes at most: on links of 1300 bytes those of 128 blocks of 32 KiB at once.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// What a slice costs beside its bytes, so that tiny ones cannot wait in millions.
const SLICE_COST: usize = 128;
/// The longest block.
const MAX_BLOCK: usize = 32 * 1024;
/// Without another slice for so long the rest is not awaited: a block over a link of 100 bytes per second has come by then.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// What slices are parts of; the same name from another sender, or to somebody else, is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whole {
    /// A block or a sealed manifest.
    pub of: SliceOf,
    /// Who signed the slices.
    pub sender: Address,
    /// Whom they are for.
    pub recipient: Recipient,
    /// Its name.
    pub name: Digest,
}

/// Why a slice is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SliceError {
    /// Another slice of the same name says another number of slices, or has other bytes in the same place.
    #[error("slices of one name do not agree")]
    Disagrees,
    /// Together they are longer than a block, or a sealed manifest, can be.
    #[error("slices make more than fits")]
    TooLong,
    /// Together they do not have the name that they say.
    #[error("the slices do not make what they name")]
    WrongName,
}

/// How often slices were in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectorCounters {
    /// Wholes that made room for others.
    pub evicted: u64,
    /// Wholes that were awaited for too long.
    pub expired: u64,
}

/// Slices that are not whole yet.
#[derive(Debug, Default)]
pub struct Collector {
    partial: BTreeMap<Whole, Partial>,
    // INVARIANT: every entry of `partial` once, with who brought it.
    shares: BTreeMap<RouterId, Share>,
    // INVARIANT: the sum of the costs of all entries.
    bytes: usize,
    counters: CollectorCounters,
}

/// What one neighbour brought.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    by_age: BTreeSet<(Timestamp, Whole)>,
}

#[derive(Debug)]
struct Partial {
    from: RouterId,
    max: u8,
    slices: BTreeMap<u8, Vec<u8>>,
    length: usize,
    touched: Timestamp,
}

impl Partial {
    fn cost(&self) -> usize {
        self.length + SLICE_COST * self.slices.len()
    }
}

impl Collector {
    /// Adds a slice that `from` brought, of a frame whose signature held; gives the whole, once it is.
    ///
    /// # Errors
    /// [`SliceError`]; all slices of that name are forgotten with [`SliceError::TooLong`] and [`SliceError::WrongName`].
    pub fn add(
        &mut self,
        whole: Whole,
        slice: &Slice<'_>,
        from: RouterId,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, SliceError> {
        let place = slice.place();
        if place.max == 0 {
            self.take(&whole);
            return named(&whole, slice.bytes().to_vec()).map(Some);
        }
        let mut partial = self.take(&whole).unwrap_or_else(|| Partial {
            from,
            max: place.max,
            slices: BTreeMap::new(),
            length: 0,
            touched: now,
        });
        let there = partial.slices.get(&place.num);
        if partial.max != place.max || there.is_some_and(|there| there != slice.bytes()) {
            // Both are signed by the same sender: which one is right, only the rest can tell.
            self.put(whole, partial);
            return Err(SliceError::Disagrees);
        }
        if there.is_none() {
            partial.length += slice.bytes().len();
            partial.slices.insert(place.num, slice.bytes().to_vec());
        }
        if partial.length > longest(whole.of) {
            return Err(SliceError::TooLong);
        }
        if partial.slices.len() == usize::from(partial.max) + 1 {
            let mut bytes = Vec::with_capacity(partial.length);
            partial.slices.values().for_each(|slice| bytes.extend_from_slice(slice));
            return named(&whole, bytes).map(Some);
        }
        partial.touched = now;
        self.put(whole, partial);
        self.make_room(&whole);
        Ok(None)
    }

    /// Forgets what is awaited for too long; to be called now and then.
    pub fn forget_old(&mut self, now: Timestamp) {
        while let Some(whole) = self.shares.values().find_map(|share| share.older_than(PATIENCE, now)) {
            self.take(&whole);
            self.counters.expired += 1;
        }
    }

    /// Bytes that wait, costs included: at most [`MAX_BYTES`].
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was in vain so far.
    pub const fn counters(&self) -> CollectorCounters {
        self.counters
    }

    /// Of the neighbour that fills most, what was touched longest ago leaves; what was touched just now last.
    fn make_room(&mut self, newest: &Whole) {
        while self.bytes > MAX_BYTES
            && let Some(most) = self.shares.values().max_by_key(|share| share.bytes)
        {
            let oldest = most.by_age.iter().map(|(_, whole)| whole).find(|whole| *whole != newest);
            let leaves = *oldest.unwrap_or(newest);
            tracing::debug!(sender = %leaves.sender.short(), "slices made room for others");
            self.take(&leaves);
            self.counters.evicted += 1;
        }
    }

    fn take(&mut self, whole: &Whole) -> Option<Partial> {
        let partial = self.partial.remove(whole)?;
        self.bytes -= partial.cost();
        if let Some(share) = self.shares.get_mut(&partial.from) {
            share.by_age.remove(&(partial.touched, *whole));
            share.bytes -= partial.cost();
            if share.by_age.is_empty() {
                self.shares.remove(&partial.from);
            }
        }
        Some(partial)
    }

    fn put(&mut self, whole: Whole, partial: Partial) {
        self.bytes += partial.cost();
        let share = self.shares.entry(partial.from).or_default();
        share.by_age.insert((partial.touched, whole));
        share.bytes += partial.cost();
        self.partial.insert(whole, partial);
    }
}

impl Share {
    fn older_than(&self, age: Duration, now: Timestamp) -> Option<Whole> {
        self.by_age.first().filter(|(touched, _)| now.since(*touched) >= age).map(|(_, whole)| *whole)
    }
}

const fn longest(of: SliceOf) -> usize {
    match of {
        SliceOf::Block => MAX_BLOCK,
        SliceOf::SealedManifest => MAX_SEALED,
    }
}

fn named(whole: &Whole, bytes: Vec<u8>) -> Result<Vec<u8>, SliceError> {
    if blake2b(&[&bytes]) == whole.name { Ok(bytes) } else { Err(SliceError::WrongName) }
}

#[cfg(test)]
mod tests;
