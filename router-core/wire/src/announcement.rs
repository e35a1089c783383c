// SPDX-License-Identifier: AGPL-3.0-or-later
//! The announcement payload, version 2: an address says that it is reachable, and each router on the way says how
//! far away (source: wire page, announcement payload).

use core::time::Duration;

use ratman_types::{Address, Bandwidth, Digest, Mtu, RouterId, Signature, WallTime, blake2b};

use crate::{DecodeError, Reader, Writer};

/// The version byte of our announcements.
pub const VERSION: u8 = 2;
/// The length of the payload with a peer part, in bytes; its frame has 226.
pub const LENGTH_WITH_PEER: usize = 184;
/// The length of the payload without a peer part, in bytes; its frame has 124.
pub const LENGTH_WITHOUT_PEER: usize = 82;

const ORIGIN_DOMAIN: &[u8] = b"irdest announcement 2";
const HOP_DOMAIN: &[u8] = b"irdest hop 2";
const ID_DOMAIN: &[u8] = b"irdest announcement id";

/// How long a frame takes from a router to an address, one way, in microseconds; saturating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathLatency(pub u32);

impl PathLatency {
    /// The value that takes a route back: no way at all.
    pub const RETRACTED: Self = Self(u32::MAX);
    /// The largest value that is still a way.
    pub const LONGEST: Self = Self(u32::MAX - 1);

    /// Whether it takes a route back.
    pub const fn is_retraction(self) -> bool {
        self.0 == Self::RETRACTED.0
    }

    /// The latency of a longer way, at most [`PathLatency::LONGEST`]; a retraction stays one.
    #[must_use]
    pub fn plus(self, more: Duration) -> Self {
        if self.is_retraction() {
            return self;
        }
        let more = u32::try_from(more.as_micros()).unwrap_or(u32::MAX);
        Self(self.0.saturating_add(more)).min(Self::LONGEST)
    }

    /// As a duration.
    pub fn as_duration(self) -> Duration {
        Duration::from_micros(self.0.into())
    }
}

/// What the last router on the way adds, refreshed and signed at every hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The router that sent this copy.
    pub router: RouterId,
    /// From that router to the address.
    pub latency: PathLatency,
    /// The largest interval between announcements on the way, in seconds.
    pub interval: u16,
    /// That router's signature over [`Announcement::hop_signed_bytes`].
    pub signature: Signature,
}

/// The payload of an announcement frame; the address is the frame's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Strictly increasing per address.
    pub origin_time: WallTime,
    /// By the address, over [`origin_signed_bytes`].
    pub origin_signature: Signature,
    /// Nothing on a link of a router that does not name itself.
    pub peer: Option<Peer>,
    /// The narrowest bandwidth on the way.
    pub available_bw: Bandwidth,
    /// The largest carrier frame on the way.
    pub available_mtu: Mtu,
}

impl Announcement {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        reader.version(VERSION)?;
        let announcement = Self {
            origin_time: WallTime::from_micros(reader.u64("origin time")?),
            origin_signature: Signature(reader.array("origin signature")?),
            peer: reader.option("peer", |reader| {
                Ok(Peer {
                    router: RouterId::from_bytes(reader.array("router id")?),
                    latency: PathLatency(reader.u32("path latency")?),
                    interval: reader.u16("interval")?,
                    signature: Signature(reader.array("peer signature")?),
                })
            })?,
            available_bw: Bandwidth::from_bytes_per_second(reader.u32("available_bw")?),
            available_mtu: Mtu(reader.u32("available_mtu")?),
        };
        reader.end()?;
        Ok(announcement)
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        Writer::new(buffer)
            .u8(VERSION)
            .u64(self.origin_time.as_micros())
            .bytes(&self.origin_signature.0)
            .option(self.peer, |writer, peer| {
                writer
                    .bytes(peer.router.as_bytes())
                    .u32(peer.latency.0)
                    .u16(peer.interval)
                    .bytes(&peer.signature.0);
            })
            .u32(self.available_bw.as_bytes_per_second())
            .u32(self.available_mtu.0);
    }

    /// The payload in a buffer of its own.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(LENGTH_WITH_PEER);
        self.encode_into(&mut buffer);
        buffer
    }

    /// What `router` signs when it sends this announcement of `address` on.
    ///
    /// The fields come in by value because the signature that goes into [`Announcement::peer`] is made over them.
    pub fn hop_signed_bytes(
        &self,
        address: &Address,
        router: &RouterId,
        latency: PathLatency,
        interval: u16,
    ) -> Vec<u8> {
        let mut bytes = HOP_DOMAIN.to_vec();
        Writer::new(&mut bytes)
            .bytes(address.as_bytes())
            .u64(self.origin_time.as_micros())
            .bytes(router.as_bytes())
            .u32(latency.0)
            .u16(interval)
            .u32(self.available_bw.as_bytes_per_second())
            .u32(self.available_mtu.0);
        bytes
    }

    /// The name of an announcement, computed and never sent.
    pub fn id(&self, address: &Address) -> Digest {
        blake2b(&[ID_DOMAIN, address.as_bytes(), &self.origin_time.as_micros().to_be_bytes()])
    }
}

/// What `address` signs when it announces itself.
pub fn origin_signed_bytes(address: &Address, origin_time: WallTime) -> Vec<u8> {
    [ORIGIN_DOMAIN, address.as_bytes(), &origin_time.as_micros().to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, Header, Mode};
    use proptest::option;
    use proptest::prelude::*;

    fn announcement(peer: bool) -> Announcement {
        Announcement {
            origin_time: WallTime::from_micros(0x0102_0304_0506_0708),
            origin_signature: Signature([0x11; 64]),
            peer: peer.then_some(Peer {
                router: RouterId::from_bytes([0x22; 32]),
                latency: PathLatency(0x090A_0B0C),
                interval: 2,
                signature: Signature([0x33; 64]),
            }),
            available_bw: Bandwidth::from_bytes_per_second(0x0D0E_0F10),
            available_mtu: Mtu(33_004),
        }
    }

    #[test]
    fn golden_bytes_with_and_without_a_peer_part() {
        let mut golden = vec![2, 1, 2, 3, 4, 5, 6, 7, 8];
        golden.extend([0x11; 64]);
        let mut without = golden.clone();
        golden.push(1);
        golden.extend([0x22; 32]);
        golden.extend([9, 10, 11, 12, 0, 2]);
        golden.extend([0x33; 64]);
        golden.extend([13, 14, 15, 16, 0, 0, 0x80, 0xEC]);
        without.extend([0, 13, 14, 15, 16, 0, 0, 0x80, 0xEC]);
        assert_eq!(announcement(true).encode(), golden);
        assert_eq!(announcement(false).encode(), without);
        assert_eq!(Announcement::decode(&golden), Ok(announcement(true)));
        assert_eq!(Announcement::decode(&without), Ok(announcement(false)));
    }

    #[test]
    fn frames_have_the_sizes_of_the_page() {
        for (peer, size) in [(true, 226), (false, 124)] {
            let header = Header::new(Mode::ANNOUNCEMENT, [0; 32]);
            assert_eq!(Frame { header, payload: &announcement(peer).encode() }.encode().len(), size);
        }
    }

    #[test]
    fn golden_signed_bytes() {
        let address = Address::from_bytes([0x44; 32]);
        let mut origin = b"irdest announcement 2".to_vec();
        origin.extend([0x44; 32]);
        origin.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(origin_signed_bytes(&address, announcement(false).origin_time), origin);
        let mut hop = b"irdest hop 2".to_vec();
        hop.extend([0x44; 32]);
        hop.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        hop.extend([0x22; 32]);
        hop.extend([9, 10, 11, 12, 0, 2, 13, 14, 15, 16, 0, 0, 0x80, 0xEC]);
        let router = RouterId::from_bytes([0x22; 32]);
        let latency = PathLatency(0x090A_0B0C);
        assert_eq!(announcement(false).hop_signed_bytes(&address, &router, latency, 2), hop);
        assert_eq!(
            announcement(true).id(&address),
            blake2b(&[b"irdest announcement id", &[0x44; 32], &[1, 2, 3, 4, 5, 6, 7, 8]])
        );
    }

    #[test]
    fn other_forms_are_refused() {
        let good = announcement(true).encode();
        for length in 0..good.len() {
            assert!(Announcement::decode(&good[..length]).is_err(), "cut to {length}");
        }
        let mut changed = good.clone();
        changed[0] = 1;
        assert_eq!(Announcement::decode(&changed), Err(DecodeError::Version(1)));
        let mut changed = good.clone();
        changed[73] = 2;
        assert_eq!(Announcement::decode(&changed), Err(DecodeError::Tag { field: "peer", tag: 2 }));
        let mut changed = good;
        changed.push(0);
        assert_eq!(Announcement::decode(&changed), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn latency_saturates_below_a_retraction() {
        assert_eq!(PathLatency(5).plus(Duration::from_micros(7)), PathLatency(12));
        assert_eq!(PathLatency(5).plus(Duration::MAX), PathLatency::LONGEST);
        assert_eq!(PathLatency::RETRACTED.plus(Duration::ZERO), PathLatency::RETRACTED);
        assert!(!PathLatency::LONGEST.is_retraction());
        assert_eq!(PathLatency(70_000).as_duration(), Duration::from_millis(70));
    }

    proptest! {
        #[test]
        fn every_announcement_round_trips(
            (time, bw, mtu) in any::<(u64, u32, u32)>(),
            origin: [[u8; 32]; 2],
            peer in option::of(any::<([u8; 32], u32, u16, [[u8; 32]; 2])>()),
        ) {
            let signature = |halves: [[u8; 32]; 2]| Signature(halves.concat().try_into().unwrap());
            let value = Announcement {
                origin_time: WallTime::from_micros(time),
                origin_signature: signature(origin),
                peer: peer.map(|(router, latency, interval, halves)| Peer {
                    router: RouterId::from_bytes(router),
                    latency: PathLatency(latency),
                    interval,
                    signature: signature(halves),
                }),
                available_bw: Bandwidth::from_bytes_per_second(bw),
                available_mtu: Mtu(mtu),
            };
            let bytes = value.encode();
            let length = if value.peer.is_some() { LENGTH_WITH_PEER } else { LENGTH_WITHOUT_PEER };
            prop_assert_eq!(bytes.len(), length);
            prop_assert_eq!(Announcement::decode(&bytes), Ok(value));
        }

        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            crate::fuzz::fuzz_announcement(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            crate::fuzz::fuzz_announcement(&bytes);
        }
    }
}
