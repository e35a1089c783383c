// SPDX-License-Identifier: AGPL-3.0-or-later
//! Subscriptions, as deployed routers have them.

use std::time::Duration;

use ratman_client::types::SubscriptionId;
use ratman_client::{Error, Reconnect};
use ratman_wire::api::{HeldSubscription, LongList, NewSubscription, Reply, Request, SubscriptionSocket};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::script::{OURS, Peer, Router, THEIRS, soon, started, to, token};

const ID: SubscriptionId = SubscriptionId::from_bytes([9; 32]);

fn quickly() -> Reconnect {
    Reconnect { first: Duration::from_millis(1), ..Reconnect::default() }
}

/// Answers with a socket, on which the client then is.
async fn socket(peer: &mut Peer<TcpStream>) -> Peer<TcpStream> {
    let socket = Router::new().await;
    peer.say(Reply::Subscription(SubscriptionSocket { id: ID, bind: socket.address() })).await;
    socket.accept().await
}

/// The router as it is after a restart.
async fn up_again(router: &Router) -> Peer<TcpStream> {
    let mut peer = router.greet().await;
    assert_eq!(peer.hear_ours().await, Request::AddressUp(OURS));
    peer.say(Reply::Ok).await;
    assert_eq!(peer.hear_ours().await, Request::Resubscribe(HeldSubscription { id: ID, address: OURS }));
    socket(&mut peer).await
}

#[tokio::test]
async fn streams_come_in_order_and_what_is_not_read_is_passed_over() {
    let (_router, ipc, mut peer) = started().await;
    let serving = async {
        let recipient = Some(to(OURS));
        assert_eq!(peer.hear_ours().await, Request::Subscribe(NewSubscription { address: OURS, recipient }));
        let mut socket = socket(&mut peer).await;
        socket.is_slow = true;
        for content in [&b"one"[..], b"", b"not read", b"four"] {
            socket.publish(content, content.len()).await;
        }
        socket
    };
    let reading = async {
        let mut subscription = ipc.subscribe(&token(), OURS, Some(to(OURS))).await.unwrap();
        assert_eq!(subscription.id(), ID);
        let mut contents = Vec::new();
        for index in 0..4 {
            let mut stream = subscription.next().await.unwrap();
            assert_eq!(stream.letterhead().from, THEIRS);
            assert!(matches!(stream.content(0).await, Ok(_) | Err(Error::Unread(_))));
            match index {
                2 => stream.read_exact(&mut [0; 2]).await.map(drop).unwrap(),
                _ => contents.push(stream.content(10).await.unwrap()),
            }
        }
        contents
    };
    let (contents, _socket) = soon(async { tokio::join!(reading, serving) }).await;
    assert_eq!(contents, [&b"one"[..], b"", b"four"]);
}

#[tokio::test]
async fn a_restart_of_the_router_is_not_noticed() {
    let (router, ipc, mut peer) = started().await;
    let serving = async {
        peer.hear().await;
        let mut first = socket(&mut peer).await;
        first.publish(b"one", 3).await;
        // In the middle of a stream, which a router brings again.
        first.publish(b"two", 1).await;
        drop((first, peer));
        let mut second = up_again(&router).await;
        second.publish(b"two", 3).await;
        // Between two streams.
        drop(second);
        let mut third = up_again(&router).await;
        third.publish(b"three", 5).await;
        third
    };
    let reading = async {
        let subscription = ipc.subscribe(&token(), OURS, None).await.unwrap();
        let mut subscription = subscription.reconnecting(Some(quickly()));
        let mut contents = Vec::new();
        while contents.len() < 3 {
            let mut stream = subscription.next().await.unwrap();
            match stream.content(10).await {
                Ok(content) => contents.push(content),
                Err(error) => assert!(matches!(error, Error::Lost(_)), "{error:?}"),
            }
        }
        contents
    };
    let (contents, _third) = soon(async { tokio::join!(reading, serving) }).await;
    assert_eq!(contents, [&b"one"[..], b"two", b"three"], "once and in order");
}

#[tokio::test]
async fn a_subscription_is_lost_where_it_is_not_to_be_found_again() {
    let (router, ipc, mut peer) = started().await;
    let serving = async {
        assert!(matches!(peer.hear().await, Request::Resubscribe(_)));
        drop(socket(&mut peer).await);
        assert!(router.is_left_alone().await);
    };
    let reading = async {
        let subscription = ipc.resubscribe(&token(), OURS, ID).await.unwrap();
        let error = subscription.reconnecting(None).next().await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Lost(_)), "{error:?}");
    };
    soon(async { tokio::join!(reading, serving) }).await;
}

#[tokio::test]
async fn what_is_no_stream_breaks_the_protocol() {
    let (_router, ipc, mut peer) = started().await;
    let serving = async {
        peer.hear().await;
        let mut socket = socket(&mut peer).await;
        socket.say(Reply::Ok).await;
        socket
    };
    let reading = async {
        let mut subscription = ipc.subscribe(&token(), OURS, None).await.unwrap();
        let error = subscription.next().await.map(drop).unwrap_err();
        assert!(matches!(error, Error::Protocol(_)), "{error:?}");
    };
    soon(async { tokio::join!(reading, serving) }).await;
}

#[tokio::test]
async fn subscriptions_are_listed_and_ended() {
    let (_router, ipc, mut peer) = started().await;
    let serving = async {
        assert_eq!(peer.hear().await, Request::SubscriptionList(OURS));
        peer.say(Reply::Subscriptions(LongList::new(vec![ID]).unwrap())).await;
        assert_eq!(peer.hear_ours().await, Request::Unsubscribe(HeldSubscription { id: ID, address: OURS }));
        peer.say(Reply::Ok).await;
    };
    let asking = async {
        assert_eq!(ipc.subscription_list(OURS).await.unwrap(), [ID]);
        ipc.unsubscribe(&token(), OURS, ID).await.unwrap();
    };
    soon(async { tokio::join!(asking, serving) }).await;
}
