// SPDX-License-Identifier: AGPL-3.0-or-later
//! The client protocol: what programs and the router of their host say to each other, over TCP on the loopback interface or a
//! unix socket. The only module of this package that clients use; it holds bytes and what must be true of them, neither
//! sockets nor decisions.
//!
//! # One connection
//! Everything travels in [`Microframe`]s, which a [`MicroframeDecoder`] takes from the bytes of a connection. The client begins
//! with [`Request::Connect`] and then has one request answered at a time. What deployed 0.6 programs say is here byte for byte
//! (source: deployed routers, section 8); what is ours has modes and tags of its own, a version byte of its own, and is never
//! said to who did not ask in it (`decisions/client-api.md`).
//!
//! # A stream the way of deployed programs
//! * [`Request::SendOne`] or [`SendMany`](Request::SendMany) → [`Reply::SendSocket`]; the client writes the content to that socket
//!   and closes it → [`Reply::Ok`].
//! * [`Request::RecvOne`] → [`Reply::Ok`] → [`StreamHeader`], content → [`Reply::Ok`];
//!   [`RecvMany`](Request::RecvMany) → [`Reply::Ok`] → as many headers with their content as were asked for.
//! * [`Request::Subscribe`] or [`Resubscribe`](Request::Resubscribe) → [`Reply::Subscription`]; on a connection to that socket headers
//!   with their content come.
//!
//! # A stream our way
//! * [`Request::StreamCreate`] or [`StreamResume`](Request::StreamResume) → [`Reply::Opened`]; the client sends [`Request::Content`] from
//!   the offset on, and [`Request::End`]. [`Reply::News`] come meanwhile and afterwards, until each recipient's
//!   [`is_last`](News::is_last). What a connection sent that ends before [`Request::End`] is there for
//!   [`StreamResume`](Request::StreamResume) for a time that the router decides, and then [`RefusalReason::NotFound`].
//! * [`Request::StreamReceive`] → [`Reply::Arrived`], [`FromRouter::Content`] from the offset on, [`FromRouter::End`]; the client says
//!   [`Request::Taken`] once it has it for good → [`Reply::Taken`], and so on up to the limit. A stream whose [`Request::Taken`] did
//!   not come is there for the next who asks.
//! * [`Request::Cancel`] ends either at any time; what the router said before its [`Reply::Ok`] is to be passed over.
//! * [`Reply::Error`] and [`Reply::Refused`] end either as well; what does not fit what the connection is about gets
//!   [`RefusalReason::OutOfTurn`], and ends nothing.
//!
//! # What differs from deployed routers
//! A client that is written for those notices nothing but that things work. The numbers are those of the wire page.
//!
//! | fix | what a router of ours does | a deployed router | here |
//! |---|---|---|---|
//! | 1 | `limit` n brings exactly n streams, 0 none | n − 1, and 1 without end | [`RecvMany::limit`], [`Receive::limit`] |
//! | 2 | every recipient of a request gets the content | the first | [`Request::SendMany`] |
//! | 3 | a wrong token gets [`ClientError::InvalidAuth`] | closes | [`Request::needs`] |
//! | 4 | every request is answered before the connection ends, also bytes that are no microframe, an unknown mode, a payload above the limit | panics or closes | [`RequestError::reply`], [`MicroframeError`] |
//! | 5 | what a subscriber missed comes once and in order | is lost | [`Request::Resubscribe`] |
//! | 6 | surplus or missing bytes, an empty payload of `Addr.Create`, a NUL in a name, a tag that means nothing get [`UserError::InvalidInput`], and the connection goes on | panics | [`RequestError::Payload`] |
//! | 7 | a stream may be empty | `Internal` | [`Letterhead::stream_size`] |
//! | 8 | auxiliary data arrive | the connection ends | [`Letterhead::auxiliary_data`] |
//! | 9 | commands about namespaces need the token of an address that is up | anybody may | [`Request::needs`] |
//! | 10 | anycast tells who answered | nobody ever | [`Reply::Anycast`] |
//! | 11 | `Addr.Sub`, `Addr.Resub` and `Addr.Unsub` get [`ClientError::NotSupported`] | panics | [`RequestError::NotSupported`] |

pub use ratman_types::{
    Address, Bandwidth, ByteCount, Mtu, Namespace, ParseKeyError, Recipient, RouterId, SecretKey, Signer,
    WallTime,
};

pub use crate::DecodeError;
pub use crate::stream::{AuxiliaryData, Letterhead, Lifetime, StreamId};

mod client_error;
mod contact;
mod date_time;
mod deployed;
mod field;
mod mesh;
mod microframe;
mod mode;
mod page;
mod reply;
mod request;
mod secret;
mod streams;
mod text;
mod version;

pub use client_error::{ClientError, ErrorText, MAX_ERROR_TEXT, UserError};
pub use contact::{Contact, ContactChange, ContactKey, ContactName, NameChange, NewContact, TrustChange};
pub use date_time::DateTime;
pub use deployed::{
    AddressName, Anycast, AnycastReply, DestroyedAddress, HeldSubscription, KnownPeer, Letterheads,
    MAX_RECIPIENTS, Membership, NewAddress, NewNamespace, NewSubscription, Nothing, RecvMany, RecvOne,
    RouterFigures, SubscriptionId,
};
pub use mesh::{
    Capacity, DialledPeer, Figure, LinkEntry, LinkState, LocalAddress, LocalNamespace, MAX_FIGURES, NextHop,
    RouteEntry, RouterInfo, StreamFigures,
};
pub use microframe::{Microframe, MicroframeDecoder, MicroframeError, PayloadLimit};
pub use mode::{ApiMode, ApiNamespace, Operation};
pub use page::{Cursor, MAX_ENTRIES, Page, PageOf};
pub use reply::{
    FromRouter, LongList, Refusal, RefusalReason, Reply, ReplyError, StreamHeader, StreamWay,
    SubscriptionSocket, Terminated, VersionText, Versions,
};
pub use request::{EXTENSION_VERSION, Needs, Request, RequestError};
pub use secret::{AuthToken, NamespaceSeed};
pub use streams::{
    Arrived, Content, FilterAction, FilterEntry, FilterRule, FiltersOf, HeldFilter, MAX_CONTENT,
    NamespacesOf, NewFilter, NewStream, News, Opened, OpenedStream, Progress, Receive, ResumedReceive,
    ResumedStream, Senders, Stage, StreamEntry, StreamKey, StreamNews, StreamsOf,
};
pub use text::{List, Text};
pub use version::ApiVersion;

#[cfg(test)]
mod tests;
