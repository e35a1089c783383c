// SPDX-License-Identifier: AGPL-3.0-or-later
//! What gateways say to each other about their sessions: the payloads of modes 0x8001–0x8005, what stands inside
//! the handshake messages, and the records inside sealed data (source: wire page, gateway sessions).
//!
//! All lengths but that of data are fixed. The initiation is the largest of the handshake's messages, so that an
//! answer to a forged sender never amplifies; a constant assertion below holds that.

mod path_report;

use ratman_types::WallTime;

pub use path_report::{PathReason, PathReport};

use crate::{DecodeError, Reader, Writer};

/// The version byte inside both handshake messages.
pub const SESSION_VERSION: u8 = 1;
/// What the Noise initiation costs beside its payload: ephemeral key, sealed static key, tag.
const NOISE_INITIATION: usize = 32 + 48 + 16;
/// What the Noise response costs beside its payload: ephemeral key, tag.
const NOISE_RESPONSE: usize = 32 + 16;
/// The payload of a frame of mode 0x8001, in bytes.
pub const INITIATION_LEN: usize = 4 + NOISE_INITIATION + InitiationPayload::LEN + 16;
/// The payload of a frame of mode 0x8002, in bytes.
pub const RESPONSE_LEN: usize = 8 + NOISE_RESPONSE + ResponsePayload::LEN;
/// The payload of a frame of mode 0x8004, in bytes.
pub const COOKIE_LEN: usize = 4 + 16;
/// The authentication tag at the end of a data frame, in bytes.
pub const DATA_TAG: usize = 16;

const _: () =
    assert!(INITIATION_LEN >= RESPONSE_LEN && INITIATION_LEN >= COOKIE_LEN, "answers must not amplify");

/// The number by which the receiver of a frame finds its session; chosen by the receiver, random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionIndex(pub u32);

/// What a gateway can do, as bits; unknown bits are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// AES-256-GCM is cheaper than ChaCha20-Poly1305 on this machine.
    pub const AES_IN_HARDWARE: Self = Self(1);

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Mode 0x8001: the first message of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initiation {
    /// The initiator's index for the session.
    pub sender: SessionIndex,
    /// The first message of Noise_IK, with an [`InitiationPayload`] inside.
    pub noise: [u8; NOISE_INITIATION + InitiationPayload::LEN],
    /// Keyed BLAKE2s-128 over [`Initiation::authenticated_bytes`] with the cookie as key; zeros without cookie.
    pub mac2: [u8; 16],
}

impl Initiation {
    /// Parses exactly one initiation.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let initiation = Self {
            sender: SessionIndex(reader.u32("sender index")?),
            noise: reader.array("noise")?,
            mac2: reader.array("mac2")?,
        };
        reader.end()?;
        Ok(initiation)
    }

    /// The payload of the frame, [`INITIATION_LEN`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = self.authenticated_bytes();
        Writer::new(&mut buffer).bytes(&self.mac2);
        buffer
    }

    /// Everything but `mac2`: what the cookie and `mac2` are computed over.
    pub fn authenticated_bytes(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(INITIATION_LEN);
        Writer::new(&mut buffer).u32(self.sender.0).bytes(&self.noise);
        buffer
    }
}

/// Mode 0x8002: the second message of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The responder's index for the session.
    pub sender: SessionIndex,
    /// The initiator's index, from its initiation.
    pub receiver: SessionIndex,
    /// The second message of Noise_IK, with a [`ResponsePayload`] inside.
    pub noise: [u8; NOISE_RESPONSE + ResponsePayload::LEN],
}

impl Response {
    /// Parses exactly one response.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let response = Self {
            sender: SessionIndex(reader.u32("sender index")?),
            receiver: SessionIndex(reader.u32("receiver index")?),
            noise: reader.array("noise")?,
        };
        reader.end()?;
        Ok(response)
    }

    /// The payload of the frame, [`RESPONSE_LEN`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(RESPONSE_LEN);
        Writer::new(&mut buffer).u32(self.sender.0).u32(self.receiver.0).bytes(&self.noise);
        buffer
    }
}

/// Mode 0x8004: what a responder under load asks the initiator to prove that it can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieReply {
    /// The sender index of the initiation that it answers.
    pub receiver: SessionIndex,
    /// The key of `mac2` in the repeated initiation.
    pub cookie: [u8; 16],
}

impl CookieReply {
    /// Parses exactly one cookie.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let reply =
            Self { receiver: SessionIndex(reader.u32("receiver index")?), cookie: reader.array("cookie")? };
        reader.end()?;
        Ok(reply)
    }

    /// The payload of the frame, [`COOKIE_LEN`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(COOKIE_LEN);
        Writer::new(&mut buffer).u32(self.receiver.0).bytes(&self.cookie);
        buffer
    }
}

/// What the initiator says inside its Noise message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitiationPayload {
    /// max(now, last + 1) of the initiator: never the same twice, so that a replay is known by it.
    pub time: WallTime,
    /// What the initiator can do.
    pub capabilities: Capabilities,
}

impl InitiationPayload {
    /// Its length in bytes.
    pub const LEN: usize = 8 + 1 + 4;

    /// Parses what an initiation carried; another [`SESSION_VERSION`] is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let time = WallTime::from_micros(reader.u64("time")?);
        let capabilities = version_and_capabilities(&mut reader)?;
        reader.end()?;
        Ok(Self { time, capabilities })
    }

    /// The bytes to be sealed.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(Self::LEN);
        Writer::new(&mut buffer).u64(self.time.as_micros()).u8(SESSION_VERSION).u32(self.capabilities.0);
        buffer
    }
}

/// What the responder says inside its Noise message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsePayload {
    /// What the responder can do; both ends use what both can.
    pub capabilities: Capabilities,
}

impl ResponsePayload {
    /// Its length in bytes.
    pub const LEN: usize = 1 + 4;

    /// Parses what a response carried; another [`SESSION_VERSION`] is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let capabilities = version_and_capabilities(&mut reader)?;
        reader.end()?;
        Ok(Self { capabilities })
    }

    /// The bytes to be sealed.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(Self::LEN);
        Writer::new(&mut buffer).u8(SESSION_VERSION).u32(self.capabilities.0);
        buffer
    }
}

fn version_and_capabilities(reader: &mut Reader<'_>) -> Result<Capabilities, DecodeError> {
    if reader.u8("session version")? != SESSION_VERSION {
        return Err(DecodeError::Value("session version"));
    }
    Ok(Capabilities(reader.u32("capabilities")?))
}

/// Mode 0x8003: what stands before the ciphertext, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// The last record goes on in the frame of the next counter.
    pub goes_on: bool,
    /// How many bytes at the beginning of the plaintext belong to a record that the frame of the previous counter
    /// began: a receiver that missed that frame passes over them and loses no other record.
    pub continued: u16,
    /// The receiver's index for the session.
    pub receiver: SessionIndex,
    /// The frame's number under this key and its nonce.
    pub counter: u64,
}

impl DataHeader {
    /// Its length in bytes.
    pub const LEN: usize = 16;
    /// How many bytes of it are the associated data of the AEAD: type, flags and receiver index.
    pub const ASSOCIATED: usize = 8;
    const TYPE: u8 = 1;
    const GOES_ON: u8 = 1;

    /// Parses a header: type 1 ‖ flags ‖ continued 2 ‖ receiver index 4 ‖ counter 8; other types and flags are errors.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("type")? != Self::TYPE {
            return Err(DecodeError::Value("type"));
        }
        Ok(Self {
            goes_on: match reader.u8("flags")? {
                0 => false,
                Self::GOES_ON => true,
                _ => return Err(DecodeError::Value("flags")),
            },
            continued: reader.u16("continued")?,
            receiver: SessionIndex(reader.u32("receiver index")?),
            counter: reader.u64("counter")?,
        })
    }

    /// The header's bytes; allocates nothing.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = Self::TYPE;
        bytes[1] = if self.goes_on { Self::GOES_ON } else { 0 };
        bytes[2..4].copy_from_slice(&self.continued.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.receiver.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }
}

/// What stands before each packet inside the plaintext of a data frame, 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The length of the packet alone, at least 1.
    pub length: u16,
    /// The virtio-net header that the packet had at the sender's TUN, its integers big-endian; untrusted.
    pub metadata: [u8; 10],
}

impl RecordHeader {
    /// Its length in bytes.
    pub const LEN: usize = 12;

    /// Parses a header; a packet without bytes is an error.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let header = Self { length: reader.u16("record length")?, metadata: reader.array("metadata")? };
        if header.length == 0 { Err(DecodeError::Value("record length")) } else { Ok(header) }
    }

    /// The header's bytes; allocates nothing.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..2].copy_from_slice(&self.length.to_be_bytes());
        bytes[2..].copy_from_slice(&self.metadata);
        bytes
    }
}

#[cfg(test)]
mod tests;
