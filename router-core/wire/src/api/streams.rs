// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams on the connection of the request: content, what becomes of it, and whether the client has it. Version 1 of ours;
//! the order of messages is in [`crate::api`].

use core::num::NonZeroU32;

use ratman_types::{Address, ByteCount, Recipient, WallTime};
use zeroize::Zeroizing;

use super::deployed::MAX_RECIPIENTS;
use super::field::{Field, Optional, choice, record};
use super::page::PageOf;
use super::text::List;
use super::{ApiMode, Microframe};
use crate::stream::{AuxiliaryData, Letterhead, Lifetime, StreamId};
use crate::{DecodeError, Reader, Writer};

/// The most bytes of one piece of content: two of the largest blocks.
pub const MAX_CONTENT: usize = 64 * 1024;

/// A piece of content, 1 byte to [`MAX_CONTENT`]; nothing but its bytes. Not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Zeroizing<Vec<u8>>);

impl Content {
    /// Takes a piece; nothing if it is empty or too long.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (1..=MAX_CONTENT).contains(&bytes.len()).then(|| Self(Zeroizing::new(bytes)))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The microframe of it, without a copy.
    pub fn into_frame(self) -> Microframe {
        Microframe { mode: ApiMode::CONTENT, auth: None, payload: self.0 }
    }
}

impl core::fmt::Debug for Content {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

impl Field for Content {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let length = reader.rest().len();
        if length > MAX_CONTENT {
            return Err(DecodeError::TooLong { field, length, limit: MAX_CONTENT });
        }
        let bytes = reader.bytes(field, length)?.to_vec();
        Self::new(bytes).ok_or(DecodeError::Truncated { field, missing: 1 })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(&self.0);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self::new(random.array::<40>()[..=random.below(40)].to_vec()).unwrap()
    }
}

record! {
    /// Which stream is meant: an id says something only beside sender and recipient.
    pub struct StreamKey {
        /// Who sends it.
        pub from: Address,
        /// Whom it is for.
        pub to: Recipient,
        /// Its name.
        pub stream: StreamId,
    }

    /// A stream to be sent: the same content to each recipient.
    pub struct NewStream {
        /// The address of the client, whose token the request has.
        pub from: Address,
        /// Whom it is for, nobody twice.
        pub to: List<Recipient, MAX_RECIPIENTS>,
        /// How long the content will be, where that is known.
        pub size: Option<ByteCount>,
        /// For how long it is wanted: to a namespace at most a day.
        pub lifetime: Lifetime,
        /// Whether progress is to be told, some times a second.
        pub progress: bool,
        /// What the recipients are told beside.
        pub auxiliary_data: AuxiliaryData,
    }

    /// Streams of which a part of the content is with the router: they were made by one request, whose connection broke.
    pub struct ResumedStream {
        /// The address of the client, whose token the request has.
        pub from: Address,
        /// All that the request made.
        pub streams: List<OpenedStream, MAX_RECIPIENTS>,
        /// Whether progress is to be told, some times a second.
        pub progress: bool,
    }

    /// A stream to one of the recipients.
    pub struct OpenedStream {
        /// Whom it is for.
        pub to: Recipient,
        /// Its name.
        pub stream: StreamId,
    }

    /// The router takes content.
    pub struct Opened {
        /// One stream for each recipient, in the order of the request.
        pub streams: List<OpenedStream, MAX_RECIPIENTS>,
        /// From which byte of the content on.
        pub offset: ByteCount,
    }

    /// What became of a stream to one of the recipients.
    pub struct StreamNews {
        /// Which.
        pub stream: OpenedStream,
        /// What.
        pub news: News,
    }

    /// How much of a stream is where it is to go.
    pub struct Progress {
        /// Bytes of its blocks that the recipient has, or a router that carries them.
        pub arrived: ByteCount,
        /// Bytes of all its blocks, where that is known: some more than its content has.
        pub in_all: Option<ByteCount>,
    }

    /// Streams that a client takes.
    pub struct Receive {
        /// The address of the client, whose token the request has.
        pub address: Address,
        /// Whose they are to be, where that matters.
        pub from: Option<Address>,
        /// Whom they are to be for: the address, or a namespace that it is up in; any of these if left out.
        pub to: Option<Recipient>,
        /// Exactly how many; without a limit until the client cancels.
        pub limit: Option<NonZeroU32>,
        /// Whether to wait when none is there.
        pub wait: bool,
        /// The stream that is to come first, where another connection broke.
        pub resume: Option<ResumedReceive>,
    }

    /// A stream of which the client has a part.
    pub struct ResumedReceive {
        /// Which.
        pub stream: StreamKey,
        /// From which byte of its content on it is wanted.
        pub offset: ByteCount,
    }

    /// A stream is here, and its content follows.
    pub struct Arrived {
        /// From whom, to whom, how long, and what the sender says beside.
        pub letterhead: Letterhead,
        /// Its name.
        pub stream: StreamId,
        /// When it was made, by its sender's clock.
        pub created: WallTime,
        /// From which byte of its content on it follows.
        pub offset: ByteCount,
    }

    /// Streams from and to an address.
    pub struct StreamsOf {
        /// The address of the client, whose token the request has.
        pub address: Address,
        /// Which of them.
        pub page: PageOf,
    }

    /// A stream that is not over.
    pub struct StreamEntry {
        /// Which.
        pub stream: StreamKey,
        /// Where it is.
        pub stage: Stage,
        /// The length of its content, where that is known.
        pub size: Option<ByteCount>,
        /// How far it is.
        pub progress: Progress,
        /// Until when it is wanted.
        pub end: WallTime,
    }

    /// Namespaces, as an address of a client sees them.
    pub struct NamespacesOf {
        /// The address of the client, whose token the request has.
        pub address: Address,
        /// Which of them.
        pub page: PageOf,
    }

    /// A filter to be added behind those that an address has.
    pub struct NewFilter {
        /// The address of the client, whose token the request has.
        pub address: Address,
        /// What it says.
        pub rule: FilterRule,
    }

    /// A filter of an address.
    pub struct HeldFilter {
        /// The address of the client, whose token the request has.
        pub address: Address,
        /// The number of the filter, never used twice for an address.
        pub filter: u32,
    }

    /// Filters of an address, in their order: the first that matches a stream decides, and without one it is taken.
    pub struct FiltersOf {
        /// The address of the client, whose token the request has.
        pub address: Address,
        /// Which of them.
        pub page: PageOf,
    }

    /// A filter with its number.
    pub struct FilterEntry {
        /// The number.
        pub filter: u32,
        /// What it says.
        pub rule: FilterRule,
    }

    /// Which streams an address takes.
    pub struct FilterRule {
        /// Whose streams it is about.
        pub from: Senders,
        /// How long they are at least; of any length if left out.
        pub at_least: Option<ByteCount>,
        /// What is done with them.
        pub action: FilterAction,
    }
}

choice! {
    /// What became of a stream.
    pub enum News {
        /// Some of it is where it is to go.
        Progress(Progress) = 1,
        /// All of it is durable: it will be sent whatever happens to router and host.
        Accepted = 2,
        /// Another router answers for it, since its recipient is not to be reached.
        Stored = 3,
        /// The recipient has all of it. Nothing follows.
        Delivered = 4,
        /// The recipient does not take it. Nothing follows.
        Refused = 5,
        /// The recipient did not want it to be sent. Nothing follows.
        Denied = 6,
        /// Its time passed. Nothing follows.
        Expired = 7,
        /// It goes to whoever subscribed, and nobody says that they have it. Nothing follows.
        Published = 8,
        /// The journal failed to take it. Nothing follows.
        Failed = 9,
        /// It was cancelled. Nothing follows.
        Cancelled = 10,
    }

    /// Where a stream is.
    pub enum Stage {
        /// A local client sends it, and its content is not complete.
        Opening = 1,
        /// It is on its way from here.
        Sending = 2,
        /// Another router answers for it.
        Stored = 3,
        /// It comes here, and is not whole.
        Receiving = 4,
        /// It is here, and no client took it.
        Waiting = 5,
    }

    /// Whose streams a filter is about.
    pub enum Senders {
        /// Anybody's.
        Anybody = 0,
        /// Those of this address.
        Address(Address) = 1,
        /// Those of the operator's contacts.
        Contacts = 2,
        /// Those of anybody but the operator's contacts.
        Strangers = 3,
    }

    /// What a filter does.
    pub enum FilterAction {
        /// The stream is taken.
        Accept = 1,
        /// The stream is denied: its sender is told to stop.
        Deny = 2,
    }
}

impl News {
    /// Whether nothing follows about the stream.
    pub const fn is_last(&self) -> bool {
        match self {
            Self::Progress(_) | Self::Accepted | Self::Stored => false,
            Self::Delivered | Self::Refused | Self::Denied | Self::Expired => true,
            Self::Published | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl Optional for ResumedReceive {}
impl Optional for NonZeroU32 {}

impl Field for NonZeroU32 {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Self::new(reader.u32(field)?).ok_or(DecodeError::Value(field))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.u32(self.get());
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self::new(Field::draw(random)).unwrap_or(Self::MIN)
    }
}
