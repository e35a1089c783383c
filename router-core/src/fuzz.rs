// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call: any frames, at any time, over either of two links, into a router whose verifier
//! takes every second signature for good; and any sealed manifest.

use core::time::Duration;
use std::sync::Arc;

use ratman_types::{
    Digest, Hop, LinkId, Mtu, Now, Recipient, RouterId, SecretKey, Signature, Signer, Timestamp, Verifier,
    WallTime, blake2b,
};
use ratman_wire::echo::Echo;
use ratman_wire::{Frame, Header, Mode};

use crate::limits::{MAX_EVENTS, MAX_TRANSMITS};
use crate::stream::SealedManifest;
use crate::{Event, LinkEvent, Router, RouterConfig, forward};

const START: Now =
    Now { at: Timestamp::from_micros(60_000_000), wall: WallTime::from_micros(1_800_000_000_000_000) };

#[derive(Debug)]
struct EverySecond;

impl Verifier for EverySecond {
    fn verify(&self, _public: &[u8; 32], _message: &[u8], signature: &Signature) -> bool {
        signature.0[63].is_multiple_of(2)
    }
}

/// Frames with two bytes of length in front; the lowest bit of the length says over which link.
pub fn fuzz_router(data: &[u8]) {
    let mut config = RouterConfig::new([1; 32], START.wall);
    config.max_addresses = 8;
    let key = Arc::new(SecretKey::from_seed([1; 32]));
    let mut router = Router::new(config, key, Arc::new(EverySecond), [2; 32], START);
    let mut now = START;
    let hops = [1, 2]
        .map(|number| Hop { link: LinkId(number.into()), neighbour: RouterId::from_bytes([number; 32]) });
    router.add_local(Arc::new(SecretKey::from_seed([3; 32])), WallTime::default(), now);
    for hop in hops {
        let proofs = Digest::from_bytes([0; 32]);
        router.handle_link(LinkEvent::Up { hop, mtu: Mtu(2_000), proofs, dialed: true }, now);
    }
    settle(&mut router, &hops, now);
    let mut rest = data;
    while let Some(([high, low], tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (frame, tail) = tail.split_at(length);
        let hop = hops[usize::from(*low % 2)];
        let mut copy = frame.to_vec();
        let _ = forward(&router.fib(), hop, &mut copy);
        router.handle_frame(hop, frame, now.at, now);
        now = now + Duration::from_millis(u64::from(*high));
        router.handle_timeout(now);
        settle(&mut router, &hops, now);
        rest = tail;
    }
    assert!(router.routes().count() <= 8 * hops.len() + 1, "the table kept to its limit");
}

/// The joined slices of a manifest that one address sealed to another: what opens is between those two.
pub fn fuzz_sealed_manifest(data: &[u8]) {
    let Some(sealed) = SealedManifest::from_slices(blake2b(&[data]), data.to_vec()) else { return };
    let (sender, key) = (SecretKey::from_seed([1; 32]).address(), SecretKey::from_seed([2; 32]));
    let recipient = Recipient::Address(key.address());
    if let Ok(manifest) = sealed.open(&sender, &recipient, &key) {
        let letterhead = manifest.letterhead();
        assert_eq!((letterhead.from, letterhead.to), (sender, recipient));
    }
}

/// Empties the queues, and answers echoes so that the links are live.
fn settle(router: &mut Router, hops: &[Hop], now: Now) {
    let mut replies = Vec::new();
    for _ in 0..MAX_TRANSMITS {
        let Some(transmit) = router.poll_transmit() else { break };
        let frame = Frame::decode(&transmit.frame).expect("we send frames");
        if frame.header.mode == Mode::ECHO_REQUEST {
            let echo = Echo::decode(frame.payload).expect("we send echoes");
            let header = Header::new(Mode::ECHO_REPLY, *transmit.hop.neighbour.as_bytes());
            let header = Header { signature: Some(Signature([0; 64])), ..header };
            replies.push((transmit.hop, Frame { header, payload: &echo.encode() }.encode()));
        }
    }
    for (hop, reply) in replies {
        assert!(hops.contains(&hop), "we send over our links only");
        router.handle_frame(hop, &reply, now.at, now);
    }
    for _ in 0..MAX_EVENTS {
        match router.poll_event() {
            Some(Event::OriginTime { address, time }) => {
                router.handle_origin_time_stored(&address, time, now)
            }
            Some(_) => {}
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratman_types::Address;
    use ratman_wire::announcement::{Announcement, PathLatency, Peer};

    /// Frames that are nearly right, so that they get past the first checks.
    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let announcement = (any::<(u8, u8, u8, u32, u16, bool)>(), 0_u64..4).prop_map(
            |((address, router, last, latency, interval, peer), time)| {
                let mut signature = Signature([0; 64]);
                signature.0[63] = last;
                let payload = Announcement {
                    origin_time: WallTime::from_micros(START.wall.as_micros() + time),
                    origin_signature: Signature([0; 64]),
                    peer: peer.then_some(Peer {
                        router: RouterId::from_bytes([router % 4; 32]),
                        latency: PathLatency(latency),
                        interval,
                        signature,
                    }),
                    available_bw: Default::default(),
                    available_mtu: Mtu(latency),
                };
                let header = Header::new(Mode::ANNOUNCEMENT, [address % 16; 32]);
                Frame { header, payload: &payload.encode() }.encode()
            },
        );
        let routed = any::<(u16, u8, u8)>().prop_map(|(mode, to, hops_left)| {
            let to = Recipient::Address(Address::from_bytes([to % 16; 32]));
            let header = Header::new(Mode(mode), [1; 32]).to(to);
            Frame {
                header: Header { hops_left, signature: Some(Signature([0; 64])), ..header },
                payload: &[],
            }
            .encode()
        });
        prop_oneof![announcement, routed, prop::collection::vec(any::<u8>(), 0..300)]
    }

    proptest! {
        #[test]
        fn any_frames_are_survived(frames in prop::collection::vec(frame(), 0..60)) {
            let mut data = Vec::new();
            for frame in frames {
                data.extend(u16::try_from(frame.len()).unwrap().to_be_bytes());
                data.extend(frame);
            }
            fuzz_router(&data);
        }

        #[test]
        fn any_sealed_manifest_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            fuzz_sealed_manifest(&bytes);
        }
    }
}
