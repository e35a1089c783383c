// SPDX-License-Identifier: AGPL-3.0-or-later
//! What becomes of a received frame of a stream: verified, then passed on, carried, or taken.

use std::borrow::Cow;

use ratman_eris::Reference;
use ratman_types::{Address, Hop, Now, Recipient, WallTime};
use ratman_wire::carrier::set_hops_left;
use ratman_wire::stream::{
    Auxiliary, DenyNotice, Lifetime, PackedBlocks, Progress, PullRequest, PushNotice, Receipt, Slice,
    SliceOf, StreamId,
};
use ratman_wire::{Frame, FrameId, Header, Mode, SignedBytes};

use super::{LOOPBACK, StreamEvent, StreamKey, StreamTransmit, Streams};
use crate::stream::Whole;
use crate::{DropReason, sign_frame};

/// How far ahead of our clock a stream may have been made (source: wire page, freshness).
pub(super) const AHEAD: i64 = 5 * 60 * 1_000_000;
/// Frames of others that wait to be sent on, for a driver that takes all of them in each turn; beyond, they are dropped.
pub(super) const MOST_RELAYED: usize = 256;
/// Receipts and refusals name no end of their stream: they are carried as long as most streams are.
const CARRIED_WORDS: Lifetime = Lifetime::USUAL;

/// A decoded frame and what is asked of it first.
pub(super) struct Arrived<'a> {
    pub(super) from: Hop,
    pub(super) frame: Frame<'a>,
    pub(super) bytes: &'a [u8],
    pub(super) sender: Address,
    pub(super) recipient: Recipient,
}

impl Streams {
    /// Takes a received frame for which [`forward`](crate::forward) said [`Forward::Stream`](crate::Forward::Stream).
    pub fn handle_frame(&mut self, from: Hop, bytes: &[u8], now: Now) {
        if let Err(reason) = self.receive(from, bytes, now) {
            tracing::debug!(link = %from.link, %reason, "a frame of a stream was dropped");
            self.drops.count(reason);
        }
    }

    /// Takes a frame that we sent to ourselves.
    pub(super) fn receive_own(&mut self, bytes: &[u8], now: Now) {
        self.handle_frame(LOOPBACK, bytes, now);
    }

    /// The cheap questions first; the signature before anything is kept or passed on.
    fn receive(&mut self, from: Hop, bytes: &[u8], now: Now) -> Result<(), DropReason> {
        let arrived = Arrived::decode(from, bytes)?;
        let address = match arrived.recipient {
            Recipient::Address(address) => address,
            Recipient::Namespace(namespace) if arrived.frame.header.mode == Mode::ANYCAST => {
                return self.receive_probe(&arrived, namespace, now);
            }
            Recipient::Namespace(_) => return self.receive_flooded(&arrived, now),
        };
        if arrived.frame.header.mode == Mode::ANYCAST {
            self.check_probe_time(&arrived.frame, now)?;
        }
        if self.locals.contains_key(&address) {
            return self.receive_for_us(&arrived, address, now);
        }
        if arrived.frame.header.hops_left == 0 {
            return Err(DropReason::HopLimit);
        }
        match self.fib.lookup(&address, Some(from.neighbour)) {
            crate::Lookup::Via(via) => {
                if u32::try_from(bytes.len()).is_ok_and(|length| length > via.mtu.0) {
                    return Err(DropReason::FrameTooBig);
                }
                self.verify(&arrived)?;
                self.note_words_of_others(&arrived, address);
                self.relayed += 1;
                if self.outbox.len() >= MOST_RELAYED {
                    return Err(DropReason::TransmitQueueFull);
                }
                let frame = arrived.one_hop_on();
                self.outbox.push_back(StreamTransmit { hop: via.hop, came_over: Some(from.link), frame });
                Ok(())
            }
            crate::Lookup::OnlyWayBack => {
                self.receive_to_carry(&arrived, address, DropReason::OnlyWayBack, now)
            }
            crate::Lookup::NoRoute | crate::Lookup::Local => {
                self.receive_to_carry(&arrived, address, DropReason::NoRoute, now)
            }
        }
    }

    /// What was signed, if the signature holds.
    pub(super) fn verify(&mut self, arrived: &Arrived<'_>) -> Result<SignedBytes, DropReason> {
        let signed = arrived.frame.signed_bytes();
        self.verify_signed(arrived, &signed)?;
        Ok(signed)
    }

    /// As [`verify`](Self::verify), for who knows what was signed.
    pub(super) fn verify_signed(
        &mut self,
        arrived: &Arrived<'_>,
        signed: &SignedBytes,
    ) -> Result<(), DropReason> {
        let held = self.check_signature(&arrived.frame, signed);
        if held == Err(DropReason::BadSignature) {
            self.events.push_back(StreamEvent::BadSignature { from: arrived.from });
        }
        held
    }

    fn check_signature(&self, frame: &Frame<'_>, signed: &SignedBytes) -> Result<(), DropReason> {
        let signature = frame.header.signature.ok_or(DropReason::Unsigned)?;
        let holds = self.verifier.verify(&frame.header.sender, signed.as_bytes(), &signature);
        if holds { Ok(()) } else { Err(DropReason::BadSignature) }
    }

    /// Whether a frame that was stored is the one of this name still, with its signature: who passes on another is blamed for it.
    pub(super) fn is_as_it_came(&self, bytes: &[u8], name: FrameId) -> bool {
        let Ok(frame) = Frame::decode(bytes) else { return false };
        let signed = frame.signed_bytes();
        signed.id() == name && self.check_signature(&frame, &signed).is_ok()
    }

    /// Keeps what is of use later; what is only said between two ends that hear each other is not.
    fn receive_to_carry(
        &mut self,
        arrived: &Arrived<'_>,
        to: Address,
        why: DropReason,
        now: Now,
    ) -> Result<(), DropReason> {
        let header = arrived.frame.header;
        let (stream, end) = match header.mode {
            Mode::DATA | Mode::MANIFEST | Mode::PACKED => {
                let auxiliary = self.auxiliary(&header, now)?;
                (auxiliary.stream, auxiliary.end())
            }
            Mode::RECEIPT | Mode::DENY_NOTICE => {
                let (stream, time) = last_word(&arrived.frame).ok_or(DropReason::MalformedPayload)?;
                if time.ahead_of(self.wall(now)) > AHEAD {
                    return Err(DropReason::ClockWindow);
                }
                (stream, CARRIED_WORDS.end(time))
            }
            _ => return Err(why),
        };
        let name = self.verify(arrived)?.id();
        self.note_words_of_others(arrived, to);
        let key = (arrived.sender, to, Some(stream));
        self.carry(arrived.from, key, end, (name, arrived.one_hop_on()), now)
    }

    /// A verified receipt or refusal on its way to somebody else: what we carry of its stream has come, or is not wanted.
    fn note_words_of_others(&mut self, arrived: &Arrived<'_>, to: Address) {
        if let Some((stream, _)) = last_word(&arrived.frame) {
            self.carried_is_over(&arrived.key_of_stream_of(to, stream));
        }
    }

    pub(super) fn auxiliary(&self, header: &Header, now: Now) -> Result<Auxiliary, DropReason> {
        let auxiliary = header.auxiliary.ok_or(DropReason::UnnamedStream)?;
        let auxiliary = Auxiliary::decode(&auxiliary).map_err(|_| DropReason::UnnamedStream)?;
        let wall = self.wall(now);
        if auxiliary.created.ahead_of(wall) > AHEAD {
            return Err(DropReason::ClockWindow);
        }
        if auxiliary.end() <= wall { Err(DropReason::Expired) } else { Ok(auxiliary) }
    }

    fn receive_for_us(&mut self, arrived: &Arrived<'_>, us: Address, now: Now) -> Result<(), DropReason> {
        let Frame { header, payload } = arrived.frame;
        let malformed = |_| DropReason::MalformedPayload;
        match header.mode {
            Mode::DATA | Mode::MANIFEST => self.receive_slice(arrived, now),
            Mode::PACKED => self.receive_packed(arrived, now),
            Mode::PUSH_NOTICE => {
                let notice = PushNotice::decode(payload).map_err(malformed)?;
                self.verify(arrived)?;
                self.receive_notice(&arrived.key_to_us(notice.stream), notice.size, now);
                Ok(())
            }
            Mode::DENY_NOTICE => {
                let deny = DenyNotice::decode(payload).map_err(malformed)?;
                let name = self.verify(arrived)?.id();
                self.with_sent(&arrived.key_of_stream_of(us, deny.stream), now, |_, out| {
                    out.sending.denied()
                });
                self.tell_custody(arrived.from, vec![name]);
                Ok(())
            }
            Mode::RECEIPT => {
                let receipt = Receipt::decode(payload).map_err(malformed)?;
                let name = self.verify(arrived)?.id();
                let key = arrived.key_of_stream_of(us, receipt.stream);
                self.with_sent(&key, now, |_, out| out.sending.receipt(receipt.outcome));
                self.tell_custody(arrived.from, vec![name]);
                Ok(())
            }
            Mode::ANYCAST => self.receive_probe_answer(arrived, us, now),
            Mode::PULL_REQUEST => {
                let request = PullRequest::decode(payload).map_err(malformed)?;
                self.verify(arrived)?;
                let references: Option<Vec<Reference>> = request.references().map(|references| {
                    references.iter().map(|reference| Reference::from_bytes(*reference.as_bytes())).collect()
                });
                let key = arrived.key_of_stream_of(us, request.stream);
                self.pulled(&key, request.time, references.as_deref(), now)
            }
            Mode::PROGRESS => {
                let progress = Progress::decode(payload).map_err(malformed)?;
                self.verify(arrived)?;
                let newest = Reference::from_bytes(*progress.newest.as_bytes());
                let key = arrived.key_of_stream_of(us, progress.stream);
                self.with_sent(&key, now, |_, out| {
                    out.sending.progressed(&newest, progress.received, now.at)
                });
                Ok(())
            }
            _ => Err(DropReason::NotDelivered),
        }
    }

    pub(super) fn receive_slice(&mut self, arrived: &Arrived<'_>, now: Now) -> Result<(), DropReason> {
        let slice = Slice::decode(&arrived.frame).map_err(|_| DropReason::MalformedPayload)?;
        let auxiliary = self.auxiliary(&arrived.frame.header, now)?;
        let signed = self.verify(arrived)?;
        let (name, is_block) = (slice.place().hash, slice.of() == SliceOf::Block);
        if is_block && slice.place().max == 0 && signed.payload() != name {
            // A whole block: the signature covers its hash, which is known by now.
            return Err(DropReason::BadSlices);
        }
        let key = arrived.key_to_us(auxiliary.stream);
        let coming = if is_block { self.streams_of_blocks(&key) } else { vec![key] };
        if self.are_over(&key, &coming, (arrived.from, signed.id()), now) {
            return Err(DropReason::StreamOver);
        }
        let bytes = if is_block && slice.place().max == 0 {
            Cow::Borrowed(slice.bytes())
        } else {
            let whole = Whole { of: slice.of(), sender: arrived.sender, recipient: arrived.recipient, name };
            let added = self.collector.add(whole, &slice, arrived.from.neighbour, now.at);
            let Some(bytes) = added.map_err(|_| DropReason::BadSlices)? else { return Ok(()) };
            Cow::Owned(bytes)
        };
        if !is_block {
            return self.receive_manifest(&key, auxiliary.end(), bytes.into_owned(), arrived.from, now);
        }
        if ratman_eris::BlockSize::from_bytes(bytes.len()).is_none() {
            return Err(DropReason::MalformedPayload);
        }
        let block = (Reference::from_bytes(*name.as_bytes()), &bytes[..]);
        let each = coming.iter().map(|coming| {
            if self.may_have_blocks(coming, &key) {
                self.receive_blocks(coming, auxiliary.end(), core::iter::once(block), arrived.from, now)
            } else {
                Ok(())
            }
        });
        each.fold(Ok(()), Result::and)
    }

    /// Whether a stream may still be given blocks of a frame that names `named`: room for others may have been made of it meanwhile, and
    /// such blocks begin none but the one that is named.
    fn may_have_blocks(&self, key: &StreamKey, named: &StreamKey) -> bool {
        key == named || self.received.contains_key(key)
    }

    pub(super) fn receive_packed(&mut self, arrived: &Arrived<'_>, now: Now) -> Result<(), DropReason> {
        let packed = PackedBlocks::decode(&arrived.frame).map_err(|_| DropReason::MalformedPayload)?;
        let auxiliary = self.auxiliary(&arrived.frame.header, now)?;
        let id = self.verify(arrived)?.id();
        let key = arrived.key_to_us(auxiliary.stream);
        let coming = self.streams_of_blocks(&key);
        if self.are_over(&key, &coming, (arrived.from, id), now) {
            return Err(DropReason::StreamOver);
        }
        let each = coming.iter().map(|coming| {
            if !self.may_have_blocks(coming, &key) {
                return Ok(());
            }
            let blocks = packed.blocks().map(|block| (Reference::of(block), block));
            self.receive_blocks(coming, auxiliary.end(), blocks, arrived.from, now)
        });
        each.fold(Ok(()), Result::and)
    }

    /// Whether all streams that a frame is of need nothing more: then the sender of the one that it names, or a carrier, hears so.
    fn are_over(&mut self, key: &StreamKey, coming: &[StreamKey], frame: (Hop, FrameId), now: Now) -> bool {
        if coming.is_empty() {
            let (from, name) = frame;
            self.tell_custody(from, vec![name]);
            return true;
        }
        if coming != [*key] {
            return false;
        }
        let is_over = self.is_over(key, frame);
        if is_over {
            self.answer_again(key, now);
        }
        is_over
    }

    /// Says something to the sender of a stream that comes to us, if there is a way.
    pub(super) fn answer(&mut self, key: &StreamKey, mode: Mode, payload: &[u8]) {
        let Some(hop) = self.way(&key.sender).hop() else { return };
        let Recipient::Address(us) = key.recipient else { return };
        let Some(local) = self.locals.get(&us) else { return };
        let header = Header::new(mode, *us.as_bytes()).to(Recipient::Address(key.sender));
        let frame = sign_frame(&*local.key, Header { hops_left: local.hops, ..header }, payload);
        self.outbox.push_back(StreamTransmit { hop, came_over: None, frame });
    }
}

/// Of which stream a frame is the last word, and when that was said; nothing if it is none.
fn last_word(frame: &Frame<'_>) -> Option<(StreamId, WallTime)> {
    match frame.header.mode {
        Mode::RECEIPT => Receipt::decode(frame.payload).ok().map(|receipt| (receipt.stream, receipt.time)),
        Mode::DENY_NOTICE => DenyNotice::decode(frame.payload).ok().map(|deny| (deny.stream, deny.time)),
        _ => None,
    }
}

impl<'a> Arrived<'a> {
    pub(super) fn decode(from: Hop, bytes: &'a [u8]) -> Result<Self, DropReason> {
        let frame = Frame::decode(bytes).map_err(|_| DropReason::MalformedFrame)?;
        let recipient = frame.header.recipient.ok_or(DropReason::NoRecipient)?;
        let sender = frame.header.sender_address();
        Ok(Self { from, frame, bytes, sender, recipient })
    }

    /// The stream, where the frame is from its sender.
    const fn key_to_us(&self, stream: StreamId) -> StreamKey {
        StreamKey { sender: self.sender, recipient: self.recipient, stream }
    }

    /// The stream, where the frame is from its recipient to its sender.
    const fn key_of_stream_of(&self, sender: Address, stream: StreamId) -> StreamKey {
        StreamKey { sender, recipient: Recipient::Address(self.sender), stream }
    }

    /// The frame as it goes on.
    pub(super) fn one_hop_on(&self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        set_hops_left(&mut bytes, self.frame.header.hops_left.saturating_sub(1));
        bytes
    }
}
