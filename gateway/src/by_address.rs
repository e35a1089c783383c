// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is kept of each address in a table of the database: all of it in memory, and a change holds once it is on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratman_types::Address;
use ratman_wire::DecodeError;
use tracing::error;

use crate::changing::Changing;
use crate::store::{Change, Key, Store, StoreError, Table};

/// What is kept of an address; what is as if nothing had been said is not kept.
pub(crate) trait Record: Clone + Default + PartialEq {
    /// Where it is kept.
    const TABLE: Table;

    /// Its bytes, with a version in front.
    fn encode(&self) -> Vec<u8>;

    /// From these bytes.
    ///
    /// # Errors
    /// They are none of a record.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// The records of all addresses. Changes wait for the disk: not to be made where others wait.
#[derive(Debug)]
pub(crate) struct ByAddress<R> {
    store: Arc<Store>,
    // INVARIANT: what the database holds, but for what is damaged.
    all: Mutex<BTreeMap<Address, R>>,
    changing: Changing,
}

impl<R: Record> ByAddress<R> {
    /// Those in `store`. What is damaged is told with an ERROR each, and left where it is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) fn open(store: Arc<Store>) -> Result<Self, StoreError> {
        let mut all = BTreeMap::new();
        for entry in store.scan(R::TABLE, Key::EMPTY) {
            let (key, value) = entry?;
            let Ok(address) = <[u8; 32]>::try_from(key.as_bytes()).map(Address::from_bytes) else { continue };
            match R::decode(&value) {
                Ok(record) => _ = all.insert(address, record),
                Err(damage) => error!(%address, table = ?R::TABLE, %damage, "a record of an address is lost"),
            }
        }
        Ok(Self { store, all: Mutex::new(all), changing: Changing::default() })
    }

    /// What is kept of an address.
    pub(crate) fn of(&self, address: &Address) -> R {
        self.all().get(address).cloned().unwrap_or_default()
    }

    /// What is kept of all of them.
    pub(crate) fn list(&self) -> Vec<(Address, R)> {
        self.all().iter().map(|(address, record)| (*address, record.clone())).collect()
    }

    /// Changes what is kept of an address, unless that is refused.
    ///
    /// # Errors
    /// Why it is refused, or the database does not do it: then all is as it was.
    pub(crate) fn change<T, E: From<StoreError>>(
        &self,
        address: Address,
        change: impl FnOnce(&mut R) -> Result<T, E>,
    ) -> Result<T, E> {
        let _changed = self.changing.of(address);
        let before = self.of(&address);
        let mut record = before.clone();
        let changed = change(&mut record)?;
        if record != before {
            let (table, key) = (R::TABLE, Key::address(address.as_bytes()));
            let is_kept = record != R::default();
            self.store.commit_along(vec![if is_kept {
                Change::Put { table, key, value: record.encode() }
            } else {
                Change::Remove { table, key }
            }])?;
            let mut all = self.all();
            if is_kept {
                all.insert(address, record)
            } else {
                all.remove(&address)
            };
        }
        Ok(changed)
    }

    /// Forgets all of an address that is gone for good.
    ///
    /// # Errors
    /// The database does not do it.
    pub(crate) fn forget(&self, address: &Address) -> Result<(), StoreError> {
        self.change(*address, |record| {
            *record = R::default();
            Ok(())
        })
    }

    /// Forgets all addresses but these: one that was destroyed just before the daemon ended.
    ///
    /// # Errors
    /// The database does not do it.
    pub(crate) fn keep(&self, addresses: &BTreeSet<Address>) -> Result<(), StoreError> {
        let gone: Vec<_> = self.all().keys().copied().filter(|of| !addresses.contains(of)).collect();
        gone.iter().try_for_each(|address| self.forget(address))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Address, R>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
