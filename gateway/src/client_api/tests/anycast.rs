// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of a namespace is there.
#![expect(clippy::wildcard_enum_match_arm, reason = "anything else fails the test")]

use std::time::Duration;

use ratman_wire::api::{Anycast, Membership, Namespace, NamespaceSeed, NewNamespace, RefusalReason};

use super::*;

fn seed() -> NamespaceSeed {
    NamespaceSeed::from_bytes([61; 32])
}

fn namespace() -> Namespace {
    seed().namespace()
}

fn create() -> Request {
    Request::NamespaceCreate(NewNamespace { namespace: namespace(), seed: seed() })
}

fn who(address: Address, millis: u64) -> Request {
    Request::Anycast(Anycast { address, namespace: namespace(), timeout: Duration::from_millis(millis) })
}

impl Client<TcpStream> {
    async fn answers(&mut self, address: Address, token: &AuthToken) -> Vec<Address> {
        match self.ask(&who(address, 600), Some(token)).await {
            Reply::Anycast(answers) => {
                // Without what those who answer wait, which is longer.
                assert!(answers.iter().all(|answer| answer.after < Duration::from_millis(100)));
                answers.iter().map(|answer| answer.address).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_take_part_and_are_up_are_told_to_who_has_shown_the_key() {
    let api = Api::new();
    let (mut alice, mut bob, mut carol) = (api.client().await, api.client().await, api.client().await);
    let (asker, token) = alice.address().await;
    let (member, bobs) = bob.address().await;
    let (other, carols) = carol.address().await;
    let take_part = |address| Request::NamespaceUp(Membership { address, namespace: namespace() });
    for (client, token) in [(&mut alice, &token), (&mut bob, &bobs), (&mut carol, &carols)] {
        assert_eq!(client.ask(&create(), Some(token)).await, Reply::Ok);
    }
    assert_eq!(alice.answers(asker, &token).await, []);
    assert_eq!(bob.ask(&take_part(member), Some(&bobs)).await, Reply::Ok);
    assert_eq!(alice.answers(asker, &token).await, [member]);
    // Who asks knows of itself; who has only shown the key takes no part.
    assert_eq!(alice.ask(&take_part(asker), Some(&token)).await, Reply::Ok);
    assert_eq!(alice.answers(asker, &token).await, [member]);
    let mut both = carol.answers(other, &carols).await;
    both.sort();
    let mut expected = [member, asker];
    expected.sort();
    assert_eq!(both, expected);
    assert_eq!(bob.ask(&Request::AddressDown(member), Some(&bobs)).await, Reply::Ok);
    assert_eq!(carol.answers(other, &carols).await, [asker], "who is down does not answer");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_told_and_nobody_asks_too_much() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (asker, token) = alice.address().await;
    let without_key = alice.ask(&who(asker, 10), Some(&token)).await;
    assert!(
        matches!(&without_key, Reply::Error(error) if error.to_string().contains("key")),
        "{without_key:?}"
    );
    let stranger = AuthToken::from_bytes([7; 32]);
    assert_eq!(alice.ask(&who(asker, 10), Some(&stranger)).await, Reply::Error(ClientError::InvalidAuth));
    assert_eq!(alice.ask(&create(), Some(&token)).await, Reply::Ok);
    let too_long = alice.ask(&who(asker, 600_001), Some(&token)).await;
    assert!(
        matches!(&too_long, Reply::Error(error) if error.to_string().contains("600000 ms")),
        "{too_long:?}"
    );
    let mut busy = 0;
    for _ in 0..100 {
        let told = alice.ask(&who(asker, 0), Some(&token)).await;
        busy += usize::from(matches!(told, Reply::Refused(refusal) if refusal.reason == RefusalReason::Busy));
    }
    assert!((50..=90).contains(&busy), "{busy} refused");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_answers_are_collected_keeps_no_place() {
    let limits = Limits { clients: 1, ..Limits::default() };
    let api = Api::with_places(limits);
    let mut alice = api.client().await;
    let (asker, token) = alice.address().await;
    assert_eq!(alice.ask(&create(), Some(&token)).await, Reply::Ok);
    alice.say(&who(asker, 600_000), Some(&token)).await;
    drop(alice);
    // Soon, though its answers would have been waited for.
    api.client_in_its_turn().await;
    api.end().await;
}
