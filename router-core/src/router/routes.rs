// SPDX-License-Identifier: AGPL-3.0-or-later
//! From candidates to the forwarding table: who is selected, what happens when that changes, and ageing.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use ratman_types::{Address, ByteCount, Hop, Mtu, Now, RouterId};
use ratman_wire::MAX_FRAME;

use super::Router;
use crate::fib::FibEntry;
use crate::link::Link;
use crate::rib::{Entry, Known};
use crate::scorer::{Candidate, Change, Choice, NoAvailableRoute};
use crate::{Counters, DropCounters, Event, LinkCost, LinkStatus, RouteStatus, Timer, Via};

impl Router {
    /// Asks the scorer for routes that serve streams of any size.
    pub(super) fn compute(&self, candidates: &[Candidate]) -> Result<Choice, NoAvailableRoute> {
        self.scorer.compute(ByteCount::default(), &self.scorer_config, candidates)
    }

    /// Looks at an address again after something about it changed.
    pub(super) fn reselect(&mut self, address: &Address, now: Now) {
        let Some(known) = self.rib.get_mut(address) else { return };
        let candidates = known.candidates(&self.links, now.at);
        let compute = |candidates: &[Candidate]| {
            self.scorer.compute(ByteCount::default(), &self.scorer_config, candidates)
        };
        let change = known.selection.decide(compute(&candidates), &candidates, now.at);
        let in_use = known.hop_in_use().map(|hop| hop.neighbour);
        let others: Vec<Candidate> =
            candidates.iter().filter(|other| Some(other.hop.neighbour) != in_use).copied().collect();
        let other = compute(&others).ok().map(|choice| choice.hop);
        let entry = known.fib_entry(other, &self.links);
        if let Some(at) = known.next_change(now.at) {
            self.timers.set_earlier(Timer::Route(*address), at);
        }
        self.set_fib(address, entry);
        if let Some(change) = change {
            self.follow(address, change, now);
        }
    }

    /// Tells everybody concerned that traffic moves.
    fn follow(&mut self, address: &Address, change: Change, now: Now) {
        self.note_reached(address, change.to.map(|hop| hop.neighbour), now);
        match change.to {
            None => self.note_lost(address, now),
            Some(_) => self.note_found(address),
        }
        match (change.from, change.to) {
            (_, None) => self.retract_known(address),
            (Some(from), Some(to)) if from.neighbour != to.neighbour => {
                self.retract_towards(address, to.neighbour);
            }
            (_, Some(_)) => {}
        }
        let (from, to, reason) = (change.from, change.to, change.reason.to_string());
        tracing::debug!(%address, ?from, ?to, reason, "route changed");
        self.tell(Event::RouteChanged { address: *address, from, to, reason });
    }

    pub(super) fn set_fib(&mut self, address: &Address, entry: Option<FibEntry>) {
        if self.fib.holds(address, entry.as_ref()) {
            return;
        }
        Arc::make_mut(&mut self.fib).set(address, entry);
        self.tell(Event::FibChanged);
    }

    /// Looks at every address that may be reached over `hop` again.
    pub(super) fn reselect_over(&mut self, hop: Hop, now: Now) {
        for address in self.reached_over(hop) {
            self.reselect(&address, now);
        }
        self.note_changed_link(hop, now);
    }

    /// A link came, went or is another one than it was.
    pub(super) fn note_changed_link(&mut self, hop: Hop, now: Now) {
        self.choose_carriers_by(hop.neighbour, now);
        self.tell(Event::Neighbours);
    }

    /// Every address that was announced over `hop`: a scan of the whole table, since links change rarely.
    pub(super) fn reached_over(&self, hop: Hop) -> Vec<Address> {
        self.rib.iter().filter(|(_, known)| known.entry(hop).is_some()).map(|(address, _)| *address).collect()
    }

    /// A route of this address got too old, or the address itself.
    pub(super) fn age(&mut self, address: &Address, now: Now) {
        let Some(known) = self.rib.get_mut(address) else { return };
        known.remove_dead(now.at);
        if known.next_change(now.at).is_none() {
            return self.forget(address, now);
        }
        self.reselect(address, now);
    }

    /// Forgets everything about an address of somebody else.
    pub(super) fn forget(&mut self, address: &Address, now: Now) {
        let Some(known) = self.rib.get_mut(address) else { return };
        let hops: Vec<Hop> = known.entries().iter().map(|entry| entry.hop).collect();
        for hop in hops {
            known.remove_entry(hop);
        }
        self.reselect(address, now);
        self.rib.forget(address);
        self.timers.stop(Timer::Route(*address));
        self.timers.stop(Timer::Flood(*address));
        self.tell(Event::Forgotten { address: *address });
    }

    /// The neighbours that answer, each over the best of its links. Others than before follow after [`Event::Neighbours`].
    pub fn live_neighbours(&self) -> Vec<Via> {
        let mut best: BTreeMap<RouterId, &Link> = BTreeMap::new();
        for link in self.links.values().filter(|link| link.carries_routes()) {
            let rank = |link: &Link| (link.cost, link.rtt());
            let known = best.entry(link.hop.neighbour).or_insert(link);
            if rank(link) < rank(known) {
                *known = link;
            }
        }
        best.into_values().map(|link| Via { hop: link.hop, mtu: link.mtu }).collect()
    }

    /// The links, for people.
    pub fn links(&self) -> impl Iterator<Item = LinkStatus> + '_ {
        self.links.values().map(|link| LinkStatus {
            hop: link.hop,
            state: link.state(),
            dialed: link.dialed,
            mtu: link.mtu,
            cost: link.cost,
            since: link.since,
            latency: link.estimator.latency(),
            loaded_latency: link.estimator.loaded_latency(),
            capacity: link.estimator.capacity(self.now.at),
            traffic: link.estimator.traffic(self.now.at),
            loss: link.estimator.loss(self.now.at),
            clock_offset: link.clock_offset,
            meta: link.meta,
        })
    }

    /// Every way to every address as of the last call, for people; the local addresses first.
    pub fn routes(&self) -> impl Iterator<Item = RouteStatus> + '_ {
        let local = self.locals.keys().map(|address| local_route(*address));
        let remote = self.rib.iter().flat_map(move |(address, known)| {
            known.entries().iter().map(move |entry| self.route_status(address, known, entry))
        });
        local.chain(remote)
    }

    fn route_status(&self, address: &Address, known: &Known, entry: &Entry) -> RouteStatus {
        let choice = known.selection.current().filter(|choice| choice.hop == entry.hop);
        let link = self.links.get(&entry.hop);
        RouteStatus {
            address: *address,
            hop: Some(entry.hop),
            selected: choice.is_some(),
            usable: known.candidate(entry, &self.links, self.now.at).is_some(),
            ping: link.and_then(|link| link.rtt()).map(|rtt| entry.route_ping(rtt)),
            cost: link.map(|link| link.cost).unwrap_or_default(),
            mtu: known.via(entry.hop, &self.links).map_or(entry.mtu, |via| via.mtu),
            bandwidth: known.bandwidth_over(entry.hop, &self.links, self.now.at),
            hops: entry.most_hops(),
            heard: Some(entry.heard),
            first_heard: known.first_heard,
            reason: choice.map(|choice| choice.why.to_string()).unwrap_or_default(),
        }
    }

    /// Every address of others that is known: what [`Event::Learned`] told and [`Event::Forgotten`] did not take back,
    /// for [`Event::Resync`].
    pub fn known_addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.rib.iter().map(|(address, _)| *address)
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> &DropCounters {
        &self.drops
    }

    /// Totals since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What was added to our raw clock before a time was sent or compared, in microseconds, as of the last call.
    pub fn clock_correction(&self) -> i64 {
        self.clock.micros(self.now)
    }

    /// How far our raw clock is behind the times that we announced, by which we go instead; nothing where it can be believed.
    pub fn clock_behind(&self) -> Option<Duration> {
        self.clock.behind(self.now)
    }

    /// Our own router id.
    pub fn id(&self) -> RouterId {
        self.id
    }
}

fn local_route(address: Address) -> RouteStatus {
    RouteStatus {
        address,
        hop: None,
        selected: true,
        usable: true,
        ping: None,
        cost: LinkCost::NONE,
        mtu: Mtu(u32::try_from(MAX_FRAME).expect("a frame's length fits")),
        bandwidth: Default::default(),
        hops: 0,
        heard: None,
        first_heard: None,
        reason: "local".to_owned(),
    }
}
