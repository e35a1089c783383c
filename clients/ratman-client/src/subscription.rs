// SPDX-License-Identifier: AGPL-3.0-or-later
//! Subscriptions as deployed routers have them: streams come on a connection of their own, and nobody says that they are taken.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ratman_wire::api::{
    Address, AuthToken, HeldSubscription, Letterhead, NewSubscription, Recipient, Reply, Request,
    StreamHeader, StreamWay, SubscriptionId, SubscriptionSocket,
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::connection::Connection;
use crate::connection::answer;
use crate::socket::Socket;
use crate::timeouts::within;
use crate::{ApiBind, Error, RatmanIpc, Reconnect, Result};

/// A subscription: the router keeps what comes for it while this program is away, and brings it in order afterwards.
///
/// Finds the router again when it is lost, unless told otherwise with [`reconnecting`](Self::reconnecting). What was read to its end
/// is not brought again by a router of ours. A stream in whose middle the connection broke comes again from its beginning: with
/// [`Incoming`](crate::Incoming) it goes on, and nothing is gone before this program said that it has it. Prefer that.
///
/// Dropping it keeps the subscription; [`RatmanIpc::unsubscribe`] ends it.
#[derive(Debug)]
pub struct Subscription {
    ipc: RatmanIpc,
    auth: AuthToken,
    address: Address,
    /// Nothing where it is not known what was subscribed to.
    recipient: Option<Recipient>,
    id: SubscriptionId,
    reconnect: Option<Reconnect>,
    connection: Option<Connection>,
    /// How much of the content has not been read of the stream that is here.
    missing: u64,
}

/// A stream of a subscription, as a reader of exactly its content; errors of reading are [`Error`]s within. What is not read is passed
/// over.
#[derive(Debug)]
pub struct SubscribedStream<'a> {
    subscription: &'a mut Subscription,
    letterhead: Letterhead,
}

impl RatmanIpc {
    /// Subscribes an address that is up to what is for a recipient: itself, or a namespace that it is up in; to itself if left out.
    ///
    /// # Errors
    /// [`Error::InvalidAuth`], and those of every request.
    pub async fn subscribe(
        &self,
        auth: &AuthToken,
        address: Address,
        recipient: Option<Recipient>,
    ) -> Result<Subscription> {
        let request = Request::Subscribe(NewSubscription { address, recipient });
        let SubscriptionSocket { id, bind } = self.subscription_socket(request, auth).await?;
        let connection = Some(self.connect_to(bind).await?);
        Ok(self.subscription(auth, (address, recipient), id, connection))
    }

    /// Takes up a subscription that was made before, maybe by another run of this program.
    ///
    /// # Errors
    /// [`Error::NoSuchSubscription`], [`Error::InvalidAuth`], and those of every request.
    pub async fn resubscribe(
        &self,
        auth: &AuthToken,
        address: Address,
        id: SubscriptionId,
    ) -> Result<Subscription> {
        let request = Request::Resubscribe(HeldSubscription { id, address });
        let socket = self.subscription_socket(request, auth).await?;
        let connection = Some(self.connect_to(socket.bind).await?);
        Ok(self.subscription(auth, (address, None), id, connection))
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// As [`RatmanIpc::resubscribe`].
    pub async fn unsubscribe(&self, auth: &AuthToken, address: Address, id: SubscriptionId) -> Result<()> {
        self.order(Request::Unsubscribe(HeldSubscription { id, address }), Some(auth)).await
    }

    /// The subscriptions that the router tells of to this address; a deployed router tells of all.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn subscription_list(&self, address: Address) -> Result<Vec<SubscriptionId>> {
        answer!(self.ask(Request::SubscriptionList(address), None).await?, Reply::Subscriptions(subscriptions) => subscriptions.into_vec())
    }

    async fn subscription_socket(&self, request: Request, auth: &AuthToken) -> Result<SubscriptionSocket> {
        answer!(self.ask(request, Some(auth)).await?, Reply::Subscription(socket) => socket)
    }

    async fn connect_to(&self, bind: std::net::SocketAddr) -> Result<Connection> {
        let bind = ApiBind::Tcp(bind);
        let connecting =
            async { Socket::connect(&bind).await.map_err(|error| Error::connecting(&bind, error)) };
        let limit = self.connect_timeout();
        Ok(Connection::new(within(Some(limit), "connecting to the router", connecting).await?))
    }

    fn subscription(
        &self,
        auth: &AuthToken,
        (address, recipient): (Address, Option<Recipient>),
        id: SubscriptionId,
        connection: Option<Connection>,
    ) -> Subscription {
        let reconnect = Some(Reconnect::default());
        let (ipc, auth) = (self.clone(), auth.clone());
        Subscription { ipc, auth, address, recipient, id, reconnect, connection, missing: 0 }
    }
}

impl Subscription {
    /// What to take it up again with: see [`RatmanIpc::resubscribe`].
    pub const fn id(&self) -> SubscriptionId {
        self.id
    }

    /// How the router is found again when it is lost; not at all without. Default [`Reconnect::default`].
    #[must_use]
    pub const fn reconnecting(mut self, how: Option<Reconnect>) -> Self {
        self.reconnect = how;
        self
    }

    /// Waits for the next stream. What was not read of the one before is passed over.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::Lost`] where the router was lost and is not to be found again, and what was wrong when it was not found.
    pub async fn next(&mut self) -> Result<SubscribedStream<'_>> {
        loop {
            if self.connection.is_none() {
                self.connection = Some(self.find().await?);
                self.missing = 0;
            }
            match self.header().await {
                Ok(letterhead) => {
                    self.missing = letterhead.stream_size.0;
                    return Ok(SubscribedStream { subscription: self, letterhead });
                }
                Err(error) => {
                    self.connection = None;
                    if self.reconnect.is_none() || !error.is_unreachable() {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The next header, behind what is left of the stream before it.
    async fn header(&mut self) -> Result<Letterhead> {
        let mut room = vec![0; if self.missing > 0 { 8 * 1024 } else { 0 }];
        while self.missing > 0 {
            let mut buf = ReadBuf::new(&mut room);
            poll_fn(|cx| self.poll_content(cx, &mut buf)).await?;
        }
        let connection = self.connection.as_mut().ok_or(Error::Lost(None))?;
        let frame = poll_fn(|cx| connection.poll_frame(cx)).await?.ok_or(Error::Lost(None))?;
        match StreamHeader::decode(&frame)? {
            Some(StreamHeader { way: StreamWay::Subscription, letterhead }) => Ok(letterhead),
            Some(_) | None => {
                Err(Error::Protocol(format!("{} on the connection of a subscription", frame.mode)))
            }
        }
    }

    fn poll_content(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.missing == 0 || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let Some(connection) = &mut self.connection else { return Poll::Ready(Err(Error::Lost(None))) };
        let limit = usize::try_from(self.missing).unwrap_or(usize::MAX);
        let read = match ready!(connection.poll_bare(cx, buf, limit)) {
            Ok(0) => Err(Error::Lost(None)),
            other => other,
        };
        match read {
            Ok(read) => {
                self.missing -= u64::try_from(read).expect("invariant: a length fits");
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.connection = None;
                Poll::Ready(Err(error))
            }
        }
    }

    /// A connection to where the streams come. After a restart the router does not know that the address is up.
    async fn find(&self) -> Result<Connection> {
        let attempt = || async {
            self.ipc.is_up_again(&self.auth, self.address, self.recipient).await?;
            let request = Request::Resubscribe(HeldSubscription { id: self.id, address: self.address });
            let socket = self.ipc.subscription_socket(request, &self.auth).await?;
            self.ipc.connect_to(socket.bind).await
        };
        match self.reconnect {
            Some(reconnect) => reconnect.until(attempt).await,
            None => attempt().await,
        }
    }
}

impl SubscribedStream<'_> {
    /// From whom it is, to whom, how long, and what the sender says beside.
    pub const fn letterhead(&self) -> &Letterhead {
        &self.letterhead
    }

    /// The rest of the content, if it has at most so many bytes.
    ///
    /// Cancellation: what was read is lost.
    ///
    /// # Errors
    /// [`Error::Unread`] where it is longer: nothing was read then. [`Error::Lost`]: the stream comes again.
    pub async fn content(&mut self, limit: usize) -> Result<Vec<u8>> {
        let missing = self.subscription.missing;
        if usize::try_from(missing).map_or(true, |length| length > limit) {
            return Err(Error::Unread(missing));
        }
        let mut content = Vec::new();
        self.read_to_end(&mut content).await?;
        Ok(content)
    }
}

impl AsyncRead for SubscribedStream<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().subscription.poll_content(cx, buf).map_err(io::Error::from)
    }
}
