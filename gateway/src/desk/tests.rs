// SPDX-License-Identifier: AGPL-3.0-or-later

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ratman_types::{Namespace, Timestamp, WallTime};
use ratman_wire::api::{FilterAction, FilterRule, Senders};

use super::*;
use crate::store::{Store, StoreConfig};
use crate::subscriptions::Subscription;

/// What the control loop was told, by a short name.
type Told = Arc<StdMutex<Vec<String>>>;

/// A desk whose orders are carried out by being noted.
pub(crate) struct Bed {
    pub(crate) desk: Desk,
    pub(crate) told: Told,
    /// What its clock shows.
    seconds: Arc<AtomicU64>,
    dir: tempfile::TempDir,
}

fn records(store: Arc<Store>, own: Address, contacts: Contacts) -> Records {
    let of_clients = ClientRecords::open(&store).unwrap();
    let addresses = Addresses::new(store, own);
    Records { addresses, contacts, of_clients, changing: Changing::default() }
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::start(tempfile::tempdir().unwrap())
    }

    fn start(dir: tempfile::TempDir) -> Self {
        let store = Arc::new(Store::open(dir.path(), &StoreConfig::default()).unwrap());
        let own = SecretKey::from_seed([1; 32]).address();
        let configured = BTreeMap::from([("bob".to_owned(), SecretKey::from_seed([3; 32]).address())]);
        let contacts = Contacts::open(Arc::clone(&store), configured).unwrap();
        let clock = Arc::new(AtomicU64::new(1_000));
        let seconds = Arc::clone(&clock);
        let now = move || {
            let micros = seconds.load(Ordering::Relaxed) * 1_000_000;
            let wall = WallTime::from_micros(1_800_000_000_000_000 + micros);
            Now { at: Timestamp::from_micros(micros), wall }
        };
        let (desk, mut orders) = Desk::with_time(records(store, own, contacts), Arc::new(now));
        let told = Told::default();
        let notes = Arc::clone(&told);
        tokio::spawn(async move {
            while let Some(order) = orders.recv().await {
                let (note, done) = match order {
                    Order::Up(key, done) => (format!("up {}", key.address().short()), done),
                    Order::Down(address, done) => (format!("down {}", address.short()), done),
                    Order::Forget(address, done) => (format!("forget {}", address.short()), done),
                    Order::Filters(address, rules, done) => {
                        (format!("{} rules of {}", rules.len(), address.short()), done)
                    }
                    Order::Contacts(regard, done) => {
                        let scores: Vec<String> = regard
                            .trust
                            .iter()
                            .map(|(of, score)| format!("{} {score}", of.short()))
                            .collect();
                        (format!("trust {}", scores.join(", ")), done)
                    }
                };
                notes.lock().unwrap().push(note);
                let _ = done.send(());
            }
        });
        Self { desk, told, seconds: clock, dir }
    }

    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// Who they are and whether they are up.
async fn standings(desk: &Desk) -> Vec<(Address, bool)> {
    desk.addresses().await.unwrap().into_iter().map(|standing| (standing.address, standing.up)).collect()
}

pub(crate) const ROOT: Asker = Asker { uid: Some(0), is_operator: true };
const USER: Asker = Asker { uid: Some(1_000), is_operator: false };

#[tokio::test]
async fn an_address_goes_up_with_its_token_and_is_down_after_a_restart() {
    let bed = Bed::new();
    let (address, token) = bed.desk.create(ROOT).await.unwrap();
    assert_eq!(standings(&bed.desk).await, [(address, false)]);
    let wrong = AuthToken::from_bytes([9; 32]);
    let refused = bed.desk.up(address, wrong.clone(), ROOT).await.unwrap_err();
    assert!(matches!(refused, DeskError::Address(AddressError::Token(_))));
    assert!(bed.told().is_empty());
    bed.desk.up(address, token.clone(), ROOT).await.unwrap();
    bed.desk.up(address, token.clone(), ROOT).await.unwrap();
    assert_eq!(bed.told(), [format!("up {}", address.short())], "once");
    assert_eq!(standings(&bed.desk).await, [(address, true)]);
    for refused in
        [bed.desk.down(address, wrong.clone()).await, bed.desk.destroy(address, Some(wrong), ROOT).await]
    {
        assert!(matches!(refused, Err(DeskError::Address(AddressError::Token(_)))));
    }
    assert!(bed.told().is_empty());
    let Bed { dir, desk, .. } = bed;
    drop(desk);
    // The task that notes has nothing of the store.
    let bed = Bed::start(dir);
    assert_eq!(standings(&bed.desk).await, [(address, false)]);
    bed.desk.up(address, token.clone(), ROOT).await.unwrap();
    bed.desk.down(address, token).await.unwrap();
    let expected = ["up", "down"].map(|what| format!("{what} {}", address.short()));
    assert_eq!(bed.told(), expected);
}

#[tokio::test]
async fn what_is_destroyed_goes_down() {
    let bed = Bed::new();
    let (address, token) = bed.desk.adopt(SecretKey::from_seed([7; 32]), ROOT).await.unwrap();
    bed.desk.up(address, token.clone(), ROOT).await.unwrap();
    bed.desk.destroy(address, Some(token.clone()), ROOT).await.unwrap();
    assert_eq!(bed.told().last(), Some(&format!("forget {}", address.short())));
    assert!(bed.desk.addresses().await.unwrap().is_empty());
    let gone = bed.desk.up(address, token, ROOT).await.unwrap_err();
    assert!(matches!(gone, DeskError::Address(AddressError::Unknown(_))));
}

#[tokio::test]
async fn the_operator_destroys_an_address_whose_token_is_lost_and_nobody_else_does() {
    let bed = Bed::new();
    let (address, token) = bed.desk.create(USER).await.unwrap();
    bed.seconds.fetch_add(60, Ordering::Relaxed);
    bed.desk.up(address, token, USER).await.unwrap();
    let refused = bed.desk.destroy(address, None, USER).await.unwrap_err();
    assert!(matches!(refused, DeskError::NotOperator));
    let [Standing { life, up: true, .. }] = bed.desk.addresses().await.unwrap()[..] else {
        panic!("it is up")
    };
    let at = |seconds: u64| Some(WallTime::from_micros(1_800_000_000_000_000 + seconds * 1_000_000));
    assert_eq!(life, Life { made: at(1_000), used: at(1_060), uid: Some(1_000) });
    bed.desk.destroy(address, None, ROOT).await.unwrap();
    assert_eq!(standings(&bed.desk).await, []);
    assert_eq!(bed.told(), ["up", "forget"].map(|what| format!("{what} {}", address.short())));
}

#[tokio::test]
async fn who_brings_addresses_up_too_often_hears_when_to_try_again() {
    let bed = Bed::new();
    let (address, token) = bed.desk.create(USER).await.unwrap();
    let (others, others_token) = bed.desk.create(Asker { uid: Some(1_001), ..USER }).await.unwrap();
    for _ in 1..AT_ONCE {
        bed.desk.up(address, token.clone(), USER).await.unwrap();
        // It is up already: nothing follows, and it costs nothing.
        bed.desk.up(address, token.clone(), USER).await.unwrap();
        bed.desk.down(address, token.clone()).await.unwrap();
    }
    assert_eq!(bed.told().len(), 2 * (AT_ONCE - 1));
    let refused = bed.desk.up(address, token.clone(), USER).await.unwrap_err().to_string();
    assert!(
        refused.ends_with("expected at most 64 at once and then one in 2 s: try again in 3 s"),
        "{refused}"
    );
    assert!(matches!(bed.desk.create(USER).await, Err(DeskError::TooOften { .. })));
    assert!(bed.told().is_empty());
    bed.desk.down(address, token.clone()).await.unwrap();
    bed.desk.up(others, others_token, Asker { uid: Some(1_001), ..USER }).await.unwrap();
    bed.seconds.fetch_add(3, Ordering::Relaxed);
    bed.desk.up(address, token.clone(), USER).await.unwrap();
    bed.desk.destroy(address, Some(token), USER).await.unwrap();
}

#[tokio::test]
async fn trust_is_heeded_at_once_and_absent_where_it_is_unset() {
    let bed = Bed::new();
    let [ann, bob] = [2, 3].map(|byte| SecretKey::from_seed([byte; 32]).address());
    bed.desk.add_contact("ann".to_owned(), ann, Some(5)).await.unwrap();
    bed.desk.set_trust(Whose::said("bob".to_owned()), Some(0)).await.unwrap();
    bed.desk.set_trust(Whose::said(ann.to_string()), None).await.unwrap();
    bed.desk.set_trust(Whose::said("ann".to_owned()), Some(6)).await.unwrap();
    bed.desk.forget_contact(Whose::Name("ann".to_owned())).await.unwrap();
    let in_order = ann < bob;
    let [ann, bob] = [ann.short(), bob.short()];
    let both = |score| match in_order {
        true => format!("trust {ann} {score}, {bob} 0"),
        false => format!("trust {bob} 0, {ann} {score}"),
    };
    let expected =
        [format!("trust {ann} 5"), both(5), format!("trust {bob} 0"), both(6), format!("trust {bob} 0")];
    assert_eq!(bed.told(), expected);
    let refused = bed.desk.set_trust(Whose::said("nobody".to_owned()), Some(1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "no contact is called \"nobody\"");
    assert!(bed.told().is_empty());
}

#[tokio::test]
async fn who_asks_a_daemon_that_ends_hears_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), &StoreConfig::default()).unwrap());
    let contacts = Contacts::open(Arc::clone(&store), BTreeMap::new()).unwrap();
    let (desk, orders) =
        Desk::with_time(records(store, Address::from_bytes([1; 32]), contacts), Arc::new(|| Clock.now()));
    drop(orders);
    let (address, token) = desk.create(ROOT).await.unwrap();
    assert!(matches!(desk.up(address, token, ROOT).await, Err(DeskError::Ending)));
    assert_eq!(standings(&desk).await, [(address, false)]);
}

fn rule() -> FilterRule {
    FilterRule { from: Senders::Anybody, at_least: None, action: FilterAction::Deny }
}

/// What is noted of an address.
fn noted(desk: &Desk, address: &Address) -> usize {
    let ClientRecords { subscriptions, filters, memberships } = &desk.records.of_clients;
    let joined = memberships.list().iter().filter(|(of, _)| of == address).count();
    subscriptions.of(address).len() + filters.of(address).len() + joined
}

#[tokio::test]
async fn nothing_is_noted_of_an_address_that_is_gone() {
    let bed = Bed::new();
    let (address, token) = bed.desk.create(ROOT).await.unwrap();
    let subscription = Subscription { address, recipient: None };
    let namespace = Namespace::from_bytes([5; 32]);
    bed.desk.subscribe(subscription, BTreeSet::new).await.unwrap();
    bed.desk.add_filter(address, rule()).await.unwrap();
    assert!(bed.desk.note_membership(address, namespace).await.unwrap());
    assert_eq!(noted(&bed.desk, &address), 3);
    bed.desk.destroy(address, Some(token), ROOT).await.unwrap();
    assert_eq!(noted(&bed.desk, &address), 0);
    // As of clients whose token was looked at just before.
    let refused = [
        bed.desk.subscribe(subscription, BTreeSet::new).await.map(drop),
        bed.desk.add_filter(address, rule()).await.map(drop),
        bed.desk.note_membership(address, namespace).await.map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(DeskError::Address(AddressError::Unknown(_)))), "{refused:?}");
    }
    assert_eq!(noted(&bed.desk, &address), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_noted_while_an_address_is_destroyed_goes_with_it() {
    let bed = Bed::new();
    for turn in 0..20_u64 {
        let (address, token) = bed.desk.create(ROOT).await.unwrap();
        let (desk, subscription) = (bed.desk.clone(), Subscription { address, recipient: None });
        let asking = tokio::spawn(async move {
            while desk.subscribe(subscription, BTreeSet::new).await.is_ok()
                && desk.add_filter(address, rule()).await.is_ok()
            {}
        });
        tokio::time::sleep(Duration::from_millis(turn % 5)).await;
        bed.desk.destroy(address, Some(token), ROOT).await.unwrap();
        asking.await.unwrap();
        assert_eq!(noted(&bed.desk, &address), 0);
        let told = bed.told();
        let last = told.iter().rev().find(|told| told.ends_with(&address.short().to_string()));
        let is_over = |last: &String| last.starts_with("forget") || last.starts_with("0 rules");
        assert!(last.is_some_and(is_over), "its filters are heeded no more: {last:?}");
    }
}
