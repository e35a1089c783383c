// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;

use super::*;

const BLOCK: u32 = 32 * 1024;
const START: Timestamp = Timestamp::from_micros(1_000_000);

fn reference(number: u32) -> Reference {
    Reference::of(&number.to_be_bytes())
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A stream of so many blocks, all made, with its manifest.
fn whole(routing: Routing, blocks: u32) -> Sending {
    let mut sending = Sending::new(routing);
    for number in 0..blocks {
        assert_eq!(sending.block_made(reference(number)), Some(number));
    }
    sending.finished();
    sending
}

/// Sends all that may be sent now.
fn drain(sending: &mut Sending, now: Timestamp) -> Vec<Next> {
    let mut sent = Vec::new();
    while let Some(next) = sending.next() {
        sending.sent(next, BLOCK, now);
        sent.push(next);
    }
    sent
}

fn blocks(numbers: impl IntoIterator<Item = u32>) -> Vec<Next> {
    numbers.into_iter().map(Next::Block).collect()
}

fn received(blocks: u32) -> ByteCount {
    ByteCount(u64::from(blocks) * u64::from(BLOCK))
}

#[test]
fn blocks_go_as_they_are_made_and_the_manifest_last() {
    let mut sending = Sending::new(Routing::Push);
    assert_eq!(sending.next(), None);
    sending.block_made(reference(0));
    assert_eq!(drain(&mut sending, START), blocks([0]), "while the content is still being read");
    assert_eq!(sending.block_made(reference(1)), Some(1));
    assert_eq!(sending.block_made(reference(0)), None, "content that repeats itself");
    sending.finished();
    assert_eq!(drain(&mut sending, START), [Next::Block(1), Next::Manifest]);
    sending.receipt(Outcome::Delivered);
    sending.denied();
    assert_eq!(sending.ended(), Some(Ended::Delivered), "the first ending counts");
    assert_eq!((sending.next(), sending.poll_timeout()), (None, None));
    assert_eq!(sending.pulled(None, START), 0);
}

#[test]
fn no_more_is_on_its_way_than_the_window_allows() {
    let mut sending = whole(Routing::Push, 100);
    assert_eq!(drain(&mut sending, START), blocks(0..10));
    let heard = START + ms(10);
    sending.progressed(&reference(3), received(4), heard);
    assert_eq!(
        drain(&mut sending, heard),
        blocks(10..14),
        "what arrived before the window was full says little"
    );
    sending.progressed(&reference(13), received(14), heard + ms(10));
    assert_eq!(drain(&mut sending, heard + ms(10)), blocks(14..34), "twice as much as was confirmed");
    sending.progressed(&reference(3), received(4), heard + ms(11));
    assert_eq!(drain(&mut sending, heard + ms(11)), [], "an old word");
    sending.progressed(&reference(1_000), received(99), heard + ms(11));
    assert_eq!(drain(&mut sending, heard + ms(11)), [], "a name that is not ours");
}

#[test]
fn a_loss_halves_the_window_once() {
    let mut sending = whole(Routing::Push, 200);
    drain(&mut sending, START);
    sending.progressed(&reference(9), received(10), START + ms(10));
    assert_eq!(drain(&mut sending, START + ms(10)).len(), 20);
    sending.progressed(&reference(19), received(18), START + ms(20));
    sending.progressed(&reference(29), received(28), START + ms(21));
    let sent = drain(&mut sending, START + ms(21)).len();
    assert_eq!(sent, 11, "2 of 20 lost, said twice: half, and a block more for what was confirmed since");
}

#[test]
fn what_is_pulled_goes_first_and_nothing_else() {
    let mut sending = whole(Routing::Pull, 30);
    assert_eq!(drain(&mut sending, START), [Next::Manifest]);
    let wanted = [reference(7), reference(2), reference(999)];
    assert_eq!(sending.pulled(Some(&wanted), START), 2);
    assert_eq!(drain(&mut sending, START), blocks([2, 7]));
    assert_eq!(sending.pulled(Some(&[reference(7)]), START), 1, "it was lost, and is asked for again");
    assert_eq!(drain(&mut sending, START), blocks([7]));
    assert_eq!(sending.pulled(None, START), 30);
    assert_eq!(drain(&mut sending, START), blocks(0..10), "within the window");
}

#[test]
fn while_a_stream_is_pushed_only_what_was_pushed_can_be_pulled() {
    let mut sending = whole(Routing::Push, 30);
    assert_eq!(drain(&mut sending, START), blocks(0..10));
    assert_eq!(sending.pulled(Some(&[reference(4), reference(20)]), START), 1);
    assert_eq!(drain(&mut sending, START), blocks([4]), "it takes its own place on the way");
    assert_eq!(sending.pulled(None, START), 10);
}

#[test]
fn the_manifest_is_repeated_less_and_less_often() {
    let mut sending = whole(Routing::Pull, 1);
    let (mut now, mut pauses) = (START, Vec::new());
    for _ in 0..11 {
        assert_eq!(drain(&mut sending, now), [Next::Manifest]);
        let again = sending.poll_timeout().unwrap();
        sending.handle_timeout(again - ms(1));
        assert_eq!(sending.next(), None);
        pauses.push(again.since(now).as_secs());
        sending.handle_timeout(again);
        now = again;
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    drain(&mut sending, now);
    sending.reachable();
    assert_eq!(drain(&mut sending, now), [Next::Manifest], "there is a way again");
    assert_eq!(sending.poll_timeout(), Some(now + REPEAT_FIRST));
    sending.pulled(Some(&[reference(0)]), now + ms(1_900));
    assert_eq!(drain(&mut sending, now + ms(1_900)), blocks([0]));
    sending.handle_timeout(now + REPEAT_FIRST);
    assert_eq!(sending.next(), None, "who pulls has it");
    sending.expired();
    assert_eq!(sending.ended(), Some(Ended::Expired));
}

#[test]
fn silence_makes_the_window_small_and_then_leaves_the_rest_to_be_pulled() {
    let mut sending = whole(Routing::Push, 100);
    let mut now = START;
    assert_eq!(drain(&mut sending, now).len(), 10);
    for expected in [3, 3] {
        assert_eq!(sending.poll_timeout(), Some(now + SILENCE));
        now = now + SILENCE;
        sending.handle_timeout(now);
        assert_eq!(drain(&mut sending, now).len(), expected, "the least");
    }
    now = now + SILENCE;
    sending.handle_timeout(now);
    assert_eq!(drain(&mut sending, now), [Next::Manifest], "interrupted: only the manifest goes");
    assert_eq!(sending.pulled(None, now), 100);
    assert_eq!(drain(&mut sending, now), blocks(0..10));
}

#[test]
fn a_word_now_and_then_is_no_silence() {
    let mut sending = whole(Routing::Push, 100);
    drain(&mut sending, START);
    let mut now = START;
    for number in 0..5 {
        now = now + ms(900);
        sending.handle_timeout(now);
        sending.progressed(&reference(number), received(number + 1), now);
    }
    assert!(matches!(sending.next(), Some(Next::Block(_))));
    assert_eq!(sending.silences, 0);
}

#[test]
fn what_is_to_be_pulled_is_pushed_to_nobody() {
    let now = Timestamp::from_micros(0);
    let mut sending = Sending::new(Routing::Pull);
    (0..3).for_each(|number| _ = sending.block_made(reference(number)));
    sending.reachable();
    assert_eq!(sending.next(), None, "neither as it is made");
    sending.finished();
    assert_eq!(drain(&mut sending, now), [Next::Manifest]);
    sending.hand_over();
    assert_eq!(drain(&mut sending, now), [Next::Manifest], "nor to who carries");
    sending.handle_timeout(now + Duration::from_secs(700));
    assert_eq!(drain(&mut sending, now), [Next::Manifest]);
    assert!(!sending.is_taken_over(), "of which nobody has a block");
    sending.reachable();
    assert_eq!(drain(&mut sending, now), [Next::Manifest]);
    assert!(sending.is_idle());
    sending.pulled(Some(&[reference(1), reference(7)]), now);
    assert!(!sending.is_idle());
    assert_eq!(drain(&mut sending, now), blocks([1]));
    let mut shared = Sending::of_blocks(Arc::clone(sending.numbers()));
    assert_eq!(drain(&mut shared, now), []);
    shared.pulled(None, now);
    assert_eq!(drain(&mut shared, now), blocks(0..3));
    let mut shared = Sending::of_some_blocks(Arc::clone(sending.numbers()), 2);
    shared.pulled(Some(&[reference(2)]), now);
    shared.pulled(None, now);
    assert_eq!(drain(&mut shared, now), blocks([0, 2]), "no more at a time");
    shared.pulled(Some(&[reference(1)]), now);
    assert_eq!(drain(&mut shared, now), blocks([1]));
}

#[test]
fn who_takes_over_makes_room() {
    let mut sending = whole(Routing::Push, 100);
    drain(&mut sending, START);
    sending.taken_over(&reference(5), START + ms(5));
    sending.taken_over(&reference(5), START + ms(5));
    assert_eq!(drain(&mut sending, START + ms(5)).len(), 1);
    // The recipient has not seen it yet, and that is no loss.
    let before = sending.window.bytes();
    sending.progressed(&reference(9), received(9), START + ms(10));
    assert!(sending.window.bytes() >= before);
}

/// A recipient behind a path that loses some blocks: what it has, and what it asks for once it has the manifest.
struct Recipient {
    blocks: u32,
    has: BTreeSet<u32>,
    has_manifest: bool,
}

impl Recipient {
    fn missing(&self) -> Vec<Reference> {
        (0..self.blocks).filter(|number| !self.has.contains(number)).take(32).map(reference).collect()
    }
}

proptest! {
    #[test]
    fn every_stream_arrives_whatever_is_lost(
        count in 1_u32..150,
        lost in proptest::collection::vec(any::<bool>(), 1..40),
        push in any::<bool>(),
    ) {
        let mut sending = whole(if push { Routing::Push } else { Routing::Pull }, count);
        let mut recipient = Recipient { blocks: count, has: BTreeSet::new(), has_manifest: false };
        let (mut now, mut turn, mut sent) = (START, 0, 0);
        while sending.ended().is_none() {
            prop_assert!(turn < 20_000, "it ends");
            let Some(next) = sending.next() else {
                now = sending.poll_timeout().unwrap();
                sending.handle_timeout(now);
                turn += 1;
                // It asks again after a while; that gets through.
                if recipient.has_manifest {
                    sending.pulled(Some(&recipient.missing()), now);
                }
                continue;
            };
            sending.sent(next, BLOCK, now);
            prop_assert!(sending.on_the_way.bytes() < sending.window.bytes() + u64::from(BLOCK));
            now = now + ms(3);
            turn += 1;
            sent += 1;
            // Not for ever: also the worst path lets something through.
            if lost[sent % lost.len()] && sent % 7 != 0 {
                continue;
            }
            match next {
                Next::Block(number) => {
                    prop_assert!(number < count);
                    recipient.has.insert(number);
                    let all = u32::try_from(recipient.has.len()).unwrap();
                    sending.progressed(&reference(number), received(all), now);
                }
                Next::Manifest => recipient.has_manifest = true,
            }
            let missing = recipient.missing();
            if recipient.has_manifest && missing.is_empty() {
                sending.receipt(Outcome::Delivered);
            } else if recipient.has_manifest && sending.asked.is_empty() {
                sending.pulled(Some(&missing), now);
            }
        }
        prop_assert_eq!(sending.ended(), Some(Ended::Delivered));
    }
}
