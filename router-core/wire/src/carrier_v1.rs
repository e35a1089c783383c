// SPDX-License-Identifier: AGPL-3.0-or-later
//! The carrier frame in the form of 0.6 routers, as far as peering needs it: Hello and Ack travel in it, so that
//! either generation recognises the other (source: deployed routers, section 3; wire page, peering).
//!
//! Recipient, auxiliary data and signature are absent in every peering frame, so they are not read here.

use ratman_types::Digest;

use crate::{DecodeError, MAX_PAYLOAD, Mode, Reader, SequenceId, Writer};

/// The version byte of 0.6 frames.
pub const VERSION: u8 = 1;

/// A carrier frame of version 1 without recipient, auxiliary data and signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameV1<'a> {
    /// What the payload is.
    pub mode: Mode,
    /// The id of the sending router.
    pub sender: [u8; 32],
    /// Which piece of something larger it carries.
    pub seq_id: Option<SequenceId>,
    /// What the mode says, at most [`MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

impl<'a> FrameV1<'a> {
    /// Parses exactly one frame: bytes behind it are an error.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("version")? != VERSION {
            return Err(DecodeError::Value("version"));
        }
        let mode = Mode(reader.u16("modes")?);
        let sender = reader.array("sender")?;
        absent(&mut reader, "recipient")?;
        let seq_id = reader.option("seq_id", |reader| {
            Ok(SequenceId {
                hash: Digest::from_bytes(reader.array("seq_id")?),
                num: reader.u8("seq_id")?,
                max: reader.u8("seq_id")?,
            })
        })?;
        absent(&mut reader, "auxiliary")?;
        absent(&mut reader, "signature")?;
        let length = usize::from(reader.u16("payload length")?);
        if length > MAX_PAYLOAD {
            return Err(DecodeError::TooLong { field: "payload", length, limit: MAX_PAYLOAD });
        }
        let payload = reader.bytes("payload", length)?;
        reader.end()?;
        Ok(Self { mode, sender, seq_id, payload })
    }

    /// The whole frame.
    ///
    /// # Panics
    /// If the payload is above [`MAX_PAYLOAD`].
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.payload.len() <= MAX_PAYLOAD, "a payload of {} bytes", self.payload.len());
        let length = u16::try_from(self.payload.len()).expect("MAX_PAYLOAD fits in two bytes");
        let mut buffer = Vec::new();
        Writer::new(&mut buffer)
            .u8(VERSION)
            .u16(self.mode.0)
            .bytes(&self.sender)
            .u8(0)
            .option(self.seq_id, |writer, seq| {
                writer.bytes(seq.hash.as_bytes()).u8(seq.num).u8(seq.max);
            })
            .u8(0)
            .u8(0)
            .u16(length)
            .bytes(self.payload);
        buffer
    }
}

/// In version 1 the first byte of an optional field is zero if and only if the field is absent.
fn absent(reader: &mut Reader<'_>, field: &'static str) -> Result<(), DecodeError> {
    if reader.u8(field)? == 0 { Ok(()) } else { Err(DecodeError::Value(field)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The header of an announcement that a 0.6.0 router sent, with two bytes of payload in place of its own.
    const CAPTURED: [u8; 77] = {
        let mut bytes = *b"\x01\x00\x04\
            \x74\x84\x64\x95\x6a\xdf\x7b\x36\x1f\x6c\x48\xb0\xe1\xae\xad\xe3\
            \x67\xff\x49\xd0\x06\xf4\xaf\x61\xfe\x5a\x37\x37\xfb\xab\xbf\x22\
            \x00\x01\
            \x88\x29\x0a\x2c\x2c\x6f\x9c\x65\x69\x02\x9f\x0a\x9c\xc9\xae\x8f\
            \xb3\x0d\x78\x71\x56\x75\x35\xea\x93\xaf\x18\xbf\x24\xd9\x7d\xb9\
            \x00\x00\x00\x00\x00\x68\x01\x32";
        bytes[74] = 2;
        bytes
    };

    #[test]
    fn a_captured_header_is_read_and_written() {
        let frame = FrameV1::decode(&CAPTURED).unwrap();
        assert_eq!(frame.mode, Mode::ANNOUNCEMENT);
        assert_eq!(frame.sender[..4], [0x74, 0x84, 0x64, 0x95]);
        let seq = frame.seq_id.unwrap();
        assert_eq!((seq.hash.as_bytes()[31], seq.num, seq.max), (0xb9, 0, 0));
        assert_eq!(frame.payload, [1, 0x32]);
        assert_eq!(frame.encode(), CAPTURED);
    }

    #[test]
    fn what_peering_frames_never_carry_is_refused() {
        let change = |index: usize, value: u8| {
            let mut bytes = CAPTURED;
            bytes[index] = value;
            FrameV1::decode(&bytes).map(|_| ())
        };
        assert_eq!(change(0, 2), Err(DecodeError::Value("version")));
        assert_eq!(change(35, 1), Err(DecodeError::Value("recipient")));
        assert_eq!(change(36, 9), Err(DecodeError::Tag { field: "seq_id", tag: 9 }));
        assert_eq!(change(71, 1), Err(DecodeError::Value("auxiliary")));
        assert_eq!(change(72, 1), Err(DecodeError::Value("signature")));
        assert_eq!(change(74, 1), Err(DecodeError::Trailing(1)));
        assert_eq!(change(74, 3), Err(DecodeError::Truncated { field: "payload", missing: 1 }));
        assert_eq!(
            change(73, 0x80),
            Err(DecodeError::TooLong { field: "payload", length: 32_770, limit: 32_768 })
        );
        for length in 0..CAPTURED.len() {
            assert!(FrameV1::decode(&CAPTURED[..length]).is_err(), "cut to {length}");
        }
    }

    proptest! {
        #[test]
        fn every_frame_round_trips(
            (mode, sender, seq) in any::<(u16, [u8; 32], Option<([u8; 32], u8, u8)>)>(),
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let seq_id = seq.map(|(hash, num, max)| SequenceId { hash: Digest::from_bytes(hash), num, max });
            let frame = FrameV1 { mode: Mode(mode), sender, seq_id, payload: &payload };
            let bytes = frame.encode();
            prop_assert_eq!(FrameV1::decode(&bytes), Ok(frame));
        }
    }
}
