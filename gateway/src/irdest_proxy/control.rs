// SPDX-License-Identifier: AGPL-3.0-or-later
//! The control half of irdest-proxy: owns the sessions and the remotes, publishes snapshots of both to the data half,
//! and lets packets wait until their route and session are there.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gateway_core::drop_reason::{GatewayDrop, Reason};
use gateway_core::firewall::Denied;
use gateway_core::icmp::Unreachable;
use gateway_core::packet::PacketInfo;
use gateway_core::pending::{Awaited, Pending, Waiting};
use gateway_core::remotes::{Lookup, OverlayStats, Remotes, overlay_address};
use gateway_core::session::{
    Accept, ConfiguredRemote, EndReason, SessionEvent, SessionStatus, SessionTable, SessionTransmit, Sessions,
};
use ratman_types::{Address, Hop, Now, Recipient, Timestamp, WallTime};
use ratman_wire::session::RecordHeader;
use ratman_wire::{Frame, Header};

use super::batch::{Gathered, Run};
use super::outbound::Sealer;
use super::{DataHalf, Held, TARGET, Wait};

/// How often idle flows are looked for; they end at their time all the same when a packet of theirs comes.
const FLOW_SWEEP: Duration = Duration::from_secs(1);

/// The most flows that one sweep ends, so that the lock is held briefly.
const FLOWS_PER_SWEEP: usize = 1_024;

/// Who we are on the mesh.
#[derive(Clone, Copy, Debug)]
pub struct ProxyConfig {
    /// Our address, the sender of all session frames.
    pub local: Address,
    /// What our frames start their hops from.
    pub hops_left: u8,
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Outgoing {
    /// Send a frame towards an address.
    Transmit(Address, Vec<u8>),
    /// Keep this address in the RIB: a session needs it.
    Pin(Address),
    /// The session is over.
    Unpin(Address),
    /// Make these initiation times durable.
    Persist {
        /// The configured remote.
        remote: Address,
        /// Of our last initiation.
        sent: WallTime,
        /// Of its last initiation.
        received: WallTime,
    },
}

/// Sessions, remotes, and the packets that wait for them.
#[derive(Debug)]
pub struct ControlHalf {
    config: ProxyConfig,
    data: Arc<DataHalf>,
    sessions: Sessions,
    remotes: Remotes,
    pending: Pending<Held>,
    outgoing: VecDeque<Outgoing>,
    next_sweep: Timestamp,
}

impl ControlHalf {
    /// Takes over `sessions` and `remotes`, of which `data` holds the first snapshots.
    pub fn new(
        config: ProxyConfig,
        data: Arc<DataHalf>,
        sessions: Sessions,
        remotes: Remotes,
        now: Now,
    ) -> Self {
        Self {
            config,
            data,
            sessions,
            remotes,
            pending: Pending::default(),
            outgoing: VecDeque::new(),
            next_sweep: now.at + FLOW_SWEEP,
        }
    }

    /// The data half, for status.
    pub fn data(&self) -> &DataHalf {
        &self.data
    }

    /// The sessions, for status.
    pub fn sessions(&self) -> impl Iterator<Item = SessionStatus> + '_ {
        self.sessions.status()
    }

    /// Session frames and handshakes refused, by reason.
    pub fn session_drops(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.sessions.drops().iter().map(|(reason, count)| (reason.name(), count))
    }

    /// Prefixes and known overlay addresses.
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// Takes other prefixes and configured remotes; `known` is every address that is announced now. Sessions, flows and
    /// packets that wait go on.
    pub fn reload(
        &mut self,
        remotes: Remotes,
        (accept, configured): (Accept, &[ConfiguredRemote]),
        known: &BTreeSet<Address>,
        now: Now,
    ) {
        self.remotes = remotes;
        self.sessions.reconfigure(accept, configured, now);
        // One that was configured, and so never learned, is learned now.
        self.handle_resync(known, now);
    }

    /// What is known of the overlay, for status.
    pub fn overlay_stats(&self) -> OverlayStats {
        self.remotes.overlay_stats()
    }

    /// What is to be added to the raw wall clock before a time is sent or compared, in microseconds.
    pub fn set_clock_correction(&mut self, micros: i64) {
        self.sessions.set_clock_correction(micros);
    }

    /// A packet that could not go at once.
    pub fn handle_wait(&mut self, wait: Wait, now: Now) {
        let Wait { awaited, held, packet } = wait;
        match awaited {
            Awaited::Remote(remote) => {
                self.keep(awaited, held, &packet, now);
                self.proceed(remote, now);
            }
            // Its owner may have become known since the data half looked.
            Awaited::Overlay(overlay) => match self.remotes.lookup(overlay.into()) {
                Lookup::Remote(remote) => self.admit(held, &packet, remote, now),
                Lookup::UnknownOverlay | Lookup::NoRoute => self.keep(awaited, held, &packet, now),
            },
        }
    }

    /// A session frame of ours that is not data.
    pub fn handle_frame(&mut self, from: Hop, bytes: &[u8], now: Now) {
        if let Ok(Frame { header, payload }) = Frame::decode(bytes) {
            if let Err(reason) = self.sessions.handle_frame(from, &header, payload, now) {
                let remote = header.sender_address().short();
                tracing::debug!(target: TARGET, link = %from.link, remote, %reason, "handshake frame dropped");
            }
            self.settle(now);
        }
    }

    /// The first frame under a new key of `remote` has arrived.
    pub fn handle_confirmed(&mut self, remote: Address, now: Now) {
        self.sessions.confirmed(remote, now);
        self.settle(now);
    }

    /// An address is announced: its overlay address has an owner now.
    pub fn handle_learned(&mut self, address: Address, now: Now) {
        let learned = self.remotes.learn(address);
        tracing::debug!(target: TARGET, address = %address.short(), ?learned, "address learned");
        self.publish_remotes();
        self.admit_waiting(address, now);
    }

    /// An address is announced no more.
    pub fn handle_forgotten(&mut self, address: Address) {
        if self.remotes.forget(&address) {
            self.publish_remotes();
        }
    }

    /// Changes were lost: `known` is every address that is announced now, and any route may be another.
    pub fn handle_resync(&mut self, known: &BTreeSet<Address>, now: Now) {
        let gone: Vec<Address> = self.remotes.learned().filter(|address| !known.contains(address)).collect();
        for address in &gone {
            self.remotes.forget(address);
        }
        for address in known {
            self.remotes.learn(*address);
        }
        self.publish_remotes();
        let awaited: Vec<Awaited> = self.pending.awaited().collect();
        for awaited in awaited {
            match awaited {
                Awaited::Remote(remote) => self.proceed(remote, now),
                Awaited::Overlay(overlay) => {
                    if let Lookup::Remote(remote) = self.remotes.lookup(overlay.into()) {
                        self.admit_waiting(remote, now);
                    }
                }
            }
        }
    }

    /// An address is reached another way, or again.
    pub fn handle_route(&mut self, address: Address, now: Now) {
        self.proceed(address, now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        let over: Vec<_> = self.pending.expire(now.at).collect();
        for waiting in over {
            self.give_up(&waiting, now);
        }
        if self.next_sweep <= now.at {
            self.next_sweep = now.at + FLOW_SWEEP;
            self.data.gate().flows.expire(now.at, FLOWS_PER_SWEEP);
        }
        self.sessions.handle_timeout(now);
        self.settle(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Timestamp {
        [self.pending.next_timeout(), self.sessions.poll_timeout()]
            .into_iter()
            .flatten()
            .fold(self.next_sweep, Timestamp::min)
    }

    /// What the driver is to do next.
    pub fn poll(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    /// Lets a packet wait, in place of older ones where there are too many.
    fn keep(&mut self, awaited: Awaited, held: Held, packet: &[u8], now: Now) {
        for _ in 0..self.pending.push(awaited, held, packet, now.at) {
            self.data.drops.count(GatewayDrop::WaitingFull);
        }
    }

    /// Admits the packets that waited for the owner of an overlay address.
    fn admit_waiting(&mut self, owner: Address, now: Now) {
        for waiting in self.pending.take(Awaited::Overlay(overlay_address(&owner))) {
            self.admit(waiting.metadata, &waiting.packet, owner, now);
        }
    }

    /// Opens the flow of a packet whose remote has become known, and takes the next step for it.
    fn admit(&mut self, held: Held, packet: &[u8], remote: Address, now: Now) {
        let verdict = PacketInfo::parse(packet)
            .map_err(Denied::from)
            .and_then(|info| self.data.gate().outbound(&info, packet, remote, held.queue, now.at));
        match verdict {
            Ok(_) => {
                self.keep(Awaited::Remote(remote), held, packet, now);
                self.proceed(remote, now);
            }
            Err(denied) => self.data.drops.count(denied.reason),
        }
    }

    /// Takes the next step for packets that wait for `remote`: a session once there is a route, then sends them.
    fn proceed(&mut self, remote: Address, now: Now) {
        if self.pending.is_empty() || self.data.ways.load().to(&remote).is_none() {
            return;
        }
        if !self.pending.awaits(Awaited::Remote(remote)) {
            return;
        }
        self.release(remote, &self.data.sessions.load_full(), now);
        if self.pending.awaits(Awaited::Remote(remote)) {
            if let Err(reason) = self.sessions.connect(remote, now) {
                tracing::debug!(target: TARGET, remote = %remote.short(), %reason, "no session");
            }
            self.settle(now);
        }
    }

    /// Sends what waits for `remote`, if route and key are there.
    fn release(&mut self, remote: Address, sessions: &SessionTable, now: Now) {
        let ways = self.data.ways.load();
        if sessions.send_key(&remote).is_none() || ways.to(&remote).is_none() {
            return;
        }
        let sealer = Sealer { data: &self.data, sessions };
        for Waiting { metadata: held, packet, .. } in self.pending.take(Awaited::Remote(remote)) {
            let Ok(info) = PacketInfo::parse(&packet) else { continue };
            // Asked for the flow alone: its remote's limit was charged when the packet came.
            let verdict = self.data.gate().flows.outbound(&info, &packet, remote, held.queue, now.at);
            let flow = match verdict {
                Ok(passed) => passed.hash,
                Err(denied) => {
                    self.data.drops.count(denied.reason);
                    continue;
                }
            };
            let Ok(length) = u16::try_from(packet.len()) else { continue };
            let header = RecordHeader { length, metadata: held.header.to_wire() }.encode();
            let mut record = [&header[..], &packet].concat();
            let packets = [Gathered::alone(&record, (held.header, info), remote, flow)];
            let run = Run { remote, records: &mut record, packets: &packets, flows: &[flow] };
            if let Some(waits) = self.data.send_run(run, held.queue, &ways, &sealer, now.at) {
                waits.writable(Some(&sealer), now.at);
            }
        }
    }

    fn give_up(&self, waiting: &Waiting<Held>, now: Now) {
        let (reason, why) = match waiting.awaited {
            Awaited::Remote(_) => (GatewayDrop::WaitedTooLong, Unreachable::Remote),
            Awaited::Overlay(_) => (GatewayDrop::UnknownOverlay, Unreachable::NoRoute),
        };
        self.data.drops.count(reason);
        self.data.answer_unreachable(&waiting.packet, why, waiting.metadata.queue, now.at);
    }

    /// Carries out what the sessions want after they were touched.
    fn settle(&mut self, now: Now) {
        let table = self.sessions.table();
        // Events first: times are made durable before the initiation that carries them leaves, and what waited leaves
        // before the data half sees the new key and overtakes it.
        while let Some(event) = self.sessions.poll_event() {
            self.handle_event(event, &table, now);
        }
        if !Arc::ptr_eq(&table, &self.data.sessions.load()) {
            self.data.sessions.store(table);
        }
        while let Some(SessionTransmit { to, mode, payload }) = self.sessions.poll_transmit() {
            let header = Header {
                hops_left: self.config.hops_left,
                ..Header::new(mode, *self.config.local.as_bytes())
            };
            let frame = Frame { header: header.to(Recipient::Address(to)), payload: &payload }.encode();
            self.outgoing.push_back(Outgoing::Transmit(to, frame));
        }
    }

    fn handle_event(&mut self, event: SessionEvent, table: &SessionTable, now: Now) {
        match event {
            SessionEvent::Established { remote, role } => {
                tracing::info!(target: TARGET, remote = %remote.short(), ?role, "session established");
                self.outgoing.push_back(Outgoing::Pin(remote));
                if self.pending.awaits(Awaited::Remote(remote)) {
                    // What is released may be answered at once.
                    self.data.sessions.store(Arc::new(table.without_sending_to(&remote)));
                }
                self.release(remote, table, now);
            }
            SessionEvent::Ended { remote, reason } => {
                tracing::info!(target: TARGET, remote = %remote.short(), ?reason, "session ended");
                self.outgoing.push_back(Outgoing::Unpin(remote));
                if reason == EndReason::NoAnswer {
                    for waiting in self.pending.take(Awaited::Remote(remote)) {
                        self.give_up(&waiting, now);
                    }
                }
            }
            SessionEvent::NoWay { remote } => {
                tracing::debug!(target: TARGET, remote = %remote.short(), "a router on the path has no way on");
            }
            SessionEvent::Persist { remote, sent, received } => {
                self.outgoing.push_back(Outgoing::Persist { remote, sent, received });
            }
        }
    }

    fn publish_remotes(&self) {
        self.data.remotes.store(Arc::new(self.remotes.clone()));
    }
}
