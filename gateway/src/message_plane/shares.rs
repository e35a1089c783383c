// SPDX-License-Identifier: AGPL-3.0-or-later
//! What clients do with content that they share.

use ratman_types::{Address, ByteCount, Recipient};
use ratman_wire::stream::{Lifetime, StreamId};
use router_core::streams::{NewShare, SendError, StreamKey};
use tokio::sync::{mpsc, oneshot};

use super::clients::{Clients, Ending, News, Sending};
use super::registry::Ask;

/// Why content could not be taken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TakeDownError {
    /// There is no such content.
    #[error("the sender does not share this content")]
    NotShared,
    /// The journal did not take it.
    #[error(
        "the journal did not take it that this content is shared no more: after a restart of the daemon it may be back"
    )]
    NotStored,
}

/// An announcement of shared content that a client looks after; it goes on without the client.
#[derive(Debug)]
pub struct Announcing {
    key: StreamKey,
    news: mpsc::Receiver<News>,
}

impl Announcing {
    pub(super) const fn new(key: StreamKey, news: mpsc::Receiver<News>) -> Self {
        Self { key, news }
    }

    /// Which it is.
    pub const fn key(&self) -> &StreamKey {
        &self.key
    }

    /// What happens to it next; nothing after [the last](News::is_last), or when the daemon ends. Cancel safe.
    pub async fn told(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

impl Clients {
    /// Begins to read content that is to be shared by an address that is up, the gateway's own if left out; [`News::Shared`] says
    /// what it is called.
    ///
    /// # Errors
    /// As [`Clients::send`].
    pub async fn share(
        &self,
        sender: Option<Address>,
        size: Option<ByteCount>,
        lifetime: Lifetime,
    ) -> Result<Result<Sending, SendError>, Ending> {
        let new = NewShare { sender: sender.unwrap_or(self.own()), size, lifetime };
        let (reply, shared) = oneshot::channel();
        self.inlet().ask(Ask::Share { new, reply });
        shared.await.map_err(|_| Ending)
    }

    /// Tells a recipient of shared content.
    ///
    /// # Errors
    /// As [`Clients::send`].
    pub async fn announce(
        &self,
        sender: Option<Address>,
        stream: StreamId,
        recipient: Recipient,
    ) -> Result<Result<Announcing, SendError>, Ending> {
        let (reply, announced) = oneshot::channel();
        let sender = sender.unwrap_or(self.own());
        self.inlet().ask(Ask::Announce { sender, stream, recipient, reply });
        announced.await.map_err(|_| Ending)
    }

    /// Shares content no more; nothing of it is left here when this returns.
    ///
    /// # Errors
    /// [`Ending`]; and within, why not.
    pub async fn take_down(
        &self,
        sender: Option<Address>,
        stream: StreamId,
    ) -> Result<Result<(), TakeDownError>, Ending> {
        let (reply, gone) = oneshot::channel();
        self.inlet().ask(Ask::TakeDown { sender: sender.unwrap_or(self.own()), stream, reply });
        gone.await.map_err(|_| Ending)
    }
}
