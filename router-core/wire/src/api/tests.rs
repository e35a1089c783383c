// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;

use super::*;

mod golden;

/// Values of every kind from one seed (splitmix64).
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ value >> 31
    }

    /// A number below another.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// Any bytes; now and then all of them are the same.
    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        match self.below(8) {
            0 => [0; N],
            1 => [0xFF; N],
            _ => core::array::from_fn(|_| self.next().to_be_bytes()[0]),
        }
    }

    fn token(&mut self) -> Option<AuthToken> {
        (self.below(2) > 0).then(|| AuthToken::from_bytes(self.array()))
    }
}

/// The frame as it comes out of its bytes.
fn sent(frame: &Microframe) -> Microframe {
    let mut decoder = MicroframeDecoder::new(PayloadLimit::REPLY);
    decoder.decode(&mut &frame.encode()[..]).unwrap().expect("it is whole")
}

/// The frame with other bytes in its payload.
fn with_payload(frame: &Microframe, payload: &[u8]) -> Microframe {
    Microframe { payload: payload.to_vec().into(), ..frame.clone() }
}

/// What of its payload any part is as good.
fn takes_any_length(mode: ApiMode) -> bool {
    mode.0 == 0x0101 || mode.0 == 0x0740
}

#[test]
fn no_two_requests_and_no_two_replies_are_alike() {
    for list in [Request::MODES.to_vec(), Reply::TAGS.iter().map(|tag| ApiMode((*tag).into())).collect()] {
        let different: std::collections::BTreeSet<_> = list.iter().collect();
        assert_eq!(different.len(), list.len());
    }
    let named = |mode: &&ApiMode| mode.to_string().contains('.');
    assert_eq!(Request::MODES.iter().filter(named).count(), Request::MODES.len(), "all have a name");
}

#[test]
fn what_is_ours_avoids_what_deployed_programs_say() {
    const DEPLOYED: [u16; 25] = [
        0x0010, 0x0011, 0x0034, 0x0101, 0x0102, 0x0110, 0x0111, 0x0130, 0x0430, 0x0532, 0x0533, 0x0632,
        0x0633, 0x0703, 0x0704, 0x0705, 0x0730, 0x0801, 0x0810, 0x0811, 0x0835, 0x0103, 0x0104, 0x0105,
        0x0332,
    ];
    let mut random = Random(7);
    for mode in Request::MODES {
        let payload = Request::draw(*mode, &mut random).to_frame(None).payload;
        let others =
            with_payload(&Request::draw(*mode, &mut random).to_frame(None), &[&[9], &payload[..]].concat());
        let is_ours = matches!(Request::decode(&others), Err(RequestError::Version { version: 9, .. }));
        let is_content = mode.0 == 0x0740;
        assert_eq!(is_ours || is_content, !DEPLOYED.contains(&mode.0), "{mode:?}");
    }
}

#[test]
fn unknown_modes_get_the_words_of_deployed_routers() {
    let frame = Microframe { mode: ApiMode(0x0A30), auth: None, payload: Default::default() };
    let error = Request::decode(&frame).unwrap_err();
    assert_eq!(error, RequestError::UnsupportedMode(ApiMode(0x0A30)));
    let told = ClientError::internal("Unsupported frame mode: 101000110000");
    assert!(told.is_unsupported_mode(frame.mode) && !told.is_unsupported_mode(ApiMode(1)));
    assert_eq!(error.reply(), Reply::Error(told));
    for mode in 0x0103..=0x0105 {
        let error = Request::decode(&Microframe { mode: ApiMode(mode), ..frame.clone() }).unwrap_err();
        assert_eq!(error.reply(), Reply::Error(ClientError::NotSupported), "fix 11");
    }
}

#[test]
fn wrong_payloads_are_told_and_later_versions_too() {
    let frame = |mode: u16, payload: &[u8]| Microframe {
        mode: ApiMode(mode),
        auth: None,
        payload: payload.to_vec().into(),
    };
    let reply = |frame| Request::decode(&frame).unwrap_err().reply();
    let empty = "Addr.Create: payload: 1 bytes missing";
    assert_eq!(reply(frame(0x0101, b"")), Reply::Error(ClientError::invalid_input(empty)), "fix 6");
    let surplus = "Addr.List: 1 bytes too many";
    assert_eq!(reply(frame(0x0130, b"x")), Reply::Error(ClientError::invalid_input(surplus)), "fix 6");
    let Reply::Refused(Refusal { reason, detail }) = reply(frame(0x0931, &[2; 33])) else {
        panic!("a later version is refused");
    };
    assert_eq!(reason, RefusalReason::Version(EXTENSION_VERSION));
    assert_eq!(detail.as_str(), "Route.Query: expected version 1, got 2");
}

#[test]
fn a_limit_of_none_is_not_one_of_zero() {
    let frame = |limit: &[u8]| Microframe {
        mode: ApiMode(0x0533),
        auth: None,
        payload: [&[7; 32][..], &[0], limit].concat().into(),
    };
    let limit = |bytes| match Request::decode(&frame(bytes)) {
        Ok(Request::RecvMany(RecvMany { limit, .. })) => Ok(limit),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(limit(&[0]), Ok(None));
    assert_eq!(limit(&[1, 0, 0, 0, 0]), Ok(Some(0)));
    assert_eq!(limit(&[1, 0xFF, 0xFF, 0xFF, 0xFF]), Ok(Some(u32::MAX)));
    assert!(limit(&[2, 0, 0, 0, 1]).is_err());
}

#[test]
fn replies_without_a_tag_are_known_by_their_request() {
    let (create, list) = (ApiMode(0x0101), ApiMode(0x0130));
    let mut random = Random(3);
    let token = AuthToken::from_bytes([5; 32]);
    let created = Reply::AddressCreated { address: Address::from_bytes([3; 32]), token: token.clone() };
    let frame = sent(&created.to_frame(None));
    assert_eq!((frame.auth.clone(), frame.payload.len()), (Some(token), 32));
    assert_eq!(Reply::decode(&frame, create), Ok(created));
    for count in [0, 1, 767, 768, 800] {
        let addresses = Reply::Addresses((0..count).map(|_| Address::from_bytes(random.array())).collect());
        assert_eq!(Reply::decode(&sent(&addresses.to_frame(None)), list), Ok(addresses));
    }
    for tag in [1, 3, 4] {
        for _ in 0..100 {
            let reply = Reply::draw(tag, &mut random);
            let frame = reply.to_frame(None);
            assert_eq!(Reply::decode(&frame, create), Ok(reply.clone()), "tag {tag}");
            assert_eq!(Reply::decode(&frame, list), Ok(reply), "tag {tag}");
        }
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    let reply = |payload: &[u8]| {
        let frame = Microframe { mode: ApiMode::REPLY, auth: None, payload: payload.to_vec().into() };
        Reply::decode(&frame, ApiMode(0))
    };
    let truncated = |field, missing| Err(ReplyError::Payload(DecodeError::Truncated { field, missing }));
    assert_eq!(reply(&[3, 0xFF, 0xFF, 0xFF, 0xFF, 6]), truncated("Error", 4_294_967_294));
    assert_eq!(reply(&[2, 0xFF, 0xFF]), truncated("Subscriptions", 32));
    assert_eq!(reply(&[]), truncated("tag", 1));
    assert_eq!(reply(&[12]), Err(ReplyError::Tag(12)));
    assert_eq!(reply(&[0x94, 2]), Err(ReplyError::Version(2)));
    let page = reply(&[0x84, 1, 0x01, 0x01]);
    let too_long = DecodeError::TooLong { field: "LinkPage", length: 257, limit: 256 };
    assert_eq!(page, Err(ReplyError::Payload(too_long)));
    let other = Microframe { mode: ApiMode(5), auth: None, payload: Default::default() };
    assert_eq!(Reply::decode(&other, ApiMode(0)), Err(ReplyError::Mode(ApiMode(5))));
}

#[test]
fn pieces_of_content_have_a_limit() {
    assert_eq!(Content::new(Vec::new()), None);
    assert_eq!(Content::new(vec![0; MAX_CONTENT + 1]), None);
    let content = Content::new(vec![7; MAX_CONTENT]).unwrap();
    assert_eq!(format!("{content:?}"), "Content(65536 bytes)");
    let frame = content.clone().into_frame();
    assert_eq!(frame, Request::Content(content.clone()).to_frame(None));
    assert_eq!(Request::decode(&frame), Ok(Request::Content(content.clone())));
    assert_eq!(FromRouter::decode(&frame, ApiMode(0x0733)), Ok(FromRouter::Content(content)));
    for length in [0, MAX_CONTENT + 1] {
        assert!(Request::decode(&with_payload(&frame, &vec![7; length])).is_err(), "{length}");
    }
}

#[test]
fn what_ends_a_stream_is_told_of_each_recipient() {
    let last = [News::Delivered, News::Refused, News::Denied, News::Expired, News::Published, News::Failed];
    assert!(last.iter().all(News::is_last) && News::Cancelled.is_last());
    let progress = Progress { arrived: ByteCount(1), in_all: None };
    assert!(![News::Progress(progress), News::Accepted, News::Stored].iter().any(News::is_last));
}

#[test]
fn a_token_is_good_for_requests_of_its_address() {
    let mut random = Random(11);
    let stranger = Address::from_bytes([0x77; 32]);
    for mode in Request::MODES {
        let request = Request::draw(*mode, &mut random);
        // No address is drawn like that one; a list of nobody is anybody's, and says nothing.
        let is_anybodys = request.needs() != Needs::Token
            || matches!(&request, Request::NamespaceCreate(_))
            || matches!(&request, Request::SendMany(letterheads) if letterheads.is_empty());
        assert_eq!(request.is_by(&stranger), is_anybodys, "{mode:?}");
    }
    let (ann, ben) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
    let stream = StreamId::from_bytes([3; 32]);
    let ended = Request::StreamDestroy(StreamKey { from: ann, to: Recipient::Address(ben), stream });
    assert!(ended.is_by(&ann) && ended.is_by(&ben) && !ended.is_by(&stranger));
    let letterhead = |from| Letterhead {
        from,
        to: Recipient::Address(ben),
        stream_size: ByteCount(0),
        auxiliary_data: AuxiliaryData::default(),
    };
    let send = |from: [Address; 2]| Request::SendMany(from.into_iter().map(letterhead).collect());
    assert!(send([ann, ann]).is_by(&ann) && !send([ann, ben]).is_by(&ann));
}

#[test]
fn secrets_in_requests_are_not_printed() {
    let seed = NamespaceSeed::from_bytes([0xAB; 32]);
    let request = Request::NamespaceCreate(NewNamespace { namespace: seed.namespace(), seed });
    let frame = request.to_frame(Some(&AuthToken::from_bytes([0xAB; 32])));
    for text in [format!("{request:?}"), format!("{frame:?}")] {
        assert!(!text.contains("171") && !text.to_lowercase().contains("abab"), "{text}");
    }
}

proptest! {
    #[test]
    fn every_request_comes_back(seed: u64) {
        let mut random = Random(seed);
        for mode in Request::MODES {
            let (request, token) = (Request::draw(*mode, &mut random), random.token());
            let frame = sent(&request.to_frame(token.as_ref()));
            prop_assert_eq!(frame.mode, *mode);
            prop_assert_eq!(&frame.auth, &token);
            prop_assert_eq!(Request::decode(&frame), Ok(request));
        }
    }

    #[test]
    fn requests_are_taken_whole_or_not_at_all(seed: u64) {
        let mut random = Random(seed);
        for mode in Request::MODES.iter().filter(|mode| !takes_any_length(**mode)) {
            let frame = Request::draw(*mode, &mut random).to_frame(None);
            for length in 0..frame.payload.len() {
                let cut = Request::decode(&with_payload(&frame, &frame.payload[..length]));
                prop_assert!(cut.is_err(), "{mode:?} cut to {length}");
            }
            let surplus = Request::decode(&with_payload(&frame, &[&frame.payload[..], &[0]].concat()));
            let trailing = RequestError::Payload { mode: *mode, error: DecodeError::Trailing(1) };
            prop_assert_eq!(surplus, Err(trailing));
        }
    }

    #[test]
    fn every_reply_comes_back_whole_or_not_at_all(seed: u64) {
        let (mut random, to) = (Random(seed), ApiMode(0x0034));
        for tag in Reply::TAGS {
            let (reply, token) = (Reply::draw(*tag, &mut random), random.token());
            let frame = sent(&reply.to_frame(token.as_ref()));
            prop_assert_eq!(&frame.auth, &token);
            prop_assert_eq!(FromRouter::decode(&frame, to), Ok(FromRouter::Reply(reply.clone())));
            prop_assert_eq!(Reply::decode(&frame, to), Ok(reply));
            for length in 0..frame.payload.len() {
                let cut = Reply::decode(&with_payload(&frame, &frame.payload[..length]), to);
                prop_assert!(cut.is_err(), "tag {tag} cut to {length}");
            }
            let surplus = Reply::decode(&with_payload(&frame, &[&frame.payload[..], &[0]].concat()), to);
            prop_assert_eq!(surplus, Err(ReplyError::Payload(DecodeError::Trailing(1))));
        }
    }

    #[test]
    fn every_header_of_a_stream_comes_back(seed: u64) {
        let mut random = Random(seed);
        for way in [StreamWay::RecvOne, StreamWay::RecvMany, StreamWay::Subscription] {
            let header = StreamHeader { way, letterhead: field::Field::draw(&mut random) };
            let frame = sent(&header.to_frame(random.token().as_ref()));
            prop_assert_eq!(StreamHeader::decode(&frame), Ok(Some(header.clone())));
            let read = FromRouter::decode(&frame, ApiMode(0x0533));
            prop_assert_eq!(read, Ok(FromRouter::Stream(header)));
            for length in 0..frame.payload.len() {
                prop_assert!(StreamHeader::decode(&with_payload(&frame, &frame.payload[..length])).is_err());
            }
        }
        let frame = sent(&FromRouter::End.to_frame(None));
        prop_assert_eq!(FromRouter::decode(&frame, ApiMode(0x0733)), Ok(FromRouter::End));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        crate::fuzz::fuzz_client_api(&bytes);
    }
}
