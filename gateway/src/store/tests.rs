// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a store keeps, how much it takes, and what it does with files that it cannot read.

mod along;
mod kill;
mod power_loss;
mod threads;

use std::os::unix::fs::{FileExt, PermissionsExt};

use super::simulated::{Chance, Simulated};
use super::*;

const BLOCK: usize = 32 * 1024;

fn open(dir: &Path) -> Store {
    Store::open(dir, &StoreConfig::default()).unwrap()
}

fn put(table: Table, key: Key, value: &[u8]) -> Change {
    Change::Put { table, key, value: value.to_vec() }
}

/// Bytes that nothing compresses, other ones for each seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut chance = Chance(seed);
    let words = std::iter::repeat_with(|| chance.next().to_le_bytes());
    words.take(length.div_ceil(8)).flatten().take(length).collect()
}

/// The blocks of a stream with their references.
fn stream(number: u64, blocks: std::ops::Range<u32>) -> Vec<Change> {
    let both = |block: u32| {
        let (key, content) = (Key::entry(number, block), noise(u64::from(block), BLOCK));
        [put(Table::Blocks, key, &content), put(Table::References, key, &content[..36])]
    };
    blocks.flat_map(both).collect()
}

#[test]
fn values_of_all_lengths_come_back_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lengths = [0, 1, 4096, BLOCK - 25, BLOCK - 24, BLOCK - 23, BLOCK, BLOCK + 16, MAX_VALUE];
    // Each in the place of each other, so that an end is there before, after, both, or neither.
    for (before, after) in lengths.into_iter().flat_map(|before| lengths.map(|after| (before, after))) {
        let key = Key::entry(7, 1);
        store.commit(&[put(Table::Blocks, key, &noise(1, before))]).unwrap();
        store.commit(&[put(Table::Blocks, key, &noise(2, after))]).unwrap();
        assert_eq!(store.get(Table::Blocks, &key).unwrap().unwrap(), noise(2, after), "{before} {after}");
        store.commit(&[Change::Remove { table: Table::Blocks, key }]).unwrap();
        assert_eq!(store.get(Table::Blocks, &key).unwrap(), None);
        store.commit(&[put(Table::Blocks, key, &noise(3, BLOCK - 24))]).unwrap();
        assert_eq!(
            store.get(Table::Blocks, &key).unwrap().unwrap().len(),
            BLOCK - 24,
            "no end was left behind"
        );
    }
}

#[test]
fn a_prefix_is_listed_and_removed_and_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in [0, 1, 2, u64::MAX] {
        store.commit(&stream(number, 0..20)).unwrap();
    }
    let all: Vec<_> = store.scan(Table::Blocks, Key::group(1)).map(Result::unwrap).collect();
    assert_eq!(all.len(), 20, "of more than one chunk");
    for (block, (key, value)) in (0..20).zip(all) {
        assert_eq!((key, value), (Key::entry(1, block), noise(u64::from(block), BLOCK)));
    }
    for number in [1, u64::MAX] {
        let prefix = Key::group(number);
        store.commit(&[Change::RemovePrefix { table: Table::Blocks, prefix }]).unwrap();
    }
    let left: Vec<_> = store.scan(Table::Blocks, Key::EMPTY).map(|entry| entry.unwrap().0).collect();
    let expected = [0, 2].into_iter().flat_map(|number| (0..20).map(move |block| Key::entry(number, block)));
    assert_eq!(left, expected.collect::<Vec<_>>());
    assert_eq!(store.scan(Table::References, Key::EMPTY).count(), 80, "another table");
    store.commit(&[Change::RemovePrefix { table: Table::References, prefix: Key::EMPTY }]).unwrap();
    assert_eq!(store.scan(Table::References, Key::EMPTY).count(), 0);
    assert_eq!(store.get(Table::Blocks, &Key::entry(2, 3)).unwrap().unwrap(), noise(3, BLOCK));
}

#[test]
fn what_was_committed_is_there_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&stream(1, 0..3)).unwrap();
    let store = open(dir.path());
    assert_eq!(store.scan(Table::Blocks, Key::group(1)).count(), 3);
    let mode = std::fs::metadata(dir.path().join("journal.redb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// As it was made before there were addresses and contacts, with a table that was never used.
#[test]
fn a_database_without_the_latest_tables_opens_with_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = InDirectory::new(dir.path()).open().unwrap();
    let database = Builder::new().create_with_backend(Disk::new(file, Arc::default()).unwrap()).unwrap();
    let transaction = database.begin_write().unwrap();
    for name in ["blocks", "references", "streams", "peers", "ends"] {
        let table = redb::TableDefinition::<&[u8], &[u8]>::new(name);
        let mut table = transaction.open_table(table).unwrap();
        if name == "streams" {
            table.insert(&7_u64.to_be_bytes()[..], &b"kept"[..]).unwrap();
        }
    }
    transaction.commit().unwrap();
    drop(database);
    let store = open(dir.path());
    assert_eq!(store.begun_anew(), 0);
    assert_eq!(store.get(Table::Streams, &Key::group(7)).unwrap().unwrap(), b"kept");
    assert_eq!(store.get(Table::Addresses, &Key::address(&[1; 32])).unwrap(), None);
    store.commit(&[put(Table::Contacts, Key::address(&[1; 32]), b"new")]).unwrap();
    assert_eq!(store.get(Table::Contacts, &Key::address(&[1; 32])).unwrap().unwrap(), b"new");
}

#[test]
fn a_batch_with_a_bad_change_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let good = put(Table::Streams, Key::group(1), b"a");
    for bad in [
        put(Table::Streams, Key::entry(1, 1), b"b"),
        put(Table::Streams, Key::group(2), &[0; MAX_VALUE + 1]),
        Change::Remove { table: Table::Contacts, key: Key::EMPTY },
        Change::RemovePrefix { table: Table::Streams, prefix: Key::entry(1, 1) },
    ] {
        assert!(store.commit([&good, &bad]).is_err(), "{bad:?}");
        assert_eq!(store.get(Table::Streams, &Key::group(1)).unwrap(), None);
    }
    assert!(store.get(Table::Streams, &Key::EMPTY).is_err());
    assert!(store.list(Table::Streams, &Key::entry(1, 1), None, 1).is_err());
    store.commit([&good]).unwrap();
}

#[test]
fn blocks_take_little_more_than_their_length() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let empty = store.bytes_on_disk().unwrap().0;
    for from in (0..512).step_by(128) {
        store.commit(&stream(1, from..from + 128)).unwrap();
    }
    let length = 512 * u64::try_from(BLOCK).unwrap();
    let taken = store.bytes_on_disk().unwrap().0 - empty;
    assert!(taken < length * 104 / 100, "{taken} for {length}");
}

#[test]
fn room_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut first = 0;
    for cycle in 0..20 {
        for from in (0..128).step_by(32) {
            store.commit(&stream(cycle, from..from + 32)).unwrap();
        }
        let taken = store.bytes_on_disk().unwrap().0;
        if cycle == 0 {
            first = taken;
        }
        assert!(taken < first * 5 / 4, "cycle {cycle}: {taken} after {first}");
        for table in [Table::Blocks, Table::References] {
            store.commit(&[Change::RemovePrefix { table, prefix: Key::EMPTY }]).unwrap();
        }
    }
}

#[test]
fn readers_see_whole_commits_while_another_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..50_u8 {
                let both = [1, 2].map(|number| put(Table::Streams, Key::group(number), &[round]));
                store.commit(&both).unwrap();
            }
        });
        while !writer.is_finished() {
            let found = store.list(Table::Streams, &Key::EMPTY, None, usize::MAX).unwrap();
            assert!(found.is_empty() || (found.len() == 2 && found[0].1 == found[1].1), "{found:?}");
        }
    });
}

#[test]
fn a_file_that_is_no_journal_is_moved_aside() {
    for content in [&b"hello"[..], &[0; 4096], &[0; 50_000], &[b'x'; 300_000]] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.redb");
        std::fs::write(&path, content).unwrap();
        let store = open(dir.path());
        store.commit(&stream(1, 0..1)).unwrap();
        // Up to a page it is a file whose making was cut short, which nothing can have been in.
        let damaged = content.len() > 4096;
        assert_eq!(store.begun_anew(), u64::from(damaged));
        if damaged {
            assert_eq!(std::fs::read(dir.path().join("journal.redb.damaged")).unwrap(), content);
        }
    }
}

#[test]
fn four_damaged_databases_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..6_u8 {
        std::fs::write(dir.path().join("journal.redb"), [number; 5000]).unwrap();
        open(dir.path());
    }
    let first = |name: &str| std::fs::read(dir.path().join(name)).unwrap()[0];
    assert_eq!(first("journal.redb.damaged"), 0);
    assert_eq!(first("journal.redb.damaged.4"), 5, "the last replaces the one before");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 5);
}

#[test]
fn a_later_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&stream(1, 0..1)).unwrap();
    let path = dir.path().join("journal.redb");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&2_u32.to_be_bytes(), 24).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(dir.path(), &StoreConfig::default()).unwrap_err();
    assert!(error.to_string().contains("made by a later version of this program (format 2"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    file.write_all_at(&1_u32.to_be_bytes(), 24).unwrap();
    assert_eq!(open(dir.path()).scan(Table::Blocks, Key::EMPTY).count(), 1);
}

#[test]
fn the_first_page_has_these_bytes() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path());
    let bytes = std::fs::read(dir.path().join("journal.redb")).unwrap();
    assert_eq!(&bytes[..32], b"irdest-gateway journal\n\0\0\0\0\x01\0\0\0\0");
    assert_eq!(&bytes[4096..4100], b"redb");
}

#[test]
fn a_file_cut_short_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(&stream(1, 0..64)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("journal.redb")).unwrap();
    file.set_len(100_000).unwrap();
    let store = open(dir.path());
    assert_eq!(store.begun_anew(), 1);
    store.commit(&stream(2, 0..1)).unwrap();
}

/// Every page is spoiled once, as a disk would: the store answers or says why not, and takes new streams in the end.
#[test]
fn damage_anywhere_is_survived() {
    let source = tempfile::tempdir().unwrap();
    open(source.path()).commit(&stream(1, 0..4)).unwrap();
    let sound = std::fs::read(source.path().join("journal.redb")).unwrap();
    let mut anew = 0;
    for page in 0..sound.len() / 4096 {
        let dir = tempfile::tempdir().unwrap();
        let mut spoiled = sound.clone();
        let noise = noise(u64::try_from(page).unwrap(), 4096);
        spoiled[page * 4096..(page + 1) * 4096].copy_from_slice(&noise);
        std::fs::write(dir.path().join("journal.redb"), spoiled).unwrap();
        let store = open(dir.path());
        // The first to meet the damage is told of it; then it is repaired, or the database begun anew.
        for _ in 0..3 {
            store.scan(Table::Blocks, Key::EMPTY).take_while(Result::is_ok).for_each(drop);
            let _ = store.commit(&stream(2, 0..2));
        }
        store.commit(&stream(3, 0..2)).unwrap();
        let found = store.scan(Table::Blocks, Key::group(3)).map(Result::unwrap);
        assert!(found.map(|(_, block)| block).eq([noise_of(0), noise_of(1)]), "page {page}");
        anew += store.begun_anew();
    }
    assert!(anew > 0, "some pages cannot be done without");
}

fn noise_of(block: u64) -> Vec<u8> {
    noise(block, BLOCK)
}
