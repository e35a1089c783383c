// SPDX-License-Identifier: AGPL-3.0-or-later
//! The way out over one hop.

use core::fmt::Debug;
use core::ops::AddAssign;

use ratman_types::Mtu;

use crate::FrameParts;

/// Which of the two queues of a hop a frame waits in (source: wire page, fairness on a relay).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One-hop control and echoes: a small queue that is always served first.
    Control,
    /// Everything else.
    Data,
}

/// What became of a batch of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames written or queued.
    pub accepted: usize,
    /// Frames dropped and counted: a full queue, a link that is down, a frame above the MTU.
    pub dropped: usize,
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.dropped += other.dropped;
    }
}

/// Running totals of one hop since its link came up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Bytes that left for the medium, framing included.
    pub sent_bytes: u64,
    /// Frames that arrived, good or bad.
    pub received_frames: u64,
    /// Bytes that the peer's end acknowledged, if the medium knows (TCP: `tcpi_bytes_acked`).
    pub acked_bytes: Option<u64>,
    /// Bytes that wait in our queues now.
    pub queued_bytes: u64,
    /// Frames dropped on the way out.
    pub dropped: u64,
}

/// The way out over one hop.
///
/// The data path keeps it beside the route, so that sending looks nothing up. It outlives its link: what is sent
/// afterwards is dropped and counted.
pub trait Outbox: Send + Sync + Debug {
    /// The largest frame that the link takes.
    fn mtu(&self) -> Mtu;

    /// Sends a batch, in order and each frame whole or not at all.
    ///
    /// Never blocks and may be called from any thread. What the medium does not take at once waits, copied, in a
    /// bounded queue; when that is full the newest frames are dropped and counted.
    fn send(&self, class: Class, frames: &[FrameParts<'_>]) -> Sent;

    /// Running totals; not for every packet, since a medium may have to ask the kernel.
    fn activity(&self) -> Activity;
}
