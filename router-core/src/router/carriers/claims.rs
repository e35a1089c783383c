// SPDX-License-Identifier: AGPL-3.0-or-later
//! What neighbours say to have known better than we: nobody but them signed that.

use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, RouterId};

use super::lost::Nearness;

/// Addresses of which one neighbour may say so, and all together.
const MAX_OF_ONE: usize = 4096;
const MAX_CLAIMS: usize = 65_536;

/// What those say that are connected.
#[derive(Debug, Default)]
pub(super) struct Claims {
    // INVARIANT: both hold the same, at most MAX_OF_ONE of each neighbour and `count`, MAX_CLAIMS at most, in all.
    by_address: BTreeMap<Address, Vec<(RouterId, Nearness)>>,
    by_neighbour: BTreeMap<RouterId, BTreeSet<Address>>,
    count: usize,
}

impl Claims {
    /// A neighbour says how it knew an address; whether there is room for it.
    pub(super) fn insert(&mut self, neighbour: RouterId, address: Address, theirs: Nearness) -> bool {
        let of_address = self.by_address.get_mut(&address).into_iter().flatten();
        if let Some((_, before)) = of_address.into_iter().find(|(by, _)| *by == neighbour) {
            *before = theirs;
            return true;
        }
        let of_neighbour = self.by_neighbour.get(&neighbour).map_or(0, BTreeSet::len);
        if of_neighbour >= MAX_OF_ONE || self.count >= MAX_CLAIMS {
            return false;
        }
        self.by_address.entry(address).or_default().push((neighbour, theirs));
        self.by_neighbour.entry(neighbour).or_default().insert(address);
        self.count += 1;
        true
    }

    /// Forgets what a neighbour said; gives the addresses that it was about.
    pub(super) fn forget(&mut self, neighbour: &RouterId) -> BTreeSet<Address> {
        let addresses = self.by_neighbour.remove(neighbour).unwrap_or_default();
        self.count -= addresses.len();
        for address in &addresses {
            let Some(claims) = self.by_address.get_mut(address) else { continue };
            claims.retain(|(by, _)| by != neighbour);
            if claims.is_empty() {
                self.by_address.remove(address);
            }
        }
        addresses
    }

    /// How a neighbour says to have known an address.
    pub(super) fn get(&self, neighbour: &RouterId, address: &Address) -> Option<Nearness> {
        let claims = self.by_address.get(address)?;
        claims.iter().find(|(by, _)| by == neighbour).map(|(_, theirs)| *theirs)
    }

    /// The addresses of which a neighbour said something.
    pub(super) fn of(&self, neighbour: &RouterId) -> impl Iterator<Item = Address> + '_ {
        self.by_neighbour.get(neighbour).into_iter().flatten().copied()
    }

    /// The addresses of which anybody did.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.by_address.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lost::tests::{address, nearness, neighbour};
    use super::*;

    #[test]
    fn what_neighbours_say_is_limited_and_goes_with_them() {
        let mut claims = Claims::default();
        let say = |claims: &mut Claims, by| {
            let said = |number: &usize| claims.insert(neighbour(by), address(*number), nearness(9, 9));
            (0..5_000).filter(said).count()
        };
        assert_eq!(say(&mut claims, 1), MAX_OF_ONE);
        assert_eq!(say(&mut claims, 1), MAX_OF_ONE, "the same ones again");
        let others: usize = (2..40).map(|by| say(&mut claims, by)).sum();
        assert_eq!(others, MAX_CLAIMS - MAX_OF_ONE);
        for by in 1..40 {
            let addresses = claims.forget(&neighbour(by));
            assert!(addresses.iter().all(|address| claims.get(&neighbour(by), address).is_none()));
        }
        assert_eq!((claims.count, claims.by_address.len(), claims.by_neighbour.len()), (0, 0, 0));
    }

    #[test]
    fn the_last_word_of_a_neighbour_counts() {
        let mut claims = Claims::default();
        assert!(claims.insert(neighbour(1), address(1), nearness(9, 9)));
        assert!(claims.insert(neighbour(2), address(1), nearness(3, 3)));
        assert!(claims.insert(neighbour(1), address(1), nearness(8, 8)));
        let both = [1, 2].map(|by| claims.get(&neighbour(by), &address(1)));
        assert_eq!(both, [Some(nearness(8, 8)), Some(nearness(3, 3))]);
        assert_eq!(claims.addresses().collect::<Vec<_>>(), [address(1)]);
        claims.forget(&neighbour(1));
        assert_eq!(claims.of(&neighbour(2)).collect::<Vec<_>>(), [address(1)]);
        assert_eq!(claims.of(&neighbour(1)).count(), 0);
    }
}
