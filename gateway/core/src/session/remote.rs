// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the control half holds about one remote.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use ratman_types::{Address, RouterId, Timestamp};
use ratman_wire::session::{Initiation, SessionIndex};

use super::cipher::TransportKey;
use super::handshake::{Begun, Split};
use super::joiner::Joiner;
use super::key_ring::{KeyPair, KeyRing};
use super::path_mtu::PathMtu;
use super::traffic::Traffic;
use super::{Cipher, ReceiveKey, Role, SendKey, SessionDrop, SessionState, SessionStatus};
use crate::drop_reason::Counters;

/// The most sessions with remotes that are not configured: each may hold a join buffer of 64 KiB, 64 MiB together.
/// When full, further ones are refused until one ends. Configured remotes always have room.
pub const MAX_SESSIONS: usize = 1024;
/// How many of [`MAX_SESSIONS`] strangers may open; the rest is for those that we open.
pub const MAX_INBOUND_STRANGERS: usize = 768;
/// How many half-open sessions of strangers may have come in over one neighbour; further ones are refused until one
/// is confirmed or its key expires (180 s). An honest stranger is half-open for one round trip only.
pub const HALF_OPEN_PER_NEIGHBOUR: usize = 64;

/// Our open initiation.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) begun: Begun,
    pub(super) initiation: Initiation,
    /// When the first initiation of this series was sent.
    pub(super) since: Timestamp,
    pub(super) retry_at: Timestamp,
    /// How many cookies were used for this initiation.
    pub(super) cookies: u8,
}

/// One remote with a session or on the way to one.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) ring: KeyRing,
    pub(super) attempt: Option<Attempt>,
    /// We asked for this session, so the remote may renew it whatever `sessions.accept` says.
    pub(super) wanted: bool,
    /// The driver knows of it, from its own wish or an event, and is told when it ends.
    pub(super) known: bool,
    /// Over which neighbour the last initiation came.
    pub(super) neighbour: Option<RouterId>,
    /// Since when there is a key to send under, without a break.
    pub(super) established: Option<Timestamp>,
    pub(super) path: PathMtu,
    pub(super) traffic: Arc<Traffic>,
    joiner: Arc<Mutex<Joiner>>,
}

/// What keys need to know of their gateway.
pub(super) struct KeyContext {
    pub(super) local: Address,
    pub(super) remote: Address,
    pub(super) hops_left: u8,
    pub(super) drops: Arc<Counters<SessionDrop>>,
    pub(super) now: Timestamp,
}

/// What came of a handshake.
pub(super) struct Complete {
    pub(super) role: Role,
    pub(super) cipher: Cipher,
    pub(super) split: Split,
    pub(super) ours: SessionIndex,
    pub(super) theirs: SessionIndex,
    pub(super) rekey_after: Duration,
}

impl Remote {
    pub(super) fn new() -> Self {
        Self {
            ring: KeyRing::default(),
            attempt: None,
            wanted: false,
            known: false,
            neighbour: None,
            established: None,
            path: PathMtu::default(),
            traffic: Arc::default(),
            joiner: Arc::new(Mutex::new(Joiner::new())),
        }
    }

    /// Whether it holds keys but none to send under.
    pub(super) fn is_half_open(&self) -> bool {
        self.ring.current().is_none() && !self.ring.is_empty()
    }

    /// Drops keys that are too old; true if there was one.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let expired = self.ring.expire(now);
        if self.ring.current().is_none() {
            self.established = None;
        }
        expired
    }

    /// Whether `index` finds this remote.
    pub(super) fn has_index(&self, index: SessionIndex) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.initiation.sender == index)
            || self.ring.receive_keys().any(|key| key.index() == index)
    }

    /// The keys of a complete handshake.
    pub(super) fn key_pair(&self, context: KeyContext, handshake: Complete) -> KeyPair {
        let KeyContext { local, remote, hops_left, drops, now: created } = context;
        let Complete { role, cipher, split, ours, theirs, rekey_after } = handshake;
        let (sending, receiving) = match role {
            Role::Initiator => (&split.from_initiator, &split.from_responder),
            Role::Responder => (&split.from_responder, &split.from_initiator),
        };
        let traffic = || Arc::clone(&self.traffic);
        let key = TransportKey::derive(sending, cipher);
        let send = SendKey::new(key, (local, remote), hops_left, theirs, traffic(), created);
        let key = TransportKey::derive(receiving, cipher);
        let shared = (traffic(), Arc::clone(&self.joiner), drops);
        let receive = ReceiveKey::new(key, remote, ours, role, shared, created);
        KeyPair { send: Arc::new(send), receive: Arc::new(receive), role, cipher, created, rekey_after }
    }

    pub(super) fn status(&self, remote: Address, configured: bool) -> SessionStatus {
        let current = self.ring.current();
        let state = match (current, &self.attempt) {
            (Some(_), _) => SessionState::Established,
            (None, Some(_)) => SessionState::Handshaking,
            (None, None) => SessionState::HalfOpen,
        };
        SessionStatus {
            remote,
            configured,
            state,
            role: current.map(|pair| pair.role),
            cipher: current.map(|pair| pair.cipher),
            established: self.established,
            path_mtu: self.path.believed(),
            traffic: self.traffic.totals(),
        }
    }
}
