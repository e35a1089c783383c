// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who gets frames for an address to which no route is live: a neighbour that was nearer to it than we were when it was
//! announced last, or says that it was (source: wire page, custody; manual, store & forward scoring).

mod claims;
mod lost;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Now, RouterId};
use ratman_wire::sync_scope::KnownAddress;

use super::Router;
use crate::limits::CLOCK_WINDOW;
use crate::scorer::{Candidate, Ping, RouteScorer, StoreForwardScorer};
use crate::{Event, Via};
use claims::Claims;
use lost::{Lost, Nearness};

/// Who knew addresses, and who carries for them.
#[derive(Debug, Default)]
pub(super) struct Carriers {
    lost: Lost,
    claims: Claims,
    // INVARIANT: of addresses of the two above to which there is no route.
    chosen: BTreeMap<Address, Via>,
    losses: u64,
}

impl Carriers {
    /// Whether frames for an address that is lost get nearer to it with a neighbour.
    fn is_nearer(&self, neighbour: &RouterId, address: &Address) -> bool {
        let claimed = || {
            let (theirs, ours) = (self.claims.get(neighbour, address), self.lost.ours(address));
            theirs.is_some_and(|theirs| ours.is_none_or(|ours| theirs.is_better_than(&ours)))
        };
        self.lost.was_nearer(neighbour, address) || claimed()
    }

    /// What a neighbour is to hear of, by ascending address: what we knew of addresses that are lost, but not what it knew better.
    pub(super) fn known_after(
        &self,
        after: Option<Address>,
        neighbour: RouterId,
    ) -> impl Iterator<Item = KnownAddress> + '_ {
        self.lost.after(after).filter(move |known| !self.is_nearer(&neighbour, &known.address))
    }
}

impl Router {
    /// Where frames for an address may be carried to while no route to it is live; nothing if nobody is connected that knew it
    /// better than we did. Another one than before follows after [`Event::Carrier`].
    pub fn carrier(&self, address: &Address) -> Option<Via> {
        self.carriers.chosen.get(address).copied()
    }

    /// Every address for which there is a [`Router::carrier`].
    pub fn carried(&self) -> impl Iterator<Item = Address> + '_ {
        self.carriers.chosen.keys().copied()
    }

    /// The last route to an address is gone.
    pub(super) fn note_lost(&mut self, address: &Address, now: Now) {
        let Some(known) = self.rib.get(address) else { return };
        let Some(ours) = known.times.newest().map(Nearness::from) else { return };
        let nearer = known.nearer().collect();
        self.carriers.losses += 1;
        if let Some(left) = self.carriers.lost.insert(*address, ours, nearer) {
            self.choose_carrier(&left, now);
        }
        self.choose_carrier(address, now);
    }

    /// There is a route again.
    pub(super) fn note_found(&mut self, address: &Address) {
        self.carriers.lost.find(address);
        self.set_carrier(address, None);
    }

    /// An address is ours: nobody else knew it.
    pub(super) fn note_ours(&mut self, address: &Address) {
        self.carriers.lost.remove(address);
        self.set_carrier(address, None);
    }

    /// A neighbour says how lately and how near it knew addresses. What it knew worse than we is of no use, whatever becomes of ours.
    pub(super) fn hear_known(&mut self, neighbour: RouterId, known: &[KnownAddress], now: Now) {
        for one in known {
            let theirs = Nearness::from(one);
            let newest = self.rib.get(&one.address).and_then(|known| known.times.newest());
            let ours = newest.map(Nearness::from).into_iter().chain(self.carriers.lost.ours(&one.address));
            let is_better = ours.into_iter().all(|ours| theirs.is_better_than(&ours));
            let ahead = self.ahead_of_us(one.origin_time, now).unwrap_or_default();
            let is_possible = Duration::from_micros(ahead.max(0).unsigned_abs()) <= CLOCK_WINDOW;
            if is_better && is_possible && self.carriers.claims.insert(neighbour, one.address, theirs) {
                self.choose_carrier(&one.address, now);
            }
        }
    }

    /// The last link of a neighbour is down: what it said counts no more, and it says it again when it comes back.
    pub(super) fn forget_known(&mut self, neighbour: &RouterId, now: Now) {
        for address in self.carriers.claims.forget(neighbour) {
            self.choose_carrier(&address, now);
        }
    }

    /// How often the last route to an address was lost since the start: whether [`Router::known_nearness`] is to be kept anew.
    pub const fn losses(&self) -> u64 {
        self.carriers.losses
    }

    /// How lately and how near all addresses were known that are others', to be kept over a restart: those lost first come first.
    pub fn known_nearness(&self) -> impl Iterator<Item = KnownAddress> + '_ {
        let live = self.rib.iter().filter(|(address, _)| self.carriers.lost.ours(address).is_none());
        let live =
            live.filter_map(|(address, known)| Some(Nearness::from(known.times.newest()?).of(*address)));
        self.carriers.lost.in_order().chain(live)
    }

    /// How lately and how near an address was known in an earlier run, of those first that were lost first: neighbours that knew it
    /// better carry for it. To be called before links come; where there are more than are remembered, the first are forgotten.
    pub fn restore_nearness(&mut self, known: &KnownAddress) {
        if !self.locals.contains_key(&known.address) {
            self.carriers.lost.insert(known.address, Nearness::from(known), Vec::new());
        }
    }

    /// Something about a neighbour is another than it was.
    pub(super) fn choose_carriers_by(&mut self, neighbour: RouterId, now: Now) {
        let announced = self.carriers.lost.announced_by(neighbour);
        let concerned: BTreeSet<Address> = announced.chain(self.carriers.claims.of(&neighbour)).collect();
        concerned.iter().for_each(|address| self.choose_carrier(address, now));
    }

    /// All neighbours are to be compared again.
    pub(super) fn choose_all_carriers(&mut self, now: Now) {
        let lost = self.carriers.lost.after(None).map(|known| known.address);
        let concerned: BTreeSet<Address> = lost.chain(self.carriers.claims.addresses()).collect();
        concerned.iter().for_each(|address| self.choose_carrier(address, now));
    }

    fn choose_carrier(&mut self, address: &Address, now: Now) {
        let route = self.rib.get(address).and_then(|known| known.hop_in_use());
        if route.is_some() || self.locals.contains_key(address) {
            return self.set_carrier(address, None);
        }
        let candidates: Vec<Candidate> = self
            .links
            .values()
            .filter(|link| link.carries_routes() && self.carriers.is_nearer(&link.hop.neighbour, address))
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
        self.set_carrier(address, via);
    }

    fn set_carrier(&mut self, address: &Address, via: Option<Via>) {
        let before = match via {
            Some(via) => self.carriers.chosen.insert(*address, via),
            None => self.carriers.chosen.remove(address),
        };
        if before != via {
            self.tell(Event::Carrier { address: *address });
        }
    }
}
