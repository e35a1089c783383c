// SPDX-License-Identifier: AGPL-3.0-or-later
//! Contacts: names and trust that the operator gives to addresses of others. For the operator alone, on the unix socket; everybody else
//! gets [`Error::NotPermitted`](crate::Error::NotPermitted).

use ratman_wire::api::{Contact, ContactChange, ContactKey, NewContact, Request};

use crate::pages::page;
use crate::{RatmanIpc, Result};

impl RatmanIpc {
    /// Adds a contact, or says more of one. Doing it twice does no more.
    ///
    /// # Errors
    /// [`Error::NotPermitted`](crate::Error::NotPermitted), [`Error::Refused`](crate::Error::Refused) for a name that is in use or none,
    /// and those of every request.
    pub async fn contact_add(&self, contact: NewContact) -> Result<()> {
        self.order(Request::ContactAdd(contact), None).await
    }

    /// Changes what was said of an address.
    ///
    /// # Errors
    /// As [`RatmanIpc::contact_add`], and [`Error::NotFound`](crate::Error::NotFound).
    pub async fn contact_modify(&self, change: ContactChange) -> Result<()> {
        self.order(Request::ContactModify(change), None).await
    }

    /// Forgets what was said of an address.
    ///
    /// # Errors
    /// As [`RatmanIpc::contact_modify`].
    pub async fn contact_delete(&self, contact: ContactKey) -> Result<()> {
        self.order(Request::ContactDelete(contact), None).await
    }

    /// All contacts.
    ///
    /// # Errors
    /// [`Error::NotPermitted`](crate::Error::NotPermitted), and those of every request.
    pub async fn contact_list(&self) -> Result<Vec<Contact>> {
        self.list(None, Request::ContactList, page!(ContactPage)).await
    }

    /// One contact.
    ///
    /// # Errors
    /// As [`RatmanIpc::contact_list`].
    pub async fn contact_query(&self, contact: ContactKey) -> Result<Option<Contact>> {
        self.entry(None, Request::ContactQuery(contact), page!(ContactPage)).await
    }
}
