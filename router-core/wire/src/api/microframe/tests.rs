// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;

use super::*;

fn frame(mode: u16, token: Option<[u8; 32]>, payload: &[u8]) -> Microframe {
    let auth = token.map(AuthToken::from_bytes);
    Microframe { mode: ApiMode(mode), auth, payload: Zeroizing::new(payload.to_vec()) }
}

fn decoder() -> MicroframeDecoder {
    MicroframeDecoder::new(PayloadLimit::REQUEST)
}

#[test]
fn golden_bytes() {
    let bare = frame(0x0101, None, b"alice");
    assert_eq!(*bare.encode(), *b"\0\0\0\x07\x01\x01\0\0\0\0\x05alice");
    let with_token = frame(0x0110, Some([0xAB; 32]), &[]);
    let bytes = [&b"\0\0\0\x26\x01\x10"[..], &[0xAB; 32], &[0; 4]].concat();
    assert_eq!(*with_token.encode(), bytes);
    for frame in [bare, with_token] {
        assert_eq!(decoder().decode(&mut &frame.encode()[..]), Ok(Some(frame)));
    }
}

#[test]
fn what_follows_a_frame_is_left() {
    let bytes = [&frame(1, None, b"x").encode()[..], b"raw content"].concat();
    let mut input = &bytes[..];
    let mut decoder = decoder();
    assert_eq!(decoder.decode(&mut input), Ok(Some(frame(1, None, b"x"))));
    assert_eq!(input, b"raw content");
    assert!(decoder.is_between_frames());
}

#[test]
fn a_cut_frame_waits_for_its_rest() {
    let bytes = frame(0x0801, Some([7; 32]), &[9; 64]).encode();
    for cut in 0..bytes.len() {
        let mut decoder = decoder();
        let mut input = &bytes[..cut];
        assert_eq!(decoder.decode(&mut input), Ok(None), "cut to {cut}");
        assert!(input.is_empty());
        assert_eq!(decoder.is_between_frames(), cut == 0);
        assert!(decoder.decode(&mut &bytes[cut..]).unwrap().is_some(), "cut to {cut}");
    }
}

#[test]
fn other_headers_are_refused_for_good() {
    for length in [0, 6, 8, 37, 39, 0x0700, u32::MAX] {
        let error = Err(MicroframeError::HeaderLength(length));
        let mut decoder = decoder();
        assert_eq!(decoder.decode(&mut &length.to_be_bytes()[..]), error);
        assert_eq!(decoder.decode(&mut &frame(1, None, b"").encode()[..]), error, "and ever after");
    }
    let bytes = b"\0\0\0\x07\0\x10\x01\0\0\0\0";
    assert_eq!(decoder().decode(&mut &bytes[..]), Err(MicroframeError::NoToken(1)));
}

#[test]
fn a_payload_above_the_limit_is_refused_before_it_comes() {
    let limit = PayloadLimit::from_bytes(4);
    let decode = |frame: Microframe, bytes: usize| {
        MicroframeDecoder::new(limit).decode(&mut &frame.encode()[..bytes]).map(|frame| frame.is_some())
    };
    assert_eq!(decode(frame(5, None, b"four"), 15), Ok(true));
    let error = MicroframeError::PayloadTooLong { mode: ApiMode(5), size: 5, limit };
    assert_eq!(decode(frame(5, None, b"fiver"), 11), Err(error));
    let most = b"\0\0\0\x07\0\x10\0\xFF\xFF\xFF\xFF";
    let error = MicroframeError::PayloadTooLong { mode: ApiMode(16), size: u32::MAX, limit };
    assert_eq!(MicroframeDecoder::new(limit).decode(&mut &most[..]), Err(error));
}

#[test]
fn contents_are_not_printed() {
    let frame = frame(0x0801, Some([0xAB; 32]), &[0xCD; 64]);
    assert_eq!(format!("{frame:?}"), "Microframe(Space.Create, 64 bytes, with a token)");
    let mut decoder = decoder();
    assert_eq!(decoder.decode(&mut &frame.encode()[..60]), Ok(None));
    let text = format!("{decoder:?}");
    assert!(text.starts_with("MicroframeDecoder(60 bytes of a frame"), "{text}");
    assert!(!text.contains("171") && !text.contains("205"), "{text}");
}

proptest! {
    #[test]
    fn frames_come_back_however_their_bytes_come(
        frames in prop::collection::vec(any::<(u16, Option<[u8; 32]>, Vec<u8>)>(), 0..5),
        pieces in prop::collection::vec(1_usize..50, 1..5),
    ) {
        let frames: Vec<_> =
            frames.iter().map(|(mode, token, payload)| frame(*mode, *token, payload)).collect();
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode().to_vec()).collect();
        let (mut decoder, mut found, mut rest) = (decoder(), Vec::new(), &bytes[..]);
        for length in pieces.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (mut piece, back) = rest.split_at((*length).min(rest.len()));
            rest = back;
            while let Some(frame) = decoder.decode(&mut piece).unwrap() {
                found.push(frame);
            }
        }
        prop_assert!(decoder.is_between_frames());
        prop_assert_eq!(found, frames);
    }
}
