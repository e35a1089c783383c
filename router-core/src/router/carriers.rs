// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who gets frames for an address to which no route is live: a neighbour that was nearer to it than we were when it was
//! announced last (source: wire page, custody; manual, store & forward scoring).

use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Now, RouterId, WallTime};
use ratman_wire::announcement::PathLatency;
use ratman_wire::sync_scope::KnownAddress;

use super::Router;
use crate::limits::CLOCK_WINDOW;
use crate::scorer::{Candidate, Ping, RouteScorer, StoreForwardScorer};
use crate::{Event, Via};

/// Addresses whose last route was lost and that are remembered for it, beyond the time for which routers remember them
/// otherwise. Each takes about 150 bytes; where there are more, the one that was lost first is forgotten.
const MAX_LOST: usize = 16_384;
/// Addresses that one neighbour says to have known better, and all together: nobody but them signed that.
const MAX_CLAIMS_OF_ONE: usize = 4096;
const MAX_CLAIMS: usize = 65_536;

/// How lately and how near an address was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nearness {
    pub(super) time: WallTime,
    pub(super) latency: PathLatency,
}

impl Nearness {
    /// Whether frames for the address get nearer to it with who knew it so (source: wire page, custody).
    fn is_better_than(&self, other: &Self) -> bool {
        self.time > other.time || (self.time == other.time && self.latency < other.latency)
    }
}

impl From<&KnownAddress> for Nearness {
    fn from(known: &KnownAddress) -> Self {
        Self { time: known.origin_time, latency: known.latency }
    }
}

/// The addresses whose last route was lost, and those that we never knew and a neighbour did.
#[derive(Debug, Default)]
pub(super) struct Lost {
    // INVARIANT: both hold the same, at most MAX_LOST.
    addresses: BTreeMap<Address, Carriers>,
    order: BTreeMap<u64, Address>,
    next: u64,
    /// What neighbours that are connected say to have known better than we.
    // INVARIANT: of addresses above, at most MAX_CLAIMS_OF_ONE each and MAX_CLAIMS in all.
    claims: BTreeMap<RouterId, BTreeSet<Address>>,
    claimed: usize,
    /// How often an address was lost.
    losses: u64,
}

#[derive(Debug)]
struct Carriers {
    serial: u64,
    /// Nothing where we never knew it.
    ours: Option<Nearness>,
    /// By what they announced.
    nearer: Vec<RouterId>,
    chosen: Option<Via>,
}

impl Lost {
    /// The address that made room, if anybody was to carry for it.
    fn insert(&mut self, address: Address, ours: Option<Nearness>, nearer: Vec<RouterId>) -> Option<Address> {
        self.remove(&address);
        let mut left = None;
        if self.addresses.len() >= MAX_LOST
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            let oldest = *oldest;
            left = self.remove(&oldest).and_then(|carriers| carriers.chosen).map(|_| oldest);
        }
        let serial = self.next;
        self.next += 1;
        self.order.insert(serial, address);
        self.addresses.insert(address, Carriers { serial, ours, nearer, chosen: None });
        left
    }

    fn remove(&mut self, address: &Address) -> Option<Carriers> {
        let removed = self.addresses.remove(address)?;
        self.order.remove(&removed.serial);
        for claims in self.claims.values_mut() {
            self.claimed -= usize::from(claims.remove(address));
        }
        Some(removed)
    }

    /// Whether a neighbour knew an address better than we, by what it announced or says.
    fn is_nearer(&self, neighbour: &RouterId, address: &Address) -> bool {
        let by_announcement =
            || self.addresses.get(address).is_some_and(|carriers| carriers.nearer.contains(neighbour));
        self.claims.get(neighbour).is_some_and(|claims| claims.contains(address)) || by_announcement()
    }

    /// A neighbour says how it knew an address; whether that is news, and better than we did.
    fn claim(&mut self, neighbour: RouterId, address: Address, theirs: Nearness) -> bool {
        let of_neighbour = self.claims.get(&neighbour).map_or(0, BTreeSet::len);
        if of_neighbour >= MAX_CLAIMS_OF_ONE || self.claimed >= MAX_CLAIMS {
            return false;
        }
        match self.addresses.get(&address) {
            Some(carriers) => {
                let ours = carriers.ours.as_ref();
                if ours.is_some_and(|ours| !theirs.is_better_than(ours)) {
                    return false;
                }
            }
            // What we lost ourselves makes no room for what somebody says.
            None if self.addresses.len() >= MAX_LOST => return false,
            None => _ = self.insert(address, None, Vec::new()),
        }
        let is_new = self.claims.entry(neighbour).or_default().insert(address);
        self.claimed += usize::from(is_new);
        is_new
    }

    /// Forgets what a neighbour said; gives the addresses that it was about.
    fn forget_claims(&mut self, neighbour: &RouterId) -> BTreeSet<Address> {
        let claims = self.claims.remove(neighbour).unwrap_or_default();
        self.claimed -= claims.len();
        claims
    }

    /// Whether nobody knows anything of an address.
    fn is_idle(&self, address: &Address) -> bool {
        let is_claimed = || self.claims.values().any(|claims| claims.contains(address));
        self.addresses.get(address).is_some_and(|carriers| carriers.ours.is_none()) && !is_claimed()
    }

    /// What a neighbour is to hear of, by ascending address: what we knew, but not what it knew better.
    pub(super) fn known_after(
        &self,
        after: Option<Address>,
        neighbour: RouterId,
    ) -> impl Iterator<Item = KnownAddress> + '_ {
        use core::ops::Bound::{Excluded, Unbounded};
        let rest = self.addresses.range((after.map_or(Unbounded, Excluded), Unbounded));
        let known = rest.filter_map(|(address, carriers)| known_address(*address, carriers));
        known.filter(move |known| !self.is_nearer(&neighbour, &known.address))
    }
}

fn known_address(address: Address, carriers: &Carriers) -> Option<KnownAddress> {
    let Nearness { time, latency } = carriers.ours?;
    Some(KnownAddress { address, origin_time: time, latency })
}

impl Router {
    /// Where frames for an address may be carried to while no route to it is live; nothing if nobody is connected that knew it
    /// better than we did. Another one than before follows after [`Event::Carrier`].
    pub fn carrier(&self, address: &Address) -> Option<Via> {
        self.lost.addresses.get(address).and_then(|carriers| carriers.chosen)
    }

    /// Every address for which there is a [`Router::carrier`].
    pub fn carried(&self) -> impl Iterator<Item = Address> + '_ {
        let chosen = self.lost.addresses.iter().filter(|(_, carriers)| carriers.chosen.is_some());
        chosen.map(|(address, _)| *address)
    }

    /// The last route to an address is gone.
    pub(super) fn note_lost(&mut self, address: &Address, now: Now) {
        let Some(known) = self.rib.get(address) else { return };
        let nearer = known.nearer().collect();
        let newest = known.times.newest();
        let ours = newest.map(|newest| Nearness { time: newest.time, latency: newest.flooded });
        let had_one = self.carrier(address).is_some();
        self.lost.losses += 1;
        if let Some(left) = self.lost.insert(*address, ours, nearer) {
            self.tell(Event::Carrier { address: left });
        }
        if had_one {
            self.tell(Event::Carrier { address: *address });
        }
        self.choose_carrier(address, now);
    }

    /// There is a route again.
    pub(super) fn note_found(&mut self, address: &Address) {
        let had_one = self.carrier(address).is_some();
        self.lost.remove(address);
        if had_one {
            self.tell(Event::Carrier { address: *address });
        }
    }

    /// A neighbour says how lately and how near it knew addresses to which we know no way.
    pub(super) fn hear_known(&mut self, neighbour: RouterId, known: &[KnownAddress], now: Now) {
        let latest = self.clock.corrected(now) + CLOCK_WINDOW;
        for one in known.iter().filter(|one| one.origin_time <= latest) {
            let route = self.rib.get(&one.address).and_then(|known| known.hop_in_use());
            let is_of_use = route.is_none() && !self.locals.contains_key(&one.address);
            if is_of_use && self.lost.claim(neighbour, one.address, Nearness::from(one)) {
                self.choose_carrier(&one.address, now);
            }
        }
    }

    /// The last link of a neighbour is down: what it said counts no more, and it says it again when it comes back.
    pub(super) fn forget_known(&mut self, neighbour: &RouterId, now: Now) {
        for address in self.lost.forget_claims(neighbour) {
            self.choose_carrier(&address, now);
            if self.lost.is_idle(&address) {
                self.lost.remove(&address);
            }
        }
    }

    /// How often the last route to an address was lost since the start: whether [`Router::known_nearness`] is to be kept anew.
    pub fn losses(&self) -> u64 {
        self.lost.losses
    }

    /// How lately and how near all addresses were known that are others', to be kept over a restart: those lost first come first.
    pub fn known_nearness(&self) -> impl Iterator<Item = KnownAddress> + '_ {
        let lost = self
            .lost
            .order
            .values()
            .filter_map(|address| known_address(*address, self.lost.addresses.get(address)?));
        let live = self.rib.iter().filter(|(address, _)| !self.lost.addresses.contains_key(*address));
        let live = live.filter_map(|(address, known)| {
            let newest = known.times.newest()?;
            Some(KnownAddress { address: *address, origin_time: newest.time, latency: newest.flooded })
        });
        lost.chain(live)
    }

    /// How lately and how near an address was known in an earlier run, of those first that were lost first: neighbours that knew it
    /// better carry for it. To be called before links come; where there are more than are remembered, the first are forgotten.
    pub fn restore_nearness(&mut self, known: &KnownAddress) {
        if !self.locals.contains_key(&known.address) {
            self.lost.insert(known.address, Some(Nearness::from(known)), Vec::new());
        }
    }

    /// Something about a neighbour is another than it was.
    pub(super) fn choose_carriers_by(&mut self, neighbour: RouterId, now: Now) {
        self.choose_carriers(|lost, address| lost.is_nearer(&neighbour, address), now);
    }

    /// All neighbours are to be compared again.
    pub(super) fn choose_all_carriers(&mut self, now: Now) {
        self.choose_carriers(|_, _| true, now);
    }

    fn choose_carriers(&mut self, concerned: impl Fn(&Lost, &Address) -> bool, now: Now) {
        let lost = self.lost.addresses.keys().filter(|address| concerned(&self.lost, address));
        for address in lost.copied().collect::<Vec<_>>() {
            self.choose_carrier(&address, now);
        }
    }

    fn choose_carrier(&mut self, address: &Address, now: Now) {
        if !self.lost.addresses.contains_key(address) {
            return;
        }
        let candidates: Vec<Candidate> = self
            .links
            .values()
            .filter(|link| link.carries_routes() && self.lost.is_nearer(&link.hop.neighbour, address))
            .filter_map(|link| {
                Some(Candidate {
                    hop: link.hop,
                    ping: Ping { measured: link.rtt()?, cost: link.cost },
                    bandwidth: link.estimator.bandwidth(now.at),
                    under_load: None,
                    peer_part: true,
                })
            })
            .collect();
        let choice = StoreForwardScorer.compute(Default::default(), &self.scorer_config, &candidates).ok();
        let via = choice.and_then(|choice| {
            let mtu = self.links.get(&choice.hop)?.mtu;
            Some(Via { hop: choice.hop, mtu })
        });
        let Some(carriers) = self.lost.addresses.get_mut(address) else { return };
        if core::mem::replace(&mut carriers.chosen, via) != via {
            self.tell(Event::Carrier { address: *address });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> Address {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Address::from_bytes(bytes)
    }

    fn neighbour(byte: u8) -> RouterId {
        RouterId::from_bytes([byte; 32])
    }

    fn nearness(time: u64, latency: u32) -> Nearness {
        Nearness { time: WallTime::from_micros(time), latency: PathLatency(latency) }
    }

    #[test]
    fn the_table_is_limited_and_forgets_what_was_lost_first() {
        let mut lost = Lost::default();
        (0..MAX_LOST).for_each(|number| _ = lost.insert(address(number), None, Vec::new()));
        lost.insert(address(0), None, Vec::new());
        lost.insert(address(MAX_LOST), None, Vec::new());
        assert_eq!((lost.addresses.len(), lost.order.len()), (MAX_LOST, MAX_LOST));
        assert!(lost.remove(&address(1)).is_none(), "address 0 was lost anew since");
        assert!(!lost.claim(neighbour(1), address(1), nearness(1, 1)), "what is said makes no room");
        assert!(lost.remove(&address(0)).is_some());
        assert!(lost.remove(&address(MAX_LOST)).is_some());
        assert_eq!((lost.addresses.len(), lost.order.len()), (MAX_LOST - 2, MAX_LOST - 2));
    }

    #[test]
    fn who_knew_it_later_or_as_late_and_nearer_is_nearer() {
        let ours = nearness(10, 500);
        for (theirs, is_better) in [
            (nearness(11, 9_000), true),
            (nearness(10, 499), true),
            (nearness(10, 500), false),
            (nearness(9, 1), false),
        ] {
            let mut lost = Lost::default();
            lost.insert(address(1), Some(ours), Vec::new());
            assert_eq!(lost.claim(neighbour(1), address(1), theirs), is_better, "{theirs:?}");
            assert_eq!(lost.is_nearer(&neighbour(1), &address(1)), is_better);
            assert!(!lost.is_nearer(&neighbour(2), &address(1)));
        }
    }

    #[test]
    fn what_neighbours_say_is_limited_and_goes_with_them() {
        let mut lost = Lost::default();
        lost.insert(address(0), Some(nearness(1, 1)), Vec::new());
        let said = |lost: &mut Lost, by| {
            (0..MAX_LOST).filter(|number| lost.claim(neighbour(by), address(*number), nearness(9, 9))).count()
        };
        assert_eq!(said(&mut lost, 1), MAX_CLAIMS_OF_ONE);
        let others: usize = (2..40).map(|by| said(&mut lost, by)).sum();
        assert_eq!(others, MAX_CLAIMS - MAX_CLAIMS_OF_ONE);
        for by in 1..40 {
            for address in lost.forget_claims(&neighbour(by)) {
                if lost.is_idle(&address) {
                    lost.remove(&address);
                }
            }
        }
        assert_eq!((lost.claimed, lost.addresses.len(), lost.order.len()), (0, 1, 1), "ours stays");
    }
}
