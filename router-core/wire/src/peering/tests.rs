// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use proptest::prelude::*;
use ratman_types::{Ed25519Verifier, SecretKey, Signer, Verifier};

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Hello and Ack as two 0.6.0 routers exchanged them.
const HELLO_06: &str = "0100203971b10aa45608a775a06568a519ade0b0720399875c7defc565bdb3e216916200000000\
    00320000000000000000000020000000000000003971b10aa45608a775a06568a519ade0b0720399875c7defc565bdb3e2169162";
const ACK_06: &str = "010021321fa84d5bfdb56c14a1c52e08a43de5502ac1be55f9c52eb392ae874a371c780000000000\
    3001000000000000002000000000000000321fa84d5bfdb56c14a1c52e08a43de5502ac1be55f9c52eb392ae874a371c78";

fn captured(hex: &str, role: Role) -> (Vec<u8>, Greeting) {
    let frame = bytes(hex);
    let router = RouterId::from_bytes(frame[3..35].try_into().unwrap());
    (frame, Greeting { role, router, nonce: [0x5a; 32] })
}

fn dialer() -> Greeting {
    Greeting { role: Role::Dialer, router: RouterId::from_bytes([1; 32]), nonce: [2; 32] }
}

fn listener() -> Greeting {
    Greeting { role: Role::Listener, router: RouterId::from_bytes([3; 32]), nonce: [4; 32] }
}

#[test]
fn greetings_are_those_of_0_6_with_a_sequence_id() {
    for (hex, role) in [(HELLO_06, Role::Dialer), (ACK_06, Role::Listener)] {
        let (captured, greeting) = captured(hex, role);
        let mut expected = captured[..36].to_vec();
        expected.push(1);
        expected.extend([0x5a; 32]);
        expected.extend([2, 2]);
        expected.extend(&captured[37..]);
        assert_eq!(greeting.encode(), expected);
        assert_eq!(Greeting::decode(&expected, role), Ok(greeting));
        assert!(expected.len() <= MAX_PEERING_FRAME);
    }
}

#[test]
fn a_0_6_router_is_refused_as_such() {
    for (hex, role) in [(HELLO_06, Role::Dialer), (ACK_06, Role::Listener)] {
        assert_eq!(Greeting::decode(&captured(hex, role).0, role), Err(PeeringError::Deployed06));
    }
    let mut limited = bytes(HELLO_06);
    limited[40] = 54;
    limited[45] = 2;
    limited.splice(49..49, [0; 4]);
    assert_eq!(Greeting::decode(&limited, Role::Dialer), Err(PeeringError::Deployed06));
}

#[test]
fn every_byte_of_a_greeting_counts() {
    for greeting in [dialer(), listener()] {
        let good = greeting.encode();
        for index in 0..good.len() {
            let mut changed = good.clone();
            changed[index] ^= 0x40;
            assert_ne!(Greeting::decode(&changed, greeting.role), Ok(greeting), "byte {index}");
            assert!(Greeting::decode(&good[..index], greeting.role).is_err(), "cut to {index}");
        }
    }
    let ack = listener().encode();
    assert_eq!(Greeting::decode(&ack, Role::Dialer), Err(DecodeError::Value("modes").into()));
    let mut other_sender = dialer().encode();
    other_sender[3] ^= 1;
    assert_eq!(Greeting::decode(&other_sender, Role::Dialer), Err(DecodeError::Value("router id").into()));
}

#[test]
fn golden_bytes_of_challenge_and_proof() {
    let mut challenge = vec![2, 0, 0, 34];
    challenge.extend([1; 32]);
    challenge.extend([0, 0, 0, 0, 0, 32]);
    challenge.extend([2; 32]);
    assert_eq!(encode_challenge(&dialer()), challenge);
    assert_eq!(check_challenge(&challenge, &dialer()), Ok(()));

    let mut proof = vec![2, 0, 0, 35];
    proof.extend([3; 32]);
    proof.extend([0, 0, 0, 0, 0, 64]);
    proof.extend([9; 64]);
    assert_eq!(encode_proof(listener().router, &Signature([9; 64])), proof);
    assert_eq!(decode_proof(&proof, listener().router), Ok(Signature([9; 64])));
}

#[test]
fn a_challenge_must_repeat_the_greeting() {
    let good = encode_challenge(&dialer());
    for index in 0..good.len() {
        let mut changed = good.clone();
        changed[index] ^= 1;
        assert!(check_challenge(&changed, &dialer()).is_err(), "byte {index}");
        assert!(check_challenge(&good[..index], &dialer()).is_err(), "cut to {index}");
    }
    let other = Greeting { nonce: [7; 32], ..dialer() };
    assert_eq!(check_challenge(&good, &other), Err(DecodeError::Value("nonce").into()));
    assert_eq!(check_challenge(&good, &listener()), Err(DecodeError::Value("header").into()));
    let proof = encode_proof(dialer().router, &Signature([0; 64]));
    assert_eq!(check_challenge(&proof, &dialer()), Err(DecodeError::Value("modes").into()));
}

#[test]
fn a_proof_of_other_length_is_refused() {
    for length in [0, 63, 65] {
        let frame =
            Frame { header: header(Mode::PROOF, dialer().router), payload: &vec![1; length] }.encode();
        assert_eq!(decode_proof(&frame, dialer().router), Err(DecodeError::Value("proof").into()));
    }
    let zero = encode_proof(dialer().router, &Signature([0; 64]));
    assert_eq!(decode_proof(&zero, dialer().router), Ok(Signature([0; 64])), "begins with a zero byte");
}

#[test]
fn golden_bytes_of_what_is_signed() {
    let digest = greetings_digest(b"Hello", b"Ack");
    assert_eq!(digest, blake2b(&[b"HelloAck"]));
    let mut expected = b"irdest peering 1inet\x01".to_vec();
    expected.extend([3; 32]);
    expected.extend([1; 32]);
    expected.extend([4; 32]);
    expected.extend([2; 32]);
    expected.extend(digest.as_bytes());
    assert_eq!(proof_message("inet", &listener(), &dialer(), &digest), expected);
}

#[test]
fn a_proof_is_good_for_one_connection_only() {
    let key = SecretKey::from_seed([5; 32]);
    let own = Greeting { router: key.router_id(), ..dialer() };
    let digest = greetings_digest(&own.encode(), &listener().encode());
    let signature = key.sign(&proof_message("inet", &own, &listener(), &digest));
    let holds = |netmod: &str, signer: &Greeting, other: &Greeting, digest: &Digest| {
        Ed25519Verifier.verify(&key.public(), &proof_message(netmod, signer, other, digest), &signature)
    };
    assert!(holds("inet", &own, &listener(), &digest));
    assert!(!holds("lan", &own, &listener(), &digest), "another driver");
    assert!(!holds("inet", &Greeting { role: Role::Listener, ..own }, &listener(), &digest), "reflected");
    assert!(!holds("inet", &Greeting { nonce: [9; 32], ..own }, &listener(), &digest), "replayed");
    assert!(!holds("inet", &own, &Greeting { nonce: [9; 32], ..listener() }, &digest), "replayed");
    assert!(!holds("inet", &own, &Greeting { router: own.router, ..listener() }, &digest), "relayed");
    assert!(!holds("inet", &own, &listener(), &greetings_digest(b"", b"")), "other greetings");
}

#[test]
fn the_netmods_own_frames_are_told_apart() {
    for mode in 0..=300 {
        let v2 = Frame { header: Header::new(Mode(mode), [0; 32]), payload: &[] }.encode();
        let v1 = FrameV1 { mode: Mode(mode), sender: [0; 32], seq_id: None, payload: &[] }.encode();
        assert_eq!(is_peering(&v2), (32..64).contains(&mode), "mode {mode}");
        assert_eq!(is_peering(&v1), (32..64).contains(&mode), "mode {mode}");
    }
    for bytes in [&[][..], &[2], &[2, 0, 0], &[1, 0], &[3, 0, 32, 32]] {
        assert!(!is_peering(bytes));
    }
}

proptest! {
    #[test]
    fn greetings_round_trip(router: [u8; 32], nonce: [u8; 32], dials: bool) {
        let role = if dials { Role::Dialer } else { Role::Listener };
        let greeting = Greeting { role, router: RouterId::from_bytes(router), nonce };
        prop_assert_eq!(Greeting::decode(&greeting.encode(), role), Ok(greeting));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 1_u8..3) {
        crate::fuzz::fuzz_peering(&bytes);
        let mut versioned = bytes;
        if let Some(first) = versioned.first_mut() {
            *first = version;
        }
        crate::fuzz::fuzz_peering(&versioned);
    }
}
