// SPDX-License-Identifier: AGPL-3.0-or-later
//! The library through which programs use a router of the mesh.
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
