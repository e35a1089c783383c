// SPDX-License-Identifier: AGPL-3.0-or-later
//! How a receiver finds its router again.

use std::future::poll_fn;

use ratman_wire::api::{Address, Arrived, AuthToken, FromRouter, Receive, Recipient, Reply, Request, Text};

use crate::connection::Connection;
use crate::ipc::STREAM;
use crate::{Error, RatmanIpc, Reconnect, Result};

/// What it takes to find a router again.
pub(super) struct Searcher {
    pub(super) ipc: RatmanIpc,
    pub(super) auth: AuthToken,
    pub(super) to: Option<Recipient>,
    pub(super) reconnect: Reconnect,
    pub(super) request: Receive,
}

impl Searcher {
    /// Asks again and again.
    pub(super) async fn find<'a, T, F>(&'a self, ask: impl Fn(&'a Self) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.reconnect.until(|| ask(self)).await
    }

    /// A connection on which streams come. After a restart the router does not know that the address is up.
    pub(super) async fn ask(&self) -> Result<Connection> {
        self.ipc.is_up_again(&self.auth, self.request.address, self.to).await?;
        self.ipc.open(&Request::StreamReceive(self.request.clone()), &self.auth).await
    }

    /// The same, with the first that came on it.
    pub(super) async fn ask_and_wait(&self) -> Result<(Connection, Arrived)> {
        let mut connection = self.ask().await?;
        match poll_fn(|cx| connection.poll_from_router(cx, STREAM)).await? {
            FromRouter::Reply(Reply::Arrived(arrived)) => Ok((connection, *arrived)),
            FromRouter::Reply(Reply::NoStream) => Err(Error::NotFound(Text::of("what was being read"))),
            FromRouter::Reply(other) => Err(Error::unexpected(&other)),
            FromRouter::Stream(_) | FromRouter::Content(_) | FromRouter::End => {
                Err(Error::Protocol("content that belongs to no stream".to_owned()))
            }
        }
    }
}

impl RatmanIpc {
    /// Brings an address up, and the namespace that is waited for, on a router that was restarted.
    pub(crate) async fn is_up_again(
        &self,
        auth: &AuthToken,
        address: Address,
        recipient: Option<Recipient>,
    ) -> Result<()> {
        self.order(Request::AddressUp(address), Some(auth)).await?;
        match recipient {
            Some(Recipient::Namespace(namespace)) => self.space_up(auth, address, namespace).await,
            Some(Recipient::Address(_)) | None => Ok(()),
        }
    }
}
