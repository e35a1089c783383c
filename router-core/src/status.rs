// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the router tells people about itself: values for the status command, nothing that decides.

use core::time::Duration;

use ratman_types::{Address, Bandwidth, Capacity, Hop, Loss, Mtu, Timestamp, Traffic};
use ratman_wire::router_meta::RouterMeta;

use crate::{Estimate, LinkCost};

/// Whether a link can carry routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// Up, but no echo was answered yet: it brings no routes.
    Starting,
    /// Its echoes are answered.
    Live,
    /// Its echoes are not answered, and nothing else is heard.
    Stalled,
}

/// One link as it stands.
#[derive(Clone, Copy, Debug)]
pub struct LinkStatus {
    /// The link and the neighbour at its other end.
    pub hop: Hop,
    /// Whether it can carry routes.
    pub state: LinkState,
    /// Whether we dialed.
    pub dialed: bool,
    /// The largest carrier frame that crosses it.
    pub mtu: Mtu,
    /// What the operator adds to the ping of every route over it.
    pub cost: LinkCost,
    /// When it came up.
    pub since: Timestamp,
    /// The round trip without a queue: the tenth percentile of 30 s, of echoes or of what the kernel saw. Under lasting
    /// load it stays what it was before. Nothing before the first reply.
    pub latency: Option<Estimate<Duration>>,
    /// The ninetieth percentile of the echoes of 30 s, which queues under load raise.
    pub loaded_latency: Option<Estimate<Duration>>,
    /// What it carries towards the neighbour; nothing while nobody found out.
    pub capacity: Option<Estimate<Capacity>>,
    /// What crosses it now, underlay headers included; nothing where nobody counts.
    pub traffic: Option<Estimate<Traffic>>,
    /// What was lost towards the neighbour in the last minute, all counts summed up.
    pub loss: Option<Estimate<Loss>>,
    /// How far the neighbour's raw clock is ahead of ours, in microseconds; nothing if it has no vote.
    pub clock_offset: Option<i64>,
    /// What the neighbour said about itself last.
    pub meta: Option<RouterMeta>,
}

/// One way to an address.
#[derive(Clone, Debug)]
pub struct RouteStatus {
    /// The address.
    pub address: Address,
    /// The way's first hop; nothing for a local address.
    pub hop: Option<Hop>,
    /// Whether frames take this way.
    pub selected: bool,
    /// Whether it was announced recently enough, over a live link, and cannot loop.
    pub usable: bool,
    /// The estimated round trip, without cost; nothing for a local address.
    pub ping: Option<Duration>,
    /// What the operator adds to it.
    pub cost: LinkCost,
    /// The largest carrier frame on the way.
    pub mtu: Mtu,
    /// The narrowest bandwidth on the way.
    pub bandwidth: Bandwidth,
    /// The most hops that there can be on the way, 0 for a local address: where they begin to be counted is not told exactly, and up to 7
    /// too many are said.
    pub hops: u8,
    /// When the last copy that counted arrived; nothing for a local address.
    pub heard: Option<Timestamp>,
    /// When the address was heard of first, since it was forgotten last; nothing for a local one.
    pub first_heard: Option<Timestamp>,
    /// Why the selected way was chosen; empty for others.
    pub reason: String,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Announcements of local addresses that we made.
    pub announcements_made: u64,
    /// How often one was not made before its time was durable; each that is made in the end counts here at most once per
    /// attempt.
    pub announcements_withheld: u64,
    /// Announcement frames received, copies included.
    pub announcements_received: u64,
    /// Announcements flooded on, each counted once.
    pub announcements_flooded: u64,
    /// Retractions sent, each counted once.
    pub retractions_sent: u64,
    /// Signatures verified, good or bad.
    pub signatures_verified: u64,
    /// Signatures made.
    pub signatures_made: u64,
}
