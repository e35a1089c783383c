// SPDX-License-Identifier: AGPL-3.0-or-later
//! The addresses that local clients have made: their secret keys lie in the daemon's database, each sealed under the auth token
//! that only its client has (decisions/addresses-at-rest.md).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratman_types::{Address, SecretKey, Signer, WallTime};
use tracing::{debug, error, info};
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

/// Of which one user of the host may have so many: a program that makes one after the other and loses their tokens leaves room
/// for those of others. The operator may have all.
pub const MAX_PER_USER: usize = 16;

/// When an address was used last is noted as exactly as this, since noting it waits for the disk.
const NOTED_EVERY: Duration = Duration::from_secs(3600);

/// Who asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The user of the host, where that is known.
    pub uid: Option<u32>,
    /// Whether it is root, or the daemon's own user.
    pub is_operator: bool,
}

/// What is known of an address beside its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// When it was made, where that is known.
    pub made: Option<WallTime>,
    /// When its token was shown last, give or take an hour; nothing where it was not, or that is not known.
    pub used: Option<WallTime>,
    /// The user of the host that made it, where that is known.
    pub uid: Option<u32>,
}

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
    /// This user has [`MAX_PER_USER`].
    #[error(
        "expected at most {MAX_PER_USER} addresses of one user; destroy one that is no longer used (root may without its token)"
    )]
    Share,
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
    /// What is known of it.
    pub life: Life,
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
    /// [`AddressError::Full`], [`AddressError::Share`], [`AddressError::Store`], [`AddressError::Entropy`].
    pub fn create(&self, asker: Asker, now: WallTime) -> Result<(Address, AuthToken), AddressError> {
        loop {
            let seed = Zeroizing::new(random()?);
            let key = SecretKey::from_seed(*seed);
            // Deployed 0.6 routers read a zero at the head of an address as "absent" (source: deployed routers, section 2).
            if key.public()[0] != 0 {
                return self.adopt(&key, asker, now);
            }
        }
    }

    /// Takes an address whose key the client has made itself, or shares with others, as that of a namespace.
    ///
    /// # Errors
    /// [`AddressError::Duplicate`], and as [`Addresses::create`].
    pub fn adopt(
        &self,
        key: &SecretKey,
        asker: Asker,
        now: WallTime,
    ) -> Result<(Address, AuthToken), AddressError> {
        let address = key.address();
        let _changing = self.lock();
        let kept = self.list()?;
        if address == self.own || kept.iter().any(|kept| kept.address == address) {
            return Err(AddressError::Duplicate(address));
        }
        if kept.len() >= MAX_ADDRESSES {
            return Err(AddressError::Full);
        }
        let theirs = kept.iter().filter(|kept| kept.damage.is_none() && kept.life.uid == asker.uid);
        if !asker.is_operator && theirs.count() >= MAX_PER_USER {
            return Err(AddressError::Share);
        }
        let token = AuthToken::random().map_err(AddressError::Entropy)?;
        let life = Life { made: Some(now), used: None, uid: asker.uid };
        self.put(&address, Record::seal(key, &token, random()?, life))?;
        info!(address = %address.short(), uid = asker.uid, "an address for a client");
        Ok((address, token))
    }

    /// The key of an address, whose use at this time is noted.
    ///
    /// # Errors
    /// [`AddressError::Unknown`], [`AddressError::Token`], [`AddressError::Damaged`], [`AddressError::Store`].
    pub fn unlock(
        &self,
        address: &Address,
        token: &AuthToken,
        now: WallTime,
    ) -> Result<Arc<SecretKey>, AddressError> {
        let (record, key) = self.open(address, token)?;
        let noted = |used: WallTime| now < used + NOTED_EVERY && used < now + NOTED_EVERY;
        if !record.life.used.is_some_and(noted)
            && let Err(error) = self.note_use(address, now)
        {
            // Whoever has the token may use it all the same.
            debug!(%error, "when an address was used is not noted");
        }
        Ok(Arc::new(key))
    }

    /// Whether there is a record of it, of use or not.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn is_there(&self, address: &Address) -> Result<bool, StoreError> {
        Ok(self.store.get(Table::Addresses, &slot(address))?.is_some())
    }

    fn open(&self, address: &Address, token: &AuthToken) -> Result<(Record, SecretKey), AddressError> {
        let record = self.record(address)?;
        let key = record.open(address, token).ok_or(AddressError::Token(*address))?;
        Ok((record, key))
    }

    fn record(&self, address: &Address) -> Result<Record, AddressError> {
        let record = self.store.get(Table::Addresses, &slot(address))?;
        let record = record.ok_or(AddressError::Unknown(*address))?;
        Record::parse(address, &record).map_err(|damage| AddressError::Damaged { address: *address, damage })
    }

    fn note_use(&self, address: &Address, now: WallTime) -> Result<(), AddressError> {
        let _changing = self.lock();
        // It may have been destroyed meanwhile, and must not come back by this.
        let mut record = self.record(address)?;
        record.life.used = Some(now);
        Ok(self.put(address, record)?)
    }

    fn put(&self, address: &Address, record: Record) -> Result<(), StoreError> {
        let value = record.to_bytes(address).to_vec();
        self.store.commit(&[Change::Put { table: Table::Addresses, key: slot(address), value }])
    }

    /// All of them, in order; whether one is up is not known here.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>, StoreError> {
        let entry = |(key, value): (Key, Vec<u8>)| {
            let address = <[u8; 32]>::try_from(key.as_bytes()).ok().map(Address::from_bytes)?;
            Some(match Record::parse(&address, &value) {
                Ok(record) => Kept { address, life: record.life, damage: None },
                Err(damage) => Kept { address, life: Life::default(), damage: Some(damage) },
            })
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
        match self.open(address, token) {
            Ok(_) => {}
            Err(AddressError::Damaged { damage: Damage::Length(_) | Damage::Checksum, .. }) => {}
            Err(error) => return Err(error),
        }
        self.remove(address)
    }

    /// [`Addresses::destroy`] for the operator, who has no token: whatever its record is.
    ///
    /// # Errors
    /// [`AddressError::Unknown`], [`AddressError::Store`].
    pub fn destroy_without_token(&self, address: &Address) -> Result<(), AddressError> {
        let _changing = self.lock();
        let record = self.store.get(Table::Addresses, &slot(address))?;
        record.ok_or(AddressError::Unknown(*address))?;
        self.remove(address)
    }

    fn remove(&self, address: &Address) -> Result<(), AddressError> {
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
