// SPDX-License-Identifier: AGPL-3.0-or-later
//! What goes into the router beside frames, and what comes out of it.

use core::fmt;
use core::time::Duration;

use ratman_types::{Address, Digest, Hop, LinkSample, Mtu, WallTime};
use ratman_wire::FrameId;

use crate::LinkCost;

/// What the driver tells about a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Both ends proved their router keys.
    Up {
        /// The new hop; its [`LinkId`](ratman_types::LinkId) was never used before.
        hop: Hop,
        /// The largest carrier frame that crosses it.
        mtu: Mtu,
        /// `H(dialer's Proof ‖ listener's Proof)`, under which one-hop frames are signed.
        proofs: Digest,
        /// Whether we dialed.
        dialed: bool,
    },
    /// The hop is gone, for whatever reason.
    Down {
        /// The hop that is gone.
        hop: Hop,
    },
    /// The netmod found another MTU.
    Mtu {
        /// The hop whose MTU changed.
        hop: Hop,
        /// The largest carrier frame that crosses it from now on.
        mtu: Mtu,
    },
    /// Running totals since the hop came up, the router's own frames included; told every 25 ms while they move.
    Activity {
        /// The hop that was used.
        hop: Hop,
        /// Bytes that left for the medium.
        sent_bytes: u64,
        /// Frames that arrived.
        received_frames: u64,
        /// Bytes that the peer's kernel acknowledged, if the medium knows.
        acked_bytes: Option<u64>,
    },
    /// Somebody measured the hop; told about every second by each source that has something to say. Round trips count
    /// where the kernel saw them: those of sockets are means, and the router's echoes are its own.
    Sample {
        /// The hop that was measured.
        hop: Hop,
        /// What was measured.
        sample: LinkSample,
    },
    /// The operator made the hop dearer or cheaper; a new hop costs nothing.
    Cost {
        /// The hop.
        hop: Hop,
        /// What it costs from now on.
        cost: LinkCost,
    },
}

/// Which queue of a hop a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// One-hop control and echoes: a small strict-priority queue.
    Control,
    /// Everything else, fairly queued.
    Data,
}

/// A frame that the driver is to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Over which hop.
    pub hop: Hop,
    /// In which queue.
    pub class: Class,
    /// The encoded carrier frame.
    pub frame: Vec<u8>,
}

/// What the router wants the driver to know or to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`Router::fib`](crate::Router::fib) is another one than before.
    FibChanged,
    /// An address is reached another way, or no more.
    RouteChanged {
        /// The address.
        address: Address,
        /// The hop used until now.
        from: Option<Hop>,
        /// The hop used from now on.
        to: Option<Hop>,
        /// Why, for people.
        reason: String,
    },
    /// An address is known that was not before.
    Learned {
        /// The address.
        address: Address,
    },
    /// Everything about an address was forgotten.
    Forgotten {
        /// The address.
        address: Address,
    },
    /// [`Router::carrier`](crate::Router::carrier) of an address is another one.
    Carrier {
        /// The address.
        address: Address,
    },
    /// [`Router::live_neighbours`](crate::Router::live_neighbours) are others, or are reached another way.
    Neighbours,
    /// [`Event::Learned`], [`Event::Forgotten`] and [`Event::RouteChanged`] found no room: what they told is to be read
    /// anew from [`Router::known_addresses`](crate::Router::known_addresses) and [`Router::fib`](crate::Router::fib).
    Resync,
    /// The origin times of a local address stay at or below this for now: to be made durable, which
    /// [`Router::handle_origin_time_stored`](crate::Router::handle_origin_time_stored) is told of, and given back to
    /// [`Router::add_local`](crate::Router::add_local) after a restart. Until then nothing is announced at a later time than
    /// was durable before.
    OriginTime {
        /// The local address.
        address: Address,
        /// The ceiling.
        time: WallTime,
    },
    /// The link gives nothing back, and its routes are left: what its neighbour has not acknowledged goes another way. Told
    /// after [`Event::FibChanged`], so that the other ways are known, and not if the link answers again before.
    LinkStalled {
        /// The hop that is stalled.
        hop: Hop,
    },
    /// A neighbour answers for frames from now on that it got from us: for
    /// [`Streams::handle_custody`](crate::streams::Streams::handle_custody).
    Custody {
        /// The hop to it.
        from: Hop,
        /// Their names, at least one.
        frames: Vec<FrameId>,
    },
    /// The link is of no use; the driver closes it and may dial again.
    CloseLink {
        /// The hop to close.
        hop: Hop,
        /// Why.
        reason: CloseReason,
    },
    /// Our clock and the neighbours' clocks are far apart; repeated only after they agreed again.
    ClockSkew {
        /// How far we are off by the neighbours' judgement.
        off: Duration,
        /// Whether our clock is ahead of theirs.
        ahead: bool,
    },
    /// Our clock is more than four minutes behind the times that we announced, in this run or the one before: it was set
    /// back. It has no vote then; announcements go on. Repeated only after it was right.
    ClockSetBack {
        /// How far it is behind.
        behind: Duration,
    },
    /// Somebody else announces one of our addresses with the right key.
    KeyUsedTwice {
        /// The local address.
        address: Address,
    },
    /// A persisted origin time lies too far ahead of the clock, at the start or because the clock went back, and is
    /// to be discarded: the [`Event::OriginTime`] that follows is lower.
    OriginTimeDiscarded {
        /// The local address.
        address: Address,
        /// What was persisted.
        time: WallTime,
    },
}

/// Why the router gives a link up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// Nothing was heard for five seconds.
    Silent,
    /// Too many bad signatures came over it, now or a short while ago.
    CutOff,
    /// The router keeps no more links or neighbours.
    TooMany,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "nothing was heard for five seconds",
            Self::CutOff => "cut off after too many bad signatures",
            Self::TooMany => "the router keeps no more links",
        })
    }
}
