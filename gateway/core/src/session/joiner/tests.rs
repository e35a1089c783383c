// SPDX-License-Identifier: AGPL-3.0-or-later
//! Joining: every record whose frames all came in order, and no other.

use core::cell::RefCell;

use proptest::prelude::*;
use ratman_types::Mtu;
use ratman_wire::carrier::SESSION_HEADER;

use super::super::sealed::Sealed;
use super::*;

const INDEX: SessionIndex = SessionIndex(1);

fn record(number: u8, length: usize) -> Vec<u8> {
    let header = RecordHeader { length: length.try_into().unwrap(), metadata: [number; 10] };
    [&header.encode()[..], &vec![number; length]].concat()
}

/// The plaintext frames of a batch, with counters from `first`.
fn frames(batch: &[u8], mtu: u32, first: u64) -> Vec<(DataHeader, Vec<u8>)> {
    let mut sealed = Sealed::new();
    sealed.plan(batch, Mtu(mtu), &[0; SESSION_HEADER], INDEX).unwrap();
    let header = |head: &[u8]| DataHeader::decode(head.last_chunk().unwrap()).unwrap();
    (first..)
        .zip(sealed.pieces(batch))
        .map(|(counter, piece)| (DataHeader { counter, ..header(piece.head) }, piece.body.to_vec()))
        .collect()
}

#[derive(Default)]
struct Outcome {
    delivered: Vec<(u8, usize)>,
    refused: Vec<SessionDrop>,
}

struct Receiver {
    joiner: RefCell<Joiner>,
    outcome: Outcome,
}

impl Receiver {
    fn new() -> Self {
        Self { joiner: RefCell::new(Joiner::new()), outcome: Outcome::default() }
    }

    fn take(&mut self, (header, plain): &(DataHeader, Vec<u8>)) {
        let Outcome { delivered, refused } = &mut self.outcome;
        deliver_records(
            header,
            &mut plain.clone(),
            || self.joiner.borrow_mut(),
            &mut |metadata, packet| {
                assert!(packet.iter().all(|byte| *byte == metadata[0]));
                delivered.push((metadata[0], packet.len()));
            },
            &mut |drop| refused.push(drop),
        );
    }
}

#[test]
fn room_is_taken_by_the_first_record_that_was_cut() {
    let mut receiver = Receiver::new();
    let parts = frames(&record(1, 60_000), 33_004, 0);
    receiver.take(&frames(&record(2, 500), 33_004, 0)[0]);
    receiver.take(&parts[1]);
    assert_eq!(receiver.joiner.borrow().buffer.len(), 0, "whole records and unexpected parts need none");
    receiver.take(&parts[0]);
    assert_eq!(receiver.joiner.borrow().buffer.len(), MAX_RECORD);
}

#[test]
fn a_cut_through_a_records_header_is_joined() {
    let batch = [record(1, 500), record(2, 500)].concat();
    for split in 1..batch.len() {
        let bound = 512;
        let parts = [&batch[..split], &batch[split..]];
        let continued = if split > bound { batch.len() } else { bound } - split;
        let header = |counter, goes_on, continued: usize| DataHeader {
            goes_on,
            continued: continued.try_into().unwrap(),
            receiver: INDEX,
            counter,
        };
        let mut receiver = Receiver::new();
        receiver.take(&(header(7, split != bound, 0), parts[0].to_vec()));
        receiver.take(&(header(8, false, continued), parts[1].to_vec()));
        assert_eq!(receiver.outcome.delivered, [(1, 500), (2, 500)], "cut at {split}");
        assert_eq!(receiver.outcome.refused, []);
    }
}

#[test]
fn parts_of_another_order_or_key_are_dropped() {
    let batch = record(1, 60_000);
    let parts = frames(&batch, 33_004, 0);
    assert_eq!(parts.len(), 2);
    let mut receiver = Receiver::new();
    receiver.take(&parts[1]);
    receiver.take(&parts[0]);
    receiver.take(&(DataHeader { receiver: SessionIndex(2), ..parts[1].0 }, parts[1].1.clone()));
    receiver.take(&parts[1]);
    assert_eq!(receiver.outcome.delivered, []);
    assert_eq!(receiver.outcome.refused, [SessionDrop::MissingPart; 3]);
    parts.iter().for_each(|part| receiver.take(part));
    assert_eq!(receiver.outcome.delivered, [(1, 60_000)]);
}

#[test]
fn a_record_that_is_abandoned_is_counted() {
    let parts = frames(&record(1, 60_000), 33_004, 0);
    let later = frames(&record(2, 60_000), 33_004, 2);
    let mut receiver = Receiver::new();
    receiver.take(&parts[0]);
    later.iter().for_each(|part| receiver.take(part));
    assert_eq!(receiver.outcome.delivered, [(2, 60_000)]);
    assert_eq!(receiver.outcome.refused, [SessionDrop::MissingPart]);
}

#[test]
fn a_record_that_never_ends_is_bounded() {
    let mut receiver = Receiver::new();
    let header = |counter, continued| DataHeader { goes_on: true, continued, receiver: INDEX, counter };
    receiver.take(&(header(0, 0), record(1, 65_535)[..32_736].to_vec()));
    for counter in 1..10 {
        receiver.take(&(header(counter, 32_736), vec![1; 32_736]));
    }
    assert_eq!(receiver.outcome.delivered, []);
    assert_eq!(receiver.outcome.refused[0], SessionDrop::MalformedRecord);
    assert!(receiver.outcome.refused[1..].iter().all(|drop| *drop == SessionDrop::MissingPart));
}

#[test]
fn records_that_contradict_the_header_are_refused() {
    let header = DataHeader { goes_on: false, continued: 0, receiver: INDEX, counter: 0 };
    let whole = [record(1, 20), record(2, 30)].concat();
    let cases = [
        (DataHeader { goes_on: true, ..header }, whole.clone(), 2),
        (DataHeader { goes_on: true, ..header }, Vec::new(), 0),
        (header, whole[..whole.len() - 1].to_vec(), 1),
        (header, [&whole[..], &[0]].concat(), 2),
        (header, [&whole[..], &[0; 12]].concat(), 2),
        (DataHeader { continued: 75, ..header }, whole.clone(), 0),
    ];
    for (number, (header, plain, delivered)) in cases.into_iter().enumerate() {
        let mut receiver = Receiver::new();
        receiver.take(&(header, plain));
        assert_eq!(receiver.outcome.delivered.len(), delivered, "case {number}");
        assert_eq!(receiver.outcome.refused, [SessionDrop::MalformedRecord], "case {number}");
    }
    let mut receiver = Receiver::new();
    receiver.take(&(DataHeader { goes_on: true, ..header }, whole[..20].to_vec()));
    receiver.take(&(DataHeader { continued: 5, counter: 1, ..header }, whole[20..25].to_vec()));
    assert_eq!(receiver.outcome.delivered, []);
    assert_eq!(receiver.outcome.refused, [SessionDrop::MalformedRecord], "joined, and still too short");
}

proptest! {
    #[test]
    fn every_record_whose_frames_all_came_is_delivered(
        lengths in prop::collection::vec(prop_oneof![1_usize..100, 1_usize..5000], 1..30),
        mtu in 600_u32..4000,
        lost in prop::collection::vec(any::<bool>(), 256),
    ) {
        let batch: Vec<u8> =
            (0_u8..).zip(&lengths).flat_map(|(number, length)| record(number, *length)).collect();
        let frames = frames(&batch, mtu, 5);
        let mut receiver = Receiver::new();
        let (mut came, mut start) = (Vec::new(), 0);
        for (frame, lost) in frames.iter().zip(&lost) {
            let end = start + frame.1.len();
            if !lost {
                receiver.take(frame);
                came.extend(start..end);
            }
            start = end;
        }
        let (mut expected, mut start) = (Vec::new(), 0);
        for (number, length) in (0_u8..).zip(&lengths) {
            let end = start + 12 + length;
            let first = came.partition_point(|position| *position < start);
            if came[first..].iter().take_while(|position| **position < end).count() == end - start {
                expected.push((number, *length));
            }
            start = end;
        }
        prop_assert_eq!(&receiver.outcome.delivered, &expected);
        prop_assert!(receiver.outcome.refused.iter().all(|drop| *drop == SessionDrop::MissingPart));
    }

    #[test]
    fn two_frames_of_any_bytes_are_answered(data in prop::collection::vec(any::<u8>(), 0..300)) {
        super::super::fuzz::fuzz_records(&data);
    }

    #[test]
    fn any_plaintext_is_answered(
        goes_on: bool,
        continued in 0_u16..300,
        plain in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let header = DataHeader { goes_on, continued, receiver: INDEX, counter: 0 };
        let joiner = RefCell::new(Joiner::new());
        for _ in 0..2 {
            let mut plain = plain.clone();
            deliver_records(&header, &mut plain, || joiner.borrow_mut(), &mut |_, _| {}, &mut |_| {});
        }
    }
}
