// SPDX-License-Identifier: AGPL-3.0-or-later
//! The content of a stream that is here, out of the blocks in the store.

use std::collections::BTreeMap;

use ratman_eris::{DecodeError, Decoded, Decoder, ReadCapability, Reference};
use ratman_types::ByteCount;
use ratman_wire::stream::Contents;
use router_core::streams::Arrival;

use super::journal;
use crate::store::{Key, Store, StoreError, Table};

/// Why a content cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block is not there, or not as it was stored.
    #[error("a block is missing or damaged: {0}")]
    Block(Reference),
    /// The blocks are no tree, or not one of that length.
    #[error("the stream cannot be decoded: {0}")]
    Tree(#[from] DecodeError),
    /// The content is shorter than its sender said.
    #[error("the content was to have {} bytes, and has {}", said.0, found.0)]
    Size {
        /// What was said.
        said: ByteCount,
        /// What there is.
        found: ByteCount,
    },
}

/// Content that is being read, block after block.
#[derive(Debug)]
pub(super) enum Reading {
    /// Nothing has been read.
    Begins { arrival: Box<Arrival>, offset: u64 },
    /// Some of it has.
    Blocks(Box<Blocks>),
    /// All of it has.
    Over,
}

/// The blocks of a content, of which some have been read.
#[derive(Debug)]
pub(super) struct Blocks {
    group: u64,
    /// Where each block of the group is: as many as one stream has.
    numbers: BTreeMap<Reference, u32>,
    decoder: Decoder,
    said: ByteCount,
}

impl Reading {
    /// What is beyond the first `offset` bytes of an arrival's content.
    pub(super) fn new(arrival: &Arrival, offset: ByteCount) -> Self {
        Self::Begins { arrival: Box::new(arrival.clone()), offset: offset.0 }
    }

    /// The next piece, which is not empty, of 32 KiB at most; nothing after the last. Waits for the disk.
    pub(super) fn next(&mut self, store: &Store) -> Result<Option<Vec<u8>>, ContentError> {
        loop {
            match self {
                Self::Begins { arrival, offset } => match &arrival.contents {
                    Contents::Inline(content) => {
                        let rest = usize::try_from(*offset).ok().and_then(|at| content.as_bytes().get(at..));
                        let rest = rest.filter(|rest| !rest.is_empty()).map(<[u8]>::to_vec);
                        *self = Self::Over;
                        return Ok(rest);
                    }
                    Contents::Blocks(capability) => {
                        let blocks = Blocks::open(store, arrival, capability, *offset)?;
                        *self = Self::Blocks(Box::new(blocks));
                    }
                },
                Self::Blocks(blocks) => match blocks.next(store)? {
                    Some(piece) => return Ok(Some(piece)),
                    None => *self = Self::Over,
                },
                Self::Over => return Ok(None),
            }
        }
    }
}

impl Blocks {
    fn open(
        store: &Store,
        arrival: &Arrival,
        capability: &ReadCapability,
        offset: u64,
    ) -> Result<Self, ContentError> {
        let said = arrival.size;
        let decoder = if offset == 0 {
            Decoder::whole(capability, said)?
        } else {
            Decoder::range(capability, offset, ByteCount(said.0.saturating_sub(offset)))
        };
        Ok(Self { group: arrival.group.0, numbers: numbers(store, arrival.group.0)?, decoder, said })
    }

    fn next(&mut self, store: &Store) -> Result<Option<Vec<u8>>, ContentError> {
        while let Some(next) = self.decoder.next_wanted() {
            let number = *self.numbers.get(&next).ok_or(ContentError::Block(next))?;
            let block = store.get(Table::Blocks, &Key::entry(self.group, number))?;
            match self.decoder.handle_block(&block.ok_or(ContentError::Block(next))?)? {
                Decoded::Content(piece) if !piece.is_empty() => return Ok(Some(piece.to_vec())),
                Decoded::Content(_) | Decoded::Node => {}
                Decoded::Early | Decoded::NotWanted => return Err(ContentError::Block(next)),
            }
        }
        let (said, found) = (self.said, self.decoder.content_len().unwrap_or(self.said));
        if said == found { Ok(None) } else { Err(ContentError::Size { said, found }) }
    }
}

/// Where each block of a group is.
fn numbers(store: &Store, group: u64) -> Result<BTreeMap<Reference, u32>, ContentError> {
    let mut numbers = BTreeMap::new();
    for entry in store.scan(Table::References, Key::group(group)) {
        let (key, value) = entry?;
        if let Some((entry, name, _)) = journal::entry_of(&key, &value) {
            numbers.insert(Reference::from_bytes(name), entry.1);
        }
    }
    Ok(numbers)
}
