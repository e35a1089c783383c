// SPDX-License-Identifier: AGPL-3.0-or-later
//! Subscriptions and namespaces.
#![expect(clippy::wildcard_enum_match_arm, reason = "anything else fails the test")]

use ratman_wire::api::{
    HeldSubscription, LocalNamespace, LongList, Membership, Namespace, NamespaceSeed, NamespacesOf,
    NewNamespace, NewSubscription, PageOf, RefusalReason, SubscriptionId, SubscriptionSocket,
};

use super::*;

const SEED: [u8; 32] = [60; 32];

fn namespace() -> Namespace {
    NamespaceSeed::from_bytes(SEED).namespace()
}

fn create() -> Request {
    let seed = NamespaceSeed::from_bytes(SEED);
    Request::NamespaceCreate(NewNamespace { namespace: seed.namespace(), seed })
}

fn up(address: Address) -> Request {
    Request::NamespaceUp(Membership { address, namespace: namespace() })
}

fn held(id: SubscriptionId, address: Address) -> HeldSubscription {
    HeldSubscription { id, address }
}

fn letter(from: Address, to: Recipient) -> Request {
    Request::SendOne(Letterhead { to, ..letterhead(from, from) })
}

impl Api {
    /// A client on the socket of a subscription.
    async fn subscriber(&self, bind: SocketAddr) -> Client<TcpStream> {
        Client::new(TcpStream::connect(bind).await.unwrap())
    }
}

impl Client<TcpStream> {
    async fn subscribed(&mut self, request: &Request, token: &AuthToken) -> SubscriptionSocket {
        match self.ask(request, Some(token)).await {
            Reply::Subscription(socket) => socket,
            other => panic!("{other:?}"),
        }
    }

    /// The next stream of a subscription.
    async fn brought(&mut self) -> (StreamHeader, Vec<u8>) {
        let brought = self.stream(&Request::Connect(ApiVersion::OURS)).await;
        assert_eq!(brought.0.way, StreamWay::Subscription);
        brought
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_subscriber_missed_comes_once_and_in_order() {
    let api = Api::new();
    let (mut alice, mut bob) = (api.client().await, api.client().await);
    let (from, token) = alice.address().await;
    let (to, bobs) = bob.address().await;
    let new = Request::Subscribe(NewSubscription { address: to, recipient: None });
    let SubscriptionSocket { id, bind } = bob.subscribed(&new, &bobs).await;
    let mut brought = api.subscriber(bind).await;
    let send = letter(from, Recipient::Address(to));
    for length in [0, 10, 300_000] {
        let content = content(length);
        assert_eq!(alice.send(&send, &token, &content).await, Reply::Ok);
        let (header, come) = brought.brought().await;
        assert_eq!((header.letterhead.from, header.letterhead.to), (from, Recipient::Address(to)));
        assert!(come == content, "{length} bytes");
    }
    api.bed.reported(|report| report.streams.waiting == 0).await;
    drop(brought);
    let missed: Vec<_> = (1..=5).map(|length| content(length * 1_000)).collect();
    for content in &missed {
        assert_eq!(alice.send(&send, &token, content).await, Reply::Ok);
    }
    api.bed.reported(|report| report.streams.waiting == 5).await;
    let again = Request::Resubscribe(held(id, to));
    let socket = bob.subscribed(&again, &bobs).await;
    assert_eq!(socket.id, id);
    let mut brought = api.subscriber(socket.bind).await;
    for content in &missed {
        assert!(brought.brought().await.1 == *content);
    }
    api.bed.reported(|report| report.streams.waiting == 0).await;
    assert_eq!(alice.send(&send, &token, b"last").await, Reply::Ok);
    assert_eq!(brought.brought().await.1, b"last", "and nothing twice");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_socket_of_a_subscription_counts_and_goes_before_who_receives() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (address, token) = alice.address().await;
    let new = Request::Subscribe(NewSubscription { address, recipient: None });
    let SubscriptionSocket { id, bind } = alice.subscribed(&new, &token).await;
    let mut first = api.subscriber(bind).await;
    let socket = alice.subscribed(&Request::Resubscribe(held(id, address)), &token).await;
    assert_eq!(first.stream.read(&mut [0]).await.unwrap_or(0), 0, "its place was taken");
    let (mut receiver, request) = (api.client().await, receive(address, Some(1)));
    assert_eq!(receiver.ask(&request, Some(&token)).await, Reply::Ok);
    let mut second = api.subscriber(socket.bind).await;
    // It is there once it has been brought something.
    let send = letter(address, Recipient::Address(address));
    assert_eq!(alice.send(&send, &token, b"for whoever waits").await, Reply::Ok);
    let waits = tokio::select! {
        (_, come) = second.brought() => { assert_eq!(come, b"for whoever waits"); true }
        (_, come) = receiver.stream(&request) => { assert_eq!(come, b"for whoever waits"); false }
    };
    if waits {
        assert_eq!(alice.send(&send, &token, b"two").await, Reply::Ok);
    } else {
        assert_eq!(receiver.ask(&request, Some(&token)).await, Reply::Ok);
        assert_eq!(alice.send(&send, &token, b"two").await, Reply::Ok);
    }
    assert_eq!(second.brought().await.1, b"two");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_again_at_once_is_brought_nothing_twice() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (address, token) = alice.address().await;
    let new = Request::Subscribe(NewSubscription { address, recipient: None });
    let SubscriptionSocket { id, mut bind } = alice.subscribed(&new, &token).await;
    let send = letter(address, Recipient::Address(address));
    for round in 0..50_u32 {
        let mut brought = api.subscriber(bind).await;
        let content = round.to_be_bytes();
        assert_eq!(alice.send(&send, &token, &content).await, Reply::Ok);
        assert_eq!(brought.brought().await.1, content);
        bind = alice.subscribed(&Request::Resubscribe(held(id, address)), &token).await.bind;
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_its_addresss_and_ends() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (one, token) = alice.address().await;
    let (other, others) = alice.address().await;
    let new = |recipient| Request::Subscribe(NewSubscription { address: one, recipient });
    for wrong in [Recipient::Address(other), Recipient::Namespace(namespace())] {
        let refused = alice.ask(&new(Some(wrong)), Some(&token)).await;
        assert!(
            matches!(refused, Reply::Error(ClientError::User(UserError::InvalidInput(..)))),
            "{refused:?}"
        );
    }
    assert_eq!(alice.ask(&new(None), Some(&others)).await, Reply::Error(ClientError::InvalidAuth));
    let SubscriptionSocket { id, bind } = alice.subscribed(&new(None), &token).await;
    let mut brought = api.subscriber(bind).await;
    let of = |address| Request::SubscriptionList(address);
    assert_eq!(alice.ask(&of(one), None).await, Reply::Subscriptions(LongList::new(vec![id]).unwrap()));
    assert_eq!(alice.ask(&of(other), None).await, Reply::Subscriptions(LongList::default()));
    let unknown = Reply::Error(ClientError::NoSuchSubscription(id));
    for request in [Request::Resubscribe(held(id, other)), Request::Unsubscribe(held(id, other))] {
        assert_eq!(alice.ask(&request, Some(&others)).await, unknown);
    }
    let end = Request::Unsubscribe(held(id, one));
    assert_eq!(alice.ask(&end, Some(&token)).await, Reply::Ok);
    assert_eq!(brought.stream.read(&mut [0]).await.unwrap_or(0), 0);
    for request in [end, Request::Resubscribe(held(id, one))] {
        assert_eq!(alice.ask(&request, Some(&token)).await, unknown);
    }
    let SubscriptionSocket { bind, .. } = alice.subscribed(&new(None), &token).await;
    let mut brought = api.subscriber(bind).await;
    // The daemon has to have seen it before the address goes.
    let send = letter(one, Recipient::Address(one));
    assert_eq!(alice.send(&send, &token, b"seen").await, Reply::Ok);
    assert_eq!(brought.brought().await.1, b"seen");
    let gone = DestroyedAddress { address: one, force: true };
    assert_eq!(alice.ask(&Request::AddressDestroy(gone), Some(&token)).await, Reply::Ok);
    assert_eq!(alice.ask(&of(one), None).await, Reply::Subscriptions(LongList::default()));
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_part_in_a_namespace_has_what_is_sent_to_it() {
    let api = Api::new();
    let (mut alice, mut bob) = (api.client().await, api.client().await);
    let (one, token) = alice.address().await;
    let (other, others) = bob.address().await;
    let refused = alice.ask(&up(one), Some(&token)).await;
    assert!(matches!(refused, Reply::Error(ClientError::User(UserError::InvalidInput(..)))), "{refused:?}");
    assert_eq!(alice.ask(&create(), None).await, Reply::Error(ClientError::InvalidAuth));
    let stranger = AuthToken::from_bytes([7; 32]);
    assert_eq!(alice.ask(&create(), Some(&stranger)).await, Reply::Error(ClientError::InvalidAuth));
    let seed = NamespaceSeed::from_bytes(SEED);
    let wrong = Namespace::from_bytes([8; 32]);
    let wrong = Request::NamespaceCreate(NewNamespace { namespace: wrong, seed });
    let refused = alice.ask(&wrong, Some(&token)).await;
    assert!(matches!(refused, Reply::Error(ClientError::User(UserError::InvalidInput(..)))), "{refused:?}");

    assert_eq!(alice.ask(&create(), Some(&token)).await, Reply::Ok);
    assert_eq!(alice.ask(&up(one), Some(&others)).await, Reply::Error(ClientError::InvalidAuth));
    alice.say(&up(one), Some(&token)).await;
    let frame = alice.hear().await.unwrap();
    assert_eq!((Reply::decode(&frame, frame.mode), frame.auth), (Ok(Reply::Ok), None), "as deployed routers");
    let refused = bob.ask(&up(other), Some(&others)).await;
    assert!(matches!(refused, Reply::Error(ClientError::User(UserError::InvalidInput(..)))), "{refused:?}");
    assert_eq!(bob.ask(&create(), Some(&others)).await, Reply::Ok, "it has the seed");
    assert_eq!(bob.ask(&up(other), Some(&others)).await, Reply::Ok);
    let recipient = Some(Recipient::Namespace(namespace()));
    let subscription = Request::Subscribe(NewSubscription { address: one, recipient });
    let SubscriptionSocket { bind, .. } = alice.subscribed(&subscription, &token).await;
    let mut brought = api.subscriber(bind).await;
    let post = letter(one, Recipient::Namespace(namespace()));
    assert_eq!(alice.send(&post, &token, b"a post").await, Reply::Ok);
    assert_eq!(brought.brought().await.1, b"a post");
    let request = Request::RecvOne(RecvOne { address: other, recipient });
    assert_eq!(bob.ask(&request, Some(&others)).await, Reply::Ok);
    assert_eq!(bob.stream(&request).await.1, b"a post");
    assert_eq!(bob.reply(&request).await, Reply::Ok);
    api.bed.reported(|report| report.streams.waiting == 0).await;

    let listed = |address| Request::NamespaceList(NamespacesOf { address, page: PageOf::first() });
    let destroy = Request::NamespaceDestroy(Membership { address: one, namespace: namespace() });
    match alice.ask(&listed(one), Some(&token)).await {
        Reply::NamespacePage(page) => {
            assert_eq!(page.entries.to_vec(), [LocalNamespace { namespace: namespace(), up: true }]);
        }
        other => panic!("{other:?}"),
    }
    let reason = |reply| match reply {
        Reply::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(alice.ask(&destroy, Some(&token)).await), RefusalReason::InUse);
    let down = Request::NamespaceDown(Membership { address: other, namespace: namespace() });
    for _ in 0..2 {
        assert_eq!(bob.ask(&down, Some(&others)).await, Reply::Ok);
    }
    assert_eq!(alice.ask(&destroy, Some(&token)).await, Reply::Ok);
    assert_eq!(reason(alice.ask(&destroy, Some(&token)).await), RefusalReason::NotFound);
    api.end().await;
}
