// SPDX-License-Identifier: AGPL-3.0-or-later
//! Announcements on their way out: our own every two seconds, others' as they come, retractions, and all of the
//! newest ones for a link that just came up.

use core::ops::Bound;
use core::time::Duration;

use ratman_types::{Address, Hop, Now, RouterId, WallTime};

use super::Router;
use crate::limits::{CLOCK_WINDOW, FLOOD_INTERVAL, RESEND_BATCH, RESEND_PAUSE};
use crate::newest::{Newest, told_interval};
use crate::{Class, DropReason, Event, LinkState, Timer};

/// A new address is announced within this time: at once would tell that addresses which come together belong
/// together.
const FIRST_WITHIN: Duration = Duration::from_millis(500);

impl Router {
    pub(super) fn announce_soon(&mut self, address: Address, now: Now) {
        let pause = self.prng.below(FIRST_WITHIN);
        self.timers.set(Timer::Announce(address), now.at + pause);
    }

    /// Announces a local address, and sets the time for the next.
    pub(super) fn announce(&mut self, address: Address, now: Now) {
        if !self.locals.contains_key(&address) {
            return;
        }
        let pause = self.prng.around(self.config.announce_interval);
        self.timers.set(Timer::Announce(address), now.at + pause);
        self.announce_now(address, now);
        self.tell_set_back(now);
    }

    /// Announces a local address, or asks for its time to be made durable before.
    pub(super) fn announce_now(&mut self, address: Address, now: Now) {
        let corrected = self.clock.corrected(now);
        let interval = told_interval(self.config.announce_interval);
        let Some(local) = self.locals.get_mut(&address) else { return };
        let made = local.announce(corrected, now, interval);
        if let Some(time) = made.discarded {
            // The clock of our announcements begins anew.
            self.clock.set_announced(corrected, now.at);
            self.locals.values_mut().for_each(|local| local.announced = None);
            self.tell(Event::OriginTimeDiscarded { address, time });
        }
        if let Some(time) = made.withheld {
            self.counters.announcements_withheld += 1;
            return self.tell(Event::OriginTime { address, time });
        }
        // A lead that is lost counts no more: the clocks of what is announced ran slower meanwhile.
        let announced = self.locals.values().filter_map(|local| local.announced);
        if let Some((time, at)) =
            announced.max_by_key(|(time, at)| time.ahead_of(WallTime::from_micros(at.as_micros())))
        {
            self.clock.set_announced(time, at);
        }
        self.counters.announcements_made += 1;
        self.counters.signatures_made += 1;
        self.send_newest(&address, self.flooded_hops());
    }

    /// Tells once that our clock is behind what we announced, and again after it was right.
    fn tell_set_back(&mut self, now: Now) {
        let behind = self.clock.behind(now);
        if let Some(behind) = behind.filter(|_| !self.set_back_told) {
            self.tell(Event::ClockSetBack { behind });
        }
        self.set_back_told = behind.is_some();
    }

    /// Sends the newest announcement of somebody else's address on, at most once a second: what comes sooner waits.
    pub(super) fn flood(&mut self, address: &Address, now: Now) {
        let Some(known) = self.rib.get_mut(address) else { return };
        let Some(newest) = &known.newest else { return };
        if newest.hops_left.is_none() {
            return self.drops.count(DropReason::HopLimit);
        }
        let may_go = known.flooded_at.map(|at| at + FLOOD_INTERVAL).filter(|at| *at > now.at);
        if let Some(at) = may_go {
            self.timers.set(Timer::Flood(*address), at);
            return self.drops.count(DropReason::FloodInterval);
        }
        known.flooded_at = Some(now.at);
        self.timers.stop(Timer::Flood(*address));
        self.counters.announcements_flooded += 1;
        self.send_newest(address, self.flooded_hops());
    }

    /// The links that answered at least once; others get everything when they do.
    fn flooded_hops(&self) -> Vec<Hop> {
        self.links.values().filter(|link| link.state() != LinkState::Starting).map(|link| link.hop).collect()
    }

    /// Sends the newest announcement of an address over some hops, but not to the neighbour that it came from.
    fn send_newest(&mut self, address: &Address, mut hops: Vec<Hop>) {
        let corrected = self.clock.corrected(self.now);
        // One of ours that was made before our clock was right would be refused; the next is made within seconds.
        let counts = |newest: &&mut Newest| corrected <= newest.origin_time + CLOCK_WINDOW;
        let newest = match (self.locals.get_mut(address), self.rib.get_mut(address)) {
            (Some(local), _) => local.newest.as_mut().filter(counts),
            (None, Some(known)) => known.newest.as_mut(),
            (None, None) => None,
        };
        let Some(newest) = newest else { return };
        hops.retain(|hop| newest.from != Some(hop.neighbour));
        if hops.is_empty() {
            return;
        }
        let Some((frame, signed)) = newest.frame(address, &*self.key) else { return };
        let frame = frame.to_vec();
        self.counters.signatures_made += u64::from(signed);
        if let Some(known) = self.rib.get_mut(address) {
            known.told = true;
        }
        for hop in hops {
            self.send(hop, Class::Data, frame.clone());
        }
    }

    /// Tells all neighbours that we lost our last route to an address.
    pub(super) fn retract_known(&mut self, address: &Address) {
        let Some(known) = self.rib.get_mut(address) else { return };
        let told = core::mem::take(&mut known.told);
        if let Some(newest) = known.newest.take().filter(|_| told) {
            self.retract(address, &newest);
        }
    }

    /// Takes back what we flooded last, whoever it came from.
    pub(super) fn retract(&mut self, address: &Address, newest: &Newest) {
        let hops = self.flooded_hops();
        self.retract_over(address, newest, hops);
    }

    /// Tells the neighbour that we route over from now on that it cannot route over us: what we told it of an
    /// older announcement may still look feasible there (decisions/poisoned-reverse.md).
    pub(super) fn retract_towards(&mut self, address: &Address, neighbour: RouterId) {
        let told = self.rib.get(address).filter(|known| known.told);
        let Some(newest) = told.and_then(|known| known.newest.clone()) else { return };
        let hops = self.flooded_hops().into_iter().filter(|hop| hop.neighbour == neighbour).collect();
        self.retract_over(address, &newest, hops);
    }

    fn retract_over(&mut self, address: &Address, newest: &Newest, hops: Vec<Hop>) {
        if hops.is_empty() {
            return;
        }
        let frame = newest.retraction(address, &*self.key);
        self.counters.signatures_made += 1;
        self.counters.retractions_sent += 1;
        for hop in hops {
            self.send(hop, Class::Data, frame.clone());
        }
    }

    /// Sends a link that answered for the first time the next of the newest announcements of every live route and
    /// local address, so that a router that was restarted need not wait for the next round. They go in the order of
    /// the addresses, which does not tell which are local.
    pub(super) fn resend(&mut self, hop: Hop, now: Now) {
        let Some(link) = self.links.get(&hop) else { return };
        let batch = self.next_to_resend(link.resent);
        let Some(last) = batch.last().copied() else { return };
        for address in batch {
            self.send_newest(&address, vec![hop]);
        }
        if let Some(link) = self.links.get_mut(&hop) {
            link.resent = Some(last);
        }
        self.timers.set(Timer::Resend(hop), now.at + RESEND_PAUSE);
    }

    /// The next few addresses with something to send, in order.
    fn next_to_resend(&self, after: Option<Address>) -> Vec<Address> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let locals = self.locals.range(range).map(|(address, _)| *address).take(RESEND_BATCH);
        let routes = self.rib.range(range).filter(|(_, known)| known.hop_in_use().is_some());
        let mut next: Vec<Address> =
            locals.chain(routes.map(|(address, _)| *address).take(RESEND_BATCH)).collect();
        next.sort_unstable();
        next.truncate(RESEND_BATCH);
        next
    }
}
