// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where in a namespace nothing is left for an address: what is there until others have it, too, is not looked at again whenever one of
//! the address's clients asks for a stream.

use std::collections::BTreeMap;

use ratman_types::{Address, Recipient};
use router_core::streams::Spot;

/// Searches that are remembered, at some hundred bytes each: as many as there are where all addresses that a host may have take part in as
/// many namespaces as they may. Beyond, they begin anew, at the cost of a look at all that is there.
const MOST: usize = 4096;

/// Stretches of one, at some fifty bytes each. Beyond, the last is forgotten from where it would be cut.
const MOST_STRETCHES: usize = 64;

/// What is searched, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Search {
    /// For whom the streams are.
    pub(super) to: Recipient,
    /// Whose they are; anybody's if left out.
    pub(super) from: Option<Address>,
    /// The address that wants one.
    pub(super) by: Address,
}

/// What may be said of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It is to be had.
    Free,
    /// It is not now, and may be later.
    Held,
    /// The address has it for good.
    Taken,
}

/// Stretches of spots without a stream that the address has not taken: from the first of each to where it ends, which is not of it.
type Stretches = BTreeMap<Spot, Spot>;

/// What is known of searches before.
#[derive(Debug, Default)]
pub(super) struct Searches(
    // INVARIANT: at most MOST, each of at most MOST_STRETCHES and one more for each stream in the hands of a client.
    BTreeMap<Search, Stretches>,
);

impl Searches {
    /// The first stream that is to be had: `next` says the first that there is from a spot on, `find` what there is to be said of one.
    pub(super) fn first<K>(
        &mut self,
        search: Search,
        next: impl Fn(Spot) -> Option<(Spot, K)>,
        find: impl Fn(&K) -> Finding,
    ) -> Option<(Spot, K)> {
        let nothing = Stretches::new();
        let known = self.0.get(&search).unwrap_or(&nothing);
        let (mut begin, mut at) = (Spot::default(), Spot::default());
        let (mut taken, mut spares) = (Vec::new(), false);
        let found = loop {
            let Some((spot, key)) = next(at) else { break None };
            if let Some(end) = end_of(known, spot) {
                (at, spares) = (end, true);
                continue;
            }
            at = spot.behind();
            match find(&key) {
                Finding::Free => break Some((spot, key)),
                Finding::Held => {
                    taken.push((begin, spot));
                    begin = at;
                }
                Finding::Taken => spares = true,
            }
        };
        taken.push((begin, found.as_ref().map_or(at, |(spot, _)| *spot)));
        // Where nothing was passed over there is nothing to remember.
        if spares {
            self.note(search, taken);
        }
        found
    }

    fn note(&mut self, search: Search, taken: Vec<(Spot, Spot)>) {
        if self.0.len() >= MOST && !self.0.contains_key(&search) {
            self.0.clear();
        }
        let stretches = self.0.entry(search).or_default();
        taken.into_iter().for_each(|(begin, end)| note(stretches, begin, end));
    }

    /// Nothing is known any more of what is for a recipient.
    pub(super) fn forget(&mut self, to: &Recipient) {
        self.0.retain(|search, _| search.to != *to);
    }

    /// A stream is there for somebody who may not have had it when it was searched.
    pub(super) fn is_there(&mut self, to: Recipient, sender: Address, spot: Spot) {
        let [none, all] = [0, u8::MAX].map(|byte| Address::from_bytes([byte; 32]));
        for from in [None, Some(sender)] {
            let of_all = Search { to, from, by: none }..=Search { to, from, by: all };
            for (_, stretches) in self.0.range_mut(of_all) {
                cut(stretches, spot);
            }
        }
    }
}

fn end_of(stretches: &Stretches, spot: Spot) -> Option<Spot> {
    stretches.range(..=spot).next_back().map(|(_, end)| *end).filter(|end| *end > spot)
}

/// One stretch instead of all that begin in it.
fn note(stretches: &mut Stretches, begin: Spot, end: Spot) {
    if begin < end {
        stretches.extract_if(begin..end, |_, _| true).for_each(drop);
        stretches.insert(begin, end);
    }
}

fn cut(stretches: &mut Stretches, spot: Spot) {
    let Some((begin, end)) = stretches.range_mut(..=spot).next_back() else { return };
    if *end <= spot {
        return;
    }
    let (begin, rest) = (*begin, std::mem::replace(end, spot));
    if begin == spot {
        stretches.remove(&begin);
    }
    if stretches.len() < MOST_STRETCHES && spot.behind() < rest {
        stretches.insert(spot.behind(), rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::WallTime;
    use router_core::journal::GroupNumber;
    use std::cell::Cell;

    const WHOM: Address = Address::from_bytes([1; 32]);

    fn spot(at: u64) -> Spot {
        Spot::new(WallTime::from_micros(at), GroupNumber(7))
    }

    /// Streams at these times.
    #[derive(Default)]
    struct Bed {
        streams: BTreeMap<Spot, Finding>,
        searches: Searches,
        looked_at: Cell<usize>,
    }

    impl Bed {
        fn put(&mut self, at: u64, finding: Finding) {
            self.streams.insert(spot(at), finding);
        }

        /// What is to be had first, and how many streams were looked at for it.
        fn first(&mut self) -> (Option<Spot>, usize) {
            let search = Search { to: Recipient::Address(WHOM), from: None, by: WHOM };
            let next = |from| self.streams.range(from..).next().map(|(spot, finding)| (*spot, *finding));
            let find = |finding: &Finding| {
                self.looked_at.set(self.looked_at.get() + 1);
                *finding
            };
            let found = self.searches.first(search, next, find);
            (found.map(|(spot, _)| spot), self.looked_at.take())
        }

        fn arrives(&mut self, at: u64) {
            self.put(at, Finding::Free);
            self.searches.is_there(Recipient::Address(WHOM), WHOM, spot(at));
        }
    }

    #[test]
    fn what_was_taken_is_looked_at_once() {
        let mut bed = Bed::default();
        (0..10_000).for_each(|at| bed.put(10 * at, Finding::Taken));
        bed.put(500, Finding::Held);
        assert_eq!(bed.first(), (None, 10_000));
        assert_eq!(bed.first(), (None, 1), "the one that somebody holds");
        // What comes is found wherever it is, and then the next.
        for at in [200_000, 55, 505, 0] {
            bed.arrives(at);
        }
        for at in [0, 55, 505, 200_000] {
            let (found, looked_at) = bed.first();
            assert_eq!(found, Some(spot(at)));
            // The one before, which was taken since, the one that somebody holds, and this.
            assert!(looked_at <= 3, "{looked_at} were looked at to find {at}");
            bed.put(at, Finding::Taken);
        }
        bed.arrives(500);
        assert_eq!(bed.first().0, Some(spot(500)), "it was given back");
    }

    #[test]
    fn stretches_and_searches_are_bounded_and_nothing_is_missed() {
        let mut bed = Bed::default();
        let most = u64::try_from(2 * MOST_STRETCHES).unwrap();
        (0..2 * most).for_each(|at| bed.put(at, Finding::Taken));
        assert_eq!(bed.first().0, None);
        (0..most).for_each(|at| bed.arrives(2 * at));
        let stretches = bed.searches.0.values().next().unwrap();
        assert!((2..=MOST_STRETCHES).contains(&stretches.len()));
        for at in 0..most {
            assert_eq!(bed.first().0, Some(spot(2 * at)));
            bed.put(2 * at, Finding::Taken);
        }
        assert_eq!(bed.first().0, None);
        assert_eq!(bed.searches.0.values().next().unwrap().len(), 1);
        for byte in 0..=u16::MAX {
            let mut from = [0; 32];
            from[..2].copy_from_slice(&byte.to_be_bytes());
            let from = Some(Address::from_bytes(from));
            let search = Search { to: Recipient::Address(WHOM), from, by: WHOM };
            let next = |from| (from < spot(1)).then_some((spot(1), ()));
            assert!(bed.searches.first(search, next, |()| Finding::Taken).is_none());
            assert!(bed.searches.0.len() <= MOST);
        }
    }

    #[test]
    fn a_search_that_spares_nothing_takes_no_place() {
        let mut bed = Bed::default();
        (0..10).for_each(|at| bed.put(at, Finding::Taken));
        bed.put(20, Finding::Held);
        assert_eq!(bed.first(), (None, 11));
        for byte in 0..=u8::MAX {
            let from = Some(Address::from_bytes([byte; 32]));
            let search = Search { to: Recipient::Address(WHOM), from, by: WHOM };
            let nothing = |_| None::<(Spot, Finding)>;
            assert_eq!(bed.searches.first(search, nothing, |finding| *finding), None);
            let held = |from| (from <= spot(5)).then(|| (spot(5), Finding::Held));
            assert_eq!(bed.searches.first(search, held, |finding| *finding), None);
        }
        assert_eq!(bed.searches.0.len(), 1);
        assert_eq!(bed.first(), (None, 1), "what others searched for costs it nothing");
    }
}
