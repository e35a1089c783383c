// SPDX-License-Identifier: AGPL-3.0-or-later
//! Both ends over an in-memory stream, in virtual time.

use std::sync::atomic::{AtomicU64, Ordering};

use ratman_types::{Ed25519Verifier, SecretKey, Signature};
use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;

use super::*;

/// Every nonce of a process is another one.
fn identity(seed: u8) -> Identity {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    Identity {
        key: Arc::new(SecretKey::from_seed([seed; 32])),
        verifier: Arc::new(Ed25519Verifier),
        entropy: Arc::new(|bytes| {
            let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
            bytes[..8].copy_from_slice(&drawn.to_be_bytes());
        }),
    }
}

fn id(identity: &Identity) -> RouterId {
    identity.key.router_id()
}

/// A stream, and its other end in the hands of a test that plays the peer.
struct Puppet(DuplexStream);

impl Puppet {
    async fn say(&mut self, frame: &[u8]) {
        write(&mut self.0, &[frame]).await.unwrap();
    }

    async fn hear(&mut self) -> Vec<u8> {
        read(&mut self.0).await.unwrap()
    }
}

/// Lets a listener meet a dialer that the test plays.
async fn listen_to<F: Future<Output = ()>>(play: impl FnOnce(Puppet) -> F) -> Result<Proven, Refused> {
    let (mut near, far) = duplex(4096);
    let listen = async {
        let result = identity(1).listen(&mut near, |_| true).await;
        drop(near);
        result
    };
    tokio::join!(listen, play(Puppet(far))).0
}

#[tokio::test]
async fn both_ends_prove_their_keys_and_agree_on_the_proofs() {
    let (dialer, listener) = (identity(1), identity(2));
    let (mut near, mut far) = duplex(4096);
    let (dialed, listened) =
        tokio::join!(dialer.dial(&mut near, Some(id(&listener))), listener.listen(&mut far, |_| true));
    let (dialed, listened) = (dialed.unwrap(), listened.unwrap());
    assert_eq!(dialed.router, id(&listener));
    assert_eq!(listened.router, id(&dialer));
    assert_eq!(dialed.proofs, listened.proofs);

    let (mut near, mut far) = duplex(4096);
    let (again, _) = tokio::join!(dialer.dial(&mut near, None), listener.listen(&mut far, |_| true));
    assert_ne!(again.unwrap().proofs, dialed.proofs, "another connection, other proofs");
}

#[tokio::test]
async fn the_wrong_key_is_refused_before_we_prove_ours() {
    let (dialer, listener, expected) = (identity(1), identity(2), id(&identity(3)));
    let (mut near, mut far) = duplex(4096);
    let dial = async {
        let result = dialer.dial(&mut near, Some(expected)).await;
        drop(near);
        result
    };
    let (dialed, listened) = tokio::join!(dial, listener.listen(&mut far, |_| true));
    let text = dialed.unwrap_err().to_string();
    assert_eq!(text, format!("wrong router key: expected {expected}, got {}", id(&listener)));
    assert!(matches!(listened, Err(Refused::Closed)), "{listened:?}");
}

#[tokio::test]
async fn unknown_routers_and_our_own_id_are_refused() {
    for accepted in [false, true] {
        let (dialer, listener) = (identity(1), identity(2));
        let (mut near, mut far) = duplex(4096);
        let listen = async {
            let result = if accepted { &dialer } else { &listener }.listen(&mut far, |_| accepted).await;
            drop(far);
            result
        };
        let (dialed, listened) = tokio::join!(dialer.dial(&mut near, None), listen);
        assert!(matches!(dialed, Err(Refused::Closed)), "{dialed:?}");
        let reason = listened.unwrap_err();
        if accepted {
            assert!(matches!(reason, Refused::OwnKey), "{reason}");
        } else {
            assert!(matches!(reason, Refused::Unknown(router) if router == id(&dialer)), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_claim_without_proof_does_not_tell_whom_we_accept() {
    let hello = identity(2).greeting(Role::Dialer);
    let (mut near, far) = duplex(4096);
    let listen = async {
        let result = identity(1).listen(&mut near, |_| false).await;
        drop(near);
        result
    };
    let play = async {
        let mut peer = Puppet(far);
        peer.say(&hello.encode()).await;
        Greeting::decode(&peer.hear().await, Role::Listener).expect("as for a router that is accepted");
        peer.hear().await;
        peer.say(&peering::encode_challenge(&hello)).await;
        peer.say(&peering::encode_proof(hello.router, &Signature([0; 64]))).await;
    };
    let (result, ()) = tokio::join!(listen, play);
    assert!(matches!(result, Err(Refused::BadProof(_))), "{result:?}");
}

#[tokio::test]
async fn a_proof_from_an_earlier_connection_is_refused() {
    let dialer = identity(2);
    let mut recorded = Vec::new();
    for replays in [false, true] {
        let result = listen_to(async |mut peer: Puppet| {
            let hello = dialer.greeting(Role::Dialer);
            // The nonce is repeated too: only the listener's is fresh.
            let hello = Greeting { nonce: [7; 32], ..hello };
            peer.say(&hello.encode()).await;
            let ack = peer.hear().await;
            let listener = Greeting::decode(&ack, Role::Listener).unwrap();
            peer.hear().await;
            peer.say(&peering::encode_challenge(&hello)).await;
            if !replays {
                let digest = peering::greetings_digest(&hello.encode(), &ack);
                recorded = dialer.prove(&hello, &listener, &digest);
            }
            peer.say(&recorded).await;
            drop(peer.0.read_u8().await);
        })
        .await;
        match result {
            Ok(proven) => assert_eq!((replays, proven.router), (false, id(&dialer))),
            Err(reason) => assert!(replays && matches!(reason, Refused::BadProof(_)), "{reason}"),
        }
    }
}

/// A router in the middle that has no key shows the dialer its own frames.
#[tokio::test]
async fn a_reflected_proof_is_refused() {
    let (dialer, claimed) = (identity(1), identity(2));
    let (mut near, far) = duplex(4096);
    let reflect = async {
        let mut peer = Puppet(far);
        let hello = Greeting::decode(&peer.hear().await, Role::Dialer).unwrap();
        let ack = Greeting { role: Role::Listener, router: id(&claimed), nonce: hello.nonce };
        peer.say(&ack.encode()).await;
        peer.say(&peering::encode_challenge(&ack)).await;
        peer.hear().await;
        let signature = peering::decode_proof(&peer.hear().await, hello.router).unwrap();
        peer.say(&peering::encode_proof(id(&claimed), &signature)).await;
    };
    let (result, ()) = tokio::join!(dialer.dial(&mut near, None), reflect);
    assert!(matches!(result, Err(Refused::BadProof(router)) if router == id(&claimed)), "{result:?}");
}

#[tokio::test]
async fn the_challenge_must_repeat_the_nonce_of_the_hello() {
    let hello = identity(2).greeting(Role::Dialer);
    let result = listen_to(async |mut peer: Puppet| {
        peer.say(&hello.encode()).await;
        peer.hear().await;
        peer.hear().await;
        peer.say(&peering::encode_challenge(&Greeting { nonce: [9; 32], ..hello })).await;
    })
    .await;
    assert_eq!(result.unwrap_err().to_string(), "nonce: value not permitted here");
}

#[tokio::test]
async fn a_signature_of_zeros_and_a_0_6_hello_are_refused() {
    let hello = identity(2).greeting(Role::Dialer);
    let result = listen_to(async |mut peer: Puppet| {
        peer.say(&hello.encode()).await;
        peer.hear().await;
        peer.hear().await;
        peer.say(&peering::encode_challenge(&hello)).await;
        peer.say(&peering::encode_proof(hello.router, &Signature([0; 64]))).await;
    })
    .await;
    assert!(matches!(result, Err(Refused::BadProof(_))), "{result:?}");

    let mut deployed = hello.encode();
    deployed.drain(37..37 + 34);
    deployed[36] = 0;
    let result = listen_to(async |mut peer: Puppet| peer.say(&deployed).await).await;
    assert!(matches!(result, Err(Refused::Frame(PeeringError::Deployed06))), "{result:?}");
}

#[tokio::test]
async fn a_length_that_no_peering_frame_has_ends_it_at_once() {
    for length in [257, 33_004, 33_005, u32::MAX] {
        let result = listen_to(async |mut peer: Puppet| {
            peer.0.write_all(&length.to_be_bytes()).await.unwrap();
            drop(peer.0.read_u8().await);
        })
        .await;
        assert!(matches!(result, Err(Refused::BadFraming(bad)) if bad == length), "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slow_has_five_seconds() {
    let hello = identity(2).greeting(Role::Dialer).encode();
    let start = Instant::now();
    // One byte a second, for ever.
    let result = listen_to(async |mut peer: Puppet| {
        for byte in [&[0, 0, 0, 125][..], &hello].concat() {
            if peer.0.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            if start.elapsed() > LIMIT {
                return;
            }
        }
    })
    .await;
    assert!(matches!(result, Err(Refused::Late)), "{result:?}");

    let start = Instant::now();
    let (mut near, _silent) = duplex(4096);
    let result = identity(1).dial(&mut near, None).await;
    assert!(matches!(result, Err(Refused::Late)), "{result:?}");
    assert_eq!(start.elapsed(), LIMIT);
}

#[tokio::test]
async fn ten_thousand_cut_and_changed_greetings_are_answered() {
    let hello = identity(2).greeting(Role::Dialer).encode();
    let mut random = 1_u32;
    for round in 0..10_000_usize {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut frame = hello.clone();
        let index = usize::try_from(random >> 8).unwrap() % frame.len();
        if round % 2 == 0 {
            frame.truncate(index);
        } else {
            frame[index] ^= random.to_be_bytes()[0] | 1;
        }
        let result = listen_to(async |mut peer: Puppet| peer.say(&frame).await).await;
        assert!(result.is_err());
    }
}
