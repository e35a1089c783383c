// SPDX-License-Identifier: AGPL-3.0-or-later
//! What sender and recipient of a stream tell each other about it: PushNotice, DenyNotice and Receipt, modes 16, 17 and
//! 19 (source: manual, push routing; wire page, streams).
//!
//! Whose stream is meant say sender and recipient of the frame; all three are idempotent.

use ratman_types::{ByteCount, WallTime};

use super::StreamId;
use crate::{DecodeError, Reader, Writer};

/// A large stream is on its way: time ‖ stream id 32 ‖ size u64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushNotice {
    /// The sender's corrected time.
    pub time: WallTime,
    /// The sender's stream.
    pub stream: StreamId,
    /// How large it will be, as far as the sender knows.
    pub size: ByteCount,
}

impl PushNotice {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let (time, stream) = front(&mut reader)?;
        let notice = Self { time, stream, size: ByteCount(reader.u64("size")?) };
        reader.end()?;
        Ok(notice)
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        write_front(buffer, self.time, &self.stream).u64(self.size.0);
    }
}

/// A stream is not wanted, its sender stops and relays forget it: time ‖ stream id 32.
///
/// The stream is the one that the frame's recipient sends to the frame's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenyNotice {
    /// The denying address's corrected time.
    pub time: WallTime,
    /// The stream of whom this frame is for.
    pub stream: StreamId,
}

impl DenyNotice {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let (time, stream) = front(&mut reader)?;
        reader.end()?;
        Ok(Self { time, stream })
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        write_front(buffer, self.time, &self.stream);
    }
}

/// What became of a stream at its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The recipient has all of it.
    Delivered,
    /// The recipient does not take it.
    Refused,
}

/// The end of a stream: time ‖ stream id 32 ‖ 1 delivered or 2 refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The recipient's corrected time.
    pub time: WallTime,
    /// The stream of whom this frame is for.
    pub stream: StreamId,
    /// What became of it.
    pub outcome: Outcome,
}

impl Receipt {
    const DELIVERED: u8 = 1;
    const REFUSED: u8 = 2;

    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let (time, stream) = front(&mut reader)?;
        let outcome = match reader.u8("outcome")? {
            Self::DELIVERED => Outcome::Delivered,
            Self::REFUSED => Outcome::Refused,
            tag => return Err(DecodeError::Tag { field: "outcome", tag }),
        };
        reader.end()?;
        Ok(Self { time, stream, outcome })
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        write_front(buffer, self.time, &self.stream).u8(match self.outcome {
            Outcome::Delivered => Self::DELIVERED,
            Outcome::Refused => Self::REFUSED,
        });
    }
}

/// What all of them, and pull requests, begin with: time ‖ stream id 32.
pub(super) fn front(reader: &mut Reader<'_>) -> Result<(WallTime, StreamId), DecodeError> {
    Ok((WallTime::from_micros(reader.u64("time")?), StreamId::from_bytes(reader.array("stream id")?)))
}

pub(super) fn write_front<'a>(buffer: &'a mut Vec<u8>, time: WallTime, stream: &StreamId) -> Writer<'a> {
    let mut writer = Writer::new(buffer);
    writer.u64(time.as_micros()).bytes(stream.as_bytes());
    writer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz_notices;
    use proptest::prelude::*;

    const TIME: WallTime = WallTime::from_micros(0x0102_0304_0506_0708);
    const STREAM: StreamId = StreamId::from_bytes([0x22; 32]);

    fn golden(rest: &[u8]) -> Vec<u8> {
        [&[1, 2, 3, 4, 5, 6, 7, 8][..], &[0x22; 32], rest].concat()
    }

    fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut buffer = vec![0xEE];
        write(&mut buffer);
        assert_eq!(buffer.remove(0), 0xEE, "what the buffer held stays");
        buffer
    }

    #[test]
    fn golden_bytes() {
        let push = PushNotice { time: TIME, stream: STREAM, size: ByteCount(0x1112) };
        let bytes = golden(&[0, 0, 0, 0, 0, 0, 0x11, 0x12]);
        assert_eq!(encoded(|buffer| push.encode_into(buffer)), bytes);
        assert_eq!(PushNotice::decode(&bytes), Ok(push));

        let deny = DenyNotice { time: TIME, stream: STREAM };
        assert_eq!(encoded(|buffer| deny.encode_into(buffer)), golden(&[]));
        assert_eq!(DenyNotice::decode(&golden(&[])), Ok(deny));

        for (outcome, byte) in [(Outcome::Delivered, 1), (Outcome::Refused, 2)] {
            let receipt = Receipt { time: TIME, stream: STREAM, outcome };
            assert_eq!(encoded(|buffer| receipt.encode_into(buffer)), golden(&[byte]));
            assert_eq!(Receipt::decode(&golden(&[byte])), Ok(receipt));
        }
    }

    #[test]
    fn other_lengths_and_outcomes_are_refused() {
        let bytes = golden(&[0; 30]);
        for length in 0..bytes.len() {
            let bytes = &bytes[..length];
            assert_eq!(PushNotice::decode(bytes).is_ok(), length == 48, "{length}");
            assert_eq!(DenyNotice::decode(bytes).is_ok(), length == 40, "{length}");
            assert!(Receipt::decode(bytes).is_err(), "{length}");
        }
        for tag in [0, 3, 255] {
            assert_eq!(Receipt::decode(&golden(&[tag])), Err(DecodeError::Tag { field: "outcome", tag }));
        }
        assert_eq!(Receipt::decode(&golden(&[1, 0])), Err(DecodeError::Trailing(1)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 38..50), outcome in 0..4_u8) {
            fuzz_notices(&bytes);
            fuzz_notices(&[&bytes[..38], &[0, 0, outcome]].concat());
        }
    }
}
