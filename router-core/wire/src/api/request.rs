// SPDX-License-Identifier: AGPL-3.0-or-later
//! What clients say to routers: one table of all requests, from which the rest follows.

use super::contact::{ContactChange, ContactKey, NewContact};
use super::deployed::{
    Anycast, DestroyedAddress, HeldSubscription, Letterheads, Membership, NewAddress, NewNamespace,
    NewSubscription, Nothing, RecvMany, RecvOne,
};
use super::field::Field;
use super::page::PageOf;
use super::reply::{Refusal, RefusalReason};
use super::streams::{
    Content, FiltersOf, HeldFilter, NamespacesOf, NewFilter, NewStream, Receive, ResumedStream, StreamKey,
    StreamsOf,
};
use super::text::Text;
use super::{ApiMode, ApiVersion, AuthToken, ClientError, Microframe, Reply};
use crate::stream::Letterhead;
use crate::{DecodeError, Reader, Writer};

use ratman_types::Address;

mod sender;

/// The version of what is ours: it stands before all else in every payload of ours but [`Content`].
pub const EXTENSION_VERSION: u8 = 1;

/// Who may ask for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Everybody who reaches the router.
    Nothing,
    /// Who has the token of an address that is up: of the one that [`Request::is_by`] says. To take an address up or to destroy it
    /// its token is enough.
    Token,
    /// Who is on the unix socket, and allowed to be there (source: wire page, client API).
    Operator,
}

/// Whose payload it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Deployed routers', or nothing but content.
    Bare,
    /// Ours, with [`EXTENSION_VERSION`] before it.
    Ours,
}

impl Layout {
    /// Parses exactly one payload.
    pub(super) fn read<T: Field>(self, payload: &[u8], field: &'static str) -> Result<T, ReadError> {
        let mut reader = Reader::new(payload);
        if self == Self::Ours {
            let version = reader.u8("version")?;
            if version != EXTENSION_VERSION {
                return Err(ReadError::Version(version));
            }
        }
        let value = T::read(&mut reader, field)?;
        reader.end()?;
        Ok(value)
    }

    pub(super) fn write<T: Field>(self, value: &T, writer: &mut Writer<'_>) {
        if self == Self::Ours {
            writer.u8(EXTENSION_VERSION);
        }
        value.write(writer);
    }
}

/// Why a payload is not what it should be.
pub(super) enum ReadError {
    Version(u8),
    Payload(DecodeError),
}

impl From<DecodeError> for ReadError {
    fn from(error: DecodeError) -> Self {
        Self::Payload(error)
    }
}

macro_rules! requests {
    ($($(#[$doc:meta])* $mode:literal $name:ident($payload:ty): $layout:ident, $needs:ident;)*) => {
        /// What a client asks for, or says while a stream is on its way; the number is its mode.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Request {
            $($(#[$doc])* #[doc = concat!("\n\n", stringify!($mode), ", needs: ", stringify!($needs), ".")]
            $name($payload),)*
        }

        impl Request {
            /// The modes of all requests.
            pub const MODES: &[ApiMode] = &[$(ApiMode($mode),)*];

            /// The mode that it travels with.
            pub const fn mode(&self) -> ApiMode {
                match self {
                    $(Self::$name(_) => ApiMode($mode),)*
                }
            }

            /// Who may ask for it.
            pub const fn needs(&self) -> Needs {
                match self {
                    $(Self::$name(_) => Needs::$needs,)*
                }
            }

            fn read(mode: ApiMode, payload: &[u8]) -> Result<Self, RequestError> {
                let at = |error| RequestError::at(mode, error);
                match mode.0 {
                    $($mode => Layout::$layout.read(payload, "payload").map(Self::$name).map_err(at),)*
                    0x0103..=0x0105 => Err(RequestError::NotSupported(mode)),
                    _ => Err(RequestError::UnsupportedMode(mode)),
                }
            }

            fn write(&self, writer: &mut Writer<'_>) {
                match self {
                    $(Self::$name(payload) => Layout::$layout.write(payload, writer),)*
                }
            }

            /// Any request of a mode.
            #[cfg(test)]
            pub(super) fn draw(mode: ApiMode, random: &mut super::tests::Random) -> Self {
                match mode.0 {
                    $($mode => Self::$name(Field::draw(random)),)*
                    _ => unreachable!("{mode} is no request"),
                }
            }
        }
    };
}

requests! {
    /// The first message of a client: its version. Answered by [`Reply::Ok`], or [`Reply::IncompatibleVersion`] and the end.
    0x0010 Connect(ApiVersion): Bare, Nothing;
    /// The connection is over.
    0x0011 Disconnect(Nothing): Bare, Nothing;
    /// Four figures; answered by [`Reply::Status`].
    0x0034 Status(Nothing): Bare, Nothing;
    /// What the router is and how it does, and whether it knows what is ours; answered by [`Reply::Router`].
    0x0031 RouterQuery(Nothing): Ours, Nothing;

    /// To make an address; answered by [`Reply::AddressCreated`].
    0x0101 AddressCreate(NewAddress): Bare, Nothing;
    /// To forget an address and its key for good.
    0x0102 AddressDestroy(DestroyedAddress): Bare, Token;
    /// To announce an address, and take streams for it.
    0x0110 AddressUp(Address): Bare, Token;
    /// Not to announce it any more.
    0x0111 AddressDown(Address): Bare, Token;
    /// The addresses of all clients; answered by [`Reply::Addresses`].
    0x0130 AddressList(Nothing): Bare, Nothing;
    /// The same, and how they stand; answered by [`Reply::AddressPage`].
    0x0131 AddressQuery(PageOf): Ours, Nothing;

    /// To add a contact, or to say more of one: doing it twice does no more.
    0x0220 ContactAdd(NewContact): Ours, Operator;
    /// To forget what was said of an address.
    0x0221 ContactDelete(ContactKey): Ours, Operator;
    /// To change what was said of an address.
    0x0222 ContactModify(ContactChange): Ours, Operator;
    /// All contacts; answered by [`Reply::ContactPage`].
    0x0230 ContactList(PageOf): Ours, Operator;
    /// One contact; answered by a [`Reply::ContactPage`] of one or none.
    0x0231 ContactQuery(ContactKey): Ours, Operator;

    /// All links; answered by [`Reply::LinkPage`].
    0x0330 LinkList(PageOf): Ours, Nothing;
    /// One link, by its number; answered by a [`Reply::LinkPage`] of one or none.
    0x0331 LinkQuery(u32): Ours, Nothing;

    /// The addresses that the router has heard of; answered by [`Reply::PeerList`].
    0x0430 PeerList(Nothing): Bare, Nothing;
    /// The routers that it dials; answered by [`Reply::PeerPage`].
    0x0431 PeerQuery(PageOf): Ours, Nothing;

    /// One stream on this connection, and then [`Reply::Ok`].
    0x0532 RecvOne(RecvOne): Bare, Token;
    /// Streams on this connection.
    0x0533 RecvMany(RecvMany): Bare, Token;
    /// To say which streams an address takes; answered by [`Reply::FilterAdded`].
    0x0520 FilterAdd(NewFilter): Ours, Token;
    /// To take that back.
    0x0521 FilterDelete(HeldFilter): Ours, Token;
    /// The filters of an address; answered by [`Reply::FilterPage`].
    0x0530 FilterList(FiltersOf): Ours, Token;

    /// To send to one; answered by [`Reply::SendSocket`] and, when all content is there, [`Reply::Ok`].
    0x0632 SendOne(Letterhead): Bare, Token;
    /// To send to some, as [`Request::SendOne`].
    0x0633 SendMany(Letterheads): Bare, Token;

    /// To send streams and hear of them on this connection; answered by [`Reply::Opened`].
    0x0701 StreamCreate(NewStream): Ours, Token;
    /// To end a stream: one that is sent is abandoned, one that comes is denied.
    0x0702 StreamDestroy(StreamKey): Ours, Token;
    /// To have streams brought to a connection of their own; answered by [`Reply::Subscription`].
    0x0703 Subscribe(NewSubscription): Bare, Token;
    /// The same for a subscription that was made before.
    0x0704 Resubscribe(HeldSubscription): Bare, Token;
    /// To end a subscription.
    0x0705 Unsubscribe(HeldSubscription): Bare, Token;
    /// The subscriptions of the router; answered by [`Reply::Subscriptions`].
    0x0730 SubscriptionList(Address): Bare, Nothing;
    /// The streams from and to an address that are not over; answered by [`Reply::StreamPage`].
    0x0731 StreamQuery(StreamsOf): Ours, Token;
    /// To take streams on this connection, one by one; each is there until the client says that it has it.
    0x0733 StreamReceive(Receive): Ours, Token;
    /// To hear what becomes of a stream that was sent: [`Reply::News`] until there is none, as after [`Request::End`].
    0x0734 StreamStatus(StreamKey): Ours, Token;
    /// A piece of the content of what the connection sends.
    0x0740 Content(Content): Bare, Nothing;
    /// The content is complete.
    0x0741 End(Nothing): Ours, Nothing;
    /// Gives up what the connection is about: content that is not complete is abandoned, what is received stays with the router.
    /// Answered by [`Reply::Ok`], also if it was over already.
    0x0742 Cancel(Nothing): Ours, Nothing;
    /// The client has the stream for good; answered by [`Reply::Taken`].
    0x0743 Taken(Nothing): Ours, Nothing;
    /// To go on with streams whose connection broke before all content was there; answered as [`Request::StreamCreate`].
    0x0744 StreamResume(ResumedStream): Ours, Token;

    /// To let the router know the key of a namespace.
    0x0801 NamespaceCreate(NewNamespace): Bare, Token;
    /// To let it forget that, once no address is up in it any more.
    0x0802 NamespaceDestroy(Membership): Ours, Token;
    /// To take what is sent to a namespace.
    0x0810 NamespaceUp(Membership): Bare, Token;
    /// To take it no more.
    0x0811 NamespaceDown(Membership): Bare, Token;
    /// The namespaces whose keys the router knows; answered by [`Reply::NamespacePage`].
    0x0830 NamespaceList(NamespacesOf): Ours, Token;
    /// Who of a namespace is there; answered by [`Reply::Anycast`].
    0x0835 Anycast(Anycast): Bare, Token;

    /// All routes; answered by [`Reply::RoutePage`].
    0x0930 RouteList(PageOf): Ours, Nothing;
    /// The route to one address; answered by a [`Reply::RoutePage`] of one or none.
    0x0931 RouteQuery(Address): Ours, Nothing;
}

impl Request {
    /// Parses a request; its token, if it has one, is that of the microframe.
    ///
    /// # Errors
    /// [`RequestError`], which says what to reply; the connection can go on.
    pub fn decode(frame: &Microframe) -> Result<Self, RequestError> {
        Self::read(frame.mode, &frame.payload)
    }

    /// The microframe of it, with a token where one is needed.
    pub fn to_frame(&self, auth: Option<&AuthToken>) -> Microframe {
        // Secrets among them fit at once, so that no copy is left behind.
        let mut payload = zeroize::Zeroizing::new(Vec::with_capacity(128));
        self.write(&mut Writer::new(&mut payload));
        Microframe { mode: self.mode(), auth: auth.cloned(), payload }
    }
}

/// Why a microframe is no request. None of it ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Nobody knows this mode.
    #[error("there is no request {0}")]
    UnsupportedMode(ApiMode),
    /// The mode is known, and nobody does it.
    #[error("{0} is not supported")]
    NotSupported(ApiMode),
    /// A later version of something of ours.
    #[error("{mode}: expected version {EXTENSION_VERSION}, got {version}")]
    Version {
        /// Of what.
        mode: ApiMode,
        /// Which.
        version: u8,
    },
    /// The payload is short, has surplus bytes, or says something that cannot be.
    #[error("{mode}: {error}")]
    Payload {
        /// Of what.
        mode: ApiMode,
        /// What is wrong.
        error: DecodeError,
    },
}

impl RequestError {
    const fn at(mode: ApiMode, error: ReadError) -> Self {
        match error {
            ReadError::Version(version) => Self::Version { mode, version },
            ReadError::Payload(error) => Self::Payload { mode, error },
        }
    }

    /// What the client is answered: to an unknown mode the words of deployed routers, by which clients know them.
    pub fn reply(&self) -> Reply {
        match self {
            Self::UnsupportedMode(mode) => Reply::Error(ClientError::unsupported_mode(*mode)),
            Self::NotSupported(_) => Reply::Error(ClientError::NotSupported),
            Self::Version { .. } => Reply::Refused(Refusal {
                reason: RefusalReason::Version(EXTENSION_VERSION),
                detail: Text::of(&self.to_string()),
            }),
            Self::Payload { .. } => Reply::Error(ClientError::invalid_input(&self.to_string())),
        }
    }
}
