// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams our way.
#![expect(clippy::wildcard_enum_match_arm, reason = "anything else fails the test")]

use core::num::NonZeroU32;

use ratman_wire::api::{
    Arrived, AuxiliaryData, Content, Lifetime, List, NewStream, News, Opened, OpenedStream, PageOf, Receive,
    RefusalReason, ResumedReceive, ResumedStream, Stage, StreamKey, StreamsOf,
};

use super::*;

const NOTHING: Request = Request::End(Nothing);

fn new_stream(from: Address, to: &[Address]) -> NewStream {
    let to = List::new(to.iter().copied().map(Recipient::Address).collect()).unwrap();
    let (lifetime, auxiliary_data) = (Lifetime::MAX, AuxiliaryData::default());
    NewStream { from, to, size: None, lifetime, progress: false, auxiliary_data }
}

fn receive(address: Address, limit: Option<u32>) -> Receive {
    let limit = limit.and_then(NonZeroU32::new);
    Receive { address, from: None, to: None, limit, wait: true, resume: None }
}

impl Client {
    async fn open(&mut self, request: &Request, token: &AuthToken) -> Opened {
        match self.ask(request, Some(token)).await {
            Reply::Opened(opened) => opened,
            other => panic!("{other:?}"),
        }
    }

    async fn give(&mut self, content: &[u8]) {
        for piece in content.chunks(60_000) {
            self.say(&Request::Content(Content::new(piece.to_vec()).unwrap()), None).await;
        }
    }

    /// What is said of a stream next.
    async fn news(&mut self) -> (OpenedStream, News) {
        match self.reply(&NOTHING).await {
            Reply::News(told) => (told.stream, told.news),
            other => panic!("{other:?}"),
        }
    }

    /// All that is said of streams until nothing follows about any of so many.
    async fn all_news(&mut self, mut streams: usize) -> Vec<(OpenedStream, News)> {
        let mut told = Vec::new();
        while streams > 0 {
            let (stream, news) = self.news().await;
            streams -= usize::from(news.is_last());
            told.push((stream, news));
        }
        told
    }

    async fn arrived(&mut self) -> Arrived {
        match self.reply(&NOTHING).await {
            Reply::Arrived(arrived) => *arrived,
            other => panic!("{other:?}"),
        }
    }

    /// The content that follows, to its end.
    async fn content(&mut self) -> Vec<u8> {
        let mut content = Vec::new();
        loop {
            match FromRouter::decode(&self.hear().await.unwrap(), NOTHING.mode()).unwrap() {
                FromRouter::Content(piece) => content.extend_from_slice(piece.as_bytes()),
                FromRouter::End => return content,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn refusal(&mut self) -> RefusalReason {
        match self.reply(&NOTHING).await {
            Reply::Refused(refusal) => refusal.reason,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_goes_in_pieces_and_each_recipient_is_heard_of() {
    let api = Api::new();
    let (mut alice, mut bob) = (api.client().await, api.client().await);
    let (from, token) = alice.address().await;
    let (to, bobs) = bob.address().await;
    let (other, others) = bob.address().await;
    let auxiliary_data = AuxiliaryData::new([(c"name", c"cat.jpg")]).unwrap();
    for length in [0, 1, 1_000_001] {
        let content = content(length);
        let new = NewStream { auxiliary_data: auxiliary_data.clone(), ..new_stream(from, &[to, other]) };
        let opened = alice.open(&Request::StreamCreate(new), &token).await;
        assert_eq!(opened.offset, ByteCount(0));
        let named: Vec<_> = opened.streams.iter().map(|stream| stream.to).collect();
        assert_eq!(named, [to, other].map(Recipient::Address));
        alice.give(&content).await;
        alice.say(&NOTHING, None).await;
        let told = alice.all_news(2).await;
        for stream in opened.streams.iter() {
            let of_it: Vec<_> = told.iter().filter(|(of, _)| of == stream).map(|(_, news)| news).collect();
            assert_eq!(of_it, [&News::Accepted, &News::Delivered], "{length} bytes");
        }
        for (address, token) in [(to, &bobs), (other, &others)] {
            bob.say(&Request::StreamReceive(receive(address, Some(1))), Some(token)).await;
            let arrived = bob.arrived().await;
            let Letterhead { from: sender, to, stream_size, auxiliary_data: beside } = arrived.letterhead;
            assert_eq!((sender, to), (from, Recipient::Address(address)));
            assert_eq!((stream_size.0, beside), (length.try_into().unwrap(), auxiliary_data.clone()));
            assert!(opened.streams.iter().any(|opened| opened.stream == arrived.stream));
            assert!(bob.content().await == content, "{length} bytes");
            assert_eq!(bob.ask(&Request::Taken(Nothing), None).await, Reply::Taken);
        }
        // Both are free for the next.
        assert_eq!(alice.ask(&Request::Cancel(Nothing), None).await, Reply::Ok);
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_taken_is_there_for_the_next_who_may_go_on_where_it_ended() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (address, token) = alice.address().await;
    let content = content(500_000);
    alice.open(&Request::StreamCreate(new_stream(address, &[address])), &token).await;
    alice.give(&content).await;
    alice.say(&NOTHING, None).await;
    alice.all_news(1).await;
    let mut bob = api.client().await;
    bob.say(&Request::StreamReceive(receive(address, Some(1))), Some(&token)).await;
    let arrived = bob.arrived().await;
    let key = StreamKey { from: address, to: arrived.letterhead.to, stream: arrived.stream };
    let mut carol = api.client().await;
    let offset = ByteCount(123_456);
    let resume = Some(ResumedReceive { stream: key.clone(), offset });
    let request = Request::StreamReceive(Receive { resume: resume.clone(), ..receive(address, Some(1)) });
    carol.say(&request, Some(&token)).await;
    // The router may see later than she asks that bob is gone.
    drop(bob);
    let arrived = carol.arrived().await;
    assert_eq!((arrived.offset, arrived.letterhead.stream_size.0), (offset, 500_000));
    assert!(carol.content().await == content[123_456..]);
    assert_eq!(carol.ask(&Request::Taken(Nothing), None).await, Reply::Taken);
    let resume = Receive { resume: resume.clone(), ..receive(address, Some(1)) };
    carol.say(&Request::StreamReceive(resume), Some(&token)).await;
    assert_eq!(carol.refusal().await, RefusalReason::NotFound);
    let without_waiting = Request::StreamReceive(Receive { wait: false, ..receive(address, None) });
    assert_eq!(carol.ask(&without_waiting, Some(&token)).await, Reply::NoStream);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_was_cut_off_goes_on_over_another_connection() {
    let api = Api::new();
    let (mut alice, mut bob) = (api.client().await, api.client().await);
    let (from, token) = alice.address().await;
    let (to, bobs) = bob.address().await;
    let content = content(700_000);
    let opened = alice.open(&Request::StreamCreate(new_stream(from, &[to])), &token).await;
    alice.give(&content[..300_000]).await;
    drop(alice);
    let mut again = api.client().await;
    let resumed = ResumedStream { from, streams: opened.streams.clone(), progress: false };
    let request = Request::StreamResume(resumed.clone());
    // The router may see later than we do that alice is gone.
    let reopened = again.open(&request, &token).await;
    assert_eq!(reopened.streams, opened.streams);
    let offset = usize::try_from(reopened.offset.0).unwrap();
    assert_eq!(offset, 300_000, "all that it had sent was taken");
    again.give(&content[offset..]).await;
    again.say(&NOTHING, None).await;
    assert_eq!(again.all_news(1).await.last().unwrap().1, News::Delivered);
    bob.say(&Request::StreamReceive(receive(to, Some(1))), Some(&bobs)).await;
    bob.arrived().await;
    assert!(bob.content().await == content);
    again.say(&request, Some(&token)).await;
    assert_eq!(again.refusal().await, RefusalReason::NotFound, "it is complete");
    let others = Request::StreamResume(ResumedStream { from: to, ..resumed });
    assert_eq!(again.ask(&others, Some(&token)).await, Reply::Error(ClientError::InvalidAuth));
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_connection_of_a_stream_counts() {
    let api = Api::new();
    let (mut alice, mut again) = (api.client().await, api.client().await);
    let (address, token) = alice.address().await;
    let content = content(200_000);
    let opened = alice.open(&Request::StreamCreate(new_stream(address, &[address])), &token).await;
    alice.give(&content[..100_000]).await;
    let resumed = ResumedStream { from: address, streams: opened.streams.clone(), progress: false };
    let request = Request::StreamResume(resumed);
    // Nobody knows yet that she is gone: what she has said until then may be on its way.
    let reopened = again.open(&request, &token).await;
    assert_eq!(reopened.streams, opened.streams);
    assert_eq!(alice.refusal().await, RefusalReason::InUse);
    assert_eq!(alice.ask(&Request::Cancel(Nothing), None).await, Reply::Ok, "she may ask for something else");
    let offset = usize::try_from(reopened.offset.0).unwrap();
    assert!(offset <= 100_000);
    again.give(&content[offset..]).await;
    again.say(&NOTHING, None).await;
    assert_eq!(again.all_news(1).await.last().unwrap().1, News::Delivered);
    // Where nothing of the content is missing nobody takes it over.
    let mut bob = api.client().await;
    let away = SecretKey::from_seed([9; 32]).address();
    let complete = bob.open(&Request::StreamCreate(new_stream(address, &[away])), &token).await;
    bob.say(&NOTHING, None).await;
    assert_eq!(bob.news().await.1, News::Accepted);
    let resumed = ResumedStream { from: address, streams: complete.streams, progress: false };
    let asked = tokio::time::Instant::now();
    again.say(&Request::StreamResume(resumed), Some(&token)).await;
    assert_eq!(again.refusal().await, RefusalReason::NotFound, "it is complete");
    assert!(asked.elapsed() < Duration::from_secs(5), "at once");
    assert_eq!(bob.ask(&Request::Cancel(Nothing), None).await, Reply::Ok, "its connection goes on");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_may_wait_are_taken_over_too() {
    let api = Api::new();
    let (mut alice, mut again) = (api.client().await, api.client().await);
    let (from, token) = alice.address().await;
    let to: Vec<_> = (101..=120).map(|seed| SecretKey::from_seed([seed; 32]).address()).collect();
    let opened = alice.open(&Request::StreamCreate(new_stream(from, &to)), &token).await;
    alice.give(b"half").await;
    let resumed = ResumedStream { from, streams: opened.streams.clone(), progress: false };
    let reopened = again.open(&Request::StreamResume(resumed), &token).await;
    assert_eq!((reopened.streams, reopened.offset), (opened.streams, ByteCount(4)));
    assert_eq!(alice.refusal().await, RefusalReason::InUse);
    again.give(b"whole").await;
    again.say(&NOTHING, None).await;
    for _ in &to {
        assert_eq!(again.news().await.1, News::Accepted);
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_goodbye_abandons_what_is_not_complete() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (from, token) = alice.address().await;
    let opened = alice.open(&Request::StreamCreate(new_stream(from, &[from])), &token).await;
    alice.give(b"half").await;
    alice.say(&Request::Disconnect(Nothing), None).await;
    assert!(alice.hear().await.is_none());
    let mut again = api.client().await;
    let resumed = ResumedStream { from, streams: opened.streams, progress: false };
    again.say(&Request::StreamResume(resumed), Some(&token)).await;
    assert_eq!(again.refusal().await, RefusalReason::NotFound);
    api.bed.reported(|report| report.streams.sending == 0).await;
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_is_given_up_at_any_time() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (address, token) = alice.address().await;
    let create = Request::StreamCreate(new_stream(address, &[address]));
    // Before the content is complete: nothing of it is left.
    alice.open(&create, &token).await;
    alice.give(&content(200_000)).await;
    assert_eq!(alice.ask(&Request::Cancel(Nothing), None).await, Reply::Ok);
    api.bed.reported(|report| report.streams.sending == 0 && report.streams.receiving == 0).await;
    // Afterwards: it goes on without being told of.
    let away = SecretKey::from_seed([9; 32]).address();
    alice.open(&Request::StreamCreate(new_stream(address, &[away])), &token).await;
    alice.give(b"letter").await;
    alice.say(&NOTHING, None).await;
    assert_eq!(alice.news().await.1, News::Accepted);
    assert_eq!(alice.ask(&Request::Cancel(Nothing), None).await, Reply::Ok);
    api.bed.reported(|report| report.streams.sending == 1).await;
    // While it waits, and while a stream is given.
    let request = Request::StreamReceive(receive(address, None));
    alice.say(&request, Some(&token)).await;
    assert_eq!(alice.ask(&Request::Cancel(Nothing), None).await, Reply::Ok);
    alice.open(&create, &token).await;
    alice.give(b"to take").await;
    alice.say(&NOTHING, None).await;
    alice.all_news(1).await;
    alice.say(&request, Some(&token)).await;
    alice.arrived().await;
    assert_eq!(alice.content().await, b"to take");
    assert_eq!(alice.ask(&Request::Cancel(Nothing), None).await, Reply::Ok);
    alice.say(&request, Some(&token)).await;
    alice.arrived().await;
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_told_and_ends_nothing() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (address, token) = alice.address().await;
    // Content of nothing may have been on its way: it is told once.
    for _ in 0..3 {
        alice.give(b"of nothing").await;
    }
    assert_eq!(alice.refusal().await, RefusalReason::OutOfTurn);
    alice.say(&Request::Taken(Nothing), None).await;
    assert_eq!(alice.refusal().await, RefusalReason::OutOfTurn);
    alice.open(&Request::StreamCreate(new_stream(address, &[address])), &token).await;
    alice.say(&Request::Taken(Nothing), None).await;
    assert_eq!(alice.refusal().await, RefusalReason::OutOfTurn);
    alice.give(b"fits").await;
    alice.say(&NOTHING, None).await;
    alice.all_news(1).await;
    alice.say(&Request::StreamReceive(receive(address, Some(1))), Some(&token)).await;
    alice.arrived().await;
    assert_eq!(alice.content().await, b"fits");
    alice.give(b"does not").await;
    assert_eq!(alice.refusal().await, RefusalReason::OutOfTurn);
    assert_eq!(alice.ask(&Request::Taken(Nothing), None).await, Reply::Taken);
    assert_eq!(alice.ask(&Request::AddressDown(address), Some(&token)).await, Reply::Ok);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_with_its_reason() {
    let api = Api::new();
    let mut alice = api.client().await;
    let (from, token) = alice.address().await;
    let refused = |to: &[Address]| Request::StreamCreate(new_stream(from, to));
    for request in [refused(&[]), refused(&[from, from])] {
        alice.say(&request, Some(&token)).await;
        assert_eq!(alice.refusal().await, RefusalReason::Invalid);
    }
    for (said, content, found) in [(5, "four", 4), (2, "four", 4)] {
        let size = Some(ByteCount(said));
        let new = NewStream { size, ..new_stream(from, &[from]) };
        alice.open(&Request::StreamCreate(new), &token).await;
        alice.give(content.as_bytes()).await;
        alice.say(&NOTHING, None).await;
        assert_eq!(alice.refusal().await, RefusalReason::Size(ByteCount(found)));
    }
    api.bed.reported(|report| report.streams.sending == 0).await;
    let (stranger, _) = alice.address().await;
    for request in [
        Request::StreamCreate(new_stream(stranger, &[from])),
        Request::StreamReceive(receive(stranger, None)),
    ] {
        assert_eq!(alice.ask(&request, Some(&token)).await, Reply::Error(ClientError::InvalidAuth));
        assert_eq!(alice.ask(&request, None).await, Reply::Error(ClientError::InvalidAuth));
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_listed_followed_and_ended() {
    let api = Api::new();
    let (mut alice, mut bob) = (api.client().await, api.client().await);
    let (from, token) = alice.address().await;
    let (to, bobs) = bob.address().await;
    let away = SecretKey::from_seed([9; 32]).address();
    for to in [to, away, away] {
        alice.open(&Request::StreamCreate(new_stream(from, &[to])), &token).await;
        alice.give(b"a letter").await;
        alice.say(&NOTHING, None).await;
        assert_eq!(alice.news().await.1, News::Accepted);
        assert_eq!(alice.ask(&Request::Cancel(Nothing), None).await, Reply::Ok);
    }
    api.bed.reported(|report| report.streams.waiting == 1 && report.streams.sending == 2).await;
    let of = |address, page| Request::StreamQuery(StreamsOf { address, page });
    let pages = |reply| match reply {
        Reply::StreamPage(page) => page,
        other => panic!("{other:?}"),
    };
    let here = pages(bob.ask(&of(to, PageOf::first()), Some(&bobs)).await);
    assert_eq!(here.entries.iter().map(|entry| &entry.stage).collect::<Vec<_>>(), [&Stage::Waiting]);
    assert_eq!((here.entries[0].size, here.next.is_empty()), (Some(ByteCount(8)), true));
    let sent = pages(alice.ask(&of(from, PageOf::first()), Some(&token)).await);
    assert_eq!(sent.entries.len(), 2, "what is delivered is not its any more");
    let one = PageOf { limit: 1, ..PageOf::first() };
    let first = pages(alice.ask(&of(from, one), Some(&token)).await);
    let second =
        pages(alice.ask(&of(from, PageOf { after: first.next.clone(), limit: 1 }), Some(&token)).await);
    assert_eq!([first.entries.to_vec(), second.entries.to_vec()].concat(), sent.entries.to_vec());
    assert!(second.next.is_empty());
    for wrong in [0, 257] {
        alice.say(&of(from, PageOf { limit: wrong, ..PageOf::first() }), Some(&token)).await;
        assert_eq!(alice.refusal().await, RefusalReason::Invalid);
    }
    let key = sent.entries.iter().find(|entry| entry.stage == Stage::Sending).unwrap().stream.clone();
    let mut follower = api.client().await;
    follower.say(&Request::StreamStatus(key.clone()), Some(&token)).await;
    assert_eq!(follower.news().await.1, News::Accepted);
    assert_eq!(
        bob.ask(&Request::StreamDestroy(key.clone()), Some(&bobs)).await,
        Reply::Error(ClientError::InvalidAuth)
    );
    assert_eq!(alice.ask(&Request::StreamDestroy(key.clone()), Some(&token)).await, Reply::Ok);
    assert_eq!(follower.news().await.1, News::Cancelled);
    for request in [Request::StreamDestroy(key.clone()), Request::StreamStatus(key)] {
        alice.say(&request, Some(&token)).await;
        assert_eq!(alice.refusal().await, RefusalReason::NotFound);
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_exact_and_progress_is_told() {
    let api = Api::new();
    let (mut alice, mut bob) = (api.client().await, api.client().await);
    let (from, token) = alice.address().await;
    let (to, bobs) = bob.address().await;
    bob.say(&Request::StreamReceive(receive(to, Some(2))), Some(&bobs)).await;
    for (turn, length) in [10, 3_000_000, 20].into_iter().enumerate() {
        let new = NewStream { progress: true, ..new_stream(from, &[to]) };
        alice.open(&Request::StreamCreate(new), &token).await;
        alice.give(&content(length)).await;
        if length > 1000 {
            // More comes only when some of it is where it is to go.
            loop {
                if let News::Progress(progress) = alice.news().await.1 {
                    assert!(progress.arrived.0 > 0);
                    break;
                }
            }
        }
        alice.say(&NOTHING, None).await;
        alice.all_news(1).await;
        if turn < 2 {
            bob.arrived().await;
            assert!(bob.content().await == content(length));
            assert_eq!(bob.ask(&Request::Taken(Nothing), None).await, Reply::Taken);
        }
    }
    assert_eq!(bob.ask(&Request::Cancel(Nothing), None).await, Reply::Ok, "nothing more came");
    api.bed.reported(|report| report.streams.waiting == 1).await;
    api.end().await;
}
