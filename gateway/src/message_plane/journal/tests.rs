// SPDX-License-Identifier: AGPL-3.0-or-later

mod full_disk;

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::store::StoreConfig;

struct Bed {
    dir: tempfile::TempDir,
    journal: Journal,
    heard: Receiver<Completion>,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
        let (say, heard) = channel();
        let done = move |completion| _ = say.send(completion);
        Self { dir, journal: Journal::new(StoreThread::start(store, done).unwrap()), heard }
    }

    fn commit(&mut self, id: u64, writes: Vec<Write>) {
        assert!(self.journal.has_room());
        self.journal.hand_in(StoreRequest::Commit { id, writes });
    }

    /// What the store has done next, as the machine hears it.
    fn next(&mut self) -> Option<Done> {
        let completion = self.heard.recv_timeout(Duration::from_secs(60)).unwrap();
        self.journal.completed(completion)
    }

    fn committed(&mut self, id: u64) {
        assert_eq!(self.next(), Some(Done::Committed { id, durable: true }));
    }

    /// Ends the threads; what the store holds then, table by table.
    fn end(self) -> (tempfile::TempDir, Store) {
        drop(self.journal);
        let store = Store::open(self.dir.path(), &StoreConfig::default()).unwrap();
        (self.dir, store)
    }
}

fn keys(store: &Store, table: Table) -> Vec<Key> {
    store.scan(table, Key::EMPTY).map(|entry| entry.unwrap().0).collect()
}

const GROUP: GroupNumber = GroupNumber(7);

fn entry(number: u32) -> Write {
    Write::Entry { group: GROUP, number, name: [9; 32], bytes: number.to_be_bytes().to_vec() }
}

#[test]
fn groups_and_entries_lie_where_the_layout_says() {
    let mut bed = Bed::new();
    bed.commit(1, vec![entry(0), entry(258), Write::Group { group: GROUP, record: b"record".to_vec() }]);
    bed.committed(1);
    bed.journal.hand_in(StoreRequest::Read { id: 2, group: GROUP, number: 258 });
    assert_eq!(bed.next(), Some(Done::Read { id: 2, entry: Some(vec![0, 0, 1, 2]) }));
    bed.journal.hand_in(StoreRequest::Read { id: 3, group: GROUP, number: 1 });
    assert_eq!(bed.next(), Some(Done::Read { id: 3, entry: None }));
    bed.commit(4, vec![Write::RemoveEntry { group: GROUP, number: 0 }]);
    bed.committed(4);
    let (_dir, store) = bed.end();
    let found: Vec<_> = store.scan(Table::References, Key::EMPTY).map(Result::unwrap).collect();
    assert_eq!(found, [(Key::entry(7, 258), [&[9; 32][..], &[0, 0, 0, 4]].concat())]);
    assert_eq!(entry_of(&found[0].0, &found[0].1), Some(((GROUP, 258), [9; 32], 4)));
    assert_eq!(keys(&store, Table::Blocks), [Key::entry(7, 258)]);
    assert_eq!(store.get(Table::Streams, &Key::group(7)).unwrap().unwrap(), b"record");
}

#[test]
fn a_reference_of_another_form_is_none() {
    let key = Key::entry(7, 1);
    assert_eq!(entry_of(&key, &[0; 35]), None);
    assert_eq!(entry_of(&key, &[0; 37]), None);
    assert_eq!(entry_of(&key, &[]), None);
}

#[test]
fn a_small_group_goes_with_its_record_at_once() {
    let mut bed = Bed::new();
    let other = Write::Entry { group: GroupNumber(8), number: 0, name: [1; 32], bytes: vec![1] };
    bed.commit(1, (0..PART).map(entry).chain([other]).collect());
    bed.committed(1);
    bed.commit(2, vec![Write::RemoveGroup { group: GROUP, entries: PART, record: true }]);
    bed.committed(2);
    let (_dir, store) = bed.end();
    assert_eq!(keys(&store, Table::Blocks), [Key::entry(8, 0)]);
    assert_eq!(keys(&store, Table::References), [Key::entry(8, 0)]);
}

#[test]
fn a_large_group_goes_in_parts_and_others_get_their_turn() {
    let mut bed = Bed::new();
    let record = Write::Group { group: GROUP, record: vec![1] };
    bed.commit(1, (0..3 * PART + 1).map(entry).chain([record]).collect());
    bed.committed(1);
    let remove = Write::RemoveGroup { group: GROUP, entries: 3 * PART + 1, record: true };
    bed.commit(2, vec![remove]);
    bed.committed(2);
    let mut parts = 0;
    for id in 3..9 {
        bed.commit(id, vec![Write::Group { group: GroupNumber(id), record: vec![2] }]);
        while bed.next().is_none() {
            parts += 1;
        }
    }
    assert!(parts <= 4, "{parts}");
    while parts < 4 {
        assert_eq!(bed.next(), None);
        parts += 1;
    }
    let (_dir, store) = bed.end();
    assert_eq!(keys(&store, Table::Blocks), []);
    assert_eq!(keys(&store, Table::References), []);
    assert_eq!(keys(&store, Table::Streams).len(), 6);
}

#[test]
fn what_a_cut_removal_left_goes_at_the_next_start() {
    let mut bed = Bed::new();
    let record = Write::Group { group: GroupNumber(8), record: vec![1] };
    let kept = Write::Entry { group: GroupNumber(8), number: 0, name: [1; 32], bytes: vec![1] };
    bed.commit(1, vec![entry(0), entry(1), record, kept]);
    bed.committed(1);
    let (_dir, store) = bed.end();
    let mut streams =
        Streams::new(Default::default(), std::sync::Arc::new(ratman_types::Ed25519Verifier), [1; 32]);
    restore(&store, &mut streams).unwrap();
    assert_eq!(keys(&store, Table::Blocks), [Key::entry(8, 0)]);
    assert_eq!(keys(&store, Table::References), [Key::entry(8, 0)]);
}

#[test]
fn what_the_store_has_no_room_for_waits_and_keeps_its_place() {
    let mut bed = Bed::new();
    let large = |number| Write::Entry { group: GROUP, number, name: [3; 32], bytes: vec![1; 60_000] };
    let mut handed = 0;
    while bed.journal.has_room() {
        let writes = (0..16).map(|number| large(16 * u32::try_from(handed).unwrap() + number)).collect();
        bed.commit(handed, writes);
        handed += 1;
        assert!(handed < 10_000, "the store takes no end of it");
    }
    for id in 0..handed {
        bed.committed(id);
    }
    assert!(bed.journal.has_room());
    assert_eq!(keys(&bed.end().1, Table::Blocks).len(), 16 * usize::try_from(handed).unwrap());
}
