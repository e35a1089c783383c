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

/// Reads it in pieces for as long as `give` takes them.
pub(super) fn read(
    store: &Store,
    arrival: &Arrival,
    mut give: impl FnMut(&[u8]) -> bool,
) -> Result<(), ContentError> {
    match &arrival.contents {
        Contents::Inline(content) => {
            give(content.as_bytes());
            Ok(())
        }
        Contents::Blocks(capability) => read_blocks(store, arrival, capability, give),
    }
}

fn read_blocks(
    store: &Store,
    arrival: &Arrival,
    capability: &ReadCapability,
    mut give: impl FnMut(&[u8]) -> bool,
) -> Result<(), ContentError> {
    let numbers = numbers(store, arrival.group.0)?;
    let mut decoder = Decoder::whole(capability, arrival.size)?;
    while let Some(next) = decoder.next_wanted() {
        let number = *numbers.get(&next).ok_or(ContentError::Block(next))?;
        let block = store.get(Table::Blocks, &Key::entry(arrival.group.0, number))?;
        match decoder.handle_block(&block.ok_or(ContentError::Block(next))?)? {
            Decoded::Content(piece) if !give(piece) => return Ok(()),
            Decoded::Content(_) | Decoded::Node => {}
            Decoded::Early | Decoded::NotWanted => return Err(ContentError::Block(next)),
        }
    }
    let (said, found) = (arrival.size, decoder.content_len().unwrap_or(arrival.size));
    if said == found { Ok(()) } else { Err(ContentError::Size { said, found }) }
}

/// Where each block of a group is: as many as one stream has.
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
