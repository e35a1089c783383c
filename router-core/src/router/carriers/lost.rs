// SPDX-License-Identifier: AGPL-3.0-or-later
//! How lately and how near we knew addresses whose last route was lost.

use std::collections::BTreeMap;

use ratman_types::{Address, RouterId, WallTime};
use ratman_wire::announcement::PathLatency;
use ratman_wire::sync_scope::KnownAddress;

use crate::origin_times::Remembered;

/// Addresses whose last route was lost and that are remembered for it, beyond the time for which routers remember them
/// otherwise. Each takes about 150 bytes; where there are more, the one that was lost first is forgotten.
pub(super) const MAX_LOST: usize = 16_384;

/// How lately and how near an address was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nearness {
    pub(super) time: WallTime,
    pub(super) latency: PathLatency,
}

impl Nearness {
    /// Whether frames for the address get nearer to it with who knew it so (source: wire page, custody).
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        self.time > other.time || (self.time == other.time && self.latency < other.latency)
    }

    /// Of an address, for others.
    pub(super) const fn of(&self, address: Address) -> KnownAddress {
        KnownAddress { address, origin_time: self.time, latency: self.latency }
    }
}

impl From<&KnownAddress> for Nearness {
    fn from(known: &KnownAddress) -> Self {
        Self { time: known.origin_time, latency: known.latency }
    }
}

impl From<&Remembered> for Nearness {
    fn from(remembered: &Remembered) -> Self {
        Self { time: remembered.time, latency: remembered.flooded }
    }
}

/// The addresses.
#[derive(Debug, Default)]
pub(super) struct Lost {
    // INVARIANT: both hold the same, at most MAX_LOST.
    addresses: BTreeMap<Address, Knowledge>,
    order: BTreeMap<u64, Address>,
    next: u64,
}

#[derive(Debug)]
struct Knowledge {
    serial: u64,
    ours: Nearness,
    /// Who was nearer then, by what it announced.
    nearer: Vec<RouterId>,
    /// Whether there is a route again; what was known before is kept, as the next one may be an older one.
    is_found: bool,
}

impl Lost {
    /// An address is lost; the one that made room for it.
    pub(super) fn insert(
        &mut self,
        address: Address,
        mut ours: Nearness,
        mut nearer: Vec<RouterId>,
    ) -> Option<Address> {
        if let Some(before) = self.take(&address)
            && before.ours.is_better_than(&ours)
        {
            (ours, nearer) = (before.ours, before.nearer);
        }
        let oldest = self.order.first_key_value().map(|(_, oldest)| *oldest);
        let left = oldest.filter(|_| self.addresses.len() >= MAX_LOST);
        if let Some(left) = &left {
            self.take(left);
        }
        let serial = self.next;
        self.next += 1;
        self.order.insert(serial, address);
        self.addresses.insert(address, Knowledge { serial, ours, nearer, is_found: false });
        left
    }

    /// There is a route to an address again.
    pub(super) fn find(&mut self, address: &Address) {
        if let Some(known) = self.addresses.get_mut(address) {
            known.is_found = true;
        }
    }

    /// Forgets an address.
    pub(super) fn remove(&mut self, address: &Address) {
        self.take(address);
    }

    fn take(&mut self, address: &Address) -> Option<Knowledge> {
        let taken = self.addresses.remove(address)?;
        self.order.remove(&taken.serial);
        Some(taken)
    }

    /// How we knew an address.
    pub(super) fn ours(&self, address: &Address) -> Option<Nearness> {
        self.addresses.get(address).map(|known| known.ours)
    }

    /// Whether a neighbour announced an address from nearer than we were.
    pub(super) fn was_nearer(&self, neighbour: &RouterId, address: &Address) -> bool {
        self.addresses.get(address).is_some_and(|known| known.nearer.contains(neighbour))
    }

    /// The addresses that are lost, and were announced by a neighbour from nearer.
    pub(super) fn announced_by(&self, neighbour: RouterId) -> impl Iterator<Item = Address> + '_ {
        let known = self.addresses.iter();
        known
            .filter(move |(_, known)| !known.is_found && known.nearer.contains(&neighbour))
            .map(|(address, _)| *address)
    }

    /// All that are lost, by ascending address.
    pub(super) fn after(&self, after: Option<Address>) -> impl Iterator<Item = KnownAddress> + '_ {
        use core::ops::Bound::{Excluded, Unbounded};
        let rest = self.addresses.range((after.map_or(Unbounded, Excluded), Unbounded));
        rest.filter(|(_, known)| !known.is_found).map(|(address, known)| known.ours.of(*address))
    }

    /// All that were ever lost, those first that were lost first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = KnownAddress> + '_ {
        self.order.values().filter_map(|address| Some(self.ours(address)?.of(*address)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::router::carriers) fn address(number: usize) -> Address {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Address::from_bytes(bytes)
    }

    pub(in crate::router::carriers) fn neighbour(byte: u8) -> RouterId {
        RouterId::from_bytes([byte; 32])
    }

    pub(in crate::router::carriers) fn nearness(time: u64, latency: u32) -> Nearness {
        Nearness { time: WallTime::from_micros(time), latency: PathLatency(latency) }
    }

    #[test]
    fn the_table_is_limited_and_forgets_what_was_lost_first() {
        let mut lost = Lost::default();
        let mut lose = |number| lost.insert(address(number), nearness(1, 1), Vec::new());
        assert!((0..MAX_LOST).all(|number| lose(number).is_none()));
        assert_eq!(lose(0), None, "it was there, and is the youngest now");
        assert_eq!(lose(MAX_LOST), Some(address(1)));
        assert_eq!((lost.addresses.len(), lost.order.len()), (MAX_LOST, MAX_LOST));
        lost.remove(&address(0));
        assert_eq!((lost.addresses.len(), lost.order.len()), (MAX_LOST - 1, MAX_LOST - 1));
    }

    #[test]
    fn who_knew_it_later_or_as_late_and_nearer_is_better() {
        let ours = nearness(10, 500);
        for (theirs, is_better) in [
            (nearness(11, 9_000), true),
            (nearness(10, 499), true),
            (nearness(10, 500), false),
            (nearness(9, 1), false),
        ] {
            assert_eq!(theirs.is_better_than(&ours), is_better, "{theirs:?}");
        }
    }

    #[test]
    fn what_was_known_does_not_get_worse_and_is_told_while_it_is_lost() {
        let mut lost = Lost::default();
        lost.insert(address(1), nearness(10, 5), vec![neighbour(1)]);
        lost.find(&address(1));
        assert_eq!((lost.after(None).count(), lost.in_order().count()), (0, 1));
        assert_eq!(lost.announced_by(neighbour(1)).count(), 0);
        // An older announcement was repeated by somebody, and its route lost again.
        lost.insert(address(1), nearness(9, 1), vec![neighbour(2)]);
        assert_eq!(lost.after(None).collect::<Vec<_>>(), [nearness(10, 5).of(address(1))]);
        assert!(lost.was_nearer(&neighbour(1), &address(1)) && !lost.was_nearer(&neighbour(2), &address(1)));
        lost.insert(address(1), nearness(11, 9), vec![neighbour(2)]);
        assert_eq!(lost.ours(&address(1)), Some(nearness(11, 9)));
        assert_eq!(lost.announced_by(neighbour(2)).collect::<Vec<_>>(), [address(1)]);
        assert_eq!(lost.after(Some(address(1))).count(), 0);
    }
}
