// SPDX-License-Identifier: AGPL-3.0-or-later
//! How two routers meet on a link and prove their keys: Hello and Ack in the form of 0.6 routers, then Challenge
//! and Proof (source: wire page, peering over a netmod; deployed routers, section 6).
//!
//! The dialer says Hello, the listener Ack; each names its router id and a nonce. Each repeats its nonce in a
//! Challenge and signs both nonces, both ids and the hash of Hello and Ack in its Proof.

use ratman_types::{Digest, RouterId, Signature, blake2b};

use crate::carrier_v1::{self, FrameV1};
use crate::{DecodeError, Frame, Header, Mode, ModeClass, Reader, SequenceId, Writer};

/// The longest frame of a peering, in bytes; a Hello takes 125.
pub const MAX_PEERING_FRAME: usize = 256;

const PROOF_DOMAIN: &[u8] = b"irdest peering 1";
/// `num` and `max` of the sequence id that marks a greeting of this generation.
const GENERATION: u8 = 2;

/// 32 random bytes, drawn for one connection.
pub type Nonce = [u8; 32];

/// Why a peering frame is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeeringError {
    /// A greeting without our sequence id: the peer is a 0.6 router, which can prove nothing.
    #[error("the peer is a 0.6 router: its greeting carries no nonce")]
    Deployed06,
    /// Not the frame that the peering expects now.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Which end of a connection a router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It made the connection and says Hello.
    Dialer,
    /// It accepted the connection and says Ack.
    Listener,
}

impl Role {
    const fn tag(self) -> u8 {
        match self {
            Self::Dialer => 0,
            Self::Listener => 1,
        }
    }

    const fn greeting_mode(self) -> Mode {
        match self {
            Self::Dialer => Mode::HELLO,
            Self::Listener => Mode::ACK,
        }
    }
}

/// A Hello or an Ack: who the sender claims to be, and the nonce that the other is to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// A Hello comes from the dialer, an Ack from the listener.
    pub role: Role,
    /// The claimed router id.
    pub router: RouterId,
    /// Fresh for this connection; stands in the sequence id, where a 0.6 router has none.
    pub nonce: Nonce,
}

impl Greeting {
    /// The whole frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(50);
        let mut writer = Writer::new(&mut payload);
        // bincode of 0.6: variant and peer type (0, Standard) as u32, length of the id as u64, little-endian.
        writer.bytes(&u32::from(self.role.tag()).to_le_bytes()).u32(0);
        if self.role == Role::Dialer {
            writer.u16(0); // self_port, which no 0.6 router sets
        }
        writer.bytes(&32_u64.to_le_bytes()).bytes(self.router.as_bytes());
        let seq_id = SequenceId { hash: Digest::from_bytes(self.nonce), num: GENERATION, max: GENERATION };
        FrameV1 {
            mode: self.role.greeting_mode(),
            sender: *self.router.as_bytes(),
            seq_id: Some(seq_id),
            payload: &payload,
        }
        .encode()
    }

    /// Parses the greeting of a peer in the given role.
    ///
    /// # Errors
    /// [`PeeringError::Deployed06`] for a well-framed greeting without sequence id, whatever its peer type.
    pub fn decode(bytes: &[u8], role: Role) -> Result<Self, PeeringError> {
        let frame = FrameV1::decode(bytes)?;
        if frame.mode != role.greeting_mode() {
            return Err(DecodeError::Value("modes").into());
        }
        let seq_id = frame.seq_id.ok_or(PeeringError::Deployed06)?;
        if (seq_id.num, seq_id.max) != (GENERATION, GENERATION) {
            return Err(DecodeError::Value("seq_id").into());
        }
        let greeting =
            Self { role, router: RouterId::from_bytes(frame.sender), nonce: *seq_id.hash.as_bytes() };
        greeting.check_payload(frame.payload)?;
        Ok(greeting)
    }

    fn check_payload(&self, payload: &[u8]) -> Result<(), DecodeError> {
        let mut reader = Reader::new(payload);
        expect(&mut reader, "variant", &u32::from(self.role.tag()).to_le_bytes())?;
        expect(&mut reader, "peer type", &[0; 4])?;
        if self.role == Role::Dialer {
            expect(&mut reader, "self_port", &[0; 2])?;
        }
        expect(&mut reader, "id length", &32_u64.to_le_bytes())?;
        expect(&mut reader, "router id", self.router.as_bytes())?;
        reader.end()
    }
}

fn expect(reader: &mut Reader<'_>, field: &'static str, value: &[u8]) -> Result<(), DecodeError> {
    if reader.bytes(field, value.len())? == value { Ok(()) } else { Err(DecodeError::Value(field)) }
}

/// The frame that asks the other to sign our nonce.
pub fn encode_challenge(own: &Greeting) -> Vec<u8> {
    Frame { header: header(Mode::CHALLENGE, own.router), payload: &own.nonce }.encode()
}

/// Checks that a Challenge repeats the greeting of the peer: its router id and its nonce.
pub fn check_challenge(bytes: &[u8], peer: &Greeting) -> Result<(), PeeringError> {
    let payload = payload(bytes, Mode::CHALLENGE, peer.router)?;
    if payload == peer.nonce { Ok(()) } else { Err(DecodeError::Value("nonce").into()) }
}

/// The frame that carries a signature over [`proof_message`].
pub fn encode_proof(router: RouterId, signature: &Signature) -> Vec<u8> {
    Frame { header: header(Mode::PROOF, router), payload: &signature.0 }.encode()
}

/// The signature that the Proof of `router` carries; whether it holds is the caller's to verify.
pub fn decode_proof(bytes: &[u8], router: RouterId) -> Result<Signature, PeeringError> {
    let payload = payload(bytes, Mode::PROOF, router)?;
    let signature = payload.try_into().map_err(|_| DecodeError::Value("proof"))?;
    Ok(Signature(signature))
}

/// What a router signs to prove its key: good for this driver, this role, these two routers and this connection.
///
/// `greetings` is [`greetings_digest`]. Of all fields only the driver's name has no fixed length, so no two
/// different sets of values make the same message.
pub fn proof_message(netmod: &str, signer: &Greeting, other: &Greeting, greetings: &Digest) -> Vec<u8> {
    [
        PROOF_DOMAIN,
        netmod.as_bytes(),
        &[signer.role.tag()],
        signer.router.as_bytes(),
        other.router.as_bytes(),
        &signer.nonce,
        &other.nonce,
        greetings.as_bytes(),
    ]
    .concat()
}

/// `H(Hello ‖ Ack)` over both frames as they crossed the link, without what the medium wraps around them.
pub fn greetings_digest(hello: &[u8], ack: &[u8]) -> Digest {
    blake2b(&[hello, ack])
}

/// `H(dialer's Proof ‖ listener's Proof)` over both frames as they crossed the link: what names the link in
/// [`Frame::hop_signed_bytes`].
pub fn proofs_digest(dialers: &[u8], listeners: &[u8]) -> Digest {
    blake2b(&[dialers, listeners])
}

/// Whether an encoded frame of either version is the netmod's own (modes 32–63) and must not reach the router.
pub fn is_peering(frame: &[u8]) -> bool {
    let mode = match frame {
        [carrier_v1::VERSION, high, low, ..] | [crate::carrier::VERSION, _, high, low, ..] => [*high, *low],
        _ => return false,
    };
    Mode(u16::from_be_bytes(mode)).class() == ModeClass::Peering
}

/// `hops_left` is 0: nobody forwards a peering frame.
const fn header(mode: Mode, router: RouterId) -> Header {
    Header { hops_left: 0, ..Header::new(mode, *router.as_bytes()) }
}

fn payload(bytes: &[u8], mode: Mode, router: RouterId) -> Result<&[u8], DecodeError> {
    let frame = Frame::decode(bytes)?;
    if frame.header.mode != mode {
        return Err(DecodeError::Value("modes"));
    }
    if frame.header != header(mode, router) {
        return Err(DecodeError::Value("header"));
    }
    Ok(frame.payload)
}

#[cfg(test)]
mod tests;
