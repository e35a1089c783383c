// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;
use ratman_wire::stream::cut;

use super::*;

const NOW: Timestamp = Timestamp::from_micros(0);

fn neighbour(number: u8) -> RouterId {
    RouterId::from_bytes([number; 32])
}

fn named_by(sender: u8, of: SliceOf, bytes: &[u8]) -> Whole {
    Whole {
        of,
        sender: Address::from_bytes([sender; 32]),
        recipient: Recipient::Address(Address::from_bytes([9; 32])),
        name: blake2b(&[bytes]),
    }
}

fn block(seed: u16, length: usize) -> Vec<u8> {
    seed.to_be_bytes().into_iter().cycle().take(length).collect()
}

/// The slices of a block in frames with so much room.
fn slices(bytes: &[u8], room: usize) -> Vec<Slice<'_>> {
    cut(SliceOf::Block, blake2b(&[bytes]), bytes, room).unwrap().collect()
}

#[test]
fn a_block_in_one_slice_is_whole_at_once() {
    let (mut collector, bytes) = (Collector::default(), block(1, 1024));
    let whole = named_by(1, SliceOf::Block, &bytes);
    let slice = slices(&bytes, 2_000)[0];
    assert_eq!(collector.add(whole, &slice, neighbour(1), NOW), Ok(Some(bytes.clone())));
    assert_eq!(collector.bytes(), 0);
    let other = Whole { name: blake2b(&[b"other"]), ..whole };
    assert_eq!(collector.add(other, &slice, neighbour(1), NOW), Err(SliceError::WrongName));
}

#[test]
fn slices_of_two_senders_are_not_mixed() {
    let (mut collector, bytes) = (Collector::default(), block(1, 1024));
    let [first, second] = slices(&bytes, 512)[..] else { panic!("two slices") };
    let (one, two) = (named_by(1, SliceOf::Block, &bytes), named_by(2, SliceOf::Block, &bytes));
    assert_eq!(collector.add(one, &first, neighbour(1), NOW), Ok(None));
    assert_eq!(collector.add(two, &second, neighbour(1), NOW), Ok(None));
    assert_eq!(collector.add(one, &second, neighbour(1), NOW), Ok(Some(bytes.clone())));
    assert_eq!(collector.add(two, &first, neighbour(1), NOW), Ok(Some(bytes)));
    assert_eq!((collector.bytes(), collector.shares.len()), (0, 0));
}

#[test]
fn what_does_not_agree_is_refused_and_the_rest_goes_on() {
    let (mut collector, bytes, others) = (Collector::default(), block(1, 1024), block(2, 1024));
    let whole = named_by(1, SliceOf::Block, &bytes);
    let good = slices(&bytes, 512);
    assert_eq!(collector.add(whole, &good[0], neighbour(1), NOW), Ok(None));
    let three = slices(&bytes, 400);
    assert_eq!(collector.add(whole, &three[1], neighbour(1), NOW), Err(SliceError::Disagrees));
    let lying: Vec<_> = cut(SliceOf::Block, whole.name, &others, 512).unwrap().collect();
    assert_eq!(collector.add(whole, &lying[0], neighbour(1), NOW), Err(SliceError::Disagrees));
    assert_eq!(collector.add(whole, &good[1], neighbour(1), NOW), Ok(Some(bytes)));
    assert_eq!(collector.add(whole, &lying[0], neighbour(1), NOW), Ok(None));
    assert_eq!(collector.add(whole, &lying[1], neighbour(1), NOW), Err(SliceError::WrongName));
    assert_eq!(collector.bytes(), 0, "all of it is forgotten");
}

#[test]
fn more_than_the_longest_is_refused_as_soon_as_it_is_known() {
    for (of, longest) in [(SliceOf::Block, MAX_BLOCK), (SliceOf::SealedManifest, MAX_SEALED)] {
        let mut collector = Collector::default();
        let bytes = block(1, longest + 1);
        let whole = named_by(1, of, &bytes);
        let mut slices = cut(of, whole.name, &bytes, 1_000).unwrap();
        let ended = slices.find_map(|slice| collector.add(whole, &slice, neighbour(1), NOW).err());
        assert_eq!((ended, collector.bytes()), (Some(SliceError::TooLong), 0), "{of:?}");
    }
}

#[test]
fn who_fills_the_memory_loses_what_is_oldest_and_others_keep_theirs() {
    let mut collector = Collector::default();
    let quiet = block(60_000, 32_768);
    let whole = named_by(1, SliceOf::Block, &quiet);
    let [first, second] = slices(&quiet, 16_384)[..] else { panic!("two slices") };
    collector.add(whole, &first, neighbour(1), NOW).unwrap();
    for seed in 0..400 {
        let flood = block(seed, 32_768);
        let now = NOW + Duration::from_millis(seed.into());
        collector
            .add(named_by(2, SliceOf::Block, &flood), &slices(&flood, 16_384)[0], neighbour(2), now)
            .unwrap();
        assert!(collector.bytes() <= MAX_BYTES);
    }
    let kept = u64::try_from(MAX_BYTES / (16_384 + SLICE_COST)).unwrap();
    assert_eq!(collector.counters().evicted, 401 - kept);
    let (oldest, newest) = (block(0, 32_768), block(399, 32_768));
    let of_flood = |bytes: &[u8]| named_by(2, SliceOf::Block, bytes);
    assert!(!collector.partial.contains_key(&of_flood(&oldest)));
    assert!(collector.partial.contains_key(&of_flood(&newest)));
    assert_eq!(collector.add(whole, &second, neighbour(1), NOW), Ok(Some(quiet)));
}

#[test]
fn tiny_slices_cost_more_than_their_bytes() {
    let mut collector = Collector::default();
    for seed in 0..40_000_u16 {
        let bytes = block(seed, 64);
        let first = slices(&bytes, 1)[0];
        collector.add(named_by(1, SliceOf::Block, &bytes), &first, neighbour(1), NOW).unwrap();
    }
    assert!(collector.bytes() <= MAX_BYTES);
    assert_eq!(collector.partial.len(), MAX_BYTES / (1 + SLICE_COST));
}

#[test]
fn slices_that_nobody_completes_are_forgotten_after_a_while() {
    let (mut collector, bytes) = (Collector::default(), block(1, 1024));
    let whole = named_by(1, SliceOf::Block, &bytes);
    let three = slices(&bytes, 400);
    collector.add(whole, &three[0], neighbour(1), NOW).unwrap();
    let later = NOW + PATIENCE / 2;
    collector.add(whole, &three[1], neighbour(1), later).unwrap();
    collector.forget_old(NOW + PATIENCE);
    assert_eq!(collector.counters().expired, 0, "it was touched since");
    collector.forget_old(later + PATIENCE);
    assert_eq!((collector.counters().expired, collector.bytes()), (1, 0));
    assert_eq!(collector.add(whole, &three[2], neighbour(1), later), Ok(None));
}

proptest! {
    #[test]
    fn any_order_with_duplicates_gives_the_same_whole(
        seed in any::<u16>(),
        room in 130_usize..3_000,
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let bytes = block(seed, 32_768);
        let all = slices(&bytes, room);
        let mut places: Vec<usize> = order.iter().map(|index| index.index(all.len())).collect();
        places.extend(0..all.len());
        let (mut collector, whole) = (Collector::default(), named_by(1, SliceOf::Block, &bytes));
        let mut seen = BTreeSet::new();
        for place in places {
            seen.insert(place);
            let joined = collector.add(whole, &all[place], neighbour(1), NOW).unwrap();
            prop_assert_eq!(joined.is_some(), seen.len() == all.len());
            if let Some(joined) = joined {
                prop_assert_eq!(&joined, &bytes);
                prop_assert_eq!(collector.bytes(), 0);
                seen.clear();
            }
        }
    }
}
