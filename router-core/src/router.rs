// SPDX-License-Identifier: AGPL-3.0-or-later
//! The router: takes frames, link events and time, gives frames, events and deadlines.
//!
//! This file holds the doors. What happens behind them: [`receipt`] decides about announcements, [`routes`] keeps
//! selections and the forwarding table, [`events`] what the driver is to hear, [`flood`] sends announcements on, [`one_hop`] and [`links`] talk with
//! neighbours, [`carriers`] knows who was near to whom and [`scope`] tells it, [`trust`] what trust in addresses says
//! about neighbours. Frames of streams are not its business but that of
//! [`Streams`](crate::streams::Streams).

mod carriers;
mod events;
mod flood;
mod links;
mod one_hop;
mod receipt;
mod routes;
mod scope;
mod trust;

use core::fmt;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ratman_types::{Address, Hop, Now, RouterId, Signature, Signer, Timestamp, Verifier, WallTime};
use ratman_wire::{Frame, ModeClass};

use crate::announcing::{LocalAddress, initial_hops};
use crate::clock::ClockCorrection;
use crate::fib::FibEntry;
use crate::forward::decode_error;
use crate::limits::MAX_TRANSMITS;
use crate::link::Link;
use crate::neighbour::{Neighbours, Quota};
use crate::prng::Prng;
use crate::rib::Rib;
use crate::scorer::{LiveScorer, RouteScorer, ScorerConfiguration};
use crate::timer::Timers;
use crate::{
    Class, CloseReason, Counters, DropCounters, DropReason, Event, Fib, LEAST_ANNOUNCE_INTERVAL, LinkEvent,
    RouterConfig, Timer, Transmit,
};
use carriers::Carriers;
use events::Events;
use scope::Scopes;
use trust::Trust;

/// The control plane of one router.
pub struct Router {
    config: RouterConfig,
    key: Arc<dyn Signer>,
    id: RouterId,
    verifier: Arc<dyn Verifier>,
    prng: Prng,
    clock: ClockCorrection,
    skew_told: bool,
    set_back_told: bool,
    links: BTreeMap<Hop, Link>,
    neighbours: Neighbours,
    // As many as the operator gave us.
    locals: BTreeMap<Address, LocalAddress>,
    rib: Rib,
    carriers: Carriers,
    scopes: Scopes,
    scorer: Box<dyn RouteScorer>,
    scorer_config: ScorerConfiguration,
    trust: Trust,
    fib: Arc<Fib>,
    timers: Timers,
    transmits: VecDeque<Transmit>,
    events: Events,
    drops: DropCounters,
    counters: Counters,
    /// As of the last call, for the tables that people read.
    now: Now,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Router {
    /// A router without links and addresses.
    ///
    /// `key` is the router key; `seed` is fresh entropy, and equal seeds and inputs give equal outputs.
    pub fn new(
        mut config: RouterConfig,
        key: Arc<dyn Signer>,
        verifier: Arc<dyn Verifier>,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        config.announce_interval = config.announce_interval.max(LEAST_ANNOUNCE_INTERVAL);
        let mut scorer: Box<dyn RouteScorer> = Box::new(LiveScorer);
        let mut scorer_config = ScorerConfiguration::default();
        scorer.configure(&mut scorer_config);
        Self {
            id: key.router_id(),
            prng: Prng::new(seed),
            clock: ClockCorrection::new(config.build_time),
            skew_told: false,
            set_back_told: false,
            links: BTreeMap::new(),
            neighbours: Neighbours::default(),
            locals: BTreeMap::new(),
            rib: Rib::new(config.max_addresses),
            carriers: Carriers::default(),
            scopes: Scopes::default(),
            scorer,
            scorer_config,
            trust: Trust::default(),
            fib: Arc::default(),
            timers: Timers::default(),
            transmits: VecDeque::new(),
            events: Events::default(),
            drops: DropCounters::default(),
            counters: Counters::default(),
            now,
            config,
            key,
            verifier,
        }
    }

    /// The last origin time of every local address that was announced, to be made durable at a clean end in place of
    /// the ceiling of [`Event::OriginTime`].
    pub fn origin_times(&self) -> impl Iterator<Item = (Address, WallTime)> + '_ {
        self.locals.iter().filter_map(|(address, local)| Some((*address, local.last_origin_time()?)))
    }

    /// Announces an address of ours from now on.
    ///
    /// `last_origin_time` is what the last [`Event::OriginTime`] said in an earlier run, 0 for a new address.
    pub fn add_local(&mut self, key: Arc<dyn Signer>, last_origin_time: WallTime, now: Now) {
        self.now = now;
        let address = key.address();
        self.forget(&address, now);
        self.note_ours(&address);
        if last_origin_time > WallTime::default() {
            self.clock.raise_announced(last_origin_time, now.at);
        }
        let corrected = self.clock.corrected(now);
        let secret = &self.config.privacy_secret;
        let (local, discarded) = LocalAddress::new(key, last_origin_time, corrected, secret, now.at);
        if discarded {
            self.clock.set_announced(corrected, now.at);
            self.tell(Event::OriginTimeDiscarded { address, time: last_origin_time });
        }
        self.locals.insert(address, local);
        self.set_fib(&address, Some(FibEntry::Local));
        self.announce_soon(address, now);
    }

    /// Whether an address is announced as ours.
    pub fn is_local(&self, address: &Address) -> bool {
        self.locals.contains_key(address)
    }

    /// The time of an [`Event::OriginTime`] was made durable: what waits for that is announced. Without this, nothing is
    /// announced at a later time than one that was made durable before; the event comes again with each attempt.
    pub fn handle_origin_time_stored(&mut self, address: &Address, time: WallTime, now: Now) {
        self.now = now;
        if self.locals.get_mut(address).is_some_and(|local| local.stored(time)) {
            self.announce_now(*address, now);
        }
    }

    /// Announces an address of ours no more, and takes back what neighbours know of it.
    pub fn remove_local(&mut self, address: &Address, now: Now) {
        self.now = now;
        let Some(local) = self.locals.remove(address) else { return };
        self.timers.stop(Timer::Announce(*address));
        self.set_fib(address, None);
        if let Some(newest) = local.newest {
            self.retract(address, &newest);
        }
    }

    /// Keeps an address from being evicted: an open session uses it.
    pub fn pin(&mut self, address: Address) {
        if self.config.pinned.insert(address) {
            self.rib.pin(&address);
        }
    }

    /// Takes [`Router::pin`] back.
    pub fn unpin(&mut self, address: &Address) {
        if self.config.pinned.remove(address) {
            self.rib.unpin(address);
        }
    }

    /// Takes a frame that [`forward`](crate::forward()) gave as [`Forward::Control`](crate::Forward::Control).
    ///
    /// `arrived` is the netmod's stamp, at most `now`.
    pub fn handle_frame(&mut self, from: Hop, frame: &[u8], arrived: Timestamp, now: Now) {
        self.now = now;
        if let Err(reason) = self.receive(from, frame, arrived, now) {
            tracing::debug!(link = from.link.0, neighbour = %from.neighbour.short(), %reason, "frame dropped");
            self.drops.count(reason);
        }
    }

    /// Takes what the driver knows about a hop.
    pub fn handle_link(&mut self, event: LinkEvent, now: Now) {
        self.now = now;
        match event {
            LinkEvent::Up { hop, mtu, proofs, dialed } => self.link_up(hop, mtu, proofs, dialed, now),
            LinkEvent::Down { hop } => self.link_down(hop, now),
            LinkEvent::Mtu { hop, mtu } => self.link_mtu(hop, mtu, now),
            LinkEvent::Activity { hop, sent_bytes, received_frames, acked_bytes } => {
                self.link_activity(hop, sent_bytes, received_frames, acked_bytes, now);
            }
            LinkEvent::Sample { hop, sample } => self.link_sample(hop, &sample, now),
            LinkEvent::Cost { hop, cost } => self.link_cost(hop, cost, now),
        }
    }

    /// Does what is due; to be called at the deadline of [`Router::poll_timeout`], and harmless at any other time.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        while let Some(timer) = self.timers.take_due(now.at) {
            match timer {
                Timer::Link(hop) => self.judge_link(hop, now),
                Timer::RouterMeta(hop) => self.send_router_meta(hop, now),
                Timer::Resend(hop) => self.resend(hop, now),
                Timer::Scope(neighbour) => self.send_scope(neighbour, now),
                Timer::Announce(address) => self.announce(address, now),
                Timer::Flood(address) => self.flood(&address, now),
                Timer::Route(address) => self.age(&address, now),
            }
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// When [`Router::handle_timeout`] is to be called next, and the first reason.
    pub fn poll_timeout(&self) -> Option<(Timestamp, Timer)> {
        self.timers.next()
    }

    /// The current forwarding table; another one follows after [`Event::FibChanged`].
    pub fn fib(&self) -> Arc<Fib> {
        Arc::clone(&self.fib)
    }

    /// What the `hops_left` of our own frames from `address` starts with: 64 minus a secret 0–7 fixed per address,
    /// so that a neighbour cannot tell whether the address is ours.
    pub fn initial_hops(&self, address: &Address) -> u8 {
        initial_hops(&self.config.privacy_secret, address)
    }

    /// The cheapest checks first; signatures last (source: wire page, carrier frame).
    fn receive(&mut self, from: Hop, bytes: &[u8], arrived: Timestamp, now: Now) -> Result<(), DropReason> {
        let link = self.links.get_mut(&from).ok_or(DropReason::UnknownHop)?;
        if self.neighbours.is_cut_off(&from.neighbour, now.at) {
            return Err(DropReason::NeighbourCutOff);
        }
        let frame = Frame::decode(bytes).map_err(|error| decode_error(&error))?;
        link.note_received(arrived);
        match frame.header.mode.class() {
            ModeClass::Announcement => self.receive_announcement(from, &frame, arrived, now),
            ModeClass::OneHop => self.receive_one_hop(from, &frame, arrived, now),
            ModeClass::Peering => Err(DropReason::PeeringMode),
            ModeClass::Stream | ModeClass::User | ModeClass::Anycast | ModeClass::Session => {
                Err(DropReason::ModeNotServed)
            }
            ModeClass::Unknown => Err(DropReason::UnknownMode),
        }
    }

    /// Verifies a signature at the expense of the neighbour that brought it.
    fn verify(
        &mut self,
        from: Hop,
        quota: Quota,
        public: &[u8; 32],
        message: &[u8],
        signature: &Signature,
        now: Now,
    ) -> Result<(), DropReason> {
        let neighbour = self.neighbours.get_mut(&from.neighbour).ok_or(DropReason::UnknownHop)?;
        if !neighbour.may_verify(quota, now.at) {
            return Err(DropReason::VerificationQuota);
        }
        self.counters.signatures_verified += 1;
        if self.verifier.verify(public, message, signature) {
            return Ok(());
        }
        self.note_bad_signature(from, now);
        Err(DropReason::BadSignature)
    }

    /// A neighbour brought a bad signature that somebody else verified; too many of them cut it off.
    pub fn note_bad_signature(&mut self, from: Hop, now: Now) {
        let neighbour = self.neighbours.get_mut(&from.neighbour);
        if neighbour.is_some_and(|neighbour| neighbour.note_bad_signature(now.at)) {
            self.close_links_of(from.neighbour, CloseReason::CutOff, now);
        }
    }

    fn send(&mut self, hop: Hop, class: Class, frame: Vec<u8>) {
        if self.transmits.len() >= MAX_TRANSMITS {
            return self.drops.count(DropReason::TransmitQueueFull);
        }
        if let Some(link) = self.links.get_mut(&hop) {
            link.note_sent(frame.len());
        }
        self.transmits.push_back(Transmit { hop, class, frame });
    }

    fn tell(&mut self, event: Event) {
        if !self.events.push(event) {
            self.drops.count(DropReason::EventQueueFull);
        }
    }
}

#[cfg(test)]
mod tests;
