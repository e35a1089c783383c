// SPDX-License-Identifier: AGPL-3.0-or-later
//! What becomes of a received frame of a stream: verified, then passed on, carried, or taken.

use ratman_eris::Reference;
use ratman_types::{Address, Hop, Now, Recipient, WallTime};
use ratman_wire::carrier::set_hops_left;
use ratman_wire::stream::{
    Auxiliary, DenyNotice, Lifetime, PackedBlocks, Progress, PullRequest, PushNotice, Receipt, Slice,
    StreamId,
};
use ratman_wire::{Frame, Header, Mode, SignedBytes};

use super::inbound::{address_of, is_block};
use super::{LOOPBACK, StreamEvent, StreamKey, StreamTransmit, Streams, Way};
use crate::stream::{SliceError, Whole};
use crate::{DropReason, sign_frame};

/// How far ahead of our clock a stream may have been made (source: wire page, freshness).
const AHEAD: i64 = 5 * 60 * 1_000_000;
/// Frames of others that wait to be sent on, for a driver that takes all of them in each turn; beyond, they are dropped.
const MOST_RELAYED: usize = 256;
/// Receipts and refusals name no end of their stream: they are carried as long as most streams are.
const CARRIED_WORDS: Lifetime = Lifetime::from_secs(7 * 86_400).expect("a week is below 30 days");

/// A decoded frame and what is asked of it first.
struct Arrived<'a> {
    from: Hop,
    frame: Frame<'a>,
    bytes: &'a [u8],
    sender: Address,
    recipient: Address,
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
        let frame = Frame::decode(bytes).map_err(|_| DropReason::MalformedFrame)?;
        let recipient = frame.header.recipient.ok_or(DropReason::NoRecipient)?;
        let recipient = address_of(recipient).ok_or(DropReason::NamespaceNotServed)?;
        let sender = frame.header.sender_address();
        let arrived = Arrived { from, frame, bytes, sender, recipient };
        if self.locals.contains_key(&recipient) {
            return self.receive_for_us(&arrived, now);
        }
        if frame.header.hops_left == 0 {
            return Err(DropReason::HopLimit);
        }
        match self.fib.lookup(&recipient, Some(from.neighbour)) {
            crate::Lookup::Via(via) => {
                if u32::try_from(bytes.len()).is_ok_and(|length| length > via.mtu.0) {
                    return Err(DropReason::FrameTooBig);
                }
                self.verify(&arrived)?;
                self.note_words_of_others(&arrived);
                self.relayed += 1;
                if self.outbox.len() >= MOST_RELAYED {
                    return Err(DropReason::TransmitQueueFull);
                }
                let frame = arrived.one_hop_on();
                self.outbox.push_back(StreamTransmit { hop: via.hop, came_over: Some(from.link), frame });
                Ok(())
            }
            crate::Lookup::OnlyWayBack => self.receive_to_carry(&arrived, DropReason::OnlyWayBack, now),
            crate::Lookup::NoRoute | crate::Lookup::Local => {
                self.receive_to_carry(&arrived, DropReason::NoRoute, now)
            }
        }
    }

    /// What was signed, if the signature holds.
    fn verify(&mut self, arrived: &Arrived<'_>) -> Result<SignedBytes, DropReason> {
        let signature = arrived.frame.header.signature.ok_or(DropReason::Unsigned)?;
        let signed = arrived.frame.signed_bytes();
        let holds = self.verifier.verify(&arrived.frame.header.sender, signed.as_bytes(), &signature);
        if holds {
            return Ok(signed);
        }
        self.events.push_back(StreamEvent::BadSignature { from: arrived.from });
        Err(DropReason::BadSignature)
    }

    /// Keeps what is of use later; what is only said between two ends that hear each other is not.
    fn receive_to_carry(
        &mut self,
        arrived: &Arrived<'_>,
        why: DropReason,
        now: Now,
    ) -> Result<(), DropReason> {
        let Frame { header, payload } = arrived.frame;
        let (stream, end) = match header.mode {
            Mode::DATA | Mode::MANIFEST | Mode::PACKED => {
                let auxiliary = self.auxiliary(&header, now)?;
                (auxiliary.stream, auxiliary.end())
            }
            Mode::RECEIPT => {
                let receipt = Receipt::decode(payload).map_err(|_| DropReason::MalformedPayload)?;
                (receipt.stream, self.end_of_word(receipt.time, now)?)
            }
            Mode::DENY_NOTICE => {
                let deny = DenyNotice::decode(payload).map_err(|_| DropReason::MalformedPayload)?;
                (deny.stream, self.end_of_word(deny.time, now)?)
            }
            _ => return Err(why),
        };
        let name = self.verify(arrived)?.id();
        self.note_words_of_others(arrived);
        let key = (arrived.sender, arrived.recipient, Some(stream));
        self.carry(arrived.from, key, end, (name, arrived.one_hop_on()), now)
    }

    /// Until when a receipt or a refusal of this time is carried.
    fn end_of_word(&self, time: WallTime, now: Now) -> Result<WallTime, DropReason> {
        if time.ahead_of(self.wall(now)) > AHEAD {
            return Err(DropReason::ClockWindow);
        }
        Ok(CARRIED_WORDS.end(time))
    }

    /// A verified receipt or refusal on its way to somebody else: what we carry of its stream has come, or is not wanted.
    fn note_words_of_others(&mut self, arrived: &Arrived<'_>) {
        let stream = match arrived.frame.header.mode {
            Mode::RECEIPT => Receipt::decode(arrived.frame.payload).map(|receipt| receipt.stream),
            Mode::DENY_NOTICE => DenyNotice::decode(arrived.frame.payload).map(|deny| deny.stream),
            _ => return,
        };
        if let Ok(stream) = stream {
            self.carried_is_over(&arrived.key_of_ours(stream));
        }
    }

    fn auxiliary(&self, header: &Header, now: Now) -> Result<Auxiliary, DropReason> {
        let auxiliary = header.auxiliary.ok_or(DropReason::UnnamedStream)?;
        let auxiliary = Auxiliary::decode(&auxiliary).map_err(|_| DropReason::UnnamedStream)?;
        let wall = self.wall(now);
        if auxiliary.created.ahead_of(wall) > AHEAD {
            return Err(DropReason::ClockWindow);
        }
        if auxiliary.end() <= wall { Err(DropReason::Expired) } else { Ok(auxiliary) }
    }

    fn receive_for_us(&mut self, arrived: &Arrived<'_>, now: Now) -> Result<(), DropReason> {
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
                self.with_sent(&arrived.key_of_ours(deny.stream), now, |_, out| out.sending.denied());
                self.tell_custody(arrived.from, vec![name]);
                Ok(())
            }
            Mode::RECEIPT => {
                let receipt = Receipt::decode(payload).map_err(malformed)?;
                let name = self.verify(arrived)?.id();
                let key = arrived.key_of_ours(receipt.stream);
                self.with_sent(&key, now, |_, out| out.sending.receipt(receipt.outcome));
                self.tell_custody(arrived.from, vec![name]);
                Ok(())
            }
            Mode::PULL_REQUEST => {
                let request = PullRequest::decode(payload).map_err(malformed)?;
                self.verify(arrived)?;
                let references: Option<Vec<Reference>> = request.references().map(|references| {
                    references.iter().map(|reference| Reference::from_bytes(*reference.as_bytes())).collect()
                });
                let key = arrived.key_of_ours(request.stream);
                self.pulled(&key, request.time, references.as_deref(), now);
                Ok(())
            }
            Mode::PROGRESS => {
                let progress = Progress::decode(payload).map_err(malformed)?;
                self.verify(arrived)?;
                let newest = Reference::from_bytes(*progress.newest.as_bytes());
                let key = arrived.key_of_ours(progress.stream);
                self.with_sent(&key, now, |_, out| {
                    out.sending.progressed(&newest, progress.received, now.at)
                });
                Ok(())
            }
            _ => Err(DropReason::NotDelivered),
        }
    }

    fn receive_slice(&mut self, arrived: &Arrived<'_>, now: Now) -> Result<(), DropReason> {
        let slice = Slice::decode(&arrived.frame).map_err(|_| DropReason::MalformedPayload)?;
        let auxiliary = self.auxiliary(&arrived.frame.header, now)?;
        let signed = self.verify(arrived)?;
        let (key, end, id) = (arrived.key_to_us(auxiliary.stream), auxiliary.end(), signed.id());
        let name = slice.place().hash;
        let whole = Whole {
            of: slice.of(),
            sender: arrived.sender,
            recipient: Recipient::Address(arrived.recipient),
            name,
        };
        if self.is_over(&key, (arrived.from, id)) {
            if !is_block(slice.of()) {
                self.answer_again(&key, now);
            }
            return Err(DropReason::StreamOver);
        }
        if is_block(slice.of()) && slice.place().max == 0 {
            // A whole block: the signature covers its hash, which is known by now.
            if signed.payload() != name {
                return Err(DropReason::BadSlices);
            }
            let block = core::iter::once((Reference::from_bytes(*name.as_bytes()), slice.bytes()));
            return self.receive_blocks(&key, end, block, arrived.from, now);
        }
        let added = self.collector.add(whole, &slice, arrived.from.neighbour, now.at);
        let whole = added.map_err(|error| match error {
            SliceError::Disagrees | SliceError::TooLong | SliceError::WrongName => DropReason::BadSlices,
        })?;
        let Some(bytes) = whole else { return Ok(()) };
        if is_block(slice.of()) {
            if ratman_eris::BlockSize::from_bytes(bytes.len()).is_none() {
                return Err(DropReason::MalformedPayload);
            }
            let block = core::iter::once((Reference::from_bytes(*name.as_bytes()), &bytes[..]));
            return self.receive_blocks(&key, end, block, arrived.from, now);
        }
        self.receive_manifest(&key, end, bytes, arrived.from, now)
    }

    fn receive_packed(&mut self, arrived: &Arrived<'_>, now: Now) -> Result<(), DropReason> {
        let packed = PackedBlocks::decode(&arrived.frame).map_err(|_| DropReason::MalformedPayload)?;
        let auxiliary = self.auxiliary(&arrived.frame.header, now)?;
        let id = self.verify(arrived)?.id();
        let key = arrived.key_to_us(auxiliary.stream);
        if self.is_over(&key, (arrived.from, id)) {
            return Err(DropReason::StreamOver);
        }
        let blocks = packed.blocks().map(|block| (Reference::of(block), block));
        self.receive_blocks(&key, auxiliary.end(), blocks, arrived.from, now)
    }

    /// Says something to the sender of a stream that comes to us, if there is a way.
    pub(super) fn answer(&mut self, key: &StreamKey, mode: Mode, payload: &[u8]) {
        let hop = match self.way(&key.sender) {
            Way::Local => LOOPBACK,
            Way::Live(via) | Way::Carry(via) => via.hop,
            Way::None => return,
        };
        let Some(local) = self.locals.get(&key.recipient) else { return };
        let header = Header::new(mode, *key.recipient.as_bytes()).to(Recipient::Address(key.sender));
        let frame = sign_frame(&*local.key, Header { hops_left: local.hops, ..header }, payload);
        self.outbox.push_back(StreamTransmit { hop, came_over: None, frame });
    }
}

impl Arrived<'_> {
    /// The stream, where the frame is from its sender.
    const fn key_to_us(&self, stream: StreamId) -> StreamKey {
        StreamKey { sender: self.sender, recipient: self.recipient, stream }
    }

    /// The stream, where the frame is from its recipient.
    const fn key_of_ours(&self, stream: StreamId) -> StreamKey {
        StreamKey { sender: self.recipient, recipient: self.sender, stream }
    }

    /// The frame as it goes on.
    fn one_hop_on(&self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        set_hops_left(&mut bytes, self.frame.header.hops_left.saturating_sub(1));
        bytes
    }
}
