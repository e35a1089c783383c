// SPDX-License-Identifier: AGPL-3.0-or-later
//! What `irdest-gateway status` shows: the reply of the control socket as data, and as tables for people.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ratman_types::{Address, RouterId};
use serde::{Deserialize, Serialize};

mod table;
mod text;

pub(crate) use table::Table;
pub(crate) use text::{link_state, micros, unknown};

/// The state of a running gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the daemon.
    pub version: String,
    /// The address of this gateway.
    pub address: Address,
    /// The id of this router.
    pub router_id: RouterId,
    /// The overlay address derived from `address`.
    pub overlay: Ipv6Addr,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// What the operator should look at, for as long as it is so.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What the router adds to this host's clock, in microseconds: the median of its neighbours' clocks and its own.
    #[serde(default)]
    pub clock_correction_us: i64,
    /// One per router that is dialled, in the order of the configuration.
    #[serde(default)]
    pub peers: Vec<PeerStatus>,
    /// One per attachment to a neighbour.
    pub links: Vec<LinkStatus>,
    /// One per known address.
    pub routes: Vec<RouteStatus>,
    /// One per remote with a session or a handshake.
    pub sessions: Vec<SessionStatus>,
    /// One per 5-tuple seen at the TUN.
    pub flows: Vec<FlowStatus>,
    /// One per rule of the firewall, in their order.
    #[serde(default)]
    pub rules: Vec<RuleStatus>,
    /// The message plane; absent where there are no streams.
    #[serde(default)]
    pub streams: Option<StreamsStatus>,
    /// Frames and packets dropped, by reason.
    pub drops: BTreeMap<String, u64>,
    /// Everything else that is counted.
    pub counters: BTreeMap<String, u64>,
}

/// A router that is dialled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Where, as in the configuration.
    pub peer: String,
    /// Whether there is a link to it, whoever dialled.
    pub linked: bool,
    /// Whether there has been one since it is dialled.
    pub reached: bool,
    /// Why there is none, as the last attempt found.
    pub failure: Option<String>,
}

impl From<netmod_api::PeerState> for PeerStatus {
    fn from(state: netmod_api::PeerState) -> Self {
        let netmod_api::PeerState { peer, linked, reached, failure } = state;
        Self { peer, linked, reached, failure }
    }
}

/// A link to a neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Its number, never used twice while the daemon lives.
    pub link: u32,
    /// The netmod that drives it.
    pub netmod: String,
    /// The router at its other end, proven by signature.
    pub neighbour: RouterId,
    /// Our end of the underlay, as the netmod writes it: a radio has no socket address.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// Whether we dialled.
    pub dialed: bool,
    /// Whether it carries frames.
    pub state: LinkState,
    /// The largest frame, in bytes.
    pub mtu: u32,
    /// Tenth percentile of the round-trip times of 30 s in microseconds, absent before the first echo reply.
    pub rtt_us: Option<u64>,
    /// How far the neighbour's clock is ahead of this host's, in microseconds; absent where it has no say.
    #[serde(default)]
    pub clock_offset_us: Option<i64>,
    /// Bytes that wait to be sent.
    pub queued_bytes: u64,
    /// Frames dropped on the way out.
    pub dropped_frames: u64,
    /// Seconds since it came up.
    pub up_s: u64,
}

/// Whether a link carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It does.
    Live,
    /// Proven, but not yet measured by three echoes.
    Starting,
    /// Nothing comes back at the moment.
    Stalled,
}

impl From<router_core::LinkState> for LinkState {
    fn from(state: router_core::LinkState) -> Self {
        match state {
            router_core::LinkState::Starting => Self::Starting,
            router_core::LinkState::Live => Self::Live,
            router_core::LinkState::Stalled => Self::Stalled,
        }
    }
}

/// What is known about the way to an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// The destination.
    pub address: Address,
    /// The overlay address derived from it.
    pub overlay: Ipv6Addr,
    /// Whether it is ours.
    pub local: bool,
    /// The chosen first hop, absent where there is none.
    pub next_hop: Option<NextHop>,
    /// Estimated round-trip time of the way in microseconds.
    pub ping_us: Option<u64>,
    /// The largest frame that fits the way, in bytes.
    pub mtu: Option<u32>,
    /// Bytes per second, absent where not measured.
    pub bandwidth: Option<u32>,
    /// Whether a live route is there.
    pub state: RouteState,
    /// Why this hop was chosen, or why there is none.
    pub reason: String,
    /// The most hops that there can be on the way, 0 for our own; up to 7 too many are said.
    #[serde(default)]
    pub hops: Option<u8>,
    /// Seconds since it was heard of last; 0 for our own.
    #[serde(default)]
    pub heard_s: u64,
    /// Seconds since it was heard of first; 0 for our own.
    #[serde(default)]
    pub known_s: u64,
}

/// The first hop of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// The link.
    pub link: u32,
    /// The router behind it.
    pub neighbour: RouterId,
}

/// Whether an address can be reached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteState {
    /// A feasible hop with a recent announcement.
    Live,
    /// Known, without a usable hop.
    Idle,
}

/// A session with a remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// The gateway at the other end.
    pub remote: Address,
    /// How far it is.
    pub state: SessionState,
    /// Who opened it.
    pub role: SessionRole,
    /// Seconds since packets can be sent, 0 before.
    pub since_s: u64,
    /// Bytes of IP packets sent.
    pub tx_bytes: u64,
    /// Bytes of IP packets received.
    pub rx_bytes: u64,
    /// IP packets sent.
    pub tx_packets: u64,
    /// IP packets received.
    pub rx_packets: u64,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// Keys are agreed.
    Established,
    /// They are being agreed.
    Handshake,
}

/// Who opened a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionRole {
    /// We.
    Initiator,
    /// The remote.
    Responder,
}

/// A flow of the TUN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStatus {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or the number of another protocol.
    pub protocol: String,
    /// Who opened it.
    pub source: FlowEnd,
    /// To whom.
    pub destination: FlowEnd,
    /// The gateway behind which the other end lies.
    pub remote: Address,
    /// Packets into the mesh.
    pub tx_packets: u64,
    /// Packets from the mesh.
    pub rx_packets: u64,
    /// Bytes into the mesh.
    pub tx_bytes: u64,
    /// Bytes from the mesh.
    pub rx_bytes: u64,
    /// Seconds since the last packet.
    pub idle_s: u64,
}

/// A rule of the firewall and the flows that it has decided about since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// `in` or `out`.
    pub direction: String,
    /// `accept` or `deny`.
    pub action: String,
    /// Flows that it let be opened.
    pub accepted: u64,
    /// Flows that it denied.
    pub denied: u64,
    /// Flows above its rate.
    pub limited: u64,
}

/// The message plane and its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamsStatus {
    /// Streams of local clients that are not at their end.
    pub sending: u64,
    /// Streams for this gateway that are not whole.
    pub receiving: u64,
    /// Whole streams that no client took.
    pub waiting: u64,
    /// Streams whose address is down, or whose namespace's key is not here.
    pub sleeping: u64,
    /// Contents that local clients share.
    pub shared: u64,
    /// Streams of others that are kept until they can go on.
    pub carried: u64,
    /// Frames to namespaces that are kept for everybody.
    pub flooded: u64,
    /// Bytes that they take of the quota.
    pub journal_bytes: u64,
    /// The quota.
    pub quota_bytes: u64,
    /// Bytes that the journal takes of the disk.
    pub disk_bytes: u64,
    /// Bytes that are not durable yet.
    pub unsaved_bytes: u64,
    /// Removals that the disk did not make, and that are tried again.
    pub removals_owed: u64,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEnd {
    /// Its IP address.
    pub ip: IpAddr,
    /// Its port, or the identifier of an ICMP echo; absent where the protocol has neither.
    pub port: Option<u16>,
}

#[cfg(test)]
pub(crate) mod tests;
