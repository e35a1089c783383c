// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a client of the message plane has in its hands: a stream that it sends, or one that it is to take. Dropped, the one is
//! abandoned unless its content is complete, and the other is there for the next who asks.

use std::sync::Arc;
use std::task::{Context, Poll};

use ratman_eris::ReadCapability;
use ratman_types::{Address, ByteCount, Recipient, SecretKey, Signer};
use ratman_wire::stream::{AuxiliaryData, Lifetime};
use router_core::stream::Routing;
use router_core::streams::{Arrival, ListedStream, NewStream, Place, SendError, StreamKey};
use tokio::sync::{mpsc, oneshot, watch};

use super::ContentError;
use super::inlet::Inlet;
use super::registry::Ask;
use super::shares::Announcing;
use crate::store::Store;

/// The message plane ends, or the stream has; nothing is answered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is ending")]
pub struct Ending;

/// The journal did not take it that a client has a stream: after a restart it may be given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the journal did not take it that the stream is yours: after a restart of the daemon it may be given out again"
)]
pub struct NotStored;

/// Why no stream is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The address is not up, or was taken down meanwhile.
    #[error("the address is not up")]
    Down,
    /// The message plane ends.
    #[error(transparent)]
    Ending(#[from] Ending),
}

/// Which streams a client takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// For which address; for the gateway's own if left out.
    pub by: Option<Address>,
    /// Of whom; of anybody if left out.
    pub from: Option<Address>,
    /// To whom: to that address, or to a namespace that it takes part in. If left out to any of these, and where no address is said
    /// to the gateway's own alone.
    pub to: Option<Recipient>,
    /// Only this one; it is waited for only while another client of the address has it in its hands.
    pub stream: Option<StreamKey>,
    /// Before others who wait.
    pub first: bool,
    /// Whether to wait for one, or to say that there is none.
    pub wait: bool,
}

impl Wanted {
    /// Any stream to the gateway's own address, which is waited for.
    pub fn any() -> Self {
        Self { wait: true, ..Self::default() }
    }
}

/// What a client wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Whom it is for.
    pub recipient: Recipient,
    /// How long it will be, where that is known.
    pub size: Option<ByteCount>,
    /// For how long it is wanted.
    pub lifetime: Lifetime,
    /// Whether its blocks are sent as they are made, or wait until they are asked for.
    pub routing: Routing,
    /// What the recipient is told beside the content.
    pub auxiliary_data: AuxiliaryData,
}

/// What a sender is told, in this order; one of those from the third on is the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// All of it is durable here.
    Accepted,
    /// Another router answers for it.
    Stored,
    /// It came to its end.
    Ended(router_core::stream::Ended),
    /// It is shared, and this reads it.
    Shared(ReadCapability),
    /// The store failed to take it.
    Failed,
}

impl News {
    /// Whether nothing follows.
    pub const fn is_last(&self) -> bool {
        match self {
            Self::Accepted | Self::Stored => false,
            Self::Ended(_) | Self::Shared(_) | Self::Failed => true,
        }
    }
}

/// How far a stream is that a client sends; see [`ListedStream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of its blocks that have arrived.
    pub arrived: ByteCount,
    /// Bytes of all its blocks, where that is known.
    pub in_all: Option<ByteCount>,
}

/// What is told of a stream to who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// What happened.
    News(News),
    /// How far it is.
    Progress(Progress),
}

/// The streams that are not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The first 1024.
    pub streams: Vec<ListedStream>,
    /// How many there are beside.
    pub more: usize,
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

    pub(super) const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(super) const fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    pub(super) const fn own(&self) -> Address {
        self.own
    }

    /// What streams there are.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn list(&self) -> Result<Listed, Ending> {
        let (reply, listed) = oneshot::channel();
        self.inlet.ask(Ask::List { reply });
        listed.await.map_err(|_| Ending)
    }

    /// Begins a stream of the gateway's own address.
    ///
    /// # Errors
    /// [`Ending`]; and within, why it cannot be sent.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Result<Sending, SendError>, Ending> {
        self.send_as(self.own, outgoing).await
    }

    /// Begins a stream of an address that is up; whose that is was asked before ([`Desk::prove`](crate::desk::Desk::prove)).
    ///
    /// # Errors
    /// As [`Clients::send`].
    pub async fn send_as(
        &self,
        sender: Address,
        outgoing: Outgoing,
    ) -> Result<Result<Sending, SendError>, Ending> {
        let Outgoing { recipient, size, lifetime, routing, auxiliary_data } = outgoing;
        let new = NewStream { sender, recipient, size, lifetime, routing, auxiliary_data };
        let (reply, sent) = oneshot::channel();
        self.inlet.ask(Ask::Send { new, reply });
        sent.await.map_err(|_| Ending)
    }

    /// The oldest stream that is wanted and that no other client has for the same address. May be dropped while it waits.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive(&self, wanted: Wanted) -> Result<Option<Held>, ReceiveError> {
        let own = wanted.by.is_none().then_some(Recipient::Address(self.own));
        let wanted = Wanted { to: wanted.to.or(own), ..wanted };
        let (reply, handed) = oneshot::channel();
        self.inlet.ask(Ask::Receive { wanted, reply });
        handed.await.map_err(|_| Ending)?
    }

    /// The streams from and to an address beyond a place in their order, so many at most, and where more may be found.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn list_of(
        &self,
        of: Address,
        after: Option<Place>,
        most: usize,
    ) -> Result<(Vec<ListedStream>, Option<Place>), Ending> {
        let (reply, listed) = oneshot::channel();
        self.inlet.ask(Ask::ListOf { of, after, most, reply });
        listed.await.map_err(|_| Ending)
    }

    /// Follows a stream that is sent: what has happened to it by now is told first. Nothing where it is not sent, or not any more.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn follow(&self, key: StreamKey) -> Result<Option<Announcing>, Ending> {
        let (reply, following) = oneshot::channel();
        self.inlet.ask(Ask::Follow { key, reply });
        following.await.map_err(|_| Ending)
    }

    /// Ends a stream that an address sends, or one that comes for it and is not whole; whether there was one.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn end(&self, key: StreamKey, of: Address) -> Result<bool, Ending> {
        let (reply, ended) = oneshot::channel();
        self.inlet.ask(Ask::End { key, of, reply });
        ended.await.map_err(|_| Ending)
    }
}

/// A stream that a client sends.
#[derive(Debug)]
pub struct Sending {
    key: StreamKey,
    news: mpsc::Receiver<News>,
    progress: watch::Receiver<Progress>,
    inlet: Inlet,
}

impl Sending {
    pub(super) fn new(
        key: StreamKey,
        (news, progress): (mpsc::Receiver<News>, watch::Receiver<Progress>),
        inlet: Inlet,
    ) -> Self {
        Self { key, news, progress, inlet }
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

    /// Polls for what has happened to it, as [`Sending::told`] says it without progress.
    pub fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<News>> {
        self.news.poll_recv(context)
    }

    /// What has happened to it already, where nobody was told yet.
    pub fn news_at_once(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// How far it is, if it is further than was told.
    pub fn progress_at_once(&mut self) -> Option<Progress> {
        let is_further = self.progress.has_changed().unwrap_or(false);
        is_further.then(|| *self.progress.borrow_and_update())
    }

    /// What is told of it next, how far it is too if that is wanted, some times a second; nothing after [the last](News::is_last), or
    /// when the daemon ends. Cancel safe.
    pub async fn told(&mut self, mut progress: bool) -> Option<Told> {
        loop {
            tokio::select! {
                // At the end there is only news left.
                biased;
                news = self.news.recv() => return news.map(Told::News),
                further = self.progress.changed(), if progress => match further {
                    Ok(()) => return Some(Told::Progress(*self.progress.borrow_and_update())),
                    Err(_) => progress = false,
                },
            }
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.inlet.ask(Ask::Left { key: self.key });
    }
}

/// A stream that is here whole, in the hands of one client of an address.
#[derive(Debug)]
pub struct Held {
    arrival: Arrival,
    by: Address,
    inlet: Inlet,
    taken: bool,
}

impl Held {
    pub(super) const fn new(arrival: Arrival, by: Address, inlet: Inlet) -> Self {
        Self { arrival, by, inlet, taken: false }
    }

    /// The stream.
    pub const fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    /// It cannot be read, and never will be where that is not the store's fault of the moment: then nobody is given it again, so that
    /// what is behind it comes.
    pub async fn cannot_be_read(self, why: &ContentError) {
        tracing::error!(sender = %self.arrival.key.sender.short(), %why, "a stream that was stored cannot be read");
        if !matches!(why, ContentError::Store(_)) {
            let _ = self.take().await;
        }
    }

    /// The client has it: its blocks go, and nobody is given it again, whatever happens to the daemon.
    ///
    /// # Errors
    /// [`Ending`]; and within, that this could not be stored.
    pub async fn take(mut self) -> Result<Result<(), NotStored>, Ending> {
        self.taken = true;
        let (reply, noted) = oneshot::channel();
        self.inlet.ask(Ask::Taken { key: self.arrival.key, by: self.by, reply });
        noted.await.map_err(|_| Ending)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.taken {
            self.inlet.ask(Ask::Released { key: self.arrival.key, by: self.by });
        }
    }
}
