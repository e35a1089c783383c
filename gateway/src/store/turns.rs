// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whose turn it is to commit. One does at a time, and takes along what others wait with: however many they are, they wait for two
//! commits at most, the one that is under way and the next.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Change;

/// Who commits, and who waits to.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Somebody commits.
    is_taken: bool,
    /// Those who wait for a turn of their own. They come before those who can go along with them.
    firsts: usize,
    /// What goes along with the next, by numbers: of each thread that waits one.
    waiting: BTreeMap<u64, Vec<Change>>,
    /// What went along, until who waits for it looks: nothing where it is durable, and else the changes.
    over: BTreeMap<u64, Option<Vec<Change>>>,
    next: u64,
}

/// A turn, which ends when it is dropped: what went along is back with who waited, unless it is durable.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    along: BTreeMap<u64, Vec<Change>>,
    is_durable: bool,
}

/// What became of changes that were to go along.
pub(super) enum Along<'a> {
    /// They are durable.
    Durable,
    /// Their own turn came first.
    Turn(Turn<'a>, Vec<Change>),
    /// All together failed, for whatever reason: these may do by themselves.
    Failed(Vec<Change>),
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("waiting", &self.state().waiting.len()).finish_non_exhaustive()
    }
}

impl Turns {
    /// Waits for a turn.
    pub(super) fn first(&self) -> Turn<'_> {
        let mut state = self.state();
        state.firsts += 1;
        while state.is_taken {
            state = self.wait(state);
        }
        state.firsts -= 1;
        self.take(state)
    }

    /// Waits until these went along with another's turn, or one comes for them.
    pub(super) fn along(&self, changes: Vec<Change>) -> Along<'_> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, changes);
        loop {
            if let Some(over) = state.over.remove(&number) {
                return over.map_or(Along::Durable, Along::Failed);
            }
            if !state.is_taken
                && state.firsts == 0
                && let Some(own) = state.waiting.remove(&number)
            {
                return Along::Turn(self.take(state), own);
            }
            state = self.wait(state);
        }
    }

    /// How many wait to go along.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn take(&self, mut state: MutexGuard<'_, State>) -> Turn<'_> {
        state.is_taken = true;
        Turn { turns: self, along: std::mem::take(&mut state.waiting), is_durable: false }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// What goes along, in the order in which it came.
    pub(super) fn along(&self) -> impl Iterator<Item = &Change> {
        self.along.values().flatten()
    }

    /// Whether nothing goes along.
    pub(super) fn is_alone(&self) -> bool {
        self.along.is_empty()
    }

    /// What goes along is durable.
    pub(super) fn is_durable(&mut self) {
        self.is_durable = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        let is_durable = self.is_durable;
        let over = std::mem::take(&mut self.along).into_iter();
        state.over.extend(over.map(|(number, changes)| (number, (!is_durable).then_some(changes))));
        state.is_taken = false;
        drop(state);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, Table};
    use std::thread::{scope, yield_now};

    #[test]
    fn what_failed_together_is_back_with_who_waited() {
        let turns = Turns::default();
        let own = vec![Change::Remove { table: Table::Streams, key: Key::group(7) }];
        let all_wait = |state: &State| state.waiting.len() == 3 && state.firsts == 1;
        scope(|scope| {
            let under_way = turns.first();
            let waiting = [0; 3].map(|_| scope.spawn(|| turns.along(own.clone())));
            let first = scope.spawn(|| {
                let turn = turns.first();
                assert_eq!(turn.along().count(), 3, "they do not come before it");
            });
            while !all_wait(&turns.state()) {
                yield_now();
            }
            drop(under_way);
            first.join().unwrap();
            for one in waiting {
                assert!(matches!(one.join().unwrap(), Along::Failed(changes) if changes.len() == 1));
            }
        });
        assert!(turns.first().is_alone());
        assert!(turns.state().over.is_empty(), "nothing is left behind");
    }
}
