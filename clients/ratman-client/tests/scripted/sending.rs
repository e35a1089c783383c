// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are sent.

use ratman_client::types::{ByteCount, News, Progress, RefusalReason, StreamKey, Text};
use ratman_client::{Error, Outgoing, RatmanStreamExtV1};
use ratman_wire::api::{Refusal, Reply, Request};
use tokio::io::AsyncWriteExt;

use crate::script::{OURS, THEIRS, letterhead, opened, soon, started, stream_to, to, token};

const OTHERS: ratman_client::types::Address = ratman_client::types::Address::from_bytes([3; 32]);

fn outgoing() -> Outgoing {
    Outgoing::new(OURS, [to(THEIRS), to(OTHERS)]).size(200_000).progress(true)
}

fn progress(bytes: u64) -> News {
    News::Progress(Progress { arrived: ByteCount(bytes), in_all: None })
}

#[tokio::test]
async fn content_goes_out_and_news_come_back_until_the_last_of_each() {
    let (router, ipc, _idle) = started().await;
    let content: Vec<u8> = (0..200_000_u32).map(|at| at.to_be_bytes()[3]).collect();
    let serving = async {
        let mut peer = router.greet().await;
        let Request::StreamCreate(new) = peer.hear_ours().await else { panic!("no stream") };
        assert_eq!((new.from, new.size, new.progress), (OURS, Some(ByteCount(200_000)), true));
        assert_eq!(*new.to, [to(THEIRS), to(OTHERS)]);
        peer.say(opened(&[THEIRS, OTHERS], 0)).await;
        assert_eq!(peer.hear_content().await, content);
        peer.is_slow = true;
        peer.news(THEIRS, News::Accepted).await;
        peer.news(OTHERS, News::Accepted).await;
        peer.news(OTHERS, News::Denied).await;
        peer.news(THEIRS, News::Delivered).await;
        // The connection is of use again.
        peer.is_slow = false;
        peer
    };
    let sending = async {
        let mut sending = ipc.send(&token(), outgoing()).await.unwrap();
        assert_eq!((sending.offset(), sending.written()), (0, 0));
        assert_eq!(sending.copy_from(&mut &content[..]).await.unwrap(), 200_000);
        sending.finish().await.unwrap();
        sending.finish().await.unwrap();
        let late = sending.write(b"x").await.unwrap_err();
        assert!(matches!(late.into(), Error::Ended));
        let mut news = Vec::new();
        while let Some(one) = sending.next_news().await.unwrap() {
            news.push(one);
        }
        assert_eq!(sending.next_news().await.unwrap(), None);
        news
    };
    let (news, mut peer) = soon(async { tokio::join!(sending, serving) }).await;
    let (one, two) = (to(THEIRS), to(OTHERS));
    assert_eq!(
        news,
        [(one, News::Accepted), (two, News::Accepted), (two, News::Denied), (one, News::Delivered)]
    );
    let asking = async {
        peer.hear().await;
        peer.say(Reply::Ok).await;
    };
    let key = StreamKey { from: OURS, to: one, stream: stream_to(THEIRS).stream };
    let auth = token();
    let (done, ()) = soon(async { tokio::join!(ipc.stream_destroy(&auth, key), asking) }).await;
    done.unwrap();
}

#[tokio::test]
async fn news_that_come_while_one_writes_neither_block_nor_get_lost() {
    let (router, ipc, _idle) = started().await;
    let content = vec![5; 4 << 20];
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(opened(&[THEIRS, OTHERS], 0)).await;
        // More than the buffers of the system hold: it goes only if the client takes it while it writes.
        for bytes in 0..100_000 {
            peer.news(THEIRS, progress(bytes)).await;
        }
        peer.news(OTHERS, News::Refused).await;
        assert_eq!(peer.hear_content().await.len(), 4 << 20);
        peer.news(THEIRS, News::Delivered).await;
    };
    let sending = async {
        let mut sending = ipc.send(&token(), outgoing()).await.unwrap();
        sending.write_all(&content).await.unwrap();
        sending.finish().await.unwrap();
        let mut news = Vec::new();
        while let Some(one) = sending.next_news().await.unwrap() {
            news.push(one);
        }
        news
    };
    let (news, ()) = soon(async { tokio::join!(sending, serving) }).await;
    let progresses = news.iter().filter(|(_, news)| matches!(news, News::Progress(_))).count();
    assert!(progresses <= 2, "{progresses} waited");
    assert!(news.contains(&(to(OTHERS), News::Refused)));
    assert_eq!(news.last(), Some(&(to(THEIRS), News::Delivered)));
    assert!(news.contains(&(to(THEIRS), progress(99_999))));
}

#[tokio::test]
async fn what_the_router_objects_to_is_told_to_whoever_writes() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(opened(&[THEIRS], 0)).await;
        peer.hear().await;
        let detail = Text::of("the journal is full");
        peer.say(Reply::Refused(Refusal { reason: RefusalReason::Full, detail })).await;
        while peer.try_hear().await.is_some() {}
    };
    let sending = async {
        let mut sending = ipc.send(&token(), Outgoing::new(OURS, [to(THEIRS)])).await.unwrap();
        let mut endless = tokio::io::repeat(1);
        sending.copy_from(&mut endless).await.unwrap_err()
    };
    let (error, ()) = soon(async { tokio::join!(sending, serving) }).await;
    assert!(matches!(&error, Error::Refused(refusal) if refusal.reason == RefusalReason::Full), "{error:?}");
    assert_eq!(error.to_string(), "refused: the journal is full");
}

#[tokio::test]
async fn who_writes_when_nobody_wants_it_any_more_hears_why() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(opened(&[THEIRS], 0)).await;
        peer.news(THEIRS, News::Denied).await;
        // Nobody says that the content is complete.
        while let Some((request, _)) = peer.try_hear().await {
            assert!(matches!(request, Request::Content(_)));
        }
    };
    let sending = async {
        let mut sending = ipc.send(&token(), Outgoing::new(OURS, [to(THEIRS)])).await.unwrap();
        let error = sending.copy_from(&mut tokio::io::repeat(1)).await.unwrap_err();
        assert!(matches!(error, Error::Ended), "{error:?}");
        assert_eq!(sending.next_news().await.unwrap(), Some((to(THEIRS), News::Denied)));
        assert_eq!(sending.next_news().await.unwrap(), None);
    };
    soon(async { tokio::join!(sending, serving) }).await;
}

#[tokio::test]
async fn what_is_cancelled_before_its_end_is_abandoned() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(opened(&[THEIRS], 0)).await;
        assert!(matches!(peer.hear().await, Request::Content(_)));
        assert!(matches!(peer.hear().await, Request::Cancel(_)));
        // What was on its way is passed over.
        peer.news(THEIRS, progress(1)).await;
        peer.news(THEIRS, News::Cancelled).await;
        peer.say(Reply::Ok).await;
    };
    let sending = async {
        let mut sending = ipc.send(&token(), Outgoing::new(OURS, [to(THEIRS)])).await.unwrap();
        sending.write_all(b"half").await.unwrap();
        sending.cancel().await.unwrap();
    };
    soon(async { tokio::join!(sending, serving) }).await;
}

#[tokio::test]
async fn what_is_cancelled_after_its_end_is_ended_for_who_has_not_got_it() {
    let (router, ipc, mut idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(opened(&[THEIRS, OTHERS], 0)).await;
        assert_eq!(peer.hear_content().await, b"all");
        peer.news(THEIRS, News::Delivered).await;
        assert!(matches!(peer.hear().await, Request::Cancel(_)));
        peer.say(Reply::Ok).await;
        // On the connection that was put back last.
        let Request::StreamDestroy(key) = peer.hear_ours().await else { panic!("it goes on") };
        assert_eq!((key.to, key.stream), (to(OTHERS), stream_to(OTHERS).stream));
        let detail = Text::default();
        peer.say(Reply::Refused(Refusal { reason: RefusalReason::NotFound, detail })).await;
        peer
    };
    let sending = async {
        let mut sending = ipc.send(&token(), outgoing()).await.unwrap();
        sending.write_all(b"all").await.unwrap();
        sending.finish().await.unwrap();
        assert_eq!(sending.next_news().await.unwrap(), Some((to(THEIRS), News::Delivered)));
        sending.cancel().await.unwrap();
    };
    let ((), _peer) = soon(async { tokio::join!(sending, serving) }).await;
    drop(ipc);
    assert!(soon(idle.is_gone()).await);
}

#[tokio::test]
async fn news_of_another_stream_break_the_protocol() {
    let (router, ipc, _idle) = started().await;
    let serving = async {
        let mut peer = router.greet().await;
        peer.hear().await;
        peer.say(opened(&[THEIRS], 0)).await;
        peer.news(OTHERS, News::Accepted).await;
        peer.is_gone().await
    };
    let sending = async {
        let mut sending = ipc.send(&token(), Outgoing::new(OURS, [to(THEIRS)])).await.unwrap();
        let error = sending.next_news().await.unwrap_err();
        assert!(matches!(error, Error::Protocol(_)), "{error:?}");
    };
    let ((), gone) = soon(async { tokio::join!(sending, serving) }).await;
    assert!(gone);
}

#[tokio::test]
async fn other_streams_than_were_asked_for_are_not_written_to() {
    for answer in [opened(&[OTHERS], 0), opened(&[THEIRS, OTHERS], 0), opened(&[THEIRS], 5), Reply::Ok] {
        let (router, ipc, _idle) = started().await;
        let serving = async {
            let mut peer = router.greet().await;
            peer.hear().await;
            peer.say(answer.clone()).await;
            peer.is_gone().await
        };
        let auth = token();
        let sending = ipc.send(&auth, Outgoing::new(OURS, [to(THEIRS)]));
        let (sending, gone) = soon(async { tokio::join!(sending, serving) }).await;
        assert!(matches!(sending, Err(Error::Protocol(_))), "{answer:?}");
        assert!(gone);
    }
}

#[tokio::test]
async fn sending_in_one_call_waits_until_the_router_answers_for_it() {
    let (router, ipc, _idle) = started().await;
    let mut letterhead = letterhead(0);
    (letterhead.from, letterhead.to) = (OURS, to(THEIRS));
    for (news, works) in [(News::Accepted, true), (News::Failed, false)] {
        let serving = async {
            let mut peer = router.greet().await;
            let Request::StreamCreate(new) = peer.hear_ours().await else { panic!("no stream") };
            assert_eq!(new.size, None, "as in deployed programs");
            peer.say(opened(&[THEIRS], 0)).await;
            assert_eq!(peer.hear_content().await, b"hello");
            peer.news(THEIRS, progress(1)).await;
            peer.news(THEIRS, news.clone()).await;
        };
        let (auth, mut content) = (token(), &b"hello"[..]);
        let sending = ipc.send_to(&auth, letterhead.clone(), &mut content);
        let (sent, ()) = soon(async { tokio::join!(sending, serving) }).await;
        match works {
            true => assert_eq!(sent.unwrap(), stream_to(THEIRS)),
            false => assert!(matches!(sent, Err(Error::Router(text)) if text.contains("Failed"))),
        }
    }
}

#[tokio::test]
async fn letterheads_that_differ_are_not_sent_as_one() {
    let (_router, ipc, _idle) = started().await;
    let one = letterhead(0);
    let mut two = letterhead(0);
    two.from = OURS;
    for letterheads in [vec![], vec![one.clone(), two], vec![one.clone(), one]] {
        let sent = soon(ipc.send_many(&token(), letterheads, &mut &b""[..])).await;
        assert!(matches!(sent, Err(Error::Input(_))), "{sent:?}");
    }
}
