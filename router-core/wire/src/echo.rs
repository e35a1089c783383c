// SPDX-License-Identifier: AGPL-3.0-or-later
//! The payload of echo requests and replies, modes 71 and 72: how long a link is, and what the neighbour's clock
//! says (source: wire page, peering over a netmod).

use ratman_types::WallTime;

use crate::{DecodeError, Reader, Writer};

/// The length of the payload, in bytes.
pub const LENGTH: usize = 24;

/// An echo; request and reply have the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The sender's corrected time, strictly increasing per link and mode.
    pub time: WallTime,
    /// Random in a request, repeated in its reply.
    pub nonce: [u8; 8],
    /// The sender's raw clock; 0 if that is before its build date and so has no vote.
    pub wall_time: WallTime,
}

impl Echo {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let echo = Self {
            time: WallTime::from_micros(reader.u64("time")?),
            nonce: reader.array("nonce")?,
            wall_time: WallTime::from_micros(reader.u64("wall time")?),
        };
        reader.end()?;
        Ok(echo)
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(LENGTH);
        Writer::new(&mut buffer)
            .u64(self.time.as_micros())
            .bytes(&self.nonce)
            .u64(self.wall_time.as_micros());
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let echo = Echo {
            time: WallTime::from_micros(0x0102_0304_0506_0708),
            nonce: [9; 8],
            wall_time: WallTime::from_micros(10),
        };
        let golden = [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 10];
        assert_eq!(echo.encode(), golden);
        assert_eq!(Echo::decode(&golden), Ok(echo));
        for length in 0..LENGTH {
            assert!(Echo::decode(&golden[..length]).is_err(), "cut to {length}");
        }
        assert_eq!(Echo::decode(&[0; LENGTH + 1]), Err(DecodeError::Trailing(1)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            crate::fuzz::fuzz_echo(&bytes);
        }

        #[test]
        fn every_echo_round_trips(time: u64, nonce: [u8; 8], wall: u64) {
            let echo =
                Echo { time: WallTime::from_micros(time), nonce, wall_time: WallTime::from_micros(wall) };
            prop_assert_eq!(Echo::decode(&echo.encode()), Ok(echo));
        }
    }
}
