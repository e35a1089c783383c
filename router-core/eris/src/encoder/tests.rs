// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use crate::BlockSize::{Bytes64, Bytes256, Kib1, Kib32};
use crate::verify_block;

fn encoder(size: BlockSize) -> Encoder {
    Encoder::new(size, &ConvergenceSecret::from_bytes([3; 32]))
}

/// Pushes zeros with a counter in each leaf; counts the blocks and looks at the encoder after each.
fn encode(encoder: &mut Encoder, content: u64, mut look: impl FnMut(&Encoder)) -> u64 {
    let mut piece = vec![0; encoder.block_size.bytes()];
    let (mut left, mut blocks) = (content, 0);
    loop {
        while encoder.poll_block().is_some() {
            blocks += 1;
            look(encoder);
        }
        piece[..8].copy_from_slice(&left.to_be_bytes());
        let now = piece.len().min(usize::try_from(left).unwrap());
        if now == 0 {
            break;
        }
        assert_eq!(encoder.push(&piece[..now]), Ok(now));
        left -= u64::try_from(now).unwrap();
    }
    encoder.finish();
    while encoder.poll_block().is_some() {
        blocks += 1;
        look(encoder);
    }
    blocks
}

#[test]
fn a_block_that_waits_holds_the_content_back() {
    let mut encoder = encoder(Kib1);
    assert!(encoder.poll_block().is_none());
    assert_eq!(encoder.push(&[1; 1000]), Ok(1000));
    assert!(encoder.poll_block().is_none());
    assert_eq!(encoder.push(&[1; 1000]), Ok(24));
    assert_eq!(encoder.push(&[1; 1000]), Ok(0));
    let block = encoder.poll_block().unwrap();
    assert_eq!(verify_block(&block.reference, block.bytes), Ok(Kib1));
    assert_eq!(encoder.push(&[1; 976]), Ok(976));
    assert_eq!(encoder.content_len(), ByteCount(2000));
}

#[test]
fn a_node_that_waits_holds_the_content_back_too() {
    let mut encoder = encoder(Bytes256);
    for leaf in 0..4 {
        assert_eq!(encoder.push(&[leaf; 256]), Ok(256));
        assert!(encoder.poll_block().is_some());
    }
    assert_eq!(encoder.push(&[4; 256]), Ok(0), "the node over four leaves is full");
    assert!(encoder.poll_block().is_some());
    assert!(encoder.poll_block().is_none());
    assert_eq!(encoder.push(&[4; 256]), Ok(256));
}

#[test]
fn nothing_is_taken_after_the_end_and_the_capability_comes_after_the_last_block() {
    let mut encoder = encoder(Kib1);
    assert_eq!(encoder.push(&[1; 1024]), Ok(1024));
    encoder.finish();
    assert_eq!(encoder.push(&[1; 10]), Ok(0));
    for _ in 0..3 {
        assert_eq!(encoder.capability(), None);
        assert!(encoder.poll_block().is_some(), "a full leaf, one of padding, and the root");
    }
    assert!(encoder.poll_block().is_none());
    let capability = encoder.capability().unwrap();
    assert_eq!((capability.level(), capability.block_size()), (1, Kib1));
    encoder.finish();
    assert!(encoder.poll_block().is_none());
    assert_eq!(encoder.capability(), Some(capability));
}

#[test]
fn no_content_is_one_block_of_every_size() {
    for size in BlockSize::ALL {
        let mut encoder = encoder(size);
        assert_eq!(encode(&mut encoder, 0, |_| {}), 1);
        assert_eq!(encoder.capability().unwrap().level(), 0);
    }
}

#[test]
fn blocks_of_64_bytes_take_63() {
    let mut short = encoder(Bytes64);
    assert_eq!(short.push(&[1; 60]), Ok(60));
    assert_eq!(short.push(&[1; 4]), Err(ContentTooLong));
    assert_eq!(short.push(&[1; 3]), Ok(3));
    assert_eq!(short.push(&[1; 1]), Err(ContentTooLong));
    assert_eq!(short.push(&[]), Ok(0));
    short.finish();
    assert!(short.poll_block().is_some());
    assert!(short.poll_block().is_none());
    assert_eq!(short.capability().unwrap().level(), 0);
    assert_eq!(encoder(Bytes64).push(&[1; 64]), Err(ContentTooLong));
}

#[test]
fn trees_have_the_level_and_the_blocks_that_their_content_needs() {
    // Content, level, blocks: at the edges where a node or a level is added.
    let small = [(255, 0, 1), (256, 1, 3), (1023, 1, 5), (1024, 2, 8), (4095, 2, 21), (4096, 3, 25)];
    let large = [(32_767, 0, 1), (32_768, 1, 3), ((16 << 20) - 1, 1, 513), (16 << 20, 2, 516)];
    let of_256 = small.map(|row| (Bytes256, row));
    let of_32768 = large.map(|row| (Kib32, row));
    for (size, (content, level, blocks)) in of_256.into_iter().chain(of_32768) {
        let mut encoder = encoder(size);
        assert_eq!(encode(&mut encoder, content, |_| {}), blocks, "{content} in {size}");
        assert_eq!(encoder.capability().unwrap().level(), level, "{content} in {size}");
    }
}

/// A tree as high as that of 1 GiB in 32 KiB, and a higher one: no buffer is ever made twice or made longer.
#[test]
fn memory_is_a_block_and_a_node_of_each_level() {
    for (size, content, levels) in [(Kib32, 17 << 20, 2), (Bytes256, (1 << 20) - 1, 6)] {
        let mut encoder = encoder(size);
        let (leaf, list) = (encoder.leaf.as_ptr(), encoder.nodes.as_ptr());
        let mut buffers: Vec<*const u8> = Vec::new();
        encode(&mut encoder, content, |encoder| {
            let now: Vec<_> = encoder.nodes.iter().map(|node| node.bytes.as_ptr()).collect();
            assert!(now.starts_with(&buffers), "the buffer of a level stays");
            assert!(encoder.nodes.iter().all(|node| node.bytes.capacity() == size.bytes()));
            buffers = now;
        });
        assert_eq!(encoder.capability().unwrap().level(), levels);
        assert_eq!(buffers.len(), usize::from(levels) + 1, "the top one holds the root's name");
        assert_eq!((encoder.leaf.as_ptr(), encoder.leaf.capacity()), (leaf, size.bytes()));
        assert_eq!(encoder.nodes.as_ptr(), list);
    }
}

#[test]
fn content_and_secret_are_not_printed() {
    let mut encoder = encoder(Kib1);
    encoder.push(&[0xAB; 1024]).unwrap();
    assert_eq!(format!("{encoder:?}"), "Encoder { block_size: Kib1, content_len: 1024, .. }");
    assert!(format!("{:?}", encoder.poll_block()).ends_with(", 1024 bytes))"));
}
