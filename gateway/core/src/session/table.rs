// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the control half publishes to the data path: an immutable snapshot of the keys in use.

use std::collections::BTreeMap;
use std::sync::Arc;

use ratman_types::{Address, Mtu, Timestamp};
use ratman_wire::session::{DataHeader, SessionIndex};

use super::{Opened, OpenedPacket, ReceiveKey, SendKey, SessionDrop};
use crate::drop_reason::Counters;

/// All keys and lowered MTUs of one moment; a new one is made whenever one comes or goes, and the old one stays good until its
/// last reader lets go.
#[derive(Debug)]
pub struct SessionTable {
    pub(super) send: BTreeMap<Address, Arc<SendKey>>,
    pub(super) receive: BTreeMap<SessionIndex, Arc<ReceiveKey>>,
    pub(super) paths: BTreeMap<Address, Mtu>,
    pub(super) drops: Arc<Counters<SessionDrop>>,
}

impl SessionTable {
    /// The key to send to `remote` with; nothing until a handshake is complete.
    pub fn send_key(&self, remote: &Address) -> Option<&Arc<SendKey>> {
        self.send.get(remote)
    }

    /// The key that frames with this receiver index are opened with.
    pub fn receive_key(&self, index: SessionIndex) -> Option<&Arc<ReceiveKey>> {
        self.receive.get(&index)
    }

    /// The largest carrier frame that the path to `remote` carries, where a path report lowered it, at least
    /// [`MIN_PATH_MTU`](super::MIN_PATH_MTU); the smaller of this and the route's MTU holds.
    pub fn path_mtu(&self, remote: &Address) -> Option<Mtu> {
        self.paths.get(remote).copied()
    }

    /// Where both halves count what they refuse, and where the driver counts what [`SendKey::seal`] refuses and it
    /// then drops.
    pub fn drops(&self) -> &Counters<SessionDrop> {
        &self.drops
    }

    /// Finds the key for a frame's payload and opens it, see [`ReceiveKey::open`]; counts what it refuses.
    pub fn open<'frame>(
        &self,
        payload: &'frame mut [u8],
        now: Timestamp,
        deliver: &mut dyn FnMut(OpenedPacket<'frame, '_>),
    ) -> Result<Opened, SessionDrop> {
        let opened = self.find(payload).and_then(|key| key.open(payload, now, deliver));
        opened.inspect_err(|drop| self.drops.count(*drop))
    }

    fn find(&self, payload: &[u8]) -> Result<&Arc<ReceiveKey>, SessionDrop> {
        let header = payload.first_chunk().ok_or(SessionDrop::MalformedFrame)?;
        let header = DataHeader::decode(header).map_err(|_| SessionDrop::MalformedFrame)?;
        self.receive_key(header.receiver).ok_or(SessionDrop::UnknownIndex)
    }
}
