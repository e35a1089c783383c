// SPDX-License-Identifier: AGPL-3.0-or-later
//! The library through which programs use a router of the mesh: an irdest-gateway on their host, or another one that speaks its client
//! protocol.
//!
//! # What there is
//! * An **address** is a key of one program, made and kept by the router, and known to the whole mesh while it is up. Whoever has its
//!   **token** may use it: keep both, since the token is told once.
//! * A **stream** is a message of any size, from an address to one or many recipients. It arrives now or when they are reachable: once
//!   the router [accepted](types::News::Accepted) it, it goes its way without this program. What arrives stays with the router until
//!   the program that received it says that it is [taken](IncomingStream::taken).
//! * A **namespace** is a key that many share. What is sent to it goes to everybody who is up in it; who knows its **seed** can be.
//!
//! # How to start
//! ```no_run
//! use ratman_client::{Outgoing, RatmanIpc, RatmanIpcExtV1, default_api_bind, types::Recipient};
//!
//! # async fn run() -> ratman_client::Result<()> {
//! let ipc = RatmanIpc::start(default_api_bind()).await?;
//! let (address, auth) = ipc.addr_create(None, None).await?;
//! ipc.addr_up(&auth, address).await?;
//! let friend: Recipient = "ECB4-30B9-4416-C403-716F-601F-FC56-9AD3-BD2E-3892-227A-84AD-E6FC-A1CE-0A92-03F6".parse().unwrap();
//! ipc.send_all(&auth, Outgoing::new(address, [friend]), &mut &b"hello"[..]).await?;
//! # Ok(())
//! # }
//! ```
//! Programs that are not asynchronous find the same in [`blocking`]. The manual's first program is `examples/receive_one.rs`.
//!
//! # Patterns
//! **A program that keeps its address.** [`HexText`] is how token and seed get into a file, and nothing else prints them:
//! ```no_run
//! # use ratman_client::{HexText, RatmanIpc, RatmanIpcExtV1, types::{Address, AuthToken}};
//! # async fn run(ipc: RatmanIpc, address: Address, kept: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let auth = AuthToken::from_hex(kept)?;
//! ipc.addr_up(&auth, address).await?; // whenever the program starts
//! # Ok(())
//! # }
//! ```
//! **A program that receives for ever**, through restarts of its router, each stream once and in order:
//! ```no_run
//! # use ratman_client::{RatmanIpc, ReceiveOptions, Reconnect, types::{Address, AuthToken}};
//! # async fn run(ipc: RatmanIpc, auth: AuthToken, address: Address) -> ratman_client::Result<()> {
//! let mut incoming = ipc.receive(&auth, address, ReceiveOptions::new().reconnect(Reconnect::default()));
//! while let Some(mut stream) = incoming.next().await? {
//!     let content = stream.content(1 << 20).await?;
//!     // Save it; if this program ends before the next line, the stream comes again.
//!     # drop(content);
//!     stream.taken().await?;
//! }
//! # Ok(())
//! # }
//! ```
//! **A large file**, with news, gone on with after this program was ended in the middle:
//! ```no_run
//! # use ratman_client::{Outgoing, RatmanIpc, Result, ResumeToken, types::AuthToken};
//! # use ratman_client::tokio::{fs::File, io::AsyncSeekExt};
//! # async fn run(ipc: RatmanIpc, auth: AuthToken, outgoing: Outgoing, kept: Option<ResumeToken>) -> Result<()> {
//! let mut file = File::open("film").await?;
//! let mut sending = match &kept {
//!     Some(token) => ipc.resume(&auth, token, true).await?,
//!     None => ipc.send(&auth, outgoing.progress(true)).await?,
//! };
//! file.seek(std::io::SeekFrom::Start(sending.offset())).await?;
//! // Keep `sending.resume_token().to_string()` before the first byte.
//! sending.copy_from(&mut file).await?;
//! sending.finish().await?;
//! while let Some((recipient, news)) = sending.next_news().await? {
//!     eprintln!("{recipient}: {news:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//! All are an [`Error`], also within the `io::Error` of a reader or writer: `Error::from(io_error)` gives it back. What to do about the
//! most frequent: [`Error::Unreachable`], no router runs there, so start it or wait; [`Error::InvalidAuth`], the token is another
//! address's or the address is not up, as after every restart of the router; [`Error::NotPermitted`], the operator may, on the unix
//! socket; [`Error::Lost`], ask again what was done; [`Error::NotSupported`], the router is older than the question.
//!
//! # What is given up
//! A future may be dropped at any time, and no connection gets out of step by it. Cancel safe, so that it can be called again in a
//! `select!` and nothing is lost: [`Incoming::next`], [`RatmanIpc::receive_one`], [`Subscription::next`], [`Following::next`],
//! [`Sending::next_news`], [`Sending::finish`], and reading and writing themselves. Of a request nobody knows afterwards whether it was
//! done. Every other one says what is left behind.
//!
//! # Limits
//! A stream has 1 to 1024 recipients, auxiliary data 32 KiB, a lifetime 30 days, to a namespace one day. A reply has at most 8 MiB, a
//! list at most [`MAX_LIST`] entries. A client keeps 8 idle connections, has 32 requests on their way, and one more connection for each
//! stream that its user has open; a router has 512 connections for all its clients. How long a router may take says [`Timeouts`]. An
//! irdest-gateway ends a connection whose program does not take for a minute what it is given: who reads content slowly lets it
//! [reconnect](ReceiveOptions::reconnect), or saves the content first.
#![forbid(unsafe_code)]

mod addresses;
mod api_bind;
mod backoff;
#[cfg(feature = "blocking")]
pub mod blocking;
mod connection;
mod contacts;
mod error;
mod ext;
mod following;
mod hex_text;
mod incoming;
mod ipc;
mod news_box;
mod outgoing;
mod pages;
mod pool;
mod receive_options;
mod receiver;
mod resume_token;
mod router;
mod sending;
mod socket;
mod spaces;
mod subscription;
mod timeouts;

pub use api_bind::{ApiBind, ParseApiBindError, default_api_bind};
pub use backoff::Reconnect;
pub use error::{Error, Result};
pub use ext::{RatmanIpcExtV1, RatmanStreamExtV1};
pub use following::Following;
pub use hex_text::{HexText, ParseHexError, fresh_seed};
pub use incoming::{Incoming, IncomingStream, ReadStream};
pub use ipc::RatmanIpc;
pub use outgoing::Outgoing;
pub use pages::MAX_LIST;
pub use receive_options::ReceiveOptions;
pub use resume_token::{ParseResumeTokenError, ResumeToken};
pub use sending::Sending;
pub use subscription::{SubscribedStream, Subscription};
pub use timeouts::Timeouts;
pub use tokio;

/// What the manual's programs import from here.
pub mod api {
    pub use crate::{RatmanIpc, RatmanIpcExtV1, RatmanStreamExtV1, default_api_bind};
}

/// What requests and replies are made of.
pub mod types {
    pub use ratman_wire::api::{
        Address, AddressName, AnycastReply, AuthToken, AuxiliaryData, Bandwidth, ByteCount, Capacity,
        Contact, ContactChange, ContactKey, ContactName, DateTime, DialledPeer, Figure, FilterAction,
        FilterEntry, FilterRule, KnownPeer, Letterhead, Lifetime, LinkEntry, LinkState, List, LocalAddress,
        LocalNamespace, MAX_CONTENT, MAX_RECIPIENTS, Mtu, NameChange, Namespace, NamespaceSeed, NewContact,
        News, NextHop, OpenedStream, ParseKeyError, Progress, Recipient, Refusal, RefusalReason, RouteEntry,
        RouterFigures, RouterId, RouterInfo, Senders, Stage, StreamEntry, StreamFigures, StreamId, StreamKey,
        SubscriptionId, Text, TrustChange, WallTime,
    };
}
