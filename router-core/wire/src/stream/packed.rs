// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packed data, mode 10: several whole small blocks in one frame, so that frames are filled (source: manual, message
//! slicing; wire page, streams).
//!
//! Payload: log2 of the block size ‖ blocks. Their names are not sent: the receiver computes them.

use core::slice::ChunksExact;

use ratman_eris::BlockSize;
use ratman_types::{Digest, blake2b};

use crate::{DecodeError, Frame, MAX_PAYLOAD, Mode, SequenceId};

/// The blocks of one frame, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedBlocks<'a> {
    block_size: BlockSize,
    // INVARIANT: one block or more, all of them whole.
    bytes: &'a [u8],
}

impl<'a> PackedBlocks<'a> {
    /// Parses a frame of mode 10.
    ///
    /// # Errors
    /// Another mode, a sequence id other than that of its payload, an unknown block size, no block or a part of one.
    pub fn decode(frame: &Frame<'a>) -> Result<Self, DecodeError> {
        if frame.header.mode != Mode::PACKED {
            return Err(DecodeError::Value("modes"));
        }
        let Some((code, bytes)) = frame.payload.split_first() else {
            return Err(DecodeError::Truncated { field: "block size", missing: 1 });
        };
        let block_size = BlockSize::from_code(*code).ok_or(DecodeError::Value("block size"))?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(block_size.bytes()) {
            return Err(DecodeError::Value("blocks"));
        }
        if frame.header.seq_id != Some(Self::place(frame.payload)) {
            return Err(DecodeError::Value("seq_id"));
        }
        Ok(Self { block_size, bytes })
    }

    /// The sequence id of a frame with this payload: its hash, the only one.
    pub fn place(payload: &[u8]) -> SequenceId {
        SequenceId { hash: blake2b(&[payload]), num: 0, max: 0 }
    }

    /// The size of each block.
    pub const fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// The blocks, encrypted as they are stored.
    pub fn blocks(&self) -> ChunksExact<'a, u8> {
        self.bytes.chunks_exact(self.block_size.bytes())
    }

    /// The names of the blocks, in the same order; computed when asked for.
    pub fn references(&self) -> impl Iterator<Item = Digest> + use<'a> {
        self.blocks().map(|block| blake2b(&[block]))
    }
}

/// Fills payloads with blocks of one size.
#[derive(Debug)]
pub struct Packing {
    block_size: BlockSize,
    full: usize,
    payload: Vec<u8>,
}

impl Packing {
    /// For frames with `room` bytes of payload; nothing if that is less than one block takes: then blocks are sliced.
    ///
    /// Blocks of 32 KiB never fit beside the size.
    pub fn new(block_size: BlockSize, room: usize) -> Option<Self> {
        let blocks = room.min(MAX_PAYLOAD).saturating_sub(1) / block_size.bytes();
        let full = 1 + blocks * block_size.bytes();
        (blocks > 0).then(|| Self { block_size, full, payload: Vec::new() })
    }

    /// Adds a block; gives the payload away once no other would fit.
    ///
    /// # Panics
    /// If the block does not have the size that was said.
    pub fn push(&mut self, block: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(block.len(), self.block_size.bytes(), "blocks of one stream have one size");
        if self.payload.is_empty() {
            self.payload.reserve_exact(self.full);
            self.payload.push(self.block_size.code());
        }
        self.payload.extend_from_slice(block);
        if self.payload.len() == self.full { self.take() } else { None }
    }

    /// The payload that is not full yet, if it holds a block.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        (!self.payload.is_empty()).then(|| core::mem::take(&mut self.payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Header;
    use crate::fuzz::fuzz_packed;
    use proptest::prelude::*;
    use ratman_types::{Address, Recipient};

    fn header(payload: &[u8]) -> Header {
        let to = Recipient::Address(Address::from_bytes([2; 32]));
        let seq_id = Some(PackedBlocks::place(payload));
        Header { seq_id, ..Header::new(Mode::PACKED, [1; 32]).to(to) }
    }

    fn decode(payload: &[u8]) -> Result<PackedBlocks<'_>, DecodeError> {
        PackedBlocks::decode(&Frame { header: header(payload), payload })
    }

    #[test]
    fn golden_bytes() {
        let (one, two) = ([0x11; 64], [0x22; 64]);
        let mut packing = Packing::new(BlockSize::Bytes64, 190).unwrap();
        assert_eq!(packing.take(), None, "nothing yet");
        assert_eq!(packing.push(&one), None);
        let payload = packing.push(&two).unwrap();
        assert_eq!(payload, [&[6][..], &one, &two].concat());
        assert_eq!(packing.take(), None, "given away");
        let blocks = decode(&payload).unwrap();
        assert_eq!(blocks.block_size(), BlockSize::Bytes64);
        assert!(blocks.blocks().eq([&one, &two]));
        assert!(blocks.references().eq([blake2b(&[&one]), blake2b(&[&two])]));
    }

    #[test]
    fn frames_are_filled_and_never_above() {
        assert!(Packing::new(BlockSize::Kib32, usize::MAX).is_none());
        assert!(Packing::new(BlockSize::Bytes64, 64).is_none());
        assert!(Packing::new(BlockSize::Bytes64, 0).is_none());
        let mut packing = Packing::new(BlockSize::Kib1, usize::MAX).unwrap();
        let mut pushed = 1;
        let payload = loop {
            match packing.push(&[0; 1024]) {
                Some(payload) => break payload,
                None => pushed += 1,
            }
        };
        assert_eq!((pushed, payload.len()), (31, 1 + 31 * 1024));
        assert_eq!(packing.push(&[0; 1024]), None);
        assert_eq!(packing.take().map(|payload| payload.len()), Some(1025), "what is left goes too");
    }

    #[test]
    #[should_panic(expected = "one size")]
    fn another_size_is_a_bug_of_the_sender() {
        Packing::new(BlockSize::Bytes64, 200).unwrap().push(&[0; 65]);
    }

    #[test]
    fn parts_of_blocks_and_unknown_sizes_are_refused() {
        let of_size = |code: u8, length: usize| {
            let mut payload = vec![0; 1 + length];
            payload[0] = code;
            decode(&payload).map(|blocks| blocks.blocks().len())
        };
        assert_eq!(decode(&[]), Err(DecodeError::Truncated { field: "block size", missing: 1 }));
        for (code, size) in [(6, 64), (8, 256), (10, 1024)] {
            assert_eq!(of_size(code, 3 * size), Ok(3));
            for length in [0, 1, size - 1, size + 1, 3 * size - 1] {
                assert_eq!(of_size(code, length), Err(DecodeError::Value("blocks")));
            }
        }
        assert_eq!(of_size(15, MAX_PAYLOAD - 1), Err(DecodeError::Value("blocks")));
        for code in [0, 5, 7, 9, 11, 14, 16, 63, 64, 255] {
            assert_eq!(of_size(code, 1024), Err(DecodeError::Value("block size")), "{code}");
        }
    }

    #[test]
    fn the_sequence_id_is_that_of_the_payload() {
        let payload = [&[6][..], &[1; 64]].concat();
        let place = PackedBlocks::place(&payload);
        let with = |mode, seq_id| {
            let header = Header { mode, seq_id, ..header(&payload) };
            PackedBlocks::decode(&Frame { header, payload: &payload }).map(|_| ())
        };
        assert_eq!(with(Mode::PACKED, Some(place)), Ok(()));
        assert_eq!(with(Mode::DATA, Some(place)), Err(DecodeError::Value("modes")));
        let others = [
            None,
            Some(SequenceId { max: 1, ..place }),
            Some(SequenceId { hash: Digest::from_bytes([0; 32]), ..place }),
        ];
        for other in others {
            assert_eq!(with(Mode::PACKED, other), Err(DecodeError::Value("seq_id")));
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out(
            blocks in prop::collection::vec(any::<[u8; 32]>(), 0..40),
            room in 65..2000_usize,
        ) {
            let blocks: Vec<[u8; 64]> =
                blocks.iter().map(|half| [*half, *half].concat().try_into().unwrap()).collect();
            let mut packing = Packing::new(BlockSize::Bytes64, room).unwrap();
            let mut payloads: Vec<Vec<u8>> = blocks.iter().filter_map(|block| packing.push(block)).collect();
            payloads.extend(packing.take());
            let mut out = Vec::new();
            for payload in &payloads {
                prop_assert!(payload.len() <= room);
                out.extend(decode(payload).unwrap().blocks().map(<[u8]>::to_vec));
            }
            let full = payloads.len().saturating_sub(1);
            prop_assert!(payloads[..full].iter().all(|payload| payload.len() + 64 > room));
            prop_assert_eq!(out, blocks);
        }

        #[test]
        fn any_payload_is_answered(mut payload in prop::collection::vec(any::<u8>(), 0..300), size: bool) {
            if let (true, Some(first)) = (size, payload.first_mut()) {
                *first = 6;
            }
            fuzz_packed(&payload);
        }
    }
}
