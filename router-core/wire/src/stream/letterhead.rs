// SPDX-License-Identifier: AGPL-3.0-or-later
//! The letterhead: from whom a stream is, to whom, how large, and what the application says about it (source: manual,
//! manifest frame).

use core::ffi::CStr;
use core::fmt;

use ratman_types::{Address, ByteCount, Recipient};

use crate::{DecodeError, Reader, Writer};

/// What a recipient learns of a stream before its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letterhead {
    /// The address that made the stream.
    pub from: Address,
    /// Whom it is for.
    pub to: Recipient,
    /// The length of its contents.
    pub stream_size: ByteCount,
    /// What the application added.
    pub auxiliary_data: AuxiliaryData,
}

impl Letterhead {
    /// from 32 ‖ recipient tag ‖ to 32 ‖ size u64 ‖ auxiliary data.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            from: Address::from_bytes(reader.array("from")?),
            to: reader.recipient("to")?.ok_or(DecodeError::Tag { field: "to", tag: 0 })?,
            stream_size: ByteCount(reader.u64("stream size")?),
            auxiliary_data: AuxiliaryData::decode(reader)?,
        })
    }

    pub(crate) fn encode_into(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.from.as_bytes()).recipient(&self.to).u64(self.stream_size.0);
        self.auxiliary_data.encode_into(writer);
    }

    pub(super) const fn encoded_len(&self) -> usize {
        32 + 33 + 8 + self.auxiliary_data.encoded_len()
    }
}

/// Pairs of texts that an application sends along, in its order; not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuxiliaryData {
    count: u16,
    // INVARIANT: `count` times key NUL value NUL, MAX_LEN bytes at most.
    pairs: Vec<u8>,
}

impl AuxiliaryData {
    /// The most that all pairs take, in bytes with their terminators: what is larger belongs into the contents, and a
    /// manifest must fit one Noise message.
    pub const MAX_LEN: usize = 32_768;

    /// Takes the pairs.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] above [`AuxiliaryData::MAX_LEN`].
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a CStr, &'a CStr)>) -> Result<Self, DecodeError> {
        let mut data = Self::default();
        for (key, value) in pairs {
            data.pairs.extend_from_slice(key.to_bytes_with_nul());
            data.pairs.extend_from_slice(value.to_bytes_with_nul());
            check_len(data.pairs.len())?;
            data.count += 1;
        }
        Ok(data)
    }

    /// Key and value of each pair.
    pub fn iter(&self) -> impl Iterator<Item = (&CStr, &CStr)> {
        let mut rest = &self.pairs[..];
        core::iter::from_fn(move || Some((next_text(&mut rest)?, next_text(&mut rest)?)))
    }

    /// n u16 ‖ n × (key NUL ‖ value NUL).
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.u16("auxiliary data")?;
        let mut length = 0;
        for _ in 0..2 * u32::from(count) {
            let end = reader.rest()[length..].iter().position(|byte| *byte == 0);
            length += 1 + end.ok_or(DecodeError::Truncated { field: "auxiliary data", missing: 1 })?;
            check_len(length)?;
        }
        Ok(Self { count, pairs: reader.bytes("auxiliary data", length)?.to_vec() })
    }

    pub(crate) fn encode_into(&self, writer: &mut Writer<'_>) {
        writer.u16(self.count).bytes(&self.pairs);
    }

    const fn encoded_len(&self) -> usize {
        2 + self.pairs.len()
    }
}

impl fmt::Debug for AuxiliaryData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuxiliaryData({} pairs, {} bytes)", self.count, self.pairs.len())
    }
}

fn check_len(length: usize) -> Result<(), DecodeError> {
    let limit = AuxiliaryData::MAX_LEN;
    if length > limit {
        return Err(DecodeError::TooLong { field: "auxiliary data", length, limit });
    }
    Ok(())
}

fn next_text<'a>(rest: &mut &'a [u8]) -> Option<&'a CStr> {
    let text = CStr::from_bytes_until_nul(rest).ok()?;
    *rest = &rest[text.count_bytes() + 1..];
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::CString;

    fn encode(data: &AuxiliaryData) -> Vec<u8> {
        let mut buffer = Vec::new();
        data.encode_into(&mut Writer::new(&mut buffer));
        assert_eq!(buffer.len(), data.encoded_len());
        buffer
    }

    fn decode(bytes: &[u8]) -> Result<AuxiliaryData, DecodeError> {
        let mut reader = Reader::new(bytes);
        let data = AuxiliaryData::decode(&mut reader)?;
        reader.end()?;
        Ok(data)
    }

    #[test]
    fn golden_bytes() {
        let data = AuxiliaryData::new([(c"name", c"cat.jpg"), (c"", c""), (c"name", c"x")]).unwrap();
        let golden = b"\0\x03name\0cat.jpg\0\0\0name\0x\0";
        assert_eq!(encode(&data), golden);
        assert_eq!(decode(golden), Ok(data.clone()));
        assert!(data.iter().eq([(c"name", c"cat.jpg"), (c"", c""), (c"name", c"x")]));
        assert_eq!(encode(&AuxiliaryData::default()), [0, 0]);
        assert_eq!(AuxiliaryData::default().iter().count(), 0);
        for length in 0..golden.len() {
            assert!(decode(&golden[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn the_limit_holds_on_both_ways() {
        let fits = CString::new(vec![b'x'; AuxiliaryData::MAX_LEN - 2]).unwrap();
        let data = AuxiliaryData::new([(&*fits, c"")]).unwrap();
        let mut bytes = encode(&data);
        assert_eq!(decode(&bytes), Ok(data));
        bytes.insert(2, b'x');
        let too_long = DecodeError::TooLong {
            field: "auxiliary data",
            length: AuxiliaryData::MAX_LEN + 1,
            limit: AuxiliaryData::MAX_LEN,
        };
        assert_eq!(decode(&bytes), Err(too_long));
        assert_eq!(AuxiliaryData::new([(&*fits, c"x")]), Err(too_long));
        let many = [&[0xFF, 0xFF][..], &[0; 140_000]].concat();
        assert_eq!(decode(&many), Err(too_long), "the most pairs that can be claimed");
        let pairs = core::iter::repeat_n((c"", c""), AuxiliaryData::MAX_LEN / 2 + 1);
        assert!(AuxiliaryData::new(pairs).is_err());
    }

    #[test]
    fn texts_are_not_printed() {
        let data = AuxiliaryData::new([(c"secret", c"name")]).unwrap();
        assert_eq!(format!("{data:?}"), "AuxiliaryData(1 pairs, 12 bytes)");
    }

    proptest! {
        #[test]
        fn every_pair_comes_back(pairs in prop::collection::vec(("[^\0]{0,20}", "[^\0]{0,20}"), 0..20)) {
            let pairs: Vec<_> = pairs
                .into_iter()
                .map(|(key, value)| (CString::new(key).unwrap(), CString::new(value).unwrap()))
                .collect();
            let borrowed = || pairs.iter().map(|(key, value)| (&**key, &**value));
            let data = AuxiliaryData::new(borrowed()).unwrap();
            prop_assert!(data.iter().eq(borrowed()));
            prop_assert_eq!(decode(&encode(&data)), Ok(data));
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(0_u8..3, 0..60)) {
            if let Ok(data) = decode(&bytes) {
                prop_assert_eq!(encode(&data), bytes);
                prop_assert_eq!(data.iter().count(), usize::from(data.count));
            }
        }
    }
}
