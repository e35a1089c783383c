// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use proptest::option;
use proptest::prelude::*;
use ratman_types::Namespace;

pub(super) fn full() -> Header {
    Header {
        hops_left: 63,
        mode: Mode(0x0102),
        sender: [0x11; 32],
        recipient: Some(Recipient::Namespace(Namespace::from_bytes([0x22; 32]))),
        seq_id: Some(SequenceId { hash: Digest::from_bytes([0x33; 32]), num: 1, max: 2 }),
        auxiliary: Some([0x44; 64]),
        signature: Some(Signature([0x55; 64])),
    }
}

#[test]
fn golden_bytes_with_every_option() {
    let bytes = Frame { header: full(), payload: b"pay" }.encode();
    let mut golden = vec![2, 63, 1, 2];
    golden.extend([0x11; 32]);
    golden.push(2);
    golden.extend([0x22; 32]);
    golden.push(1);
    golden.extend([0x33; 32]);
    golden.extend([1, 2, 1]);
    golden.extend([0x44; 64]);
    golden.push(1);
    golden.extend([0x55; 64]);
    golden.extend([0, 3]);
    golden.extend(b"pay");
    assert_eq!(bytes, golden);
    assert_eq!(Frame::decode(&bytes), Ok(Frame { header: full(), payload: b"pay" }));
}

#[test]
fn golden_bytes_without_options() {
    let bytes = Frame { header: Header::new(Mode::ECHO_REQUEST, [9; 32]), payload: &[] }.encode();
    let mut golden = vec![2, 64, 0, 71];
    golden.extend([9; 32]);
    golden.extend([0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes, golden);
}

#[test]
fn sizes_are_those_of_the_page() {
    let to = Recipient::Address(Address::from_bytes([1; 32]));
    let session = Header::new(Mode::SESSION_DATA, [0; 32]).to(to);
    assert_eq!(session.encoded_len(), SESSION_HEADER);
    let notice = Header { signature: full().signature, ..session };
    assert_eq!(notice.encoded_len(), NOTICE_HEADER);
    let data = Header { seq_id: full().seq_id, ..notice };
    assert_eq!((data.encoded_len(), DATA_HEADER), (172, 172));
    assert_eq!(Header { auxiliary: full().auxiliary, ..data }.encoded_len(), DATA_HEADER + AUXILIARY);
    let one_hop = Header { signature: full().signature, ..Header::new(Mode::ECHO_REPLY, [0; 32]) };
    assert_eq!((one_hop.encoded_len(), ONE_HOP_HEADER), (106, 106));
    assert_eq!(full().encoded_len() + MAX_PAYLOAD, MAX_FRAME);
}

#[test]
fn a_relay_changes_one_byte() {
    let mut bytes = Frame { header: full(), payload: b"pay" }.encode();
    set_hops_left(&mut bytes, 62);
    assert_eq!(Frame::decode(&bytes).unwrap().header, Header { hops_left: 62, ..full() });
    set_hops_left(&mut [], 62);
}

#[test]
fn the_mode_is_seen_without_parsing() {
    assert_eq!(peek_mode(&Frame { header: full(), payload: b"pay" }.encode()), Some(Mode(0x0102)));
    assert_eq!(peek_mode(&[2, 63, 1]), None);
}

#[test]
fn other_bytes_are_refused_with_the_field() {
    let good = Frame { header: full(), payload: b"pay" }.encode();
    let change = |index: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[index] = value;
        Frame::decode(&bytes).map(|_| ())
    };
    assert_eq!(change(0, 1), Err(DecodeError::Version(1)));
    assert_eq!(change(1, 64), Ok(()));
    assert_eq!(change(1, 65), Err(DecodeError::Value("hops_left")));
    assert_eq!(change(36, 3), Err(DecodeError::Tag { field: "recipient", tag: 3 }));
    assert_eq!(change(69, 2), Err(DecodeError::Tag { field: "seq_id", tag: 2 }));
    assert_eq!(change(102, 3), Err(DecodeError::Value("seq_id")));
    assert_eq!(change(104, 255), Err(DecodeError::Tag { field: "auxiliary", tag: 255 }));
    assert_eq!(change(169, 2), Err(DecodeError::Tag { field: "signature", tag: 2 }));
    assert_eq!(
        change(234, 0x80),
        Err(DecodeError::TooLong { field: "payload", length: 32_771, limit: 32_768 })
    );
    assert_eq!(change(235, 4), Err(DecodeError::Truncated { field: "payload", missing: 1 }));
    assert_eq!(change(235, 2), Err(DecodeError::Trailing(1)));
    for length in 0..good.len() {
        assert!(Frame::decode(&good[..length]).is_err(), "cut to {length}");
    }
}

#[test]
fn a_signature_that_begins_with_zero_survives() {
    let header = Header { signature: Some(Signature([0; 64])), ..Header::new(Mode(8), [0; 32]) };
    let bytes = Frame { header, payload: &[] }.encode();
    assert_eq!(Frame::decode(&bytes).unwrap().header, header);
}

#[test]
#[should_panic(expected = "was not sliced")]
fn too_large_a_payload_is_a_bug_of_the_sender() {
    full().encode_into(MAX_PAYLOAD + 1, &mut Vec::new());
}

pub(super) fn header() -> impl Strategy<Value = Header> {
    let recipient = prop_oneof![
        any::<[u8; 32]>().prop_map(|bytes| Recipient::Address(Address::from_bytes(bytes))),
        any::<[u8; 32]>().prop_map(|bytes| Recipient::Namespace(Namespace::from_bytes(bytes))),
    ];
    let seq_id = any::<([u8; 32], u8, u8)>().prop_map(|(hash, a, b)| SequenceId {
        hash: Digest::from_bytes(hash),
        num: a.min(b),
        max: a.max(b),
    });
    let array64 = || any::<[[u8; 32]; 2]>().prop_map(|halves| halves.concat().try_into().unwrap());
    (
        (0..=MAX_HOPS, any::<(u16, [u8; 32])>()),
        option::of(recipient),
        option::of(seq_id),
        option::of(array64()),
        option::of(array64().prop_map(Signature)),
    )
        .prop_map(|((hops_left, (mode, sender)), recipient, seq_id, auxiliary, signature)| Header {
            hops_left,
            mode: Mode(mode),
            sender,
            recipient,
            seq_id,
            auxiliary,
            signature,
        })
}

proptest! {
    #[test]
    fn every_frame_round_trips(header in header(), payload in prop::collection::vec(any::<u8>(), 0..500)) {
        let frame = Frame { header, payload: &payload };
        let bytes = frame.encode();
        prop_assert_eq!(bytes.len(), header.encoded_len() + payload.len());
        prop_assert_eq!(Frame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::fuzz_frame(&bytes);
        let mut versioned = bytes;
        if let Some(first) = versioned.first_mut() {
            *first = VERSION;
        }
        crate::fuzz::fuzz_frame(&versioned);
    }
}
