// SPDX-License-Identifier: AGPL-3.0-or-later
//! Slices: a block (mode 8) or a sealed manifest (mode 9) cut into frames that fit the way (source: manual, data frame
//! and manifest frame; wire page, streams).
//!
//! All slices of one whole but the last have one length; they may arrive in any order and more than once.

use ratman_eris::BlockSize;
use ratman_types::{Digest, Mtu};

use crate::carrier::{AUXILIARY, DATA_HEADER, room_beside};
use crate::{DecodeError, Frame, MAX_PAYLOAD, Mode, SequenceId};

/// The most slices of one block or sealed manifest: numbers are one byte.
pub const MAX_SLICES: usize = 256;

/// What was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SliceOf {
    /// An encrypted ERIS block; its name is its reference.
    Block,
    /// A sealed manifest; its name is the hash of the sealed bytes.
    SealedManifest,
}

impl SliceOf {
    /// The mode of the frames.
    pub const fn mode(self) -> Mode {
        match self {
            Self::Block => Mode::DATA,
            Self::SealedManifest => Mode::MANIFEST,
        }
    }
}

/// One slice; its bytes stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice<'a> {
    of: SliceOf,
    place: SequenceId,
    // INVARIANT: from 1 to MAX_PAYLOAD bytes; of an only slice of a block, a whole block.
    bytes: &'a [u8],
}

impl<'a> Slice<'a> {
    /// Parses a frame of mode 8 or 9.
    ///
    /// # Errors
    /// Another mode, no sequence id, no bytes, or a block in one slice whose size no block has.
    pub fn decode(frame: &Frame<'a>) -> Result<Self, DecodeError> {
        let mut both = [SliceOf::Block, SliceOf::SealedManifest].into_iter();
        let of = both.find(|of| of.mode() == frame.header.mode).ok_or(DecodeError::Value("modes"))?;
        let place = frame.header.seq_id.ok_or(DecodeError::Value("seq_id"))?;
        let length = frame.payload.len();
        let is_whole_block = of == SliceOf::Block && place.max == 0;
        if length == 0 || is_whole_block && BlockSize::from_bytes(length).is_none() {
            return Err(DecodeError::Value("slice"));
        }
        Ok(Self { of, place, bytes: frame.payload })
    }

    /// What it is a slice of.
    pub const fn of(&self) -> SliceOf {
        self.of
    }

    /// The name of the whole, the number of this slice and the highest number.
    pub const fn place(&self) -> SequenceId {
        self.place
    }

    /// The frame's payload.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// A whole that cannot be sent over so narrow a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes make more than 256 slices of {room} bytes")]
pub struct TooManySlices {
    /// The length of the whole.
    pub length: usize,
    /// What one frame holds.
    pub room: usize,
}

/// Cuts a block or a sealed manifest, named `name`, into slices of `room` bytes and one of what is left.
///
/// # Errors
/// [`TooManySlices`]: above [`MAX_SLICES`].
///
/// # Panics
/// If there is nothing to cut: neither blocks nor sealed manifests are ever empty.
pub fn cut(
    of: SliceOf,
    name: Digest,
    whole: &[u8],
    room: usize,
) -> Result<impl ExactSizeIterator<Item = Slice<'_>> + Clone, TooManySlices> {
    assert!(!whole.is_empty(), "an empty {of:?}");
    let room = room.min(MAX_PAYLOAD);
    let highest = (whole.len() - 1).checked_div(room).and_then(|highest| u8::try_from(highest).ok());
    let max = highest.ok_or(TooManySlices { length: whole.len(), room })?;
    Ok(whole.chunks(room).zip(0..=max).map(move |(bytes, num)| Slice {
        of,
        place: SequenceId { hash: name, num, max },
        bytes,
    }))
}

/// How many bytes of payload fit a frame of modes 8 to 10 over a way of this MTU; `with_auxiliary` if the frame carries
/// auxiliary bytes.
pub fn payload_room(mtu: Mtu, with_auxiliary: bool) -> usize {
    room_beside(if with_auxiliary { DATA_HEADER + AUXILIARY } else { DATA_HEADER }, mtu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Header;
    use crate::fuzz::fuzz_slice;
    use proptest::prelude::*;
    use ratman_types::{Address, Recipient, Signature};

    const NAME: Digest = Digest::from_bytes([0x33; 32]);

    fn header(of: SliceOf, seq_id: Option<SequenceId>) -> Header {
        let to = Recipient::Address(Address::from_bytes([0x22; 32]));
        let signature = Some(Signature([0x55; 64]));
        Header { seq_id, signature, ..Header::new(of.mode(), [0x11; 32]).to(to) }
    }

    #[test]
    fn golden_bytes() {
        let slices: Vec<_> = cut(SliceOf::SealedManifest, NAME, b"sealed", 4).unwrap().collect();
        let frame = Frame { header: header(slices[1].of(), Some(slices[1].place())), payload: b"ed" };
        assert_eq!(slices[1].bytes(), b"ed");
        let bytes = frame.encode();
        let mut golden = vec![2, 64, 0, 9];
        golden.extend([0x11; 32]);
        golden.push(1);
        golden.extend([0x22; 32]);
        golden.push(1);
        golden.extend([0x33; 32]);
        golden.extend([1, 1, 0, 1]);
        golden.extend([0x55; 64]);
        golden.extend(b"\0\x02ed");
        assert_eq!(bytes, golden);
        assert_eq!(Slice::decode(&Frame::decode(&bytes).unwrap()), Ok(slices[1]));
    }

    #[test]
    fn every_slice_but_the_last_fills_its_frame() {
        let block = [7; 1024];
        let lengths = |room| {
            cut(SliceOf::Block, NAME, &block, room)
                .map(|slices| slices.map(|slice| slice.bytes().len()).collect::<Vec<_>>())
        };
        assert_eq!(lengths(1024), Ok(vec![1024]));
        assert_eq!(lengths(1023), Ok(vec![1023, 1]));
        assert_eq!(lengths(500), Ok(vec![500, 500, 24]));
        assert_eq!(lengths(usize::MAX), Ok(vec![1024]));
        assert_eq!(lengths(4).unwrap().len(), MAX_SLICES);
        for room in [0, 1, 3] {
            assert_eq!(lengths(room), Err(TooManySlices { length: 1024, room }));
        }
    }

    #[test]
    #[should_panic(expected = "an empty Block")]
    fn nothing_is_not_cut() {
        let _ = cut(SliceOf::Block, NAME, &[], 10);
    }

    #[test]
    fn other_frames_are_refused() {
        let decode = |header: Header, payload: &[u8]| Slice::decode(&Frame { header, payload }).map(|_| ());
        let place = |max| Some(SequenceId { hash: NAME, num: 0, max });
        assert_eq!(decode(header(SliceOf::Block, place(0)), &[0; 256]), Ok(()));
        assert_eq!(decode(header(SliceOf::SealedManifest, place(0)), &[0]), Ok(()));
        assert_eq!(decode(header(SliceOf::Block, place(1)), &[0]), Ok(()));
        let not_a_slice = Err(DecodeError::Value("slice"));
        assert_eq!(decode(header(SliceOf::Block, place(1)), &[]), not_a_slice);
        for length in [0, 1, 63, 65, 255, 257, 1023, 1025, 32_767] {
            assert_eq!(decode(header(SliceOf::Block, place(0)), &vec![0; length]), not_a_slice);
        }
        assert_eq!(decode(header(SliceOf::Block, None), &[0; 64]), Err(DecodeError::Value("seq_id")));
        let other = Header { mode: Mode::PACKED, ..header(SliceOf::Block, place(0)) };
        assert_eq!(decode(other, &[0; 64]), Err(DecodeError::Value("modes")));
    }

    #[test]
    fn room_is_what_the_header_leaves() {
        let place = Some(SequenceId { hash: NAME, num: 0, max: 0 });
        let plain = header(SliceOf::Block, place);
        for (with_auxiliary, header) in [(false, plain), (true, Header { auxiliary: Some([0; 64]), ..plain })]
        {
            assert_eq!(payload_room(Mtu(1300), with_auxiliary), 1300 - header.encoded_len());
            assert_eq!(payload_room(Mtu(100), with_auxiliary), 0);
            assert_eq!(payload_room(Mtu(u32::MAX), with_auxiliary), MAX_PAYLOAD);
        }
    }

    proptest! {
        #[test]
        fn slices_make_the_whole(length in 1..40_000_usize, room in 0..2000_usize, block: bool) {
            let whole: Vec<u8> = (0..length).map(|index| index.to_le_bytes()[0]).collect();
            let of = if block { SliceOf::Block } else { SliceOf::SealedManifest };
            let slices = cut(of, NAME, &whole, room);
            prop_assert_eq!(slices.is_ok(), length <= room * MAX_SLICES);
            let Ok(slices) = slices else { return Ok(()) };
            let joined: Vec<u8> = slices.clone().flat_map(|slice| slice.bytes().to_vec()).collect();
            prop_assert_eq!(&joined, &whole);
            for (num, slice) in slices.clone().enumerate() {
                prop_assert_eq!(usize::from(slice.place().num), num);
                prop_assert_eq!(usize::from(slice.place().max), slices.len() - 1);
            }
        }

        #[test]
        fn any_frame_is_answered(
            block: bool,
            places: Option<(u8, u8)>,
            payload in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let of = if block { SliceOf::Block } else { SliceOf::SealedManifest };
            let seq_id = places.map(|(a, b)| SequenceId { hash: NAME, num: a.min(b), max: a.max(b) });
            fuzz_slice(&Frame { header: header(of, seq_id), payload: &payload }.encode());
            fuzz_slice(&payload);
        }
    }
}
