// SPDX-License-Identifier: AGPL-3.0-or-later
//! Members by size, to find one of the largest in constant time: four classes for each power of two, so that whoever
//! is found is at least four fifths as large as the largest.

use super::chain::{Chain, Links};

/// Four classes for each power of two up to 2^33 bytes; larger ones share the last class.
const CLASSES: usize = 128;

/// One chain of members for each class of sizes; members of size 0 are in none.
#[derive(Debug)]
pub(super) struct Sizes {
    chains: [Chain; CLASSES],
    // INVARIANT: bit n is set if chain n has members.
    filled: u128,
}

impl Sizes {
    pub(super) fn new() -> Self {
        Self { chains: [Chain::default(); CLASSES], filled: 0 }
    }

    /// Moves a member whose size changes.
    pub(super) fn resize(&mut self, links: &mut [Links], id: usize, before: usize, after: usize) {
        let (from, to) = (class(before), class(after));
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.chains[from].remove(links, id);
            if self.chains[from].first().is_none() {
                self.filled &= !(1 << from);
            }
        }
        if let Some(to) = to {
            self.chains[to].append(links, id);
            self.filled |= 1 << to;
        }
    }

    /// The member that is longest in the class of the largest.
    pub(super) fn largest(&self) -> Option<usize> {
        let class = self.filled.checked_ilog2()?;
        self.chains[usize::try_from(class).expect("a bit's number fits")].first()
    }
}

/// The class of a size: its highest bit and the two bits after it.
fn class(size: usize) -> Option<usize> {
    let log = usize::try_from(size.checked_ilog2()?).expect("a bit's number fits");
    let class = if log < 2 { size } else { (log - 1) * 4 + ((size >> (log - 2)) & 3) };
    Some(class.min(CLASSES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_order_and_narrow() {
        assert_eq!(class(0), None);
        let classes: Vec<_> = (1..100_000).map(|size| class(size).unwrap()).collect();
        assert!(classes.is_sorted());
        for equal in classes.iter().zip(1_usize..).collect::<Vec<_>>().chunk_by(|a, b| a.0 == b.0) {
            let (smallest, largest) = (equal[0].1, equal[equal.len() - 1].1);
            assert!(largest * 4 < smallest * 5, "{smallest} and {largest} share a class");
        }
        assert_eq!(class(usize::MAX), Some(CLASSES - 1));
    }

    #[test]
    fn the_largest_is_found_after_every_change() {
        let (mut sizes, mut links, mut now) = (Sizes::new(), vec![Links::default(); 3], [0; 3]);
        let changes =
            [(0, 10), (1, 1000), (2, 100), (1, 0), (0, 200), (0, 3), (2, 0), (1, 7), (0, 0), (1, 0)];
        for (id, size) in changes {
            sizes.resize(&mut links, id, now[id], size);
            now[id] = size;
            let largest = sizes.largest().map_or(0, |id| now[id]);
            assert_eq!(Some(&largest), now.iter().max());
        }
    }
}
