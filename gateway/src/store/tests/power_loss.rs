// SPDX-License-Identifier: AGPL-3.0-or-later
//! The database on a disk that loses its power, or has no room: every batch that was acknowledged is there, each whole.

use std::collections::BTreeMap;

use redb::StorageBackend;

use super::*;

/// What a store is to hold.
type Model = BTreeMap<(Table, Key), Vec<u8>>;

fn apply(model: &mut Model, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put { table, key, value } => drop(model.insert((*table, *key), value.clone())),
            Change::Remove { table, key } => drop(model.remove(&(*table, *key))),
            Change::RemovePrefix { table, prefix } => {
                model.retain(|(other, key), _| {
                    other != table || !key.as_bytes().starts_with(prefix.as_bytes())
                });
            }
        }
    }
}

fn held(store: &Store) -> Model {
    let entries = Table::ALL.into_iter().flat_map(|table| {
        store.scan(table, Key::EMPTY).map(move |entry| {
            let (key, value) = entry.unwrap();
            ((table, key), value)
        })
    });
    entries.collect()
}

/// A batch as streams make them, over few keys, so that much is replaced and removed.
fn batch(chance: &mut Chance) -> Vec<Change> {
    let count = 1 + chance.below(5);
    std::iter::repeat_with(|| {
        let (number, block) = (chance.next() % 4, u32::try_from(chance.below(6)).unwrap());
        let length = [0, 20, 1024, BLOCK, BLOCK, 40_000][chance.below(6)];
        match chance.below(8) {
            0 => Change::Remove { table: Table::Blocks, key: Key::entry(number, block) },
            1 => Change::RemovePrefix { table: Table::Blocks, prefix: Key::group(number) },
            2 | 3 => put(Table::Streams, Key::group(number), &noise(chance.next(), length % 2000)),
            _ => put(Table::Blocks, Key::entry(number, block), &noise(chance.next(), length)),
        }
    })
    .take(count)
    .collect()
}

fn opened(disk: &Simulated) -> Result<Store, StoreError> {
    Store::open_in(Box::new(disk.clone()), &StoreConfig { cache: 1 << 20 })
}

/// Some lives of a store, each ended by the power; what was under way at the end of one may be there in the next.
fn lives(seed: u64) {
    let mut chance = Chance(seed);
    let mut disk = Simulated::new();
    let mut possible = vec![Model::new()];
    for life in 0..5 {
        if life < 4 {
            disk.power_off_after(chance.next() % 250);
        }
        if let Ok(store) = opened(&disk) {
            let found = held(&store);
            assert!(possible.contains(&found), "seed {seed}, life {life}: {} entries", found.len());
            assert!(store.begun_anew() == 0 || found.is_empty(), "seed {seed}, life {life}: begun anew");
            let mut model = found;
            possible = vec![model.clone()];
            for _ in 0..12 {
                let changes = batch(&mut chance);
                let committed = store.commit(&changes);
                apply(&mut model, &changes);
                if committed.is_err() {
                    possible.push(model);
                    break;
                }
                possible = vec![model.clone()];
            }
        } else {
            assert!(life < 4, "seed {seed}: with power all the time");
        }
        disk = disk.after_power_loss(&mut chance);
    }
}

#[test]
fn nothing_acknowledged_is_lost_with_the_power_and_nothing_is_half_there() {
    for seed in 0..u64::from(irdest_lab::repetitions(200, 3_000)) {
        lives(seed);
    }
}

#[test]
fn the_disk_of_this_test_loses_what_was_not_synced() {
    let disk = Simulated::new();
    let lost = |chance| disk.after_power_loss(&mut Chance(chance));
    disk.set_len(4096).unwrap();
    disk.sync_data().unwrap();
    disk.write(0, &[1; 4096]).unwrap();
    let torn = |chance| {
        let mut bytes = [0; 4096];
        lost(chance).read(0, &mut bytes).unwrap();
        bytes.chunks(512).filter(|sector| sector[0] == 1).count()
    };
    let seen: std::collections::BTreeSet<_> = (0..100).map(torn).collect();
    assert!(seen.contains(&0) && seen.contains(&8) && seen.len() > 4, "{seen:?}");
    disk.sync_data().unwrap();
    assert!((0..100).all(|chance| torn(chance) == 8));
}

/// A disk without room for a while: the batch is told, what was there stays, and with room again all goes on.
#[test]
fn a_full_disk_costs_the_batch_and_nothing_else() {
    let disk = Simulated::new();
    let store = opened(&disk).unwrap();
    let mut model = Model::new();
    let mut chance = Chance(1);
    for round in 0..30 {
        let small = batch(&mut chance);
        store.commit(&small).unwrap();
        apply(&mut model, &small);
        disk.set_room(Some(disk.length() / 2));
        let large = stream(1000 + round, 0..64);
        let error = store.commit(&large).unwrap_err();
        assert!(error.is_full(), "{error}");
        assert_eq!(held(&store), model, "round {round}, while it is full");
        disk.set_room(None);
        assert_eq!(held(&store), model, "round {round}");
    }
    assert_eq!((store.begun_anew(), disk.moved_aside()), (0, 0));
}

#[test]
fn a_store_without_room_at_the_start_works_once_there_is() {
    let disk = Simulated::new();
    disk.set_room(Some(0));
    let store = opened(&disk).unwrap();
    assert!(store.commit(&stream(1, 0..1)).unwrap_err().is_full());
    assert!(store.get(Table::Streams, &Key::group(1)).unwrap_err().is_full());
    disk.set_room(None);
    store.commit(&stream(1, 0..1)).unwrap();
    assert_eq!(store.begun_anew(), 0);
}
