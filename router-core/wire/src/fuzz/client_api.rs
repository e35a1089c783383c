// SPDX-License-Identifier: AGPL-3.0-or-later
//! The connection of a client, from both ends.

use crate::api::{FromRouter, Microframe, MicroframeDecoder, PayloadLimit, Request};

/// What comes on the connection of a client: the first byte says how it is cut, all others are microframes. Each is read as a
/// request, and as what a router says to every request.
pub fn fuzz_client_api(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else { return };
    let (mut decoder, mut taken) = (MicroframeDecoder::new(PayloadLimit::from_bytes(1 << 16)), Vec::new());
    for mut piece in bytes.chunks(usize::from(*piece).max(1)) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(frame)) => {
                    taken.extend_from_slice(&frame.encode());
                    read(&frame);
                }
                Ok(None) => break assert!(piece.is_empty()),
                Err(error) => {
                    assert_eq!(decoder.decode(&mut &bytes[..]), Err(error), "nothing can follow");
                    return;
                }
            }
        }
    }
    assert!(bytes.starts_with(&taken));
    assert_eq!(decoder.is_between_frames(), bytes.len() == taken.len());
}

fn read(frame: &Microframe) {
    match Request::decode(frame) {
        Ok(request) => assert_eq!(request.to_frame(frame.auth.as_ref()), *frame),
        Err(error) => {
            let reply = FromRouter::Reply(error.reply());
            assert_eq!(FromRouter::decode(&reply.to_frame(None), frame.mode), Ok(reply));
        }
    }
    for to in Request::MODES {
        let Ok(read) = FromRouter::decode(frame, *to) else { continue };
        let again = read.to_frame(frame.auth.as_ref());
        assert_eq!((again.mode, &again.payload), (frame.mode, &frame.payload));
    }
}
