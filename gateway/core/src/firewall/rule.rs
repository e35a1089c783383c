// SPDX-License-Identifier: AGPL-3.0-or-later
//! One rule of the firewall: what it is about, and what it does.

use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::time::Duration;
use std::sync::Arc;

use ipnet::IpNet;
use ratman_types::Address;

use crate::packet::{Direction, PacketInfo, Transport};
use crate::token_bucket::Fill;

/// The IANA numbers of the protocols that rules have names for.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// What a rule does with a flow that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It may be opened.
    Accept,
    /// It may not.
    Deny,
}

/// Which remotes a rule or a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Everybody in the mesh.
    Any,
    /// The remotes of the configured routes.
    Configured,
    /// One remote.
    Remote(Address),
}

impl Whom {
    /// Whether `remote` is meant; `configured` says whether it is one of the configured routes.
    pub(crate) fn includes(&self, remote: &Address, configured: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Configured => configured,
            Self::Remote(address) => address == remote,
        }
    }
}

/// Which protocols a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrying {
    /// TCP connections and UDP.
    TcpAndUdp,
    /// TCP connections.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP echo of either family; no other ICMP opens a flow.
    Icmp,
    /// One protocol by its IANA number.
    Number(u8),
    /// Every protocol.
    All,
}

impl Carrying {
    fn includes(self, protocol: u8) -> bool {
        match self {
            Self::TcpAndUdp => protocol == TCP || protocol == UDP,
            Self::Tcp => protocol == TCP,
            Self::Udp => protocol == UDP,
            Self::Icmp => protocol == ICMP || protocol == ICMPV6,
            Self::Number(number) => protocol == number,
            Self::All => true,
        }
    }
}

/// Which destinations a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// All.
    Anywhere,
    /// Our own addresses.
    Ourselves,
    /// Hosts behind one of the two gateways, or the Internet behind an exit; our own addresses too where a prefix
    /// covers them.
    Prefixes(Vec<IpNet>),
}

impl To {
    fn includes(&self, destination: IpAddr, ours: bool) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Ourselves => ours,
            Self::Prefixes(prefixes) => prefixes.iter().any(|prefix| prefix.contains(&destination)),
        }
    }
}

/// How many flows a rule may accept, of all its remotes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRate {
    /// Flows per period in the long run.
    pub flows: u32,
    /// The period, at most an hour.
    pub per: Duration,
    /// Flows that may be opened at once after a quiet time.
    pub burst: u32,
}

impl FlowRate {
    pub(super) fn fill(self) -> Fill {
        Fill::new(self.flows, self.per, self.burst)
    }
}

/// One rule: it is about flows that match all of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What status and log call it, and what its counts are kept by; no other rule has it.
    pub name: Arc<str>,
    /// What to do.
    pub action: Action,
    /// Which way the first packet of the flow goes.
    pub direction: Direction,
    /// The remote at the other end.
    pub remote: Whom,
    /// By which protocol.
    pub carrying: Carrying,
    /// To which ports; to all if there is none, else TCP and UDP only.
    pub ports: Vec<RangeInclusive<u16>>,
    /// To which destinations.
    pub to: To,
    /// How often; unlimited if absent. What a rule with [`Action::Deny`] denies has no rate.
    pub rate: Option<FlowRate>,
    /// Whether its decisions are logged.
    pub log: bool,
}

/// What rules ask of a packet that would open a flow.
pub(super) struct Opening<'a> {
    direction: Direction,
    remote: &'a Address,
    configured: bool,
    protocol: u8,
    port: Option<u16>,
    destination: IpAddr,
    ours: bool,
}

impl<'a> Opening<'a> {
    pub(super) fn new(
        info: &PacketInfo,
        direction: Direction,
        (remote, configured): (&'a Address, bool),
        ours: bool,
    ) -> Self {
        let port = match info.transport {
            Transport::Tcp { destination, .. } | Transport::Udp { destination, .. } => Some(destination),
            Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::IcmpError
            | Transport::OtherIcmp(_)
            | Transport::Other
            | Transport::LaterFragment => None,
        };
        let (protocol, destination) = (info.protocol, info.destination);
        Self { direction, remote, configured, protocol, port, destination, ours }
    }
}

impl Rule {
    /// Whether the rule is about this flow; the cheapest questions come first.
    pub(super) fn matches(&self, opening: &Opening<'_>) -> bool {
        self.direction == opening.direction
            && self.carrying.includes(opening.protocol)
            && self.includes_port(opening.port)
            && self.remote.includes(opening.remote, opening.configured)
            && self.to.includes(opening.destination, opening.ours)
    }

    fn includes_port(&self, port: Option<u16>) -> bool {
        self.ports.is_empty() || port.is_some_and(|port| self.ports.iter().any(|ports| ports.contains(&port)))
    }
}
