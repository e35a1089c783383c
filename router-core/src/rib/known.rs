// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is known about one address: its last announcements, the hops that they came over, and the hop in use.

mod slots;

use core::time::Duration;
use std::collections::BTreeMap;

use ratman_types::{Bandwidth, Hop, Mtu, RouterId, Timestamp, WallTime};
use ratman_wire::MAX_HOPS;
use ratman_wire::announcement::{Announcement, PathLatency, Peer};

use crate::clock::LagCheck;
use crate::fib::{FibEntry, Via};
use crate::limits::{FORGET_AFTER, MAX_HOPS_PER_ADDRESS, believed_interval, fresh_window, live_window};
use crate::link::Link;
use crate::newest::Newest;
use crate::origin_times::OriginTimes;
use crate::route_ping::RoutePing;
use crate::scorer::{Candidate, Ping, Selection};

/// One address over one hop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) hop: Hop,
    /// Of the last copy that counted.
    pub(crate) origin_time: WallTime,
    /// What the neighbour signed; nothing for a copy without a counting peer part.
    pub(crate) claim: Option<PathLatency>,
    pub(crate) interval: Duration,
    pub(crate) bandwidth: Bandwidth,
    pub(crate) mtu: Mtu,
    /// What the last copy that counted came with.
    pub(crate) hops_left: u8,
    /// When the last copy that counted arrived.
    pub(crate) heard: Timestamp,
    pub(crate) ping: RoutePing,
}

impl Entry {
    /// The entry that a copy makes of what was there.
    pub(crate) fn from_copy(
        before: Option<&Self>,
        hop: Hop,
        (copy, hops_left): (&Announcement, u8),
        peer: Option<&Peer>,
        heard: Timestamp,
        default_interval: Duration,
    ) -> Self {
        Self {
            hop,
            origin_time: copy.origin_time,
            claim: peer.map(|peer| peer.latency),
            interval: peer.map_or(default_interval, |peer| believed_interval(peer.interval)),
            bandwidth: copy.available_bw,
            mtu: copy.available_mtu,
            hops_left,
            heard,
            ping: before.map_or_else(RoutePing::default, |entry| entry.ping),
        }
    }

    /// The most hops that the last copy can have come over: where they begin to be counted is not told exactly.
    pub(crate) fn most_hops(&self) -> u8 {
        MAX_HOPS.saturating_sub(self.hops_left).saturating_add(1)
    }

    /// Whether a copy of the same time says what this entry says already.
    pub(crate) fn repeats(&self, copy: &Announcement, peer: &Peer) -> bool {
        self.origin_time == copy.origin_time
            && self.claim == Some(peer.latency)
            && self.interval == believed_interval(peer.interval)
            && self.bandwidth == copy.available_bw
            && self.mtu == copy.available_mtu
    }

    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        now < self.heard + fresh_window(self.interval)
    }

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        now < self.heard + live_window(self.interval)
    }

    /// The round trip of the route by this entry.
    pub(crate) fn route_ping(&self, rtt: Duration) -> Duration {
        self.ping.ping(self.claim.map(PathLatency::as_duration).unwrap_or_default(), rtt)
    }

    /// The next time at which the entry is worth less.
    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let fresh = self.heard + fresh_window(self.interval);
        let live = self.heard + live_window(self.interval);
        [fresh, live].into_iter().find(|at| *at > now)
    }
}

/// One address.
#[derive(Debug)]
pub(crate) struct Known {
    /// The neighbour that brought it, whose share it fills.
    pub(crate) brought_by: RouterId,
    pub(crate) serial: u64,
    pub(crate) times: OriginTimes,
    pub(crate) lag: LagCheck,
    pub(crate) selection: Selection,
    /// What we flood, for the retraction and for links to come.
    pub(crate) newest: Option<Newest>,
    pub(crate) flooded_at: Option<Timestamp>,
    /// Whether neighbours were told of a route since we took it back last: nothing else needs taking back.
    pub(crate) told: bool,
    /// When the last announcement arrived that was newer than all others.
    pub(crate) heard: Timestamp,
    /// When the first arrived since the address is known.
    pub(crate) first_heard: Option<Timestamp>,
    // INVARIANT: neighbours whose last feasible claim was of this time, each once, at most MAX_HOPS_PER_ADDRESS.
    nearer: Vec<(RouterId, WallTime)>,
    // INVARIANT: at most one for each hop, MAX_HOPS_PER_NEIGHBOUR for each neighbour, MAX_HOPS_PER_ADDRESS in all.
    entries: Vec<Entry>,
}

impl Known {
    pub(crate) fn new(brought_by: RouterId, serial: u64) -> Self {
        Self {
            brought_by,
            serial,
            times: OriginTimes::default(),
            lag: LagCheck::default(),
            selection: Selection::default(),
            newest: None,
            flooded_at: None,
            told: false,
            heard: Timestamp::default(),
            first_heard: None,
            nearer: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn entry(&self, hop: Hop) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.hop == hop)
    }

    /// The hop in use.
    pub(crate) fn hop_in_use(&self) -> Option<Hop> {
        self.selection.current().map(|choice| choice.hop)
    }

    /// Notes that a neighbour is nearer to the address than we are, by an announcement of this time; kept when its route dies.
    pub(crate) fn note_nearer(&mut self, neighbour: RouterId, time: WallTime) {
        self.nearer.retain(|(other, _)| *other != neighbour);
        if self.nearer.len() >= MAX_HOPS_PER_ADDRESS {
            self.nearer.remove(0);
        }
        self.nearer.push((neighbour, time));
    }

    /// Who was nearer by the newest announcement: frames that are handed to them cannot go in a circle.
    pub(crate) fn nearer(&self) -> impl Iterator<Item = RouterId> + '_ {
        let newest = self.times.newest().map(|slot| slot.time);
        self.nearer.iter().filter(move |(_, time)| Some(*time) == newest).map(|(neighbour, _)| *neighbour)
    }

    /// Removes the entry of a hop; whether there was one.
    pub(crate) fn remove_entry(&mut self, hop: Hop) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.hop != hop);
        self.entries.len() < before
    }

    /// Removes the entries that nothing was heard of for too long.
    pub(crate) fn remove_dead(&mut self, now: Timestamp) {
        self.entries.retain(|entry| entry.is_live(now));
    }

    /// Whether frames over this entry cannot come back to us.
    pub(crate) fn is_feasible(&self, entry: &Entry) -> bool {
        self.times.get(entry.origin_time).is_some_and(|slot| slot.is_feasible(entry.hop, entry.claim))
    }

    /// Whether the neighbour told of the route lately: not long ago, and in one of the last two announcements. One that comes
    /// to it over us first does not come back; but who says nothing of two in a row may route over us by now
    /// (decisions/poisoned-reverse.md).
    fn is_fresh(&self, entry: &Entry, now: Timestamp) -> bool {
        entry.is_fresh(now) && self.times.newer_than(entry.origin_time) < 2
    }

    /// The routes that may be used now. Older ones only while there is no fresh one.
    pub(crate) fn candidates(&self, links: &BTreeMap<Hop, Link>, now: Timestamp) -> Vec<Candidate> {
        let usable =
            |entry: &Entry| self.candidate(entry, links, now).map(|found| (self.is_fresh(entry, now), found));
        let mut usable: Vec<(bool, Candidate)> = self.entries.iter().filter_map(usable).collect();
        if usable.iter().any(|(fresh, _)| *fresh) {
            usable.retain(|(fresh, _)| *fresh);
        }
        usable.into_iter().map(|(_, candidate)| candidate).collect()
    }

    /// `entry` as a candidate, if it is feasible, live, and its link carries routes.
    pub(crate) fn candidate(
        &self,
        entry: &Entry,
        links: &BTreeMap<Hop, Link>,
        now: Timestamp,
    ) -> Option<Candidate> {
        let link = links.get(&entry.hop).filter(|link| link.carries_routes())?;
        if !entry.is_live(now) || !self.is_feasible(entry) {
            return None;
        }
        let ping = |rtt| Ping { measured: entry.route_ping(rtt), cost: link.cost };
        // What lies beyond says nothing of a link that nobody has measured: then the pings decide alone.
        let own = link.estimator.bandwidth(now);
        let bandwidth = if own.is_known() { entry.bandwidth.narrowest(own) } else { own };
        Some(Candidate {
            hop: entry.hop,
            ping: ping(link.rtt()?),
            bandwidth,
            under_load: link.estimator.latency_under_load().map(ping),
            peer_part: entry.claim.is_some(),
        })
    }

    /// What the way over a hop carries, its own link included, as far as anybody measured.
    pub(crate) fn bandwidth_over(&self, hop: Hop, links: &BTreeMap<Hop, Link>, now: Timestamp) -> Bandwidth {
        let beyond = self.entry(hop).map(|entry| entry.bandwidth).unwrap_or_default();
        let link = links.get(&hop).map(|link| link.estimator.bandwidth(now)).unwrap_or_default();
        beyond.narrowest(link)
    }

    /// The way over a hop, as wide as the link and the rest of the way together.
    pub(crate) fn via(&self, hop: Hop, links: &BTreeMap<Hop, Link>) -> Option<Via> {
        let mtu = self.entry(hop)?.mtu.min(links.get(&hop)?.mtu);
        Some(Via { hop, mtu })
    }

    /// The forwarding table's line, given the best hop over another neighbour than that of the hop in use.
    pub(crate) fn fib_entry(&self, other: Option<Hop>, links: &BTreeMap<Hop, Link>) -> Option<FibEntry> {
        let best = self.via(self.hop_in_use()?, links)?;
        Some(FibEntry::Remote { best, other: other.and_then(|hop| self.via(hop, links)) })
    }

    /// When the routes are to be looked at again, and nothing if the address is to be forgotten.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        match self.entries.iter().filter_map(|entry| entry.next_change(now)).min() {
            Some(at) => Some(at),
            None => Some(self.heard + FORGET_AFTER).filter(|at| *at > now),
        }
    }
}
