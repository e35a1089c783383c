// SPDX-License-Identifier: AGPL-3.0-or-later
//! Trees whose maker has all keys and breaks one rule.

use super::*;
use crate::fuzz::Forger;

/// Reads until it ends or fails, with what there is.
fn read(capability: &ReadCapability, store: &Store, limit: u64) -> Result<u64, DecodeError> {
    let mut decoder = Decoder::whole(capability, ByteCount(limit))?;
    let mut read = 0;
    while let Some(next) = decoder.next_wanted() {
        match decoder.handle_block(&store[&next]) {
            Ok(Decoded::Content(piece)) => read += number(piece.len()),
            Ok(Decoded::Node) => {}
            Ok(Decoded::Early | Decoded::NotWanted) => panic!("the block that is wanted next is taken"),
            Err(error) => {
                assert_eq!(decoder.handle_block(&store[&next]), Err(error), "it fails again");
                return Err(error);
            }
        }
    }
    Ok(read)
}

#[test]
fn content_without_padding_is_refused() {
    let mut forger = Forger::new(Kib1);
    let bad: [&[u8]; 4] = [&[], &[7; 1024], &[0x80, 0, 1], &[5, 0x80, 0x81]];
    for plaintext in bad {
        let alone = forger.leaf(plaintext);
        assert_eq!(read(&forger.capability(0, &alone), &forger.store, 1 << 20), Err(DecodeError::Padding));
        let first = forger.leaf(&[1; 1024]);
        let root = forger.node(1, &[first, alone], &[]);
        assert_eq!(read(&forger.capability(1, &root), &forger.store, 1 << 20), Err(DecodeError::Padding));
    }
    let good = forger.leaf(&[5, 0x80, 0x80]);
    assert_eq!(read(&forger.capability(0, &good), &forger.store, 1 << 20), Ok(2));
}

#[test]
fn a_wrong_key_is_found_out() {
    let mut forger = Forger::new(Kib1);
    let [first, last] = [&[1; 1024][..], &[2, 0x80]].map(|plaintext| forger.leaf(plaintext));
    let mut root = forger.node(1, &[first.clone(), last.clone()], &[]);
    assert_eq!(read(&forger.capability(1, &root), &forger.store, 2000), Ok(1025));
    root.key = first.key;
    assert_eq!(read(&forger.capability(1, &root), &forger.store, 2000), Err(DecodeError::Key { level: 1 }));
    // A leaf's key is the hash of a secret that the reader does not have: only the padding tells.
    let leaf = crate::fuzz::Child { key: root.key, ..last };
    assert_eq!(read(&forger.capability(0, &leaf), &forger.store, 2000), Err(DecodeError::Padding));
}

#[test]
fn a_level_that_is_not_the_trees_is_found_out() {
    let (capability, store) = encoded(Kib1, 1, 1024, &content(20 << 10));
    let mut bytes = capability.to_bytes();
    assert_eq!(bytes[1], 2);
    for level in [1, 3, 14] {
        bytes[1] = level;
        let lie = ReadCapability::from_bytes(&bytes[..]).unwrap();
        assert_eq!(read(&lie, &store, u64::MAX), Err(DecodeError::Key { level }));
    }
    // As a leaf, the root is 1 KiB of noise.
    bytes[1] = 0;
    let lie = ReadCapability::from_bytes(&bytes[..]).unwrap();
    assert_eq!(read(&lie, &store, u64::MAX), Err(DecodeError::Padding));
    // A leaf in the place of a node.
    let mut forger = Forger::new(Kib1);
    let leaf = forger.leaf(&[1; 1024]);
    let root = forger.node(2, &[leaf.clone(), leaf], &[]);
    assert_eq!(
        read(&forger.capability(2, &root), &forger.store, u64::MAX),
        Err(DecodeError::Key { level: 1 })
    );
}

#[test]
fn nodes_that_no_encoder_makes_are_refused() {
    let mut forger = Forger::new(Bytes256);
    let full = forger.leaf(&[1; 256]);
    let last = forger.leaf(&[0x80]);
    let refused = |forger: &Forger, level, root, at| {
        let result = read(&forger.capability(level, root), &forger.store, u64::MAX);
        assert_eq!(result, Err(DecodeError::Node { level: at }));
    };
    let only_child = forger.node(1, core::slice::from_ref(&last), &[]);
    refused(&forger, 1, &only_child, 1);
    let none = forger.node(1, &[], &[]);
    refused(&forger, 1, &none, 1);
    let more = forger.node(1, &[full.clone(), last.clone()], &[&[0; 63][..], &[1]].concat());
    refused(&forger, 1, &more, 1);
    let gap = forger.node(1, &[full.clone(), last.clone()], &[&[0; 64][..], &[1; 64]].concat());
    refused(&forger, 1, &gap, 1);
    let three = forger.node(1, &[full.clone(), full.clone(), full.clone()], &[]);
    let right = forger.node(1, core::slice::from_ref(&last), &[]);
    let root = forger.node(2, &[three, right.clone()], &[]);
    refused(&forger, 2, &root, 1);
    // Full on the left, one child on the right: that is how it is.
    let four = forger.node(1, &[full.clone(), full.clone(), full.clone(), full], &[]);
    let root = forger.node(2, &[four, right], &[]);
    assert_eq!(read(&forger.capability(2, &root), &forger.store, u64::MAX), Ok(1024));
}

#[test]
fn a_few_blocks_that_claim_a_great_deal_are_refused_at_the_root() {
    for (size, level) in [(Kib1, 13), (Kib32, 5), (Bytes256, 26)] {
        let mut forger = Forger::new(size);
        let mut child = forger.leaf(&vec![7; size.bytes()]);
        for level in 1..=level {
            child = forger.node(level, &vec![child; size.arity()], &[]);
        }
        let capability = forger.capability(level, &child);
        assert_eq!(forger.store.len(), usize::from(level) + 1);
        let limit = 1 << 30;
        let too_long = DecodeError::TooLong { limit: ByteCount(limit) };
        assert_eq!(Decoder::whole(&capability, ByteCount(limit)).err(), Some(too_long), "by its level alone");
        // Who permits 2^59 bytes, as much as such a level means at least, finds out at the root.
        let mut decoder = Decoder::whole(&capability, ByteCount(1 << 59)).unwrap();
        let too_long = DecodeError::TooLong { limit: ByteCount(1 << 59) };
        assert_eq!(decoder.handle_block(&forger.store[&capability.root()]), Err(too_long));
        // Who permits anything gets it piece by piece, in no more memory than any tree takes.
        let mut decoder = Decoder::whole(&capability, ByteCount(u64::MAX)).unwrap();
        let room = decoder.wanted.capacity();
        for _ in 0..3000 {
            let next = decoder.next_wanted().unwrap();
            decoder.handle_block(&forger.store[&next]).unwrap();
            assert_eq!(decoder.wanted.capacity(), room);
        }
    }
}

#[test]
fn content_of_2_to_the_64_bytes_is_refused_by_any_reader() {
    let mut forger = Forger::new(Kib32);
    let child = forger.leaf(&[1; 100]);
    let root = forger.node(6, &vec![child; 20], &[]);
    let capability = forger.capability(6, &root);
    let too_long = Err(DecodeError::TooLong { limit: ByteCount(u64::MAX) });
    let block = &forger.store[&capability.root()];
    for mut decoder in
        [whole(&capability), Decoder::length(&capability), Decoder::range(&capability, 5, ByteCount(9))]
    {
        assert_eq!(decoder.handle_block(block), too_long);
    }
}

/// A block cannot name itself, since its name is its hash; but one block can stand in many places, at any level.
#[test]
fn a_tree_that_leads_back_to_itself_ends_by_its_level() {
    let mut forger = Forger::new(Kib1);
    let end = forger.leaf(&[0x80]);
    let node = forger.node(1, &vec![end; 16], &[]);
    let root = forger.node(3, &vec![node; 16], &[]);
    let again = forger.node(4, &vec![root.clone(); 16], &[]);
    let capability = forger.capability(4, &again);
    let mut decoder = whole(&capability);
    assert_eq!(decoder.handle_block(&forger.store[&again.reference]), Ok(Decoded::Node));
    assert_eq!(decoder.handle_block(&forger.store[&root.reference]), Ok(Decoded::Node));
    // Every level has its own nonce, so a node is none at any other level.
    let next = decoder.next_wanted().unwrap();
    assert_eq!(decoder.handle_block(&forger.store[&next]), Err(DecodeError::Key { level: 2 }));
}

#[test]
fn blocks_that_are_cut_are_never_taken() {
    let (capability, store) = encoded(Bytes256, 1, 256, &content(3000));
    let mut decoder = whole(&capability);
    while let Some(next) = decoder.next_wanted() {
        let block = &store[&next];
        for cut in [0, 1, 64, 255] {
            assert_eq!(decoder.handle_block(&block[..cut]), Ok(Decoded::NotWanted));
        }
        decoder.handle_block(block).unwrap();
    }
}
