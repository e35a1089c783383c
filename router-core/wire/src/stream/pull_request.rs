// SPDX-License-Identifier: AGPL-3.0-or-later
//! PullRequest, mode 18: the recipient of a manifest asks its sender for blocks (source: manual, pull routing; wire page,
//! streams).

use ratman_types::{Digest, Mtu, WallTime};

use super::StreamId;
use super::notice::{front, write_front};
use crate::carrier::{NOTICE_HEADER, room_beside};
use crate::{DecodeError, MAX_PAYLOAD, Reader};

/// Asks for blocks of a stream: time ‖ stream id 32 ‖ n u16 ‖ n references; n = 0 asks for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// The asking address's corrected time, never the same twice.
    pub time: WallTime,
    /// The stream of whom this frame is for.
    pub stream: StreamId,
    // INVARIANT: at most MAX_REFERENCES; empty for all.
    references: Vec<Digest>,
}

impl PullRequest {
    const FRONT: usize = 8 + 32 + 2;
    const REFERENCE: usize = 32;
    /// The most references of one request: what a payload holds.
    pub const MAX_REFERENCES: usize = (MAX_PAYLOAD - Self::FRONT) / Self::REFERENCE;

    /// Asks for every block of the stream.
    pub const fn everything(time: WallTime, stream: StreamId) -> Self {
        Self { time, stream, references: Vec::new() }
    }

    /// Asks for these blocks.
    ///
    /// # Errors
    /// No block (that would ask for all of them), or more than [`PullRequest::MAX_REFERENCES`].
    pub fn blocks(time: WallTime, stream: StreamId, references: Vec<Digest>) -> Result<Self, DecodeError> {
        if references.is_empty() {
            return Err(DecodeError::Value("references"));
        }
        Self::of(time, stream, references)
    }

    fn of(time: WallTime, stream: StreamId, references: Vec<Digest>) -> Result<Self, DecodeError> {
        let (length, limit) = (references.len() * Self::REFERENCE, Self::MAX_REFERENCES * Self::REFERENCE);
        if length > limit {
            return Err(DecodeError::TooLong { field: "references", length, limit });
        }
        Ok(Self { time, stream, references })
    }

    /// How many references one request holds over a way of this MTU.
    pub fn room(mtu: Mtu) -> usize {
        room_beside(NOTICE_HEADER, mtu).saturating_sub(Self::FRONT) / Self::REFERENCE
    }

    /// The blocks that are asked for; nothing if it is all of them.
    pub fn references(&self) -> Option<&[Digest]> {
        (!self.references.is_empty()).then_some(&self.references)
    }

    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let (time, stream) = front(&mut reader)?;
        let count = usize::from(reader.u16("references")?);
        let references = reader.bytes("references", count * Self::REFERENCE)?.as_chunks().0;
        reader.end()?;
        Self::of(time, stream, references.iter().copied().map(Digest::from_bytes).collect())
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        let count = u16::try_from(self.references.len()).expect("MAX_REFERENCES fits in two bytes");
        let mut writer = write_front(buffer, self.time, &self.stream);
        writer.u16(count);
        for reference in &self.references {
            writer.bytes(reference.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz_pull_request;
    use crate::{Frame, Header, Mode};
    use proptest::prelude::*;
    use ratman_types::{Address, Recipient, Signature};

    const TIME: WallTime = WallTime::from_micros(0x0102_0304_0506_0708);
    const STREAM: StreamId = StreamId::from_bytes([0x22; 32]);

    fn of(count: usize) -> Result<PullRequest, DecodeError> {
        PullRequest::blocks(TIME, STREAM, vec![Digest::from_bytes([0x33; 32]); count])
    }

    fn encode(request: &PullRequest) -> Vec<u8> {
        let mut buffer = Vec::new();
        request.encode_into(&mut buffer);
        buffer
    }

    #[test]
    fn golden_bytes() {
        let front = [&[1, 2, 3, 4, 5, 6, 7, 8][..], &[0x22; 32]].concat();
        let everything = [&front[..], &[0, 0]].concat();
        assert_eq!(encode(&PullRequest::everything(TIME, STREAM)), everything);
        assert_eq!(PullRequest::decode(&everything).unwrap().references(), None);
        let mut two = [&front[..], &[0, 2], &[0x33; 64]].concat();
        assert_eq!(encode(&of(2).unwrap()), two);
        assert_eq!(PullRequest::decode(&two), of(2));
        assert_eq!(of(2).unwrap().references(), Some(&[Digest::from_bytes([0x33; 32]); 2][..]));
        for length in 0..two.len() {
            assert!(PullRequest::decode(&two[..length]).is_err(), "cut to {length}");
        }
        two.push(0);
        assert_eq!(PullRequest::decode(&two), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn a_list_is_neither_empty_nor_larger_than_a_frame() {
        assert_eq!(of(0), Err(DecodeError::Value("references")));
        assert_eq!(PullRequest::MAX_REFERENCES, 1022);
        let largest = encode(&of(1022).unwrap());
        assert!(largest.len() <= MAX_PAYLOAD && largest.len() + 32 > MAX_PAYLOAD);
        assert_eq!(PullRequest::decode(&largest), of(1022));
        let too_long = Err(DecodeError::TooLong { field: "references", length: 1023 * 32, limit: 1022 * 32 });
        assert_eq!(of(1023), too_long);
        let mut claimed = largest.clone();
        claimed[40..42].copy_from_slice(&1023_u16.to_be_bytes());
        claimed.extend([0; 32]);
        assert_eq!(PullRequest::decode(&claimed), too_long);
        claimed[40..42].fill(0xFF);
        let missing = 65_535 * 32 - 1023 * 32;
        assert_eq!(
            PullRequest::decode(&claimed),
            Err(DecodeError::Truncated { field: "references", missing })
        );
    }

    #[test]
    fn as_many_as_fit_the_way() {
        let to = Recipient::Address(Address::from_bytes([1; 32]));
        let signature = Some(Signature([0; 64]));
        let header = Header { signature, ..Header::new(Mode::PULL_REQUEST, [0; 32]).to(to) };
        let frame = |count| Frame { header, payload: &encode(&of(count).unwrap()) }.encode().len();
        assert_eq!(PullRequest::room(Mtu(u32::try_from(frame(5)).unwrap())), 5);
        assert_eq!(PullRequest::room(Mtu(u32::try_from(frame(5)).unwrap() - 1)), 4);
        assert_eq!(PullRequest::room(Mtu(100)), 0);
        assert_eq!(PullRequest::room(Mtu(u32::MAX)), PullRequest::MAX_REFERENCES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(mut bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0..6_u8) {
            fuzz_pull_request(&bytes);
            bytes.resize(42 + usize::from(count) * 32, 0);
            bytes[40..42].copy_from_slice(&[0, count]);
            fuzz_pull_request(&bytes);
        }
    }
}
