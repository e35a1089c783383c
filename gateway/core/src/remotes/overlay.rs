// SPDX-License-Identifier: AGPL-3.0-or-later
//! Overlay addresses: the IPv6 address that follows from an address of the mesh, and the table that leads
//! back (wire page, "Overlay addresses").

use core::hash::BuildHasher;
use core::net::Ipv6Addr;
use std::collections::HashMap;
use std::sync::Arc;

use ratman_types::{Address, blake2b};

use crate::flow::HashSeed;

/// The first 32 bits of every overlay address.
pub const OVERLAY_PREFIX: Ipv6Addr = Ipv6Addr::new(0xFD69, 0x7264, 0, 0, 0, 0, 0, 0);

/// Bits of [`OVERLAY_PREFIX`].
pub const OVERLAY_PREFIX_LEN: u8 = 32;

/// Announced addresses that are remembered: as many as the RIB holds; what the RIB evicts is forgotten here too.
pub const MAX_OVERLAY: usize = 65_536;

/// Parts of the table, of which a change copies one: some 256 entries of a full table.
const PARTS: usize = 256;

/// What separates this use of the hash from others.
const DOMAIN: &[u8] = b"irdest ip 1";

/// The overlay address of an address: `fd69:7264::/32` ‖ first 96 bits of `H("irdest ip 1" ‖ address)`.
pub fn overlay_address(address: &Address) -> Ipv6Addr {
    let digest = blake2b(&[DOMAIN, address.as_bytes()]);
    let mut octets = OVERLAY_PREFIX.octets();
    octets[4..].copy_from_slice(&digest.as_bytes()[..12]);
    octets.into()
}

/// Whether an IPv6 address lies within the overlay.
pub fn is_overlay(address: Ipv6Addr) -> bool {
    address.octets()[..4] == OVERLAY_PREFIX.octets()[..4]
}

/// What became of an announced address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It is known now; packets that wait for its overlay address may go.
    New(Ipv6Addr),
    /// It was known before.
    Known,
    /// Another address with the same overlay address came first and stays.
    Collision,
    /// The table holds [`MAX_OVERLAY`] addresses.
    Full,
}

/// What the overlay table holds, and what it did not take since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverlayStats {
    /// Configured remotes.
    pub configured: usize,
    /// Announced addresses, at most [`MAX_OVERLAY`].
    pub learned: usize,
    /// Announcements answered with [`Learned::Collision`].
    pub collisions: u64,
    /// Announcements answered with [`Learned::Full`].
    pub refused: u64,
}

type Part = HashMap<Ipv6Addr, Owner, HashSeed>;

#[derive(Clone, Copy, Debug)]
struct Owner {
    address: Address,
    pinned: bool,
}

/// Overlay address → address, in parts that clones share until they change.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    seed: HashSeed,
    parts: Arc<[Arc<Part>]>,
    stats: OverlayStats,
}

impl Overlay {
    pub(super) fn new(seed: HashSeed) -> Self {
        let empty = Arc::new(Part::with_hasher(seed));
        Self { seed, parts: vec![empty; PARTS].into(), stats: OverlayStats::default() }
    }

    /// A table without addresses whose counts go on from here.
    pub(super) fn emptied(&self) -> Self {
        let OverlayStats { collisions, refused, .. } = self.stats;
        let empty = Self::new(self.seed);
        Self { stats: OverlayStats { collisions, refused, ..empty.stats }, ..empty }
    }

    pub(super) fn stats(&self) -> OverlayStats {
        self.stats
    }

    pub(super) fn get(&self, overlay: &Ipv6Addr) -> Option<Address> {
        self.parts[self.part_of(overlay)].get(overlay).map(|owner| owner.address)
    }

    /// Adds an address that stays for ever; to be called before any is learned.
    pub(super) fn pin(&mut self, address: Address) {
        let overlay = overlay_address(&address);
        if self.get(&overlay).is_none() {
            self.part_mut(&overlay).insert(overlay, Owner { address, pinned: true });
            self.stats.configured += 1;
        }
    }

    pub(super) fn learn(&mut self, address: Address) -> Learned {
        let overlay = overlay_address(&address);
        match self.get(&overlay) {
            Some(owner) if owner == address => Learned::Known,
            Some(_) => {
                self.stats.collisions += 1;
                Learned::Collision
            }
            None if self.stats.learned >= MAX_OVERLAY => {
                self.stats.refused += 1;
                Learned::Full
            }
            None => {
                self.part_mut(&overlay).insert(overlay, Owner { address, pinned: false });
                self.stats.learned += 1;
                Learned::New(overlay)
            }
        }
    }

    pub(super) fn forget(&mut self, address: &Address) -> bool {
        let overlay = overlay_address(address);
        let known = self.parts[self.part_of(&overlay)].get(&overlay);
        if known.is_none_or(|owner| owner.address != *address || owner.pinned) {
            return false;
        }
        self.part_mut(&overlay).remove(&overlay);
        self.stats.learned -= 1;
        true
    }

    pub(super) fn learned(&self) -> impl Iterator<Item = Address> + '_ {
        let owners = self.parts.iter().flat_map(|part| part.values());
        owners.filter(|owner| !owner.pinned).map(|owner| owner.address)
    }

    fn part_of(&self, overlay: &Ipv6Addr) -> usize {
        // Bits that the maps themselves use for other things: they place by the lowest and tag by the highest.
        let [_, _, part, ..] = self.seed.hash_one(overlay).to_be_bytes();
        usize::from(part)
    }

    fn part_mut(&mut self, overlay: &Ipv6Addr) -> &mut Part {
        let part = self.part_of(overlay);
        Arc::make_mut(&mut Arc::make_mut(&mut self.parts)[part])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_addresses_with_one_overlay_address_the_first_stays() {
        let (first, second) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
        let shared = overlay_address(&second);
        let mut table = Overlay::new(HashSeed::from_bytes([0; 16]));
        // A real collision takes 2^48 hashes: instead, the first address is put where the second belongs.
        table.part_mut(&shared).insert(shared, Owner { address: first, pinned: false });
        assert_eq!(table.learn(second), Learned::Collision);
        assert_eq!(table.stats(), OverlayStats { collisions: 1, ..OverlayStats::default() });
        assert!(!table.forget(&second));
        assert_eq!(table.get(&shared), Some(first));
    }
}
