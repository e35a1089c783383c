// SPDX-License-Identifier: AGPL-3.0-or-later
//! Golden bytes and properties of the session structures.

use proptest::prelude::*;

use super::*;

#[test]
fn an_initiation_has_its_golden_bytes() {
    let initiation = Initiation { sender: SessionIndex(0x0102_0304), noise: [0x11; 109], mac2: [0x22; 16] };
    let golden = [&[1, 2, 3, 4][..], &[0x11; 109], &[0x22; 16]].concat();
    assert_eq!(initiation.encode(), golden);
    assert_eq!(golden.len(), INITIATION_LEN);
    assert_eq!(INITIATION_LEN, 129);
    assert_eq!(initiation.authenticated_bytes(), golden[..113]);
    assert_eq!(Initiation::decode(&golden), Ok(initiation));
}

#[test]
fn a_response_has_its_golden_bytes() {
    let response = Response {
        sender: SessionIndex(0x0506_0708),
        receiver: SessionIndex(0x0102_0304),
        noise: [0x33; 53],
    };
    let golden = [&[5, 6, 7, 8, 1, 2, 3, 4][..], &[0x33; 53]].concat();
    assert_eq!(response.encode(), golden);
    assert_eq!(golden.len(), RESPONSE_LEN);
    assert_eq!(Response::decode(&golden), Ok(response));
}

#[test]
fn a_cookie_has_its_golden_bytes() {
    let reply = CookieReply { receiver: SessionIndex(0x0102_0304), cookie: [0x44; 16] };
    let golden = [&[1, 2, 3, 4][..], &[0x44; 16]].concat();
    assert_eq!(reply.encode(), golden);
    assert_eq!(golden.len(), COOKIE_LEN);
    assert_eq!(CookieReply::decode(&golden), Ok(reply));
}

#[test]
fn the_inner_payloads_have_their_golden_bytes() {
    let initiation = InitiationPayload {
        time: WallTime::from_micros(0x0102_0304_0506_0708),
        capabilities: Capabilities::AES_IN_HARDWARE,
    };
    assert_eq!(initiation.encode(), [1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0, 0, 1]);
    let response = ResponsePayload { capabilities: Capabilities(0x8000_0001) };
    assert_eq!(response.encode(), [1, 0x80, 0, 0, 1]);
    assert!(response.capabilities.contains(Capabilities::AES_IN_HARDWARE));
    assert!(!Capabilities(2).contains(Capabilities::AES_IN_HARDWARE));
    let version = DecodeError::Value("session version");
    assert_eq!(InitiationPayload::decode(&[1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 0, 0, 1]), Err(version));
    assert_eq!(ResponsePayload::decode(&[0, 0, 0, 0, 1]), Err(version));
}

#[test]
fn a_data_header_has_its_golden_bytes() {
    let header = DataHeader {
        goes_on: true,
        continued: 0x7fde,
        receiver: SessionIndex(0x0102_0304),
        counter: 0x0203_0405_0607,
    };
    let golden = [1, 1, 0x7f, 0xde, 1, 2, 3, 4, 0, 0, 2, 3, 4, 5, 6, 7];
    assert_eq!(header.encode(), golden);
    assert_eq!(DataHeader::decode(&golden), Ok(header));
    let change = |index: usize, value: u8| {
        let mut bytes = golden;
        bytes[index] = value;
        DataHeader::decode(&bytes)
    };
    assert_eq!(change(0, 2), Err(DecodeError::Value("type")));
    assert_eq!(change(1, 3), Err(DecodeError::Value("flags")));
    assert_eq!(change(1, 0), Ok(DataHeader { goes_on: false, ..header }));
}

#[test]
fn a_record_header_has_its_golden_bytes() {
    let header = RecordHeader { length: 0x0203, metadata: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] };
    let golden = [2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    assert_eq!(header.encode(), golden);
    assert_eq!(RecordHeader::decode(&golden), Ok(header));
    assert_eq!(RecordHeader::decode(&[0; 12]), Err(DecodeError::Value("record length")));
}

#[test]
fn cut_and_longer_bytes_are_refused_with_the_field() {
    for length in 0..INITIATION_LEN {
        assert!(
            matches!(Initiation::decode(&vec![7; length]), Err(DecodeError::Truncated { .. })),
            "{length}"
        );
    }
    assert_eq!(Initiation::decode(&[7; INITIATION_LEN + 1]), Err(DecodeError::Trailing(1)));
    assert_eq!(
        Response::decode(&[7; RESPONSE_LEN - 1]),
        Err(DecodeError::Truncated { field: "noise", missing: 1 })
    );
    assert_eq!(Response::decode(&[7; RESPONSE_LEN + 2]), Err(DecodeError::Trailing(2)));
    assert_eq!(CookieReply::decode(&[7; COOKIE_LEN + 3]), Err(DecodeError::Trailing(3)));
}

proptest! {
    #[test]
    fn whatever_parses_encodes_to_the_same_bytes(data in prop::collection::vec(any::<u8>(), 0..160)) {
        crate::fuzz::fuzz_session(&data);
    }

    #[test]
    fn full_length_bytes_round_trip(data: [[u8; 16]; 10]) {
        for length in [INITIATION_LEN, RESPONSE_LEN, COOKIE_LEN, 16, 13, 12, 5] {
            crate::fuzz::fuzz_session(&data.as_flattened()[..length]);
        }
    }

    #[test]
    fn data_headers_round_trip(goes_on: bool, continued: u16, receiver: u32, counter: u64) {
        let header = DataHeader { goes_on, continued, receiver: SessionIndex(receiver), counter };
        prop_assert_eq!(DataHeader::decode(&header.encode()), Ok(header));
    }
}
