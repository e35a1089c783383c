// SPDX-License-Identifier: AGPL-3.0-or-later
//! What routers say to clients: replies, and headers of streams.

use core::net::SocketAddr;

use ratman_types::{Address, ByteCount};

use super::client_error::ErrorText;
use super::contact::Contact;
use super::deployed::{AnycastReply, KnownPeer, RouterFigures, SubscriptionId};
use super::field::{Field, choice, record};
use super::mesh::{DialledPeer, LinkEntry, LocalAddress, LocalNamespace, RouteEntry, RouterInfo};
use super::page::Page;
use super::request::{EXTENSION_VERSION, Layout, ReadError};
use super::streams::{Arrived, Content, FilterEntry, Opened, StreamEntry, StreamNews};
use super::text::{List, Text};
use super::{ApiMode, AuthToken, ClientError, Microframe, MicroframeError};
use crate::stream::Letterhead;
use crate::{DecodeError, Reader, Writer};

mod from_router;

pub use from_router::{FromRouter, StreamHeader, StreamWay};

/// As many as a count of two bytes says.
pub type LongList<T> = List<T, 65_535>;

/// A text of the handshake.
pub type VersionText = Text<64>;

record! {
    /// Two versions that do not go together.
    pub struct Versions {
        /// The router's.
        pub router: Terminated,
        /// The client's.
        pub client: Terminated,
    }

    /// Where the streams of a subscription come.
    pub struct SubscriptionSocket {
        /// The subscription, to take it up again.
        pub id: SubscriptionId,
        /// Where to connect.
        pub bind: SocketAddr,
    }

    /// Why something of ours was not done.
    pub struct Refusal {
        /// For programs.
        pub reason: RefusalReason,
        /// For people.
        pub detail: Text<512>,
    }
}

/// A text with a NUL behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminated(pub VersionText);

impl Field for Terminated {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Text::read_terminated(reader, field).map(Self)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.0.write_terminated(writer);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self(Field::draw(random))
    }
}

choice! {
    /// Why something of ours was not done, for programs.
    pub enum RefusalReason {
        /// It is for the operator, on the unix socket.
        OperatorOnly = 1,
        /// What was asked about is not there.
        NotFound = 2,
        /// A name or an address is in use.
        InUse = 3,
        /// It is in the configuration, which only an editor changes.
        Configured = 4,
        /// A value that cannot be.
        Invalid = 5,
        /// The content is longer than the way takes: at most this.
        TooLong(ByteCount) = 6,
        /// The content is not as long as was said: it has this.
        Size(ByteCount) = 7,
        /// A table or the journal is full.
        Full = 8,
        /// Others ask too much at the moment, or this client does.
        Busy = 9,
        /// The router ends.
        Ending = 10,
        /// The journal failed.
        NotStored = 11,
        /// The message does not fit what the connection is about.
        OutOfTurn = 12,
        /// The version is not known: the highest that is.
        Version(u8) = 13,
        /// The streams of this router are off.
        NoStreams = 14,
    }
}

impl Field for ClientError {
    /// Length u32 ‖ bincode.
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let length = usize::try_from(reader.u32(field)?).unwrap_or(usize::MAX);
        Self::decode(reader.bytes(field, length)?)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        let mut bytes = Vec::new();
        ClientError::write(self, &mut Writer::new(&mut bytes));
        writer.u32(u32::try_from(bytes.len()).expect("invariant: its texts have a limit")).bytes(&bytes);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self::draw(random)
    }
}

macro_rules! replies {
    ($($(#[$doc:meta])* $tag:literal $name:ident($($payload:ty)?): $layout:ident;)*) => {
        /// What a router answers; the number is its tag.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Reply {
            /// An address was made: its token is the microframe's, told once. Has no tag, so it is known by the request.
            AddressCreated {
                /// Which.
                address: Address,
                /// Its token.
                token: AuthToken,
            },
            /// The addresses of clients. Has no tag, so it is known by the request.
            Addresses(LongList<Address>),
            $($(#[$doc])* #[doc = concat!("\n\nTag ", stringify!($tag), ".")] $name$(($payload))?,)*
        }

        impl Reply {
            /// The tags of all replies that have one.
            pub const TAGS: &[u8] = &[$($tag,)*];

            fn read(payload: &[u8]) -> Result<Self, ReplyError> {
                let Some((tag, rest)) = payload.split_first() else {
                    return Err(DecodeError::Truncated { field: "tag", missing: 1 }.into());
                };
                match tag {
                    $($tag => replies!(@read rest $layout $name $($payload)?),)*
                    _ => Err(ReplyError::Tag(*tag)),
                }
            }

            fn write(&self, writer: &mut Writer<'_>) {
                match self {
                    Self::AddressCreated { address, token: _ } => address.write(writer),
                    Self::Addresses(addresses) => addresses.write(writer),
                    $(replies!(@pattern payload $name $($payload)?) => {
                        writer.u8($tag);
                        replies!(@write writer payload $layout $($payload)?);
                    })*
                }
            }

            /// Any reply with a tag.
            #[cfg(test)]
            pub(super) fn draw(tag: u8, random: &mut super::tests::Random) -> Self {
                match tag {
                    $($tag => replies!(@draw random $name $($payload)?),)*
                    _ => unreachable!("{tag} is no reply"),
                }
            }
        }
    };
    (@read $rest:ident $layout:ident $name:ident $payload:ty) => {
        Layout::$layout.read::<$payload>($rest, stringify!($name)).map(Self::$name).map_err(ReplyError::from)
    };
    (@read $rest:ident $layout:ident $name:ident) => {
        Layout::$layout
            .read::<super::deployed::Nothing>($rest, stringify!($name))
            .map(|_| Self::$name)
            .map_err(ReplyError::from)
    };
    (@pattern $value:ident $name:ident $payload:ty) => { Self::$name($value) };
    (@pattern $value:ident $name:ident) => { Self::$name };
    (@write $writer:ident $value:ident $layout:ident $payload:ty) => { Layout::$layout.write($value, $writer) };
    (@write $writer:ident $value:ident $layout:ident) => {
        Layout::$layout.write(&super::deployed::Nothing, $writer)
    };
    (@draw $random:ident $name:ident $payload:ty) => { Self::$name(<$payload as Field>::draw($random)) };
    (@draw $random:ident $name:ident) => { Self::$name };
}

replies! {
    /// It was done.
    1 Ok(): Bare;
    /// Subscriptions.
    2 Subscriptions(LongList<SubscriptionId>): Bare;
    /// It was not done.
    3 Error(ClientError): Bare;
    /// The client was silent for too long: the connection ends.
    4 Timeout(): Bare;
    /// The versions do not go together: the connection ends.
    5 IncompatibleVersion(Versions): Bare;
    /// A subscription was made or taken up.
    6 Subscription(SubscriptionSocket): Bare;
    /// Addresses; no deployed router says it so.
    7 AddressList(LongList<Address>): Bare;
    /// The addresses that the router has heard of.
    8 PeerList(LongList<KnownPeer>): Bare;
    /// Where to send the content: to the end of that connection.
    9 SendSocket(SocketAddr): Bare;
    /// Four figures.
    10 Status(RouterFigures): Bare;
    /// Who of a namespace is there.
    11 Anycast(LongList<AnycastReply>): Bare;

    /// Something of ours was not done.
    0x80 Refused(Refusal): Ours;
    /// What the router is.
    0x81 Router(Box<RouterInfo>): Ours;
    /// Addresses of clients.
    0x82 AddressPage(Page<LocalAddress>): Ours;
    /// Contacts.
    0x83 ContactPage(Page<Contact>): Ours;
    /// Links.
    0x84 LinkPage(Page<LinkEntry>): Ours;
    /// Routers that are dialled.
    0x85 PeerPage(Page<DialledPeer>): Ours;
    /// Routes.
    0x86 RoutePage(Page<RouteEntry>): Ours;
    /// Namespaces whose keys the router knows.
    0x87 NamespacePage(Page<LocalNamespace>): Ours;
    /// Filters of an address.
    0x88 FilterPage(Page<FilterEntry>): Ours;
    /// The number of a filter that was added.
    0x89 FilterAdded(u32): Ours;
    /// Streams that are not over.
    0x8A StreamPage(Page<StreamEntry>): Ours;
    /// The router takes content.
    0x90 Opened(Opened): Ours;
    /// What became of a stream.
    0x91 News(StreamNews): Ours;
    /// A stream is here; its content follows.
    0x92 Arrived(Box<Arrived>): Ours;
    /// No stream is here, and the client does not want to wait. Nothing follows.
    0x93 NoStream(): Ours;
    /// The router has forgotten the stream: it will not come again.
    0x94 Taken(): Ours;
}

impl Reply {
    /// Parses the reply to a request with this mode.
    ///
    /// # Errors
    /// [`ReplyError`]; it has another mode than [`ApiMode::REPLY`], or is none that this module knows.
    pub fn decode(frame: &Microframe, to: ApiMode) -> Result<Self, ReplyError> {
        if frame.mode != ApiMode::REPLY {
            return Err(ReplyError::Mode(frame.mode));
        }
        match to {
            ApiMode::ADDRESS_CREATE => created(frame).map_or_else(|| Self::read(&frame.payload), Ok),
            ApiMode::ADDRESS_LIST => addresses(&frame.payload).map_or_else(|| Self::read(&frame.payload), Ok),
            _ => Self::read(&frame.payload),
        }
    }

    /// The microframe of it, with the token of the request: [`Reply::AddressCreated`] has its own.
    pub fn to_frame(&self, echo: Option<&AuthToken>) -> Microframe {
        let auth = if let Self::AddressCreated { token, .. } = self { Some(token) } else { echo };
        let mut payload = zeroize::Zeroizing::default();
        self.write(&mut Writer::new(&mut payload));
        Microframe { mode: ApiMode::REPLY, auth: auth.cloned(), payload }
    }
}

/// A token and nothing but an address: what has a tag has no token here, since the request had none.
fn created(frame: &Microframe) -> Option<Reply> {
    let address = Address::from_bytes(frame.payload.as_slice().try_into().ok()?);
    Some(Reply::AddressCreated { address, token: frame.auth.clone()? })
}

/// A list that fills the payload: an error does not, since its length is in other bytes.
fn addresses(payload: &[u8]) -> Option<Reply> {
    Layout::Bare.read(payload, "addresses").ok().map(Reply::Addresses)
}

/// Why a microframe is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// It has the mode of something else.
    #[error("expected a reply, got {0}")]
    Mode(ApiMode),
    /// No reply has this tag.
    #[error("there is no reply with tag {0}")]
    Tag(u8),
    /// A later version of something of ours.
    #[error("expected a reply of version {EXTENSION_VERSION}, got {0}")]
    Version(u8),
    /// The payload is short, has surplus bytes, or says something that cannot be.
    #[error(transparent)]
    Payload(#[from] DecodeError),
}

impl From<ReadError> for ReplyError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Version(version) => Self::Version(version),
            ReadError::Payload(error) => Self::Payload(error),
        }
    }
}

/// What a client is told before a connection ends whose bytes are no microframes.
impl From<MicroframeError> for ClientError {
    fn from(error: MicroframeError) -> Self {
        Self::invalid_input(&error.to_string())
    }
}

/// What a client is told whose version is another.
impl Versions {
    /// Of what both said.
    pub fn of(router: super::ApiVersion, client: super::ApiVersion) -> Self {
        let text = |version: super::ApiVersion| Terminated(Text::of(&version.to_string()));
        Self { router: text(router), client: text(client) }
    }

    /// As an error of the client's library.
    pub fn to_error(&self) -> ClientError {
        let text = |version: &Terminated| ErrorText::of(version.0.as_str());
        ClientError::IncompatibleVersion(text(&self.router), text(&self.client))
    }
}
