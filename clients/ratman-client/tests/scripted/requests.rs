// SPDX-License-Identifier: AGPL-3.0-or-later
//! Requests and the connections that they take.

use std::time::Duration;

use ratman_client::types::{AuthToken, LocalAddress, RefusalReason, SubscriptionId, Text};
use ratman_client::{ApiBind, Error, Outgoing, RatmanIpc, RatmanIpcExtV1, Timeouts};
use ratman_wire::api::{
    ApiVersion, ClientError, Cursor, NewAddress, Page, PageOf, Refusal, Reply, Request, RouterFigures,
    Versions,
};
use tokio::net::UnixListener;

use crate::script::{OURS, Peer, Router, THEIRS, soon, started, started_with, to, token};

fn created() -> Reply {
    Reply::AddressCreated { address: OURS, token: token() }
}

fn addresses() -> Reply {
    Reply::Addresses([OURS, THEIRS].into_iter().collect())
}

fn figures() -> Reply {
    Reply::Status(RouterFigures { known_peers: 1, local_addresses: 2, active_auths: 3, collector_workers: 4 })
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_an_objection() {
    let router = Router::new().await;
    let address = router.address();
    drop(router);
    let refused = RatmanIpc::start(address).await.unwrap_err();
    assert!(matches!(&refused, Error::Unreachable { bind, .. } if *bind == address.into()), "{refused:?}");
    let directory = tempfile::tempdir().unwrap();
    let refused = RatmanIpc::start(directory.path().join("none")).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_router_of_another_version_says_so() {
    let router = Router::new().await;
    let serving = async {
        let mut peer = router.accept().await;
        let Request::Connect(client) = peer.hear().await else { panic!("no handshake") };
        let version = ApiVersion { major: 3, minor: 2 };
        peer.say(Reply::IncompatibleVersion(Versions::of(version, client))).await;
    };
    let (started, ()) = soon(async { tokio::join!(RatmanIpc::start(router.address()), serving) }).await;
    let error = started.unwrap_err();
    assert_eq!(error.to_string(), "the router speaks version 3.2 of the client protocol, this library 0.1");
}

#[tokio::test]
async fn what_is_no_router_is_found_out() {
    let router = Router::new().await;
    let serving = async {
        router.accept().await.write(b"HTTP/1.1 400 Bad Request\r\n").await;
    };
    let (started, ()) = soon(async { tokio::join!(RatmanIpc::start(router.address()), serving) }).await;
    assert!(matches!(started, Err(Error::Protocol(_))), "{started:?}");
}

#[tokio::test]
async fn a_deployed_router_is_used_as_far_as_it_goes() {
    let router = Router::new().await;
    let serving = async {
        // It closes a connection on which it was asked something that it does not know.
        let mut peer = router.greet().await;
        let mode = peer.hear().await.mode();
        peer.say(Reply::Error(ClientError::unsupported_mode(mode))).await;
        drop(peer);
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear().await, Request::Status(_)));
        peer.say(figures()).await;
        let mut peer = router.greet().await;
        let mode = peer.hear().await.mode();
        peer.say(Reply::Error(ClientError::unsupported_mode(mode))).await;
    };
    let asking = async {
        let ipc = RatmanIpc::start(router.address()).await.unwrap();
        assert!(!ipc.knows_extensions());
        assert_eq!(ipc.router_status().await.unwrap().active_auths, 3);
        ipc.send(&token(), Outgoing::new(OURS, [to(THEIRS)])).await
    };
    let (sent, ()) = soon(async { tokio::join!(asking, serving) }).await;
    assert!(matches!(sent, Err(Error::NotSupported)), "{sent:?}");
}

#[tokio::test]
async fn requests_share_a_connection_and_bytes_may_come_one_by_one() {
    let (router, ipc, mut peer) = started().await;
    peer.is_slow = true;
    let serving = async {
        let name = Some(Text::of("name"));
        assert_eq!(peer.hear().await, Request::AddressCreate(NewAddress { name }));
        peer.say(created()).await;
        assert_eq!(peer.hear_ours().await, Request::AddressUp(OURS));
        peer.say(Reply::Ok).await;
        assert!(matches!(peer.hear().await, Request::AddressList(_)));
        peer.say(addresses()).await;
    };
    let asking = async {
        let (address, auth) = ipc.addr_create(Some(&"name".to_owned()), None).await.unwrap();
        assert_eq!((address, &auth), (OURS, &token()));
        ipc.addr_up(&auth, address).await.unwrap();
        assert_eq!(ipc.addr_list().await.unwrap(), [OURS, THEIRS]);
    };
    soon(async { tokio::join!(asking, serving) }).await;
    assert!(router.is_left_alone().await);
}

#[tokio::test]
async fn requests_at_once_have_a_connection_each() {
    let (router, ipc, mut peer) = started().await;
    let serving = async {
        assert!(matches!(peer.hear().await, Request::Status(_)));
        let mut other = router.greet().await;
        assert!(matches!(other.hear().await, Request::Status(_)));
        other.say(figures()).await;
        peer.say(figures()).await;
    };
    let (one, two, ()) =
        soon(async { tokio::join!(ipc.router_status(), ipc.router_status(), serving) }).await;
    assert_eq!(one.unwrap(), two.unwrap());
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let (router, ipc, peer) = started().await;
    drop(peer);
    let serving = async {
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear().await, Request::AddressCreate(_)));
        peer.say(created()).await;
    };
    let (made, ()) = soon(async { tokio::join!(ipc.addr_create(None, None), serving) }).await;
    assert_eq!(made.unwrap().0, OURS);
}

#[tokio::test]
async fn a_request_that_the_router_never_read_is_said_again() {
    let (router, ipc, mut peer) = started().await;
    let serving = async {
        // The router's patience ended while the request was on its way.
        assert!(matches!(peer.hear().await, Request::AddressCreate(_)));
        peer.say(Reply::Timeout).await;
        drop(peer);
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear().await, Request::AddressCreate(_)));
        peer.say(created()).await;
    };
    let (made, ()) = soon(async { tokio::join!(ipc.addr_create(None, None), serving) }).await;
    assert_eq!(made.unwrap().0, OURS);
}

#[tokio::test]
async fn a_request_that_may_have_been_done_is_not_said_again() {
    let (router, ipc, mut peer) = started().await;
    let serving = async {
        assert!(matches!(peer.hear().await, Request::AddressCreate(_)));
        drop(peer);
        assert!(router.is_left_alone().await);
    };
    let (made, ()) = soon(async { tokio::join!(ipc.addr_create(None, None), serving) }).await;
    assert!(matches!(made, Err(Error::Lost(_))), "{made:?}");
}

#[tokio::test]
async fn a_question_is_asked_again() {
    let (router, ipc, mut peer) = started().await;
    let serving = async {
        assert!(matches!(peer.hear().await, Request::AddressList(_)));
        drop(peer);
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear().await, Request::AddressList(_)));
        peer.say(addresses()).await;
    };
    let (list, ()) = soon(async { tokio::join!(ipc.addr_list(), serving) }).await;
    assert_eq!(list.unwrap(), [OURS, THEIRS]);
}

#[tokio::test]
async fn a_router_that_does_not_answer_is_not_waited_for_for_ever() {
    let reply = Duration::from_millis(300);
    let (router, ipc, mut peer) = started_with(Timeouts { reply, ..Timeouts::default() }).await;
    let serving = async {
        assert!(matches!(peer.hear().await, Request::Status(_)));
        assert!(peer.is_gone().await, "a late answer would be that of another request");
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear().await, Request::Status(_)));
        peer.say(figures()).await;
    };
    let asking = async {
        let error = ipc.router_status().await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { limit, .. } if limit == reply), "{error:?}");
        ipc.router_status().await.unwrap();
    };
    soon(async { tokio::join!(asking, serving) }).await;
}

#[tokio::test]
async fn replies_that_fit_nothing_are_errors() {
    let (router, ipc, mut peer) = started().await;
    let serving = async {
        for (index, bytes) in
            [&b"\0\0\0\x09"[..], b"\0\0\0\x07\0\0\0\0\0\0\x01\xFE", b"\0\0\0\x07\x01\0\0\0\0\0\0"]
                .iter()
                .enumerate()
        {
            if index > 0 {
                peer = router.greet().await;
            }
            peer.hear().await;
            peer.write(bytes).await;
        }
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(addresses()).await;
    };
    let asking = async {
        for _ in 0..4 {
            let error = ipc.router_status().await.unwrap_err();
            assert!(matches!(error, Error::Protocol(_)), "{error:?}");
        }
    };
    soon(async { tokio::join!(asking, serving) }).await;
}

#[tokio::test]
async fn objections_are_told_apart_and_the_connection_goes_on() {
    let (router, ipc, mut peer) = started().await;
    let id = SubscriptionId::from_bytes([9; 32]);
    let refuse = |reason| Reply::Refused(Refusal { reason, detail: Text::of("because") });
    type IsRight<'a> = &'a dyn Fn(&Error) -> bool;
    let objections: [(Reply, IsRight<'_>); 9] = [
        (Reply::Error(ClientError::InvalidAuth), &|error| matches!(error, Error::InvalidAuth)),
        (Reply::Error(ClientError::NoAddress), &|error| matches!(error, Error::NoSuchAddress)),
        (Reply::Error(ClientError::DuplicateAddress), &|error| matches!(error, Error::AddressExists)),
        (Reply::Error(ClientError::NotSupported), &|error| matches!(error, Error::NotSupported)),
        (
            Reply::Error(ClientError::NoSuchSubscription(id)),
            &|error| matches!(error, Error::NoSuchSubscription(known) if *known == id),
        ),
        (
            Reply::Error(ClientError::internal("x")),
            &|error| matches!(error, Error::Router(text) if text == "x"),
        ),
        (refuse(RefusalReason::OperatorOnly), &|error| matches!(error, Error::NotPermitted(_))),
        (refuse(RefusalReason::NotFound), &|error| matches!(error, Error::NotFound(_))),
        (
            refuse(RefusalReason::Full),
            &|error| matches!(error, Error::Refused(refusal) if refusal.reason == RefusalReason::Full),
        ),
    ];
    for (reply, is_right) in objections {
        let serving = async {
            assert_eq!(peer.hear_ours().await, Request::AddressUp(OURS));
            peer.say(reply.clone()).await;
        };
        let auth: AuthToken = token();
        let (result, ()) = soon(async { tokio::join!(ipc.addr_up(&auth, OURS), serving) }).await;
        let error = result.unwrap_err();
        assert!(is_right(&error), "{reply:?} became {error:?}");
    }
    assert!(router.is_left_alone().await);
}

fn page(entries: std::ops::Range<u8>, next: &[u8]) -> Reply {
    let entry = |byte: u8| LocalAddress {
        address: ratman_client::types::Address::from_bytes([byte; 32]),
        up: true,
        damage: None,
    };
    Reply::AddressPage(Page { entries: entries.map(entry).collect(), next: cursor(next) })
}

fn cursor(bytes: &[u8]) -> Cursor {
    bytes.iter().copied().collect()
}

#[tokio::test]
async fn pages_are_followed_to_the_last() {
    let (_router, ipc, mut peer) = started().await;
    let serving = async {
        for (after, entries, next) in [(&b""[..], 0..3, &b"a"[..]), (b"a", 3..3, b"b"), (b"b", 3..5, b"")] {
            assert_eq!(peer.hear().await, Request::AddressQuery(PageOf::after(cursor(after))));
            peer.say(page(entries, next)).await;
        }
    };
    let (list, ()) = soon(async { tokio::join!(ipc.addr_query(), serving) }).await;
    let first_bytes: Vec<_> = list.unwrap().iter().map(|entry| entry.address.as_bytes()[0]).collect();
    assert_eq!(first_bytes, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_list_without_end_is_not_followed() {
    let (_router, ipc, mut peer) = started().await;
    let serving = async {
        for _ in 0..2 {
            peer.hear().await;
            peer.say(page(0..1, b"again")).await;
        }
    };
    let (list, ()) = soon(async { tokio::join!(ipc.addr_query(), serving) }).await;
    assert!(matches!(list, Err(Error::Protocol(_))), "{list:?}");
}

#[tokio::test]
async fn a_unix_socket_does_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clients");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Peer::new(stream);
        peer.greet().await;
        peer.tell_nothing().await;
        assert!(matches!(peer.hear().await, Request::Status(_)));
        peer.say(figures()).await;
    };
    let asking = async {
        let bind: ApiBind = format!("unix:{}", path.display()).parse().unwrap();
        let ipc = RatmanIpc::start(bind).await.unwrap();
        assert!(ipc.knows_extensions());
        ipc.router_status().await
    };
    let (status, ()) = soon(async { tokio::join!(asking, serving) }).await;
    assert_eq!(status.unwrap().known_peers, 1);
}

#[tokio::test]
async fn names_that_cannot_be_are_not_sent() {
    let (_router, ipc, _peer) = started().await;
    for name in [String::new(), "a\0b".to_owned(), "x".repeat(257)] {
        let made = soon(ipc.addr_create(Some(&name), None)).await;
        assert!(matches!(made, Err(Error::Input(_))), "{made:?}");
    }
}

#[tokio::test]
async fn an_address_with_a_namespace_is_whole_or_not_there() {
    let (_router, ipc, mut peer) = started().await;
    let seed = ratman_client::fresh_seed().unwrap();
    let serving = async {
        assert!(matches!(peer.hear().await, Request::AddressCreate(_)));
        peer.say(created()).await;
        assert_eq!(peer.hear_ours().await, Request::AddressUp(OURS));
        peer.say(Reply::Ok).await;
        let Request::NamespaceCreate(new) = peer.hear_ours().await else { panic!("no namespace") };
        assert_eq!(new.namespace, seed.namespace());
        peer.say(Reply::Refused(Refusal { reason: RefusalReason::Full, detail: Text::default() })).await;
        let Request::AddressDestroy(destroyed) = peer.hear_ours().await else { panic!("it stays") };
        assert!(destroyed.address == OURS && destroyed.force);
        peer.say(Reply::Ok).await;
    };
    let (made, ()) = soon(async { tokio::join!(ipc.addr_create(None, Some(&seed)), serving) }).await;
    assert!(matches!(made, Err(Error::Refused(_))), "{made:?}");
}
