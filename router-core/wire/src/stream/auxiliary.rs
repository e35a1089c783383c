// SPDX-License-Identifier: AGPL-3.0-or-later
//! The 64 auxiliary bytes of a frame's header, version 1: which stream the frame belongs to and until when it is of use
//! (source: wire page, freshness).
//!
//! Frames that are flooded to a namespace carry it so that routers forget them in time, frames of a stream with a
//! PushNotice so that a DenyNotice finds them on relays.

use ratman_types::WallTime;

use super::{Lifetime, StreamId};
use crate::{DecodeError, Reader};

/// What the auxiliary bytes say: 1 ‖ created 8 ‖ lifetime u32 s ‖ stream id 32 ‖ zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auxiliary {
    /// When the stream was made, by its sender's corrected clock.
    pub created: WallTime,
    /// For how long after that; of frames that are flooded at most [`Lifetime::MAX_FLOODED`].
    pub lifetime: Lifetime,
    /// The stream.
    pub stream: StreamId,
}

impl Auxiliary {
    const VERSION: u8 = 1;
    const USED: usize = 1 + 8 + 4 + 32;

    /// Parses the auxiliary bytes.
    ///
    /// # Errors
    /// Another version, a lifetime above 30 days, or padding that is not zero.
    pub fn decode(bytes: &[u8; 64]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("auxiliary version")? != Self::VERSION {
            return Err(DecodeError::Value("auxiliary version"));
        }
        let auxiliary = Self {
            created: WallTime::from_micros(reader.u64("created")?),
            lifetime: Lifetime::decode(reader.u32("lifetime")?)?,
            stream: StreamId::from_bytes(reader.array("stream id")?),
        };
        if reader.rest().iter().any(|byte| *byte != 0) {
            return Err(DecodeError::Value("auxiliary padding"));
        }
        Ok(auxiliary)
    }

    /// The auxiliary bytes.
    pub fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0] = Self::VERSION;
        bytes[1..9].copy_from_slice(&self.created.as_micros().to_be_bytes());
        bytes[9..13].copy_from_slice(&self.lifetime.as_secs().to_be_bytes());
        bytes[13..Self::USED].copy_from_slice(self.stream.as_bytes());
        bytes
    }

    /// When the frame is of no use any more.
    pub fn end(&self) -> WallTime {
        self.lifetime.end(self.created)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let auxiliary = Auxiliary {
            created: WallTime::from_micros(0x0102_0304_0506_0708),
            lifetime: Lifetime::from_secs(0x0001_5180).unwrap(),
            stream: StreamId::from_bytes([0x22; 32]),
        };
        let mut golden = vec![1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0x51, 0x80];
        golden.extend([0x22; 32]);
        golden.extend([0; 19]);
        let golden: [u8; 64] = golden.try_into().unwrap();
        assert_eq!(auxiliary.encode(), golden);
        assert_eq!(Auxiliary::decode(&golden), Ok(auxiliary));
        assert_eq!(auxiliary.lifetime, Lifetime::MAX_FLOODED);
        assert_eq!(auxiliary.end().ahead_of(auxiliary.created), 86_400_000_000);
        let change = |index: usize, value: u8| {
            let mut bytes = golden;
            bytes[index] = value;
            Auxiliary::decode(&bytes)
        };
        assert_eq!(change(0, 2), Err(DecodeError::Value("auxiliary version")));
        assert_eq!(change(9, 1), Err(DecodeError::Value("lifetime")));
        for padding in 45..64 {
            assert_eq!(change(padding, 1), Err(DecodeError::Value("auxiliary padding")));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 64), plain: bool) {
            if plain {
                bytes[45..].fill(0);
                bytes[0] = 1;
                bytes[9..11].fill(0);
            }
            crate::fuzz::fuzz_auxiliary(&bytes);
            prop_assert_eq!(Auxiliary::decode(bytes.first_chunk().unwrap()).is_ok(), plain);
        }
    }
}
