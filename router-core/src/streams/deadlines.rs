// SPDX-License-Identifier: AGPL-3.0-or-later
//! When which of many things wants to be looked at again.

use std::collections::{BTreeMap, BTreeSet};

use ratman_types::Timestamp;

/// At most one deadline for each key.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    // INVARIANT: both say the same.
    by_key: BTreeMap<K, Timestamp>,
    by_time: BTreeSet<(Timestamp, K)>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// Sets or removes the deadline of a key.
    pub(super) fn set(&mut self, key: K, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(at) = at {
            self.by_time.insert((at, key));
        }
    }

    /// How many keys have one.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The deadline of a key.
    pub(super) fn get(&self, key: &K) -> Option<Timestamp> {
        self.by_key.get(key).copied()
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Removes the earliest if it has come, and gives its key.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<K> {
        let (_, key) = self.by_time.first().copied().filter(|(at, _)| *at <= now)?;
        self.set(key, None);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_comes_once_at_its_last_deadline() {
        let at = Timestamp::from_micros;
        let mut deadlines = Deadlines::default();
        deadlines.set('a', Some(at(5)));
        deadlines.set('b', Some(at(3)));
        deadlines.set('a', Some(at(2)));
        deadlines.set('c', Some(at(1)));
        deadlines.set('c', None);
        assert_eq!(deadlines.next(), Some(at(2)));
        assert_eq!(deadlines.take_due(at(1)), None);
        assert_eq!(deadlines.take_due(at(3)), Some('a'));
        assert_eq!(deadlines.take_due(at(3)), Some('b'));
        assert_eq!(deadlines.next(), None);
    }
}
