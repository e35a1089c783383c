// SPDX-License-Identifier: AGPL-3.0-or-later
//! The store on its threads: commits in groups, a bounded queue, reads that do not wait, and errors that end nothing.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;

/// A store on a disk of this test, and what it says.
fn started() -> (Simulated, StoreThread, Receiver<Completion>) {
    let disk = Simulated::new();
    let store = Store::open_in(Box::new(disk.clone()), &StoreConfig::default()).unwrap();
    let (said, heard) = channel();
    let threads = StoreThread::start(store, move |completion| said.send(completion).unwrap()).unwrap();
    (disk, threads, heard)
}

fn next(heard: &Receiver<Completion>) -> Completion {
    heard.recv_timeout(Duration::from_secs(60)).unwrap()
}

fn committed(heard: &Receiver<Completion>) -> (u64, Result<(), Arc<StoreError>>) {
    match next(heard) {
        Completion::Committed { id, result } => (id, result),
        other @ (Completion::Found { .. } | Completion::Listed { .. }) => panic!("{other:?}"),
    }
}

/// The next batch that is done, which has to be durable.
fn stored(heard: &Receiver<Completion>) -> u64 {
    let (id, result) = committed(heard);
    result.unwrap();
    id
}

fn small(number: u64) -> Vec<Change> {
    vec![put(Table::Streams, Key::group(number), &[7; 1024])]
}

#[test]
fn what_arrives_during_a_commit_is_one_commit() {
    let (disk, threads, heard) = started();
    threads.commit(0, small(0)).unwrap();
    assert_eq!(stored(&heard), 0);
    let before = threads.status().syncs;
    threads.commit(1, small(1)).unwrap();
    stored(&heard);
    let each = threads.status().syncs - before;

    let held = disk.hold();
    threads.commit(2, small(2)).unwrap();
    disk.wait_until_held();
    for id in 3..100 {
        threads.commit(id, small(id)).unwrap();
    }
    let before = threads.status().syncs;
    drop(held);
    for id in 2..100 {
        assert_eq!(stored(&heard), id, "in order");
    }
    let status = threads.status();
    assert_eq!((status.batches, status.commits), (100, 4));
    let syncs = threads.status().syncs - before;
    assert!(syncs < 3 * each, "{syncs} syncs for 98 batches, where one has {each}");
}

#[test]
fn what_waits_is_bounded() {
    let (disk, threads, heard) = started();
    let held = disk.hold();
    let large = |number| stream(number, 0..32);
    threads.commit(0, large(0)).unwrap();
    disk.wait_until_held();
    let mut taken = 1;
    while threads.commit(taken, large(taken)).is_ok() {
        taken += 1;
        assert!(taken < 9, "8 MiB in pieces of a little more than 1 MiB");
    }
    let (_, changes) = threads.commit(9, large(9)).unwrap_err();
    assert_eq!(changes, large(9), "it comes back");
    let status = threads.status();
    assert_eq!((taken, status.refused), (7, 2));
    assert!(status.waiting.0 > 7 << 20 && status.waiting.0 <= 8 << 20, "{status:?}");
    drop(held);
    for _ in 0..taken {
        stored(&heard);
    }
    assert_eq!(threads.status().waiting, ByteCount(0));
    threads.commit(10, stream(10, 0..400)).unwrap();
    assert_eq!(stored(&heard), 10, "a batch larger than all, where nothing waits");
}

#[test]
fn reads_do_not_wait_for_commits() {
    let (disk, threads, heard) = started();
    threads.commit(0, stream(1, 0..20)).unwrap();
    stored(&heard);
    let held = disk.hold();
    // A small one: where the database makes its file longer, it lets readers wait for that.
    threads.commit(1, small(1)).unwrap();
    disk.wait_until_held();
    threads.get(2, Table::Blocks, Key::entry(1, 4)).unwrap();
    let Completion::Found { id: 2, result: Ok(Some(block)) } = next(&heard) else { panic!() };
    assert_eq!(block, noise(4, BLOCK));
    threads.get(3, Table::Streams, Key::group(1)).unwrap();
    let Completion::Found { id: 3, result: Ok(None) } = next(&heard) else { panic!("not yet") };
    let (mut after, mut blocks) = (None, 0);
    loop {
        threads.list(4, Table::Blocks, Key::group(1), after).unwrap();
        let Completion::Listed { id: 4, result: Ok(entries) } = next(&heard) else { panic!() };
        let Some((last, _)) = entries.last() else { break };
        assert!(entries.len() < 10, "not all at once");
        (after, blocks) = (Some(*last), blocks + entries.len());
    }
    assert_eq!(blocks, 20);
    drop(held);
    assert_eq!(stored(&heard), 1);
}

#[test]
fn questions_that_wait_are_bounded() {
    let disk = Simulated::new();
    let store = Store::open_in(Box::new(disk), &StoreConfig::default()).unwrap();
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap();
    let waits = Arc::clone(&gate);
    let threads = StoreThread::start(store, move |_| drop(waits.lock().unwrap())).unwrap();
    let taken = (0..2000).take_while(|id| threads.get(*id, Table::Streams, Key::group(1)).is_ok()).count();
    assert!((1024..=1025).contains(&taken), "{taken}, with the one that is being answered");
    assert_eq!(threads.status().refused, 1);
    drop(closed);
}

#[test]
fn a_disk_without_room_costs_the_batches_that_need_it() {
    let (disk, threads, heard) = started();
    threads.commit(0, stream(1, 0..64)).unwrap();
    stored(&heard);
    threads.commit(1, vec![Change::RemovePrefix { table: Table::Blocks, prefix: Key::entry(1, 0) }]).unwrap();
    stored(&heard);
    disk.set_room(Some(disk.length()));

    let held = disk.hold();
    threads.commit(2, small(2)).unwrap();
    disk.wait_until_held();
    threads.commit(3, stream(3, 0..200)).unwrap();
    threads.commit(4, small(4)).unwrap();
    threads.commit(5, vec![Change::Remove { table: Table::Contacts, key: Key::EMPTY }]).unwrap();
    threads.commit(6, vec![Change::RemovePrefix { table: Table::Blocks, prefix: Key::EMPTY }]).unwrap();
    drop(held);
    assert_eq!(stored(&heard), 2);
    let (id, result) = committed(&heard);
    assert!(id == 3 && result.unwrap_err().is_full());
    assert_eq!(stored(&heard), 4);
    let (id, result) = committed(&heard);
    assert!(id == 5 && matches!(*result.unwrap_err(), StoreError::KeyLength { .. }));
    assert_eq!(stored(&heard), 6, "what makes room");
    assert_eq!(threads.status().trouble, None);

    disk.set_room(Some(0));
    threads.commit(7, small(7)).unwrap();
    assert!(committed(&heard).1.unwrap_err().is_full());
    let trouble = threads.status().trouble.unwrap();
    assert!(trouble.starts_with("/simulated: "), "{trouble}");
    disk.set_room(None);
    threads.commit(8, small(8)).unwrap();
    assert_eq!(stored(&heard), 8);
    assert_eq!(threads.status().trouble, None);
}

#[test]
fn what_waits_at_the_end_is_committed() {
    let (disk, threads, heard) = started();
    let held = disk.hold();
    threads.commit(0, small(0)).unwrap();
    disk.wait_until_held();
    threads.commit(1, small(1)).unwrap();
    let ended = std::thread::spawn(move || drop(threads));
    drop(held);
    ended.join().unwrap();
    assert_eq!(
        heard.iter().filter(|said| matches!(said, Completion::Committed { result: Ok(()), .. })).count(),
        2
    );
    let store = Store::open_in(Box::new(disk), &StoreConfig::default()).unwrap();
    assert_eq!(store.scan(Table::Streams, Key::EMPTY).count(), 2);
}
