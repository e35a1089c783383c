// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call: untrusted bytes into both halves of the sessions.

use core::cell::RefCell;

use ratman_types::{Hop, LinkId, Now, Recipient, RouterId, SecretKey, Signer, Timestamp, WallTime};
use ratman_wire::session::{DataHeader, SessionIndex};
use ratman_wire::{Header, Mode};

use super::joiner::{Joiner, deliver_records};
use super::{Accept, SessionConfig, Sessions};

/// The body of authentic frames: a header's flags ‖ lengths, then plaintext, each half a frame of its own.
pub fn fuzz_records(data: &[u8]) {
    let Some((&[flags, first, second, third], plain)) = data.split_first_chunk() else { return };
    let joiner = RefCell::new(Joiner::new());
    let continued = [[first, second], [second, third]].map(u16::from_be_bytes);
    let halves = plain.split_at(plain.len() / 2);
    for (counter, (continued, half)) in (0..).zip(continued.into_iter().zip([halves.0, halves.1])) {
        let goes_on = flags & (1 << counter) != 0;
        let header = DataHeader { goes_on, continued, receiver: SessionIndex(0), counter };
        let mut delivered = 0;
        deliver_records(
            &header,
            &mut half.to_vec(),
            || joiner.borrow_mut(),
            &mut |_, packet| {
                assert!(!packet.is_empty());
                delivered += packet.len();
            },
            &mut |_| {},
        );
        assert!(delivered <= plain.len(), "more came out than went in");
    }
}

/// A frame of any mode to a gateway with an open initiation: its mode's low byte, then the payload.
pub fn fuzz_session_frame(data: &[u8]) {
    let Some((low, payload)) = data.split_first() else { return };
    let [ours, theirs] = [1, 2].map(|number| SecretKey::from_seed([number; 32]));
    let now = Now { at: Timestamp::from_micros(1), wall: WallTime::from_micros(1) };
    let config =
        SessionConfig { accept: Accept::Any, configured: Vec::new(), aes_in_hardware: true, hops_left: 60 };
    let mut sessions = Sessions::new(config, &ours, [0; 32], now);
    let connected = sessions.connect(theirs.address(), now);
    assert_eq!(connected, Ok(()));
    let from = Hop { link: LinkId(0), neighbour: RouterId::from_bytes([0; 32]) };
    let header = Header::new(Mode(0x8000 | u16::from(*low)), theirs.public());
    let header = header.to(Recipient::Address(ours.address()));
    let outcome = sessions.handle_frame(from, &header, payload, now);
    // A cookie is not authentic: any may be tried. Nothing else is taken from random bytes.
    assert!(outcome.is_err() || header.mode == Mode::SESSION_COOKIE);
    let opened = sessions.table().open(&mut payload.to_vec(), now.at, &mut |_| {});
    assert!(opened.is_err());
}
