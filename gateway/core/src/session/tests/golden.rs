// SPDX-License-Identifier: AGPL-3.0-or-later
//! Golden vectors, computed by another implementation: Noise_IK written out in Python over the primitives of its
//! `cryptography` package. Identities from the seeds 1 and 2 (32 times), randomness from the seeds 7 and 8.

use core::time::Duration;
use std::sync::Arc;

use ratman_types::{Address, Mtu, SecretKey, Timestamp, WallTime, to_x25519};
use ratman_wire::session::{Capabilities, InitiationPayload, ResponsePayload, SessionIndex};

use super::super::Cipher;
use super::super::entropy::Entropy;
use super::super::handshake::{self, Split, StaticKey};
use super::super::key_ring::KeyPair;
use super::super::remote::{Complete, KeyContext, Remote};
use super::super::{Role, Sealed};

const INITIATION: &str = "111213146fb53f66b0777df21a0a206639ddd9291cacadcfb0b0d50bf02e5bf91391926796d413278a15a9df3b\
    f14789ba395deaef2541778d62d6d96854108a7b9a33706ed87ebce2e8600f7179fc4d7ba8a24e25c7de987c2e6918e27ddf31a3e1f3ff1a\
    ce83c175ce69e9756d1a47d500000000000000000000000000000000";
const RESPONSE: &str = "21222324111213145fc0547633575faf1066cfb0572a5449a5737776a3df020d38a10cdd0606d7209643063319b6\
    b019f73624f1f19da7d056d1f50d44";
const FROM_INITIATOR: &str = "467c78085d8dd9766c63672fa26c4a3995f9f0a84621c6bde8c7190c00d162bf";
const FROM_RESPONDER: &str = "effd0c7b6e5d51187d5ab456e3484fb6aeb193f75517945d05d43ec33a05c560";
const CARRIER: &str = "023c80038a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c018139770ea87d175f56a3\
    5466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b3940000000030";
const HEADER: &str = "01000000212223240000000000000000";
const SEALED_AES: &str = "9e27ce632112411e97a76663f25010bf412f078a1a8c0d972b363634168fd919";
const SEALED_CHACHA: &str = "7e099f837ab96c26aeccfbe10e08bf1be766250266a5e3822b7bc78c203c1fb2";

const INITIATORS: SessionIndex = SessionIndex(0x1112_1314);
const RESPONDERS: SessionIndex = SessionIndex(0x2122_2324);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn golden_handshake() -> (Address, Address, Split) {
    let [alice, bob] = [1, 2].map(|number| StaticKey::new(&SecretKey::from_seed([number; 32])));
    let capabilities = Capabilities::AES_IN_HARDWARE;
    let payload = InitiationPayload { time: WallTime::from_micros(0x0102_0304_0506_0708), capabilities };
    let bob_key = to_x25519(bob.address().as_bytes()).unwrap();
    let remote = (bob.address(), &bob_key);
    let (mut begun, initiation) =
        handshake::initiate(&alice, remote, INITIATORS, &payload, &mut Entropy::new([7; 32]));
    assert_eq!(hex(&initiation.encode()), INITIATION);
    let received =
        handshake::receive(&bob, alice.address(), &initiation, &mut Entropy::new([8; 32])).unwrap();
    let (response, _) = received.respond(RESPONDERS, INITIATORS, &ResponsePayload { capabilities });
    assert_eq!(hex(&response.encode()), RESPONSE);
    begun.read(&response).unwrap();
    (alice.address(), bob.address(), begun.split())
}

#[test]
fn a_handshake_has_its_golden_bytes() {
    let (_, _, split) = golden_handshake();
    assert_eq!(hex(&split.from_initiator[..]), FROM_INITIATOR);
    assert_eq!(hex(&split.from_responder[..]), FROM_RESPONDER);
}

#[test]
fn a_data_frame_has_its_golden_bytes() {
    for (cipher, golden) in [(Cipher::Aes256Gcm, SEALED_AES), (Cipher::ChaCha20Poly1305, SEALED_CHACHA)] {
        let (local, remote, split) = golden_handshake();
        let now = Timestamp::from_micros(1);
        let context = KeyContext { local, remote, hops_left: 60, drops: Arc::default(), now };
        let handshake = Complete {
            role: Role::Initiator,
            cipher,
            split,
            ours: INITIATORS,
            theirs: RESPONDERS,
            rekey_after: Duration::ZERO,
        };
        let KeyPair { send, .. } = Remote::new().key_pair(context, handshake);
        let mut batch = *b"\x00\x04\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x45abc";
        let mut sealed = Sealed::new();
        send.seal(&mut batch, Mtu(1500), now, &mut sealed).unwrap();
        let piece = sealed.pieces(&batch).next().unwrap();
        assert_eq!(hex(piece.head), [CARRIER, HEADER].concat());
        assert_eq!(hex(&[piece.body, piece.tail].concat()), golden);
    }
}
