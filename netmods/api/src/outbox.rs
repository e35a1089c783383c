// SPDX-License-Identifier: AGPL-3.0-or-later
//! The way out over one hop.

use core::fmt::Debug;
use core::ops::AddAssign;

use ratman_types::Mtu;

use crate::FrameParts;

/// Bytes of all frames of one [`Outbox::send`] of [`Class::Data`] together; a call above it is dropped and counted.
///
/// 96 KiB: a super-packet of 64 KiB with all that its frames add, and some small packets beside it. What a medium
/// does not take of a call at once it keeps, so this bounds what waits where no queue of ours can reorder it.
pub const MAX_UNIT: usize = 96 * 1024;

/// How a frame leaves over its hop (source: wire page, fairness on a relay).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One-hop control and echoes: they wait in a small queue that is always served first.
    Control,
    /// Everything else: it waits with whoever sends it, until the medium takes it.
    Data,
}

/// What became of a batch of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames written, or kept to be written.
    pub accepted: usize,
    /// Frames dropped and counted: a full control queue, a link that is down, a frame above the MTU, a call above
    /// [`MAX_UNIT`].
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
    /// Bytes that the driver keeps and the medium has not taken.
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
    /// Never blocks and may be called from any thread.
    /// - [`Class::Control`] never waits behind data, at most behind the frame whose beginning is on the wire. What the
    ///   medium does not take at once waits, copied, in a small bounded queue; the newest are dropped when it is full.
    /// - [`Class::Data`] is taken only while the outbox is [`ready`](Outbox::ready): then every frame of the call is
    ///   accepted, and what the medium does not take at once is kept, copied. Otherwise the call takes nothing, drops
    ///   nothing and returns zeros.
    ///
    /// Frames above the MTU, data calls above [`MAX_UNIT`], and whatever is sent over a link that is down are dropped
    /// and counted.
    fn send(&self, class: Class, frames: &[FrameParts<'_>]) -> Sent;

    /// Whether data would be taken now; never over a link that is down.
    ///
    /// Once it said no, or a send of data took nothing, [`Inbox::writable`](crate::Inbox::writable) is called as soon
    /// as data would be taken. A yes holds until somebody sends.
    fn ready(&self) -> bool;

    /// Bytes of frames that one data call holds best: about a millisecond of what the medium carries, since whoever comes
    /// later waits for all of it; [`MAX_UNIT`] where it is fast or nobody knows. Larger calls are taken all the same.
    fn unit(&self) -> usize {
        MAX_UNIT
    }

    /// Hands over every whole frame of [`Class::Data`] that was accepted and whose bytes the neighbour's end has not
    /// acknowledged, oldest first, so that a link which stalled can be left without losing them.
    ///
    /// They also stay where they are: should the medium come back, they arrive twice. One-hop frames
    /// ([`ModeClass::OneHop`](ratman_wire::ModeClass)) are left out, since they mean this hop and no other. A frame of
    /// which the beginning is acknowledged is no whole one any more. Nothing where none of it can be known, or over a
    /// link that is down. It may copy megabytes and holds senders up meanwhile.
    fn unacknowledged(&self, _take: &mut dyn FnMut(&[u8])) {}

    /// Running totals; not for every packet, since a medium may have to ask the kernel.
    fn activity(&self) -> Activity;
}
