// SPDX-License-Identifier: AGPL-3.0-or-later
//! Addresses, and which streams they take.

use ratman_wire::api::{
    Address, AuthToken, FilterEntry, FilterRule, FiltersOf, HeldFilter, LocalAddress, NewFilter, Reply,
    Request,
};

use crate::connection::answer;
use crate::pages::page;
use crate::{RatmanIpc, Result};

impl RatmanIpc {
    /// The addresses of all programs of this router, and how they stand.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn addr_query(&self) -> Result<Vec<LocalAddress>> {
        self.list(None, Request::AddressQuery, page!(AddressPage)).await
    }

    /// Adds a filter behind those that an address has, and says its number. The first that matches a stream decides, and without one it
    /// is taken.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) where there are too many, [`Error::InvalidAuth`](crate::Error::InvalidAuth), and those of every request.
    pub async fn filter_add(&self, auth: &AuthToken, address: Address, rule: FilterRule) -> Result<u32> {
        let request = Request::FilterAdd(NewFilter { address, rule });
        answer!(self.ask(request, Some(auth)).await?, Reply::FilterAdded(number) => number)
    }

    /// Takes a filter away.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::InvalidAuth`](crate::Error::InvalidAuth), and those of every request.
    pub async fn filter_delete(&self, auth: &AuthToken, address: Address, filter: u32) -> Result<()> {
        self.order(Request::FilterDelete(HeldFilter { address, filter }), Some(auth)).await
    }

    /// The filters of an address, in their order.
    ///
    /// # Errors
    /// [`Error::InvalidAuth`](crate::Error::InvalidAuth), and those of every request.
    pub async fn filter_list(&self, auth: &AuthToken, address: Address) -> Result<Vec<FilterEntry>> {
        let request = |page| Request::FilterList(FiltersOf { address, page });
        self.list(Some(auth), request, page!(FilterPage)).await
    }
}
