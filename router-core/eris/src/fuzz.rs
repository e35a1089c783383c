// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call: any read capability, any tree, and any content there and back.

mod forger;

use std::collections::BTreeMap;

use ratman_types::ByteCount;

use crate::{BlockSize, ConvergenceSecret, Decoded, Decoder, Encoder, ReadCapability, Reference};
#[cfg(test)]
pub(crate) use forger::Child;
pub(crate) use forger::Forger;

/// What a fuzzed tree may hold.
const LIMIT: ByteCount = ByteCount(256 * 1024);
/// More blocks than any tree of that content: 64-byte blocks have no tree, and the nodes of 256 bytes add a third.
const STEPS: usize = 2048;

/// Blocks by their names.
pub(crate) type Store = BTreeMap<Reference, Vec<u8>>;

/// The two forms of a read capability.
pub fn fuzz_capability(data: &[u8]) {
    if let Ok(capability) = ReadCapability::from_bytes(data) {
        assert_eq!(capability.to_bytes()[..], *data);
        assert_eq!(capability.to_urn().parse(), Ok(capability));
    }
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(capability) = text.parse::<ReadCapability>()
    {
        assert_eq!(*capability.to_urn(), text);
    }
}

/// A tree whose maker has all keys and keeps to no rule: it is read within its limit or refused, and what is read has the
/// form that an encoder gives it.
pub fn fuzz_decoder(data: &[u8]) {
    let Some((capability, store)) = Forger::from_script(data) else { return };
    let Ok(mut decoder) = Decoder::whole(&capability, LIMIT) else { return };
    let mut read = 0;
    for _ in 0..STEPS {
        let Some(reference) = decoder.next_wanted() else { break };
        let Some(block) = store.get(&reference) else { return };
        match decoder.handle_block(block) {
            Ok(Decoded::Content(piece)) => read += piece.len(),
            Ok(Decoded::Node) => {}
            Ok(Decoded::Early | Decoded::NotWanted) => panic!("the block that is wanted next is taken"),
            Err(_) => return,
        }
    }
    assert!(decoder.is_finished(), "a tree within the limit has no more blocks");
    let total = u64::try_from(read).expect("the limit is small");
    assert_eq!(decoder.content_len(), Some(ByteCount(total)));
    assert!(total <= LIMIT.0);
    let ours = encoded(capability.block_size(), 0, usize::MAX, &vec![0; read]);
    assert_eq!(ours.0.level(), capability.level());
}

/// Content through an encoder, in pieces, and back through decoders of all of it, of a part, and of its length.
pub fn fuzz_round_trip(data: &[u8]) {
    let Some(([size, secret, piece, order, from, len], content)) = data.split_first_chunk() else { return };
    let size = BlockSize::ALL[usize::from(size % 4)];
    if size == BlockSize::Bytes64 && content.len() > 63 {
        return;
    }
    let (capability, store) = encoded(size, *secret, usize::from(*piece) + 1, content);
    let limit = ByteCount(u64::try_from(content.len()).expect("a fuzzer's input"));
    let mut whole = Decoder::whole(&capability, limit).expect("a limit that suffices");
    assert_eq!(decoded(&mut whole, &store, usize::from(*order)), content);
    assert_eq!(whole.content_len(), Some(limit));

    let (from, len) = (usize::from(*from) * 16, usize::from(*len) * 16);
    let mut range = Decoder::range(
        &capability,
        from.try_into().expect("small"),
        ByteCount(len.try_into().expect("small")),
    );
    let end = content.len().min(from + len);
    assert_eq!(decoded(&mut range, &store, usize::from(*order)), content[from.min(end)..end]);

    let mut length = Decoder::length(&capability);
    assert!(decoded(&mut length, &store, 0).is_empty());
    assert_eq!(length.content_len(), Some(limit));
}

/// Encodes content in pieces of a length; the secret repeats a byte.
pub(crate) fn encoded(size: BlockSize, secret: u8, piece: usize, content: &[u8]) -> (ReadCapability, Store) {
    let mut encoder = Encoder::new(size, &ConvergenceSecret::from_bytes([secret; 32]));
    let mut store = Store::new();
    for mut piece in content.chunks(piece) {
        while !piece.is_empty() {
            piece = &piece[encoder.push(piece).expect("content that the size takes")..];
            while let Some(block) = encoder.poll_block() {
                store.insert(block.reference, block.bytes.to_vec());
            }
        }
    }
    encoder.finish();
    while let Some(block) = encoder.poll_block() {
        store.insert(block.reference, block.bytes.to_vec());
    }
    (encoder.capability().expect("all blocks are taken"), store)
}

/// Decodes from a store, with one block ahead of its turn after each that is next: the `order`-th of those wanted.
pub(crate) fn decoded(decoder: &mut Decoder, store: &Store, order: usize) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(next) = decoder.next_wanted() {
        match decoder.handle_block(&store[&next]).expect("the blocks of an encoder") {
            Decoded::Content(piece) => content.extend_from_slice(piece),
            Decoded::Node => {}
            Decoded::Early | Decoded::NotWanted => panic!("the block that is wanted next is taken"),
        }
        let ahead = decoder.wanted().skip(1).nth(order).map(|wanted| wanted.reference);
        if let Some(ahead) = ahead.filter(|ahead| Some(*ahead) != decoder.next_wanted()) {
            match decoder.handle_block(&store[&ahead]).expect("the blocks of an encoder") {
                Decoded::Node | Decoded::Early => {}
                Decoded::Content(_) | Decoded::NotWanted => panic!("it is wanted, and not next"),
            }
        }
    }
    content
}
