// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the manual's programs call, under the names that they call it by (source: manual, client SDK). What goes beyond stands on
//! [`RatmanIpc`] itself.

use ratman_wire::api::{
    Address, AddressName, AuthToken, DestroyedAddress, Letterhead, NamespaceSeed, NewAddress, Nothing,
    OpenedStream, Recipient, Reply, Request, SubscriptionId,
};
use tokio::io::AsyncRead;

use crate::connection::answer;
use crate::{Error, Incoming, Outgoing, RatmanIpc, ReadStream, ReceiveOptions, Result, Subscription};

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::RatmanIpc {}
}

/// Addresses. Nobody else implements it, so methods may be added.
pub trait RatmanIpcExtV1: sealed::Sealed {
    /// Makes an address, and says its token: told once, so keep both. The name is only for this router and must not be empty. With the
    /// seed of a namespace the address is brought up and the router let know that namespace
    /// ([`space_create`](RatmanIpc::space_create)).
    ///
    /// Cancellation: an address that nobody knows of may stay behind.
    ///
    /// # Errors
    /// [`Error::Input`] for a name that is too long or has a NUL, and those of every request. Where the namespace fails, the address is
    /// destroyed again.
    fn addr_create(
        &self,
        name: Option<&String>,
        namespace: Option<&NamespaceSeed>,
    ) -> impl Future<Output = Result<(Address, AuthToken)>> + Send;

    /// Forgets an address and its key for good; with `force` also if it is up.
    ///
    /// # Errors
    /// [`Error::NoSuchAddress`], [`Error::InvalidAuth`], [`Error::Input`] where it is up and not forced, and those of every request.
    fn addr_destroy(
        &self,
        auth: &AuthToken,
        address: Address,
        force: bool,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Announces an address on the mesh, and takes streams for it. Lasts until [`addr_down`](Self::addr_down) or the end of the router;
    /// programs bring their addresses up whenever they start.
    ///
    /// # Errors
    /// [`Error::InvalidAuth`], [`Error::Router`] for an address that there is not, and those of every request.
    fn addr_up(&self, auth: &AuthToken, address: Address) -> impl Future<Output = Result<()>> + Send;

    /// Announces it no more.
    ///
    /// # Errors
    /// [`Error::NoSuchAddress`], [`Error::InvalidAuth`], and those of every request.
    fn addr_down(&self, auth: &AuthToken, address: Address) -> impl Future<Output = Result<()>> + Send;

    /// The addresses of all programs of this router.
    ///
    /// # Errors
    /// Those of every request.
    fn addr_list(&self) -> impl Future<Output = Result<Vec<Address>>> + Send;
}

impl RatmanIpcExtV1 for RatmanIpc {
    async fn addr_create(
        &self,
        name: Option<&String>,
        namespace: Option<&NamespaceSeed>,
    ) -> Result<(Address, AuthToken)> {
        let wrong = || Error::Input("a name has 1 to 256 bytes and no NUL".to_owned());
        let is_name = |name: &AddressName| !name.as_str().is_empty();
        let name = name.map(|name| AddressName::new(name.as_str()).filter(is_name).ok_or_else(wrong));
        let request = Request::AddressCreate(NewAddress { name: name.transpose()? });
        let (address, auth) = answer!(self.ask(request, None).await?, Reply::AddressCreated { address, token } => (address, token))?;
        let Some(seed) = namespace else { return Ok((address, auth)) };
        let made = async {
            self.addr_up(&auth, address).await?;
            self.space_create(&auth, seed).await
        };
        if let Err(error) = made.await {
            // The first error says more than that of cleaning up.
            let _ = self.addr_destroy(&auth, address, true).await;
            return Err(error);
        }
        Ok((address, auth))
    }

    async fn addr_destroy(&self, auth: &AuthToken, address: Address, force: bool) -> Result<()> {
        self.order(Request::AddressDestroy(DestroyedAddress { address, force }), Some(auth)).await
    }

    async fn addr_up(&self, auth: &AuthToken, address: Address) -> Result<()> {
        self.order(Request::AddressUp(address), Some(auth)).await
    }

    async fn addr_down(&self, auth: &AuthToken, address: Address) -> Result<()> {
        self.order(Request::AddressDown(address), Some(auth)).await
    }

    async fn addr_list(&self) -> Result<Vec<Address>> {
        answer!(self.ask(Request::AddressList(Nothing), None).await?, Reply::Addresses(addresses) | Reply::AddressList(addresses) => addresses.into_vec())
    }
}

/// Streams. Nobody else implements it, so methods may be added.
pub trait RatmanStreamExtV1: sealed::Sealed {
    /// Sends all that comes from a reader, and waits until the router answers for it; says under which name. A size of zero in the
    /// letterhead stands for one that is not known.
    ///
    /// Cancellation: what was read is lost, and the stream is not sent; some of it may stay with the router for some time.
    ///
    /// # Errors
    /// [`Error::Router`] where the recipient does not get it; those of the reader as [`Error::Io`]; those of [`RatmanIpc::send`].
    fn send_to<R>(
        &self,
        auth: &AuthToken,
        letterhead: Letterhead,
        reader: &mut R,
    ) -> impl Future<Output = Result<OpenedStream>> + Send
    where
        R: AsyncRead + Send + Unpin + ?Sized;

    /// The same to several: the same content with the same words beside, from one address.
    ///
    /// # Errors
    /// [`Error::Input`] where the letterheads differ in more than the recipient; else as [`send_to`](Self::send_to). Who gets it gets it
    /// even if others do not.
    fn send_many<R>(
        &self,
        auth: &AuthToken,
        letterheads: Vec<Letterhead>,
        reader: &mut R,
    ) -> impl Future<Output = Result<Vec<OpenedStream>>> + Send
    where
        R: AsyncRead + Send + Unpin + ?Sized;

    /// Waits for one stream to a recipient: the address, which is up, or a namespace that it is up in. The stream is taken when it was
    /// read to its end.
    ///
    /// Cancel safe: a stream that came stays with the router.
    ///
    /// # Errors
    /// [`Error::InvalidAuth`], [`Error::Lost`], and those of every request.
    fn recv_one(
        &self,
        auth: &AuthToken,
        address: Address,
        to: Recipient,
    ) -> impl Future<Output = Result<(Letterhead, ReadStream)>> + Send;

    /// Streams to a recipient, exactly so many, or without end.
    ///
    /// # Errors
    /// None: they come with [`Incoming::next`].
    fn recv_many(
        &self,
        auth: &AuthToken,
        address: Address,
        to: Recipient,
        limit: Option<u32>,
    ) -> impl Future<Output = Result<Incoming>> + Send;

    /// [`RatmanIpc::subscribe`].
    ///
    /// # Errors
    /// As there.
    fn stream_sub(
        &self,
        auth: &AuthToken,
        address: Address,
        recipient: Option<Recipient>,
    ) -> impl Future<Output = Result<Subscription>> + Send;

    /// [`RatmanIpc::resubscribe`].
    ///
    /// # Errors
    /// As there.
    fn stream_resub(
        &self,
        auth: &AuthToken,
        address: Address,
        id: SubscriptionId,
    ) -> impl Future<Output = Result<Subscription>> + Send;

    /// [`RatmanIpc::unsubscribe`].
    ///
    /// # Errors
    /// As there.
    fn stream_unsub(
        &self,
        auth: &AuthToken,
        address: Address,
        id: SubscriptionId,
    ) -> impl Future<Output = Result<()>> + Send;
}

impl RatmanStreamExtV1 for RatmanIpc {
    async fn send_to<R>(
        &self,
        auth: &AuthToken,
        letterhead: Letterhead,
        reader: &mut R,
    ) -> Result<OpenedStream>
    where
        R: AsyncRead + Send + Unpin + ?Sized,
    {
        let mut streams = self.send_all(auth, Outgoing::of(&letterhead), reader).await?;
        streams.pop().ok_or(Error::Ended)
    }

    async fn send_many<R>(
        &self,
        auth: &AuthToken,
        letterheads: Vec<Letterhead>,
        reader: &mut R,
    ) -> Result<Vec<OpenedStream>>
    where
        R: AsyncRead + Send + Unpin + ?Sized,
    {
        let first = letterheads.first().ok_or_else(|| Error::Input("there is no letterhead".to_owned()))?;
        let is_alike = |other: &Letterhead| Letterhead { to: first.to, ..other.clone() } == *first;
        if !letterheads.iter().all(is_alike) {
            return Err(Error::Input("the letterheads differ in more than the recipient".to_owned()));
        }
        let outgoing = Outgoing::of(first).to(letterheads.iter().map(|letterhead| letterhead.to));
        self.send_all(auth, outgoing, reader).await
    }

    async fn recv_one(
        &self,
        auth: &AuthToken,
        address: Address,
        to: Recipient,
    ) -> Result<(Letterhead, ReadStream)> {
        let options = ReceiveOptions::new().to(to);
        let stream = self.receive_one(auth, address, options).await?;
        let stream =
            stream.ok_or_else(|| Error::Protocol("no stream, though one was waited for".to_owned()))?;
        Ok((stream.letterhead().clone(), stream))
    }

    async fn recv_many(
        &self,
        auth: &AuthToken,
        address: Address,
        to: Recipient,
        limit: Option<u32>,
    ) -> Result<Incoming> {
        let options = ReceiveOptions::new().to(to);
        let options = if let Some(limit) = limit { options.limit(limit) } else { options };
        Ok(self.receive(auth, address, options))
    }

    async fn stream_sub(
        &self,
        auth: &AuthToken,
        address: Address,
        recipient: Option<Recipient>,
    ) -> Result<Subscription> {
        self.subscribe(auth, address, recipient).await
    }

    async fn stream_resub(
        &self,
        auth: &AuthToken,
        address: Address,
        id: SubscriptionId,
    ) -> Result<Subscription> {
        self.resubscribe(auth, address, id).await
    }

    async fn stream_unsub(&self, auth: &AuthToken, address: Address, id: SubscriptionId) -> Result<()> {
        self.unsubscribe(auth, address, id).await
    }
}

impl RatmanIpc {
    /// Sends all that comes from a reader, and waits until the router answers for it.
    ///
    /// Cancellation: what was read is lost, and the stream is not sent; some of it may stay with the router for some time.
    ///
    /// # Errors
    /// [`Error::Router`] where a recipient does not get it; those of the reader as [`Error::Io`]; those of [`RatmanIpc::send`].
    pub async fn send_all<R>(
        &self,
        auth: &AuthToken,
        outgoing: Outgoing,
        reader: &mut R,
    ) -> Result<Vec<OpenedStream>>
    where
        R: AsyncRead + Send + Unpin + ?Sized,
    {
        let mut sending = self.send(auth, outgoing).await?;
        match sending.copy_from(reader).await {
            Ok(_) => sending.finish().await?,
            // The news tell why it is over.
            Err(Error::Ended) => {}
            Err(error) => return Err(error),
        }
        sending.confirm().await
    }
}
