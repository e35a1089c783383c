// SPDX-License-Identifier: AGPL-3.0-or-later
//! What clients note of their addresses: it is there for as long as the address is, and not longer.

use std::collections::BTreeSet;
use std::sync::Arc;

use ratman_types::{Address, Namespace};
use ratman_wire::api::{FilterEntry, FilterRule, SubscriptionId};

use super::{Desk, DeskError, Records};
use crate::addresses::AddressError;
use crate::driver::Order;
use crate::filters::{FilterError, Filters};
use crate::memberships::Memberships;
use crate::store::{Store, StoreError};
use crate::subscriptions::{Subscription, SubscriptionError, Subscriptions};

/// What clients have noted of their addresses.
#[derive(Debug)]
pub struct ClientRecords {
    /// What is brought to them.
    pub subscriptions: Subscriptions,
    /// What they take.
    pub filters: Filters,
    /// In which namespaces they take part.
    pub memberships: Memberships,
}

impl ClientRecords {
    /// Those in `store`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open(store: &Arc<Store>) -> Result<Self, StoreError> {
        Ok(Self {
            subscriptions: Subscriptions::open(Arc::clone(store))?,
            filters: Filters::open(Arc::clone(store))?,
            memberships: Memberships::open(Arc::clone(store))?,
        })
    }

    /// Forgets those of all addresses but these: of one that was destroyed just before the daemon ended.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn keep(&self, addresses: &BTreeSet<Address>) -> Result<(), StoreError> {
        self.subscriptions.keep(addresses)?;
        self.filters.keep(addresses)?;
        self.memberships.keep(addresses)
    }

    /// Forgets all of an address that is gone for good.
    pub(super) fn forget(&self, address: &Address) -> Result<(), StoreError> {
        self.subscriptions.forget(address)?;
        self.filters.forget(address)?;
        self.memberships.forget(address)
    }
}

impl Desk {
    /// [`Subscriptions::make`].
    ///
    /// # Errors
    /// As there, [`AddressError::Unknown`], and [`DeskError::Ending`].
    pub async fn subscribe(
        &self,
        subscription: Subscription,
        in_use: impl FnOnce() -> BTreeSet<SubscriptionId> + Send + 'static,
    ) -> Result<SubscriptionId, DeskError> {
        let make = move |of_clients: &ClientRecords| of_clients.subscriptions.make(subscription, in_use);
        self.note(subscription.address, make).await
    }

    /// [`Subscriptions::remove`].
    ///
    /// # Errors
    /// As there, and [`DeskError::Ending`].
    pub async fn unsubscribe(&self, id: SubscriptionId, address: Address) -> Result<bool, DeskError> {
        let removed =
            self.on_disk(move |records| records.of_clients.subscriptions.remove(&id, &address)).await?;
        Ok(removed.map_err(SubscriptionError::from)?)
    }

    /// [`Subscriptions::find`].
    pub fn subscription(&self, id: &SubscriptionId) -> Option<Subscription> {
        self.records.of_clients.subscriptions.find(id)
    }

    /// [`Subscriptions::of`].
    pub fn subscriptions_of(&self, address: &Address) -> Vec<SubscriptionId> {
        self.records.of_clients.subscriptions.of(address)
    }

    /// [`Filters::add`], heeded at once.
    ///
    /// # Errors
    /// As there, [`AddressError::Unknown`], and [`DeskError::Ending`].
    pub async fn add_filter(&self, address: Address, rule: FilterRule) -> Result<u32, DeskError> {
        let filter = self.note(address, move |of_clients| of_clients.filters.add(address, rule)).await?;
        self.heed_filters(address).await?;
        Ok(filter)
    }

    /// [`Filters::remove`], heeded at once.
    ///
    /// # Errors
    /// As there, and [`DeskError::Ending`].
    pub async fn remove_filter(&self, address: Address, filter: u32) -> Result<bool, DeskError> {
        let removed = self.on_disk(move |records| records.of_clients.filters.remove(address, filter)).await?;
        let was_there = removed.map_err(FilterError::from)?;
        self.heed_filters(address).await?;
        Ok(was_there)
    }

    /// [`Filters::of`].
    pub fn filters_of(&self, address: &Address) -> Vec<FilterEntry> {
        self.records.of_clients.filters.of(address)
    }

    /// [`Memberships::note`].
    ///
    /// # Errors
    /// The address is gone, or the database does not do it; [`DeskError::Ending`].
    pub async fn note_membership(&self, address: Address, namespace: Namespace) -> Result<bool, DeskError> {
        self.note(address, move |of_clients| of_clients.memberships.note(address, namespace)).await
    }

    /// [`Memberships::remove`].
    ///
    /// # Errors
    /// The database does not do it; [`DeskError::Ending`].
    pub async fn forget_membership(&self, address: Address, namespace: Namespace) -> Result<(), DeskError> {
        let forget = move |records: &Records| records.of_clients.memberships.remove(address, &namespace);
        Ok(self.on_disk(forget).await??)
    }

    async fn heed_filters(&self, address: Address) -> Result<(), DeskError> {
        let _last = self.heeding.lock().await;
        let rules = self.records.of_clients.filters.rules_of(&address);
        self.order(|done| Order::Filters(address, rules, done)).await
    }

    /// Notes something of an address that is here, and is not destroyed before it is noted: that takes it away with all else.
    async fn note<T: Send + 'static, E: Into<DeskError>>(
        &self,
        address: Address,
        note: impl FnOnce(&ClientRecords) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DeskError> {
        self.on_disk(move |records| {
            let _changed = records.changing.of(address);
            if !records.addresses.is_there(&address)? {
                return Err(AddressError::Unknown(address).into());
            }
            note(&records.of_clients).map_err(E::into)
        })
        .await?
    }
}
