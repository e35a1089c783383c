// SPDX-License-Identifier: AGPL-3.0-or-later
//! The forwarding table: for each address the chosen hop, and the best one over another neighbour.
//!
//! A [`Fib`] is an immutable snapshot that the data plane reads without a lock. It is kept in shards, so that
//! a change copies a small part of a large table and not the whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use ratman_types::{Address, Hop, Mtu, RouterId};

/// With 64 shards a change in a table of 16 384 addresses copies about 256 of them.
const SHARDS: usize = 64;

/// A hop to an address and the largest frame that the whole way carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The next hop.
    pub hop: Hop,
    /// The largest carrier frame on the whole way.
    pub mtu: Mtu,
}

/// What the table says about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It is ours.
    Local,
    /// It lies over this hop.
    Via(Via),
    /// It lies over the very neighbour that was excluded, and over no other.
    OnlyWayBack,
    /// No direction is known.
    NoRoute,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FibEntry {
    Local,
    /// The chosen way, and the best one over another neighbour.
    Remote {
        best: Via,
        other: Option<Via>,
    },
}

/// An immutable forwarding table.
#[derive(Clone, Debug)]
pub struct Fib {
    shards: [Arc<BTreeMap<Address, FibEntry>>; SHARDS],
}

impl Default for Fib {
    fn default() -> Self {
        Self { shards: core::array::from_fn(|_| Arc::default()) }
    }
}

impl Fib {
    /// Where a frame for `to` goes; never to `not_to`, the neighbour that it came from.
    ///
    /// Allocates nothing.
    pub fn lookup(&self, to: &Address, not_to: Option<RouterId>) -> Lookup {
        match self.shards[shard(to)].get(to) {
            None => Lookup::NoRoute,
            Some(FibEntry::Local) => Lookup::Local,
            Some(FibEntry::Remote { best, other }) => {
                if Some(best.hop.neighbour) != not_to {
                    return Lookup::Via(*best);
                }
                other.map_or(Lookup::OnlyWayBack, Lookup::Via)
            }
        }
    }

    /// How many addresses the table knows, local ones included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// Whether the table knows no address.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the table says this about an address already.
    pub(crate) fn holds(&self, address: &Address, entry: Option<&FibEntry>) -> bool {
        self.shards[shard(address)].get(address) == entry
    }

    /// Sets or removes an entry.
    pub(crate) fn set(&mut self, address: &Address, entry: Option<FibEntry>) {
        let shard = Arc::make_mut(&mut self.shards[shard(address)]);
        match entry {
            Some(entry) => shard.insert(*address, entry),
            None => shard.remove(address),
        };
    }
}

fn shard(address: &Address) -> usize {
    usize::from(address.as_bytes()[0]) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratman_types::LinkId;

    fn via(link: u32, neighbour: u8) -> Via {
        let hop = Hop { link: LinkId(link), neighbour: RouterId::from_bytes([neighbour; 32]) };
        Via { hop, mtu: Mtu(1000 + link) }
    }

    #[test]
    fn a_frame_never_goes_back_by_any_link_of_the_neighbour() {
        let mut fib = Fib::default();
        let address = Address::from_bytes([7; 32]);
        fib.set(&address, Some(FibEntry::Remote { best: via(1, 1), other: Some(via(3, 2)) }));
        assert_eq!(fib.lookup(&address, None), Lookup::Via(via(1, 1)));
        assert_eq!(fib.lookup(&address, Some(via(2, 1).hop.neighbour)), Lookup::Via(via(3, 2)));
        fib.set(&address, Some(FibEntry::Remote { best: via(1, 1), other: None }));
        assert_eq!(fib.lookup(&address, Some(via(2, 1).hop.neighbour)), Lookup::OnlyWayBack);
        assert_eq!(fib.lookup(&Address::from_bytes([8; 32]), None), Lookup::NoRoute);
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let mut fib = Fib::default();
        let address = Address::from_bytes([7; 32]);
        let before = fib.clone();
        assert!(fib.holds(&address, None));
        fib.set(&address, Some(FibEntry::Local));
        assert!(fib.holds(&address, Some(&FibEntry::Local)));
        assert_eq!(before.lookup(&address, None), Lookup::NoRoute);
        assert_eq!(fib.lookup(&address, None), Lookup::Local);
        assert_eq!(fib.len(), 1);
        fib.set(&address, None);
        assert!(fib.is_empty());
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_map(changes in prop::collection::vec((any::<[u8; 2]>(), any::<bool>()), 0..200)) {
            let mut fib = Fib::default();
            let mut model = BTreeMap::new();
            for (index, (bytes, keep)) in changes.iter().enumerate() {
                let mut key = [0; 32];
                key[..2].copy_from_slice(bytes);
                let address = Address::from_bytes(key);
                let via = via(u32::try_from(index).unwrap(), 1);
                if *keep {
                    fib.set(&address, Some(FibEntry::Remote { best: via, other: None }));
                    model.insert(address, via);
                } else {
                    fib.set(&address, None);
                    model.remove(&address);
                }
            }
            prop_assert_eq!(fib.len(), model.len());
            for (address, via) in model {
                prop_assert_eq!(fib.lookup(&address, None), Lookup::Via(via));
            }
        }
    }
}
