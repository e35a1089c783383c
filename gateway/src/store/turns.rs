// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whose turn it is to commit. One does at a time, and takes along what others wait with: however many they are, they wait for two
//! commits at most, the one that is under way and the next.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{Change, StoreError};

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
    /// What became of what went along, until who waits for it looks.
    over: BTreeMap<u64, Over>,
    next: u64,
}

/// What became of changes that went along.
enum Over {
    Durable,
    Alone(Vec<Change>),
    Failed(StoreError),
}

/// A turn, which ends when it is dropped: what went along is back with who waited, unless it is said what became of it.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    along: BTreeMap<u64, Vec<Change>>,
    /// What became of all of it.
    together: Option<Result<(), StoreError>>,
}

/// What became of changes that were to go along.
pub(super) enum Along<'a> {
    /// They are durable.
    Durable,
    /// Their own turn came first.
    Turn(Turn<'a>, Vec<Change>),
    /// All together failed: these may do by themselves.
    Alone(Vec<Change>),
    /// All together failed, and these would by themselves.
    Failed(StoreError),
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

    /// Waits for a turn in which nothing goes along, behind those who wait for one of their own.
    pub(super) fn alone(&self) -> Turn<'_> {
        let mut state = self.state();
        while state.is_taken || state.firsts > 0 {
            state = self.wait(state);
        }
        state.is_taken = true;
        Turn { turns: self, along: BTreeMap::new(), together: None }
    }

    /// Waits until these went along with another's turn, or one comes for them.
    pub(super) fn along(&self, changes: Vec<Change>) -> Along<'_> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, changes);
        loop {
            if let Some(over) = state.over.remove(&number) {
                return match over {
                    Over::Durable => Along::Durable,
                    Over::Alone(changes) => Along::Alone(changes),
                    Over::Failed(error) => Along::Failed(error),
                };
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

    /// How many wait for a turn of their own.
    #[cfg(test)]
    pub(super) fn firsts(&self) -> usize {
        self.state().firsts
    }

    fn take(&self, mut state: MutexGuard<'_, State>) -> Turn<'_> {
        state.is_taken = true;
        Turn { turns: self, along: std::mem::take(&mut state.waiting), together: None }
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
    pub(super) fn has_none_along(&self) -> bool {
        self.along.is_empty()
    }

    /// What goes along is durable.
    pub(super) fn is_durable(&mut self) {
        self.together = Some(Ok(()));
    }

    /// What goes along is not, and would not be by itself.
    pub(super) fn has_failed(&mut self, error: &StoreError) {
        self.together = Some(Err(error.again()));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        for (number, changes) in std::mem::take(&mut self.along) {
            let over = match &self.together {
                Some(Ok(())) => Over::Durable,
                Some(Err(error)) => Over::Failed(error.again()),
                None => Over::Alone(changes),
            };
            state.over.insert(number, over);
        }
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
                assert!(matches!(one.join().unwrap(), Along::Alone(changes) if changes.len() == 1));
            }
        });
        assert!(turns.first().has_none_along());
        assert!(turns.state().over.is_empty(), "nothing is left behind");
    }

    #[test]
    fn who_is_left_alone_comes_behind_who_waits_for_a_turn_and_takes_nothing_along() {
        let turns = Turns::default();
        let own = vec![Change::Remove { table: Table::Streams, key: Key::group(7) }];
        let order = Mutex::new(Vec::new());
        scope(|scope| {
            let under_way = turns.first();
            let alone = scope.spawn(|| {
                let turn = turns.alone();
                order.lock().unwrap().push("alone");
                assert!(turn.has_none_along());
            });
            let first = scope.spawn(|| {
                let _turn = turns.first();
                order.lock().unwrap().push("first");
            });
            while turns.firsts() == 0 {
                yield_now();
            }
            drop(under_way);
            first.join().unwrap();
            alone.join().unwrap();
        });
        assert_eq!(order.into_inner().unwrap(), ["first", "alone"]);
        assert!(matches!(turns.along(own), Along::Turn(..)), "no turn is left behind");
    }
}
