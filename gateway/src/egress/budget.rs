// SPDX-License-Identifier: AGPL-3.0-or-later
//! The memory that the queues of all links share: many full queues are no more than a few.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that every queue may hold whatever the others hold, so that neighbours who do not read cannot leave the
/// rest without a queue: three super-packets of 64 KiB.
pub(super) const OWN: usize = 256 * 1024;

/// Bytes for all: 32 links with full queues.
pub(super) const ALL: usize = 256 * 1024 * 1024;

/// Bytes that all queues together may hold beyond a small share of each; one value for all links of a router.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    /// INVARIANT: what all shares took, at most `limit`.
    taken: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { limit: ALL, taken: AtomicUsize::new(0) }
    }
}

impl Budget {
    #[cfg(test)]
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicUsize::new(0) })
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.limit);
        // Only the sum counts, no other memory is ordered by it.
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one queue holds of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    taken: usize,
}

impl Share {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, taken: 0 }
    }

    /// Makes the share that of a queue of so many bytes; false, and nothing changed, if the budget lacks them. It
    /// never lacks what a shorter queue needs.
    pub(super) fn hold(&mut self, queued: usize) -> bool {
        let wanted = queued.saturating_sub(OWN);
        if let Some(more) = wanted.checked_sub(self.taken) {
            if more > 0 && !self.budget.take(more) {
                return false;
            }
        } else {
            self.budget.give_back(self.taken - wanted);
        }
        self.taken = wanted;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_budget_is_shared_and_comes_back() {
        let budget = Budget::new(100);
        let [mut first, mut second] = [(); 2].map(|()| Share::new(Arc::clone(&budget)));
        assert!(first.hold(OWN) && second.hold(OWN), "what is a queue's own needs no budget");
        assert!(first.hold(OWN + 60));
        assert!(!second.hold(OWN + 41));
        assert!(second.hold(OWN + 40));
        assert!(!first.hold(OWN + 61));
        assert!(first.hold(OWN + 59) && second.hold(OWN + 41));
        drop(first);
        assert!(second.hold(OWN + 100) && !second.hold(OWN + 101));
        assert!(!second.hold(usize::MAX));
        drop(second);
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_and_nothing_is_lost(
            steps in proptest::collection::vec((0..4_usize, 0..3 * OWN), 0..200),
        ) {
            let budget = Budget::new(2 * OWN);
            let mut shares = [(); 4].map(|()| Share::new(Arc::clone(&budget)));
            let mut lengths = [0; 4];
            for (index, length) in steps {
                let held = shares[index].hold(length);
                prop_assert!(held || length > lengths[index]);
                if held {
                    lengths[index] = length;
                }
                let expected: usize = lengths.iter().map(|length: &usize| length.saturating_sub(OWN)).sum();
                prop_assert_eq!(budget.taken.load(Ordering::Relaxed), expected);
                prop_assert!(expected <= 2 * OWN);
            }
        }
    }
}
