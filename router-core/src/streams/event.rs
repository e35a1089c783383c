// SPDX-License-Identifier: AGPL-3.0-or-later
//! What goes into [`Streams`](super::Streams) beside frames and content, and what comes out of it.

use core::time::Duration;

use ratman_eris::ReadCapability;
use ratman_types::{Address, ByteCount, Hop, Namespace, Recipient, WallTime};
use ratman_wire::FrameId;
use ratman_wire::stream::{AuxiliaryData, Contents, Lifetime, StreamId};

use crate::journal::{GroupKey, GroupNumber, JournalFull, Role};
use crate::stream::{Ended, Routing};

/// One stream of one sender to one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    /// Who sends it.
    pub sender: Address,
    /// Whom it is for.
    pub recipient: Recipient,
    /// Its name: random, or that of shared content.
    pub stream: StreamId,
}

impl StreamKey {
    /// What the journal keeps of it for this reason.
    pub(super) const fn group(&self, role: Role) -> GroupKey {
        GroupKey { role, sender: self.sender, recipient: self.recipient, stream: Some(self.stream) }
    }
}

/// What a client wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStream {
    /// The local address that sends.
    pub sender: Address,
    /// Whom it is for.
    pub recipient: Recipient,
    /// How long the content will be; nothing where that is not known before its end.
    pub size: Option<ByteCount>,
    /// For how long it is wanted from now on.
    pub lifetime: Lifetime,
    /// Whether its blocks are sent as they are made, or wait here until they are asked for.
    pub routing: Routing,
    /// What the recipient is told beside the content.
    pub auxiliary_data: AuxiliaryData,
}

/// What a client wants to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewShare {
    /// The local address that shares it.
    pub sender: Address,
    /// How long the content will be; nothing where that is not known before its end.
    pub size: Option<ByteCount>,
    /// For how long it stays from now on, unless it is taken down.
    pub lifetime: Lifetime,
}

/// Why a stream cannot be sent, or not any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The sender is no address of this router.
    #[error("the sender is not an address of this router")]
    Sender,
    /// The recipient's address is no key that anything could be sealed to.
    #[error("the recipient is not a usable address")]
    Recipient,
    /// The narrowest link on the way takes no content as long as this.
    #[error("the way to the recipient takes no content above {} bytes", limit.0)]
    PathTooNarrow {
        /// The longest that it takes.
        limit: ByteCount,
    },
    /// Content to a namespace is limited: every router keeps it.
    #[error("a stream to a namespace has at most {} bytes; share larger content, and announce it", limit.0)]
    TooLongForNamespace {
        /// The most.
        limit: ByteCount,
    },
    /// What is sent to a namespace is kept by every router, for a limited time.
    #[error("a stream to a namespace is wanted for at most {} seconds", limit.as_secs())]
    LifetimeForNamespace {
        /// The longest.
        limit: Lifetime,
    },
    /// Nobody could be asked for the blocks of what everybody keeps; shared content is announced to namespaces.
    #[error("a stream to a namespace cannot wait to be pulled; share the content, and announce it")]
    PullForNamespace,
    /// The sender shares no such content, or not any more.
    #[error("the sender does not share this content")]
    NotShared,
    /// There is no such stream, or its content is complete.
    #[error("there is no such stream that takes content")]
    NotOpen,
    /// The content is not as long as was said.
    #[error("the content was to have {} bytes, and has {}", said.0, found.0)]
    Size {
        /// What was said.
        said: ByteCount,
        /// What came.
        found: ByteCount,
    },
    /// The journal does not take it.
    #[error(transparent)]
    Journal(#[from] JournalFull),
}

/// A stream that is here whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which.
    pub key: StreamKey,
    /// Where its blocks are; none of a stream whose contents are in its manifest.
    pub group: GroupNumber,
    /// The length of its content.
    pub size: ByteCount,
    /// When it was made, by its sender's clock.
    pub created: WallTime,
    /// Until when it is kept.
    pub end: WallTime,
    /// What its sender says beside.
    pub auxiliary_data: AuxiliaryData,
    /// The content itself, or what opens its blocks.
    pub contents: Contents,
}

/// A question of ours who of a namespace is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuestionId(pub(super) u64);

/// Why it is not asked who of a namespace is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The asker is no address of this router that is up.
    #[error("the asker is not an address of this router that is up")]
    Asker,
    /// As many questions are open as may be, or were asked lately.
    #[error("too much is being asked")]
    TooMany,
}

/// A question of somebody who holds the key of a namespace: who of it is here?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub asker: Address,
    /// Which namespace.
    pub namespace: Namespace,
    /// For how long answers are collected.
    pub(super) window: Duration,
    /// When it was asked, by the asker's clock.
    pub(super) time: WallTime,
    pub(super) nonce: u64,
}

impl Question {
    /// A place among so many, another one with each question: where those who answer begin who are not all to answer.
    pub fn place_among(&self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.nonce % count).unwrap_or_default()
    }
}

/// What the driver, or a client through it, is to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// [`Streams::write`](super::Streams::write) takes content again.
    Room(StreamKey),
    /// All of it is durable here: it will be sent whatever happens to this router. Told once, after
    /// [`Streams::finish`](super::Streams::finish).
    Accepted(StreamKey),
    /// Another router answers for all of it, since its recipient is not to be reached. Never told of a stream whose blocks wait here to
    /// be pulled: a router that carries its manifest does not have it.
    Stored(StreamKey),
    /// All of what a client shares is durable here, and has this read capability. Equal content that the same sender shared before is
    /// kept once, for the longer of both lifetimes.
    Shared {
        /// What it was called while it was read.
        key: StreamKey,
        /// What reads it, and what it is called from now on.
        capability: ReadCapability,
    },
    /// Content is shared no more, as [`Streams::take_down`](super::Streams::take_down) was told.
    TakenDown {
        /// Who shared it.
        sender: Address,
        /// Its name.
        stream: StreamId,
        /// Whether that is stored; else it may be back after a restart.
        durable: bool,
    },
    /// It came to an end; nothing of it is left here.
    Ended(StreamKey, Ended),
    /// The store failed to take it, or its sender's address is gone for good; nothing of it is left here.
    Failed(StreamKey),
    /// It is here whole, durably, for a client of ours to take.
    Received(Box<Arrival>),
    /// A client has it, as [`Streams::taken`](super::Streams::taken) was told, and it is not given to anybody again.
    Taken {
        /// Which.
        key: StreamKey,
        /// Whether that is stored; else it may be given out once more after a restart.
        durable: bool,
    },
    /// One of those whom it is for has it, as [`Streams::taken_by`](super::Streams::taken_by) was told.
    TakenBy {
        /// Which.
        key: StreamKey,
        /// Who.
        member: Address,
        /// Whether that is stored; else it may be given to them once more after a restart.
        durable: bool,
    },
    /// Somebody asks who of a namespace is there: those who take part here are to answer ([`Streams::answer_question`](super::Streams::answer_question)).
    Asked(Question),
    /// Who answered [`Streams::ask_who`](super::Streams::ask_who), each once and how long the way there and back took, the nearest first.
    /// Told when the time is over.
    Answered {
        /// Which question.
        question: QuestionId,
        /// Who, at most [`MAX_ANSWERS`](super::MAX_ANSWERS).
        members: Vec<(Address, Duration)>,
    },
    /// A neighbour brought a frame whose signature does not hold: it should have verified it
    /// ([`Router::note_bad_signature`](crate::Router::note_bad_signature)).
    BadSignature {
        /// The hop over which it came.
        from: Hop,
    },
    /// The neighbour behind a hop is to be told that we answer for these frames from now on.
    Custody {
        /// The hop over which they came.
        hop: Hop,
        /// Their names.
        frames: Vec<FrameId>,
    },
}

/// What the store is to do. The order of commits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreRequest {
    /// To be made durable, all or nothing; [`Streams::handle_committed`](super::Streams::handle_committed) is told how it went.
    Commit {
        /// What it is called.
        id: u64,
        /// The changes, in order.
        writes: Vec<Write>,
    },
    /// To be read as it is durable; [`Streams::handle_read`](super::Streams::handle_read) gets it.
    Read {
        /// What it is called.
        id: u64,
        /// The group.
        group: GroupNumber,
        /// The entry in it.
        number: u32,
    },
}

/// One change of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A block or a frame.
    Entry {
        /// Its group.
        group: GroupNumber,
        /// Its number in the group.
        number: u32,
        /// What it is called.
        name: [u8; 32],
        /// What it is.
        bytes: Vec<u8>,
    },
    /// What is to be known of a group.
    Group {
        /// The group.
        group: GroupNumber,
        /// For [`Streams::restore_group`](super::Streams::restore_group).
        record: Vec<u8>,
    },
    /// One entry goes.
    RemoveEntry {
        /// Its group.
        group: GroupNumber,
        /// Its number.
        number: u32,
    },
    /// All entries of a group go, and if `record`, what is known of it too.
    RemoveGroup {
        /// The group.
        group: GroupNumber,
        /// How many entries it had: a large one is best removed in parts.
        entries: u32,
        /// Whether the record goes as well.
        record: bool,
    },
}
