// SPDX-License-Identifier: AGPL-3.0-or-later
//! RouterMeta, mode 64: what a router tells its neighbours about itself (source: manual, router announcements;
//! the wire page puts the time in front).

use ratman_types::{ByteCount, RouterId, WallTime};

use crate::{DecodeError, Reader, Writer};

/// A router's statement about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterMeta {
    /// The sender's corrected time, strictly increasing per link.
    pub time: WallTime,
    /// The router's own key.
    pub key_id: RouterId,
    /// How much it can keep for others; nothing if it does not say.
    pub available_buffer: Option<ByteCount>,
    /// How many routers it is linked to.
    pub known_peers: u32,
}

impl RouterMeta {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let meta = Self {
            time: WallTime::from_micros(reader.u64("time")?),
            key_id: RouterId::from_bytes(reader.array("key_id")?),
            available_buffer: reader
                .option("available_buffer", |reader| reader.u64("available_buffer").map(ByteCount))?,
            known_peers: reader.u32("known_peers")?,
        };
        reader.end()?;
        Ok(meta)
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        Writer::new(&mut buffer)
            .u64(self.time.as_micros())
            .bytes(self.key_id.as_bytes())
            .option(self.available_buffer, |writer, bytes| {
                writer.u64(bytes.0);
            })
            .u32(self.known_peers);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let meta = RouterMeta {
            time: WallTime::from_micros(0x0102_0304_0506_0708),
            key_id: RouterId::from_bytes([0x22; 32]),
            available_buffer: Some(ByteCount(0x1112_1314_1516_1718)),
            known_peers: 4,
        };
        let mut golden = vec![1, 2, 3, 4, 5, 6, 7, 8];
        golden.extend([0x22; 32]);
        let mut without = golden.clone();
        golden.extend([1, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0, 0, 0, 4]);
        without.extend([0, 0, 0, 0, 4]);
        assert_eq!(meta.encode(), golden);
        assert_eq!(RouterMeta::decode(&golden), Ok(meta));
        assert_eq!(RouterMeta { available_buffer: None, ..meta }.encode(), without);
        for length in 0..golden.len() {
            assert!(RouterMeta::decode(&golden[..length]).is_err(), "cut to {length}");
        }
        golden.push(0);
        assert_eq!(RouterMeta::decode(&golden), Err(DecodeError::Trailing(1)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            crate::fuzz::fuzz_router_meta(&bytes);
        }

        #[test]
        fn every_meta_round_trips(time: u64, key: [u8; 32], buffer: Option<u64>, known_peers: u32) {
            let meta = RouterMeta {
                time: WallTime::from_micros(time),
                key_id: RouterId::from_bytes(key),
                available_buffer: buffer.map(ByteCount),
                known_peers,
            };
            prop_assert_eq!(RouterMeta::decode(&meta.encode()), Ok(meta));
        }
    }
}
