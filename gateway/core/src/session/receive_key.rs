// SPDX-License-Identifier: AGPL-3.0-or-later
//! Opening: the other direction of one session under one key.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ratman_types::{Address, Timestamp};
use ratman_wire::session::{DataHeader, SessionIndex};

use super::cipher::{TAG, TransportKey};
use super::joiner::{Joiner, deliver_records};
use super::replay_window::ReplayWindow;
use super::send_key::MAX_FRAMES_PER_KEY;
use super::timers::REJECT_AFTER;
use super::traffic::Traffic;
use super::{Opened, OpenedPacket, Role, SessionDrop};
use crate::drop_reason::Counters;

/// Opens the frames of one remote under one key; shared by all threads that read from links.
pub struct ReceiveKey {
    remote: Address,
    index: SessionIndex,
    created: Timestamp,
    key: TransportKey,
    window: ReplayWindow,
    /// Whether a frame must still prove that the initiator has this key too.
    unconfirmed: AtomicBool,
    traffic: Arc<Traffic>,
    /// Shared by the keys of the remote; taken only for records that were cut.
    joiner: Arc<Mutex<Joiner>>,
    drops: Arc<Counters<SessionDrop>>,
}

impl ReceiveKey {
    pub(super) fn new(
        key: TransportKey,
        remote: Address,
        index: SessionIndex,
        role: Role,
        (traffic, joiner, drops): (Arc<Traffic>, Arc<Mutex<Joiner>>, Arc<Counters<SessionDrop>>),
        created: Timestamp,
    ) -> Self {
        let unconfirmed = AtomicBool::new(role == Role::Responder);
        Self { remote, index, created, key, window: ReplayWindow::new(), unconfirmed, traffic, joiner, drops }
    }

    /// The gateway at the other end.
    pub fn remote(&self) -> Address {
        self.remote
    }

    /// The index that frames for this key carry.
    pub fn index(&self) -> SessionIndex {
        self.index
    }

    /// Whether the remote is known to have this key too.
    pub(super) fn is_confirmed(&self) -> bool {
        !self.unconfirmed.load(Ordering::Acquire)
    }

    /// Opens a frame's payload (session header, ciphertext, tag) where it lies and hands every packet that it
    /// completes to `deliver`, which may keep those that lie in the frame
    /// ([`OpenedBytes`](super::OpenedBytes)). Allocates nothing but the remote's join buffer, once, and takes its lock
    /// only for records that were cut.
    ///
    /// Records that are malformed or lack a part are counted and passed over.
    ///
    /// # Errors
    /// Why nothing of the frame was used; counted by [`SessionTable::open`](super::SessionTable::open), not here.
    pub fn open<'frame>(
        &self,
        payload: &'frame mut [u8],
        now: Timestamp,
        deliver: &mut dyn FnMut(OpenedPacket<'frame, '_>),
    ) -> Result<Opened, SessionDrop> {
        let (start, sealed) = payload.split_first_chunk_mut().ok_or(SessionDrop::MalformedFrame)?;
        let header = DataHeader::decode(start).map_err(|_| SessionDrop::MalformedFrame)?;
        let body = sealed.len().checked_sub(TAG).ok_or(SessionDrop::MalformedFrame)?;
        self.admit(&header, now)?;
        let plain = self.key.open(start, header.counter, sealed).ok_or(SessionDrop::BadSeal)?;
        self.window.accept(header.counter)?;
        self.traffic.received(body > 0, now);
        let first =
            self.unconfirmed.load(Ordering::Relaxed) && self.unconfirmed.swap(false, Ordering::AcqRel);
        let packets = self.deliver(&header, plain, deliver);
        Ok(Opened { remote: self.remote, first, packets })
    }

    /// The cheap reasons against a frame.
    fn admit(&self, header: &DataHeader, now: Timestamp) -> Result<(), SessionDrop> {
        if header.receiver != self.index {
            return Err(SessionDrop::UnknownIndex);
        }
        if now.since(self.created) >= REJECT_AFTER {
            return Err(SessionDrop::KeyExpired);
        }
        if header.counter >= MAX_FRAMES_PER_KEY {
            return Err(SessionDrop::CounterExhausted);
        }
        self.window.check(header.counter)
    }

    fn deliver<'frame>(
        &self,
        header: &DataHeader,
        plain: &'frame mut [u8],
        deliver: &mut dyn FnMut(OpenedPacket<'frame, '_>),
    ) -> u64 {
        let (mut packets, mut bytes) = (0, 0);
        // A panic while the lock was held left at worst a record in the making, which the next part drops.
        let joiner = || self.joiner.lock().unwrap_or_else(PoisonError::into_inner);
        deliver_records(
            header,
            plain,
            joiner,
            &mut |metadata, packet| {
                packets += 1;
                bytes += u64::try_from(packet.len()).expect("a packet is below 64 KiB");
                deliver(OpenedPacket { remote: self.remote, metadata: *metadata, bytes: packet });
            },
            &mut |drop| self.drops.count(drop),
        );
        self.traffic.delivered(packets, bytes);
        packets
    }
}

impl fmt::Debug for ReceiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveKey")
            .field("remote", &self.remote)
            .field("index", &self.index)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}
