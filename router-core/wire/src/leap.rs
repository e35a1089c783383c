// SPDX-License-Identifier: AGPL-3.0-or-later
//! MTU leap-frogging, modes 69 and 73: a frame that is too large for a link crosses it in fragments and goes on whole
//! (source: manual, MTU leap-frogging; wire page, streams).
//!
//! The whole encoded frame is cut, signature and all: a relay cannot sign slices of its own for the sender.

use ratman_types::{Mtu, WallTime};

use crate::carrier::{ONE_HOP_HEADER, room_beside};
use crate::{DecodeError, MAX_FRAME, Reader, Writer};

/// The number of a frame among those that a router cuts for one neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeapId(pub u32);

/// A frame follows in fragments: time ‖ id 4 ‖ inc_mtu u32 ‖ look_ahead 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLeapNotice {
    /// The sender's corrected time, strictly increasing per link.
    pub time: WallTime,
    /// The frame's number.
    pub id: LeapId,
    /// The length of the frame.
    pub inc_mtu: Mtu,
    /// Whether the next router may pass the fragments on, once, instead of joining them.
    pub look_ahead: bool,
}

impl LinkLeapNotice {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let notice = Self {
            time: WallTime::from_micros(reader.u64("time")?),
            id: LeapId(reader.u32("leap id")?),
            inc_mtu: Mtu(reader.u32("inc_mtu")?),
            look_ahead: match reader.u8("look_ahead")? {
                0 => false,
                1 => true,
                tag => return Err(DecodeError::Tag { field: "look_ahead", tag }),
            },
        };
        reader.end()?;
        let length = usize::try_from(notice.inc_mtu.0).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(DecodeError::TooLong { field: "inc_mtu", length, limit: MAX_FRAME });
        }
        Ok(notice)
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        Writer::new(buffer)
            .u64(self.time.as_micros())
            .u32(self.id.0)
            .u32(self.inc_mtu.0)
            .u8(self.look_ahead.into());
    }
}

/// A piece of a frame: id 4 ‖ num u16 ‖ last u16 ‖ bytes; no time, since pieces come in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeapFragment<'a> {
    id: LeapId,
    // INVARIANT: num ≤ last < MAX_FRAME, one byte at least.
    num: u16,
    last: u16,
    bytes: &'a [u8],
}

impl<'a> LeapFragment<'a> {
    const FRONT: usize = 4 + 2 + 2;

    /// Parses exactly one payload.
    ///
    /// # Errors
    /// Another form, no bytes, or more fragments than any frame has bytes.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let id = LeapId(reader.u32("leap id")?);
        let (num, last) = (reader.u16("num")?, reader.u16("last")?);
        let bytes = reader.rest();
        if num > last || usize::from(last) >= MAX_FRAME {
            return Err(DecodeError::Value("num"));
        }
        if bytes.is_empty() {
            return Err(DecodeError::Value("fragment"));
        }
        Ok(Self { id, num, last, bytes })
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        Writer::new(buffer).u32(self.id.0).u16(self.num).u16(self.last).bytes(self.bytes);
    }

    /// Cuts an encoded frame into fragments for a link of this MTU, all but the last of one length; nothing if not one
    /// byte fits.
    ///
    /// # Panics
    /// If the frame is none: empty or longer than [`MAX_FRAME`].
    pub fn cut(id: LeapId, frame: &'a [u8], mtu: Mtu) -> Option<impl ExactSizeIterator<Item = Self>> {
        assert!((1..=MAX_FRAME).contains(&frame.len()), "a frame of {} bytes", frame.len());
        let room = room_beside(ONE_HOP_HEADER, mtu).saturating_sub(Self::FRONT);
        let last = (frame.len() - 1).checked_div(room)?;
        let last = u16::try_from(last).expect("MAX_FRAME fits in two bytes");
        Some(frame.chunks(room).zip(0..=last).map(move |(bytes, num)| Self { id, num, last, bytes }))
    }

    /// The number of the frame that it is a piece of.
    pub const fn id(&self) -> LeapId {
        self.id
    }

    /// Its place, from 0.
    pub const fn num(&self) -> u16 {
        self.num
    }

    /// The place of the last one.
    pub const fn last(&self) -> u16 {
        self.last
    }

    /// Its bytes of the frame, at least one.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz_leap;
    use crate::{Frame, Header, Mode};
    use proptest::prelude::*;
    use ratman_types::Signature;

    const ID: LeapId = LeapId(0x1112_1314);

    #[test]
    fn golden_bytes() {
        let time = WallTime::from_micros(0x0102_0304_0506_0708);
        let notice = LinkLeapNotice { time, id: ID, inc_mtu: Mtu(1222), look_ahead: true };
        let golden = [1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0, 0, 0x04, 0xC6, 1];
        let mut buffer = Vec::new();
        notice.encode_into(&mut buffer);
        assert_eq!(buffer, golden);
        assert_eq!(LinkLeapNotice::decode(&golden), Ok(notice));
        for length in 0..golden.len() {
            assert!(LinkLeapNotice::decode(&golden[..length]).is_err(), "cut to {length}");
        }

        let golden = b"\x11\x12\x13\x14\0\x01\0\x02piece";
        let fragment = LeapFragment::decode(golden).unwrap();
        assert_eq!((fragment.id(), fragment.num(), fragment.last()), (ID, 1, 2));
        assert_eq!(fragment.bytes(), b"piece");
        let mut buffer = Vec::new();
        fragment.encode_into(&mut buffer);
        assert_eq!(buffer, golden);
    }

    #[test]
    fn other_values_are_refused() {
        let notice = |at: usize, byte: u8| {
            let mut bytes = [0; 17];
            bytes[at] = byte;
            LinkLeapNotice::decode(&bytes).map(|_| ())
        };
        assert_eq!(notice(16, 1), Ok(()));
        assert_eq!(notice(16, 2), Err(DecodeError::Tag { field: "look_ahead", tag: 2 }));
        let too_long = DecodeError::TooLong { field: "inc_mtu", length: 65_536, limit: MAX_FRAME };
        assert_eq!(notice(13, 1), Err(too_long));
        let fragment = |num: u16, last: u16, bytes: &[u8]| {
            let bytes = [&[0; 4][..], &num.to_be_bytes(), &last.to_be_bytes(), bytes].concat();
            LeapFragment::decode(&bytes).map(|_| ())
        };
        assert_eq!(fragment(33_003, 33_003, b"x"), Ok(()));
        assert_eq!(fragment(0, 33_004, b"x"), Err(DecodeError::Value("num")));
        assert_eq!(fragment(2, 1, b"x"), Err(DecodeError::Value("num")));
        assert_eq!(fragment(0, 0, b""), Err(DecodeError::Value("fragment")));
    }

    #[test]
    fn fragments_fill_the_link() {
        let whole = vec![7; MAX_FRAME];
        let signature = Some(Signature([0; 64]));
        let header = Header { signature, ..Header::new(Mode::LEAP_FRAGMENT, [0; 32]) };
        for (fragment, last) in LeapFragment::cut(ID, &whole, Mtu(255)).unwrap().zip((0..235).rev()) {
            let mut payload = Vec::new();
            fragment.encode_into(&mut payload);
            let length = Frame { header, payload: &payload }.encode().len();
            assert!(length == 255 || last == 0 && length < 255, "{length} bytes");
        }
        assert_eq!(LeapFragment::cut(ID, &whole, Mtu(255)).unwrap().len(), 235);
        assert_eq!(LeapFragment::cut(ID, &whole, Mtu(115)).unwrap().len(), MAX_FRAME);
        assert!(LeapFragment::cut(ID, &whole, Mtu(114)).is_none());
        assert_eq!(
            LeapFragment::cut(ID, &whole, Mtu(u32::MAX)).unwrap().len(),
            2,
            "a payload holds no whole frame"
        );
    }

    proptest! {
        #[test]
        fn fragments_make_the_frame(frame in prop::collection::vec(any::<u8>(), 1..2000), mtu in 115..400_u32) {
            let fragments: Vec<_> = LeapFragment::cut(ID, &frame, Mtu(mtu)).unwrap().collect();
            let joined: Vec<u8> = fragments.iter().flat_map(|fragment| fragment.bytes().to_vec()).collect();
            prop_assert_eq!(&joined, &frame);
            for (num, fragment) in fragments.iter().enumerate() {
                prop_assert_eq!(usize::from(fragment.num()), num);
                prop_assert_eq!(usize::from(fragment.last()), fragments.len() - 1);
            }
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            fuzz_leap(&bytes);
            fuzz_leap(&[&[0; 7], &bytes[..]].concat());
        }
    }
}
