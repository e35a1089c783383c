// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use crate::fuzz::fuzz_manifest;
use proptest::prelude::*;
use ratman_eris::BlockSize;
use ratman_types::{Address, Namespace, Recipient};

fn letterhead(size: u64) -> Letterhead {
    Letterhead {
        from: Address::from_bytes([0x33; 32]),
        to: Recipient::Namespace(Namespace::from_bytes([0x44; 32])),
        stream_size: ByteCount(size),
        auxiliary_data: AuxiliaryData::new([(c"k", c"v")]).unwrap(),
    }
}

fn with(size: u64, contents: Contents) -> Result<Manifest, DecodeError> {
    let (stream, created) = (StreamId::from_bytes([0x22; 32]), WallTime::from_micros(0x0102_0304_0506_0708));
    Manifest::new(stream, created, Lifetime::MAX_FLOODED, letterhead(size), contents)
}

fn blocks(block_size: BlockSize, level: u8) -> Contents {
    capability(block_size, level, [0x55; 32], [0x66; 32])
}

fn capability(block_size: BlockSize, level: u8, root: [u8; 32], key: [u8; 32]) -> Contents {
    let bytes = [&[block_size.code(), level][..], &root, &key].concat();
    Contents::Blocks(ReadCapability::from_bytes(&bytes).unwrap())
}

fn inline(contents: &[u8]) -> Contents {
    Contents::Inline(InlineContents::new(contents).unwrap())
}

/// Up to and including the auxiliary data, for a stream of this size.
fn golden_front(size: [u8; 8]) -> Vec<u8> {
    let mut golden = vec![2];
    golden.extend([0x22; 32]);
    golden.extend([1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0x51, 0x80]);
    golden.extend([0x33; 32]);
    golden.push(2);
    golden.extend([0x44; 32]);
    golden.extend(size);
    golden.extend(b"\0\x01k\0v\0");
    golden
}

#[test]
fn golden_bytes_of_both_forms() {
    let capability = with(20_000, blocks(BlockSize::Kib1, 2)).unwrap();
    let mut golden = golden_front([0, 0, 0, 0, 0, 0, 0x4E, 0x20]);
    golden.extend([1, 10, 2]);
    golden.extend([0x55; 32]);
    golden.extend([0x66; 32]);
    assert_eq!(capability.encode()[..], golden);
    assert_eq!(Manifest::decode(&golden), Ok(capability));
    for length in 0..golden.len() {
        assert!(Manifest::decode(&golden[..length]).is_err(), "cut to {length}");
    }
    golden.push(0);
    assert_eq!(Manifest::decode(&golden), Err(DecodeError::Trailing(1)));

    let small = with(5, inline(b"hello")).unwrap();
    let mut golden = golden_front([0, 0, 0, 0, 0, 0, 0, 5]);
    golden.extend(b"\x02hello");
    assert_eq!(small.encode()[..], golden);
    assert_eq!(Manifest::decode(&golden), Ok(small));
    golden.push(b'!');
    assert_eq!(Manifest::decode(&golden), Err(DecodeError::Value("inline contents")));
}

#[test]
fn the_usual_manifest_is_short() {
    let manifest = with(0, inline(b"")).unwrap();
    let letterhead = Letterhead { auxiliary_data: AuxiliaryData::default(), ..letterhead(0) };
    let bare = Manifest { letterhead, ..manifest };
    assert_eq!(bare.encode().len(), FIXED);
    let read = Manifest { contents: blocks(BlockSize::Kib1, 0), ..bare };
    assert_eq!(read.encode().len() + SEALING, 235);
}

#[test]
fn other_forms_are_refused_with_the_field() {
    let good = with(20_000, blocks(BlockSize::Kib1, 2)).unwrap().encode();
    let change = |index: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[index] = value;
        Manifest::decode(&bytes).map(|_| ())
    };
    assert_eq!(change(0, 1), Err(DecodeError::Version(1)));
    assert_eq!(change(41, 1), Err(DecodeError::Value("lifetime")));
    assert_eq!(change(77, 0), Err(DecodeError::Tag { field: "to", tag: 0 }));
    assert_eq!(change(77, 3), Err(DecodeError::Tag { field: "to", tag: 3 }));
    assert_eq!(change(124, 0), Err(DecodeError::Tag { field: "contents", tag: 0 }));
    assert_eq!(change(124, 3), Err(DecodeError::Tag { field: "contents", tag: 3 }));
    assert_eq!(change(125, 11), Err(DecodeError::Value("block size")));
    for level in [0, 1, 3, 255] {
        assert_eq!(change(126, level), Err(DecodeError::Value("level")));
    }
    assert_eq!(change(110, 0x10), Err(DecodeError::Value("level")), "2^60 bytes under so low a root");
}

#[test]
fn contents_must_fit_the_size() {
    assert_eq!(with(64, blocks(BlockSize::Bytes64, 0)), Err(DecodeError::Value("level")));
    assert!(with(63, blocks(BlockSize::Bytes64, 0)).is_ok());
    assert!(with(u64::MAX, blocks(BlockSize::Kib32, 6)).is_ok(), "whether it is wanted is not decided here");
    assert_eq!(with(4, inline(b"hello")), Err(DecodeError::Value("inline contents")));
    assert!(with(255, inline(&[0; MAX_INLINE])).is_ok());
    assert_eq!(InlineContents::new(&[0; MAX_INLINE + 1]), None);
    let mut bytes = golden_front([0, 0, 0, 0, 0, 0, 1, 0]);
    bytes.push(2);
    bytes.extend([0; 256]);
    let too_long = DecodeError::TooLong { field: "inline contents", length: 256, limit: 255 };
    assert_eq!(Manifest::decode(&bytes), Err(too_long));
}

#[test]
fn secrets_are_not_printed() {
    let text = format!("{:?}", with(20_000, blocks(BlockSize::Kib1, 2)).unwrap());
    assert!(text.contains("ReadCapability") && !text.contains("102") && !text.contains("6666"), "{text}");
    let text = format!("{:?}", with(5, inline(b"hello")).unwrap());
    assert!(text.contains("InlineContents(5 bytes)") && !text.contains("104"), "{text}");
}

prop_compose! {
    fn manifests()(
        (stream, from, to) in any::<([u8; 32], [u8; 32], [u8; 32])>(),
        (created, namespace, size) in any::<(u64, bool, u64)>(),
        seconds in 0..=Lifetime::MAX.as_secs(),
        (reference, key) in any::<([u8; 32], [u8; 32])>(),
        block_size in prop::sample::select(&BlockSize::ALL[1..]),
        small in prop::option::of(prop::collection::vec(any::<u8>(), 0..=MAX_INLINE)),
    ) -> Manifest {
        let to = if namespace {
            Recipient::Namespace(Namespace::from_bytes(to))
        } else {
            Recipient::Address(Address::from_bytes(to))
        };
        let size = small.as_ref().map_or(size, |small| u64::try_from(small.len()).unwrap());
        let contents = small.map_or_else(
            || capability(block_size, block_size.level_of(ByteCount(size)).unwrap(), reference, key),
            |small| inline(&small),
        );
        let letterhead = Letterhead { from: Address::from_bytes(from), to, ..letterhead(size) };
        let (stream, lifetime) = (StreamId::from_bytes(stream), Lifetime::from_secs(seconds).unwrap());
        Manifest::new(stream, WallTime::from_micros(created), lifetime, letterhead, contents).unwrap()
    }
}

proptest! {
    #[test]
    fn every_manifest_round_trips(manifest in manifests()) {
        let bytes = manifest.encode();
        prop_assert_eq!(bytes.len(), bytes.capacity(), "the buffer never grew");
        prop_assert_eq!(Manifest::decode(&bytes), Ok(manifest));
    }

    #[test]
    fn any_bytes_are_answered(
        manifest in manifests(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut changed = manifest.encode().to_vec();
        for (index, byte) in changes {
            let index = index.index(changed.len());
            changed[index] = byte;
        }
        fuzz_manifest(&changed);
        fuzz_manifest(&bytes);
    }
}
