// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a router knows of itself and of the mesh around it. Version 1 of ours.

use core::net::Ipv6Addr;
use core::time::Duration;

use ratman_types::{Address, Bandwidth, ByteCount, Mtu, Namespace, RouterId};

use super::field::{Optional, choice, record};
use super::text::{List, Text};

/// The most figures of one kind.
pub const MAX_FIGURES: usize = 1024;

record! {
    /// A router.
    pub struct RouterInfo {
        /// The version of the program.
        pub version: Text<64>,
        /// The address of its gateway.
        pub address: Address,
        /// The id by which its neighbours know it.
        pub router_id: RouterId,
        /// The overlay address that belongs to `address`.
        pub overlay: Ipv6Addr,
        /// Since when it runs.
        pub uptime: Duration,
        /// The most bytes of a payload that it takes.
        pub payload_limit: u32,
        /// What it adds to the clock of its host, in microseconds.
        pub clock_correction_us: i64,
        /// What the operator should look at.
        pub warnings: List<Text<512>, 64>,
        /// Its streams; nothing where it takes none.
        pub streams: Option<StreamFigures>,
        /// What it drops, by reason.
        pub drops: List<Figure, MAX_FIGURES>,
        /// What else it counts.
        pub counters: List<Figure, MAX_FIGURES>,
    }

    /// Something that is counted.
    pub struct Figure {
        /// What.
        pub name: Text<64>,
        /// How often.
        pub value: u64,
    }

    /// The streams of a router and its journal.
    pub struct StreamFigures {
        /// Sent by local clients and not at their end.
        pub sending: u64,
        /// For local addresses and not whole.
        pub receiving: u64,
        /// Whole, and taken by no client.
        pub waiting: u64,
        /// Of others, kept until they can go on.
        pub carried: u64,
        /// Frames to namespaces, kept for everybody.
        pub flooded: u64,
        /// What they take of the quota.
        pub journal: ByteCount,
        /// The quota.
        pub quota: ByteCount,
        /// What the journal takes of the disk.
        pub disk: ByteCount,
        /// What is not durable yet.
        pub unsaved: ByteCount,
    }

    /// An address of a client.
    pub struct LocalAddress {
        /// Which.
        pub address: Address,
        /// Whether it is announced.
        pub up: bool,
        /// Why it cannot be used any more.
        pub damage: Option<Text<256>>,
    }

    /// A namespace whose key the router knows.
    pub struct LocalNamespace {
        /// Which.
        pub namespace: Namespace,
        /// Whether the address that asks takes part.
        pub up: bool,
    }

    /// An attachment to a neighbour, and what is measured of it. What nobody measured is absent.
    pub struct LinkEntry {
        /// Its number, never used twice while the router runs.
        pub link: u32,
        /// The netmod that drives it.
        pub netmod: Text<64>,
        /// The router at its other end, proven by signature.
        pub neighbour: RouterId,
        /// Our end of the underlay, as the netmod writes it.
        pub local: Text<256>,
        /// The other end.
        pub remote: Text<256>,
        /// The interface that it crosses.
        pub interface: Option<Text<64>>,
        /// Whether this router dialled.
        pub dialed: bool,
        /// Whether it carries frames.
        pub state: LinkState,
        /// Since when it is up.
        pub up: Duration,
        /// The largest frame.
        pub mtu: Mtu,
        /// The round trip without a queue.
        pub round_trip: Option<Duration>,
        /// The round trip with the queues of the last 30 s.
        pub loaded_round_trip: Option<Duration>,
        /// How far the neighbour's clock is ahead, in microseconds.
        pub clock_offset_us: Option<i64>,
        /// What it carries towards the neighbour.
        pub capacity: Capacity,
        /// Packets of a million that get lost towards the neighbour.
        pub loss_per_million: Option<u32>,
        /// Bytes per second to the neighbour.
        pub sent: Option<u64>,
        /// Bytes per second from the neighbour.
        pub received: Option<u64>,
        /// What waits to be sent.
        pub queued: ByteCount,
        /// Frames dropped on the way out.
        pub dropped_frames: u64,
        /// What the configuration adds to the ping of routes over it.
        pub cost: Option<Duration>,
    }

    /// A router that is dialled.
    pub struct DialledPeer {
        /// Where, as in the configuration.
        pub peer: Text<512>,
        /// Whether there is a link to it, whoever dialled.
        pub linked: bool,
        /// Whether there has been one since it is dialled.
        pub reached: bool,
        /// Why there is none, as the last attempt found.
        pub failure: Option<Text<512>>,
    }

    /// What is known of the way to an address.
    pub struct RouteEntry {
        /// The address.
        pub address: Address,
        /// The overlay address that belongs to it.
        pub overlay: Ipv6Addr,
        /// Whether it is one of this router.
        pub local: bool,
        /// Whether it can be reached now.
        pub live: bool,
        /// The chosen first hop.
        pub next_hop: Option<NextHop>,
        /// The most hops that there can be on the way: where they begin to be counted is not told exactly.
        pub hops: Option<u8>,
        /// Estimated round trip of the way.
        pub ping: Option<Duration>,
        /// The largest frame that fits.
        pub mtu: Option<Mtu>,
        /// The narrowest link; unknown where nobody measured it.
        pub bandwidth: Bandwidth,
        /// Why this hop was chosen, or why there is none.
        pub reason: Text<256>,
    }

    /// The first hop of a route.
    pub struct NextHop {
        /// The link.
        pub link: u32,
        /// The router behind it.
        pub neighbour: RouterId,
    }
}

choice! {
    /// Whether a link carries frames.
    pub enum LinkState {
        /// It does.
        Live = 1,
        /// Proven, but not yet measured.
        Starting = 2,
        /// Nothing comes back at the moment.
        Stalled = 3,
    }

    /// What a link carries.
    pub enum Capacity {
        /// Nobody found out.
        Unknown = 0,
        /// This.
        Measured(Bandwidth) = 1,
        /// This, and maybe more.
        AtLeast(Bandwidth) = 2,
    }
}

impl Optional for StreamFigures {}
impl Optional for NextHop {}
