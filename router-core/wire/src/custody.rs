// SPDX-License-Identifier: AGPL-3.0-or-later
//! Custody, mode 74: a router tells the neighbour that sent it frames which of them it has stored durably and answers for
//! from now on (source: wire page, streams).

use ratman_types::{Mtu, WallTime};

use crate::carrier::{ONE_HOP_HEADER, room_beside};
use crate::{DecodeError, FrameId, MAX_PAYLOAD, Reader, Writer};

/// The frames that a router has taken: time ‖ n u16 ‖ n names of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custody {
    /// The sender's corrected time, strictly increasing per link.
    pub time: WallTime,
    // INVARIANT: from 1 to MAX_FRAMES.
    frames: Vec<FrameId>,
}

impl Custody {
    const FRONT: usize = 8 + 2;
    const NAME: usize = 32;
    /// The most frames that one custody names: what a payload holds.
    pub const MAX_FRAMES: usize = (MAX_PAYLOAD - Self::FRONT) / Self::NAME;

    /// Names these frames.
    ///
    /// # Errors
    /// No frame, or more than [`Custody::MAX_FRAMES`].
    pub fn new(time: WallTime, frames: Vec<FrameId>) -> Result<Self, DecodeError> {
        let (length, limit) = (frames.len() * Self::NAME, Self::MAX_FRAMES * Self::NAME);
        if frames.is_empty() {
            return Err(DecodeError::Value("frames"));
        }
        if length > limit {
            return Err(DecodeError::TooLong { field: "frames", length, limit });
        }
        Ok(Self { time, frames })
    }

    /// How many frames one custody names over a link of this MTU.
    pub fn room(mtu: Mtu) -> usize {
        room_beside(ONE_HOP_HEADER, mtu).saturating_sub(Self::FRONT) / Self::NAME
    }

    /// The frames, at least one.
    pub fn frames(&self) -> &[FrameId] {
        &self.frames
    }

    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let time = WallTime::from_micros(reader.u64("time")?);
        let count = usize::from(reader.u16("frames")?);
        let frames = reader.bytes("frames", count * Self::NAME)?.as_chunks().0;
        reader.end()?;
        Self::new(time, frames.iter().copied().map(FrameId::from_bytes).collect())
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        let count = u16::try_from(self.frames.len()).expect("MAX_FRAMES fits in two bytes");
        let mut writer = Writer::new(buffer);
        writer.u64(self.time.as_micros()).u16(count);
        for frame in &self.frames {
            writer.bytes(frame.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz_custody;
    use crate::{Frame, Header, Mode};
    use proptest::prelude::*;
    use ratman_types::Signature;

    fn of(count: usize) -> Result<Custody, DecodeError> {
        let time = WallTime::from_micros(0x0102_0304_0506_0708);
        Custody::new(time, vec![FrameId::from_bytes([0x33; 32]); count])
    }

    fn encode(custody: &Custody) -> Vec<u8> {
        let mut buffer = Vec::new();
        custody.encode_into(&mut buffer);
        buffer
    }

    #[test]
    fn golden_bytes() {
        let mut golden = [&[1, 2, 3, 4, 5, 6, 7, 8, 0, 2][..], &[0x33; 64]].concat();
        assert_eq!(encode(&of(2).unwrap()), golden);
        assert_eq!(Custody::decode(&golden), of(2));
        assert_eq!(of(2).unwrap().frames().len(), 2);
        for length in 0..golden.len() {
            assert!(Custody::decode(&golden[..length]).is_err(), "cut to {length}");
        }
        golden.push(0);
        assert_eq!(Custody::decode(&golden), Err(DecodeError::Trailing(1)));
        assert_eq!(Custody::decode(&[0; 10]), Err(DecodeError::Value("frames")), "custody of nothing");
    }

    #[test]
    fn a_list_is_never_larger_than_a_frame() {
        assert_eq!(Custody::MAX_FRAMES, 1023);
        let mut largest = encode(&of(1023).unwrap());
        assert!(largest.len() <= MAX_PAYLOAD && largest.len() + 32 > MAX_PAYLOAD);
        assert_eq!(Custody::decode(&largest), of(1023));
        let too_long = Err(DecodeError::TooLong { field: "frames", length: 1024 * 32, limit: 1023 * 32 });
        assert_eq!(of(1024), too_long);
        largest[8..10].copy_from_slice(&1024_u16.to_be_bytes());
        largest.extend([0; 32]);
        assert_eq!(Custody::decode(&largest), too_long);
    }

    #[test]
    fn as_many_as_fit_the_link() {
        let header = Header { signature: Some(Signature([0; 64])), ..Header::new(Mode::CUSTODY, [0; 32]) };
        let frame = |count| Frame { header, payload: &encode(&of(count).unwrap()) }.encode().len();
        assert_eq!(Custody::room(Mtu(u32::try_from(frame(4)).unwrap())), 4);
        assert_eq!(Custody::room(Mtu(u32::try_from(frame(4)).unwrap() - 1)), 3);
        assert_eq!(Custody::room(Mtu(0)), 0);
        assert_eq!(Custody::room(Mtu(u32::MAX)), Custody::MAX_FRAMES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0..6_u8) {
            fuzz_custody(&bytes);
            bytes.resize(10 + usize::from(count) * 32, 0);
            bytes[8..10].copy_from_slice(&[0, count]);
            fuzz_custody(&bytes);
        }
    }
}
