// SPDX-License-Identifier: AGPL-3.0-or-later
//! Sealing: one direction of one session under one key.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use ratman_types::{Address, Mtu, Recipient, Timestamp};
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::session::{DataHeader, RecordHeader, SessionIndex};
use ratman_wire::{Header, Mode};

use super::SessionDrop;
use super::cipher::{TAG, TransportKey};
use super::sealed::{HEAD, Sealed};
use super::sent_frames::SentFrames;
use super::timers::REJECT_AFTER;
use super::traffic::Traffic;

/// How many frames one key seals or opens (source: wire page).
pub const MAX_FRAMES_PER_KEY: u64 = 1 << 34;

/// Seals batches of packets for one remote; shared by all threads that read from the TUN device.
pub struct SendKey {
    remote: Address,
    receiver: SessionIndex,
    created: Timestamp,
    key: TransportKey,
    /// The carrier header of every frame; the payload length is written per frame.
    carrier: [u8; SESSION_HEADER],
    next_counter: AtomicU64,
    sent: SentFrames,
    traffic: Arc<Traffic>,
}

impl SendKey {
    pub(super) fn new(
        key: TransportKey,
        (local, remote): (Address, Address),
        hops_left: u8,
        receiver: SessionIndex,
        traffic: Arc<Traffic>,
        created: Timestamp,
    ) -> Self {
        let header = Header { hops_left, ..Header::new(Mode::SESSION_DATA, *local.as_bytes()) }
            .to(Recipient::Address(remote));
        let mut carrier = Vec::with_capacity(SESSION_HEADER);
        header.encode_into(0, &mut carrier);
        let carrier = carrier.try_into().expect("a session header has 74 bytes");
        let (next_counter, sent) = (AtomicU64::new(0), SentFrames::new());
        Self { remote, receiver, created, key, carrier, next_counter, sent, traffic }
    }

    /// The gateway at the other end.
    pub fn remote(&self) -> Address {
        self.remote
    }

    /// Seals `batch` where it lies, into as many frames of at most `mtu` bytes as it takes, with consecutive counters
    /// even while other threads seal. Takes no lock, and allocates nothing but the memory of the first 65 536 frames of a
    /// key, 8 KiB at a time. Frames are all of one size or one byte less,
    /// or end where records end on paths that [cut super-packets](crate::mtu::cuts_super_packets); a batch of at most
    /// [`max_batch`](super::max_batch) bytes is never too large.
    ///
    /// `batch` is whole records: length of the packet 2 ‖ virtio-net metadata 10 in its wire form ‖ packet. An
    /// empty batch becomes one frame without records: a keepalive. `out` then yields the frames; after an error it
    /// is empty and `batch` unchanged.
    ///
    /// # Errors
    /// [`KeyExpired`](SessionDrop::KeyExpired) and [`CounterExhausted`](SessionDrop::CounterExhausted) when the key
    /// must not be used any more (call [`Sessions::connect`](super::Sessions::connect)),
    /// [`PathTooSmall`](SessionDrop::PathTooSmall), [`BatchTooLarge`](SessionDrop::BatchTooLarge) and
    /// [`MalformedRecord`](SessionDrop::MalformedRecord) when the batch cannot be sent so. Not counted: the driver
    /// knows whether the packets are dropped or wait, and counts what it drops in
    /// [`SessionTable::drops`](super::SessionTable::drops).
    pub fn seal(
        &self,
        batch: &mut [u8],
        mtu: Mtu,
        now: Timestamp,
        out: &mut Sealed,
    ) -> Result<(), SessionDrop> {
        out.clear();
        let age = now.since(self.created);
        if age >= REJECT_AFTER {
            return Err(SessionDrop::KeyExpired);
        }
        let records = out.plan(batch, mtu, &self.carrier, self.receiver)?;
        let first = match self.take_counters(out.len()) {
            Ok(first) => first,
            Err(drop) => {
                out.clear();
                return Err(drop);
            }
        };
        out.fill(batch, first, |header, counter, body| {
            let tag = self.key.seal(header, counter, body);
            self.sent.remember(counter, &tag, age, HEAD + body.len() + TAG);
            tag
        });
        self.traffic.sent(records, packet_bytes(batch.len(), records), now);
        Ok(())
    }

    /// Whether `header` and `tag` are those of one of our last 65 536 frames under this key, sealed at most 10 s
    /// ago; returns the length of that carrier frame.
    ///
    /// # Errors
    /// [`ReportNotOurs`](SessionDrop::ReportNotOurs), [`ReportTooOld`](SessionDrop::ReportTooOld) and
    /// [`ReportForged`](SessionDrop::ReportForged); not counted.
    pub fn quoted(&self, header: &DataHeader, tag: &[u8; TAG], now: Timestamp) -> Result<Mtu, SessionDrop> {
        if header.receiver != self.receiver {
            return Err(SessionDrop::ReportNotOurs);
        }
        self.sent.find(header.counter, tag, self.frames(), now.since(self.created))
    }

    /// The index by which the remote finds this key.
    pub(super) fn receiver(&self) -> SessionIndex {
        self.receiver
    }

    /// How many frames were sealed.
    pub(super) fn frames(&self) -> u64 {
        self.next_counter.load(Ordering::Relaxed)
    }

    /// Counters that nobody else gets. What lies above the limit is given out and lost, never used.
    fn take_counters(&self, frames: usize) -> Result<u64, SessionDrop> {
        let frames = u64::try_from(frames).expect("MAX_PIECES is small");
        let first = self.next_counter.fetch_add(frames, Ordering::Relaxed);
        if first + frames > MAX_FRAMES_PER_KEY { Err(SessionDrop::CounterExhausted) } else { Ok(first) }
    }

    #[cfg(test)]
    pub(super) fn skip_to(&self, counter: u64) {
        self.next_counter.store(counter, Ordering::Relaxed);
    }
}

impl fmt::Debug for SendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendKey")
            .field("remote", &self.remote)
            .field("receiver", &self.receiver)
            .field("created", &self.created)
            .field("frames", &self.frames())
            .finish_non_exhaustive()
    }
}

fn packet_bytes(batch: usize, records: u64) -> u64 {
    let header = u64::try_from(RecordHeader::LEN).expect("a small constant");
    u64::try_from(batch).expect("a batch fits in memory") - records * header
}
