// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who gets frames for an address to which no route is live: a neighbour that was nearer to it than we were when it was
//! announced last (source: wire page, custody; manual, store & forward scoring).

use std::collections::BTreeMap;

use ratman_types::{Address, Now, RouterId};

use super::Router;
use crate::scorer::{Candidate, Ping, RouteScorer, StoreForwardScorer};
use crate::{Event, Via};

/// Addresses whose last route was lost and that are remembered for it, beyond the time for which routers remember them
/// otherwise. Each takes about 150 bytes; where there are more, the one that was lost first is forgotten.
const MAX_LOST: usize = 16_384;

/// The addresses whose last route was lost.
#[derive(Debug, Default)]
pub(super) struct Lost {
    // INVARIANT: both hold the same, at most MAX_LOST.
    addresses: BTreeMap<Address, Carriers>,
    order: BTreeMap<u64, Address>,
    next: u64,
}

#[derive(Debug)]
struct Carriers {
    serial: u64,
    nearer: Vec<RouterId>,
    chosen: Option<Via>,
}

impl Lost {
    /// The address that made room, if anybody was to carry for it.
    fn insert(&mut self, address: Address, nearer: Vec<RouterId>) -> Option<Address> {
        self.remove(&address);
        let mut left = None;
        if self.addresses.len() >= MAX_LOST
            && let Some((_, oldest)) = self.order.pop_first()
        {
            let carriers = self.addresses.remove(&oldest);
            left = carriers.and_then(|carriers| carriers.chosen).map(|_| oldest);
        }
        let serial = self.next;
        self.next += 1;
        self.order.insert(serial, address);
        self.addresses.insert(address, Carriers { serial, nearer, chosen: None });
        left
    }

    fn remove(&mut self, address: &Address) -> bool {
        let removed = self.addresses.remove(address);
        removed.as_ref().map(|carriers| self.order.remove(&carriers.serial));
        removed.is_some()
    }
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
        let had_one = self.carrier(address).is_some();
        if let Some(left) = self.lost.insert(*address, nearer) {
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

    /// Something about a neighbour is another than it was.
    pub(super) fn choose_carriers_by(&mut self, neighbour: RouterId, now: Now) {
        self.choose_carriers(|carriers| carriers.nearer.contains(&neighbour), now);
    }

    /// All neighbours are to be compared again.
    pub(super) fn choose_all_carriers(&mut self, now: Now) {
        self.choose_carriers(|_| true, now);
    }

    fn choose_carriers(&mut self, concerned: impl Fn(&Carriers) -> bool, now: Now) {
        let lost = self.lost.addresses.iter().filter(|(_, carriers)| concerned(carriers));
        for address in lost.map(|(address, _)| *address).collect::<Vec<_>>() {
            self.choose_carrier(&address, now);
        }
    }

    fn choose_carrier(&mut self, address: &Address, now: Now) {
        let Some(carriers) = self.lost.addresses.get(address) else { return };
        let candidates: Vec<Candidate> = self
            .links
            .values()
            .filter(|link| link.carries_routes() && carriers.nearer.contains(&link.hop.neighbour))
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

    #[test]
    fn the_table_is_limited_and_forgets_what_was_lost_first() {
        let address = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            Address::from_bytes(bytes)
        };
        let mut lost = Lost::default();
        (0..MAX_LOST).for_each(|number| _ = lost.insert(address(number), Vec::new()));
        lost.insert(address(0), Vec::new());
        lost.insert(address(MAX_LOST), Vec::new());
        assert_eq!((lost.addresses.len(), lost.order.len()), (MAX_LOST, MAX_LOST));
        assert!(!lost.remove(&address(1)), "address 0 was lost anew since");
        assert!(lost.remove(&address(0)));
        assert!(lost.remove(&address(MAX_LOST)));
        assert_eq!((lost.addresses.len(), lost.order.len()), (MAX_LOST - 2, MAX_LOST - 2));
    }
}
