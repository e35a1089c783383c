// SPDX-License-Identifier: AGPL-3.0-or-later
//! Subscriptions of clients: that an address wants its streams brought, and by which name a client takes that up again after it, or the
//! daemon, was gone. What is sent meanwhile waits in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratman_types::{Address, Recipient};
use ratman_wire::api::SubscriptionId;
use ratman_wire::{DecodeError, Reader, Writer};
use tracing::error;

use crate::changing::Changing;
use crate::store::{Change, Key, Store, StoreError, Table};

/// Subscriptions of one address.
pub const MAX_OF_ONE: usize = 64;

/// Subscriptions of all, at some hundred bytes each.
pub const MAX_SUBSCRIPTIONS: usize = 4096;

/// The version of a record.
const VERSION: u8 = 1;

/// One that is noted, and how many were before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Noted {
    number: u64,
    subscription: Subscription,
}

/// Why nothing is subscribed to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// There are as many as may be.
    #[error(
        "expected at most {MAX_SUBSCRIPTIONS} subscriptions, {MAX_OF_ONE} of one address: end one that is no longer of use"
    )]
    Full,
    /// The system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The database does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an address wants to be brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The address.
    pub address: Address,
    /// Whom its streams are for, where that matters.
    pub recipient: Option<Recipient>,
}

impl Noted {
    /// Version ‖ number ‖ address 32 ‖ recipient.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        let Subscription { address, recipient } = &self.subscription;
        writer.u8(VERSION).u64(self.number).bytes(address.as_bytes());
        match recipient {
            None => writer.u8(0),
            Some(recipient) => writer.recipient(recipient),
        };
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let number = reader.u64("number")?;
        let address = Address::from_bytes(reader.array("address")?);
        let recipient = reader.recipient("recipient")?;
        reader.end()?;
        Ok(Self { number, subscription: Subscription { address, recipient } })
    }
}

/// All of them. Changes wait for the disk: not to be made where others wait.
#[derive(Debug)]
pub struct Subscriptions {
    store: Arc<Store>,
    all: Mutex<All>,
    changing: Changing,
}

#[derive(Debug, Default)]
struct All {
    // INVARIANT: what the database holds, but for what is damaged; with those to come at most MAX_SUBSCRIPTIONS.
    noted: BTreeMap<SubscriptionId, Noted>,
    /// Those of them that go for what is not durable yet: nobody takes them up any more.
    leaving: BTreeSet<SubscriptionId>,
    /// Places that are taken for what is not durable yet.
    to_come: usize,
    /// The number of the next.
    next: u64,
}

impl Subscriptions {
    /// Those in `store`. What is damaged is told with an ERROR each, and left where it is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open(store: Arc<Store>) -> Result<Self, StoreError> {
        let mut all = All::default();
        for entry in store.scan(Table::Subscriptions, Key::EMPTY) {
            let (key, value) = entry?;
            let Ok(id) = <[u8; 32]>::try_from(key.as_bytes()).map(SubscriptionId::from_bytes) else {
                continue;
            };
            match Noted::decode(&value) {
                Ok(noted) => {
                    all.next = all.next.max(noted.number.saturating_add(1));
                    all.noted.insert(id, noted);
                }
                Err(damage) => error!(?id, %damage, "a subscription is lost"),
            }
        }
        Ok(Self { store, all: Mutex::new(all), changing: Changing::default() })
    }

    /// Notes one, under a name that nobody can guess. Where the address has as many as may be, its oldest goes that is not `in_use`:
    /// programs that subscribe whenever they are started would be locked out otherwise. Who takes one up finds it again when it is in
    /// use, or gives it up: `in_use` is asked when it is chosen, and must not wait.
    ///
    /// # Errors
    /// Every variant of [`SubscriptionError`].
    pub fn make(
        &self,
        subscription: Subscription,
        in_use: impl FnOnce() -> BTreeSet<SubscriptionId>,
    ) -> Result<SubscriptionId, SubscriptionError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(SubscriptionError::Random)?;
        let id = SubscriptionId::from_bytes(bytes);
        let _changed = self.changing.of(subscription.address);
        let (old, number) = self.place(&subscription.address, in_use)?;
        let noted = Noted { number, subscription };
        let table = Table::Subscriptions;
        let remove = old.map(|old| Change::Remove { table, key: key(&old) });
        let put = Change::Put { table, key: key(&id), value: noted.encode() };
        let stored = self.store.commit_along(remove.into_iter().chain([put]).collect());
        let mut all = self.all();
        all.to_come -= usize::from(old.is_none());
        old.and_then(|old| all.leaving.take(&old));
        stored?;
        old.and_then(|old| all.noted.remove(&old));
        all.noted.insert(id, noted);
        Ok(id)
    }

    /// A place for one to come, which is taken: says which one goes for it, and its number.
    fn place(
        &self,
        address: &Address,
        in_use: impl FnOnce() -> BTreeSet<SubscriptionId>,
    ) -> Result<(Option<SubscriptionId>, u64), SubscriptionError> {
        let mut all = self.all();
        let theirs = || all.noted.iter().filter(|(_, noted)| noted.subscription.address == *address);
        let mut old = None;
        if theirs().count() >= MAX_OF_ONE {
            let in_use = in_use();
            let unused = theirs().filter(|(id, _)| !in_use.contains(id));
            old = unused.min_by_key(|(_, noted)| noted.number).map(|(id, _)| *id);
        }
        let is_full = all.noted.len() + all.to_come >= MAX_SUBSCRIPTIONS;
        if old.is_none() && (theirs().count() >= MAX_OF_ONE || is_full) {
            return Err(SubscriptionError::Full);
        }
        all.to_come += usize::from(old.is_none());
        all.leaving.extend(old);
        let number = all.next;
        all.next = number.saturating_add(1);
        Ok((old, number))
    }

    /// One of them.
    pub fn find(&self, id: &SubscriptionId) -> Option<Subscription> {
        let all = self.all();
        all.noted.get(id).filter(|_| !all.leaving.contains(id)).map(|noted| noted.subscription)
    }

    /// Those of an address.
    pub fn of(&self, address: &Address) -> Vec<SubscriptionId> {
        let all = self.all();
        all.noted.iter().filter(|(_, of)| of.subscription.address == *address).map(|(id, _)| *id).collect()
    }

    /// Forgets one of an address; false where it has none of this name.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn remove(&self, id: &SubscriptionId, address: &Address) -> Result<bool, StoreError> {
        let _changed = self.changing.of(*address);
        if self.find(id).is_none_or(|of| of.address != *address) {
            return Ok(false);
        }
        self.remove_all(vec![*id]).map(|()| true)
    }

    /// Forgets those of an address that is gone for good.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn forget(&self, address: &Address) -> Result<(), StoreError> {
        let _changed = self.changing.of(*address);
        self.remove_all(self.of(address))
    }

    /// Forgets those of all addresses but these: of one that was destroyed just before the daemon ended.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn keep(&self, addresses: &BTreeSet<Address>) -> Result<(), StoreError> {
        let all: BTreeSet<_> = self.all().noted.values().map(|noted| noted.subscription.address).collect();
        all.difference(addresses).try_for_each(|gone| self.forget(gone))
    }

    /// Forgets some of an address that nobody else changes meanwhile.
    fn remove_all(&self, gone: Vec<SubscriptionId>) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let table = Table::Subscriptions;
        self.store.commit_along(gone.iter().map(|id| Change::Remove { table, key: key(id) }).collect())?;
        let mut all = self.all();
        gone.iter().for_each(|id| _ = all.noted.remove(id));
        Ok(())
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(id: &SubscriptionId) -> Key {
    Key::new(id.as_bytes()).expect("invariant: a key has room for it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreConfig;
    use ratman_types::Namespace;

    fn address(byte: u8) -> Address {
        Address::from_bytes([byte; 32])
    }

    fn open(dir: &tempfile::TempDir) -> Subscriptions {
        Subscriptions::open(Arc::new(Store::open(dir.path(), &StoreConfig::default()).unwrap())).unwrap()
    }

    #[test]
    fn what_was_subscribed_to_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let recipients = [
            None,
            Some(Recipient::Address(address(1))),
            Some(Recipient::Namespace(Namespace::from_bytes([3; 32]))),
        ];
        let subscriptions = open(&dir);
        let made = recipients.map(|recipient| {
            let subscription = Subscription { address: address(1), recipient };
            (subscriptions.make(subscription, BTreeSet::new).unwrap(), subscription)
        });
        let of_other = Subscription { address: address(2), recipient: None };
        let other = subscriptions.make(of_other, BTreeSet::new).unwrap();
        drop(subscriptions);
        let subscriptions = open(&dir);
        for (id, subscription) in &made {
            assert_eq!(subscriptions.find(id), Some(*subscription));
        }
        assert!(!subscriptions.remove(&other, &address(1)).unwrap(), "it is of another");
        assert!(subscriptions.remove(&made[0].0, &address(1)).unwrap());
        assert!(!subscriptions.remove(&made[0].0, &address(1)).unwrap());
        drop(subscriptions);
        let subscriptions = open(&dir);
        assert_eq!(
            subscriptions.of(&address(1)),
            BTreeSet::from([made[1].0, made[2].0]).into_iter().collect::<Vec<_>>()
        );
        subscriptions.keep(&BTreeSet::from([address(2)])).unwrap();
        assert_eq!((subscriptions.of(&address(1)), subscriptions.of(&address(2))), (vec![], vec![other]));
        subscriptions.forget(&address(2)).unwrap();
        drop(subscriptions);
        assert_eq!(open(&dir).find(&other), None);
    }

    #[test]
    fn an_address_has_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let subscriptions = open(&dir);
        let make = |byte, in_use: &BTreeSet<_>| {
            subscriptions.make(Subscription { address: address(byte), recipient: None }, || in_use.clone())
        };
        let none = BTreeSet::new();
        let made: Vec<_> = (0..MAX_OF_ONE).map(|_| make(1, &none).unwrap()).collect();
        let all: BTreeSet<_> = made.iter().copied().collect();
        assert!(matches!(make(1, &all), Err(SubscriptionError::Full)), "all have a client");
        let first = BTreeSet::from([made[0]]);
        let next = make(1, &first).unwrap();
        assert_eq!(subscriptions.find(&made[1]), None, "the oldest that has none went");
        assert!(subscriptions.find(&made[0]).is_some() && subscriptions.find(&made[2]).is_some());
        assert!(make(2, &none).is_ok());
        drop(subscriptions);
        let subscriptions = open(&dir);
        assert_eq!(subscriptions.of(&address(1)).len(), MAX_OF_ONE);
        let last =
            subscriptions.make(Subscription { address: address(1), recipient: None }, BTreeSet::new).unwrap();
        assert!(subscriptions.find(&made[0]).is_none(), "the order outlives a restart");
        assert!(subscriptions.find(&next).is_some() && subscriptions.find(&last).is_some());
    }

    #[test]
    fn other_bytes_are_refused() {
        let recipient = Some(Recipient::Address(address(7)));
        let subscription = Subscription { address: address(1), recipient };
        let bytes = Noted { number: 3, subscription }.encode();
        for length in 0..bytes.len() {
            assert!(Noted::decode(&bytes[..length]).is_err());
        }
        assert!(Noted::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert_eq!(Noted::decode(&[&[9], &bytes[1..]].concat()), Err(DecodeError::Version(9)));
    }
}
