// SPDX-License-Identifier: AGPL-3.0-or-later
//! Every address that was announced, with every hop that it was announced over, and whose turn it is to leave when
//! there are too many (source: wire page, sybils).

mod known;

use core::ops::RangeBounds;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, RouterId};

use crate::DropReason;
pub(crate) use known::{Entry, Known};

/// All candidates for all addresses.
#[derive(Debug)]
pub(crate) struct Rib {
    limit: usize,
    addresses: BTreeMap<Address, Known>,
    // INVARIANT: each address that is not pinned, once, under the neighbour that brought it, in the order of coming.
    by_neighbour: BTreeMap<RouterId, BTreeSet<(u64, Address)>>,
    next_serial: u64,
}

impl Rib {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, addresses: BTreeMap::new(), by_neighbour: BTreeMap::new(), next_serial: 0 }
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&Known> {
        self.addresses.get(address)
    }

    pub(crate) fn get_mut(&mut self, address: &Address) -> Option<&mut Known> {
        self.addresses.get_mut(address)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Address, &Known)> {
        self.addresses.iter()
    }

    pub(crate) fn range(&self, range: impl RangeBounds<Address>) -> impl Iterator<Item = (&Address, &Known)> {
        self.addresses.range(range)
    }

    /// Whether there is room for a new address from `neighbour`, and which address makes it.
    ///
    /// No neighbour fills more than half the table; in a full one the newest address of whoever fills most leaves.
    /// If that is `neighbour`, its new address is the newest.
    pub(crate) fn room_for(&self, neighbour: &RouterId, pinned: bool) -> Result<Option<Address>, DropReason> {
        let share = self.by_neighbour.get(neighbour).map_or(0, BTreeSet::len);
        if !pinned && share >= self.limit / 2 {
            return Err(DropReason::NeighbourShare);
        }
        if self.addresses.len() < self.limit {
            return Ok(None);
        }
        let (most, addresses) = self
            .by_neighbour
            .iter()
            .max_by_key(|(_, addresses)| addresses.len())
            .ok_or(DropReason::RibFull)?;
        let (_, newest) = addresses.last().ok_or(DropReason::RibFull)?;
        if !pinned && (most == neighbour || addresses.len() <= share) {
            return Err(DropReason::RibFull);
        }
        Ok(Some(*newest))
    }

    /// The entry of an address, made if it is new.
    pub(crate) fn learn(&mut self, address: Address, neighbour: RouterId, pinned: bool) -> &mut Known {
        self.addresses.entry(address).or_insert_with(|| {
            let serial = self.next_serial;
            self.next_serial += 1;
            if !pinned {
                self.by_neighbour.entry(neighbour).or_default().insert((serial, address));
            }
            Known::new(neighbour, serial)
        })
    }

    pub(crate) fn forget(&mut self, address: &Address) {
        if let Some(known) = self.addresses.remove(address) {
            self.unlist(address, known.brought_by, known.serial);
        }
    }

    /// A pinned address is nobody's share and never evicted.
    pub(crate) fn pin(&mut self, address: &Address) {
        if let Some(known) = self.addresses.get(address) {
            self.unlist(address, known.brought_by, known.serial);
        }
    }

    pub(crate) fn unpin(&mut self, address: &Address) {
        if let Some(known) = self.addresses.get(address) {
            self.by_neighbour.entry(known.brought_by).or_default().insert((known.serial, *address));
        }
    }

    fn unlist(&mut self, address: &Address, neighbour: RouterId, serial: u64) {
        if let Some(addresses) = self.by_neighbour.get_mut(&neighbour) {
            addresses.remove(&(serial, *address));
            if addresses.is_empty() {
                self.by_neighbour.remove(&neighbour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(byte: u8) -> Address {
        Address::from_bytes([byte; 32])
    }

    fn neighbour(byte: u8) -> RouterId {
        RouterId::from_bytes([byte; 32])
    }

    fn learn(rib: &mut Rib, byte: u8, from: u8) -> Result<Option<Address>, DropReason> {
        let evicted = rib.room_for(&neighbour(from), false)?;
        evicted.inspect(|evicted| rib.forget(evicted));
        rib.learn(address(byte), neighbour(from), false);
        Ok(evicted)
    }

    #[test]
    fn no_neighbour_fills_more_than_half() {
        let mut rib = Rib::new(8);
        (0..4).for_each(|byte| assert_eq!(learn(&mut rib, byte, 1), Ok(None)));
        assert_eq!(learn(&mut rib, 4, 1), Err(DropReason::NeighbourShare));
        assert_eq!(rib.room_for(&neighbour(1), true), Ok(None), "a pinned address is nobody's share");
    }

    #[test]
    fn the_newest_address_of_who_has_most_makes_room() {
        let mut rib = Rib::new(8);
        (0..4).for_each(|byte| assert_eq!(learn(&mut rib, byte, 1), Ok(None)));
        (10..13).for_each(|byte| assert_eq!(learn(&mut rib, byte, 2), Ok(None)));
        assert_eq!(learn(&mut rib, 20, 3), Ok(None));
        assert_eq!(learn(&mut rib, 21, 3), Ok(Some(address(3))));
        assert_eq!(learn(&mut rib, 13, 2), Err(DropReason::RibFull), "both have three");
        assert_eq!(learn(&mut rib, 22, 3), Ok(Some(address(12))));
        assert!(rib.get(&address(0)).is_some(), "the oldest stay");
    }

    #[test]
    fn pinned_addresses_stay() {
        let mut rib = Rib::new(2);
        rib.learn(address(1), neighbour(1), false);
        rib.pin(&address(1));
        rib.learn(address(2), neighbour(1), true);
        assert_eq!(rib.room_for(&neighbour(2), false), Err(DropReason::RibFull));
        rib.unpin(&address(1));
        assert_eq!(rib.room_for(&neighbour(2), false), Ok(Some(address(1))));
        assert_eq!(rib.room_for(&neighbour(1), true), Ok(Some(address(1))));
    }

    proptest! {
        #[test]
        fn the_limits_hold_whatever_comes(steps in prop::collection::vec((any::<u8>(), 0_u8..5, 0_u8..4), 0..400)) {
            let mut rib = Rib::new(16);
            for (byte, from, action) in steps {
                match action {
                    0 => rib.forget(&address(byte)),
                    1 => rib.pin(&address(byte)),
                    2 | 3 if rib.get(&address(byte)).is_none() => drop(learn(&mut rib, byte, from)),
                    _ => {}
                }
                prop_assert!(rib.addresses.len() <= 16);
                prop_assert!(rib.by_neighbour.values().all(|addresses| (1..=8).contains(&addresses.len())));
                let listed: usize = rib.by_neighbour.values().map(BTreeSet::len).sum();
                prop_assert!(listed <= rib.addresses.len());
            }
        }
    }
}
