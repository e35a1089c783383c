// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a client of the message plane has in its hands: a stream that it sends, or one that it is to take. Dropped, the one is
//! abandoned unless its content is complete, and the other is there for the next who asks.

use std::sync::Arc;

use ratman_types::{Address, ByteCount, SecretKey, Signer};
use ratman_wire::stream::Lifetime;
use router_core::streams::{Arrival, NewStream, SendError, StreamKey};
use tokio::sync::{mpsc, oneshot};

use super::content::{self, ContentError};
use super::inlet::Inlet;
use super::registry::Ask;
use crate::store::Store;

/// The message plane ends, or the stream has; nothing is answered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is ending")]
pub struct Ending;

/// What a sender is told, in this order; one of the last four is the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// All of it is durable here.
    Accepted,
    /// Another router answers for it.
    Stored,
    /// It came to its end.
    Ended(router_core::stream::Ended),
    /// The store failed to take it.
    Failed,
}

impl News {
    /// Whether nothing follows.
    pub const fn is_last(self) -> bool {
        match self {
            Self::Accepted | Self::Stored => false,
            Self::Ended(_) | Self::Failed => true,
        }
    }
}

/// The door of the message plane for clients.
#[derive(Clone, Debug)]
pub struct Clients {
    inlet: Inlet,
    store: Arc<Store>,
    own: Address,
}

impl Clients {
    pub(super) fn new(inlet: Inlet, store: Arc<Store>, local: &SecretKey) -> Self {
        Self { inlet, store, own: local.address() }
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Begins a stream of our address.
    ///
    /// # Errors
    /// [`Ending`]; and within, why it cannot be sent.
    pub async fn send(
        &self,
        recipient: Address,
        size: Option<ByteCount>,
        lifetime: Lifetime,
    ) -> Result<Result<Sending, SendError>, Ending> {
        let new = NewStream { sender: self.own, recipient, size, lifetime };
        let (reply, sent) = oneshot::channel();
        self.inlet.ask(Ask::Send { new, reply });
        sent.await.map_err(|_| Ending)
    }

    /// The oldest stream of this sender, or of anybody, that no other client has: waits for one, or says that there is none. May
    /// be dropped while it waits.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn receive(&self, from: Option<Address>, wait: bool) -> Result<Option<Held>, Ending> {
        let (reply, handed) = oneshot::channel();
        self.inlet.ask(Ask::Receive { from, wait, reply });
        handed.await.map_err(|_| Ending)
    }

    /// Reads the content of an arrival, in pieces of at most 32 KiB, for as long as `give` takes them. Reads from the disk: not to be
    /// called where others wait.
    ///
    /// # Errors
    /// As [`ContentError`] says; what was given until then is right.
    pub fn read(&self, arrival: &Arrival, give: impl FnMut(&[u8]) -> bool) -> Result<(), ContentError> {
        content::read(&self.store, arrival, give)
    }
}

/// A stream that a client sends.
#[derive(Debug)]
pub struct Sending {
    key: StreamKey,
    news: mpsc::Receiver<News>,
    inlet: Inlet,
}

impl Sending {
    pub(super) const fn new(key: StreamKey, news: mpsc::Receiver<News>, inlet: Inlet) -> Self {
        Self { key, news, inlet }
    }

    /// Which it is.
    pub const fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Hands over more of its content, which is to be asked for again only when this was answered: when all of it was taken, or
    /// cannot be. No answer comes where the stream has come to its end.
    #[must_use]
    pub fn write(&self, content: Vec<u8>) -> oneshot::Receiver<Result<(), SendError>> {
        let (reply, taken) = oneshot::channel();
        self.inlet.ask(Ask::Write { key: self.key, content, reply });
        taken
    }

    /// All of its content was taken. From now on it is sent, whatever becomes of the client.
    ///
    /// # Errors
    /// [`Ending`]; and within, why it is not complete.
    pub async fn finish(&self) -> Result<Result<(), SendError>, Ending> {
        let (reply, finished) = oneshot::channel();
        self.inlet.ask(Ask::Finish { key: self.key, reply });
        finished.await.map_err(|_| Ending)
    }

    /// What has happened to it already, where nobody was told yet.
    pub fn news_at_once(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// What happens to it next; nothing after [the last](News::is_last), or when the daemon ends. Cancel safe.
    pub async fn news(&mut self) -> Option<News> {
        self.news.recv().await
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.inlet.ask(Ask::Left { key: self.key });
    }
}

/// A stream that is here whole, in the hands of one client.
#[derive(Debug)]
pub struct Held {
    arrival: Arrival,
    inlet: Inlet,
    taken: bool,
}

impl Held {
    pub(super) const fn new(arrival: Arrival, inlet: Inlet) -> Self {
        Self { arrival, inlet, taken: false }
    }

    /// The stream.
    pub const fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    /// The client has it: its blocks go, and nobody is given it again.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn take(mut self) -> Result<(), Ending> {
        self.taken = true;
        let (reply, noted) = oneshot::channel();
        self.inlet.ask(Ask::Taken { key: self.arrival.key, reply });
        noted.await.map_err(|_| Ending)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.taken {
            self.inlet.ask(Ask::Released { key: self.arrival.key });
        }
    }
}
