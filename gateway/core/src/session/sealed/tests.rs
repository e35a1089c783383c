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
    assert_eq!(error(&record(65_535), 107 + 254), SessionDrop::BatchTooLarge);
    assert!(plan(&record(65_535), 576).is_ok());
    for cut in [1, 2, 11, 12, 500, 1011] {
        assert_eq!(error(&batch[..cut], 1500), SessionDrop::MalformedRecord, "cut to {cut}");
    }
    assert_eq!(error(&[0; 12], 1500), SessionDrop::MalformedRecord, "an empty packet");
    assert_eq!(error(&[batch, vec![0]].concat(), 1500), SessionDrop::MalformedRecord);
}

#[test]
fn nothing_becomes_a_keepalive() {
    let (sealed, records) = plan(&[], 1500).unwrap();
    assert_eq!((sealed.len(), records), (1, 0));
    assert_eq!(sealed.pieces(&[]).next().unwrap().body.len(), 0);
}

proptest! {
    #[test]
    fn frames_fit_are_even_and_tell_the_truth(
        lengths in prop::collection::vec(prop_oneof![1_usize..200, 1_usize..20_000], 1..20),
        mtu in 1200_u32..34_000,
    ) {
        let batch: Vec<u8> = lengths.iter().flat_map(|length| record(*length)).collect();
        let (sealed, records) = plan(&batch, mtu).unwrap();
        prop_assert_eq!(records, u64::try_from(lengths.len()).unwrap());
        let bounds: Vec<usize> = lengths.iter().scan(0, |end, length| { *end += 12 + length; Some(*end) }).collect();
        let sizes: Vec<_> = sealed.pieces(&batch).map(|piece| piece.body.len()).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        prop_assert_eq!(sizes.iter().sum::<usize>(), batch.len());
        let mut start = 0;
        for piece in sealed.pieces(&batch) {
            let end = start + piece.body.len();
            prop_assert!(HEAD + piece.body.len() + TAG <= usize::try_from(mtu).unwrap());
            let cut = |position: usize| position != 0 && !bounds.contains(&position);
            let header = header(&piece);
            prop_assert_eq!(header.goes_on, cut(end));
            let next = bounds.iter().copied().find(|bound| *bound >= start).unwrap();
            let continued = if cut(start) { next.min(end) - start } else { 0 };
            prop_assert_eq!(usize::from(header.continued), continued);
            start = end;
        }
    }
}
