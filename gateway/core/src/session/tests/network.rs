// SPDX-License-Identifier: AGPL-3.0-or-later
//! Gateways in virtual time with a network between them that delays, loses, repeats and reorders.

use std::collections::BTreeMap;
use std::sync::Arc;

use core::time::Duration;
use ratman_types::{
    Address, Hop, LinkId, Mtu, Now, Recipient, RouterId, SecretKey, Signer, Timestamp, WallTime,
};
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::session::RecordHeader;
use ratman_wire::{Header, Mode};

use super::super::entropy::Entropy;
use super::super::{
    Accept, ConfiguredRemote, Sealed, SessionConfig, SessionDrop, SessionEvent, SessionStatus, SessionTable,
    Sessions,
};

/// Where the virtual clocks start.
const START: Timestamp = Timestamp::from_micros(1_000_000_000);
const START_WALL: WallTime = WallTime::from_micros(1_800_000_000_000_000);

/// A frame of a session on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) from: usize,
    pub(super) to: Address,
    pub(super) mode: Mode,
    pub(super) payload: Vec<u8>,
}

/// What the network does to frames, each chance out of 1000.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) lost: u64,
    pub(super) repeated: u64,
}

pub(super) const FAIR: Weather =
    Weather { delay: Duration::from_millis(20), jitter: Duration::ZERO, lost: 0, repeated: 0 };

pub(super) struct Node {
    pub(super) key: SecretKey,
    pub(super) sessions: Sessions,
    /// What its wall clock is ahead, in microseconds.
    pub(super) skew: i64,
    pub(super) delivered: Vec<(Address, Vec<u8>)>,
    pub(super) events: Vec<SessionEvent>,
    config: SessionConfig,
    starts: u8,
    sealed: Sealed,
}

pub(super) struct Network {
    pub(super) at: Timestamp,
    pub(super) nodes: Vec<Node>,
    pub(super) weather: Weather,
    /// Every frame that was ever sent, lost ones too.
    pub(super) history: Vec<Carried>,
    flying: BTreeMap<(Timestamp, usize), Carried>,
    count: usize,
    dice: Entropy,
}

pub(super) fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

pub(super) fn address(number: u8) -> Address {
    key(number).address()
}

pub(super) fn hop(neighbour: u8) -> Hop {
    Hop { link: LinkId(u32::from(neighbour)), neighbour: RouterId::from_bytes([neighbour; 32]) }
}

pub(super) fn header(mode: Mode, from: Address, to: Address) -> Header {
    Header::new(mode, *from.as_bytes()).to(Recipient::Address(to))
}

pub(super) fn config(accept: Accept, configured: &[u8]) -> SessionConfig {
    let configured = configured
        .iter()
        .map(|number| ConfiguredRemote {
            address: address(*number),
            last_sent: WallTime::default(),
            last_received: WallTime::default(),
        })
        .collect();
    SessionConfig { accept, configured, aes_in_hardware: true, hops_left: 60 }
}

/// A batch of records, one per packet.
pub(super) fn batch(packets: &[&[u8]]) -> Vec<u8> {
    let mut batch = Vec::new();
    for packet in packets {
        let length = u16::try_from(packet.len()).unwrap();
        batch.extend(RecordHeader { length, metadata: [7; 10] }.encode());
        batch.extend(*packet);
    }
    batch
}

impl Network {
    /// Gateways 0, 1, … with the keys 1, 2, …
    pub(super) fn new(configs: Vec<SessionConfig>) -> Self {
        let mut network = Self {
            at: START,
            nodes: Vec::new(),
            weather: FAIR,
            history: Vec::new(),
            flying: BTreeMap::new(),
            count: 0,
            dice: Entropy::new([99; 32]),
        };
        for (number, config) in (1..).zip(configs) {
            let key = key(number);
            let sessions = Sessions::new(config.clone(), &key, [number; 32], network.now_with(0));
            network.nodes.push(Node {
                key,
                sessions,
                skew: 0,
                delivered: Vec::new(),
                events: Vec::new(),
                config,
                starts: 0,
                sealed: Sealed::new(),
            });
        }
        network
    }

    pub(super) fn strangers(count: usize) -> Self {
        Self::new(vec![config(Accept::Any, &[]); count])
    }

    fn now_with(&self, skew: i64) -> Now {
        Now { at: self.at, wall: (START_WALL + self.at.since(START)).shifted(skew) }
    }

    pub(super) fn now(&self, node: usize) -> Now {
        self.now_with(self.nodes[node].skew)
    }

    pub(super) fn address(&self, node: usize) -> Address {
        self.nodes[node].key.address()
    }

    /// Forgets everything of a node but what was persisted for configured remotes.
    pub(super) fn restart(&mut self, node: usize) {
        let now = self.now(node);
        let state = &mut self.nodes[node];
        state.starts += 1;
        for event in &state.events {
            if let SessionEvent::Persist { remote, sent, received } = event {
                for known in state.config.configured.iter_mut().filter(|known| known.address == *remote) {
                    (known.last_sent, known.last_received) = (*sent, *received);
                }
            }
        }
        state.sessions = Sessions::new(state.config.clone(), &state.key, [100 + state.starts; 32], now);
    }

    pub(super) fn connect(&mut self, from: usize, to: usize) {
        let (remote, now) = (self.address(to), self.now(from));
        self.nodes[from].sessions.connect(remote, now).unwrap();
        self.collect(from);
    }

    pub(super) fn renew(&mut self, from: usize, to: usize) {
        let (remote, now) = (self.address(to), self.now(from));
        self.nodes[from].sessions.renew(remote, now);
        self.collect(from);
    }

    pub(super) fn table(&mut self, node: usize) -> Arc<SessionTable> {
        self.nodes[node].sessions.table()
    }

    /// What a data path does with packets: seal them, or ask for a session.
    pub(super) fn send(&mut self, from: usize, to: usize, packets: &[&[u8]]) -> Result<(), SessionDrop> {
        let (remote, now) = (self.address(to), self.now(from));
        let table = self.table(from);
        let Some(key) = table.send_key(&remote) else {
            self.connect(from, to);
            return Err(SessionDrop::UnknownIndex);
        };
        let mut batch = batch(packets);
        let mut sealed = core::mem::take(&mut self.nodes[from].sealed);
        let outcome = key.seal(&mut batch, Mtu(1500), now.at, &mut sealed);
        for piece in sealed.pieces(&batch) {
            let payload = [&piece.head[SESSION_HEADER..], piece.body, piece.tail].concat();
            self.launch(Carried { from, to: remote, mode: Mode::SESSION_DATA, payload });
        }
        self.nodes[from].sealed = sealed;
        if outcome == Err(SessionDrop::KeyExpired) {
            self.connect(from, to);
        }
        outcome
    }

    /// Lets the time go on until `until` has passed since now.
    pub(super) fn run(&mut self, until: Duration) {
        let end = self.at + until;
        loop {
            let frame = self.flying.keys().next().map(|(at, _)| *at);
            let timers = self.nodes.iter().filter_map(|node| node.sessions.poll_timeout());
            let Some(next) = frame.into_iter().chain(timers).min().filter(|next| *next <= end) else { break };
            self.at = self.at.max(next);
            match self.flying.first_entry().filter(|entry| entry.key().0 <= next) {
                Some(entry) => {
                    let carried = entry.remove();
                    let _ = self.arrive(&carried);
                }
                None => self.time_out(),
            }
        }
        self.at = end;
    }

    /// Hands a frame to the gateway that it is for and says what came of it.
    pub(super) fn arrive(&mut self, carried: &Carried) -> Result<(), SessionDrop> {
        let Some(to) = (0..self.nodes.len()).find(|node| self.address(*node) == carried.to) else {
            return Err(SessionDrop::NotForUs);
        };
        let (sender, now) = (self.address(carried.from), self.now(to));
        let node = &mut self.nodes[to];
        let outcome = if carried.mode == Mode::SESSION_DATA {
            let mut payload = carried.payload.clone();
            let mut packets = Vec::new();
            let opened = node.sessions.table().open(&mut payload, now.at, &mut |packet| {
                assert_eq!((packet.remote, packet.metadata), (sender, [7; 10]));
                packets.push(packet.bytes.to_vec());
            });
            opened.map(|opened| {
                assert_eq!(opened.remote, sender);
                node.delivered.extend(packets.into_iter().map(|packet| (opened.remote, packet)));
                if opened.first {
                    node.sessions.confirmed(opened.remote, now);
                }
            })
        } else {
            let from = hop(u8::try_from(carried.from).unwrap());
            node.sessions.handle_frame(from, &header(carried.mode, sender, carried.to), &carried.payload, now)
        };
        self.collect(to);
        outcome
    }

    fn time_out(&mut self) {
        for node in 0..self.nodes.len() {
            let now = self.now(node);
            if self.nodes[node].sessions.poll_timeout().is_some_and(|at| at <= now.at) {
                self.nodes[node].sessions.handle_timeout(now);
                self.collect(node);
            }
        }
    }

    fn collect(&mut self, node: usize) {
        while let Some(transmit) = self.nodes[node].sessions.poll_transmit() {
            let (to, mode, payload) = (transmit.to, transmit.mode, transmit.payload);
            self.launch(Carried { from: node, to, mode, payload });
        }
        while let Some(event) = self.nodes[node].sessions.poll_event() {
            self.nodes[node].events.push(event);
        }
    }

    fn launch(&mut self, carried: Carried) {
        self.history.push(carried.clone());
        let copies = 1 + u64::from(self.chance(self.weather.repeated));
        for _ in 0..copies {
            if !self.chance(self.weather.lost) {
                let jitter = u64::try_from(self.weather.jitter.as_micros()).unwrap();
                let delay = self.weather.delay + Duration::from_micros(self.dice.up_to(jitter));
                self.count += 1;
                self.flying.insert((self.at + delay, self.count), carried.clone());
            }
        }
    }

    fn chance(&mut self, out_of_1000: u64) -> bool {
        self.dice.up_to(999) < out_of_1000
    }

    /// The row of `status` about `remote`.
    pub(super) fn status(&self, node: usize, remote: usize) -> Option<SessionStatus> {
        let remote = self.address(remote);
        self.nodes[node].sessions.status().find(|row| row.remote == remote)
    }

    pub(super) fn drops(&self, node: usize, reason: SessionDrop) -> u64 {
        self.nodes[node].sessions.drops().get(reason)
    }

    /// How many frames of a mode were sent by a node.
    pub(super) fn sent(&self, node: usize, mode: Mode) -> usize {
        self.history.iter().filter(|carried| carried.from == node && carried.mode == mode).count()
    }
}
