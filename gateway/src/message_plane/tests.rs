// SPDX-License-Identifier: AGPL-3.0-or-later

use std::time::Duration;

use gateway_core::flow::HashSeed;
use ratman_types::{Address, ByteCount, Recipient, Signer};
use ratman_wire::stream::Lifetime;
use router_core::stream::{Ended, Routing};

use super::*;

mod takers;
use crate::forward::notices;

/// A message plane without links: what is sent to its own address comes back.
pub(crate) struct Bed {
    pub(crate) plane: MessagePlane,
    dir: tempfile::TempDir,
}

pub(crate) fn own() -> Address {
    SecretKey::from_seed([1; 32]).address()
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::start(tempfile::tempdir().unwrap())
    }

    fn start(dir: tempfile::TempDir) -> Self {
        let local = Local { key: Arc::new(SecretKey::from_seed([1; 32])), initial_hops: 60 };
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let restored = Restored::open(dir.path(), StreamsConfig::default(), local, seed).unwrap();
        let ways = Arc::new(Ways::default());
        let (control, _notices) = notices();
        let streams = Some(restored.inlet().clone());
        let seeds = (HashSeed::from_bytes([5; 16]), [6; 16]);
        let forwarder = Forwarder::new(Clock, Arc::clone(&ways), None, (control, streams), seeds);
        Self { plane: restored.start(Arc::new(forwarder), ways).unwrap(), dir }
    }

    /// Ends it in order and starts it again.
    fn restart(self) -> Self {
        self.plane.end();
        Self::start(self.dir)
    }

    /// Waits until the report is as expected.
    pub(crate) async fn reported(&self, expected: impl Fn(&PlaneReport) -> bool) {
        let waiting = async {
            while !expected(&self.plane.door().report()) {
                // Anything that happens renews the report.
                self.plane.door().inlet().routes_changed();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
    }

    async fn begin(&self, to: Address) -> Sending {
        self.plane.clients().send(outgoing(to, None)).await.unwrap().unwrap()
    }

    async fn send(&self, to: Address, content: &[u8]) -> Sending {
        let sending = self.begin(to).await;
        for piece in content.chunks(50_000) {
            sending.write(piece.to_vec()).await.unwrap().unwrap();
        }
        sending.finish().await.unwrap().unwrap();
        sending
    }
}

fn outgoing(to: Address, size: Option<ByteCount>) -> Outgoing {
    let (recipient, lifetime, routing) = (Recipient::Address(to), Lifetime::MAX, Routing::Push);
    Outgoing { recipient, size, lifetime, routing, auxiliary_data: Default::default() }
}

/// Content in which no two blocks are alike.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length.div_ceil(8)).flat_map(|word| (word * 0x9e37_79b9).to_be_bytes()).take(length).collect()
}

fn of(sender: Address) -> Wanted {
    Wanted { from: Some(sender), ..Wanted::any() }
}

async fn read_from(bed: &Bed, held: &Held, offset: u64) -> (Vec<u8>, Result<(), ContentError>) {
    let mut pieces = bed.plane.clients().pieces(held.arrival(), ByteCount(offset));
    let mut read = Vec::new();
    while let Some(piece) = pieces.next().await {
        assert!(!piece.is_empty());
        read.extend(piece);
    }
    (read, pieces.end().unwrap())
}

async fn read(bed: &Bed, held: &Held) -> Vec<u8> {
    let (read, end) = read_from(bed, held, 0).await;
    end.unwrap();
    read
}

#[tokio::test]
async fn content_of_any_size_is_accepted_delivered_and_taken_once() {
    let bed = Bed::new();
    for length in [0, 1, 255, 256, 70_000, 3_000_000] {
        let content = content(length);
        let mut sending = bed.send(own(), &content).await;
        let held = bed.plane.clients().receive(Wanted::any()).await.unwrap().unwrap();
        assert_eq!((held.arrival().key.sender, held.arrival().size.0), (own(), length.try_into().unwrap()));
        assert_eq!(read(&bed, &held).await, content);
        held.take().await.unwrap().unwrap();
        let mut told = Vec::new();
        while let Some(news) = sending.told(false).await {
            told.push(news);
        }
        assert_eq!(told, [News::Accepted, News::Ended(Ended::Delivered)].map(Told::News), "{length} bytes");
        assert!(bed.plane.clients().receive(Wanted::default()).await.unwrap().is_none());
    }
    bed.reported(|report| report.streams.sending == 0 && report.streams.waiting == 0).await;
    bed.plane.end();
}

#[tokio::test]
async fn content_is_read_from_any_byte_on() {
    let bed = Bed::new();
    for length in [100_usize, 300_000] {
        let content = content(length);
        let _sending = bed.send(own(), &content).await;
        let held = bed.plane.clients().receive(Wanted::any()).await.unwrap().unwrap();
        for offset in [0, 1, 99, length / 2, length - 1, length, length + 1] {
            let (rest, end) = read_from(&bed, &held, offset.try_into().unwrap()).await;
            end.unwrap();
            assert_eq!(rest, content.get(offset..).unwrap_or_default(), "from {offset} of {length}");
        }
        held.take().await.unwrap().unwrap();
    }
    bed.plane.end();
}

#[tokio::test(flavor = "current_thread")]
async fn slow_clients_keep_no_thread() {
    let bed = Bed::new();
    let _sending = bed.send(own(), &content(1_000_000)).await;
    let held = bed.plane.clients().receive(Wanted::any()).await.unwrap().unwrap();
    // More than tokio has threads for the disk.
    let mut slow: Vec<_> =
        (0..600).map(|_| bed.plane.clients().pieces(held.arrival(), ByteCount(0))).collect();
    for pieces in &mut slow {
        assert!(pieces.next().await.is_some());
    }
    assert_eq!(read(&bed, &held).await.len(), 1_000_000);
    bed.plane.end();
}

#[tokio::test]
async fn no_two_clients_have_the_same_stream_and_who_leaves_gives_it_back() {
    let bed = Bed::new();
    let clients = bed.plane.clients().clone();
    let _sending = bed.send(own(), b"one").await;
    let held = clients.receive(Wanted::any()).await.unwrap().unwrap();
    assert!(clients.receive(Wanted::default()).await.unwrap().is_none());
    let waiting = tokio::spawn({
        let clients = clients.clone();
        async move { clients.receive(of(own())).await.unwrap().unwrap() }
    });
    let other = Address::from_bytes([7; 32]);
    let gone = tokio::time::timeout(Duration::from_millis(1), clients.receive(of(own()))).await;
    assert!(gone.is_err());
    drop(held);
    let held = waiting.await.unwrap();
    assert_eq!(read(&bed, &held).await, b"one");
    drop(held);
    assert!(clients.receive(Wanted { wait: false, ..of(other) }).await.unwrap().is_none());
    let held = clients.receive(of(own())).await.unwrap().unwrap();
    held.take().await.unwrap().unwrap();
    assert!(clients.receive(Wanted::default()).await.unwrap().is_none());
    bed.plane.end();
}

#[tokio::test]
async fn who_does_not_wait_takes_nobodys_turn() {
    let bed = Bed::new();
    let clients = bed.plane.clients().clone();
    let of_another = Address::from_bytes([7; 32]);
    let mut waiting = std::pin::pin!(clients.receive(of(of_another)));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let mut sending = bed.send(own(), b"one").await;
    while sending.told(false).await.is_some() {}
    let held = clients.receive(Wanted::default()).await.unwrap().unwrap();
    assert_eq!(read(&bed, &held).await, b"one");
    assert!(futures_util::poll!(&mut waiting).is_pending(), "that was not for it");
    bed.plane.end();
}

#[tokio::test]
async fn what_was_accepted_and_what_was_not_taken_is_there_after_a_restart() {
    let bed = Bed::new();
    let content = content(200_000);
    let away = SecretKey::from_seed([9; 32]).address();
    let mut sending = bed.send(away, &content).await;
    assert_eq!(sending.told(false).await, Some(Told::News(News::Accepted)));
    drop(sending);
    let _to_ourselves = bed.send(own(), &content).await;
    drop(bed.plane.clients().receive(Wanted::any()).await.unwrap().unwrap());
    let bed = bed.restart();
    let held = bed.plane.clients().receive(Wanted::any()).await.unwrap().unwrap();
    assert_eq!(read(&bed, &held).await, content);
    held.take().await.unwrap().unwrap();
    let bed = bed.restart();
    assert!(bed.plane.clients().receive(Wanted::default()).await.unwrap().is_none(), "taken for good");
    bed.reported(|report| report.streams.sending == 1).await;
    bed.plane.end();
}

#[tokio::test]
async fn a_client_that_leaves_before_the_end_abandons_its_stream() {
    let bed = Bed::new();
    let sending = bed.begin(own()).await;
    sending.write(content(60_000)).await.unwrap().unwrap();
    bed.reported(|report| report.streams.sending == 1).await;
    drop(sending);
    bed.reported(|report| report.streams.sending == 0).await;
    assert!(bed.plane.clients().receive(Wanted::default()).await.unwrap().is_none());
    bed.plane.end();
}

#[tokio::test]
async fn what_was_said_of_the_size_must_be_so() {
    let bed = Bed::new();
    let clients = bed.plane.clients();
    let sending = clients.send(outgoing(own(), Some(ByteCount(5)))).await.unwrap().unwrap();
    sending.write(b"four".to_vec()).await.unwrap().unwrap();
    let error = sending.finish().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the content was to have 5 bytes, and has 4");
    bed.plane.end();
}

#[tokio::test]
async fn a_damaged_block_is_told_and_not_given_out() {
    let bed = Bed::new();
    let _sending = bed.send(own(), &content(100_000)).await;
    let held = bed.plane.clients().receive(Wanted::any()).await.unwrap().unwrap();
    let store = bed.plane.clients().store();
    let key = crate::store::Key::entry(held.arrival().group.0, 1);
    let table = crate::store::Table::Blocks;
    let mut block = store.get(table, &key).unwrap().unwrap();
    block[17] ^= 1;
    store.commit(&[crate::store::Change::Put { table, key, value: block }]).unwrap();
    let (given, error) = read_from(&bed, &held, 0).await;
    assert!(matches!(error, Err(ContentError::Block(_))), "{error:?}");
    assert!(given.len() < 100_000);
    bed.plane.end();
}

#[tokio::test]
async fn clients_hear_of_the_end() {
    let Bed { plane, .. } = Bed::new();
    let clients = plane.clients().clone();
    let waiting = tokio::spawn({
        let clients = clients.clone();
        async move { clients.receive(Wanted::any()).await.map(drop) }
    });
    assert!(clients.receive(Wanted::default()).await.unwrap().is_none());
    plane.end();
    assert_eq!(waiting.await.unwrap(), Err(Ending.into()));
    assert_eq!(clients.receive(Wanted::default()).await.map(drop), Err(Ending.into()));
}
