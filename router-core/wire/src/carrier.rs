// SPDX-License-Identifier: AGPL-3.0-or-later
//! The carrier frame, version 2: what crosses one link (source: wire page, carrier frame).

mod frame_id;
mod signed_bytes;

use ratman_types::{Address, Digest, Mtu, Recipient, RouterId, Signature};

pub use frame_id::FrameId;
pub use signed_bytes::SignedBytes;

use crate::{DecodeError, Mode, Reader, Writer};

/// The version byte of our frames.
pub const VERSION: u8 = 2;
/// The largest payload, in bytes (source: manual, Appendix A).
pub const MAX_PAYLOAD: usize = 32_768;
/// The largest frame, in bytes: a header with every option, and the largest payload.
pub const MAX_FRAME: usize = 33_004;
/// What `hops_left` starts from, before the origin takes its fixed 0–7 away.
pub const MAX_HOPS: u8 = 64;
/// The header of a session frame: addressed, without options.
pub const SESSION_HEADER: usize = 74;
/// The header of a one-hop frame: signed.
pub const ONE_HOP_HEADER: usize = 106;
/// The header of a notice or request about a stream: addressed and signed.
pub const NOTICE_HEADER: usize = 138;
/// The header of a frame with blocks or a piece of something: addressed, in sequence and signed.
pub const DATA_HEADER: usize = 172;
/// What auxiliary bytes add to a header.
pub const AUXILIARY: usize = 64;

const HOPS_LEFT_OFFSET: usize = 1;
const MODE_OFFSET: usize = 2;

/// Which piece of something larger a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SequenceId {
    /// What the pieces belong to.
    pub hash: Digest,
    /// The number of this piece, from 0.
    pub num: u8,
    /// The highest number.
    pub max: u8,
}

/// Everything of a carrier frame but its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many forwarders may still handle the frame, at most [`MAX_HOPS`]: more would only make a circle longer.
    pub hops_left: u8,
    /// What the payload is.
    pub mode: Mode,
    /// The public key of the sender: an address, or a router id in one-hop frames.
    pub sender: [u8; 32],
    /// Whom it is for; nobody in announcements and one-hop frames.
    pub recipient: Option<Recipient>,
    /// Which piece of something larger it carries.
    pub seq_id: Option<SequenceId>,
    /// 64 bytes whose meaning the mode gives.
    pub auxiliary: Option<[u8; 64]>,
    /// The sender's signature over [`Frame::signed_bytes`] or [`Frame::hop_signed_bytes`].
    pub signature: Option<Signature>,
}

impl Header {
    /// A header without options.
    pub const fn new(mode: Mode, sender: [u8; 32]) -> Self {
        Self {
            hops_left: MAX_HOPS,
            mode,
            sender,
            recipient: None,
            seq_id: None,
            auxiliary: None,
            signature: None,
        }
    }

    /// The same header with a recipient.
    #[must_use]
    pub const fn to(mut self, recipient: Recipient) -> Self {
        self.recipient = Some(recipient);
        self
    }

    /// The sender as the address of an application.
    pub const fn sender_address(&self) -> Address {
        Address::from_bytes(self.sender)
    }

    /// The sender as a router, in one-hop frames.
    pub const fn sender_router(&self) -> RouterId {
        RouterId::from_bytes(self.sender)
    }

    /// How many bytes the header takes.
    pub const fn encoded_len(&self) -> usize {
        let recipient = if self.recipient.is_some() { 33 } else { 1 };
        let seq_id = if self.seq_id.is_some() { 35 } else { 1 };
        let auxiliary = if self.auxiliary.is_some() { 65 } else { 1 };
        let signature = if self.signature.is_some() { 65 } else { 1 };
        4 + 32 + recipient + seq_id + auxiliary + signature + 2
    }

    /// Appends the header of a frame with `payload_len` bytes of payload.
    ///
    /// # Panics
    /// If `payload_len` is above [`MAX_PAYLOAD`]: senders slice before they frame.
    pub fn encode_into(&self, payload_len: usize, buffer: &mut Vec<u8>) {
        assert!(payload_len <= MAX_PAYLOAD, "a payload of {payload_len} bytes was not sliced");
        let length = u16::try_from(payload_len).expect("MAX_PAYLOAD fits in two bytes");
        let mut writer = Writer::new(buffer);
        writer.u8(VERSION).u8(self.hops_left).u16(self.mode.0).bytes(&self.sender);
        match &self.recipient {
            None => writer.u8(0),
            Some(recipient) => writer.recipient(recipient),
        };
        writer
            .option(self.seq_id, |writer, seq| {
                writer.bytes(seq.hash.as_bytes()).u8(seq.num).u8(seq.max);
            })
            .option(self.auxiliary, |writer, auxiliary| {
                writer.bytes(&auxiliary);
            })
            .option(self.signature, |writer, signature| {
                writer.bytes(&signature.0);
            })
            .u16(length);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<(Self, usize), DecodeError> {
        reader.version(VERSION)?;
        let header = Self {
            hops_left: reader.u8("hops_left")?,
            mode: Mode(reader.u16("modes")?),
            sender: reader.array("sender")?,
            recipient: reader.recipient("recipient")?,
            seq_id: reader.option("seq_id", |reader| {
                Ok(SequenceId {
                    hash: Digest::from_bytes(reader.array("seq_id")?),
                    num: reader.u8("seq_id")?,
                    max: reader.u8("seq_id")?,
                })
            })?,
            auxiliary: reader.option("auxiliary", |reader| reader.array("auxiliary"))?,
            signature: reader.option("signature", |reader| reader.array("signature").map(Signature))?,
        };
        let length = usize::from(reader.u16("payload length")?);
        if length > MAX_PAYLOAD {
            return Err(DecodeError::TooLong { field: "payload", length, limit: MAX_PAYLOAD });
        }
        if header.hops_left > MAX_HOPS {
            return Err(DecodeError::Value("hops_left"));
        }
        if header.seq_id.is_some_and(|seq| seq.num > seq.max) {
            return Err(DecodeError::Value("seq_id"));
        }
        Ok((header, length))
    }
}

/// A carrier frame; the payload stays where it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Everything but the payload.
    pub header: Header,
    /// What the mode says, at most [`MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Parses exactly one frame: bytes behind it are an error. Allocates nothing.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let (header, length) = Header::decode(&mut reader)?;
        let payload = reader.bytes("payload", length)?;
        reader.end()?;
        Ok(Self { header, payload })
    }

    /// Appends the whole frame.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        buffer.reserve(self.header.encoded_len() + self.payload.len());
        self.header.encode_into(self.payload.len(), buffer);
        buffer.extend_from_slice(self.payload);
    }

    /// The whole frame in a buffer of its own.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        self.encode_into(&mut buffer);
        buffer
    }
}

/// The mode of an encoded frame, without parsing the rest; nothing if the bytes are too short to hold one.
pub fn peek_mode(frame: &[u8]) -> Option<Mode> {
    let bytes = frame.get(MODE_OFFSET..)?.first_chunk()?;
    Some(Mode(u16::from_be_bytes(*bytes)))
}

/// How many bytes of payload fit a frame with so long a header over a way of this MTU.
pub(crate) fn room_beside(header: usize, mtu: Mtu) -> usize {
    let mtu = usize::try_from(mtu.0).unwrap_or(usize::MAX);
    mtu.saturating_sub(header).min(MAX_PAYLOAD)
}

/// Writes `hops_left` into an encoded frame: all that a relay changes.
///
/// Does nothing to bytes that are too short to be a frame.
pub fn set_hops_left(frame: &mut [u8], hops_left: u8) {
    if let Some(byte) = frame.get_mut(HOPS_LEFT_OFFSET) {
        *byte = hops_left;
    }
}

#[cfg(test)]
mod tests;
