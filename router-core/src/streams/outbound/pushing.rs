// SPDX-License-Identifier: AGPL-3.0-or-later
//! Blocks and manifests become frames, as fast as the way takes them.

use ratman_eris::Reference;
use ratman_types::{Digest, Hop, Mtu, Now, blake2b};
use ratman_wire::stream::{Auxiliary, PackedBlocks, Packing, PushNotice, SliceOf, cut, payload_room};
use ratman_wire::{FrameId, Header, Mode};

use super::{AT_HAND, Content, Kind, Outbound};
use crate::sign_hashed_frame;
use crate::stream::Next;
use crate::streams::store_queue::Reader;
use crate::streams::{StreamKey, StreamTransmit, Streams};

/// Blocks that are read at once.
const READ_AHEAD: usize = 32;

/// One hop of the way.
#[derive(Clone, Copy)]
struct Leg {
    hop: Hop,
    mtu: Mtu,
    carry: bool,
}

impl Streams {
    /// Makes the frames that a stream may send now, of one block or of the manifest; whether there was something.
    pub(in crate::streams) fn send_something(&mut self, key: &StreamKey, now: Now) -> bool {
        let Some(way) = self.sent.get(key).map(|out| self.way_out_for(key, out)) else { return false };
        let Some(hop) = way.hop() else { return false };
        let Some(mut out) = self.sent.remove(key) else { return false };
        let way = Leg { hop, mtu: way.mtu(), carry: way.kind() == Kind::Carry };
        let made = match out.sending.next() {
            Some(Next::Block(number)) => self.send_block(key, &mut out, number, way, now),
            Some(Next::Manifest) => {
                self.send_manifest(key, &mut out, way, now);
                true
            }
            None => false,
        };
        self.put_sent(*key, out, now);
        made
    }

    fn send_block(&mut self, key: &StreamKey, out: &mut Outbound, number: u32, way: Leg, now: Now) -> bool {
        self.notice(key, out, way, now);
        let room = payload_room(way.mtu, true);
        let Some(mut packing) = Packing::new(out.block_size, room) else {
            return self.send_sliced(key, out, number, way, now);
        };
        let (mut next, mut payload, mut references) = (Some(number), None, Vec::new());
        while let (Some(number), None) = (next, &payload) {
            let Some((reference, bytes)) = self.block(key, out, number) else { break };
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            references.push(reference);
            payload = packing.push(&bytes);
            out.sending.sent(Next::Block(number), length, now.at);
            next = match out.sending.next() {
                Some(Next::Block(number)) => Some(number),
                Some(Next::Manifest) | None => None,
            };
        }
        let Some(payload) = payload.or_else(|| packing.take()) else { return false };
        let place = PackedBlocks::place(&payload);
        let hash = Some(place.hash);
        let header =
            Header { seq_id: Some(place), ..self.header(Mode::PACKED, key, out.auxiliary(key.stream)) };
        let frame = self.emit(key, header, (&payload, hash), way);
        if let (true, Some(id)) = (way.carry, frame) {
            for reference in references {
                self.forget_handed(out, Some(reference));
                out.handed.add(id, Some(reference));
            }
        }
        true
    }

    fn send_sliced(&mut self, key: &StreamKey, out: &mut Outbound, number: u32, way: Leg, now: Now) -> bool {
        let Some((reference, bytes)) = self.block(key, out, number) else { return false };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let Ok(slices) = cut(SliceOf::Block, reference.digest(), &bytes, payload_room(way.mtu, true)) else {
            // No way for blocks of this size: it waits for a wider one.
            out.sending.interrupted();
            return false;
        };
        self.forget_handed(out, Some(reference));
        for slice in slices {
            let header = Header {
                seq_id: Some(slice.place()),
                ..self.header(Mode::DATA, key, out.auxiliary(key.stream))
            };
            // A block that is its only slice is named by the hash of the payload.
            let hash = Some(reference.digest()).filter(|_| slice.place().max == 0);
            if let (true, Some(id)) = (way.carry, self.emit(key, header, (slice.bytes(), hash), way)) {
                out.handed.add(id, Some(reference));
            }
        }
        out.sending.sent(Next::Block(number), length, now.at);
        true
    }

    fn send_manifest(&mut self, key: &StreamKey, out: &mut Outbound, way: Leg, now: Now) {
        out.sending.sent(Next::Manifest, 0, now.at);
        let Some(sealed) = out.sealed.clone() else { return };
        let room = payload_room(way.mtu, true);
        let Ok(slices) = cut(SliceOf::SealedManifest, sealed.hash(), sealed.as_bytes(), room) else { return };
        self.forget_handed(out, None);
        for slice in slices {
            let header = Header {
                seq_id: Some(slice.place()),
                ..self.header(Mode::MANIFEST, key, out.auxiliary(key.stream))
            };
            if let (true, Some(id)) = (way.carry, self.emit(key, header, (slice.bytes(), None), way)) {
                out.handed.add(id, None);
            }
        }
    }

    /// This goes in other frames from now on.
    fn forget_handed(&mut self, out: &mut Outbound, reference: Option<Reference>) {
        for frame in out.handed.forget(reference) {
            self.handed.remove(&frame);
        }
    }

    /// Before the first block of a large stream its recipient is asked, in a way.
    fn notice(&mut self, key: &StreamKey, out: &mut Outbound, way: Leg, now: Now) {
        let size = match (&out.content, out.said) {
            (_, Some(said)) => said,
            (Content::Encoding(encoder), None) => encoder.content_len(),
            (Content::Collecting(_) | Content::Complete, None) => return,
        };
        if out.notice || size <= self.config.notice_above {
            return;
        }
        out.notice = true;
        let mut payload = Vec::new();
        PushNotice { time: self.wall(now), stream: key.stream, size }.encode_into(&mut payload);
        let header = Header::new(Mode::PUSH_NOTICE, *key.sender.as_bytes()).to(key.recipient);
        self.emit(key, header, (&payload, None), way);
    }

    fn header(&self, mode: Mode, key: &StreamKey, auxiliary: Auxiliary) -> Header {
        let header = Header::new(mode, *key.sender.as_bytes()).to(key.recipient);
        Header { auxiliary: Some(auxiliary.encode()), ..header }
    }

    /// Signs a frame of a sender of ours and lets it go; its name if a carrier gets it.
    /// The payload's hash, where it is known, saves making it.
    fn emit(
        &mut self,
        key: &StreamKey,
        header: Header,
        (payload, hash): (&[u8], Option<Digest>),
        way: Leg,
    ) -> Option<FrameId> {
        let local = self.locals.get(&key.sender)?;
        let header = Header { hops_left: local.hops, ..header };
        let hash = hash.unwrap_or_else(|| blake2b(&[payload]));
        let (frame, signed) = sign_hashed_frame(&*local.key, header, payload, hash);
        let id = way.carry.then(|| signed.id());
        if let Some(id) = id {
            self.handed.insert(id, (way.hop.neighbour, *key));
        }
        self.outbox.push_back(StreamTransmit { hop: way.hop, came_over: None, frame });
        id
    }

    /// The block of this number, if it is in memory; else it and those behind it are read.
    fn block(&mut self, key: &StreamKey, out: &mut Outbound, number: u32) -> Option<(Reference, Vec<u8>)> {
        if let Some(block) = out.at_hand.remove(&number) {
            return Some(block);
        }
        let most = (AT_HAND / out.block_size.bytes()).min(READ_AHEAD);
        for number in out.sending.ahead(most) {
            if out.at_hand.contains_key(&number)
                || out.unstored.contains(&number)
                || out.reading.contains(&number)
            {
                continue;
            }
            if !self.store.may_read() {
                self.waiting_to_read.insert(out.turn(*key));
                break;
            }
            let Some(group) = self.blocks_of(key, out) else { break };
            out.reading.insert(number);
            self.store.read(group, number, Reader::Sent { key: *key, number });
        }
        None
    }
}
