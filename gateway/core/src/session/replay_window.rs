// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which counters of a key were opened, without a lock.
//!
//! A ring of words, each telling about 32 counters in a row: the upper half is the number of that block of 32, the
//! lower half has one bit per counter. A word only ever moves to a higher block or gains bits, by
//! compare-and-swap, so that of two threads with the same counter exactly one wins, and no replay is ever taken
//! however late it comes.

use core::sync::atomic::{AtomicU64, Ordering};

use super::SessionDrop;

/// How far behind the newest counter a frame may come (source: wire page).
pub(super) const WINDOW: u64 = 8192;

const PER_WORD: u64 = 32;
/// One word more than the window needs, since its oldest block is rarely whole.
const WORDS: usize = 257;

/// The counters that were opened under one key; counters are below 2^37, so that a block's number has 32 bits.
#[derive(Debug)]
pub(super) struct ReplayWindow {
    words: Box<[AtomicU64]>,
    /// One more than the highest opened counter, 0 before the first.
    end: AtomicU64,
}

impl ReplayWindow {
    /// Nothing was opened yet.
    pub(super) fn new() -> Self {
        Self { words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(), end: AtomicU64::new(0) }
    }

    /// Whether `counter` is worth the AEAD; changes nothing.
    pub(super) fn check(&self, counter: u64) -> Result<(), SessionDrop> {
        if counter + WINDOW < self.end.load(Ordering::Acquire) {
            return Err(SessionDrop::BehindWindow);
        }
        let (slot, block, bit) = place(counter);
        next_word(self.words[slot].load(Ordering::Acquire), block, bit).map(drop)
    }

    /// Marks `counter` as opened; only one caller per counter gets `Ok`. Called after the AEAD opened.
    pub(super) fn accept(&self, counter: u64) -> Result<(), SessionDrop> {
        if counter + WINDOW < self.end.load(Ordering::Acquire) {
            return Err(SessionDrop::BehindWindow);
        }
        let (slot, block, bit) = place(counter);
        let mut word = self.words[slot].load(Ordering::Acquire);
        loop {
            let next = next_word(word, block, bit)?;
            match self.words[slot].compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(other) => word = other,
            }
        }
        self.end.fetch_max(counter + 1, Ordering::AcqRel);
        Ok(())
    }
}

/// The word of a counter, the number of its block, and its bit.
fn place(counter: u64) -> (usize, u64, u64) {
    let block = counter / PER_WORD;
    let words = u64::try_from(WORDS).expect("a small constant");
    let slot = usize::try_from(block % words).expect("below WORDS");
    (slot, block, 1 << (counter % PER_WORD))
}

/// The word after this counter was opened, or why it must not be.
fn next_word(word: u64, block: u64, bit: u64) -> Result<u64, SessionDrop> {
    let held = word >> PER_WORD;
    if held > block {
        Err(SessionDrop::BehindWindow)
    } else if held < block {
        Ok(block << PER_WORD | bit)
    } else if word & bit != 0 {
        Err(SessionDrop::Replayed)
    } else {
        Ok(word | bit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The page's rule in its plainest form.
    #[derive(Default)]
    struct Model {
        seen: BTreeSet<u64>,
    }

    impl Model {
        fn accept(&mut self, counter: u64) -> Result<(), SessionDrop> {
            let end = self.seen.last().map_or(0, |highest| highest + 1);
            if counter + WINDOW < end {
                Err(SessionDrop::BehindWindow)
            } else if self.seen.insert(counter) {
                Ok(())
            } else {
                Err(SessionDrop::Replayed)
            }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<u64>> {
        let near = 0_u64..20_000;
        let far = prop_oneof![
            Just(u64::from(u32::MAX)),
            Just(1 << 32),
            Just((1 << 34) - 1),
            (1_u64 << 32)..(1 << 34),
            near.clone()
        ];
        prop::collection::vec(prop_oneof![8 => near, 1 => far], 0..400)
    }

    proptest! {
        #[test]
        fn the_window_does_what_the_model_does(counters in steps()) {
            let (window, mut model) = (ReplayWindow::new(), Model::default());
            for counter in counters {
                let expected = model.accept(counter);
                prop_assert_eq!(window.check(counter), expected, "check {}", counter);
                prop_assert_eq!(window.accept(counter), expected, "accept {}", counter);
                prop_assert!(window.accept(counter).is_err());
            }
        }
    }

    #[test]
    fn the_window_is_8192_counters_wide() {
        let window = ReplayWindow::new();
        window.accept(8192).unwrap();
        assert_eq!(window.accept(0), Err(SessionDrop::BehindWindow));
        assert_eq!(window.accept(1), Ok(()));
        assert_eq!(window.accept(1), Err(SessionDrop::Replayed));
    }

    #[test]
    fn a_check_advances_nothing() {
        let window = ReplayWindow::new();
        window.check(1 << 33).unwrap();
        assert_eq!(window.accept(0), Ok(()));
    }

    #[test]
    fn counters_that_differ_above_32_bits_are_different() {
        let window = ReplayWindow::new();
        window.accept(5).unwrap();
        window.accept(5 + (1 << 32)).unwrap();
        assert_eq!(window.accept(5 + (1 << 32)), Err(SessionDrop::Replayed));
        assert_eq!(window.accept(5), Err(SessionDrop::BehindWindow));
    }

    #[test]
    fn of_many_threads_with_one_counter_one_wins() {
        let window = ReplayWindow::new();
        let wins = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for counter in 0..20_000 {
                        if window.accept(counter).is_ok() {
                            wins.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(wins.load(Ordering::Relaxed), 20_000);
        for counter in 20_000 - WINDOW..20_000 {
            assert!(window.accept(counter).is_err(), "counter {counter} taken twice");
        }
    }
}
