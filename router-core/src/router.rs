// SPDX-License-Identifier: AGPL-3.0-or-later
//! The router: takes frames, link events and time, gives frames, events and deadlines.

use core::fmt;
use std::collections::VecDeque;
use std::sync::Arc;

use ratman_types::{Address, Hop, Now, Signer, Timestamp, Verifier, WallTime};

use crate::timer::Timers;
use crate::{
    Counters, DropCounters, Event, Fib, LinkEvent, LinkStatus, RouteStatus, RouterConfig, Timer, Transmit,
};

/// The control plane of one router.
pub struct Router {
    config: RouterConfig,
    key: Arc<dyn Signer>,
    verifier: Arc<dyn Verifier>,
    fib: Arc<Fib>,
    timers: Timers,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    drops: DropCounters,
    counters: Counters,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("id", &self.key.router_id()).finish_non_exhaustive()
    }
}

impl Router {
    /// A router without links and addresses.
    ///
    /// `key` is the router key; `seed` is fresh entropy, and equal seeds and inputs give equal outputs.
    pub fn new(
        config: RouterConfig,
        key: Arc<dyn Signer>,
        verifier: Arc<dyn Verifier>,
        _seed: [u8; 32],
        _now: Now,
    ) -> Self {
        Self {
            config,
            key,
            verifier,
            fib: Arc::default(),
            timers: Timers::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            drops: DropCounters::default(),
            counters: Counters::default(),
        }
    }

    /// Announces an address of ours from now on.
    ///
    /// `last_origin_time` is what the last [`Event::OriginTime`] said in an earlier run, 0 for a new address.
    pub fn add_local(&mut self, _key: Arc<dyn Signer>, _last_origin_time: WallTime, _now: Now) {}

    /// Announces an address of ours no more; others forget it within the live window.
    pub fn remove_local(&mut self, _address: &Address, _now: Now) {}

    /// Keeps an address from being evicted: an open session uses it.
    pub fn pin(&mut self, address: Address) {
        self.config.pinned.insert(address);
    }

    /// Takes [`Router::pin`] back.
    pub fn unpin(&mut self, address: &Address) {
        self.config.pinned.remove(address);
    }

    /// Takes a frame that [`forward`](crate::forward()) gave as [`Forward::Control`](crate::Forward::Control).
    ///
    /// `arrived` is the netmod's stamp, at most `now`.
    pub fn handle_frame(&mut self, _from: Hop, _frame: &[u8], _arrived: Timestamp, _now: Now) {}

    /// Takes what the driver knows about a hop.
    pub fn handle_link(&mut self, _event: LinkEvent, _now: Now) {}

    /// Does what is due; to be called at the deadline of [`Router::poll_timeout`], and harmless at any other time.
    pub fn handle_timeout(&mut self, _now: Now) {}

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
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
    pub fn initial_hops(&self, _address: &Address) -> u8 {
        64
    }

    /// The links, for people.
    pub fn links(&self) -> impl Iterator<Item = LinkStatus> + '_ {
        core::iter::empty()
    }

    /// Every way to every address, for people.
    pub fn routes(&self) -> impl Iterator<Item = RouteStatus> + '_ {
        core::iter::empty()
    }

    /// What was dropped, by reason.
    pub fn drops(&self) -> &DropCounters {
        &self.drops
    }

    /// Totals since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What is added to our raw clock before a time is sent or compared, in microseconds.
    pub fn clock_correction(&self) -> i64 {
        0
    }
}
