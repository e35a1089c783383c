// SPDX-License-Identifier: AGPL-3.0-or-later
//! The lab of the demonstration and of most tests: two gateways with a router between them.

use anyhow::Result;

use crate::gateway::{Gateway, GatewayConfig, Peer};
use crate::lab::{Lab, LinkEnd};
use crate::node::Node;
use crate::time_limit::TimeLimit;

/// TCP ports on which A and B let each other in: SSH, iperf3, and HTTP or an echo.
const TCP_PORTS: [u16; 3] = [2222, 5201, 8080];
/// The same for UDP: iperf3.
const UDP_PORTS: [u16; 1] = [5201];

/// Who dials whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dials {
    /// A and B dial R.
    Edges,
    /// R dials A and B.
    Middle,
}

/// Three routers with their daemons.
///
/// ```text
///          A                              R                              B
///   irdest-gateway                     ratmand                    irdest-gateway
///  TUN 10.66.1.1/24                   (no TUN)                   TUN 10.66.2.1/24
///                    192.0.2.0/24                198.51.100.0/24
///                  2001:db8:1::/64               2001:db8:2::/64
/// ┌───────────────┐                ┌───────────────┐                ┌───────────────┐
/// │          to-r ├─.1──────────.2─┤ to-a    to-b1 ├─.1──────────.2─┤ to-r1         │
/// │               │                │         to-b2 ├─.1──────────.2─┤ to-r2         │
/// └───────────────┘                └───────────────┘                └───────────────┘
///                                                 203.0.113.0/24
///                                                2001:db8:3::/64
/// ```
///
/// There is no IP route between A and B but the one through their TUN devices. The prefixes are those for
/// documentation (RFC 5737, RFC 3849).
#[derive(Debug)]
pub struct ThreeRouters {
    /// The gateway on the left.
    pub a: Gateway,
    /// The router in the middle.
    pub r: Gateway,
    /// The gateway on the right.
    pub b: Gateway,
    // Last, so that the daemons end before their lab.
    lab: Lab,
}

impl ThreeRouters {
    /// IPv4 address of A's TUN device.
    pub const A_ADDRESS: &'static str = "10.66.1.1";
    /// IPv4 address of B's TUN device, behind the prefix `10.66.2.0/24`.
    pub const B_ADDRESS: &'static str = "10.66.2.1";

    /// Makes nodes and links and prepares the daemons, none of which runs yet.
    pub fn prepare(limit: TimeLimit, dials: Dials) -> Result<Self> {
        Self::prepare_with_extra(limit, dials, "")
    }

    /// The same with further lines in the configuration of all three, see [`GatewayConfig::extra`].
    pub fn prepare_with_extra(limit: TimeLimit, dials: Dials, extra: &str) -> Result<Self> {
        let peers = match dials {
            Dials::Edges => PeerLists {
                a: &["inet:192.0.2.2:5860"],
                r: &[],
                b: &["inet:198.51.100.1:5860", "inet:203.0.113.1:5860"],
            },
            Dials::Middle => PeerLists {
                a: &[],
                r: &["inet:192.0.2.1:5860", "inet:198.51.100.2:5860", "inet:203.0.113.2:5860"],
                b: &[],
            },
        };
        Self::prepare_with(limit, peers, extra)
    }

    /// All three with these further lines in their configuration, running and with routes to each other.
    pub fn running(limit: TimeLimit, extra: &str) -> Result<Self> {
        let mut routers = Self::prepare_with_extra(limit, Dials::Edges, extra)?;
        routers.start()?;
        routers.wait_for_routes()?;
        Ok(routers)
    }

    /// As [`ThreeRouters::prepare`], with B dialling the second link at another port of R, where a
    /// [`Relay`](crate::Relay) is to listen.
    pub fn prepare_with_relay(limit: TimeLimit, port: u16) -> Result<Self> {
        let relayed = format!("inet:203.0.113.1:{port}");
        let b = ["inet:198.51.100.1:5860", &relayed];
        Self::prepare_with(limit, PeerLists { a: &["inet:192.0.2.2:5860"], r: &[], b: &b }, "")
    }

    fn prepare_with(limit: TimeLimit, peers: PeerLists<'_>, extra: &str) -> Result<Self> {
        let lab = Lab::create(limit)?;
        let (a, r, b) = (lab.node("a")?, lab.node("r")?, lab.node("b")?);
        connect(&lab, &a, &r, &b)?;
        let edge = |peers: &[&str], own: &str, other: &str, via: Option<&Gateway>| GatewayConfig {
            peers: peers.iter().copied().map(Peer::from).collect(),
            routes: via
                .map(|gateway| (other.to_owned(), gateway.identity().address.clone()))
                .into_iter()
                .collect(),
            tun: Some(vec![format!("{own}/24")]),
            accept: vec![("tcp", TCP_PORTS.to_vec()), ("udp", UDP_PORTS.to_vec())],
            extra: extra.to_owned(),
            ..GatewayConfig::default()
        };
        // B's address is not known before A's configuration is written, hence A's is written twice.
        let a = Gateway::prepare(a, &edge(peers.a, Self::A_ADDRESS, "10.66.2.0/24", None))?;
        let b = Gateway::prepare(b, &edge(peers.b, Self::B_ADDRESS, "10.66.1.0/24", Some(&a)))?;
        a.configure(&edge(peers.a, Self::A_ADDRESS, "10.66.2.0/24", Some(&b)))?;
        let middle = peers.r.iter().copied().map(Peer::from).collect();
        let middle = GatewayConfig { peers: middle, extra: extra.to_owned(), ..GatewayConfig::default() };
        let r = Gateway::prepare(r, &middle)?;
        Ok(Self { a, r, b, lab })
    }

    /// Starts the three daemons, R under the name `ratmand`.
    pub fn start(&mut self) -> Result<()> {
        self.r.start_as_ratmand()?;
        self.a.start()?;
        self.b.start()
    }

    /// Waits until both gateways have a route to each other and R has its three links.
    pub fn wait_for_routes(&self) -> Result<()> {
        self.limit().wait_for("three links and routes between A and B", || {
            let (a, r, b) = (self.a.status()?, self.r.status()?, self.b.status()?);
            let routes = a.next_hop(&b.address).is_some() && b.next_hop(&a.address).is_some();
            Ok((routes && r.live_links() == 3).then_some(()))
        })
    }

    /// The lab around them.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The limit of every wait.
    pub fn limit(&self) -> TimeLimit {
        self.lab.limit()
    }
}

struct PeerLists<'a> {
    a: &'a [&'a str],
    r: &'a [&'a str],
    b: &'a [&'a str],
}

fn connect(lab: &Lab, a: &Node, r: &Node, b: &Node) -> Result<()> {
    lab.link(
        LinkEnd { node: a, device: "to-r", addresses: &["192.0.2.1/24", "2001:db8:1::1/64"] },
        LinkEnd { node: r, device: "to-a", addresses: &["192.0.2.2/24", "2001:db8:1::2/64"] },
    )?;
    lab.link(
        LinkEnd { node: r, device: "to-b1", addresses: &["198.51.100.1/24", "2001:db8:2::1/64"] },
        LinkEnd { node: b, device: "to-r1", addresses: &["198.51.100.2/24", "2001:db8:2::2/64"] },
    )?;
    lab.link(
        LinkEnd { node: r, device: "to-b2", addresses: &["203.0.113.1/24", "2001:db8:3::1/64"] },
        LinkEnd { node: b, device: "to-r2", addresses: &["203.0.113.2/24", "2001:db8:3::2/64"] },
    )
}
