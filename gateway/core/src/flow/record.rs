// SPDX-License-Identifier: AGPL-3.0-or-later
//! One flow: who, since when, how much, and for how long it may be idle.

use core::time::Duration;

use ratman_types::{Address, Timestamp};

use super::key::FlowKey;
use super::tcp::{TcpPhase, Track};
use crate::packet::{Direction, PacketInfo, TcpFlags, Transport};

/// Which side sent the packet that made a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An application behind our TUN device.
    Ours,
    /// The remote: ICMP echo, and what the firewall accepts.
    Theirs,
}

impl Origin {
    /// Who began, by the direction of the first packet.
    pub(super) fn of(direction: Direction) -> Self {
        match direction {
            Direction::Outbound => Self::Ours,
            Direction::Inbound => Self::Theirs,
        }
    }
}

/// What kind of flow this is; decides for how long it may be idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowKind {
    /// A TCP connection and how far it is.
    Tcp(TcpPhase),
    /// UDP between two ports.
    Udp,
    /// ICMP echo under one identifier.
    Echo,
    /// Any other protocol between two addresses.
    Other,
}

impl FlowKind {
    fn new(transport: Transport) -> Self {
        match transport {
            Transport::Tcp { .. } => Self::Tcp(TcpPhase::Opening),
            Transport::Udp { .. } => Self::Udp,
            Transport::EchoRequest { .. } | Transport::EchoReply { .. } => Self::Echo,
            Transport::Other | Transport::IcmpError | Transport::OtherIcmp(_) | Transport::LaterFragment => {
                Self::Other
            }
        }
    }

    /// How long a flow of this kind may be idle before it is forgotten.
    ///
    /// TCP: 2 h 4 min established, 4 min opening or closing (RFC 5382 REQ-5). UDP and others: 5 min (RFC 4787
    /// REQ-5). ICMP echo: 60 s (RFC 5508 REQ-1).
    pub const fn idle_limit(self) -> Duration {
        match self {
            Self::Tcp(TcpPhase::Established) => Duration::from_secs(124 * 60),
            Self::Tcp(TcpPhase::Opening | TcpPhase::Closing) => Duration::from_secs(4 * 60),
            Self::Udp | Self::Other => Duration::from_secs(5 * 60),
            Self::Echo => Duration::from_secs(60),
        }
    }
}

/// What a full table tells flows apart by. Flows of one standing are forgotten after the same idle time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// TCP that is opening or closing.
    HalfOpen,
    /// Nothing but the side that began has sent.
    Unanswered,
    /// ICMP echo, answered or not: the next request makes it anew.
    Echo,
    /// Both sides have sent.
    Answered,
    /// TCP, both sides of which have answered each other.
    Established,
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// IP packets; a super-packet counts once.
    pub packets: u64,
    /// Bytes of IP packets, headers included.
    pub bytes: u64,
}

impl Traffic {
    fn add(&mut self, len: usize) {
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(u64::try_from(len).expect("a usize has at most 64 bits"));
    }
}

/// One 5-tuple and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Both ends, seen from our side.
    pub key: FlowKey,
    /// The remote that it goes to; nobody else may answer.
    pub remote: Address,
    /// Who began.
    pub origin: Origin,
    /// Its kind, for TCP with the phase.
    pub kind: FlowKind,
    /// When it was made.
    pub created: Timestamp,
    /// When its last packet was let through, either way; never goes back.
    pub last_seen: Timestamp,
    /// From our side to the remote.
    pub sent: Traffic,
    /// From the remote to our side.
    pub received: Traffic,
    /// The seeded hash of its key, the same for both directions; what queues tell flows apart by.
    pub hash: u64,
    /// The TUN queue that its packets are written to: the one on which its first packet was read, or for a flow from
    /// outside one that its hash picks.
    pub queue: u8,
    answered: bool,
    tcp: Track,
}

impl Flow {
    pub(super) fn new(
        key: FlowKey,
        info: &PacketInfo,
        remote: Address,
        origin: Origin,
        (hash, queue): (u64, u8),
        now: Timestamp,
    ) -> Self {
        Self {
            key,
            remote,
            origin,
            kind: FlowKind::new(info.transport),
            created: now,
            last_seen: now,
            sent: Traffic::default(),
            received: Traffic::default(),
            hash,
            queue,
            answered: false,
            tcp: Track::default(),
        }
    }

    /// When it is forgotten unless another packet passes.
    pub fn expires(&self) -> Timestamp {
        self.last_seen + self.kind.idle_limit()
    }

    /// How much a full table wants to keep it.
    pub(super) fn standing(&self) -> Standing {
        match self.kind {
            FlowKind::Tcp(TcpPhase::Established) => Standing::Established,
            FlowKind::Tcp(TcpPhase::Opening | TcpPhase::Closing) => Standing::HalfOpen,
            FlowKind::Echo => Standing::Echo,
            FlowKind::Udp | FlowKind::Other if self.answered => Standing::Answered,
            FlowKind::Udp | FlowKind::Other => Standing::Unanswered,
        }
    }

    /// Whether a TCP segment from the remote with these flags may belong to this flow.
    pub(super) fn admits(&self, flags: TcpFlags) -> bool {
        self.tcp.admits(flags)
    }

    /// Counts a packet and lets it keep the flow alive.
    pub(super) fn pass(&mut self, info: &PacketInfo, len: usize, direction: Direction, now: Timestamp) {
        self.count(len, direction);
        self.last_seen = self.last_seen.max(now);
        self.answered |= Origin::of(direction) != self.origin;
        if let Transport::Tcp { flags, .. } = info.transport {
            self.kind = FlowKind::Tcp(self.tcp.observe(flags, direction));
        }
    }

    /// Counts a packet.
    pub(super) fn count(&mut self, len: usize, direction: Direction) {
        match direction {
            Direction::Outbound => self.sent.add(len),
            Direction::Inbound => self.received.add(len),
        }
    }
}
