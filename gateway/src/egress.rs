// SPDX-License-Identifier: AGPL-3.0-or-later
//! The way out over one link: straight into its outbox while nothing waits, else through a fair queue.
//!
//! Packets of ours wait unsealed and are sealed when the link takes them: counters are in the order of the wire, what
//! the queue drops costs no encryption and leaves no gap, and small packets of several flows share a frame.
//! Frames of others wait as they came. Whoever sends takes the link's lock once per batch; the netmod's task takes it
//! when the link has room again.

mod budget;
mod item;
mod pool;
mod waiting;

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_core::flow::HashSeed;
use gateway_core::offload::Segments;
use gateway_core::queue::{QueueKey, QueueStats};
use gateway_core::session::{Sealed, SessionDrop};
use netmod_api::{Activity, Class, FrameParts, Outbox};
use ratman_types::{Address, Mtu, Timestamp};

use waiting::Waiting;

pub use budget::Budget;
pub use item::records;
pub use pool::WHOLE;

/// The group of our own traffic; that of another link's traffic is the number of the link, which starts at 1.
pub const OURS: u32 = 0;

/// Where a frame's header tells sender and recipient: the flow on a relay (source: wire page, carrier frame).
const ENDS: core::ops::Range<usize> = 4..69;

/// Who seals our packets when the link takes them; irdest-proxy implements it.
pub trait Seal {
    /// Seals `records` for `remote` where they lie, in frames of at most `link` bytes.
    ///
    /// # Errors
    /// Why they cannot go; `records` is unchanged then.
    fn seal(
        &self,
        remote: &Address,
        records: &mut [u8],
        link: Mtu,
        now: Timestamp,
        out: &mut Sealed,
    ) -> Result<(), SessionDrop>;

    /// Takes records that could not be sealed: they wait for a key, or are dropped and counted.
    fn not_sealed(&self, remote: &Address, records: &[u8], why: SessionDrop);
}

/// Packets of ours for one remote, whole records one behind the other.
#[derive(Debug)]
pub struct OwnPackets<'a> {
    /// The gateway that gets them.
    pub remote: Address,
    /// Length 2 ‖ virtio-net metadata 10 ‖ packet, of each.
    pub records: &'a mut [u8],
    /// The hash of each packet's flow, as many as there are records.
    pub flows: &'a [u64],
}

/// What waits for a link that is left.
#[derive(Debug)]
pub enum Left<'a> {
    /// A packet of ours, not sealed yet.
    Packets(OwnPackets<'a>),
    /// A frame that came over the link `group`, or that the control plane made ([`OURS`]).
    Frame {
        /// The number of the link.
        group: u32,
        /// The whole frame.
        frame: &'a [u8],
    },
}

/// What has happened at the queue of one link since it came up.
#[derive(Clone, Copy, Debug, Default)]
pub struct EgressStats {
    /// Bytes of memory that wait.
    pub waiting: usize,
    /// Packets and frames dropped, for whatever reason.
    pub dropped: u64,
    /// Of these, those that found no room because of other links ([`Budget`]).
    pub over_budget: u64,
    /// What the queue itself says.
    pub queue: QueueStats,
}

/// One link's way out.
pub struct Egress {
    outbox: Arc<dyn Outbox>,
    seed: HashSeed,
    waiting: Mutex<Waiting>,
}

impl Egress {
    /// An empty queue before `outbox`; the memory for what waits is taken from `budget`, flows of others are told apart
    /// by hashes under `seed`.
    pub fn new(outbox: Arc<dyn Outbox>, seed: HashSeed, budget: Arc<Budget>) -> Self {
        Self { outbox, seed, waiting: Mutex::new(Waiting::new(budget)) }
    }

    /// The largest frame that the link takes.
    pub fn mtu(&self) -> Mtu {
        self.outbox.mtu()
    }

    /// What the medium says about itself; not for every packet.
    pub fn activity(&self) -> Activity {
        self.outbox.activity()
    }

    /// What waits and what was dropped.
    pub fn stats(&self) -> EgressStats {
        self.lock().stats()
    }

    /// Sends a frame of the control plane ahead of all data.
    pub fn send_control(&self, frame: &[u8]) {
        // Under the lock: what it leaves in the socket must not come between a sealed batch and the outbox that was
        // ready for it.
        let _waiting = self.lock();
        self.outbox.send(Class::Control, &[FrameParts::whole(frame)]);
    }

    /// Sends packets of ours in their order if nothing waits and one call holds them well, else lets them wait; what is
    /// dropped is counted here. Whether they wait: then [`send_next`](Self::send_next) is to be called until it says no.
    #[must_use]
    pub fn send_packets(&self, packets: OwnPackets<'_>, sealer: &dyn Seal, now: Timestamp) -> bool {
        let mut waiting = self.lock();
        let outbox = self.outbox.as_ref();
        if waiting.is_empty() && packets.records.len() <= outbox.unit() && outbox.ready() {
            let OwnPackets { remote, records, .. } = packets;
            waiting.seal_and_send(outbox, &remote, records, sealer, now);
            return false;
        }
        waiting.push_packets(&packets, outbox.unit(), now);
        true
    }

    /// Lets one packet wait in the very buffer of [`WHOLE`] bytes that it was read into, of which its record is the first
    /// `len`; another buffer takes its place. [`send_next`](Self::send_next) is to be called then.
    pub fn queue_large(
        &self,
        remote: Address,
        flow: u64,
        buffer: &mut Box<[u8]>,
        len: usize,
        now: Timestamp,
    ) {
        self.lock().push_large((remote, flow), buffer, len, self.outbox.unit(), now);
    }

    /// Sends as much of what waits as one call of the outbox takes, if it takes any; whether it did and more waits, so that
    /// the next call may send it.
    pub fn send_next(&self, sealer: Option<&dyn Seal>, now: Timestamp) -> bool {
        let mut waiting = self.lock();
        // Whether the outbox takes more is asked once, by the next call: it asks the kernel.
        waiting.send_next(self.outbox.as_ref(), sealer, now) && !waiting.is_empty()
    }

    /// Lets the packets of a super-packet of ours wait, one by one: none of them needs the others.
    /// [`send_next`](Self::send_next) is to be called then.
    pub fn queue_segments(&self, remote: Address, flow: u64, segments: Segments<'_>, now: Timestamp) {
        self.lock().push_segments(remote, flow, segments, now);
    }

    /// Sends frames that came over the link `group`, or that the control plane made ([`OURS`]); returns how many were
    /// sent or wait, the others are counted here as dropped.
    pub fn send_frames(
        &self,
        group: u32,
        frames: &[FrameParts<'_>],
        sealer: Option<&dyn Seal>,
        now: Timestamp,
    ) -> usize {
        let mut waiting = self.lock();
        let outbox = self.outbox.as_ref();
        let (mut rest, mut taken) = (frames, 0);
        while !rest.is_empty() && waiting.is_empty() && outbox.ready() {
            let (unit, behind) = rest.split_at(one_unit(rest, outbox.unit()));
            taken += waiting.send(outbox, unit);
            rest = behind;
        }
        for frame in rest {
            let key = QueueKey { group, flow: self.flow_of(frame) };
            taken += usize::from(waiting.push_frame(key, frame, now));
        }
        waiting.drain(outbox, sealer, now);
        taken
    }

    /// The link takes data again: sends what waits until it does not.
    pub fn writable(&self, sealer: Option<&dyn Seal>, now: Timestamp) {
        // The lock is let go after each call, so that whoever has a sparse packet need not wait for all of them.
        while self.send_next(sealer, now) {}
    }

    /// Offers everything that waits, each flow's in order, to `take`, which says whether it took it; the rest waits on. Returns
    /// how much was taken. `take` may use other links, but not this one.
    pub fn leave(&self, take: &mut dyn FnMut(Left<'_>) -> bool, now: Timestamp) -> usize {
        self.lock().leave(take, now)
    }

    /// Gives back memory that a link at rest does not need; to be called now and then.
    pub fn trim(&self) {
        self.lock().trim();
    }

    /// The link is gone: drops what waits, and whatever still comes.
    pub fn close(&self) {
        self.lock().close();
    }

    fn flow_of(&self, frame: &FrameParts<'_>) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(frame.head.get(ENDS).unwrap_or(frame.head));
        hasher.finish()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic while the lock was held lost at worst the items that were being sent.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many frames from the front make one call of an outbox: at least one, which it refuses itself if it is too long.
fn one_unit(frames: &[FrameParts<'_>], unit: usize) -> usize {
    let mut bytes = 0;
    let fits = |frame: &&FrameParts<'_>| {
        bytes += frame.len();
        bytes <= unit
    };
    frames.iter().take_while(fits).count().max(1)
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("outbox", &self.outbox).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
