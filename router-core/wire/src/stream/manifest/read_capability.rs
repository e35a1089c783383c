// SPDX-License-Identifier: AGPL-3.0-or-later
//! What it takes to read a stream: the root of its tree of blocks and the key to it (source: ERIS 1.0.0, read
//! capability; manual, manifest frame).

use core::fmt;

use ratman_types::Digest;
use zeroize::Zeroizing;

use super::super::BlockSize;
use crate::{DecodeError, Reader, Writer};

/// The read capability of a stream; whoever has it and the blocks has the contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadCapability {
    /// The size of every block.
    pub block_size: BlockSize,
    /// How many levels of nodes stand above the leaves.
    pub level: u8,
    /// The name of the root block.
    pub root_reference: Digest,
    /// The key of the root block.
    pub root_key: RootKey,
}

/// The key of a stream's root block, zeroised when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey(Zeroizing<[u8; 32]>);

impl RootKey {
    /// Takes the key that the encoder gave.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key, for the decoder.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(…)")
    }
}

impl ReadCapability {
    /// Its length in bytes.
    pub(super) const LEN: usize = 1 + 1 + 32 + 32;

    /// block size, as its binary logarithm ‖ level ‖ root reference 32 ‖ root key 32.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            block_size: BlockSize::decode(reader.u8("block size")?)?,
            level: reader.u8("level")?,
            root_reference: Digest::from_bytes(reader.array("root reference")?),
            root_key: RootKey::from_bytes(reader.array("root key")?),
        })
    }

    pub(super) fn encode_into(&self, writer: &mut Writer<'_>) {
        writer
            .u8(self.block_size.code())
            .u8(self.level)
            .bytes(self.root_reference.as_bytes())
            .bytes(self.root_key.as_bytes());
    }
}
