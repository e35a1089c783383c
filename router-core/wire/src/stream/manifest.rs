// SPDX-License-Identifier: AGPL-3.0-or-later
//! The manifest, version 2, as it is sealed: what a recipient needs to find and decrypt a stream (source: manual, manifest
//! frame; wire page, streams; the layout is ours, see `decisions/manifest.md`).

use core::fmt;

use ratman_eris::{CapabilityError, ReadCapability};
use ratman_types::{ByteCount, WallTime};
use zeroize::Zeroizing;

use super::{AuxiliaryData, Letterhead, Lifetime, StreamId};
use crate::{DecodeError, Reader, Writer};

/// The most contents that a manifest carries itself, in bytes (source: wire page).
pub const MAX_INLINE: usize = 255;
/// What sealing adds: an ephemeral key and a tag.
pub const SEALING: usize = 32 + 16;
/// The longest sealed manifest, in bytes: the longest message of the Noise specification.
pub const MAX_SEALED: usize = 65_535;
/// The longest manifest, in bytes.
pub const MAX_PLAINTEXT: usize = MAX_SEALED - SEALING;

const _: () = assert!(
    FIXED + AuxiliaryData::MAX_LEN + MAX_INLINE <= MAX_PLAINTEXT,
    "every manifest fits one Noise message"
);

const VERSION: u8 = 2;
const TAG_BLOCKS: u8 = 1;
const TAG_INLINE: u8 = 2;
/// All but auxiliary data and contents: version, stream id, created, lifetime, from, to, size, count of pairs, tag.
const FIXED: usize = 1 + 32 + 8 + 4 + 32 + 33 + 8 + 2 + 1;

/// A manifest; neither its root key nor its inline contents are ever printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    stream: StreamId,
    created: WallTime,
    lifetime: Lifetime,
    letterhead: Letterhead,
    // INVARIANT: what the letterhead's size says: a tree of that height, or so many bytes.
    contents: Contents,
}

/// Where the contents of a stream are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// In blocks that travel by themselves.
    Blocks(ReadCapability),
    /// In the manifest.
    Inline(InlineContents),
}

/// Up to [`MAX_INLINE`] bytes of contents, zeroised when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct InlineContents(Zeroizing<Vec<u8>>);

impl InlineContents {
    /// Takes a copy of the contents; nothing above [`MAX_INLINE`].
    pub fn new(contents: &[u8]) -> Option<Self> {
        (contents.len() <= MAX_INLINE).then(|| Self(Zeroizing::new(contents.to_vec())))
    }

    /// The contents.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for InlineContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InlineContents({} bytes)", self.0.len())
    }
}

impl Contents {
    /// Whether they can be all of a stream of this size.
    fn check(&self, stream_size: ByteCount) -> Result<(), DecodeError> {
        let (field, fits) = match self {
            Self::Blocks(capability) => {
                ("level", capability.block_size().level_of(stream_size) == Some(capability.level()))
            }
            Self::Inline(contents) => {
                ("inline contents", u64::try_from(contents.0.len()) == Ok(stream_size.0))
            }
        };
        if fits { Ok(()) } else { Err(DecodeError::Value(field)) }
    }

    /// tag 1 ‖ read capability, or tag 2 ‖ the contents, which end where the manifest does.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8("contents")? {
            TAG_BLOCKS => decode_capability(reader).map(Self::Blocks),
            TAG_INLINE => {
                let bytes = reader.bytes("inline contents", reader.rest().len())?;
                let (length, limit) = (bytes.len(), MAX_INLINE);
                let contents = InlineContents::new(bytes);
                let too_long = DecodeError::TooLong { field: "inline contents", length, limit };
                contents.map(Self::Inline).ok_or(too_long)
            }
            tag => Err(DecodeError::Tag { field: "contents", tag }),
        }
    }

    fn encode_into(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Blocks(capability) => {
                writer.u8(TAG_BLOCKS).bytes(&capability.to_bytes()[..]);
            }
            Self::Inline(contents) => {
                writer.u8(TAG_INLINE).bytes(&contents.0);
            }
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Blocks(_) => ReadCapability::LEN,
            Self::Inline(contents) => contents.0.len(),
        }
    }
}

fn decode_capability(reader: &mut Reader<'_>) -> Result<ReadCapability, DecodeError> {
    let bytes = reader.bytes("read capability", ReadCapability::LEN)?;
    ReadCapability::from_bytes(bytes).map_err(|error| {
        let is_of_size = matches!(error, CapabilityError::BlockSize(_));
        DecodeError::Value(if is_of_size { "block size" } else { "level" })
    })
}

impl Manifest {
    /// Puts a manifest together.
    ///
    /// # Errors
    /// Contents that cannot be all of a stream of the letterhead's size.
    pub fn new(
        stream: StreamId,
        created: WallTime,
        lifetime: Lifetime,
        letterhead: Letterhead,
        contents: Contents,
    ) -> Result<Self, DecodeError> {
        contents.check(letterhead.stream_size)?;
        Ok(Self { stream, created, lifetime, letterhead, contents })
    }

    /// Parses exactly one manifest after it was opened.
    ///
    /// # Errors
    /// Other forms, a lifetime above 30 days, and contents that do not fit the size: a size that nobody can hold costs
    /// nothing, since nothing is set aside for it.
    pub fn decode(plaintext: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(plaintext);
        reader.version(VERSION)?;
        let stream = StreamId::from_bytes(reader.array("stream id")?);
        let created = WallTime::from_micros(reader.u64("created")?);
        let lifetime = Lifetime::decode(reader.u32("lifetime")?)?;
        let letterhead = Letterhead::decode(&mut reader)?;
        let contents = Contents::decode(&mut reader)?;
        reader.end()?;
        Self::new(stream, created, lifetime, letterhead, contents)
    }

    /// The bytes to be sealed, [`MAX_PLAINTEXT`] at most, zeroised when dropped.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // All at once: a buffer that grows leaves copies of the secrets behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(self.encoded_len()));
        let mut writer = Writer::new(&mut buffer);
        writer
            .u8(VERSION)
            .bytes(self.stream.as_bytes())
            .u64(self.created.as_micros())
            .u32(self.lifetime.as_secs());
        self.letterhead.encode_into(&mut writer);
        self.contents.encode_into(&mut writer);
        buffer
    }

    fn encoded_len(&self) -> usize {
        1 + 32 + 8 + 4 + self.letterhead.encoded_len() + 1 + self.contents.encoded_len()
    }

    /// The stream's name.
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    /// When the stream was made, by its sender's corrected clock.
    pub const fn created(&self) -> WallTime {
        self.created
    }

    /// For how long after that it is wanted.
    pub const fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// From whom, to whom, how large.
    pub const fn letterhead(&self) -> &Letterhead {
        &self.letterhead
    }

    /// Where the contents are.
    pub const fn contents(&self) -> &Contents {
        &self.contents
    }
}

#[cfg(test)]
mod tests;
