// SPDX-License-Identifier: AGPL-3.0-or-later
//! How much of each link may wait somewhere, in bytes: a neighbour that floods fills its own share and nobody else's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use ratman_types::LinkId;

/// What something that waits costs beside its bytes, so that tiny things cannot wait in millions.
pub(super) const COST: usize = 256;

/// The shares of all links that are up.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    waiting: ArcSwap<HashMap<LinkId, Arc<AtomicUsize>>>,
}

/// A part of a share, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    waiting: Arc<AtomicUsize>,
    cost: usize,
}

impl Shares {
    /// Shares of `most` bytes, for no link yet.
    pub fn new(most: usize) -> Self {
        Self { most, waiting: ArcSwap::default() }
    }

    /// A link came up.
    pub fn open(&self, link: LinkId) {
        self.waiting.rcu(|waiting| {
            let mut waiting = HashMap::clone(waiting);
            waiting.insert(link, Arc::default());
            waiting
        });
    }

    /// A link is gone; what waits of it goes on waiting.
    pub fn close(&self, link: LinkId) {
        self.waiting.rcu(|waiting| {
            let mut waiting = HashMap::clone(waiting);
            waiting.remove(&link);
            waiting
        });
    }

    /// A place for so many bytes of a link; nothing where its share does not hold them, or it is not up.
    pub fn take(&self, link: LinkId, bytes: usize) -> Option<Place> {
        let cost = bytes + COST;
        let waiting = Arc::clone(self.waiting.load().get(&link)?);
        let fits = |bytes: usize| Some(bytes + cost).filter(|bytes| *bytes <= self.most);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Place { waiting, cost })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_filled_given_back_and_nobody_elses() {
        let shares = Shares::new(10 * (100 + COST));
        assert!(shares.take(LinkId(1), 0).is_none(), "not up");
        shares.open(LinkId(1));
        shares.open(LinkId(2));
        let mut places: Vec<_> = std::iter::from_fn(|| shares.take(LinkId(1), 100)).collect();
        assert_eq!(places.len(), 10);
        assert!(shares.take(LinkId(2), 100).is_some());
        places.pop();
        assert!(shares.take(LinkId(1), 101).is_none());
        places.extend(shares.take(LinkId(1), 100));
        assert_eq!(places.len(), 10);
        shares.close(LinkId(1));
        drop(places);
        shares.open(LinkId(1));
        assert!(shares.take(LinkId(1), 10 * (100 + COST) - COST).is_some());
    }
}
