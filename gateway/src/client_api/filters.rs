// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which streams an address takes, as its clients say.

use ratman_wire::api::{FiltersOf, HeldFilter, Microframe, NewFilter, RefusalReason, Reply};
use tokio::io::{AsyncRead, AsyncWrite};

use super::failure::Failure;
use super::queries::page;
use super::session::Session;
use crate::desk::DeskError;
use crate::filters::FilterError;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Adds a filter behind the others.
    pub(super) async fn add_filter(&self, new: NewFilter, frame: &Microframe) -> Result<Reply, Failure> {
        let NewFilter { address, rule } = new;
        self.authorise(&address, frame)?;
        let added = self.doors.desk.add_filter(address, rule).await;
        if let Err(error @ DeskError::Filter(FilterError::Full)) = added {
            return Err(Failure::refused(RefusalReason::Full, &error.to_string()));
        }
        Ok(Reply::FilterAdded(added?))
    }

    /// Takes one back.
    pub(super) async fn delete_filter(&self, held: HeldFilter, frame: &Microframe) -> Result<Reply, Failure> {
        let HeldFilter { address, filter } = held;
        self.authorise(&address, frame)?;
        if self.doors.desk.remove_filter(address, filter).await? {
            return Ok(Reply::Ok);
        }
        Err(Failure::refused(RefusalReason::NotFound, "the address has no filter of this number"))
    }

    /// A page of those of an address, in their order.
    pub(super) async fn list_filters(
        &self,
        wanted: &FiltersOf,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        self.authorise(&wanted.address, frame)?;
        let filters = self.doors.desk.filters_of(&wanted.address);
        let keyed = filters.into_iter().map(|entry| (entry.filter.to_be_bytes(), entry));
        Ok(Reply::FilterPage(page(keyed, &wanted.page, |entry| entry)?))
    }
}
