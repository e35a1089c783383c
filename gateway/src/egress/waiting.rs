// SPDX-License-Identifier: AGPL-3.0-or-later
//! What waits for one link, and how it leaves: as much as one call of the outbox takes, sealed where it lies.

use std::sync::Arc;

use gateway_core::offload::{Segments, VirtioNetHeader};
use gateway_core::queue::{FairQueue, QueueKey, QueueLimits};
use gateway_core::session::{MAX_PIECES, Piece, Sealed};
use netmod_api::{Class, FrameParts, Outbox};
use ratman_types::{Address, Timestamp};
use ratman_wire::session::RecordHeader;

use super::budget::Budget;
use super::item::{Item, records};
use super::pool::{Buffer, Pool};
use super::{EgressStats, Left, OURS, OwnPackets, Seal};

/// Frames handed to an outbox in one call.
const FRAMES: usize = 64;

/// Small packets for one remote are gathered up to this many bytes: sealing gets no cheaper per byte beyond, and those
/// behind would only wait longer (measured).
const GATHER_BYTES: usize = 16 * 1024;

/// Packets gathered at most, for the same reason.
const GATHER_PACKETS: usize = 64;

/// A packet from this size on leaves by itself, sealed in the buffer in which it waited.
const ALONE: usize = 8 * 1024;

/// Relayed frames are handed over up to this many bytes: what is handed over cannot be overtaken any more.
const RELAY_BYTES: usize = 64 * 1024;

/// The queue of one link, its buffers, and room to work in.
#[derive(Debug)]
pub(super) struct Waiting {
    queue: FairQueue<Item>,
    pool: Pool,
    /// Made when the first packet of ours is sealed: a relay needs none.
    sealed: Option<Sealed>,
    gathered: Vec<u8>,
    frames: Vec<Buffer>,
    dropped: u64,
    over_budget: u64,
    closed: bool,
}

/// What the queue hands out next.
enum Next {
    Packet { remote: Address, len: usize },
    Frame { len: usize },
}

impl Waiting {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            queue: FairQueue::new(QueueLimits::default()),
            pool: Pool::new(budget),
            sealed: None,
            gathered: Vec::new(),
            frames: Vec::new(),
            dropped: 0,
            over_budget: 0,
            closed: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn stats(&mut self) -> EgressStats {
        EgressStats {
            waiting: self.queue.memory(),
            dropped: self.dropped,
            over_budget: self.over_budget,
            queue: self.queue.stats(),
        }
    }

    /// Seals whole records where they lie and sends them at once; the outbox is ready.
    pub(super) fn seal_and_send(
        &mut self,
        outbox: &dyn Outbox,
        remote: &Address,
        records: &mut [u8],
        sealer: &dyn Seal,
        now: Timestamp,
    ) {
        let mut sealed = self.sealed.take().unwrap_or_default();
        match sealer.seal(remote, records, outbox.mtu(), now, &mut sealed) {
            Ok(()) => self.send_pieces(outbox, sealed.pieces(records)),
            Err(why) => sealer.not_sealed(remote, records, why),
        }
        self.sealed = Some(sealed);
    }

    /// Sends frames at once; the outbox is ready.
    pub(super) fn send(&mut self, outbox: &dyn Outbox, frames: &[FrameParts<'_>]) -> usize {
        let sent = outbox.send(Class::Data, frames);
        let lost = frames.len().saturating_sub(sent.accepted);
        self.dropped += u64::try_from(lost).unwrap_or(u64::MAX);
        sent.accepted
    }

    /// Packets that are longer than `unit` wait cut, if they can be.
    pub(super) fn push_packets(&mut self, packets: &OwnPackets<'_>, unit: usize, now: Timestamp) {
        for (record, flow) in records(packets.records).zip(packets.flows) {
            if record.len() <= unit || !self.push_cut(packets.remote, *flow, record, now) {
                self.push_record(packets.remote, *flow, &[record], now);
            }
        }
    }

    /// A packet that is longer than `unit` waits cut, if it can be.
    pub(super) fn push_large(
        &mut self,
        (remote, flow): (Address, u64),
        buffer: &mut Box<[u8]>,
        len: usize,
        unit: usize,
        now: Timestamp,
    ) {
        if len > unit && self.push_cut(remote, flow, &buffer[..len], now) {
            return;
        }
        let exchanged = if self.closed { None } else { self.pool.exchange(buffer, len) };
        match exchanged {
            Some(buffer) => self.push(QueueKey { group: OURS, flow }, Item::Packet { remote, buffer }, now),
            None => self.refuse(),
        }
    }

    pub(super) fn push_segments(
        &mut self,
        remote: Address,
        flow: u64,
        mut segments: Segments<'_>,
        now: Timestamp,
    ) {
        while let Some(segment) = segments.next_segment() {
            let Ok(length) = u16::try_from(segment.headers.len() + segment.payload.len()) else { continue };
            let header = RecordHeader { length, metadata: VirtioNetHeader::NONE.to_wire() }.encode();
            self.push_record(remote, flow, &[&header, segment.headers, segment.payload], now);
        }
    }

    /// Lets the packets of a super-packet wait one by one: on a slow link it would stand before all others for long. Whether it
    /// was one.
    fn push_cut(&mut self, remote: Address, flow: u64, record: &[u8], now: Timestamp) -> bool {
        let Some((header, packet)) = record.split_first_chunk() else { return false };
        let Ok(header) = RecordHeader::decode(header) else { return false };
        let header = VirtioNetHeader::from_wire(header.metadata);
        let Ok(segments) = Segments::new(&header, packet) else { return false };
        if segments.count() < 2 {
            return false;
        }
        self.push_segments(remote, flow, segments, now);
        true
    }

    fn push_record(&mut self, remote: Address, flow: u64, pieces: &[&[u8]], now: Timestamp) {
        match self.fill(pieces) {
            Some(buffer) => self.push(QueueKey { group: OURS, flow }, Item::Packet { remote, buffer }, now),
            None => self.refuse(),
        }
    }

    /// Whether the frame waits now.
    pub(super) fn push_frame(&mut self, key: QueueKey, frame: &FrameParts<'_>, now: Timestamp) -> bool {
        match self.fill(&frame.pieces()) {
            Some(buffer) => {
                self.push(key, Item::Frame { buffer }, now);
                true
            }
            None => {
                self.refuse();
                false
            }
        }
    }

    /// Sends what waits while the outbox takes it.
    pub(super) fn drain(&mut self, outbox: &dyn Outbox, sealer: Option<&dyn Seal>, now: Timestamp) {
        while !self.queue.is_empty() && self.send_next(outbox, sealer, now) {}
    }

    /// Sends what one call of the outbox takes; whether it takes anything.
    pub(super) fn send_next(
        &mut self,
        outbox: &dyn Outbox,
        sealer: Option<&dyn Seal>,
        now: Timestamp,
    ) -> bool {
        if !outbox.ready() {
            return false;
        }
        match (self.next(now), sealer) {
            (Some(Next::Frame { .. }), _) => self.send_waiting_frames(outbox, now),
            (Some(Next::Packet { remote, .. }), Some(sealer)) => {
                self.send_waiting_packets(outbox, remote, sealer, now);
            }
            // Packets of ours wait only where somebody seals them.
            (Some(Next::Packet { .. }), None) => self.drop_next(),
            (None, _) => {}
        }
        true
    }

    /// Offers every item to `take`, and lets those that it does not take wait anew.
    pub(super) fn leave(&mut self, take: &mut dyn FnMut(Left<'_>) -> bool, now: Timestamp) -> usize {
        let items: Vec<_> = self.queue.drain().collect();
        let mut taken = 0;
        for (key, mut item) in items {
            let QueueKey { group, flow } = key;
            let left = match &mut item {
                Item::Packet { remote, buffer } => {
                    let records = buffer.bytes_mut();
                    Left::Packets(OwnPackets { remote: *remote, records, flows: &[flow] })
                }
                Item::Frame { buffer } => Left::Frame { group, frame: buffer.bytes() },
            };
            if take(left) {
                taken += 1;
                self.pool.give_back(item.into_buffer());
            } else {
                self.push(key, item, now);
            }
        }
        taken
    }

    pub(super) fn trim(&mut self) {
        if self.queue.is_empty() {
            self.pool.trim();
            self.gathered.shrink_to_fit();
            self.frames.shrink_to_fit();
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        let Self { queue, pool, dropped, .. } = self;
        for (_, item) in queue.drain() {
            *dropped += 1;
            pool.give_back(item.into_buffer());
        }
        self.trim();
    }

    fn fill(&mut self, pieces: &[&[u8]]) -> Option<Buffer> {
        if self.closed { None } else { self.pool.fill(pieces) }
    }

    fn refuse(&mut self) {
        self.dropped += 1;
        self.over_budget += u64::from(!self.closed);
    }

    fn push(&mut self, key: QueueKey, item: Item, now: Timestamp) {
        let Self { queue, pool, dropped, .. } = self;
        queue.push(key, item, now, &mut |item, _| {
            *dropped += 1;
            pool.give_back(item.into_buffer());
        });
    }

    fn next(&mut self, now: Timestamp) -> Option<Next> {
        let Self { queue, pool, dropped, .. } = self;
        let next = queue.peek(now, &mut |item, _| {
            *dropped += 1;
            pool.give_back(item.into_buffer());
        });
        next.map(|item| match item {
            Item::Packet { remote, buffer } => Next::Packet { remote: *remote, len: buffer.bytes().len() },
            Item::Frame { buffer } => Next::Frame { len: buffer.bytes().len() },
        })
    }

    fn drop_next(&mut self) {
        if let Some(item) = self.queue.pop() {
            self.dropped += 1;
            self.pool.give_back(item.into_buffer());
        }
    }

    fn send_waiting_frames(&mut self, outbox: &dyn Outbox, now: Timestamp) {
        let mut frames = std::mem::take(&mut self.frames);
        let (mut bytes, most) = (0, RELAY_BYTES.min(outbox.unit()));
        while let Some(Next::Frame { len }) = self.next(now)
            && (frames.is_empty() || (frames.len() < FRAMES && bytes + len <= most))
        {
            bytes += len;
            frames.extend(self.queue.pop().map(Item::into_buffer));
        }
        let mut parts = [FrameParts::default(); FRAMES];
        for (part, frame) in parts.iter_mut().zip(&frames) {
            *part = FrameParts::whole(frame.bytes());
        }
        self.send(outbox, &parts[..frames.len()]);
        for buffer in frames.drain(..) {
            self.pool.give_back(buffer);
        }
        self.frames = frames;
    }

    /// One large packet in its own buffer, or as many small ones for the same remote as come next.
    fn send_waiting_packets(&mut self, outbox: &dyn Outbox, to: Address, sealer: &dyn Seal, now: Timestamp) {
        let Some(Item::Packet { mut buffer, .. }) = self.queue.pop() else { return };
        if buffer.bytes().len() >= ALONE {
            self.seal_and_send(outbox, &to, buffer.bytes_mut(), sealer, now);
            return self.pool.give_back(buffer);
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.clear();
        gathered.extend_from_slice(buffer.bytes());
        self.pool.give_back(buffer);
        let (mut packets, most) = (1, GATHER_BYTES.min(outbox.unit()));
        while packets < GATHER_PACKETS
            && let Some(Next::Packet { remote, len }) = self.next(now)
            && remote == to
            && gathered.len() + len <= most
        {
            let Some(item) = self.queue.pop() else { break };
            let buffer = item.into_buffer();
            gathered.extend_from_slice(buffer.bytes());
            self.pool.give_back(buffer);
            packets += 1;
        }
        self.seal_and_send(outbox, &to, &mut gathered, sealer, now);
        self.gathered = gathered;
    }

    /// Sends the frames of one sealed batch in one call.
    fn send_pieces<'a>(&mut self, outbox: &dyn Outbox, pieces: impl ExactSizeIterator<Item = Piece<'a>>) {
        if pieces.len() <= FRAMES {
            self.send_up_to::<FRAMES>(outbox, pieces);
        } else {
            self.send_up_to::<MAX_PIECES>(outbox, pieces);
        }
    }

    fn send_up_to<'a, const MOST: usize>(
        &mut self,
        outbox: &dyn Outbox,
        pieces: impl ExactSizeIterator<Item = Piece<'a>>,
    ) {
        let mut frames = [FrameParts::default(); MOST];
        let mut len = 0;
        for (frame, Piece { head, body, tail }) in frames.iter_mut().zip(pieces) {
            *frame = FrameParts { head, body, tail };
            len += 1;
        }
        self.send(outbox, &frames[..len]);
    }
}
