// SPDX-License-Identifier: AGPL-3.0-or-later
//! Cutting: sizes, evenness, headers.

use proptest::prelude::*;
use ratman_wire::{Frame, MAX_PAYLOAD};

use super::*;

const INDEX: SessionIndex = SessionIndex(0x0a0b_0c0d);

fn record(length: usize) -> Vec<u8> {
    let header = RecordHeader { length: length.try_into().unwrap(), metadata: [1; 10] };
    [&header.encode()[..], &vec![0x45; length]].concat()
}

fn plan(batch: &[u8], mtu: u32) -> Result<(Sealed, u64), SessionDrop> {
    let mut sealed = Sealed::new();
    let mut carrier = [2; SESSION_HEADER];
    carrier[36] = 1;
    let records = sealed.plan(batch, Mtu(mtu), &carrier, INDEX)?;
    Ok((sealed, records))
}

fn header(piece: &Piece<'_>) -> DataHeader {
    DataHeader::decode(piece.head.last_chunk().unwrap()).unwrap()
}

#[test]
fn a_super_packet_becomes_three_even_frames() {
    let batch = record(65_535);
    let (sealed, records) = plan(&batch, 33_004).unwrap();
    assert_eq!(records, 1);
    let sizes: Vec<_> = sealed.pieces(&batch).map(|piece| piece.body.len()).collect();
    assert_eq!(sizes, [21_849, 21_849, 21_849]);
    let headers: Vec<_> = sealed.pieces(&batch).map(|piece| header(&piece)).collect();
    assert_eq!(headers.iter().map(|header| header.goes_on).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(headers.iter().map(|header| header.continued).collect::<Vec<_>>(), [0, 21_849, 21_849]);
}

#[test]
fn frames_never_exceed_the_payload_limit_of_the_carrier() {
    for length in [32_724, 32_725] {
        let batch = record(length);
        let (sealed, _) = plan(&batch, u32::MAX).unwrap();
        assert_eq!(sealed.len(), if length == 32_724 { 1 } else { 2 });
        for piece in sealed.pieces(&batch) {
            assert!(piece.head.len() - SESSION_HEADER + piece.body.len() + piece.tail.len() <= MAX_PAYLOAD);
        }
    }
}

#[test]
fn the_head_is_a_carrier_header_and_a_session_header() {
    let batch = record(100);
    let (sealed, _) = plan(&batch, 1500).unwrap();
    let piece = sealed.pieces(&batch).next().unwrap();
    let mut frame = [piece.head, piece.body, piece.tail].concat();
    frame[69..72].fill(0); // the options that the test's carrier header does not have
    let frame = Frame::decode(&frame).unwrap();
    assert_eq!(frame.payload.len(), 16 + 112 + 16);
    let header = DataHeader { goes_on: false, continued: 0, receiver: INDEX, counter: 0 };
    assert_eq!(frame.payload[..16], header.encode());
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let error = |batch: &[u8], mtu| plan(batch, mtu).map(|_| ()).unwrap_err();
    let batch = record(1000);
    for mtu in [0, 74, 106] {
        assert_eq!(error(&batch, mtu), SessionDrop::PathTooSmall);
    }
    assert_eq!(error(&record(65_535), 107 + 127), SessionDrop::BatchTooLarge);
    assert_eq!(error(&record(65_535).repeat(256), 33_004), SessionDrop::BatchTooLarge);
    assert!(plan(&record(65_535), 576).is_ok());
    for mtu in [1500, 33_004] {
        for cut in [1, 2, 11, 12, 500, 1011] {
            assert_eq!(error(&batch[..cut], mtu), SessionDrop::MalformedRecord, "cut to {cut}");
        }
        assert_eq!(error(&[0; 12], mtu), SessionDrop::MalformedRecord, "an empty packet");
        assert_eq!(error(&[&batch[..], &[0]].concat(), mtu), SessionDrop::MalformedRecord);
    }
}

#[test]
fn small_frames_end_where_records_end() {
    // Room for 1394 bytes: three records of 412, then one that is cut, whose last part leaves room for another.
    let lengths = [400, 400, 400, 400, 3000, 300, 1382, 1, 1382];
    let batch: Vec<u8> = lengths.iter().flat_map(|length| record(*length)).collect();
    let (sealed, records) = plan(&batch, 1500).unwrap();
    assert_eq!(records, 9);
    let frames: Vec<_> = sealed
        .pieces(&batch)
        .map(|piece| (piece.body.len(), header(&piece).continued, header(&piece).goes_on))
        .collect();
    assert_eq!(
        frames,
        [
            (1236, 0, false),
            (412, 0, false),
            (1004, 0, true),
            (1004, 1004, true),
            (1004 + 312, 1004, false),
            (1394, 0, false),
            (13, 0, false),
            (1394, 0, false),
        ]
    );
}

#[test]
fn the_largest_batch_at_the_smallest_mtu_is_a_cut_super_packet() {
    assert_eq!(max_batch(Mtu(576)), 120_085);
    assert_eq!(max_batch(Mtu(33_004)), MAX_PIECES * 32_736);
    assert_eq!(max_batch(Mtu(100)), 0);
    let segments = 64_000 / 100;
    assert!(segments * (RecordHeader::LEN + 40 + 100) <= max_batch(Mtu(576)));
}

#[test]
fn nothing_becomes_a_keepalive() {
    let (sealed, records) = plan(&[], 1500).unwrap();
    assert_eq!((sealed.len(), records), (1, 0));
    assert_eq!(sealed.pieces(&[]).next().unwrap().body.len(), 0);
}

proptest! {
    #[test]
    fn no_batch_up_to_the_limit_is_too_large(
        lengths in prop::collection::vec(prop_oneof![1_usize..500, 230_usize..240, 400_usize..2000], 1..400),
        mtu in prop_oneof![Just(576_u32), 200_u32..2000],
    ) {
        let mut batch = Vec::new();
        for length in lengths.iter().cycle() {
            let record = record(*length);
            if batch.len() + record.len() > max_batch(Mtu(mtu)) {
                break;
            }
            batch.extend(record);
        }
        prop_assert!(plan(&batch, mtu).is_ok());
    }

    #[test]
    fn frames_fit_and_tell_the_truth(
        lengths in prop::collection::vec(prop_oneof![1_usize..200, 1_usize..20_000], 1..20),
        mtu in prop_oneof![1200_u32..34_000, 13_000_u32..13_500],
    ) {
        let batch: Vec<u8> = lengths.iter().flat_map(|length| record(*length)).collect();
        let (sealed, records) = plan(&batch, mtu).unwrap();
        prop_assert_eq!(records, u64::try_from(lengths.len()).unwrap());
        let bounds: Vec<usize> = lengths.iter().scan(0, |end, length| { *end += 12 + length; Some(*end) }).collect();
        let sizes: Vec<_> = sealed.pieces(&batch).map(|piece| piece.body.len()).collect();
        let small = cuts_super_packets(Mtu(mtu));
        if !small {
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
        prop_assert_eq!(sizes.iter().sum::<usize>(), batch.len());
        let mut start = 0;
        for piece in sealed.pieces(&batch) {
            let end = start + piece.body.len();
            prop_assert!(HEAD + piece.body.len() + TAG <= usize::try_from(mtu).unwrap());
            let cut = |position: usize| position != 0 && !bounds.contains(&position);
            let header = header(&piece);
            prop_assert_eq!(header.goes_on, cut(end));
            if small && cut(end) {
                let after = bounds.iter().position(|bound| *bound > end).unwrap();
                prop_assert!(12 + lengths[after] > frame_room(Mtu(mtu)), "a record was cut that a frame holds");
            }
            let next = bounds.iter().copied().find(|bound| *bound >= start).unwrap();
            let continued = if cut(start) { next.min(end) - start } else { 0 };
            prop_assert_eq!(usize::from(header.continued), continued);
            start = end;
        }
    }
}
