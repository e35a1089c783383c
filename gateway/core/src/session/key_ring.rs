// SPDX-License-Identifier: AGPL-3.0-or-later
//! The keys of one remote: we send under the one confirmed last and receive under the one before and the one to
//! come as well, so that no frame is lost when keys change, and both of two crossing handshakes are of use.

use core::time::Duration;
use std::sync::Arc;

use ratman_types::Timestamp;
use ratman_wire::session::SessionIndex;

use super::timers::REJECT_AFTER;
use super::{Cipher, ReceiveKey, Role, SendKey};

/// Both directions of one handshake.
#[derive(Debug)]
pub(super) struct KeyPair {
    pub(super) send: Arc<SendKey>,
    pub(super) receive: Arc<ReceiveKey>,
    pub(super) role: Role,
    pub(super) cipher: Cipher,
    pub(super) created: Timestamp,
    /// At this age we begin the next handshake if packets still go.
    pub(super) rekey_after: Duration,
}

/// At most three key pairs.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    previous: Option<KeyPair>,
    current: Option<KeyPair>,
    /// A key for which we were the responder and no frame came yet: receives only.
    next: Option<KeyPair>,
}

impl KeyRing {
    /// We were the initiator, so the remote has the key already.
    pub(super) fn complete(&mut self, pair: KeyPair) {
        self.previous = self.current.replace(pair);
    }

    /// We were the responder: the key waits for its first frame, instead of one that waited before.
    pub(super) fn offer(&mut self, pair: KeyPair) {
        self.next = Some(pair);
    }

    /// Sends under the waiting key from now on if its first frame came. False if there is none.
    pub(super) fn confirm(&mut self) -> bool {
        match self.next.take_if(|pair| pair.receive.is_confirmed()) {
            Some(pair) => {
                self.previous = self.current.replace(pair);
                true
            }
            None => false,
        }
    }

    /// Drops every key that is too old; true if there was one.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let old = |pair: &mut KeyPair| now.since(pair.created) >= REJECT_AFTER;
        let (previous, current, next) =
            (self.previous.take_if(old), self.current.take_if(old), self.next.take_if(old));
        previous.is_some() || current.is_some() || next.is_some()
    }

    /// The pair that we send under.
    pub(super) fn current(&self) -> Option<&KeyPair> {
        self.current.as_ref()
    }

    /// All keys that we receive under.
    pub(super) fn receive_keys(&self) -> impl Iterator<Item = &Arc<ReceiveKey>> {
        [&self.previous, &self.current, &self.next].into_iter().flatten().map(|pair| &pair.receive)
    }

    /// The key that we send under, or sent under until the current one came, with this index at the remote.
    pub(super) fn send_key(&self, receiver: SessionIndex) -> Option<&SendKey> {
        let pairs = [&self.current, &self.previous].into_iter().flatten();
        pairs.map(|pair| &*pair.send).find(|key| key.receiver() == receiver)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receive_keys().next().is_none()
    }
}
