// SPDX-License-Identifier: AGPL-3.0-or-later
//! Addresses that take part in namespaces, and whose turn it is.

use super::*;
use futures_util::poll;
use ratman_types::Namespace;
use router_core::streams::StreamKey;
use std::pin::pin;

const A_DAY: Lifetime = Lifetime::MAX_FLOODED;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn namespace() -> Namespace {
    Namespace::from_bytes(key(60).public())
}

impl Bed {
    /// An address of a client, up.
    fn address(&self, seed: u8) -> Address {
        let key = Arc::new(key(seed));
        let address = key.address();
        self.plane.door().inlet().local_up(key, 60);
        address
    }

    async fn join(&self, member: Address) {
        let clients = self.plane.clients();
        assert_eq!(clients.know_namespace(key(60), member).await.unwrap(), Ok(namespace()));
        clients.join_namespace(namespace(), member).await.unwrap().unwrap();
    }

    async fn publish(&self, content: &[u8]) -> StreamKey {
        let recipient = Recipient::Namespace(namespace());
        let new = Outgoing { recipient, lifetime: A_DAY, ..outgoing(own(), None) };
        let sending = self.plane.clients().send(new).await.unwrap().unwrap();
        sending.write(content.to_vec()).await.unwrap().unwrap();
        sending.finish().await.unwrap().unwrap();
        *sending.key()
    }

    /// What an address's clients get at once, given back.
    async fn here(&self, by: Address) -> Option<StreamKey> {
        let wanted = Wanted { by: Some(by), ..Wanted::default() };
        self.plane.clients().receive(wanted).await.unwrap().map(|held| held.arrival().key)
    }
}

fn for_(by: Address) -> Wanted {
    Wanted { by: Some(by), ..Wanted::any() }
}

#[tokio::test]
async fn each_address_in_a_namespace_has_its_streams_once_also_after_a_restart() {
    let bed = Bed::new();
    let [one, other] = [51, 52].map(|seed| bed.address(seed));
    for member in [one, other] {
        bed.join(member).await;
    }
    let first = bed.publish(b"first").await;
    let clients = bed.plane.clients().clone();
    let of_one = clients.receive(for_(one)).await.unwrap().unwrap();
    let of_other = clients.receive(for_(other)).await.unwrap().unwrap();
    assert_eq!((of_one.arrival().key, of_other.arrival().key), (first, first));
    of_one.take().await.unwrap().unwrap();
    drop(of_other);
    assert_eq!((bed.here(one).await, bed.here(other).await), (None, Some(first)));
    let bed = bed.restart();
    let [one, other] = [51, 52].map(|seed| bed.address(seed));
    for member in [one, other] {
        bed.join(member).await;
    }
    assert_eq!((bed.here(one).await, bed.here(other).await), (None, Some(first)));
    let held = bed.plane.clients().receive(for_(other)).await.unwrap().unwrap();
    held.take().await.unwrap().unwrap();
    assert_eq!((bed.here(one).await, bed.here(other).await), (None, None));
    bed.reported(|report| report.streams.waiting == 0).await;
    bed.plane.end();
}

#[tokio::test]
async fn what_the_rest_have_taken_is_over_when_the_last_other_leaves() {
    for goes_down in [false, true] {
        let bed = Bed::new();
        let [one, other] = [51, 52].map(|seed| bed.address(seed));
        for member in [one, other] {
            bed.join(member).await;
        }
        bed.publish(b"post").await;
        let clients = bed.plane.clients().clone();
        clients.receive(for_(one)).await.unwrap().unwrap().take().await.unwrap().unwrap();
        bed.reported(|report| report.streams.waiting == 1).await;
        if goes_down {
            // Down alone does not do: it may come up again, and have it.
            bed.plane.door().inlet().local_down(other);
            assert_eq!(bed.here(one).await, None);
            bed.reported(|report| report.streams.waiting == 1).await;
            bed.plane.door().inlet().forget(other);
        } else {
            assert!(clients.leave_namespace(namespace(), other).await.unwrap());
        }
        bed.reported(|report| report.streams.waiting == 0).await;
        assert!(!clients.leave_namespace(namespace(), other).await.unwrap());
        bed.plane.end();
    }
}

#[tokio::test]
async fn nothing_is_kept_for_a_namespace_whose_key_the_last_member_forgets() {
    let bed = Bed::new();
    let [one, other] = [51, 52].map(|seed| bed.address(seed));
    for member in [one, other] {
        bed.join(member).await;
    }
    let clients = bed.plane.clients().clone();
    assert!(clients.leave_namespace(namespace(), one).await.unwrap());
    // The one that left has shown the key, too: it stays known.
    assert_eq!(clients.forget_namespace(namespace(), other).await.unwrap(), Ok(true));
    bed.publish(b"for nobody").await;
    // What is sent afterwards is there before long, and nothing beside it.
    let _sending = bed.send(own(), b"letter").await;
    let held = clients.receive(for_(own())).await.unwrap().unwrap();
    bed.reported(|report| report.streams.waiting == 1).await;
    held.take().await.unwrap().unwrap();
    bed.reported(|report| report.streams.waiting == 0).await;
    bed.plane.end();
}

#[tokio::test]
async fn all_that_is_over_ends_however_much_it_is() {
    let bed = Bed::new();
    let [one, other] = [51, 52].map(|seed| bed.address(seed));
    for member in [one, other] {
        bed.join(member).await;
    }
    let clients = bed.plane.clients().clone();
    for turn in 0..200_u8 {
        bed.publish(&[turn]).await;
        let held = clients.receive(for_(one)).await.unwrap().unwrap();
        if turn != 77 {
            held.take().await.unwrap().unwrap();
        }
    }
    bed.reported(|report| report.streams.waiting == 200).await;
    assert!(clients.leave_namespace(namespace(), other).await.unwrap());
    bed.reported(|report| report.streams.waiting == 1).await;
    assert!(bed.here(one).await.is_some());
    bed.plane.end();
}

#[tokio::test]
async fn who_took_part_before_a_restart_has_what_came_when_it_is_back_after_the_others() {
    for comes_back in [false, true] {
        let bed = Bed::new();
        let [one, other] = [51, 52].map(|seed| bed.address(seed));
        for member in [one, other] {
            bed.join(member).await;
        }
        let post = bed.publish(b"post").await;
        bed.reported(|report| report.streams.waiting == 1).await;
        let bed = bed.restart();
        for (seed, member) in [(51, one), (52, other)] {
            bed.address(seed);
            bed.plane.door().inlet().took_part(member, vec![namespace()]);
        }
        bed.join(one).await;
        let clients = bed.plane.clients().clone();
        clients.receive(for_(one)).await.unwrap().unwrap().take().await.unwrap().unwrap();
        assert_eq!(bed.here(other).await, None, "it has not shown the key");
        bed.reported(|report| report.streams.waiting == 1).await;
        if comes_back {
            bed.join(other).await;
            let held = clients.receive(for_(other)).await.unwrap().unwrap();
            assert_eq!(held.arrival().key, post);
            held.take().await.unwrap().unwrap();
        } else {
            assert!(clients.leave_namespace(namespace(), other).await.unwrap());
        }
        bed.reported(|report| report.streams.waiting == 0).await;
        bed.plane.end();
    }
}

#[tokio::test]
async fn who_waits_is_served_when_its_address_takes_part() {
    let bed = Bed::new();
    let [one, late] = [51, 52].map(|seed| bed.address(seed));
    bed.join(one).await;
    let post = bed.publish(b"post").await;
    bed.reported(|report| report.streams.waiting == 1).await;
    let clients = bed.plane.clients().clone();
    let refused = clients.join_namespace(namespace(), late).await.unwrap();
    assert_eq!(refused, Err(NamespaceError::Unknown), "it has not shown the key");
    let mut waiting = pin!(clients.receive(for_(late)));
    assert!(poll!(&mut waiting).is_pending());
    bed.join(late).await;
    assert_eq!(waiting.await.unwrap().unwrap().arrival().key, post);
    bed.plane.end();
}

#[tokio::test]
async fn an_address_that_is_taken_down_says_so_to_who_waits_for_it() {
    let bed = Bed::new();
    let [one, other] = [51, 52].map(|seed| bed.address(seed));
    let clients = bed.plane.clients().clone();
    let mut of_other = pin!(clients.receive(for_(other)));
    assert!(poll!(&mut of_other).is_pending());
    let mut of_one = pin!(clients.receive(for_(one)));
    assert!(poll!(&mut of_one).is_pending());
    bed.plane.door().inlet().local_down(one);
    assert_eq!(of_one.await.map(drop), Err(ReceiveError::Down));
    assert_eq!(clients.receive(for_(one)).await.map(drop), Err(ReceiveError::Down), "and later, too");
    assert_eq!(clients.join_namespace(namespace(), one).await.unwrap(), Err(NamespaceError::Down));
    assert!(poll!(&mut of_other).is_pending());
    bed.plane.end();
}

#[tokio::test]
async fn who_goes_first_is_served_before_who_waits_longer() {
    let bed = Bed::new();
    let one = bed.address(51);
    let clients = bed.plane.clients().clone();
    let mut usual = pin!(clients.receive(for_(one)));
    assert!(poll!(&mut usual).is_pending());
    let mut first = pin!(clients.receive(Wanted { first: true, ..for_(one) }));
    assert!(poll!(&mut first).is_pending());
    let _sending = bed.send(one, b"one").await;
    let held = first.await.unwrap().unwrap();
    assert!(poll!(&mut usual).is_pending());
    let _sending = bed.send(one, b"two").await;
    let next = usual.await.unwrap().unwrap();
    assert_ne!(held.arrival().key, next.arrival().key);
    assert_eq!((read(&bed, &held).await, read(&bed, &next).await), (b"one".to_vec(), b"two".to_vec()));
    bed.plane.end();
}

#[tokio::test]
async fn one_stream_alone_and_the_oldest_of_all_recipients() {
    let bed = Bed::new();
    let one = bed.address(51);
    bed.join(one).await;
    let post = bed.publish(b"post").await;
    bed.reported(|report| report.streams.waiting == 1).await;
    let sending = bed.send(one, b"letter").await;
    let letter = *sending.key();
    bed.reported(|report| report.streams.waiting == 2).await;
    assert_eq!(bed.here(one).await, Some(post), "it came first");
    let clients = bed.plane.clients().clone();
    for key in [letter, post] {
        let only = Wanted { stream: Some(key), wait: false, ..for_(one) };
        assert_eq!(clients.receive(only).await.unwrap().unwrap().arrival().key, key);
        let only = Wanted { to: Some(key.recipient), wait: false, ..for_(one) };
        assert_eq!(clients.receive(only).await.unwrap().unwrap().arrival().key, key);
    }
    let elsewhere = StreamKey { stream: ratman_wire::stream::StreamId::from_bytes([9; 32]), ..post };
    let another = Wanted { stream: Some(elsewhere), ..for_(one) };
    let none = clients.receive(Wanted { wait: false, ..another }).await.unwrap();
    assert!(none.is_none());
    bed.plane.end();
}

#[tokio::test]
async fn what_is_sent_is_listed_followed_and_ended_by_its_address() {
    let bed = Bed::new();
    let one = bed.address(51);
    let away = key(99).address();
    let clients = bed.plane.clients().clone();
    let sending = clients.send_as(one, outgoing(away, None)).await.unwrap().unwrap();
    let stream = *sending.key();
    sending.write(b"letter".to_vec()).await.unwrap().unwrap();
    let mut following = clients.follow(stream).await.unwrap().unwrap();
    sending.finish().await.unwrap().unwrap();
    assert_eq!(following.told().await, Some(News::Accepted));
    let mut later = clients.follow(stream).await.unwrap().unwrap();
    assert_eq!(later.told().await, Some(News::Accepted), "what happened before");
    let _to_itself = clients.send_as(one, outgoing(one, None)).await.unwrap().unwrap();
    let _of_others = bed.send(own(), b"other").await;
    let (listed, next) = clients.list_of(one, None, 10).await.unwrap();
    assert_eq!(next, None, "nothing follows");
    assert!(listed.iter().all(|listed| listed.key.sender == one));
    assert_eq!(listed.len(), 2);
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = clients.list_of(one, after, 1).await.unwrap();
        assert_eq!(page.len(), 1);
        paged.extend(page);
        let Some(next) = next else { break };
        after = Some(next);
    }
    assert_eq!(paged, listed);
    assert!(!clients.end(stream, own()).await.unwrap(), "it is of another");
    assert!(clients.end(stream, one).await.unwrap());
    assert!(!clients.end(stream, one).await.unwrap());
    let ended = Some(News::Ended(Ended::Withdrawn));
    assert_eq!((following.told().await, later.told().await), (ended.clone(), ended));
    assert!(clients.follow(stream).await.unwrap().is_none());
    bed.plane.end();
}
