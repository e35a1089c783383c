// SPDX-License-Identifier: AGPL-3.0-or-later
//! The session frames of one read, gathered: those of others by the hop that they leave over, ours for irdest-proxy.

use std::sync::atomic::Ordering;

use netmod_api::FrameParts;
use ratman_types::{Hop, Timestamp};
use ratman_wire::Mode;
use ratman_wire::carrier::peek_mode;

use super::{Forwarder, LocalSessions};
use crate::ways::Snapshot;

/// How many session frames of one read leave, or are opened, in one call; more than a 256 KiB read holds of large ones.
pub(super) const BATCH: usize = 64;

/// Relayed frames of one read that leave over the same hop, sent in one call.
pub(super) struct Relayed<'a> {
    forwarder: &'a Forwarder,
    ways: &'a Snapshot,
    from: Hop,
    arrived: Timestamp,
    hop: Option<Hop>,
    frames: [FrameParts<'a>; BATCH],
    len: usize,
}

impl<'a> Relayed<'a> {
    pub(super) fn new(forwarder: &'a Forwarder, ways: &'a Snapshot, from: Hop, arrived: Timestamp) -> Self {
        Self { forwarder, ways, from, arrived, hop: None, frames: [FrameParts::default(); BATCH], len: 0 }
    }

    pub(super) fn push(&mut self, hop: Hop, frame: &'a [u8]) {
        if self.hop != Some(hop) || self.len == BATCH {
            self.flush();
            self.hop = Some(hop);
        }
        self.frames[self.len] = FrameParts::whole(frame);
        self.len += 1;
    }

    pub(super) fn flush(&mut self) {
        let frames = &self.frames[..self.len];
        self.len = 0;
        let Some(hop) = self.hop.filter(|_| !frames.is_empty()) else { return };
        let Forwarder { drops, .. } = self.forwarder;
        let (counter, count) = match self.ways.egress(hop) {
            // What it drops, it counts itself.
            Some(egress) => {
                let group = self.from.link.0;
                let taken = egress.send_frames(group, frames, self.forwarder.sealer(), self.arrived);
                (&drops.relayed, taken)
            }
            None => (&drops.link_gone, frames.len()),
        };
        counter.fetch_add(u64::try_from(count).expect("at most BATCH"), Ordering::Relaxed);
    }
}

/// Data frames of one read for our own sessions, handed over in one call.
pub(super) struct Ours<'a, 'f> {
    sessions: Option<&'a dyn LocalSessions>,
    from: Hop,
    arrived: Timestamp,
    frames: [&'f mut [u8]; BATCH],
    len: usize,
}

impl<'a, 'f> Ours<'a, 'f> {
    pub(super) fn new(forwarder: &'a Forwarder, from: Hop, arrived: Timestamp) -> Self {
        let sessions = forwarder.sessions.as_deref();
        Self { sessions, from, arrived, frames: core::array::from_fn(|_| Default::default()), len: 0 }
    }

    /// Whether irdest-proxy takes this frame on the data path.
    pub(super) fn takes(&self, frame: &[u8]) -> bool {
        self.sessions.is_some() && peek_mode(frame) == Some(Mode::SESSION_DATA)
    }

    pub(super) fn push(&mut self, frame: &'f mut [u8]) {
        if self.len == BATCH {
            self.flush();
        }
        self.frames[self.len] = frame;
        self.len += 1;
    }

    pub(super) fn flush(&mut self) {
        let frames = &mut self.frames[..self.len];
        self.len = 0;
        if let Some(sessions) = self.sessions
            && !frames.is_empty()
        {
            sessions.receive_data(self.from, self.arrived, frames);
        }
    }
}
