// SPDX-License-Identifier: AGPL-3.0-or-later
//! Subscriptions of clients: that an address wants its streams brought, and by which name a client takes that up again after it, or the
//! daemon, was gone. What is sent meanwhile waits in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratman_types::{Address, Recipient};
use ratman_wire::api::SubscriptionId;
use ratman_wire::{DecodeError, Reader, Writer};
use tracing::error;

use crate::store::{Change, Key, Store, StoreError, Table};

/// Subscriptions of one address.
pub const MAX_OF_ONE: usize = 64;

/// Subscriptions of all, at some hundred bytes each.
pub const MAX_SUBSCRIPTIONS: usize = 4096;

/// The version of a record.
const VERSION: u8 = 1;

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

impl Subscription {
    /// Version ‖ address 32 ‖ recipient.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.u8(VERSION).bytes(self.address.as_bytes());
        match &self.recipient {
            None => writer.u8(0),
            Some(recipient) => writer.recipient(recipient),
        };
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8("version")? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let address = Address::from_bytes(reader.array("address")?);
        let recipient = reader.recipient("recipient")?;
        reader.end()?;
        Ok(Self { address, recipient })
    }
}

/// All of them. Changes wait for the disk: not to be made where others wait.
#[derive(Debug)]
pub struct Subscriptions {
    store: Arc<Store>,
    // INVARIANT: what the database holds, but for what is damaged; at most MAX_SUBSCRIPTIONS.
    all: Mutex<BTreeMap<SubscriptionId, Subscription>>,
}

impl Subscriptions {
    /// Those in `store`. What is damaged is told with an ERROR each, and left where it is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open(store: Arc<Store>) -> Result<Self, StoreError> {
        let mut all = BTreeMap::new();
        for entry in store.scan(Table::Subscriptions, Key::EMPTY) {
            let (key, value) = entry?;
            let Ok(id) = <[u8; 32]>::try_from(key.as_bytes()).map(SubscriptionId::from_bytes) else {
                continue;
            };
            match Subscription::decode(&value) {
                Ok(subscription) => _ = all.insert(id, subscription),
                Err(damage) => error!(?id, %damage, "a subscription is lost"),
            }
        }
        Ok(Self { store, all: Mutex::new(all) })
    }

    /// Notes one, under a name that nobody can guess.
    ///
    /// # Errors
    /// Every variant of [`SubscriptionError`].
    pub fn make(&self, subscription: Subscription) -> Result<SubscriptionId, SubscriptionError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(SubscriptionError::Random)?;
        let id = SubscriptionId::from_bytes(bytes);
        let mut all = self.all();
        let of_one = all.values().filter(|other| other.address == subscription.address).count();
        if all.len() >= MAX_SUBSCRIPTIONS || of_one >= MAX_OF_ONE {
            return Err(SubscriptionError::Full);
        }
        let (table, value) = (Table::Subscriptions, subscription.encode());
        self.store.commit(&[Change::Put { table, key: key(&id), value }])?;
        all.insert(id, subscription);
        Ok(id)
    }

    /// One of them.
    pub fn find(&self, id: &SubscriptionId) -> Option<Subscription> {
        self.all().get(id).copied()
    }

    /// Those of an address.
    pub fn of(&self, address: &Address) -> Vec<SubscriptionId> {
        let all = self.all();
        all.iter().filter(|(_, of)| of.address == *address).map(|(id, _)| *id).collect()
    }

    /// Forgets one of an address; false where it has none of this name.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn remove(&self, id: &SubscriptionId, address: &Address) -> Result<bool, StoreError> {
        let mut all = self.all();
        if all.get(id).is_none_or(|subscription| subscription.address != *address) {
            return Ok(false);
        }
        self.remove_all(&mut all, BTreeSet::from([*id])).map(|()| true)
    }

    /// Forgets those of an address that is gone for good.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn forget(&self, address: &Address) -> Result<(), StoreError> {
        self.forget_if(|of| of == address)
    }

    /// Forgets those of all addresses but these: of one that was destroyed just before the daemon ended.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn keep(&self, addresses: &BTreeSet<Address>) -> Result<(), StoreError> {
        self.forget_if(|of| !addresses.contains(of))
    }

    fn forget_if(&self, is_gone: impl Fn(&Address) -> bool) -> Result<(), StoreError> {
        let mut all = self.all();
        let gone = all.iter().filter(|(_, of)| is_gone(&of.address)).map(|(id, _)| *id).collect();
        self.remove_all(&mut all, gone)
    }

    fn remove_all(
        &self,
        all: &mut BTreeMap<SubscriptionId, Subscription>,
        gone: BTreeSet<SubscriptionId>,
    ) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let table = Table::Subscriptions;
        let changes: Vec<_> = gone.iter().map(|id| Change::Remove { table, key: key(id) }).collect();
        self.store.commit(&changes)?;
        all.retain(|id, _| !gone.contains(id));
        Ok(())
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<SubscriptionId, Subscription>> {
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
            (subscriptions.make(subscription).unwrap(), subscription)
        });
        let other = subscriptions.make(Subscription { address: address(2), recipient: None }).unwrap();
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
        let make = |byte| subscriptions.make(Subscription { address: address(byte), recipient: None });
        assert_eq!((0..MAX_OF_ONE + 1).filter(|_| make(1).is_ok()).count(), MAX_OF_ONE);
        assert!(matches!(make(1), Err(SubscriptionError::Full)));
        assert!(make(2).is_ok());
    }

    #[test]
    fn other_bytes_are_refused() {
        let recipient = Some(Recipient::Address(address(7)));
        let bytes = Subscription { address: address(1), recipient }.encode();
        for length in 0..bytes.len() {
            assert!(Subscription::decode(&bytes[..length]).is_err());
        }
        assert!(Subscription::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert_eq!(Subscription::decode(&[&[9], &bytes[1..]].concat()), Err(DecodeError::Version(9)));
    }
}
