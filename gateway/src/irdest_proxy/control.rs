// SPDX-License-Identifier: AGPL-3.0-or-later
//! The control half of irdest-proxy: owns the sessions and the remotes, publishes snapshots of both to the data half,
//! and lets packets go that wait until their route and session are there.

mod waits;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gateway_core::drop_reason::Reason;
use gateway_core::pending::Awaited;
use gateway_core::remotes::{OverlayStats, Remotes};
use gateway_core::session::{
    Accept, ConfiguredRemote, EndReason, SessionEvent, SessionStatus, SessionTransmit, Sessions,
};
use ratman_types::{Address, Hop, Now, Recipient, Timestamp, WallTime};
use ratman_wire::{Frame, Header};

use super::{DataHalf, TARGET};

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

/// Sessions and remotes.
#[derive(Debug)]
pub struct ControlHalf {
    config: ProxyConfig,
    data: Arc<DataHalf>,
    sessions: Sessions,
    remotes: Remotes,
    /// Remotes to which there was a way once and is none now.
    /// INVARIANT: only addresses that `remotes` knows, which bounds it.
    lost: BTreeSet<Address>,
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
            lost: BTreeSet::new(),
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

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        for waiting in self.data.waiting.expire(now.at) {
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
        [self.data.waiting.next_timeout(), self.sessions.poll_timeout()]
            .into_iter()
            .flatten()
            .fold(self.next_sweep, Timestamp::min)
    }

    /// What the driver is to do next.
    pub fn poll(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    /// Carries out what the sessions want after they were touched.
    fn settle(&mut self, now: Now) {
        let table = self.sessions.table();
        if !Arc::ptr_eq(&table, &self.data.sessions.load()) {
            self.data.sessions.store(table);
        }
        // Before what is to be sent: times are made durable before the initiation that carries them leaves.
        while let Some(event) = self.sessions.poll_event() {
            self.handle_event(event, now);
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

    fn handle_event(&mut self, event: SessionEvent, now: Now) {
        match event {
            SessionEvent::Established { remote, role } => {
                tracing::info!(target: TARGET, remote = %remote.short(), ?role, "session established");
                self.outgoing.push_back(Outgoing::Pin(remote));
                self.release(remote, now);
            }
            SessionEvent::Ended { remote, reason } => {
                tracing::info!(target: TARGET, remote = %remote.short(), ?reason, "session ended");
                self.outgoing.push_back(Outgoing::Unpin(remote));
                if reason == EndReason::NoAnswer {
                    for waiting in self.data.waiting.take(Awaited::Remote(remote)) {
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
