// SPDX-License-Identifier: AGPL-3.0-or-later
//! The addresses that local clients have made: their secret keys lie in the daemon's database, each sealed under the auth token
//! that only its client has (decisions/addresses-at-rest.md).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratman_types::{Address, SecretKey, Signer};
use tracing::{error, info};
use zeroize::Zeroizing;

mod sealed;
mod token;

pub use sealed::Damage;
pub(crate) use sealed::Record;
pub use token::{AuthToken, ParseTokenError};

use crate::store::{Change, Key, Store, StoreError, Table};

/// The most addresses of clients. Each that is up is signed anew every two seconds and flooded through the whole mesh, and its
/// time is made durable every ten seconds by the control plane's thread, which waits for the disk then: so it does six times a
/// second at most.
pub const MAX_ADDRESSES: usize = 64;

/// Why something was not done with an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// No client has made it here.
    #[error("no client has made the address {} here", .0.short())]
    Unknown(Address),
    /// It is another one's.
    #[error("this is not the auth token of the address {}", .0.short())]
    Token(Address),
    /// It is here already.
    #[error("the address {} is here already", .0.short())]
    Duplicate(Address),
    /// There are [`MAX_ADDRESSES`].
    #[error("expected at most {MAX_ADDRESSES} addresses of clients; destroy one that is no longer used")]
    Full,
    /// Its record is of no use any more.
    #[error("the address {}: {damage}", .address.short())]
    Damaged {
        /// The address.
        address: Address,
        /// What is wrong.
        damage: Damage,
    },
    /// The database does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gives no random bytes.
    #[error("cannot draw random bytes from the operating system: {0}")]
    Entropy(getrandom::Error),
}

/// An address as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The address.
    pub address: Address,
    /// Why it cannot be used any more, where that is so.
    pub damage: Option<Damage>,
}

/// The addresses of clients. All that is asked of it waits for the disk: not to be called where others wait.
pub struct Addresses {
    store: Arc<Store>,
    own: Address,
    /// Held from the look at what is there to the change.
    changing: Mutex<()>,
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Addresses {
    /// Those in `store`; `own` is the gateway's, which is not kept here and which no client can have. What is damaged is told
    /// with an ERROR each.
    pub fn new(store: Arc<Store>, own: Address) -> Self {
        let addresses = Self { store, own, changing: Mutex::default() };
        match addresses.list() {
            Ok(kept) => kept.iter().for_each(report),
            Err(error) => error!(%error, "the addresses of clients cannot be read"),
        }
        addresses
    }

    /// Makes an address with a fresh key. The token is told once: nobody can find it again.
    ///
    /// # Errors
    /// [`AddressError::Full`], [`AddressError::Store`], [`AddressError::Entropy`].
    pub fn create(&self) -> Result<(Address, AuthToken), AddressError> {
        loop {
            let seed = Zeroizing::new(random()?);
            let key = SecretKey::from_seed(*seed);
            // Deployed 0.6 routers read a zero at the head of an address as "absent" (source: deployed routers, section 2).
            if key.public()[0] != 0 {
                return self.adopt(&key);
            }
        }
    }

    /// Takes an address whose key the client has made itself, or shares with others, as that of a namespace.
    ///
    /// # Errors
    /// [`AddressError::Duplicate`], and as [`Addresses::create`].
    pub fn adopt(&self, key: &SecretKey) -> Result<(Address, AuthToken), AddressError> {
        let address = key.address();
        let _changing = self.lock();
        let kept = self.list()?;
        if address == self.own || kept.iter().any(|kept| kept.address == address) {
            return Err(AddressError::Duplicate(address));
        }
        if kept.len() >= MAX_ADDRESSES {
            return Err(AddressError::Full);
        }
        let token = AuthToken::random().map_err(AddressError::Entropy)?;
        let value = Record::seal(key, &token, random()?).to_bytes(&address).to_vec();
        self.store.commit(&[Change::Put { table: Table::Addresses, key: slot(&address), value }])?;
        info!(address = %address.short(), "an address for a client");
        Ok((address, token))
    }

    /// The key of an address.
    ///
    /// # Errors
    /// [`AddressError::Unknown`], [`AddressError::Token`], [`AddressError::Damaged`], [`AddressError::Store`].
    pub fn unlock(&self, address: &Address, token: &AuthToken) -> Result<Arc<SecretKey>, AddressError> {
        let record = self.store.get(Table::Addresses, &slot(address))?;
        let record = record.ok_or(AddressError::Unknown(*address))?;
        let record = Record::parse(address, &record)
            .map_err(|damage| AddressError::Damaged { address: *address, damage })?;
        record.open(address, token).map(Arc::new).ok_or(AddressError::Token(*address))
    }

    /// All of them, in order; whether one is up is not known here.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>, StoreError> {
        let entry = |(key, value): (Key, Vec<u8>)| {
            let address = <[u8; 32]>::try_from(key.as_bytes()).ok().map(Address::from_bytes)?;
            Some(Kept { address, damage: Record::parse(&address, &value).err() })
        };
        let entries = self.store.scan(Table::Addresses, Key::EMPTY);
        entries.filter_map(|found| found.map(entry).transpose()).collect()
    }

    /// Forgets an address and its key for good. One whose record was damaged goes whatever the token, as nobody can use it.
    ///
    /// # Errors
    /// As [`Addresses::unlock`].
    pub fn destroy(&self, address: &Address, token: &AuthToken) -> Result<(), AddressError> {
        let _changing = self.lock();
        match self.unlock(address, token) {
            Ok(_) => {}
            Err(AddressError::Damaged { damage: Damage::Length(_) | Damage::Checksum, .. }) => {}
            Err(error) => return Err(error),
        }
        self.store.commit(&[Change::Remove { table: Table::Addresses, key: slot(address) }])?;
        info!(address = %address.short(), "the address of a client is destroyed");
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot(address: &Address) -> Key {
    Key::address(address.as_bytes())
}

fn report(kept: &Kept) {
    if let Some(damage) = kept.damage {
        error!(address = %kept.address, %damage, "the address of a client cannot be used any more");
    }
}

fn random<const N: usize>() -> Result<[u8; N], AddressError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(AddressError::Entropy)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
