// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;
use ratman_eris::{ConvergenceSecret, Encoder};

use super::*;

const START: Timestamp = Timestamp::from_micros(1_000_000);

type Blocks = BTreeMap<Reference, Vec<u8>>;

fn encoded(size: BlockSize, content: &[u8]) -> (ReadCapability, Blocks) {
    let mut encoder = Encoder::new(size, &ConvergenceSecret::from_bytes([1; 32]));
    let (mut blocks, mut rest) = (Blocks::new(), content);
    loop {
        while let Some(block) = encoder.poll_block() {
            blocks.insert(block.reference, block.bytes.to_vec());
        }
        if let Some(capability) = encoder.capability() {
            return (capability, blocks);
        }
        if rest.is_empty() {
            encoder.finish();
        } else {
            rest = &rest[encoder.push(rest).unwrap()..];
        }
    }
}

fn content(length: usize) -> Vec<u8> {
    (0_u64..).flat_map(u64::to_be_bytes).take(length).collect()
}

fn bytes(length: usize) -> ByteCount {
    ByteCount(u64::try_from(length).unwrap())
}

fn begin(capability: &ReadCapability, length: usize) -> Receiving {
    Receiving::new(capability, bytes(length), START).unwrap()
}

/// Goes on with what the journal has, and counts what was read from it.
fn advance(receiving: &mut Receiving, journal: &Blocks) -> Result<(Step, usize), Unreadable> {
    let mut read = 0;
    loop {
        match receiving.advance(|reference| journal.contains_key(reference))? {
            Step::Read(reference) => {
                assert_eq!(receiving.handle_read(&journal[&reference]), Ok(true));
                read += 1;
            }
            step @ (Step::Await | Step::Complete) => return Ok((step, read)),
        }
    }
}

fn pull(receiving: &mut Receiving, journal: &Blocks, now: Timestamp) -> Vec<Reference> {
    receiving.pull(1_023, |reference| journal.contains_key(reference), now)
}

#[test]
fn what_was_pushed_whole_is_complete_at_once_and_hardly_read() {
    let content = content(100 * 1024);
    let (capability, blocks) = encoded(BlockSize::Kib1, &content);
    let mut receiving = begin(&capability, content.len());
    assert_eq!(advance(&mut receiving, &blocks), Ok((Step::Complete, 1 + 7 + 1)));
    assert_eq!(receiving.poll_timeout(), None);
    assert_eq!(pull(&mut receiving, &blocks, START + GRACE), []);
}

#[test]
fn nothing_is_asked_for_before_what_the_manifest_overtook_can_be_there() {
    let content = content(9_000);
    let (capability, blocks) = encoded(BlockSize::Kib1, &content);
    let mut receiving = begin(&capability, content.len());
    let none = Blocks::new();
    assert_eq!(advance(&mut receiving, &none), Ok((Step::Await, 0)));
    assert_eq!(receiving.poll_timeout(), Some(START + GRACE));
    assert_eq!(pull(&mut receiving, &none, START), []);
    assert_eq!(pull(&mut receiving, &none, START + GRACE), [capability.root()]);
    receiving.arrived(&capability.root());
    assert_eq!(advance(&mut receiving, &blocks), Ok((Step::Complete, 2)));
}

#[test]
fn no_more_is_asked_for_than_the_window_and_not_block_by_block() {
    let content = content(4 * 1024 * 1024);
    let (capability, blocks) = encoded(BlockSize::Kib32, &content);
    let mut journal = Blocks::from([(capability.root(), blocks[&capability.root()].clone())]);
    let mut receiving = begin(&capability, content.len());
    advance(&mut receiving, &journal).unwrap();
    let now = START + GRACE;
    let first = pull(&mut receiving, &journal, now);
    assert_eq!(first.len(), 32, "1 MiB");
    assert_eq!(pull(&mut receiving, &journal, now), [], "that is enough");
    for reference in &first[..16] {
        assert_eq!(pull(&mut receiving, &journal, now), []);
        journal.insert(*reference, blocks[reference].clone());
        receiving.arrived(reference);
    }
    advance(&mut receiving, &journal).unwrap();
    let second = pull(&mut receiving, &journal, now);
    assert_eq!(second.len(), 16);
    assert!(second.iter().all(|reference| !first.contains(reference)));
    let few = receiving.pull(3, |reference| journal.contains_key(reference), now + AGAIN_FIRST);
    assert_eq!(few, first[16..19], "late ones again, as many as a frame has room for");
}

#[test]
fn what_does_not_come_is_asked_for_again_less_and_less_often() {
    let content = content(9_000);
    let (capability, blocks) = encoded(BlockSize::Kib1, &content);
    let (mut receiving, none) = (begin(&capability, content.len()), Blocks::new());
    let mut pauses = Vec::new();
    let mut now = receiving.poll_timeout().unwrap();
    for _ in 0..12 {
        assert_eq!(pull(&mut receiving, &none, now), [capability.root()]);
        let again = receiving.poll_timeout().unwrap();
        assert_eq!(pull(&mut receiving, &none, again - Duration::from_millis(1)), []);
        pauses.push(again.since(now).as_secs());
        now = again;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    let journal = Blocks::from([(capability.root(), blocks[&capability.root()].clone())]);
    receiving.arrived(&capability.root());
    advance(&mut receiving, &journal).unwrap();
    assert_eq!(pull(&mut receiving, &journal, now).len(), 9);
    assert_eq!(receiving.poll_timeout(), Some(now + AGAIN_FIRST), "something came");
}

#[test]
fn a_block_that_was_damaged_in_the_journal_is_not_taken() {
    let content = content(9_000);
    let (capability, blocks) = encoded(BlockSize::Kib1, &content);
    let mut receiving = begin(&capability, content.len());
    assert_eq!(receiving.advance(|_| true), Ok(Step::Read(capability.root())));
    let mut damaged = blocks[&capability.root()].clone();
    damaged[17] ^= 1;
    assert_eq!(receiving.handle_read(&damaged), Ok(false));
    assert_eq!(receiving.advance(|_| true), Ok(Step::Read(capability.root())), "as before");
}

#[test]
fn a_manifest_that_lies_is_found_out() {
    let content = content(9_000);
    let (capability, blocks) = encoded(BlockSize::Kib1, &content);
    let mut longer = begin(&capability, 9_001);
    let size = Unreadable::Size { said: ByteCount(9_001), found: ByteCount(9_000) };
    assert_eq!(advance(&mut longer, &blocks), Err(size));
    let mut shorter = begin(&capability, 8_999);
    let too_long = DecodeError::TooLong { limit: ByteCount(8_999) };
    let mut refused = None;
    while let (Ok(Step::Read(reference)), None) = (shorter.advance(|_| true), refused) {
        refused = shorter.handle_read(&blocks[&reference]).err();
    }
    assert_eq!(refused, Some(Unreadable::Tree(too_long)));
    let tiny = Receiving::new(&capability, ByteCount(10), START).err();
    assert_eq!(
        tiny,
        Some(Unreadable::Tree(DecodeError::TooLong { limit: ByteCount(10) })),
        "before any block"
    );
}

proptest! {
    #[test]
    fn whatever_was_lost_is_pulled_and_nothing_else(
        length in 0_usize..60_000,
        large in any::<bool>(),
        lost in proptest::collection::vec(any::<bool>(), 1..50),
    ) {
        let content = content(length);
        let (capability, blocks) = encoded(if large { BlockSize::Kib32 } else { BlockSize::Kib1 }, &content);
        let was_lost = |place: usize| lost[place % lost.len()];
        let mut journal: Blocks = blocks
            .iter()
            .enumerate()
            .filter(|(place, _)| !was_lost(*place))
            .map(|(_, (reference, block))| (*reference, block.clone()))
            .collect();
        let mut receiving = begin(&capability, length);
        let (mut now, mut pulled) = (START, 0);
        while advance(&mut receiving, &journal).unwrap().0 == Step::Await {
            now = receiving.poll_timeout().unwrap().max(now);
            let wanted = pull(&mut receiving, &journal, now);
            prop_assert!(!wanted.is_empty(), "it goes on");
            for reference in wanted {
                prop_assert!(journal.insert(reference, blocks[&reference].clone()).is_none(), "missing");
                receiving.arrived(&reference);
                pulled += 1;
            }
        }
        prop_assert_eq!(journal.len(), blocks.len());
        prop_assert_eq!(pulled, (0..blocks.len()).filter(|place| was_lost(*place)).count());
    }
}
