// SPDX-License-Identifier: AGPL-3.0-or-later
//! What happens to every received frame, on the thread that read it: sessions of others leave over the next hop,
//! sessions of ours go to irdest-proxy, streams wait for the message plane and the rest for the control plane, each in a queue
//! that is bounded.

mod batches;
mod leave;
mod notices;
mod reports;
mod shares;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use gateway_core::flow::HashSeed;
use netmod_api::{DownReason, FrameParts, Inbox, LinkUp};
use ratman_types::{Hop, LinkId, Timestamp};
use router_core::{DropReason, Forward, forward};

use crate::clock::Clock;
use crate::egress::{Budget, Egress, OURS, Seal};
use crate::message_plane::Inlet;
use crate::ways::Ways;
use batches::{Ours, Relayed};
use reports::Reports;

pub use notices::{Notice, NoticeSender, Notices, notices};
pub use shares::{Place, Shares};

/// How many bytes of one link may wait for the control plane: two seconds of announcements of 4 000 addresses in one
/// burst; a neighbour that floods fills its own share and nobody else's.
pub const CONTROL_BYTES_PER_LINK: usize = 2 * 1024 * 1024;

/// A frame for the control plane, copied out of the reader's buffer.
#[derive(Debug)]
pub struct ControlFrame {
    /// Where it came from.
    pub from: Hop,
    /// When it was read.
    pub arrived: Timestamp,
    /// The whole frame.
    pub bytes: Vec<u8>,
    _place: Place,
}

/// Where session frames for this gateway go; irdest-proxy implements it, a router alone has none.
pub trait LocalSessions: Seal + Send + Sync {
    /// Takes data frames of one read in their order, and may open them in place; other session frames are not handed
    /// to it.
    fn receive_data(&self, from: Hop, arrived: Timestamp, frames: &mut [&mut [u8]]);
}

/// The data path of the router.
pub struct Forwarder {
    clock: Clock,
    ways: Arc<Ways>,
    sessions: Option<Arc<dyn LocalSessions>>,
    control: NoticeSender,
    streams: Option<Inlet>,
    seed: HashSeed,
    budget: Arc<Budget>,
    reports: Reports,
    waiting: Shares,
    next_link: AtomicU32,
    drops: Drops,
}

impl Forwarder {
    /// A forwarder that reads `ways`, hands our sessions to `sessions`, streams to the message plane and everything else to
    /// `control`; the seeds key the hashes of relayed flows and of reported sessions, and must be random.
    pub fn new(
        clock: Clock,
        ways: Arc<Ways>,
        sessions: Option<Arc<dyn LocalSessions>>,
        (control, streams): (NoticeSender, Option<Inlet>),
        (seed, reports): (HashSeed, [u8; 16]),
    ) -> Self {
        let waiting = Shares::new(CONTROL_BYTES_PER_LINK);
        let (next_link, drops) = (AtomicU32::new(1), Drops::default());
        let (budget, reports) = (Arc::default(), Reports::new(reports));
        Self { clock, ways, sessions, control, streams, seed, budget, reports, waiting, next_link, drops }
    }

    /// What was dropped here, beside what the router itself dropped.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.drops.iter()
    }

    /// Path reports sent, and those that their rate did not allow.
    pub fn reported(&self) -> (u64, u64) {
        self.reports.counts()
    }

    /// How many session frames of others were sent on, or wait to be.
    pub fn relayed(&self) -> u64 {
        self.drops.relayed.load(Ordering::Relaxed)
    }

    /// Sends a frame that the control plane made, behind or between the data that waits for the link.
    pub fn send_own(&self, egress: &Egress, frame: &[u8], now: Timestamp) {
        // What the queue does not take, it counts.
        self.send_for(OURS, egress, &[FrameParts::whole(frame)], now);
    }

    /// Sends frames that came over the link `group`, or that are [`OURS`], as [`Egress::send_frames`].
    pub fn send_for(&self, group: u32, egress: &Egress, frames: &[FrameParts<'_>], now: Timestamp) -> usize {
        egress.send_frames(group, frames, self.sealer(), now)
    }

    fn to_control(&self, from: Hop, arrived: Timestamp, frame: &[u8]) {
        let Some(place) = self.waiting.take(from.link, frame.len()) else {
            self.drops.control_queue_full.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let frame = ControlFrame { from, arrived, bytes: frame.to_vec(), _place: place };
        self.control.send(Notice::Frame(frame));
    }

    fn to_streams(&self, from: Hop, frame: &[u8]) {
        match &self.streams {
            Some(streams) if streams.frame(from, frame) => {}
            Some(_) => _ = self.drops.stream_queue_full.fetch_add(1, Ordering::Relaxed),
            None => self.drops.count(DropReason::ModeNotServed),
        }
    }

    /// Who seals our packets, if this router has any.
    fn sealer(&self) -> Option<&dyn Seal> {
        self.sessions.as_deref().map(|sessions| -> &dyn Seal { sessions })
    }
}

impl core::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Forwarder").field("ways", &self.ways).finish_non_exhaustive()
    }
}

impl Inbox for Forwarder {
    fn now(&self) -> Timestamp {
        self.clock.now().at
    }

    fn next_link(&self) -> LinkId {
        LinkId(self.next_link.fetch_add(1, Ordering::Relaxed))
    }

    fn link_up(&self, link: LinkUp) {
        self.waiting.open(link.hop.link);
        self.streams.iter().for_each(|streams| streams.link_up(link.hop.link));
        let egress = Egress::new(Arc::clone(&link.outbox), self.seed, Arc::clone(&self.budget));
        self.ways.add(link.hop.link, &Arc::new(egress));
        self.control.send(Notice::LinkUp(link));
    }

    fn link_down(&self, hop: Hop, reason: DownReason) {
        self.ways.remove(hop.link);
        self.waiting.close(hop.link);
        self.streams.iter().for_each(|streams| streams.link_down(hop.link));
        self.control.send(Notice::LinkDown(hop, reason));
    }

    fn receive(&self, from: Hop, arrived: Timestamp, frames: &mut dyn Iterator<Item = &mut [u8]>) {
        let ways = self.ways.load();
        let mut relayed = Relayed::new(self, &ways, from, arrived);
        let mut ours = Ours::new(self, from, arrived);
        for frame in frames {
            match forward(ways.fib(), from, frame) {
                Forward::Local if ours.takes(frame) => ours.push(frame),
                Forward::Local | Forward::Control => self.to_control(from, arrived, frame),
                Forward::Stream => self.to_streams(from, frame),
                Forward::Send { hop } => relayed.push(hop, frame),
                Forward::Drop(reason) => {
                    self.drops.count(reason);
                    self.reports.about(frame, reason, &ways, self.sealer(), arrived);
                }
            }
        }
        relayed.flush();
        ours.flush();
    }

    fn writable(&self, hop: Hop) {
        if let Some(egress) = self.ways.load().egress(hop) {
            egress.writable(self.sealer(), self.clock.now().at);
        }
    }
}

/// Totals of the data path; relaxed, since nobody decides by them.
#[derive(Debug)]
struct Drops {
    by_reason: [AtomicU64; DropReason::ALL.len()],
    control_queue_full: AtomicU64,
    stream_queue_full: AtomicU64,
    link_gone: AtomicU64,
    relayed: AtomicU64,
}

impl Default for Drops {
    fn default() -> Self {
        Self {
            by_reason: core::array::from_fn(|_| AtomicU64::new(0)),
            control_queue_full: AtomicU64::new(0),
            stream_queue_full: AtomicU64::new(0),
            link_gone: AtomicU64::new(0),
            relayed: AtomicU64::new(0),
        }
    }
}

impl Drops {
    fn count(&self, reason: DropReason) {
        let index = DropReason::ALL.iter().position(|other| *other == reason);
        if let Some(counter) = index.and_then(|index| self.by_reason.get(index)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let reasons =
            DropReason::ALL.iter().zip(&self.by_reason).map(|(reason, count)| (reason.name(), count));
        let own = [
            ("control_queue_full", &self.control_queue_full),
            ("stream_queue_full", &self.stream_queue_full),
            ("link_gone", &self.link_gone),
        ];
        reasons.chain(own).map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests;
