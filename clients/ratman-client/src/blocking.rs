// SPDX-License-Identifier: AGPL-3.0-or-later
//! The same for programs that are not asynchronous: each call waits until it is done, and streams are `Read` and `Write`.
//!
//! What is said of the asynchronous ones holds here; names and limits are the same. A call cannot be given up: whoever needs that, or
//! waits for several things at once, takes the asynchronous ones.
//!
//! ```no_run
//! use ratman_client::{Outgoing, ReceiveOptions, blocking::RatmanIpc, default_api_bind, types::Recipient};
//!
//! # fn main() -> ratman_client::Result<()> {
//! let ipc = RatmanIpc::start(default_api_bind())?;
//! let (address, auth) = ipc.addr_create(None, None)?;
//! ipc.addr_up(&auth, address)?;
//! ipc.send_all(&auth, Outgoing::new(address, [Recipient::Address(address)]), &mut &b"to myself"[..])?;
//! let mut incoming = ipc.receive(&auth, address, ReceiveOptions::new());
//! if let Some(mut stream) = incoming.next()? {
//!     std::io::copy(&mut stream, &mut std::io::stdout())?;
//!     stream.taken()?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Panics
//! All of it panics when called within an asynchronous runtime, which it would stop.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::types::{
    Address, AnycastReply, AuthToken, Contact, ContactChange, ContactKey, DialledPeer, FilterEntry,
    FilterRule, KnownPeer, LinkEntry, LocalAddress, LocalNamespace, Namespace, NamespaceSeed, NewContact,
    OpenedStream, Recipient, RouteEntry, RouterFigures, RouterInfo, StreamEntry, StreamKey, SubscriptionId,
};
use crate::{ApiBind, Error, Outgoing, RatmanIpcExtV1, ReceiveOptions, Result, ResumeToken, Timeouts};

mod incoming;
mod sending;
mod subscription;

pub use incoming::{Incoming, IncomingStream, ReadStream};
pub use sending::{Following, Sending};
pub use subscription::{SubscribedStream, Subscription};

/// The client of one router: [`crate::RatmanIpc`], for programs that are not asynchronous. Clones share their connections, and may be
/// used from any thread.
#[derive(Clone, Debug)]
pub struct RatmanIpc {
    ipc: crate::RatmanIpc,
    runtime: Arc<Runtime>,
}

impl RatmanIpc {
    /// [`crate::RatmanIpc::start`].
    ///
    /// # Errors
    /// As there, and [`Error::Io`] where the system has no room for another runtime.
    pub fn start(bind: impl Into<ApiBind>) -> Result<Self> {
        Self::start_with(bind.into(), Timeouts::default())
    }

    /// [`crate::RatmanIpc::start_with`].
    ///
    /// # Errors
    /// As [`RatmanIpc::start`].
    pub fn start_with(bind: ApiBind, timeouts: Timeouts) -> Result<Self> {
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build().map_err(Error::Io)?);
        let ipc = runtime.block_on(crate::RatmanIpc::start_with(bind, timeouts))?;
        Ok(Self { ipc, runtime })
    }

    /// [`crate::RatmanIpc::bind`].
    pub fn bind(&self) -> &ApiBind {
        self.ipc.bind()
    }

    /// [`crate::RatmanIpc::knows_extensions`].
    pub const fn knows_extensions(&self) -> bool {
        self.ipc.knows_extensions()
    }

    /// [`crate::RatmanIpc::send`].
    ///
    /// # Errors
    /// As there.
    pub fn send(&self, auth: &AuthToken, outgoing: Outgoing) -> Result<Sending> {
        let sending = self.runtime.block_on(self.ipc.send(auth, outgoing))?;
        Ok(Sending::new(sending, Arc::clone(&self.runtime)))
    }

    /// [`crate::RatmanIpc::resume`].
    ///
    /// # Errors
    /// As there.
    pub fn resume(&self, auth: &AuthToken, token: &ResumeToken, progress: bool) -> Result<Sending> {
        let sending = self.runtime.block_on(self.ipc.resume(auth, token, progress))?;
        Ok(Sending::new(sending, Arc::clone(&self.runtime)))
    }

    /// [`crate::RatmanIpc::send_all`].
    ///
    /// # Errors
    /// As there.
    pub fn send_all(
        &self,
        auth: &AuthToken,
        outgoing: Outgoing,
        reader: &mut (impl Read + ?Sized),
    ) -> Result<Vec<OpenedStream>> {
        let mut sending = self.send(auth, outgoing)?;
        match sending.copy_from(reader) {
            Ok(_) => sending.finish()?,
            // The news tell why it is over.
            Err(Error::Ended) => {}
            Err(error) => return Err(error),
        }
        sending.confirm()
    }

    /// [`crate::RatmanIpc::receive`].
    pub fn receive(&self, auth: &AuthToken, address: Address, options: ReceiveOptions) -> Incoming {
        Incoming::new(self.ipc.receive(auth, address, options), Arc::clone(&self.runtime))
    }

    /// [`crate::RatmanIpc::receive_one`].
    ///
    /// # Errors
    /// As there.
    pub fn receive_one(
        &self,
        auth: &AuthToken,
        address: Address,
        options: ReceiveOptions,
    ) -> Result<Option<ReadStream>> {
        let stream = self.runtime.block_on(self.ipc.receive_one(auth, address, options))?;
        Ok(stream.map(|stream| ReadStream::new(stream, Arc::clone(&self.runtime))))
    }

    /// [`crate::RatmanIpc::stream_follow`].
    ///
    /// # Errors
    /// As there.
    pub fn stream_follow(&self, auth: &AuthToken, key: StreamKey) -> Result<Following> {
        let following = self.runtime.block_on(self.ipc.stream_follow(auth, key))?;
        Ok(Following::new(following, Arc::clone(&self.runtime)))
    }

    /// [`crate::RatmanIpc::subscribe`].
    ///
    /// # Errors
    /// As there.
    pub fn subscribe(
        &self,
        auth: &AuthToken,
        address: Address,
        recipient: Option<Recipient>,
    ) -> Result<Subscription> {
        let subscription = self.runtime.block_on(self.ipc.subscribe(auth, address, recipient))?;
        Ok(Subscription::new(subscription, Arc::clone(&self.runtime)))
    }

    /// [`crate::RatmanIpc::resubscribe`].
    ///
    /// # Errors
    /// As there.
    pub fn resubscribe(
        &self,
        auth: &AuthToken,
        address: Address,
        id: SubscriptionId,
    ) -> Result<Subscription> {
        let subscription = self.runtime.block_on(self.ipc.resubscribe(auth, address, id))?;
        Ok(Subscription::new(subscription, Arc::clone(&self.runtime)))
    }
}

/// What is the same but for the waiting.
macro_rules! waiting {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl RatmanIpc {$(
            #[doc = concat!("As the [method](crate::RatmanIpc) `", stringify!($name), "` of the asynchronous client.")]
            ///
            /// # Errors
            /// As there.
            pub fn $name(&self, $($argument: $type),*) -> Result<$result> {
                self.runtime.block_on(self.ipc.$name($($argument),*))
            }
        )*}
    };
}

waiting! {
    addr_create(name: Option<&String>, namespace: Option<&NamespaceSeed>) -> (Address, AuthToken);
    addr_destroy(auth: &AuthToken, address: Address, force: bool) -> ();
    addr_up(auth: &AuthToken, address: Address) -> ();
    addr_down(auth: &AuthToken, address: Address) -> ();
    addr_list() -> Vec<Address>;
    addr_query() -> Vec<LocalAddress>;
    filter_add(auth: &AuthToken, address: Address, rule: FilterRule) -> u32;
    filter_delete(auth: &AuthToken, address: Address, filter: u32) -> ();
    filter_list(auth: &AuthToken, address: Address) -> Vec<FilterEntry>;
    space_create(auth: &AuthToken, seed: &NamespaceSeed) -> Namespace;
    space_up(auth: &AuthToken, address: Address, namespace: Namespace) -> ();
    space_down(auth: &AuthToken, address: Address, namespace: Namespace) -> ();
    space_destroy(auth: &AuthToken, address: Address, namespace: Namespace) -> ();
    space_list(auth: &AuthToken, address: Address) -> Vec<LocalNamespace>;
    space_anycast(auth: &AuthToken, address: Address, namespace: Namespace, timeout: Duration) -> Vec<AnycastReply>;
    stream_list(auth: &AuthToken, address: Address) -> Vec<StreamEntry>;
    stream_destroy(auth: &AuthToken, key: StreamKey) -> ();
    unsubscribe(auth: &AuthToken, address: Address, id: SubscriptionId) -> ();
    subscription_list(address: Address) -> Vec<SubscriptionId>;
    router_status() -> RouterFigures;
    router_info() -> RouterInfo;
    link_list() -> Vec<LinkEntry>;
    link_query(link: u32) -> Option<LinkEntry>;
    peer_list() -> Vec<KnownPeer>;
    peer_query() -> Vec<DialledPeer>;
    route_list() -> Vec<RouteEntry>;
    route_query(address: Address) -> Option<RouteEntry>;
    contact_add(contact: NewContact) -> ();
    contact_modify(change: ContactChange) -> ();
    contact_delete(contact: ContactKey) -> ();
    contact_list() -> Vec<Contact>;
    contact_query(contact: ContactKey) -> Option<Contact>;
}
