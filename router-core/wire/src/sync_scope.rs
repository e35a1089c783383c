// SPDX-License-Identifier: AGPL-3.0-or-later
//! SyncScopeRequest, mode 66: which addresses a router knows ways to, so that its neighbour can tell whose frames to hand
//! over (source: manual, journal sync; wire page, streams).

use ratman_types::{Address, Mtu, WallTime};

use crate::announcement::PathLatency;
use crate::carrier::{ONE_HOP_HEADER, room_beside};
use crate::{DecodeError, MAX_PAYLOAD, Reader, Writer};

/// How lately and how near a router knew an address: the newest announcement that it had of it, also of a route that
/// died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownAddress {
    /// The address.
    pub address: Address,
    /// When the announcement was made.
    pub origin_time: WallTime,
    /// How far away the address was then.
    pub latency: PathLatency,
}

/// A router's addresses: time ‖ n u16 ‖ n × (address 32 ‖ origin time 8 ‖ path latency u32), by ascending address.
///
/// A router that knows more than fit sends several; each adds to those before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncScopeRequest {
    /// The sender's corrected time, strictly increasing per link.
    pub time: WallTime,
    // INVARIANT: at most MAX_ADDRESSES, strictly ascending.
    addresses: Vec<KnownAddress>,
}

impl SyncScopeRequest {
    const FRONT: usize = 8 + 2;
    const ENTRY: usize = 32 + 8 + 4;
    /// The most addresses of one request: what a payload holds.
    pub const MAX_ADDRESSES: usize = (MAX_PAYLOAD - Self::FRONT) / Self::ENTRY;

    /// Takes the addresses, in ascending order.
    ///
    /// # Errors
    /// Another order, an address twice, or more than [`SyncScopeRequest::MAX_ADDRESSES`].
    pub fn new(time: WallTime, addresses: Vec<KnownAddress>) -> Result<Self, DecodeError> {
        let (length, limit) = (addresses.len() * Self::ENTRY, Self::MAX_ADDRESSES * Self::ENTRY);
        if length > limit {
            return Err(DecodeError::TooLong { field: "addresses", length, limit });
        }
        if !addresses.is_sorted_by(|one, next| one.address < next.address) {
            return Err(DecodeError::Value("addresses"));
        }
        Ok(Self { time, addresses })
    }

    /// How many addresses one request holds over a link of this MTU.
    pub fn room(mtu: Mtu) -> usize {
        room_beside(ONE_HOP_HEADER, mtu).saturating_sub(Self::FRONT) / Self::ENTRY
    }

    /// The addresses, ascending.
    pub fn addresses(&self) -> &[KnownAddress] {
        &self.addresses
    }

    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let time = WallTime::from_micros(reader.u64("time")?);
        let count = usize::from(reader.u16("addresses")?);
        let mut entries = Reader::new(reader.bytes("addresses", count * Self::ENTRY)?);
        reader.end()?;
        let addresses = (0..count).map(|_| KnownAddress::decode(&mut entries)).collect::<Result<_, _>>()?;
        Self::new(time, addresses)
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        let count = u16::try_from(self.addresses.len()).expect("MAX_ADDRESSES fits in two bytes");
        let mut writer = Writer::new(buffer);
        writer.u64(self.time.as_micros()).u16(count);
        for known in &self.addresses {
            writer.bytes(known.address.as_bytes()).u64(known.origin_time.as_micros()).u32(known.latency.0);
        }
    }
}

impl KnownAddress {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            address: Address::from_bytes(reader.array("address")?),
            origin_time: WallTime::from_micros(reader.u64("origin time")?),
            latency: PathLatency(reader.u32("path latency")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz_sync_scope;
    use crate::{Frame, Header, Mode};
    use proptest::prelude::*;
    use ratman_types::Signature;

    const TIME: WallTime = WallTime::from_micros(0x0102_0304_0506_0708);

    fn known(number: u16) -> KnownAddress {
        let mut bytes = [0x33; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let origin_time = WallTime::from_micros(0x1112);
        KnownAddress { address: Address::from_bytes(bytes), origin_time, latency: PathLatency(0x0A0B_0C0D) }
    }

    fn of(count: u16) -> Result<SyncScopeRequest, DecodeError> {
        SyncScopeRequest::new(TIME, (0..count).map(known).collect())
    }

    fn encode(request: &SyncScopeRequest) -> Vec<u8> {
        let mut buffer = Vec::new();
        request.encode_into(&mut buffer);
        buffer
    }

    #[test]
    fn golden_bytes() {
        let mut golden = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 2];
        for number in [0, 1] {
            golden.extend([0, number]);
            golden.extend([0x33; 30]);
            golden.extend([0, 0, 0, 0, 0, 0, 0x11, 0x12, 0x0A, 0x0B, 0x0C, 0x0D]);
        }
        assert_eq!(encode(&of(2).unwrap()), golden);
        assert_eq!(SyncScopeRequest::decode(&golden), of(2));
        assert_eq!(of(2).unwrap().addresses(), [known(0), known(1)]);
        for length in 0..golden.len() {
            assert!(SyncScopeRequest::decode(&golden[..length]).is_err(), "cut to {length}");
        }
        let nobody = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0];
        assert_eq!(SyncScopeRequest::decode(&nobody), of(0), "a router that knows nobody");
        golden.push(0);
        assert_eq!(SyncScopeRequest::decode(&golden), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn each_address_stands_once_and_in_its_place() {
        for numbers in [[1, 1], [2, 1]] {
            let addresses = numbers.map(known).to_vec();
            assert_eq!(SyncScopeRequest::new(TIME, addresses), Err(DecodeError::Value("addresses")));
        }
        let mut bytes = encode(&of(2).unwrap());
        bytes[11] = 1;
        assert_eq!(SyncScopeRequest::decode(&bytes), Err(DecodeError::Value("addresses")));
    }

    #[test]
    fn a_list_is_never_larger_than_a_frame() {
        assert_eq!(SyncScopeRequest::MAX_ADDRESSES, 744);
        let mut largest = encode(&of(744).unwrap());
        assert!(largest.len() <= MAX_PAYLOAD && largest.len() + 44 > MAX_PAYLOAD);
        assert_eq!(SyncScopeRequest::decode(&largest), of(744));
        let too_long = Err(DecodeError::TooLong { field: "addresses", length: 745 * 44, limit: 744 * 44 });
        assert_eq!(of(745), too_long);
        largest[8..10].copy_from_slice(&745_u16.to_be_bytes());
        largest.extend([0xFF; 44]);
        assert_eq!(SyncScopeRequest::decode(&largest), too_long);
    }

    #[test]
    fn as_many_as_fit_the_link() {
        let signature = Some(Signature([0; 64]));
        let header = Header { signature, ..Header::new(Mode::SYNC_SCOPE_REQUEST, [0; 32]) };
        let frame = |count| Frame { header, payload: &encode(&of(count).unwrap()) }.encode().len();
        assert_eq!(SyncScopeRequest::room(Mtu(u32::try_from(frame(3)).unwrap())), 3);
        assert_eq!(SyncScopeRequest::room(Mtu(u32::try_from(frame(3)).unwrap() - 1)), 2);
        assert_eq!(SyncScopeRequest::room(Mtu(u32::MAX)), SyncScopeRequest::MAX_ADDRESSES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..300), count in 0..4_u8) {
            fuzz_sync_scope(&bytes);
            bytes.resize(10 + usize::from(count) * 44, 0);
            bytes[8..10].copy_from_slice(&[0, count]);
            fuzz_sync_scope(&bytes);
        }
    }
}
