// SPDX-License-Identifier: AGPL-3.0-or-later
//! Records of which address are being changed: changes of one address follow each other, and those of others do not wait for them.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ratman_types::Address;

/// Whose records are being changed.
#[derive(Debug, Default)]
pub(crate) struct Changing {
    // As many as threads change something.
    addresses: Mutex<BTreeSet<Address>>,
    one_less: Condvar,
}

/// Nobody else changes those of the address while this lives.
#[must_use]
pub(crate) struct Changed<'a>(&'a Changing, Address);

impl Changing {
    /// Waits until nobody changes those of an address.
    pub(crate) fn of(&self, address: Address) -> Changed<'_> {
        let mut addresses = self.addresses();
        while !addresses.insert(address) {
            addresses = self.one_less.wait(addresses).unwrap_or_else(PoisonError::into_inner);
        }
        Changed(self, address)
    }

    fn addresses(&self) -> MutexGuard<'_, BTreeSet<Address>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        self.0.addresses().remove(&self.1);
        self.0.one_less.notify_all();
    }
}
