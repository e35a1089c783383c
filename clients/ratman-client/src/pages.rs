// SPDX-License-Identifier: AGPL-3.0-or-later
//! Lists that come in pages, whole.

use ratman_wire::api::{AuthToken, Cursor, Page, PageOf, Reply, Request};

use crate::{Error, RatmanIpc, Result};

/// The most entries of a list: far more than a router holds of anything, and with the longest entries 64 MB.
pub const MAX_LIST: usize = 65_536;

/// The most pages: a router may send shorter ones than it could.
const MAX_PAGES: usize = 4096;

impl RatmanIpc {
    /// All entries of a list. What is added or removed meanwhile may be missed or not; nothing else is, and nothing comes twice.
    ///
    /// # Errors
    /// [`Error::TooMany`] above [`MAX_LIST`].
    pub(crate) async fn list<T>(
        &self,
        auth: Option<&AuthToken>,
        request: impl Fn(PageOf) -> Request,
        page_of: impl Fn(Reply) -> Option<Page<T>>,
    ) -> Result<Vec<T>> {
        let (mut entries, mut after) = (Vec::new(), Cursor::default());
        for _ in 0..MAX_PAGES {
            let reply = self.ask(request(PageOf::after(after.clone())), auth).await?;
            let page = page_of(reply).ok_or_else(no_page)?;
            let come = page.entries.into_vec();
            if come.len() > MAX_LIST - entries.len() {
                return Err(Error::TooMany(MAX_LIST));
            }
            entries.extend(come);
            if page.next.is_empty() {
                return Ok(entries);
            }
            if page.next == after {
                break;
            }
            after = page.next;
        }
        Err(Error::Protocol("a list whose pages do not end".to_owned()))
    }

    /// What a list of one or none has.
    pub(crate) async fn entry<T>(
        &self,
        auth: Option<&AuthToken>,
        request: Request,
        page_of: impl Fn(Reply) -> Option<Page<T>>,
    ) -> Result<Option<T>> {
        let page = page_of(self.ask(request, auth).await?).ok_or_else(no_page)?;
        Ok(page.entries.into_vec().into_iter().next())
    }
}

fn no_page() -> Error {
    Error::Protocol("a list was asked for, and something else came".to_owned())
}

/// Takes the page out of a reply of the right kind.
macro_rules! page {
    ($kind:ident) => {
        |reply| if let ratman_wire::api::Reply::$kind(page) = reply { Some(page) } else { None }
    };
}

pub(crate) use page;
