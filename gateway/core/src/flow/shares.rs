// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who holds how much of the flow table, and how fast the outside may fill it.

use core::time::Duration;
use std::collections::HashMap;

use ratman_types::{Address, Timestamp};

use super::MAX_FLOWS;
use super::record::Origin;
use super::seed::HashSeed;
use crate::token_bucket::{Fill, TokenBucket};

/// Flows of one origin, ours or theirs: half of the table each, so that neither side can push out what the other opened.
pub const MAX_FLOWS_PER_ORIGIN: usize = MAX_FLOWS / 2;

/// Flows of one origin that one remote may hold: half, so that no remote can push out the flows of all others.
pub const MAX_FLOWS_PER_REMOTE: usize = MAX_FLOWS_PER_ORIGIN / 2;

/// Flows that one remote may open from outside per second in the long run: a site of a thousand people opens fewer, and
/// it takes a quarter of a minute to fill the remote's share.
pub const NEW_FLOWS_PER_SECOND: u32 = 1000;

/// Flows that one remote may open from outside at once.
pub const NEW_FLOWS_BURST: u32 = 1000;

#[derive(Debug)]
struct Share {
    ours: usize,
    theirs: usize,
    opening: TokenBucket,
}

/// What each remote and each origin holds.
#[derive(Debug)]
pub(super) struct Shares {
    // INVARIANT: the remotes that hold a flow, so that there are at most MAX_FLOWS. Whoever holds none has, but for
    // the rare flow that was pushed out, opened none for a minute, and its bucket would be full.
    remotes: HashMap<Address, Share, HashSeed>,
    ours: usize,
    theirs: usize,
    opening: Fill,
}

impl Shares {
    pub(super) fn new(seed: HashSeed) -> Self {
        let opening = Fill::new(NEW_FLOWS_PER_SECOND, Duration::from_secs(1), NEW_FLOWS_BURST);
        Self { remotes: HashMap::with_hasher(seed), ours: 0, theirs: 0, opening }
    }

    pub(super) fn of_remote(&self, remote: &Address, origin: Origin) -> usize {
        self.remotes.get(remote).map_or(0, |share| match origin {
            Origin::Ours => share.ours,
            Origin::Theirs => share.theirs,
        })
    }

    pub(super) fn of_origin(&self, origin: Origin) -> usize {
        match origin {
            Origin::Ours => self.ours,
            Origin::Theirs => self.theirs,
        }
    }

    /// Whether the remote keeps to the pace at which flows may be opened from outside.
    pub(super) fn may_open(&self, remote: &Address, now: Timestamp) -> bool {
        self.remotes.get(remote).is_none_or(|share| share.opening.has_one(&self.opening, now))
    }

    pub(super) fn add(&mut self, remote: Address, origin: Origin, now: Timestamp) {
        let opening = TokenBucket::full(&self.opening);
        let share = self.remotes.entry(remote).or_insert(Share { ours: 0, theirs: 0, opening });
        match origin {
            Origin::Ours => {
                share.ours += 1;
                self.ours += 1;
            }
            Origin::Theirs => {
                share.theirs += 1;
                self.theirs += 1;
                share.opening.take(&self.opening, 1, now);
            }
        }
    }

    pub(super) fn remove(&mut self, remote: &Address, origin: Origin) {
        let share = self.remotes.get_mut(remote).expect("invariant: whoever holds a flow is here");
        match origin {
            Origin::Ours => {
                share.ours -= 1;
                self.ours -= 1;
            }
            Origin::Theirs => {
                share.theirs -= 1;
                self.theirs -= 1;
            }
        }
        if share.ours + share.theirs == 0 {
            self.remotes.remove(remote);
        }
    }

    /// The sums over all remotes, which must be what is counted.
    #[cfg(test)]
    pub(super) fn sums(&self) -> (usize, usize) {
        let sums = self.remotes.values().fold((0, 0), |(ours, theirs), share| {
            assert!(share.ours + share.theirs > 0, "nobody is here without a flow");
            (ours + share.ours, theirs + share.theirs)
        });
        assert_eq!(sums, (self.ours, self.theirs));
        sums
    }
}
