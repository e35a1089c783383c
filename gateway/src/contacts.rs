// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the operator says of addresses of others: names, of the configuration and of the database, and trust
//! (decisions/contacts-and-trust.md).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratman_types::{Address, is_valid_key};
use tracing::{error, warn};

mod change;
mod record;

pub use change::{Edit, Whose};
pub use record::Damage;
pub(crate) use record::Record;

use crate::config::{MAX_CONTACTS, is_contact_name};
use crate::store::{Change, Key, Store, StoreError, Table};

/// Why something was not noted of an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContactError {
    /// It cannot be a name.
    #[error(
        "expected a name of 1 to 63 letters, digits, '-' and '_', not \"any\", \"configured\" or \"self\", got {0:?}"
    )]
    Name(String),
    /// Nobody can have the key of this address.
    #[error("expected an address, got {0}, which is no public key")]
    NoKey(Address),
    /// The name is the configuration's, which only the operator's editor changes.
    #[error("{name} is {address} in [contacts] of the configuration, which is changed there")]
    Configured {
        /// The name.
        name: String,
        /// Whose it is there.
        address: Address,
    },
    /// The name is that of another address.
    #[error("{name} is {address} already; remove that first")]
    Taken {
        /// The name.
        name: String,
        /// Whose it is.
        address: Address,
    },
    /// The address has another name.
    #[error("{address} is {name} already; remove that first")]
    Named {
        /// The address.
        address: Address,
        /// What it is called.
        name: String,
    },
    /// Nobody is called so.
    #[error("no contact is called {0:?}")]
    Unknown(String),
    /// Nothing is said of this address.
    #[error("{0} is no contact")]
    Stranger(Address),
    /// There are [`MAX_CONTACTS`].
    #[error("expected at most {MAX_CONTACTS} contacts and trust scores; remove one that is no longer of use")]
    Full,
    /// The database does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is said of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The address.
    pub address: Address,
    /// What it is called, if anything.
    pub name: Option<String>,
    /// Whether the name is the configuration's.
    pub configured: bool,
    /// How much it is trusted; nothing where nobody said so, which is not zero (source: manual, Appendix C).
    pub trust: Option<u32>,
}

/// What the router heeds of what is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regard {
    /// How much which address is trusted; the others are absent.
    pub trust: BTreeMap<Address, u32>,
    /// Those that have a name.
    pub named: BTreeSet<Address>,
}

/// Names and trust. Changes wait for the disk: not to be made where others wait.
#[derive(Debug)]
pub struct Contacts {
    store: Arc<Store>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    // At most MAX_CONTACTS, of which the configuration takes no more.
    configured: BTreeMap<String, Address>,
    // INVARIANT: what the database holds, but for what is damaged; at most MAX_CONTACTS, no name twice.
    kept: BTreeMap<Address, Record>,
}

impl Book {
    fn kept_name(&self, name: &str) -> Option<Address> {
        let called = |record: &Record| record.name.as_deref() == Some(name);
        self.kept.iter().find(|(_, record)| called(record)).map(|(address, _)| *address)
    }

    /// Whether the configuration uses the name otherwise.
    fn hides(&self, name: &str, address: &Address) -> bool {
        self.configured.get(name).is_some_and(|other| other != address)
    }
}

impl Contacts {
    /// Those in `store` and in the configuration. What is damaged is told with an ERROR each, and left where it is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open(store: Arc<Store>, configured: BTreeMap<String, Address>) -> Result<Self, StoreError> {
        let mut kept = BTreeMap::new();
        for entry in store.scan(Table::Contacts, Key::EMPTY) {
            let (key, value) = entry?;
            let Ok(address) = <[u8; 32]>::try_from(key.as_bytes()).map(Address::from_bytes) else { continue };
            match Record::parse(&value) {
                Ok(record) => _ = kept.insert(address, record),
                Err(damage) => error!(%address, %damage, "a contact is lost"),
            }
        }
        let contacts = Self { store, book: Mutex::new(Book { kept, ..Book::default() }) };
        contacts.set_configured(configured);
        Ok(contacts)
    }

    /// Takes other names of the configuration. Where one is in the database for another address, the configuration's holds, and
    /// that is told.
    pub fn set_configured(&self, configured: BTreeMap<String, Address>) {
        let mut book = self.book();
        book.configured = configured;
        for (address, record) in &book.kept {
            if let Some(name) = record.name.as_ref().filter(|name| book.hides(name, address)) {
                warn!(name, %address, "a contact is hidden by another of that name in the configuration");
            }
        }
    }

    /// Gives an address a name, and a trust score if one is given; what was said of its trust before stays otherwise.
    ///
    /// # Errors
    /// Every variant of [`ContactError`] but [`ContactError::Unknown`].
    pub fn add(&self, name: &str, address: Address, trust: Option<u32>) -> Result<(), ContactError> {
        if !is_contact_name(name) {
            return Err(ContactError::Name(name.to_owned()));
        }
        check_key(&address)?;
        let mut book = self.book();
        let name = name.to_owned();
        if let Some(address) = book.configured.get(&name).copied() {
            return Err(ContactError::Configured { name, address });
        }
        if let Some(address) = book.kept_name(&name).filter(|other| *other != address) {
            return Err(ContactError::Taken { name, address });
        }
        let before = book.kept.get(&address);
        let other = before.and_then(|record| record.name.clone()).filter(|other| *other != name);
        if let Some(name) = other {
            return Err(ContactError::Named { address, name });
        }
        let trust = trust.or_else(|| before.and_then(|record| record.trust));
        self.put(&mut book, address, Record { name: Some(name), trust })
    }

    /// Forgets a contact: its name, and its trust.
    ///
    /// # Errors
    /// [`ContactError::Unknown`], [`ContactError::Configured`], [`ContactError::Store`].
    pub fn remove(&self, name: &str) -> Result<(), ContactError> {
        let mut book = self.book();
        match (book.kept_name(name), book.configured.get(name).copied()) {
            (Some(address), _) => self.put(&mut book, address, Record { name: None, trust: None }),
            (None, Some(address)) => Err(ContactError::Configured { name: name.to_owned(), address }),
            (None, None) => Err(ContactError::Unknown(name.to_owned())),
        }
    }

    /// Says how much an address is trusted, or takes that back.
    ///
    /// # Errors
    /// [`ContactError::NoKey`], [`ContactError::Full`], [`ContactError::Store`].
    pub fn set_trust(&self, address: Address, trust: Option<u32>) -> Result<(), ContactError> {
        check_key(&address)?;
        let mut book = self.book();
        let name = book.kept.get(&address).and_then(|record| record.name.clone());
        self.put(&mut book, address, Record { name, trust })
    }

    /// The address of this name: the configuration's before the database's.
    pub fn find(&self, name: &str) -> Option<Address> {
        let book = self.book();
        book.configured.get(name).copied().or_else(|| book.kept_name(name))
    }

    /// What the router heeds of it.
    pub fn regard(&self) -> Regard {
        let book = self.book();
        let kept = book.kept.iter();
        let trust = kept.clone().filter_map(|(address, record)| Some((*address, record.trust?))).collect();
        let named = kept.filter(|(_, record)| record.name.is_some()).map(|(address, _)| *address);
        Regard { trust, named: named.chain(book.configured.values().copied()).collect() }
    }

    /// All that is said, in the order of the addresses; those with several names are there as often.
    pub fn list(&self) -> Vec<Contact> {
        let book = self.book();
        let trust = |address: &Address| book.kept.get(address).and_then(|record| record.trust);
        let configured = book.configured.iter().map(|(name, address)| Contact {
            address: *address,
            name: Some(name.clone()),
            configured: true,
            trust: trust(address),
        });
        let named = |address: &Address| book.configured.values().any(|other| other == address);
        let kept = book.kept.iter().filter(|(address, record)| record.name.is_some() || !named(address));
        let kept = kept.map(|(address, record)| Contact {
            address: *address,
            name: record.name.clone(),
            configured: false,
            trust: record.trust,
        });
        let mut all: Vec<Contact> = configured.chain(kept).collect();
        all.sort_by(|one, other| (one.address, &one.name).cmp(&(other.address, &other.name)));
        all
    }

    /// In the database first: what cannot be stored does not hold.
    fn put(&self, book: &mut Book, address: Address, record: Record) -> Result<(), ContactError> {
        let key = Key::address(address.as_bytes());
        if record.says_nothing() {
            self.store.commit(&[Change::Remove { table: Table::Contacts, key }])?;
            book.kept.remove(&address);
            return Ok(());
        }
        if book.kept.len() >= MAX_CONTACTS && !book.kept.contains_key(&address) {
            return Err(ContactError::Full);
        }
        let value = record.to_bytes();
        self.store.commit(&[Change::Put { table: Table::Contacts, key, value }])?;
        book.kept.insert(address, record);
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As for addresses in the configuration.
fn check_key(address: &Address) -> Result<(), ContactError> {
    if is_valid_key(address.as_bytes()) { Ok(()) } else { Err(ContactError::NoKey(*address)) }
}

#[cfg(test)]
mod tests;
