// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are received.

use std::time::Duration;

use ratman_client::types::{ByteCount, News, StreamKey};
use ratman_client::{Error, RatmanStreamExtV1, ReceiveOptions, Timeouts};
use ratman_wire::api::{ClientError, Receive, Reply, Request, ResumedReceive};
use tokio::io::AsyncReadExt;

use crate::script::{OURS, THEIRS, arrived, letterhead, soon, started, started_with, stream_to, to, token};

#[tokio::test]
async fn exactly_as_many_as_were_asked_for_come_and_are_taken() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        let Request::StreamReceive(receive) = peer.hear_ours().await else { panic!("no receiver") };
        let limit = std::num::NonZeroU32::new(3);
        let (from, to) = (Some(THEIRS), Some(to(OURS)));
        assert_eq!(receive, Receive { address: OURS, from, to, limit, wait: true, resume: None });
        peer.is_slow = true;
        for (id, content) in [(1, &b"one"[..]), (2, b""), (3, b"three")] {
            peer.bring(id, content).await;
            peer.is_taken().await;
        }
        // The connection is of use again.
        assert!(matches!(peer.hear().await, Request::StreamDestroy(_)));
        peer.say(Reply::Ok).await;
    };
    let receiving = async {
        let options = ReceiveOptions::new().from(THEIRS).to(to(OURS)).limit(3);
        let mut incoming = ipc.receive(&token(), OURS, options);
        let mut contents = Vec::new();
        while let Some(mut stream) = incoming.next().await.unwrap() {
            assert_eq!(stream.letterhead().from, THEIRS);
            assert_eq!((stream.created().as_micros(), stream.offset()), (5, 0));
            let mut content = Vec::new();
            stream.read_to_end(&mut content).await.unwrap();
            contents.push(content);
            stream.taken().await.unwrap();
        }
        assert!(incoming.next().await.unwrap().is_none());
        let key = StreamKey { from: OURS, to: to(THEIRS), stream: stream_to(THEIRS).stream };
        ipc.stream_destroy(&token(), key).await.unwrap();
        contents
    };
    let (contents, ()) = soon(async { tokio::join!(receiving, serving) }).await;
    assert_eq!(contents, [&b"one"[..], b"", b"three"]);
}

#[tokio::test]
async fn none_are_none() {
    let (router, ipc, _idle) = started().await;
    let mut none = ipc.receive(&token(), OURS, ReceiveOptions::new().limit(0));
    assert!(soon(none.next()).await.unwrap().is_none());
    assert!(router.is_left_alone().await);
    let serving = async {
        let mut peer = router.greet().await;
        let Request::StreamReceive(receive) = peer.hear().await else { panic!("no receiver") };
        assert!(!receive.wait);
        peer.say(Reply::NoStream).await;
    };
    let auth = token();
    let receiving = ipc.receive_one(&auth, OURS, ReceiveOptions::new().wait(false));
    let (stream, ()) = soon(async { tokio::join!(receiving, serving) }).await;
    assert!(stream.unwrap().is_none());
}

#[tokio::test]
async fn what_is_not_taken_comes_again() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        for _ in 0..2 {
            assert!(matches!(peer.hear_ours().await, Request::StreamReceive(_)));
            peer.bring(1, b"content").await;
            assert!(matches!(peer.hear().await, Request::Cancel(_)));
            peer.say(Reply::Ok).await;
        }
        assert!(matches!(peer.hear_ours().await, Request::StreamReceive(_)));
        peer.bring(1, b"content").await;
        peer.is_taken().await;
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new());
        drop(incoming.next().await.unwrap().unwrap());
        let mut stream = incoming.next().await.unwrap().unwrap();
        let mut half = [0; 3];
        stream.read_exact(&mut half).await.unwrap();
        let error = stream.taken().await.unwrap_err();
        assert!(matches!(error, Error::Unread(4)), "{error:?}");
        let mut stream = incoming.next().await.unwrap().unwrap();
        // Who reads as much as there is need not read the end.
        stream.read_exact(&mut [0; 7]).await.unwrap();
        stream.taken().await.unwrap();
    };
    soon(async { tokio::join!(receiving, serving) }).await;
}

#[tokio::test]
async fn content_that_is_not_as_long_as_was_said_breaks_the_protocol() {
    for (size, pieces) in [(3, &[&b"abcd"[..]][..]), (5, &[b"abcd"]), (3, &[b"abc", b"d"])] {
        let (router, ipc, _idle) = started().await;
        let serving = async {
            let mut peer = router.greet().await;
            peer.hear().await;
            peer.say(arrived(1, size, 0)).await;
            for piece in pieces {
                peer.give(piece).await;
            }
            peer.end().await;
            peer.is_gone().await
        };
        let receiving = async {
            let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new());
            let mut stream = incoming.next().await.unwrap().unwrap();
            stream.content(100).await.unwrap_err()
        };
        let (error, _) = soon(async { tokio::join!(receiving, serving) }).await;
        assert!(matches!(error, Error::Protocol(_)), "{size} and {pieces:?}: {error:?}");
    }
}

#[tokio::test]
async fn content_is_not_read_where_there_is_no_room_for_it() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.bring(1, b"content").await;
        peer.is_taken().await;
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new());
        let mut stream = incoming.next().await.unwrap().unwrap();
        assert!(matches!(stream.content(6).await, Err(Error::Unread(7))));
        assert_eq!(stream.content(7).await.unwrap(), b"content");
        stream.taken().await.unwrap();
    };
    soon(async { tokio::join!(receiving, serving) }).await;
}

#[tokio::test]
async fn one_stream_is_taken_when_it_was_read_to_its_end() {
    let (router, ipc, _idle) = started().await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let serving = async {
        let mut peer = router.greet().await;
        let Request::StreamReceive(receive) = peer.hear_ours().await else { panic!("no receiver") };
        assert_eq!((receive.to, receive.limit), (Some(to(OURS)), std::num::NonZeroU32::new(1)));
        peer.bring(1, b"content").await;
        assert!(matches!(peer.hear().await, Request::Taken(_)));
        tell.send(()).unwrap();
        peer.say(Reply::Taken).await;
    };
    let receiving = async {
        let (head, mut reader) = ipc.recv_one(&token(), OURS, to(OURS)).await.unwrap();
        assert_eq!(head, letterhead(7));
        let mut content = Vec::new();
        tokio::io::copy(&mut reader.as_reader(), &mut content).await.unwrap();
        told.await.unwrap();
        assert_eq!((&content[..], reader.position()), (&b"content"[..], 7));
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0, "nothing follows for ever");
    };
    soon(async { tokio::join!(receiving, serving) }).await;
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        // A header in two halves, with a wait that is given up between.
        let bytes = arrived(1, 3, 0).to_frame(None).encode();
        let (one, two) = bytes.split_at(20);
        peer.write(one).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        peer.write(two).await;
        peer.give(b"abc").await;
        peer.end().await;
        peer.is_taken().await;
        assert!(router.is_left_alone().await, "one connection was enough");
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new());
        let mut given_up = 0;
        loop {
            let Ok(stream) = tokio::time::timeout(Duration::from_millis(10), incoming.next()).await else {
                given_up += 1;
                continue;
            };
            let mut stream = stream.unwrap().unwrap();
            assert_eq!(stream.content(3).await.unwrap(), b"abc");
            stream.taken().await.unwrap();
            return given_up;
        }
    };
    let (given_up, ()) = soon(async { tokio::join!(receiving, serving) }).await;
    assert!(given_up > 0);
}

#[tokio::test]
async fn a_stream_that_was_begun_by_another_run_is_gone_on_with() {
    let (router, ipc, _idle) = started().await;
    let key = StreamKey { from: THEIRS, to: to(OURS), stream: stream_to(THEIRS).stream };
    let serving = async {
        let mut peer = router.greet().await;
        let Request::StreamReceive(receive) = peer.hear().await else { panic!("no receiver") };
        assert_eq!(receive.resume, Some(ResumedReceive { stream: key.clone(), offset: ByteCount(4) }));
        peer.say(arrived(2, 7, 4)).await;
        peer.give(b"ent").await;
        peer.end().await;
        peer.is_taken().await;
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new().resume(key.clone(), 4));
        let mut stream = incoming.next().await.unwrap().unwrap();
        assert_eq!((stream.key(), stream.offset()), (key.clone(), 4));
        assert_eq!(stream.content(3).await.unwrap(), b"ent");
        stream.taken().await.unwrap();
    };
    soon(async { tokio::join!(receiving, serving) }).await;
}

#[tokio::test]
async fn a_router_that_does_not_hear_that_it_is_taken_is_not_waited_for_for_ever() {
    let reply = Duration::from_millis(300);
    let (router, ipc, _idle) = started_with(Timeouts { reply, ..Timeouts::default() }).await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.bring(1, b"").await;
        assert!(matches!(peer.hear().await, Request::Taken(_)));
        peer
    };
    let receiving = async {
        let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new());
        let stream = incoming.next().await.unwrap().unwrap();
        let error = stream.taken().await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    };
    let ((), _peer) = soon(async { tokio::join!(receiving, serving) }).await;
}

#[tokio::test]
async fn a_wrong_token_is_told_to_whoever_waits() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(Reply::Error(ClientError::InvalidAuth)).await;
    };
    let auth = token();
    let (received, ()) = soon(async { tokio::join!(ipc.recv_one(&auth, OURS, to(OURS)), serving) }).await;
    assert!(matches!(received, Err(Error::InvalidAuth)), "{received:?}");
}

#[tokio::test]
async fn a_stream_is_followed_to_its_end() {
    let (router, ipc, _idle) = started().await;
    let key = StreamKey { from: OURS, to: to(THEIRS), stream: stream_to(THEIRS).stream };
    let serving = async {
        let mut peer = router.greet().await;
        assert_eq!(peer.hear_ours().await, Request::StreamStatus(key.clone()));
        peer.news(THEIRS, News::Stored).await;
        peer.news(THEIRS, News::Delivered).await;
        peer
    };
    let following = async {
        let mut following = ipc.stream_follow(&token(), key.clone()).await.unwrap();
        assert_eq!(following.next().await.unwrap(), Some(News::Stored));
        assert_eq!(following.next().await.unwrap(), Some(News::Delivered));
        assert_eq!(following.next().await.unwrap(), None);
    };
    let ((), _peer) = soon(async { tokio::join!(following, serving) }).await;
}
