// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams whose connection breaks, in either direction.

use std::num::NonZeroU32;
use std::time::Duration;

use ratman_client::types::{ByteCount, News, RefusalReason, StreamId, StreamKey, Text};
use ratman_client::{Error, Outgoing, ReceiveOptions, Reconnect, ResumeToken};
use ratman_wire::api::{Refusal, Reply, Request, ResumedReceive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::script::{OURS, Router, THEIRS, arrived, opened, soon, started, stream_to, to, token};

fn quickly() -> Reconnect {
    Reconnect { first: Duration::from_millis(1), ..Reconnect::default() }
}

fn key(id: u8) -> StreamKey {
    StreamKey { from: THEIRS, to: to(OURS), stream: StreamId::from_bytes([id; 32]) }
}

#[tokio::test]
async fn what_was_begun_is_gone_on_with_where_the_router_says() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(opened(&[THEIRS], 0)).await;
        assert!(matches!(peer.hear().await, Request::Content(_)));
        // The client leaves without a word.
        assert!(peer.is_gone().await);
        let mut peer = router.greet().await;
        let Request::StreamResume(resumed) = peer.hear_ours().await else { panic!("another stream") };
        assert_eq!((resumed.from, &*resumed.streams), (OURS, &[stream_to(THEIRS)][..]));
        peer.say(opened(&[THEIRS], 3)).await;
        assert_eq!(peer.hear_content().await, b"lo world");
        peer.news(THEIRS, News::Accepted).await;
    };
    let sending = async {
        let mut sending = ipc.send(&token(), Outgoing::new(OURS, [to(THEIRS)])).await.unwrap();
        sending.write_all(b"hello").await.unwrap();
        let kept = sending.resume_token().to_string();
        drop(sending);
        let resumed: ResumeToken = kept.parse().unwrap();
        let mut sending = ipc.resume(&token(), &resumed, false).await.unwrap();
        assert_eq!(sending.offset(), 3);
        sending.copy_from(&mut &b"hello world"[3..]).await.unwrap();
        sending.finish().await.unwrap();
        assert_eq!(sending.accepted().await.unwrap(), []);
    };
    soon(async { tokio::join!(sending, serving) }).await;
}

#[tokio::test]
async fn what_the_router_has_forgotten_is_not_gone_on_with() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        // It may only not have noticed yet that the connection before is over.
        for _ in 0..4 {
            let mut peer = router.greet().await;
            peer.hear().await;
            let detail = Text::of("no such stream");
            peer.say(Reply::Refused(Refusal { reason: RefusalReason::NotFound, detail })).await;
        }
    };
    let kept = format!("irdest-resume-1 {OURS} {THEIRS} {}", "02".repeat(32)).parse().unwrap();
    let auth = token();
    let (resumed, ()) = soon(async { tokio::join!(ipc.resume(&auth, &kept, false), serving) }).await;
    assert!(matches!(resumed, Err(Error::NotFound(_))), "{resumed:?}");
}

/// The router as it is after a restart: the address has to come up again.
async fn up_again(router: &Router) -> Option<ResumedReceive> {
    let mut peer = router.greet().await;
    assert_eq!(peer.hear_ours().await, Request::AddressUp(OURS));
    peer.say(Reply::Ok).await;
    let mut stream = router.greet().await;
    let Request::StreamReceive(receive) = stream.hear_ours().await else { panic!("no receiver") };
    let resume = receive.resume;
    let offset = resume.as_ref().map_or(0, |resume| resume.offset.0);
    // One byte more than was asked for is passed over by the client.
    let from = offset.saturating_sub(1);
    let content = b"abcdef";
    stream.say(arrived(1, 6, from)).await;
    stream.give(&content[usize::try_from(from).unwrap()..]).await;
    stream.end().await;
    stream.is_taken().await;
    if receive.limit == NonZeroU32::new(1) {
        // That was all that was asked for, but the client knew it already.
        let Request::StreamReceive(again) = stream.hear_ours().await else { panic!("no receiver") };
        assert_eq!(again.limit, receive.limit);
    }
    stream.bring(2, b"next").await;
    stream.is_taken().await;
    resume
}

#[tokio::test]
async fn a_router_that_restarts_in_the_middle_of_a_stream_is_not_noticed() {
    let (router, ipc, idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear_ours().await, Request::StreamReceive(_)));
        peer.say(arrived(1, 6, 0)).await;
        peer.give(b"abc").await;
        drop((peer, idle));
        up_again(&router).await
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new().limit(2).reconnect(quickly()));
        let mut contents = Vec::new();
        while let Some(mut stream) = incoming.next().await.unwrap() {
            contents.push(stream.content(100).await.unwrap());
            assert_eq!(stream.position(), u64::try_from(contents[contents.len() - 1].len()).unwrap());
            stream.taken().await.unwrap();
        }
        contents
    };
    let (contents, resumed) = soon(async { tokio::join!(receiving, serving) }).await;
    assert_eq!(contents, [&b"abcdef"[..], b"next"]);
    assert_eq!(resumed, Some(ResumedReceive { stream: key(1), offset: ByteCount(3) }));
}

#[tokio::test]
async fn a_stream_whose_taking_was_not_heard_does_not_come_twice() {
    let (router, ipc, idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.bring(1, b"abcdef").await;
        assert!(matches!(peer.hear().await, Request::Taken(_)));
        drop((peer, idle));
        up_again(&router).await
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new().limit(2).reconnect(quickly()));
        let mut contents = Vec::new();
        while let Some(mut stream) = incoming.next().await.unwrap() {
            contents.push(stream.content(100).await.unwrap());
            stream.taken().await.unwrap();
        }
        contents
    };
    let (contents, resumed) = soon(async { tokio::join!(receiving, serving) }).await;
    assert_eq!(contents, [&b"abcdef"[..], b"next"], "once and in order");
    assert_eq!(resumed, None);
}

#[tokio::test]
async fn giving_up_a_wait_does_not_show_twice_what_comes_again() {
    let (router, ipc, idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.bring(1, b"abcdef").await;
        assert!(matches!(peer.hear().await, Request::Taken(_)));
        drop((peer, idle));
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(Reply::Ok).await;
        let mut stream = router.greet().await;
        stream.hear().await;
        // The client waits for the rest, and gives that up.
        stream.say(arrived(1, 6, 0)).await;
        stream.give(b"abc").await;
        assert!(matches!(stream.hear().await, Request::Cancel(_)));
        stream.say(Reply::Ok).await;
        let Request::StreamReceive(receive) = stream.hear_ours().await else { panic!("no receiver") };
        assert_eq!(receive.limit, NonZeroU32::new(1), "it was counted");
        stream.bring(1, b"abcdef").await;
        stream.is_taken().await;
        assert!(matches!(stream.hear_ours().await, Request::StreamReceive(_)));
        stream.bring(2, b"next").await;
        stream.is_taken().await;
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new().limit(2).reconnect(quickly()));
        let mut stream = incoming.next().await.unwrap().unwrap();
        stream.content(100).await.unwrap();
        stream.taken().await.unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(300), incoming.next()).await;
        assert!(given_up.is_err());
        let mut stream = incoming.next().await.unwrap().unwrap();
        assert_eq!(stream.content(100).await.unwrap(), b"next");
        stream.taken().await.unwrap();
        assert!(incoming.next().await.unwrap().is_none());
    };
    soon(async { tokio::join!(receiving, serving) }).await;
}

#[tokio::test]
async fn a_router_that_ends_ends_it_unless_told_otherwise() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(arrived(1, 6, 0)).await;
        peer.give(b"abc").await;
        drop(peer);
        let mut peer = router.greet().await;
        peer.hear().await;
        drop(peer);
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new());
        let mut stream = incoming.next().await.unwrap().unwrap();
        let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(matches!(Error::from(error), Error::Lost(_)));
        drop(stream);
        let error = incoming.next().await.unwrap_err();
        assert!(matches!(error, Error::Lost(_)), "{error:?}");
    };
    soon(async { tokio::join!(receiving, serving) }).await;
}

#[tokio::test]
async fn a_router_that_does_not_come_back_is_given_up() {
    let (router, ipc, idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        drop((peer, idle, router));
    };
    let receiving = async {
        let how = Reconnect { give_up_after: Duration::from_millis(100), ..quickly() };
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new().reconnect(how));
        let error = incoming.next().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    };
    soon(async { tokio::join!(receiving, serving) }).await;
}

#[tokio::test]
async fn a_stream_that_is_gone_when_the_router_comes_back_is_not_mixed_with_another() {
    let (router, ipc, idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(arrived(1, 6, 0)).await;
        peer.give(b"abc").await;
        drop((peer, idle));
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(Reply::Ok).await;
        let mut stream = router.greet().await;
        stream.hear().await;
        stream.bring(2, b"other!").await;
        stream.is_gone().await
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new().reconnect(quickly()));
        let mut stream = incoming.next().await.unwrap().unwrap();
        let error = stream.content(100).await.unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    };
    soon(async { tokio::join!(receiving, serving) }).await;
}
