// SPDX-License-Identifier: AGPL-3.0-or-later
//! SourceRequest and SourceResponse, modes 67 and 68: which source a neighbour runs, as the licence asks (source: manual,
//! AGPL compliance; the layout is ours, see `decisions/source.md`).

use ratman_types::{Digest, WallTime};

use crate::{DecodeError, Reader, Writer};

/// Asks a neighbour for its source: time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRequest {
    /// The sender's corrected time, strictly increasing per link: the manual's date.
    pub time: WallTime,
}

impl SourceRequest {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let request = Self { time: WallTime::from_micros(reader.u64("time")?) };
        reader.end()?;
        Ok(request)
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        Writer::new(buffer).u64(self.time.as_micros());
    }
}

/// Describes the source that a router runs: time ‖ source_urn 32 ‖ version ‖ number_of_patches ‖ source_url ‖ note, each of the
/// last four tag 0, or 1 ‖ value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceResponse {
    /// The sender's corrected time, strictly increasing per link.
    pub time: WallTime,
    /// The hash of the source archive: by it the archive is asked for.
    pub source_urn: Digest,
    /// The release.
    pub version: Option<Text<64>>,
    /// How many patches were applied to it.
    pub number_of_patches: Option<u32>,
    /// Where the source is found.
    pub source_url: Option<Text<512>>,
    /// The names of the patches.
    pub note: Option<Text<2048>>,
}

impl SourceResponse {
    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let response = Self {
            time: WallTime::from_micros(reader.u64("time")?),
            source_urn: Digest::from_bytes(reader.array("source_urn")?),
            version: reader.option("version", |reader| Text::decode(reader, "version"))?,
            number_of_patches: reader
                .option("number_of_patches", |reader| reader.u32("number_of_patches"))?,
            source_url: reader.option("source_url", |reader| Text::decode(reader, "source_url"))?,
            note: reader.option("note", |reader| Text::decode(reader, "note"))?,
        };
        reader.end()?;
        Ok(response)
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        Writer::new(buffer)
            .u64(self.time.as_micros())
            .bytes(self.source_urn.as_bytes())
            .option(self.version.as_ref(), |writer, text| text.encode_into(writer))
            .option(self.number_of_patches, |writer, number| {
                writer.u32(number);
            })
            .option(self.source_url.as_ref(), |writer, text| text.encode_into(writer))
            .option(self.note.as_ref(), |writer, text| text.encode_into(writer));
    }
}

/// UTF-8 of at most `MAX` bytes without control characters, so that a stranger's words can be shown; on the wire the text
/// and NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes a text; nothing if it is too long or holds control characters.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() <= MAX && !text.contains(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn decode(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let within = &reader.rest()[..reader.rest().len().min(MAX + 1)];
        let Some(length) = within.iter().position(|byte| *byte == 0) else {
            return Err(match within.len() > MAX {
                true => DecodeError::TooLong { field, length: within.len(), limit: MAX },
                false => DecodeError::Truncated { field, missing: 1 },
            });
        };
        let text = core::str::from_utf8(reader.bytes(field, length)?).ok().and_then(Self::new);
        reader.u8(field)?;
        text.ok_or(DecodeError::Value(field))
    }

    fn encode_into(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.0.as_bytes()).u8(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz_source;
    use proptest::prelude::*;

    const TIME: WallTime = WallTime::from_micros(0x0102_0304_0506_0708);

    fn response() -> SourceResponse {
        SourceResponse {
            time: TIME,
            source_urn: Digest::from_bytes([0x33; 32]),
            version: Text::new("0.5"),
            number_of_patches: Some(2),
            source_url: None,
            note: Text::new("größer, kleiner"),
        }
    }

    fn encode(response: &SourceResponse) -> Vec<u8> {
        let mut buffer = Vec::new();
        response.encode_into(&mut buffer);
        buffer
    }

    #[test]
    fn golden_bytes() {
        let mut golden = vec![1, 2, 3, 4, 5, 6, 7, 8];
        let mut buffer = Vec::new();
        SourceRequest { time: TIME }.encode_into(&mut buffer);
        assert_eq!(buffer, golden);
        assert_eq!(SourceRequest::decode(&golden), Ok(SourceRequest { time: TIME }));
        assert!(SourceRequest::decode(&golden[1..]).is_err());

        golden.extend([0x33; 32]);
        let mut urn_alone = golden.clone();
        urn_alone.extend([0; 4]);
        golden.extend(b"\x010.5\0\x01\0\0\0\x02\0\x01gr\xC3\xB6\xC3\x9Fer, kleiner\0");
        assert_eq!(encode(&response()), golden);
        assert_eq!(SourceResponse::decode(&golden), Ok(response()));
        for length in 0..golden.len() {
            assert!(SourceResponse::decode(&golden[..length]).is_err(), "cut to {length}");
        }
        golden.push(0);
        assert_eq!(SourceResponse::decode(&golden), Err(DecodeError::Trailing(1)));
        let least = SourceResponse { version: None, number_of_patches: None, note: None, ..response() };
        assert_eq!(encode(&least), urn_alone);
        assert_eq!(SourceResponse::decode(&urn_alone), Ok(least));
    }

    #[test]
    fn texts_are_short_and_can_be_shown() {
        assert_eq!(Text::<3>::new("0.5").unwrap().as_str(), "0.5");
        assert_eq!(Text::<3>::new("0.55"), None);
        for text in ["a\nb", "a\0b", "\u{1b}[2J", "\u{9b}2J"] {
            assert_eq!(Text::<64>::new(text), None, "{text:?}");
        }
        let decode = |bytes: &[u8]| Text::<3>::decode(&mut Reader::new(bytes), "note").map(|text| text.0);
        assert_eq!(decode(b"0.5\0rest"), Ok("0.5".to_owned()));
        assert_eq!(decode(b"0.55\0"), Err(DecodeError::TooLong { field: "note", length: 4, limit: 3 }));
        assert_eq!(decode(b"0.5"), Err(DecodeError::Truncated { field: "note", missing: 1 }));
        assert_eq!(decode(b"a\n\0"), Err(DecodeError::Value("note")));
        assert_eq!(decode(b"\xff\0"), Err(DecodeError::Value("note")));
    }

    proptest! {
        #[test]
        fn every_response_round_trips(
            (urn, number_of_patches) in any::<([u8; 32], Option<u32>)>(),
            version in prop::option::of("[^\\p{Cc}]{0,16}"),
            note in prop::option::of("[^\\p{Cc}]{0,300}"),
        ) {
            let value = SourceResponse {
                source_urn: Digest::from_bytes(urn),
                number_of_patches,
                version: version.map(|text| Text::new(&text).unwrap()),
                note: note.map(|text| Text::new(&text).unwrap()),
                ..response()
            };
            prop_assert_eq!(SourceResponse::decode(&encode(&value)), Ok(value));
        }

        #[test]
        fn any_bytes_are_answered(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            rest in prop::collection::vec(prop_oneof![0..2_u8, 65..70_u8], 0..30),
        ) {
            fuzz_source(&bytes);
            fuzz_source(&[&[0; 40][..], &rest].concat());
        }
    }
}
