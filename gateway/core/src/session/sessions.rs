// SPDX-License-Identifier: AGPL-3.0-or-later
//! The control half: every session of one gateway, as a value.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ratman_types::{Address, Hop, Now, Recipient, SecretKey, Timestamp, WallTime};
use ratman_wire::session::{Capabilities, SessionIndex};
use ratman_wire::{Header, Mode};

use super::cookie::CookieJar;
use super::entropy::Entropy;
use super::handshake::StaticKey;
use super::initiation_times::InitiationTimes;
use super::load::Load;
use super::remote::{KeyContext, MAX_SESSIONS, Remote};
use super::{
    Accept, ConfiguredRemote, EndReason, Role, Sealed, SessionConfig, SessionDrop, SessionEvent,
    SessionStatus, SessionTable, SessionTransmit,
};
use crate::drop_reason::Counters;

/// How many transmits and how many events may wait: the driver takes them after every call, and one call yields at
/// most one per remote. Beyond that new ones are dropped and counted; handshakes are repeated anyway.
const MAX_WAITING: usize = 4 * MAX_SESSIONS;

/// All sessions of one gateway address.
///
/// After every call the driver takes what [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event) hold, publishes [`table`](Self::table) if it is another one, and calls
/// [`handle_timeout`](Self::handle_timeout) at [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Sessions {
    pub(super) local: StaticKey,
    pub(super) capabilities: Capabilities,
    hops_left: u8,
    accept: Accept,
    /// What the router's clock correction adds to the raw wall clock, in microseconds.
    correction: i64,
    pub(super) entropy: Entropy,
    pub(super) times: InitiationTimes,
    pub(super) cookies: CookieJar,
    pub(super) load: Load,
    pub(super) remotes: BTreeMap<Address, Remote>,
    /// When the sessions are next looked over; nothing while there is no key.
    pub(super) next_tick: Option<Timestamp>,
    transmits: VecDeque<SessionTransmit>,
    events: VecDeque<SessionEvent>,
    /// Configured remotes whose times changed.
    pub(super) persist: BTreeSet<Address>,
    pub(super) drops: Arc<Counters<SessionDrop>>,
    /// The published table; nothing once a key came or went, or the MTU of a path.
    table: Option<Arc<SessionTable>>,
    /// Where keepalives are sealed.
    pub(super) sealed: Sealed,
}

impl Sessions {
    /// No session yet. `key` is the gateway's address; `seed` is 32 bytes of entropy that nobody else knows.
    pub fn new(config: SessionConfig, key: &SecretKey, seed: [u8; 32], now: Now) -> Self {
        let capabilities =
            if config.aes_in_hardware { Capabilities::AES_IN_HARDWARE } else { Capabilities::default() };
        Self {
            local: StaticKey::new(key),
            capabilities,
            hops_left: config.hops_left,
            accept: config.accept,
            correction: 0,
            entropy: Entropy::new(seed),
            times: InitiationTimes::new(now.at, &config.configured),
            cookies: CookieJar::default(),
            load: Load::default(),
            remotes: BTreeMap::new(),
            next_tick: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            persist: BTreeSet::new(),
            drops: Arc::default(),
            table: None,
            sealed: Sealed::new(),
        }
    }

    /// What the router's clock correction adds to the raw wall clock, in microseconds; 0 at first.
    pub fn set_clock_correction(&mut self, micros: i64) {
        self.correction = micros;
    }

    /// Takes other configured remotes, and who may open a session. Open sessions go on;
    /// a remote that is not accepted any more cannot renew one that it opened.
    pub fn reconfigure(&mut self, accept: Accept, configured: &[ConfiguredRemote], now: Now) {
        self.accept = accept;
        self.times.set_configured(configured, now.at);
    }

    /// Wants a session with `remote`: begins a handshake unless one is open or there is a key to send under.
    ///
    /// To be called whenever packets wait for a session, as often as they come; nothing is sent more than once in
    /// 5 s, and after 90 s without answer there is an [`SessionEvent::Ended`].
    ///
    /// # Errors
    /// [`OwnAddress`](SessionDrop::OwnAddress), [`BadAddress`](SessionDrop::BadAddress) or
    /// [`SessionsFull`](SessionDrop::SessionsFull); not counted.
    pub fn connect(&mut self, remote: Address, now: Now) -> Result<(), SessionDrop> {
        if remote == self.local.address() {
            return Err(SessionDrop::OwnAddress);
        }
        if !self.remotes.contains_key(&remote) {
            if !self.times.is_configured(&remote) && self.strangers() >= MAX_SESSIONS {
                return Err(SessionDrop::SessionsFull);
            }
            if !ratman_types::is_valid_key(remote.as_bytes()) {
                return Err(SessionDrop::BadAddress);
            }
        }
        let state = self.remotes.entry(remote).or_insert_with(Remote::new);
        state.wanted = true;
        state.known = true;
        if state.expire(now.at) {
            self.table = None;
        }
        if state.attempt.is_none() && state.ring.current().is_none() {
            self.initiate(remote, now.at, now);
        }
        Ok(())
    }

    /// There is a way to `remote` again: begins a handshake at once if there is a key or one was begun, since the remote
    /// may have started anew meanwhile and then knows nothing of either. A key that still serves goes on serving.
    pub fn renew(&mut self, remote: Address, now: Now) {
        let Some(state) = self.remotes.get(&remote) else { return };
        let since = state.attempt.as_ref().map(|attempt| attempt.since);
        if since.is_some() || state.ring.current().is_some() {
            self.initiate(remote, since.unwrap_or(now.at), now);
        }
    }

    /// Takes a frame of mode 0x8001, 0x8002, 0x8004 or 0x8005 for our address; data goes through
    /// [`SessionTable::open`].
    ///
    /// # Errors
    /// Why it was refused, already counted in [`drops`](Self::drops).
    pub fn handle_frame(
        &mut self,
        from: Hop,
        header: &Header,
        payload: &[u8],
        now: Now,
    ) -> Result<(), SessionDrop> {
        let outcome = self.dispatch(from, header, payload, now);
        outcome.inspect_err(|drop| self.drops.count(*drop))
    }

    fn dispatch(&mut self, from: Hop, header: &Header, payload: &[u8], now: Now) -> Result<(), SessionDrop> {
        let remote = header.sender_address();
        if header.recipient != Some(Recipient::Address(self.local.address())) {
            return Err(SessionDrop::NotForUs);
        }
        if remote == self.local.address() {
            return Err(SessionDrop::OwnAddress);
        }
        match header.mode {
            Mode::SESSION_INITIATION => self.handle_initiation(from, remote, payload, now),
            Mode::SESSION_RESPONSE => self.handle_response(remote, payload, now),
            Mode::SESSION_COOKIE => self.handle_cookie(remote, payload),
            Mode::PATH_REPORT => self.handle_path_report(remote, payload, now.at),
            _ => Err(SessionDrop::NotASessionMode),
        }
    }

    /// The data half opened the first frame from `remote` under a key that waited for it ([`Opened::first`]).
    /// Without this call the key is put to use within a second.
    ///
    /// [`Opened::first`]: super::Opened::first
    pub fn confirmed(&mut self, remote: Address, now: Now) {
        if self.remotes.get_mut(&remote).is_some_and(|state| state.ring.confirm()) {
            self.established(remote, Role::Responder, now.at);
        }
    }

    /// The next payload to send.
    pub fn poll_transmit(&mut self) -> Option<SessionTransmit> {
        self.transmits.pop_front()
    }

    /// The next event. Times to be persisted come as they are now, however often they changed.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        while let Some(remote) = self.persist.pop_first() {
            if let Some((sent, received)) = self.times.persisted(&remote) {
                return Some(SessionEvent::Persist { remote, sent, received });
            }
        }
        self.events.pop_front()
    }

    /// The keys as they are now; the same snapshot as before (`Arc::ptr_eq`) unless a key came or
    /// went, or the MTU of a path.
    pub fn table(&mut self) -> Arc<SessionTable> {
        let table = self.table.take().unwrap_or_else(|| Arc::new(self.build_table()));
        self.table = Some(Arc::clone(&table));
        table
    }

    fn build_table(&self) -> SessionTable {
        let current = |(remote, state): (&Address, &Remote)| {
            state.ring.current().map(|pair| (*remote, Arc::clone(&pair.send)))
        };
        let path = |(remote, state): (&Address, &Remote)| state.path.believed().map(|mtu| (*remote, mtu));
        let receive = self.remotes.values().flat_map(|state| state.ring.receive_keys());
        SessionTable {
            send: self.remotes.iter().filter_map(current).collect(),
            receive: receive.map(|key| (key.index(), Arc::clone(key))).collect(),
            paths: self.remotes.iter().filter_map(path).collect(),
            drops: Arc::clone(&self.drops),
        }
    }

    /// One row per remote, in the order of their addresses.
    pub fn status(&self) -> impl Iterator<Item = SessionStatus> + '_ {
        self.remotes.iter().map(|(remote, state)| state.status(*remote, self.times.is_configured(remote)))
    }

    /// What was refused by either half since the start.
    pub fn drops(&self) -> &Arc<Counters<SessionDrop>> {
        &self.drops
    }

    /// Whether `remote` may open or renew a session.
    pub(super) fn accepts(&self, remote: &Address) -> bool {
        self.accept == Accept::Any
            || self.times.is_configured(remote)
            || self.remotes.get(remote).is_some_and(|state| state.wanted)
    }

    /// How many remotes are not configured.
    pub(super) fn strangers(&self) -> usize {
        self.remotes.keys().filter(|remote| !self.times.is_configured(remote)).count()
    }

    pub(super) fn wall(&self, now: Now) -> WallTime {
        now.wall.shifted(self.correction)
    }

    /// An index that nothing of ours has.
    pub(super) fn new_index(&mut self) -> SessionIndex {
        loop {
            let index = SessionIndex(u32::from_be_bytes(self.entropy.bytes()));
            if !self.remotes.values().any(|state| state.has_index(index)) {
                return index;
            }
        }
    }

    pub(super) fn key_context(&self, remote: Address, now: Timestamp) -> KeyContext {
        let (local, hops_left, drops) = (self.local.address(), self.hops_left, Arc::clone(&self.drops));
        KeyContext { local, remote, hops_left, drops, now }
    }

    /// What the data half sees is another from now on.
    pub(super) fn table_changed(&mut self) {
        self.table = None;
    }

    /// A key of `remote` came or went.
    pub(super) fn keys_changed(&mut self, now: Timestamp) {
        self.table_changed();
        self.next_tick.get_or_insert(now + super::timers::TICK);
    }

    /// There is a new key to send under.
    pub(super) fn established(&mut self, remote: Address, role: Role, now: Timestamp) {
        self.keys_changed(now);
        let Some(state) = self.remotes.get_mut(&remote) else { return };
        if state.established.is_none() {
            state.established = Some(now);
            state.known = true;
            self.event(SessionEvent::Established { remote, role });
        }
    }

    /// Forgets `remote`.
    pub(super) fn end(&mut self, remote: Address, reason: EndReason) {
        self.table = None;
        if let Some(state) = self.remotes.remove(&remote)
            && state.known
        {
            self.event(SessionEvent::Ended { remote, reason });
        }
    }

    pub(super) fn transmit(&mut self, to: Address, mode: Mode, payload: Vec<u8>) {
        if self.transmits.len() < MAX_WAITING {
            self.transmits.push_back(SessionTransmit { to, mode, payload });
        } else {
            self.drops.count(SessionDrop::TransmitFull);
        }
    }

    pub(super) fn event(&mut self, event: SessionEvent) {
        if self.events.len() < MAX_WAITING {
            self.events.push_back(event);
        } else {
            self.drops.count(SessionDrop::EventsFull);
        }
    }
}
