// SPDX-License-Identifier: AGPL-3.0-or-later
//! Finds frames in a stream of bytes: a length of four bytes, big-endian, then the frame.

use ratman_wire::MAX_FRAME;

/// The bytes of a length.
pub(crate) const PREFIX: usize = 4;
/// One read may fill this much: large reads halve the number of system calls and wake-ups on a fast link.
const CAPACITY: usize = 256 * 1024;
/// What one read gets at least; with less room behind them, the bytes of an incomplete frame move to the front.
const MIN_ROOM: usize = 128 * 1024;

/// A length over the limit: nothing behind it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadLength(pub(crate) u32);

/// The length in front of a frame.
pub(crate) fn check_length(prefix: [u8; PREFIX]) -> Result<usize, BadLength> {
    let length = u32::from_be_bytes(prefix);
    usize::try_from(length).ok().filter(|length| *length <= MAX_FRAME).ok_or(BadLength(length))
}

/// A buffer of fixed size that is read into and gives frames out in place.
pub(crate) struct Deframer {
    buffer: Box<[u8]>,
    /// INVARIANT: `start <= end <= CAPACITY`, and between two calls of `take` less than one frame lies between
    /// them, so that there is always room.
    start: usize,
    end: usize,
}

impl Deframer {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; CAPACITY].into_boxed_slice(), start: 0, end: 0 }
    }

    /// Where the next bytes go; never empty.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.buffer.len() - self.end < MIN_ROOM {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// Says that `count` bytes were put into [`Deframer::room`].
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
        assert!(self.end <= self.buffer.len(), "INVARIANT: no more is filled than there is room");
    }

    /// All complete frames, and whether a length over the limit follows them: then this was the last call.
    pub(crate) fn take(&mut self) -> (Frames<'_>, Result<(), BadLength>) {
        let first = self.start;
        let mut result = Ok(());
        while let Some((prefix, rest)) = self.buffer[self.start..self.end].split_first_chunk() {
            match check_length(*prefix) {
                Ok(length) if length <= rest.len() => self.start += PREFIX + length,
                Ok(_) => break,
                Err(bad) => {
                    result = Err(bad);
                    break;
                }
            }
        }
        (Frames { rest: &mut self.buffer[first..self.start] }, result)
    }
}

/// The complete frames of one read, without their lengths.
pub(crate) struct Frames<'a> {
    /// INVARIANT: lengths and frames, complete.
    rest: &'a mut [u8],
}

impl Frames<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a mut [u8];

    fn next(&mut self) -> Option<&'a mut [u8]> {
        let (prefix, rest) = core::mem::take(&mut self.rest).split_first_chunk_mut()?;
        let length = check_length(*prefix).expect("INVARIANT: lengths were checked");
        let (frame, rest) = rest.split_at_mut(length);
        self.rest = rest;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            bytes.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
            bytes.extend(frame);
        }
        bytes
    }

    fn feed(deframer: &mut Deframer, mut bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, Result<(), BadLength>) {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let room = deframer.room();
            assert!(room.len() >= MIN_ROOM);
            let count = bytes.len().min(step).min(room.len());
            room[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            deframer.filled(count);
            let (frames, result) = deframer.take();
            found.extend(frames.map(|frame| frame.to_vec()));
            if result.is_err() {
                return (found, result);
            }
        }
        (found, Ok(()))
    }

    #[test]
    fn the_largest_frame_passes_and_one_byte_more_does_not() {
        let largest = vec![7; MAX_FRAME];
        let good = framed(&[vec![1], largest.clone(), vec![]]);
        for step in [1, 3, 1000, CAPACITY] {
            let mut deframer = Deframer::new();
            assert_eq!(feed(&mut deframer, &good, step), (vec![vec![1], largest.clone(), vec![]], Ok(())));
        }
        let bad = [framed(&[vec![1]]), 33_005_u32.to_be_bytes().to_vec(), vec![0; 9]].concat();
        assert_eq!(
            feed(&mut Deframer::new(), &bad, 5),
            (vec![vec![1]], Err(BadLength(33_005))),
            "frames before the bad length are good"
        );
    }

    #[test]
    fn the_buffer_holds_any_number_of_frames() {
        let frames: Vec<_> = (0..2000_usize).map(|index| vec![0xab; index * 17 % MAX_FRAME]).collect();
        let bytes = framed(&frames);
        assert!(bytes.len() > 20 * CAPACITY);
        for step in [4_999, 200_000] {
            assert_eq!(feed(&mut Deframer::new(), &bytes, step), (frames.clone(), Ok(())));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            step in 1_usize..400,
        ) {
            prop_assert_eq!(feed(&mut Deframer::new(), &framed(&frames), step), (frames, Ok(())));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            crate::fuzz::fuzz_framing(&bytes);
        }
    }
}
