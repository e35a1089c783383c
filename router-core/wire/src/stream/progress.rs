// SPDX-License-Identifier: AGPL-3.0-or-later
//! Progress, mode 20: the recipient of a stream tells its sender how much has come, so that the sender knows what is still on
//! its way (source: `router-core/decisions/window-of-streams.md`).

use ratman_types::{ByteCount, Digest, WallTime};

use super::StreamId;
use super::notice::{front, write_front};
use crate::{DecodeError, Reader};

/// What has come of a stream: time ‖ stream id 32 ‖ reference 32 ‖ received u64.
///
/// A later one says all that an earlier one did: what is lost or overtaken need not come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The recipient's corrected time.
    pub time: WallTime,
    /// The stream of whom this frame is for.
    pub stream: StreamId,
    /// The reference of the block that came last.
    pub newest: Digest,
    /// The bytes of all different blocks that have come.
    pub received: ByteCount,
}

impl Progress {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let (time, stream) = front(&mut reader)?;
        let newest = Digest::from_bytes(reader.array("reference")?);
        let progress = Self { time, stream, newest, received: ByteCount(reader.u64("received")?) };
        reader.end()?;
        Ok(progress)
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        write_front(buffer, self.time, &self.stream).bytes(self.newest.as_bytes()).u64(self.received.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz_notices;
    use proptest::prelude::*;

    const PROGRESS: Progress = Progress {
        time: WallTime::from_micros(0x0102_0304_0506_0708),
        stream: StreamId::from_bytes([0x22; 32]),
        newest: Digest::from_bytes([0x33; 32]),
        received: ByteCount(0x1112_1314_1516_1718),
    };

    fn golden() -> Vec<u8> {
        let (time, received) = ([1, 2, 3, 4, 5, 6, 7, 8], [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]);
        [&time[..], &[0x22; 32], &[0x33; 32], &received].concat()
    }

    #[test]
    fn golden_bytes() {
        let mut buffer = vec![0xEE];
        PROGRESS.encode_into(&mut buffer);
        assert_eq!(buffer, [&[0xEE][..], &golden()].concat(), "what the buffer held stays");
        assert_eq!(Progress::decode(&golden()), Ok(PROGRESS));
    }

    #[test]
    fn other_lengths_are_refused() {
        let mut bytes = golden();
        let cut = |length: usize| Progress::decode(&golden()[..length]);
        for length in 0..bytes.len() {
            assert!(matches!(cut(length), Err(DecodeError::Truncated { .. })), "cut to {length}");
        }
        assert_eq!(cut(71), Err(DecodeError::Truncated { field: "reference", missing: 1 }));
        assert_eq!(cut(72), Err(DecodeError::Truncated { field: "received", missing: 8 }));
        bytes.push(0);
        assert_eq!(Progress::decode(&bytes), Err(DecodeError::Trailing(1)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 78..83)) {
            prop_assert_eq!(Progress::decode(&bytes).is_ok(), bytes.len() == 80);
            fuzz_notices(&bytes);
        }
    }
}
