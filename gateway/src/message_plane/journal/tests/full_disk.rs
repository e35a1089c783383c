// SPDX-License-Identifier: AGPL-3.0-or-later
//! The journal on a disk that has no room for a while: what was removed meanwhile goes, and does not come back at the next start.

use std::sync::Arc;

use ratman_types::{Ed25519Verifier, Now, Recipient, SecretKey, Signer, Timestamp, WallTime};
use ratman_wire::stream::Lifetime;
use router_core::stream::Routing;
use router_core::streams::{NewStream, StreamEvent, StreamKey};

use super::*;
use crate::store::simulated::Simulated;

/// The machine and its journal on a simulated disk, in simulated time.
struct Plane {
    streams: Streams,
    journal: Journal,
    heard: Receiver<Completion>,
    seconds: u64,
    events: Vec<StreamEvent>,
    unanswered: usize,
}

fn own() -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed([1; 32]))
}

impl Plane {
    fn start(disk: &Simulated, seconds: u64) -> Self {
        let store = disk.open_store();
        let mut streams = Streams::new(Default::default(), Arc::new(Ed25519Verifier), [3; 32]);
        streams.add_local(own(), 60);
        restore(&store, &mut streams).unwrap();
        let (say, heard) = channel();
        let journal = Journal::new(StoreThread::start(store, move |done| _ = say.send(done)).unwrap());
        let mut plane = Self { streams, journal, heard, seconds, events: Vec::new(), unanswered: 0 };
        plane.streams.restored(plane.now());
        plane
    }

    fn now(&self) -> Now {
        let micros = self.seconds * 1_000_000;
        let wall = WallTime::from_micros(1_800_000_000_000_000 + micros);
        Now { at: Timestamp::from_micros(micros), wall }
    }

    /// Until nothing is left to be done at this time.
    fn settle(&mut self) {
        let now = self.now();
        self.streams.handle_timeout(now);
        loop {
            while self.streams.poll_transmit(now).is_some() {}
            while self.journal.has_room()
                && let Some(request) = self.streams.poll_store()
            {
                self.unanswered += 1;
                self.journal.hand_in(request);
            }
            self.events.extend(std::iter::from_fn(|| self.streams.poll_event()));
            if self.unanswered == 0 {
                return;
            }
            let completion = self.heard.recv_timeout(Duration::from_secs(60)).unwrap();
            let Some(done) = self.journal.completed(completion) else { continue };
            self.unanswered -= 1;
            match done {
                Done::Committed { id, durable } => self.streams.handle_committed(id, durable, now),
                Done::Read { id, entry } => self.streams.handle_read(id, entry, now),
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.seconds += seconds;
        self.settle();
    }

    /// Sends to ourselves.
    fn send(&mut self, content: &[u8]) -> StreamKey {
        let (now, address) = (self.now(), own().address());
        let (recipient, lifetime) = (Recipient::Address(address), Lifetime::from_secs(86_400).unwrap());
        let new = NewStream {
            sender: address,
            recipient,
            size: None,
            lifetime,
            routing: Routing::Push,
            auxiliary_data: Default::default(),
        };
        let key = self.streams.send(new, now).unwrap();
        let mut rest = content;
        while !rest.is_empty() {
            let taken = self.streams.write(&key, rest, now).unwrap();
            rest = &rest[taken..];
            self.settle();
        }
        self.streams.finish(&key, now).unwrap();
        self.settle();
        key
    }
}

#[test]
fn what_was_taken_on_a_full_disk_is_gone_at_the_next_start() {
    let disk = Simulated::new();
    let mut plane = Plane::start(&disk, 100);
    let (small, large) = (plane.send(&[1; 20_000]), plane.send(&content_of(2 * PART)));
    assert_eq!(plane.streams.arrivals().count(), 2);
    disk.set_room(Some(0));
    for key in [small, large] {
        plane.streams.taken(&key, plane.now());
        plane.settle();
        assert_eq!(plane.events.last(), Some(&StreamEvent::Taken { key, durable: false }));
    }
    // Hours of it.
    for _ in 0..1_000 {
        plane.pass(10);
        let owed = plane.streams.status().removals_owed;
        assert!((1..10).contains(&owed), "{owed}");
    }
    disk.set_room(None);
    plane.pass(10);
    assert_eq!(plane.streams.status().removals_owed, 0);
    let seconds = plane.seconds;
    drop(plane);
    let mut plane = Plane::start(&disk, seconds);
    assert_eq!(plane.streams.arrivals().count(), 0);
    // The end cut the removal of the large one short.
    plane.settle();
    drop(plane);
    let store = disk.open_store();
    assert_eq!(keys(&store, Table::Blocks), []);
    assert_eq!(keys(&store, Table::Streams).len(), 2, "that they are not to come again");
}

/// Content of so many blocks of 32 KiB, all different.
fn content_of(blocks: u32) -> Vec<u8> {
    (0..blocks * 32 * 256).flat_map(u32::to_be_bytes).collect()
}

#[test]
fn a_part_that_was_not_removed_is_tried_again_with_what_others_store() {
    let disk = Simulated::new();
    let (say, heard) = channel();
    let store = StoreThread::start(disk.open_store(), move |completion| _ = say.send(completion)).unwrap();
    let mut bed = Bed { dir: tempfile::tempdir().unwrap(), journal: Journal::new(store), heard };
    bed.commit(1, (0..2 * PART + 1).map(entry).collect());
    bed.committed(1);
    bed.commit(2, vec![Write::RemoveGroup { group: GROUP, entries: 2 * PART + 1, record: true }]);
    let removed = bed.heard.recv_timeout(Duration::from_secs(60)).unwrap();
    disk.set_room(Some(0));
    assert_eq!(bed.journal.completed(removed), Some(Done::Committed { id: 2, durable: true }));
    assert_eq!(bed.next(), None, "the part fails");
    let commit = |bed: &mut Bed, id, durable| {
        bed.commit(id, vec![Write::RemoveEntry { group: GroupNumber(1), number: 0 }]);
        // Between them the part is tried again, where the disk can be read.
        let done = std::iter::repeat_with(|| bed.next()).find_map(|done| done);
        assert_eq!(done, Some(Done::Committed { id, durable }));
    };
    (3..50).for_each(|id| commit(&mut bed, id, false));
    assert_eq!(bed.journal.leaving.len(), 1);
    disk.set_room(None);
    commit(&mut bed, 50, true);
    while !bed.journal.leaving.is_empty() {
        assert_eq!(bed.next(), None);
    }
    drop(bed);
    assert_eq!(keys(&disk.open_store(), Table::References), []);
}
