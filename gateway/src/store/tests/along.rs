// SPDX-License-Identifier: AGPL-3.0-or-later
//! Commits of many at once: all that wait are one, and none fails for another.

use std::thread::{scope, yield_now};

use super::*;
use crate::filters::Filters;
use crate::subscriptions::{Subscription, Subscriptions};
use ratman_types::Address;
use ratman_wire::api::{FilterAction, FilterRule, Senders};

const MANY: u8 = 50;

fn own(of: u8) -> Vec<Change> {
    vec![put(Table::Filters, Key::address(&[of; 32]), &[of; 100])]
}

fn value(store: &Store, of: u8) -> Option<Vec<u8>> {
    store.get(Table::Filters, &Key::address(&[of; 32])).unwrap()
}

/// What a commit asks of the disk.
fn syncs_of_one(store: &Store) -> u64 {
    let before = store.syncs();
    store.commit(&own(200)).unwrap();
    store.syncs() - before
}

fn wait_for(store: &Store, waiting: usize) {
    while store.turns.waiting() < waiting {
        yield_now();
    }
}

#[test]
fn all_that_wait_are_one_commit_and_the_journal_takes_them_along() {
    for journal_waits in [false, true] {
        let disk = Simulated::new();
        let store = disk.open_store();
        let each = syncs_of_one(&store);
        let before = store.syncs();
        scope(|scope| {
            let held = disk.hold();
            let store = &store;
            scope.spawn(move || store.commit_along(own(0)).unwrap());
            disk.wait_until_held();
            (1..MANY).for_each(|of| _ = scope.spawn(move || store.commit_along(own(of)).unwrap()));
            wait_for(store, usize::from(MANY) - 1);
            if journal_waits {
                scope.spawn(move || store.commit(&own(201)).unwrap());
            }
            drop(held);
        });
        (0..MANY).for_each(|of| assert_eq!(value(&store, of), Some(vec![of; 100])));
        let commits = (store.syncs() - before) / each;
        // The journal comes before them where it was there in time.
        assert!(commits <= 2 + u64::from(journal_waits), "{commits} commits");
    }
}

#[test]
fn records_of_different_addresses_go_together_and_those_of_one_follow_each_other() {
    let disk = Simulated::new();
    let store = Arc::new(disk.open_store());
    let each = syncs_of_one(&store);
    let filters = Filters::open(Arc::clone(&store)).unwrap();
    let subscriptions = Subscriptions::open(Arc::clone(&store)).unwrap();
    let rule = FilterRule { from: Senders::Anybody, at_least: None, action: FilterAction::Deny };
    let address = |of| Address::from_bytes([of; 32]);
    let before = store.syncs();
    scope(|scope| {
        let held = disk.hold();
        let (store, filters, subscriptions, rule) = (&store, &filters, &subscriptions, &rule);
        scope.spawn(move || store.commit(&own(200)).unwrap());
        disk.wait_until_held();
        for of in 0..MANY {
            scope.spawn(move || filters.add(address(of), rule.clone()).unwrap());
            let subscription = Subscription { address: address(of), recipient: None };
            scope.spawn(move || subscriptions.make(subscription, Default::default).unwrap());
        }
        wait_for(store, 2 * usize::from(MANY));
        drop(held);
    });
    assert_eq!((store.syncs() - before) / each, 2);
    let more: Vec<u32> = scope(|scope| {
        let add = || scope.spawn(|| filters.add(address(0), rule.clone()).unwrap());
        let all: Vec<_> = (1..MANY).map(|_| add()).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(more.into_iter().collect::<std::collections::BTreeSet<_>>().len(), usize::from(MANY) - 1);
    drop((filters, subscriptions));
    let filters = Filters::open(Arc::clone(&store)).unwrap();
    let subscriptions = Subscriptions::open(Arc::clone(&store)).unwrap();
    assert_eq!(filters.of(&address(0)).len(), usize::from(MANY));
    for of in 1..MANY {
        assert_eq!((filters.of(&address(of)).len(), subscriptions.of(&address(of)).len()), (1, 1));
    }
}

#[test]
fn of_a_subscription_nobody_learns_before_it_is_durable() {
    let disk = Simulated::new();
    let subscriptions = Subscriptions::open(Arc::new(disk.open_store())).unwrap();
    let one = Subscription { address: Address::from_bytes([1; 32]), recipient: None };
    let make = || subscriptions.make(one, Default::default).unwrap();
    let made: Vec<_> = (0..crate::subscriptions::MAX_OF_ONE).map(|_| make()).collect();
    let sorted = |ids: &[_]| ids.iter().copied().collect::<std::collections::BTreeSet<_>>();
    let newest = scope(|scope| {
        let held = disk.hold();
        let newest = scope.spawn(make);
        disk.wait_until_held();
        assert_eq!(sorted(&subscriptions.of(&one.address)), sorted(&made), "nor that one goes for it");
        assert_eq!(subscriptions.find(&made[0]), None, "which nobody takes up any more");
        drop(held);
        newest.join().unwrap()
    });
    assert_eq!(sorted(&subscriptions.of(&one.address)), sorted(&[&made[1..], &[newest]].concat()));
}

/// Has one wait for a turn of its own, and others to go along with it; says what becomes of both.
fn together(
    store: &Store,
    along: Vec<Vec<Change>>,
    meanwhile: impl FnOnce(),
) -> (Result<(), StoreError>, Vec<Result<(), StoreError>>) {
    scope(|scope| {
        let (turn, waiting) = (store.turns.first(), along.len());
        let along: Vec<_> =
            along.into_iter().map(|changes| scope.spawn(|| store.commit_along(changes))).collect();
        let journal = scope.spawn(|| store.commit(&own(201)));
        while store.turns.waiting() < waiting || store.turns.firsts() == 0 {
            yield_now();
        }
        meanwhile();
        drop(turn);
        let along = along.into_iter().map(|one| one.join().unwrap());
        (journal.join().unwrap(), along.collect())
    })
}

#[test]
fn all_learn_that_the_database_is_damaged_before_one_is_begun_anew() {
    let disk = Simulated::new();
    let store = disk.open_store();
    store.commit(&own(200)).unwrap();
    let (journal, along) = together(&store, (1..4).map(own).collect(), || disk.damage());
    assert!(matches!(journal, Err(StoreError::Damaged { .. })), "{journal:?}");
    assert!(along.iter().all(|one| matches!(one, Err(StoreError::Damaged { .. }))), "{along:?}");
    assert_eq!(store.begun_anew(), 0);
    store.commit(&own(201)).unwrap();
    assert_eq!((store.begun_anew(), value(&store, 200)), (1, None));
}

#[test]
fn where_there_is_no_room_what_needs_none_is_done() {
    let disk = Simulated::new();
    let store = disk.open_store();
    let large = |of| vec![put(Table::Blocks, Key::entry(of, 0), &noise(of, MAX_VALUE))];
    for of in 0..40 {
        store.commit(&large(of)).unwrap();
    }
    let remove = Change::Remove { table: Table::Blocks, key: Key::entry(0, 0) };
    let too_much = (100..100 + u64::from(MANY)).map(|of| (0..40).flat_map(|n| large(of * 100 + n)).collect());
    let full = || disk.set_room(Some(disk.length()));
    let (_, along) = together(&store, too_much.chain([vec![remove]]).collect(), full);
    let (last, too_much) = along.split_last().unwrap();
    assert!(last.is_ok(), "{last:?}");
    assert!(too_much.iter().filter(|one| one.is_err()).all(|one| one.as_ref().unwrap_err().is_full()));
    assert!(too_much.iter().any(Result::is_err));
    assert_eq!(store.get(Table::Blocks, &Key::entry(0, 0)).unwrap(), None);
}

#[test]
fn a_subscription_stays_where_the_one_it_was_to_go_for_finds_no_room() {
    let disk = Simulated::new();
    let subscriptions = Subscriptions::open(Arc::new(disk.open_store())).unwrap();
    let one = Subscription { address: Address::from_bytes([1; 32]), recipient: None };
    let make = || subscriptions.make(one, Default::default);
    let made: Vec<_> = (0..crate::subscriptions::MAX_OF_ONE).map(|_| make().unwrap()).collect();
    disk.set_room(Some(0));
    make().unwrap_err();
    assert_eq!(subscriptions.find(&made[0]), Some(one));
    disk.set_room(None);
    make().unwrap();
    assert_eq!(subscriptions.find(&made[0]), None);
}
