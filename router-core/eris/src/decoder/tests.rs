// SPDX-License-Identifier: AGPL-3.0-or-later
mod hostile;

use proptest::prelude::*;

use super::*;
use crate::BlockSize::{Bytes64, Bytes256, Kib1, Kib32};
use crate::fuzz::{Store, decoded, encoded};

/// Content of which no two blocks are the same.
fn content(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(u64::to_be_bytes).take(length).collect()
}

fn count(length: usize) -> ByteCount {
    ByteCount(number(length))
}

fn names(decoder: &Decoder) -> Vec<Reference> {
    decoder.wanted().map(|wanted| wanted.reference).collect()
}

fn whole(capability: &ReadCapability) -> Decoder {
    Decoder::whole(capability, ByteCount(u64::MAX)).unwrap()
}

/// Reads with blocks in any order of those that are wanted, and looks at what the decoder holds after each.
fn decode_in_any_order(
    decoder: &mut Decoder,
    store: &Store,
    mut choose: impl FnMut(usize) -> usize,
) -> Vec<u8> {
    let (list, room) = (decoder.wanted.as_ptr(), decoder.wanted.capacity());
    let mut content = Vec::new();
    while !decoder.is_finished() {
        let wanted = names(decoder);
        let chosen = wanted[choose(wanted.len()) % wanted.len()];
        for reference in [chosen, wanted[0]] {
            if let Decoded::Content(piece) = decoder.handle_block(&store[&reference]).unwrap() {
                content.extend_from_slice(piece);
            }
        }
        assert_eq!((decoder.wanted.as_ptr(), decoder.wanted.capacity()), (list, room));
    }
    content
}

#[test]
fn leaves_can_be_skipped_all_but_the_last() {
    let content = content(40 * 1024);
    let (capability, store) = encoded(Kib1, 1, 1024, &content);
    let (mut decoder, mut given) = (whole(&capability), 0);
    while let Some(next) = decoder.next_wanted() {
        if !decoder.skip_leaf() {
            decoder.handle_block(&store[&next]).unwrap();
            given += 1;
        }
    }
    assert_eq!(given, 1 + 3 + 1, "the root, three nodes and the last leaf");
    assert_eq!(decoder.content_len(), Some(count(content.len())));
    assert!(!decoder.skip_leaf(), "nothing is left");
    let (single, _) = encoded(Kib1, 1, 1024, b"short");
    assert!(!whole(&single).skip_leaf(), "an only leaf is the last");
}

#[test]
fn blocks_are_wanted_in_the_order_of_the_content() {
    let content = content(9 * 1024);
    let (capability, store) = encoded(Kib1, 1, 1024, &content);
    let mut decoder = whole(&capability);
    let root = Wanted { reference: capability.root(), level: 1 };
    assert_eq!(decoder.wanted().collect::<Vec<_>>(), [root]);
    assert_eq!(decoder.handle_block(&store[&capability.root()]), Ok(Decoded::Node));
    let leaves = names(&decoder);
    assert!(decoder.wanted().all(|wanted| wanted.level == 0));
    assert_eq!(leaves.len(), 10);
    assert_eq!(decoder.handle_block(&store[&leaves[1]]), Ok(Decoded::Early));
    assert_eq!(decoder.handle_block(&store[&leaves[0]]), Ok(Decoded::Content(&content[..1024])));
    assert_eq!(decoder.handle_block(&store[&leaves[1]]), Ok(Decoded::Content(&content[1024..2048])));
    assert_eq!(names(&decoder), leaves[2..]);
    assert_eq!(decoder.content_len(), None);
    assert_eq!(decoded(&mut decoder, &store, 0), content[2048..]);
    assert!(decoder.is_finished());
    assert_eq!(decoder.content_len(), Some(ByteCount(9 * 1024)));
}

#[test]
fn blocks_that_are_not_wanted_change_nothing() {
    let content = content(3000);
    let (capability, store) = encoded(Kib1, 1, 1024, &content);
    let mut decoder = whole(&capability);
    let root = &store[&capability.root()];
    let mut damaged = root.clone();
    damaged[1023] ^= 1;
    let of_another_length = [&root[..1023], &[&root[..], &[0]].concat(), &[], &[0; 32 * 1024]];
    for block in of_another_length.into_iter().chain([&damaged[..]]) {
        assert_eq!(decoder.handle_block(block), Ok(Decoded::NotWanted));
    }
    let leaf = store.keys().find(|reference| **reference != capability.root()).unwrap();
    assert_eq!(decoder.handle_block(&store[leaf]), Ok(Decoded::NotWanted), "nobody has named it yet");
    assert_eq!(decoder.handle_block(root), Ok(Decoded::Node));
    assert_eq!(decoder.handle_block(root), Ok(Decoded::NotWanted), "a second time");
    assert_eq!(decoded(&mut decoder, &store, 0), content);
    assert_eq!(decoder.handle_block(root), Ok(Decoded::NotWanted), "at the end");
}

#[test]
fn content_that_repeats_itself_is_read_from_few_blocks() {
    let content = vec![0; 100 * 1024];
    let (capability, store) = encoded(Kib1, 1, 1024, &content);
    assert!(store.len() < 10);
    assert_eq!(decoded(&mut whole(&capability), &store, 0), content);
}

/// As high as 1 GiB in blocks of 32 KiB, and higher: the list is made once, and never made longer.
#[test]
fn memory_is_a_block_and_a_list_whatever_the_order() {
    for (size, length, level) in [(Kib32, 17 << 20, 2), (Kib1, 600 << 10, 3), (Bytes256, 300 << 10, 6)] {
        let content = content(length);
        let (capability, store) = encoded(size, 1, 1 << 20, &content);
        assert_eq!(capability.level(), level);
        let room = capacity(size, level);
        assert!(room * size_of::<Pending>() <= 128 << 10, "{size}");
        // Always the last first: what opens the most nodes ahead; and all over the place.
        let mut counter = 0;
        let orders: [&mut dyn FnMut(usize) -> usize; 3] =
            [&mut |wanted| wanted - 1, &mut |_| 0, &mut |wanted| (counter += 7919, counter % wanted).1];
        for order in orders {
            let mut decoder = whole(&capability);
            assert_eq!(decoder.wanted.capacity(), room);
            assert!(decode_in_any_order(&mut decoder, &store, order) == content);
            assert_eq!(decoder.plaintext.capacity(), size.bytes());
        }
    }
}

#[test]
fn nodes_are_opened_ahead_up_to_a_limit() {
    let content = content(300 << 10);
    let (capability, store) = encoded(Bytes256, 1, 1 << 20, &content);
    let mut decoder = whole(&capability);
    let mut refused = None;
    while refused.is_none() {
        // The last of them: always ahead of its turn, but for the root.
        let nodes = decoder.wanted().filter(|wanted| wanted.level > 0);
        let node = nodes.last().expect("there are more nodes than the limit");
        if decoder.handle_block(&store[&node.reference]).unwrap() == Decoded::Early {
            refused = Some(node);
        }
    }
    assert!((LOOK_AHEAD - 3..=LOOK_AHEAD).contains(&decoder.wanted().len()));
    assert!(decoder.wanted().any(|wanted| Some(wanted) == refused), "it stays wanted");
    assert!(decoded(&mut decoder, &store, 0) == content);
}

#[test]
fn a_part_takes_only_the_blocks_on_its_way() {
    let content = content(200 << 10);
    let (capability, store) = encoded(Kib1, 1, 1 << 20, &content);
    assert_eq!(capability.level(), 2);
    let blocks = |mut decoder: Decoder| {
        let mut blocks = 0;
        while let Some(next) = decoder.next_wanted() {
            decoder.handle_block(&store[&next]).unwrap();
            blocks += 1;
        }
        blocks
    };
    assert_eq!(blocks(Decoder::range(&capability, 50_000, ByteCount(1))), 3);
    assert_eq!(blocks(Decoder::range(&capability, 16 * 1024 - 1, ByteCount(2))), 5, "in two nodes");
    assert_eq!(blocks(Decoder::length(&capability)), 3);
    assert_eq!(blocks(Decoder::range(&capability, 0, ByteCount(0))), 0);
    assert_eq!(
        blocks(Decoder::range(&capability, 1 << 60, ByteCount(5))),
        0,
        "beyond any tree of that level"
    );
    let beyond = |offset| Decoder::range(&capability, offset, ByteCount(u64::MAX));
    assert_eq!(blocks(beyond(201 << 10)), 2, "the last node has no such child");
    assert_eq!(blocks(beyond(208 << 10)), 1, "the root has no such child");
}

#[test]
fn a_limit_is_exact() {
    for length in [0, 1, 1023, 1024, 5000] {
        let content = content(length);
        let (capability, store) = encoded(Kib1, 1, 1024, &content);
        let mut decoder = Decoder::whole(&capability, count(length)).unwrap();
        assert_eq!(decoded(&mut decoder, &store, 0), content);
        let Some(less) = length.checked_sub(1) else { continue };
        let refused = Decoder::whole(&capability, count(less)).and_then(|mut decoder| {
            while let Some(next) = decoder.next_wanted() {
                decoder.handle_block(&store[&next])?;
            }
            Ok(())
        });
        assert_eq!(refused, Err(DecodeError::TooLong { limit: count(less) }), "{length} bytes");
    }
}

#[test]
fn content_is_not_printed() {
    let (capability, store) = encoded(Kib1, 1, 1024, &[0xAB; 100]);
    let mut decoder = whole(&capability);
    assert_eq!(
        format!("{decoder:?}"),
        "Decoder { block_size: Kib1, root_level: 0, wanted: 1, content_len: None, .. }"
    );
    let block = decoder.handle_block(&store[&capability.root()]).unwrap();
    assert_eq!(format!("{block:?}"), "Content(100 bytes)");
}

fn any_content() -> impl Strategy<Value = (BlockSize, Vec<u8>)> {
    let sizes = prop_oneof![
        (Just(Bytes64), 0..64_usize),
        (Just(Bytes256), 0..20_000_usize),
        (Just(Kib1), 0..60_000_usize),
        (Just(Kib32), 0..200_000_usize),
    ];
    sizes.prop_map(|(size, length)| (size, content(length)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_in_any_pieces_is_decoded_in_any_order(
        (size, content) in any_content(),
        secret in any::<u8>(),
        piece in prop_oneof![1..100_usize, 1000..70_000_usize],
        order in any::<[usize; 7]>(),
    ) {
        let (capability, store) = encoded(size, secret, piece, &content);
        let at_once = encoded(size, secret, usize::MAX, &content).0;
        prop_assert_eq!(&at_once, &capability, "pieces make no difference");
        let mut order = order.into_iter().cycle();
        let read = decode_in_any_order(&mut whole(&capability), &store, |_| order.next().unwrap());
        prop_assert!(read == content);
    }

    #[test]
    fn parts_are_parts_of_the_whole((size, content) in any_content(), from in 0..210_000_usize, len in 0..210_000_usize) {
        let (capability, store) = encoded(size, 1, usize::MAX, &content);
        let (from, len) = (from % (content.len() + 100), len % (content.len() + 100));
        let mut decoder = Decoder::range(&capability, number(from), count(len));
        let end = content.len().min(from + len);
        prop_assert!(decoded(&mut decoder, &store, len) == content[from.min(end)..end]);
        let mut length = Decoder::length(&capability);
        prop_assert!(decoded(&mut length, &store, 0).is_empty());
        prop_assert_eq!(length.content_len(), Some(count(content.len())));
    }
}
