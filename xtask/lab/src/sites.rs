// SPDX-License-Identifier: AGPL-3.0-or-later
//! A lab of two sites: gateways with a network behind each, and with the Internet behind one of them.

use std::net::IpAddr;

use anyhow::Result;

use crate::gateway::{Gateway, GatewayConfig};
use crate::lab::{Lab, LinkEnd};
use crate::node::Node;
use crate::time_limit::TimeLimit;

/// Two gateways with a router between them and hosts behind them; no daemon runs yet.
///
/// ```text
///   host h          A                     R                     B          host k
///            lan0        to-r     to-a          to-b      to-r     lan0
///  10.1.0.2 ── 10.1.0.1   .1 ─────── .2   .1 ─────────── .2   10.2.0.1 ── 10.2.0.2
///   fd01::2    fd01::1   192.0.2.0/24    198.51.100.0/25       fd02::1     fd02::2
///             (default    2001:db8:1::/64   and 203.0.113.53,
///             routes: R)                    203.0.113.65 itself      net0       server s
///                                               198.51.100.128/25  .129 ────── .130
///                                                  2001:db8:9::/64   ::1 ────── ::9
/// ```
///
/// A reaches R at 203.0.113.53 by its default route only. The server knows no way back but to B's own address. The
/// prefixes are those for documentation (RFC 5737, RFC 3849) and for private use (RFC 1918, RFC 4193).
#[derive(Debug)]
pub struct Sites {
    /// The gateway on the left, with the addresses 10.66.1.1 and its overlay address.
    pub a: Gateway,
    /// The router in the middle.
    pub r: Gateway,
    /// The gateway on the right, with the addresses 10.66.2.1 and its overlay address.
    pub b: Gateway,
    /// The host behind A.
    pub h: Node,
    /// The host behind B.
    pub k: Node,
    /// The server in the Internet behind B.
    pub s: Node,
    // Last, so that the daemons end before their lab.
    lab: Lab,
}

impl Sites {
    /// IPv4 address of A's TUN device.
    pub const A_ADDRESS: &'static str = "10.66.1.1";
    /// IPv4 address of B's TUN device.
    pub const B_ADDRESS: &'static str = "10.66.2.1";
    /// IPv4 address of the host behind A.
    pub const H_ADDRESS: &'static str = "10.1.0.2";

    /// Makes nodes and links and the identities of the daemons. The configurations of A and B lead to R and nowhere else.
    pub fn prepare(limit: TimeLimit) -> Result<Self> {
        let lab = Lab::create(limit)?;
        let node = |name: &str| lab.node(name);
        let (a, r, b, h, k, s) = (node("a")?, node("r")?, node("b")?, node("h")?, node("k")?, node("s")?);
        connect(&lab, [&a, &r, &b, &h, &k, &s])?;
        let a = Gateway::prepare(a, &Self::config_of_a())?;
        let b = Gateway::prepare(b, &Self::config_of_b())?;
        let r = Gateway::prepare(r, &GatewayConfig::default())?;
        Ok(Self { a, r, b, h, k, s, lab })
    }

    /// What every configuration of A begins with.
    pub fn config_of_a() -> GatewayConfig {
        edge("inet:203.0.113.53:5860", Self::A_ADDRESS)
    }

    /// What every configuration of B begins with.
    pub fn config_of_b() -> GatewayConfig {
        edge("inet:198.51.100.1:5860", Self::B_ADDRESS)
    }

    /// Adds a third gateway beside A and B that dials R, without starting it.
    pub fn stranger(&self, config: GatewayConfig) -> Result<Gateway> {
        let x = self.lab.node("x")?;
        self.lab.link(
            LinkEnd { node: self.r.node(), device: "to-x", addresses: &["203.0.113.129/25"] },
            LinkEnd { node: &x, device: "to-r", addresses: &["203.0.113.130/25"] },
        )?;
        let peers = vec!["inet:203.0.113.129:5860".into()];
        Gateway::prepare(x, &GatewayConfig { peers, tun: Some(Vec::new()), ..config })
    }

    /// Starts the three daemons, and returns once A and B have routes to each other.
    pub fn start(&mut self) -> Result<()> {
        self.r.start_as_ratmand()?;
        self.a.start()?;
        self.b.start()?;
        self.wait_for_route(&self.a, &self.b)?;
        self.wait_for_route(&self.b, &self.a)
    }

    /// Waits until one daemon has a way to the other.
    pub fn wait_for_route(&self, from: &Gateway, to: &Gateway) -> Result<()> {
        let (from_name, to_name) = (from.node().name(), to.node().name());
        let what = format!("a route from {from_name} to {to_name}");
        let address = &to.identity().address;
        self.limit().wait_for(&what, || Ok(from.status()?.next_hop(address).map(drop)))
    }

    /// The server's addresses, IPv4 first.
    pub fn server() -> [IpAddr; 2] {
        ["198.51.100.130", "2001:db8:9::9"].map(|text| text.parse().expect("an address"))
    }

    /// The limit of every wait.
    pub fn limit(&self) -> TimeLimit {
        self.lab.limit()
    }
}

fn edge(peer: &str, own: &str) -> GatewayConfig {
    GatewayConfig {
        peers: vec![peer.into()],
        tun: Some(vec![format!("{own}/24")]),
        ..GatewayConfig::default()
    }
}

fn connect(lab: &Lab, [a, r, b, h, k, s]: [&Node; 6]) -> Result<()> {
    let link = |left: (&Node, &str, &[&str]), right: (&Node, &str, &[&str])| {
        let [left, right] =
            [left, right].map(|(node, device, addresses)| LinkEnd { node, device, addresses });
        lab.link(left, right)
    };
    link(
        (a, "to-r", &["192.0.2.1/24", "2001:db8:1::1/64"]),
        (r, "to-a", &["192.0.2.2/24", "2001:db8:1::2/64"]),
    )?;
    link((r, "to-b", &["198.51.100.1/25"]), (b, "to-r", &["198.51.100.2/25"]))?;
    link((h, "eth0", &["10.1.0.2/24", "fd01::2/64"]), (a, "lan0", &["10.1.0.1/24", "fd01::1/64"]))?;
    link((b, "lan0", &["10.2.0.1/24", "fd02::1/64"]), (k, "eth0", &["10.2.0.2/24", "fd02::2/64"]))?;
    link(
        (b, "net0", &["198.51.100.129/25", "2001:db8:9::1/64"]),
        (s, "eth0", &["198.51.100.130/25", "2001:db8:9::9/64"]),
    )?;
    for address in ["203.0.113.53/32", "203.0.113.65/32"] {
        r.ip(&["address", "add", address, "dev", "lo"])?;
    }
    let gateways =
        [(a, ["192.0.2.2", "2001:db8:1::2"]), (h, ["10.1.0.1", "fd01::1"]), (k, ["10.2.0.1", "fd02::1"])];
    for (node, gateways) in gateways {
        for (family, gateway) in ["-4", "-6"].iter().zip(gateways) {
            node.ip(&[family, "route", "add", "default", "via", gateway])?;
        }
    }
    Ok(())
}
