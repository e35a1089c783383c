// SPDX-License-Identifier: AGPL-3.0-or-later
//! The control plane's loop: one task that owns the router and irdest-proxy's control half, feeds them what happened,
//! and carries out what they want. It decides nothing about the protocol.

mod known;
mod lines;
mod measured;
mod orders;
mod reload;
mod report;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use netmod_api::{Activity, DownReason, LinkUp, Netmod, SAMPLES_EVERY};
use ratman_types::{Address, Hop, Now, Timestamp, WallTime};
use ratman_wire::ModeClass;
use router_core::{Event, LinkEvent, Router, Transmit};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::config::LinkRule;
use crate::control::{Answer, Query, Request};
use crate::data_threads::Duty;
use crate::forward::{ControlFrame, Forwarder, Notice, Notices};
use crate::irdest_proxy::{Asks, ControlHalf, Outgoing};
use crate::message_plane::{PlaneDoor, Word};
use crate::netlink::Watch;
use crate::notify::StatusLine;
use crate::probing::Probing;
use crate::state::State;
use crate::watchdog::Watchdog;
use crate::ways::Ways;
use known::Kept;
use lines::Lines;

pub use orders::Order;
pub use reload::{RemotesConfig, with_times};
pub use report::Identification;

/// How often the router hears of traffic while there is some: twice in the 50 ms of quiet after which it probes a link
/// urgently (source: wire page, stalled), since it takes the last sign of life to be as late as the report of it.
const BUSY_SAMPLE: Duration = Duration::from_millis(25);

/// How often it looks for traffic while there is none.
const IDLE_SAMPLE: Duration = Duration::from_millis(250);

/// Frames handled in a row before the other inputs get their turn.
const FRAMES_PER_TURN: usize = 256;

/// What is known of a link beside what the router knows.
#[derive(Debug)]
struct Attachment {
    link: LinkUp,
    seen: Activity,
}

/// What the driver is made of.
#[derive(Debug)]
pub struct Parts {
    /// Who we are.
    pub identification: Identification,
    /// The router.
    pub router: Router,
    /// irdest-proxy; a router alone has none.
    pub proxy: Option<ControlHalf>,
    /// The data path of the router.
    pub forwarder: Arc<Forwarder>,
    /// The snapshots that the data path reads.
    pub ways: Arc<Ways>,
    /// The message plane, where there is one.
    pub streams: Option<PlaneDoor>,
    /// What there should be, and why there is none.
    pub missing: Vec<String>,
    /// The network drivers.
    pub netmods: Vec<Arc<dyn Netmod>>,
    /// How many clients the control socket refused.
    pub control_refused: Arc<AtomicU64>,
    /// The state directory.
    pub state: State,
    /// The remotes of the configuration, which stay pinned.
    pub configured: BTreeSet<Address>,
    /// What the configuration says about links.
    pub link_rules: Vec<LinkRule>,
    /// The probes in the kernel.
    pub probing: Probing,
    /// The watchdog of the service manager, where it has one.
    pub watchdog: Option<Watchdog>,
    /// How many threads of the data path work.
    pub duty: Duty,
}

/// Where the driver's inputs come from.
#[derive(Debug)]
pub struct Inputs {
    /// Frames and link changes.
    pub notices: Notices,
    /// What irdest-proxy's data half asks for.
    pub asks: Option<Asks>,
    /// What the message plane wants of the router.
    pub words: Option<mpsc::Receiver<Word>>,
    /// What the desk orders, where there is one.
    pub orders: Option<mpsc::Receiver<Order>>,
    /// Requests of the control socket.
    pub requests: mpsc::Receiver<Request>,
    /// Changes of the host's network; nothing where netlink cannot be watched.
    pub network: Option<Watch>,
}

/// The control plane.
#[derive(Debug)]
pub struct Driver {
    clock: Clock,
    started: Timestamp,
    parts: Parts,
    links: BTreeMap<Hop, Attachment>,
    next_sample: Timestamp,
    next_measure: Timestamp,
    lines: Lines,
    /// Frames of ours whose link or route went before they could leave.
    without_way_out: u64,
    /// Custodies of neighbours that found no room in the message plane.
    custodies_unheard: u64,
    /// Why the last reload was refused; nothing once one was taken.
    refused: Option<String>,
    status_line: StatusLine,
    kept: Kept,
}

impl Driver {
    /// A driver that has not begun; the clock says when it was started.
    pub fn new(clock: Clock, parts: Parts) -> Self {
        let started = clock.now().at;
        Self {
            clock,
            started,
            parts,
            links: BTreeMap::new(),
            next_sample: started + IDLE_SAMPLE,
            next_measure: started + SAMPLES_EVERY,
            lines: Lines::default(),
            without_way_out: 0,
            custodies_unheard: 0,
            refused: None,
            status_line: StatusLine::default(),
            kept: Kept::new(started),
        }
    }

    /// Runs for ever; to be dropped in favour of another future when the daemon ends. Cancel safe between inputs.
    pub async fn run(&mut self, inputs: &mut Inputs) {
        if let Some(proxy) = &mut self.parts.proxy {
            // Also before anybody was heard: a clock that was set back is known from what was announced before.
            proxy.set_clock_correction(self.parts.router.clock_correction());
        }
        self.settle(self.clock.now());
        loop {
            self.turn(inputs).await;
            // Not left to the timer alone: while other inputs are always ready it would hardly ever be asked.
            self.handle_timeout();
            self.settle(self.clock.now());
        }
    }

    /// Makes durable what a clean end can tell more exactly.
    pub fn end(&mut self) {
        self.keep_known();
        let Parts { router, state, .. } = &mut self.parts;
        let now = self.clock.now().at;
        for (address, time) in router.origin_times() {
            state.settle_origin(address, time, now);
        }
    }

    async fn turn(&mut self, inputs: &mut Inputs) {
        let wait = self.deadline().since(self.clock.now().at);
        tokio::select! {
            Some(notice) = inputs.notices.next() => {
                self.handle_notice(notice);
                for _ in 1..FRAMES_PER_TURN {
                    let Some(notice) = inputs.notices.waiting() else { break };
                    self.handle_notice(notice);
                }
            }
            Some(ask) = next_ask(inputs.asks.as_mut()) => self.handle_ask(ask),
            Some(order) = next_of(inputs.orders.as_mut()) => self.carry_out(order),
            Some(word) = next_of(inputs.words.as_mut()) => {
                let now = self.clock.now();
                match word {
                    Word::Custody(hop, frames) => self.parts.router.send_custody(hop, &frames, now),
                    Word::BadSignature(from) => self.parts.router.note_bad_signature(from, now),
                }
            }
            Some(Request { query, reply }) = inputs.requests.recv() => {
                // A client that has left needs no answer.
                let _ = reply.send(match query {
                    Query::Status => Answer::Status(Box::new(self.report())),
                    Query::Links => Answer::Links(self.measured_links()),
                });
            }
            () = network_changed(inputs.network.as_ref()) => {
                debug!("the host's network changed");
                self.parts.netmods.iter().for_each(|netmod| netmod.network_changed());
                self.parts.probing.network_changed();
            }
            () = self.parts.probing.follow() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    fn deadline(&self) -> Timestamp {
        let router = self.parts.router.poll_timeout().map(|(deadline, _)| deadline);
        let proxy = self.parts.proxy.as_ref().map(ControlHalf::poll_timeout);
        let watchdog = self.parts.watchdog.as_ref().map(Watchdog::deadline);
        let own = self.next_sample.min(self.next_measure).min(self.kept.deadline());
        [router, proxy, watchdog].into_iter().flatten().fold(own, Timestamp::min)
    }

    fn handle_timeout(&mut self) {
        let now = self.clock.now();
        if self.next_sample <= now.at {
            self.sample(now);
        }
        if self.next_measure <= now.at {
            self.measure(now);
        }
        self.keep_what_was_lost(now);
        if self.parts.router.poll_timeout().is_some_and(|(deadline, _)| deadline <= now.at) {
            self.parts.router.handle_timeout(now);
        }
        if let Some(proxy) = &mut self.parts.proxy
            && proxy.poll_timeout() <= now.at
        {
            proxy.set_clock_correction(self.parts.router.clock_correction());
            proxy.handle_timeout(now);
        }
        if let Some(watchdog) = &mut self.parts.watchdog
            && watchdog.deadline() <= now.at
        {
            watchdog.look(now.at);
        }
    }

    fn handle_notice(&mut self, notice: Notice) {
        let now = self.clock.now();
        match notice {
            Notice::Frame(frame) => self.handle_frame(&frame, now),
            Notice::LinkUp(link) => self.link_up(link, now),
            Notice::LinkDown(hop, reason) => self.link_down(hop, reason, now),
        }
    }

    fn handle_frame(&mut self, frame: &ControlFrame, now: Now) {
        let ControlFrame { from, arrived, bytes, .. } = frame;
        match (&mut self.parts.proxy, ratman_wire::carrier::peek_mode(bytes).map(|mode| mode.class())) {
            (Some(proxy), Some(ModeClass::Session)) => proxy.handle_frame(*from, bytes, now),
            _ => self.parts.router.handle_frame(*from, bytes, *arrived, now),
        }
    }

    fn handle_ask(&mut self, ask: Ask) {
        let now = self.clock.now();
        if let Some(proxy) = &mut self.parts.proxy {
            match ask {
                Ask::Waits => proxy.handle_waits(now),
                Ask::Confirmed(remote) => proxy.handle_confirmed(remote, now),
            }
        }
    }

    fn link_up(&mut self, link: LinkUp, now: Now) {
        if link.dialed || self.lines.allow(now.at) {
            info!(
                link = %link.hop.link, neighbour = %link.hop.neighbour.short(), netmod = link.netmod,
                remote = link.remote, dialed = link.dialed, "link up"
            );
        }
        let event = LinkEvent::Up { hop: link.hop, mtu: link.mtu, proofs: link.proofs, dialed: link.dialed };
        let cost = self.cost_of(&link);
        let hop = link.hop;
        self.links.insert(hop, Attachment { link, seen: Activity::default() });
        self.parts.router.handle_link(event, now);
        if let Some(cost) = cost {
            self.parts.router.handle_link(LinkEvent::Cost { hop, cost }, now);
        }
    }

    fn link_down(&mut self, hop: Hop, reason: DownReason, now: Now) {
        let dialed = self.links.remove(&hop).is_some_and(|attachment| attachment.link.dialed);
        if dialed || self.lines.allow(now.at) {
            info!(link = %hop.link, neighbour = %hop.neighbour.short(), %reason, "link down");
        }
        self.parts.router.handle_link(LinkEvent::Down { hop }, now);
    }

    fn link_stalled(&self, hop: Hop, now: Now) {
        let Some(Attachment { link, .. }) = self.links.get(&hop) else { return };
        let saved = self.parts.forwarder.leave(hop, link.outbox.as_ref(), now.at);
        let (unacknowledged, waiting) = (saved.unacknowledged, saved.waiting);
        info!(
            link = %hop.link, neighbour = %hop.neighbour.short(), unacknowledged, waiting,
            "link stalled; what was left there goes another way"
        );
    }

    /// Tells the router what moved on each link since the last time.
    fn sample(&mut self, now: Now) {
        let mut busy = false;
        let ways = self.parts.ways.load();
        for (hop, attachment) in &mut self.links {
            let Activity { sent_bytes, received_frames, acked_bytes, .. } = attachment.link.outbox.activity();
            let seen = &attachment.seen;
            let moved = (sent_bytes, received_frames, acked_bytes)
                != (seen.sent_bytes, seen.received_frames, seen.acked_bytes);
            if moved {
                attachment.seen = Activity { sent_bytes, received_frames, acked_bytes, ..attachment.seen };
                let event = LinkEvent::Activity { hop: *hop, sent_bytes, received_frames, acked_bytes };
                self.parts.router.handle_link(event, now);
                busy = true;
            } else if let Some(egress) = ways.egress(*hop) {
                egress.trim();
            }
        }
        self.next_sample = now.at + if busy { BUSY_SAMPLE } else { IDLE_SAMPLE };
        if let Some(streams) = &self.parts.streams {
            streams.inlet().set_clock_correction(self.parts.router.clock_correction());
        }
        let (sessions, warning) = (self.remotes_in_use().count(), self.warnings().next());
        self.status_line.show(self.links.len(), sessions, warning);
    }

    /// Carries out everything that router and proxy want, until neither wants anything more.
    fn settle(&mut self, now: Now) {
        loop {
            let mut idle = true;
            while let Some(event) = self.parts.router.poll_event() {
                // Whatever it tells of routes, the data path sends by that before irdest-proxy hears of it.
                self.parts.ways.set_fib(self.parts.router.fib());
                self.handle_event(event, now);
                idle = false;
            }
            while let Some(transmit) = self.parts.router.poll_transmit() {
                self.transmit(&transmit, now);
                idle = false;
            }
            while let Some(outgoing) = self.parts.proxy.as_mut().and_then(ControlHalf::poll) {
                self.handle_outgoing(outgoing, now);
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    fn transmit(&mut self, transmit: &Transmit, now: Now) {
        let ways = self.parts.ways.load();
        let Some(egress) = ways.egress(transmit.hop) else {
            self.without_way_out += 1;
            return;
        };
        match transmit.class {
            router_core::Class::Control => egress.send_control(&transmit.frame),
            router_core::Class::Data => {
                self.parts.forwarder.send_own(egress, &transmit.frame, now.at);
            }
        }
    }

    fn handle_event(&mut self, event: Event, now: Now) {
        match event {
            // The data path has it already.
            Event::FibChanged => {
                if let Some(streams) = &self.parts.streams {
                    streams.inlet().routes_changed();
                }
            }
            Event::Custody { from, frames } => {
                if let Some(streams) = &self.parts.streams
                    && !streams.inlet().custody(from, frames)
                {
                    self.custodies_unheard += 1;
                }
            }
            Event::Neighbours => {
                if let Some(streams) = &self.parts.streams {
                    streams.inlet().neighbours(self.parts.router.live_neighbours());
                }
            }
            Event::Carrier { address } => {
                if let Some(streams) = &self.parts.streams {
                    streams.inlet().carrier(address, self.parts.router.carrier(&address));
                }
            }
            Event::RouteChanged { address, from, to, reason } => {
                self.log_route(address, from, to, &reason);
                if let Some(proxy) = &mut self.parts.proxy {
                    proxy.handle_route(address, to.is_some(), now);
                }
            }
            Event::Learned { address } => {
                if let Some(proxy) = &mut self.parts.proxy {
                    proxy.handle_learned(address, now);
                }
            }
            Event::Forgotten { address } => {
                if let Some(proxy) = &mut self.parts.proxy {
                    proxy.handle_forgotten(address);
                }
            }
            Event::Resync => {
                warn!("changes of routes were lost in a full queue; reading all of them anew");
                if let Some(proxy) = &mut self.parts.proxy {
                    proxy.handle_resync(&self.parts.router.known_addresses().collect(), now);
                }
            }
            Event::OriginTime { address, time } => {
                // Until then the router withholds what would be above the last one that is stored, and asks again.
                if self.parts.state.raise_origin(address, time, now.at) {
                    self.parts.router.handle_origin_time_stored(&address, time, now);
                }
            }
            Event::LinkStalled { hop } => {
                self.link_stalled(hop, now);
            }
            Event::CloseLink { hop, reason } => {
                warn!(link = %hop.link, neighbour = %hop.neighbour.short(), %reason, "closing a link");
                self.parts.netmods.iter().for_each(|netmod| netmod.close(hop));
            }
            Event::ClockSetBack { behind } => {
                warn!(
                    ?behind,
                    "our clock is behind the times that we announced, which go on from the last one"
                );
            }
            Event::ClockSkew { off, ahead } => warn!(?off, ahead, "our clock differs from the neighbours'"),
            Event::KeyUsedTwice { address } => {
                warn!(%address, "key used twice: somebody else announces our address");
            }
            Event::OriginTimeDiscarded { address, time } => {
                warn!(%address, micros = time.as_micros(), "a stored origin time lies too far ahead: discarded");
                // The ceilings that follow are lower and would be taken for old ones.
                self.parts.state.settle_origin(address, WallTime::default(), now.at);
            }
        }
    }

    fn log_route(&self, address: Address, from: Option<Hop>, to: Option<Hop>, reason: &str) {
        let hop = |hop: Option<Hop>| hop.map(|hop| format!("{}/{}", hop.link, hop.neighbour.short()));
        let (from, to) = (hop(from), hop(to));
        if self.parts.configured.contains(&address) {
            info!(address = %address.short(), from, to, reason, "route changed");
        } else {
            debug!(address = %address.short(), from, to, reason, "route changed");
        }
    }

    fn handle_outgoing(&mut self, outgoing: Outgoing, now: Now) {
        match outgoing {
            Outgoing::Transmit(to, frame) => match self.parts.ways.load().to(&to) {
                Some((egress, _)) => self.parts.forwarder.send_own(egress, &frame, now.at),
                None => self.without_way_out += 1,
            },
            Outgoing::Pin(address) => self.parts.router.pin(address),
            Outgoing::Unpin(address) => {
                if !self.parts.configured.contains(&address) {
                    self.parts.router.unpin(&address);
                }
            }
            Outgoing::Persist { remote, sent, received } => {
                self.parts.state.session_used(remote, sent, received, now.at);
            }
        }
    }
}

/// What irdest-proxy's data half asks for.
#[derive(Debug)]
enum Ask {
    Waits,
    Confirmed(Address),
}

async fn next_ask(asks: Option<&mut Asks>) -> Option<Ask> {
    let Some(asks) = asks else { return std::future::pending().await };
    tokio::select! {
        Some(remote) = asks.confirmed.recv() => Some(Ask::Confirmed(remote)),
        () = asks.waiting.arrived() => Some(Ask::Waits),
    }
}

async fn next_of<T>(inputs: Option<&mut mpsc::Receiver<T>>) -> Option<T> {
    match inputs {
        Some(inputs) => inputs.recv().await,
        None => std::future::pending().await,
    }
}

async fn network_changed(network: Option<&Watch>) {
    match network {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}
