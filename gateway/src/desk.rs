// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where local clients have the daemon keep their addresses, and the operator what is to be known of others': what is kept, and
//! what follows from it in the running router. Speaks no protocol; the control socket does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratman_types::{Address, Digest, Now, SecretKey, Signer, blake2b};
use tokio::sync::{Mutex, mpsc, oneshot};
use tracing::warn;

mod of_clients;
mod pace;

use crate::addresses::{AddressError, Addresses, Asker, AuthToken, Damage, Kept, Life};
use crate::changing::Changing;
use crate::clock::Clock;
use crate::contacts::{Contact, ContactError, Contacts, Edit, Whose};
use crate::driver::Order;
use crate::filters::FilterError;
use crate::store::StoreError;
use crate::subscriptions::SubscriptionError;
pub use of_clients::ClientRecords;
use pace::{AT_ONCE, EVERY, Pace, Who};

/// Orders that wait for the control loop: each comes from a client that waits for its answer.
const ORDERS: usize = 16;

/// Why the desk did not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// Something about an address of a client.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Something about a contact.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// Something about a subscription.
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    /// Something about a filter.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The database does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This user makes addresses, or brings them up, more often than may be.
    #[error(
        "addresses are made and brought up too often, expected at most {AT_ONCE} at once and then one in {} s: try again in {} s",
        EVERY.as_secs(),
        again.as_secs() + 1
    )]
    TooOften {
        /// When it may be tried again.
        again: Duration,
    },
    /// Only the operator does this without a token.
    #[error("expected the auth token of the address; only root and the daemon's user may do without")]
    NotOperator,
    /// The daemon ends.
    #[error("the daemon is ending")]
    Ending,
}

/// An address of a client as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The address.
    pub address: Address,
    /// Whether it is announced, and streams for it are taken.
    pub up: bool,
    /// What is known of it.
    pub life: Life,
    /// Why it cannot be used any more, where that is so.
    pub damage: Option<Damage>,
}

/// What says the time.
type TellTime = Arc<dyn Fn() -> Now + Send + Sync>;

/// The desk; cloned for everybody who uses it.
#[derive(Clone)]
pub struct Desk {
    records: Arc<Records>,
    orders: mpsc::Sender<Order>,
    /// Held from the look at an address to what follows for the router.
    up: Arc<Mutex<BTreeSet<Address>>>,
    /// The hashes of the tokens of those that are up: how long it takes to compare two tells nothing about the tokens.
    tokens: Arc<StdMutex<BTreeMap<Address, Digest>>>,
    /// Held from the look at contacts, or at an address's filters, to the order, so that of two changes the later one holds.
    heeding: Arc<Mutex<()>>,
    pace: Arc<StdMutex<Pace>>,
    now: TellTime,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("records", &self.records).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Records {
    addresses: Addresses,
    contacts: Contacts,
    of_clients: ClientRecords,
    /// Held from the look at an address to what is noted of it, or to the end of all that is.
    changing: Changing,
}

impl Desk {
    /// A desk over what is kept, and what it orders of the control loop. None of the addresses is up.
    pub fn new(
        addresses: Addresses,
        contacts: Contacts,
        of_clients: ClientRecords,
    ) -> (Self, mpsc::Receiver<Order>) {
        let records = Records { addresses, contacts, of_clients, changing: Changing::default() };
        Self::with_time(records, Arc::new(|| Clock.now()))
    }

    fn with_time(records: Records, now: TellTime) -> (Self, mpsc::Receiver<Order>) {
        let (orders, ordered) = mpsc::channel(ORDERS);
        let records = Arc::new(records);
        let (up, tokens) = (Arc::default(), Arc::default());
        let (heeding, pace) = (Arc::default(), Arc::default());
        (Self { records, orders, up, tokens, heeding, pace, now }, ordered)
    }

    /// The contacts, for who need not wait for the disk.
    pub fn contacts(&self) -> &Contacts {
        &self.records.contacts
    }

    /// [`Addresses::create`].
    ///
    /// # Errors
    /// As there, [`DeskError::TooOften`] and [`DeskError::Ending`].
    pub async fn create(&self, asker: Asker) -> Result<(Address, AuthToken), DeskError> {
        let now = self.keep_pace(Who::User(asker.uid))?.wall;
        Ok(self.on_disk(move |records| records.addresses.create(asker, now)).await??)
    }

    /// [`Addresses::adopt`].
    ///
    /// # Errors
    /// As [`Desk::create`].
    pub async fn adopt(&self, key: SecretKey, asker: Asker) -> Result<(Address, AuthToken), DeskError> {
        let now = self.keep_pace(Who::User(asker.uid))?.wall;
        Ok(self.on_disk(move |records| records.addresses.adopt(&key, asker, now)).await??)
    }

    /// Announces an address and takes streams for it, until it is [down](Self::down) or the daemon ends: for so long its key is in
    /// memory, and nowhere else unsealed. Nothing happens to one that is up.
    ///
    /// # Errors
    /// As [`Addresses::unlock`], [`DeskError::TooOften`] and [`DeskError::Ending`].
    pub async fn up(&self, address: Address, token: AuthToken, asker: Asker) -> Result<(), DeskError> {
        let mut up = self.up.lock().await;
        let hash = blake2b(&[token.as_bytes()]);
        let key = self.unlock(address, token).await?;
        if !up.contains(&address) {
            self.keep_pace(Who::of(asker, address))?;
            self.order(|done| Order::Up(key, done)).await?;
            up.insert(address);
            self.tokens().insert(address, hash);
        }
        Ok(())
    }

    /// Announces an address no more. What is sent to it is kept until it is up again or its time has passed.
    ///
    /// # Errors
    /// As [`Addresses::unlock`], and [`DeskError::Ending`].
    pub async fn down(&self, address: Address, token: AuthToken) -> Result<(), DeskError> {
        let mut up = self.up.lock().await;
        let key = self.unlock(address, token).await?;
        // Also where it seems not to be up: who asked for that may have left before it was noted.
        self.tokens().remove(&address);
        self.order(|done| Order::Down(key.address(), done)).await?;
        up.remove(&address);
        Ok(())
    }

    /// [Down](Self::down) for good: [`Addresses::destroy`], or without a token [`Addresses::destroy_without_token`]. What was sent
    /// to the address and not taken, and what it sends, goes at once.
    ///
    /// # Errors
    /// As there, [`DeskError::NotOperator`] and [`DeskError::Ending`].
    pub async fn destroy(
        &self,
        address: Address,
        token: Option<AuthToken>,
        asker: Asker,
    ) -> Result<(), DeskError> {
        if token.is_none() && !asker.is_operator {
            return Err(DeskError::NotOperator);
        }
        let mut up = self.up.lock().await;
        let destroy = move |records: &Records| {
            let _changed = records.changing.of(address);
            match token {
                Some(token) => records.addresses.destroy(&address, &token),
                None => records.addresses.destroy_without_token(&address),
            }?;
            if let Err(error) = records.of_clients.forget(&address) {
                // They go with the next start.
                warn!(%error, "what is kept of an address that is gone stays");
            }
            Ok::<_, AddressError>(())
        };
        self.on_disk(destroy).await??;
        self.tokens().remove(&address);
        // Filters that were looked at before are heeded before.
        let _last = self.heeding.lock().await;
        self.order(|done| Order::Forget(address, done)).await?;
        up.remove(&address);
        Ok(())
    }

    /// Whether an address is that of who has this token; nothing else follows.
    ///
    /// # Errors
    /// As [`Addresses::unlock`], and [`DeskError::Ending`].
    pub async fn prove(&self, address: Address, token: AuthToken) -> Result<(), DeskError> {
        self.unlock(address, token).await.map(drop)
    }

    /// Whether an address is up and this is its token; asks no disk.
    pub fn may_act_for(&self, address: &Address, token: &AuthToken) -> bool {
        self.tokens().get(address) == Some(&blake2b(&[token.as_bytes()]))
    }

    /// The address that is up whose token this is, if there is one; asks no disk.
    pub fn address_of(&self, token: &AuthToken) -> Option<Address> {
        let hash = blake2b(&[token.as_bytes()]);
        let tokens = self.tokens();
        let mut theirs = tokens.iter().filter(|(_, of)| **of == hash);
        theirs.next().map(|(address, _)| *address)
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<Address, Digest>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an address of a client is up.
    pub async fn is_up(&self, address: &Address) -> bool {
        self.up.lock().await.contains(address)
    }

    /// All addresses of clients, in their order.
    ///
    /// # Errors
    /// The database cannot be read; [`DeskError::Ending`].
    pub async fn addresses(&self) -> Result<Vec<Standing>, DeskError> {
        let up = self.up.lock().await;
        let kept = self.on_disk(|records| records.addresses.list()).await?.map_err(AddressError::from)?;
        let standing = |Kept { address, life, damage }| {
            let up = up.contains(&address);
            Standing { address, up, life, damage }
        };
        Ok(kept.into_iter().map(standing).collect())
    }

    /// [`Contacts::add`], heeded at once.
    ///
    /// # Errors
    /// As there, and [`DeskError::Ending`].
    pub async fn add_contact(
        &self,
        name: String,
        address: Address,
        trust: Option<u32>,
    ) -> Result<(), DeskError> {
        self.on_disk(move |records| records.contacts.add(&name, address, trust)).await??;
        self.heed_contacts().await
    }

    /// Forgets a contact: [`Contacts::forget`] one by its address, [`Contacts::remove`] one by its name; heeded at once.
    ///
    /// # Errors
    /// As there, and [`DeskError::Ending`].
    pub async fn forget_contact(&self, whose: Whose) -> Result<(), DeskError> {
        let forget = move |records: &Records| match whose {
            Whose::Address(address) => records.contacts.forget(address),
            Whose::Name(name) => records.contacts.remove(&name),
        };
        self.on_disk(forget).await??;
        self.heed_contacts().await
    }

    /// [`Contacts::change`], heeded at once.
    ///
    /// # Errors
    /// As there, and [`DeskError::Ending`].
    pub async fn change_contact(
        &self,
        whose: Whose,
        name: Edit<String>,
        trust: Edit<u32>,
    ) -> Result<(), DeskError> {
        self.on_disk(move |records| records.contacts.change(whose, name, trust)).await??;
        self.heed_contacts().await
    }

    /// [`Contacts::set_trust`] for an address or a contact by its name, heeded at once.
    ///
    /// # Errors
    /// As there, [`ContactError::Unknown`], and [`DeskError::Ending`].
    pub async fn set_trust(&self, whose: Whose, trust: Option<u32>) -> Result<(), DeskError> {
        let set = move |records: &Records| {
            let address = match whose {
                Whose::Address(address) => address,
                Whose::Name(name) => records.contacts.find(&name).ok_or(ContactError::Unknown(name))?,
            };
            records.contacts.set_trust(address, trust)
        };
        self.on_disk(set).await??;
        self.heed_contacts().await
    }

    /// All contacts: [`Contacts::list`].
    ///
    /// # Errors
    /// [`DeskError::Ending`].
    pub async fn list_contacts(&self) -> Result<Vec<Contact>, DeskError> {
        // A change that waits for the disk holds them.
        self.on_disk(|records| records.contacts.list()).await
    }

    async fn unlock(&self, address: Address, token: AuthToken) -> Result<Arc<SecretKey>, DeskError> {
        let now = (self.now)().wall;
        Ok(self.on_disk(move |records| records.addresses.unlock(&address, &token, now)).await??)
    }

    /// The time, unless it is too early for another address.
    fn keep_pace(&self, who: Who) -> Result<Now, DeskError> {
        let now = (self.now)();
        let taken = self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(who, now.at);
        taken.map(|()| now).map_err(|again| DeskError::TooOften { again })
    }

    async fn heed_contacts(&self) -> Result<(), DeskError> {
        let _last = self.heeding.lock().await;
        let regard = self.on_disk(|records| records.contacts.regard()).await?;
        self.order(|done| Order::Contacts(regard, done)).await
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) -> Result<(), DeskError> {
        let (done, is_done) = oneshot::channel();
        self.orders.send(order(done)).await.map_err(|_| DeskError::Ending)?;
        is_done.await.map_err(|_| DeskError::Ending)
    }

    /// Does what waits for the disk on a thread where nobody waits for it.
    async fn on_disk<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Records) -> T + Send + 'static,
    ) -> Result<T, DeskError> {
        let records = Arc::clone(&self.records);
        tokio::task::spawn_blocking(move || act(&records)).await.map_err(|_| DeskError::Ending)
    }
}

#[cfg(test)]
pub(crate) mod tests;
