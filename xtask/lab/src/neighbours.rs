// SPDX-License-Identifier: AGPL-3.0-or-later
//! A lab of two gateways that are neighbours over one or two delay lines.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::delay_line::DelayLine;
use crate::device::Rate;
use crate::gateway::{Gateway, GatewayConfig, Peer};
use crate::lab::{Lab, LinkEnd};
use crate::node::Node;
use crate::repetitions;
use crate::status::Status;
use crate::time_limit::TimeLimit;

/// What a link is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkTraits {
    /// There and back.
    pub round_trip: Duration,
    /// In each direction, at its sender; nothing where only the machine is the limit.
    pub rate: Option<Rate>,
}

/// Two gateways with one link or two between them; A dials each.
///
/// ```text
///          A                                  B
///  TUN 10.66.1.1/24                    TUN 10.66.2.1/24
/// ┌───────────────┐   192.0.2.0/24   ┌───────────────┐
/// │         to-b1 ├─.1── line 0 ──.2─┤ to-a1         │
/// │         to-b2 ├─.1── line 1 ──.2─┤ to-a2         │
/// └───────────────┘  198.51.100.0/24 └───────────────┘
/// ```
#[derive(Debug)]
pub struct Neighbours {
    /// The gateway on the left.
    pub a: Gateway,
    /// The gateway on the right.
    pub b: Gateway,
    /// The wires, of the first link and of the second.
    pub lines: Vec<DelayLine>,
    links: usize,
    // Last, so that the daemons and the lines end before their lab.
    lab: Lab,
}

impl Neighbours {
    /// Configuration of daemons that measure as on a machine that has no BPF.
    pub const WITHOUT_PROBES: &'static str = "[probes]\nenabled = false\n";
    /// IPv4 address of A's TUN device.
    pub const A_ADDRESS: &'static str = "10.66.1.1";
    /// IPv4 address of B's TUN device.
    pub const B_ADDRESS: &'static str = "10.66.2.1";
    /// IPv4 addresses of B on the two links.
    pub const B_ON_LINKS: [&'static str; 2] = ["192.0.2.2", "198.51.100.2"];

    const DEVICES_OF_A: [&'static str; 2] = ["to-b1", "to-b2"];
    const DEVICES_OF_B: [&'static str; 2] = ["to-a1", "to-a2"];

    /// Configurations under which a test shows the same: with probes, and with `cargo xtask test --long` without them, too.
    pub fn with_and_without_probes() -> &'static [&'static str] {
        if repetitions(1, 2) == 1 { &[""] } else { &["", Self::WITHOUT_PROBES] }
    }

    /// Makes nodes and as many links as there are traits, one or two, and starts the daemons. `extra` goes to the
    /// configuration of both. Returns once all links are live.
    pub fn start(limit: TimeLimit, traits: &[LinkTraits], extra: &str) -> Result<Self> {
        let lab = Lab::create(limit)?;
        let (a, b) = (lab.node("a")?, lab.node("b")?);
        let lines = (0..traits.len())
            .map(|link| {
                let [left, right] = ends(&a, &b, link);
                lab.delay_line(left, right, Duration::ZERO)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut made = Self::prepare(lab, [a, b], lines, traits.len(), extra)?;
        made.set(traits)?;
        made.run()?;
        Ok(made)
    }

    /// The same with a single link that is a bare veth pair: only the machine limits it.
    pub fn start_without_line(limit: TimeLimit, extra: &str) -> Result<Self> {
        let lab = Lab::create(limit)?;
        let (a, b) = (lab.node("a")?, lab.node("b")?);
        let [left, right] = ends(&a, &b, 0);
        lab.link(left, right)?;
        let mut made = Self::prepare(lab, [a, b], Vec::new(), 1, extra)?;
        made.run()?;
        Ok(made)
    }

    fn prepare(
        lab: Lab,
        [a, b]: [Node; 2],
        lines: Vec<DelayLine>,
        links: usize,
        extra: &str,
    ) -> Result<Self> {
        let a = Gateway::prepare(a, &edge(Self::A_ADDRESS, extra))?;
        let b = Gateway::prepare(b, &leading(edge(Self::B_ADDRESS, extra), Self::A_ADDRESS, &a))?;
        let dialled = Self::B_ON_LINKS.iter().take(links);
        let peers = dialled.map(|address| Peer::from(format!("inet:{address}:5860").as_str())).collect();
        let towards_b = leading(edge(Self::A_ADDRESS, extra), Self::B_ADDRESS, &b);
        a.configure(&GatewayConfig { peers, ..towards_b })?;
        Ok(Self { a, b, lines, links, lab })
    }

    fn run(&mut self) -> Result<()> {
        self.b.start()?;
        self.a.start()?;
        self.wait_for_all()
    }

    /// Changes what the links are like, also while they are in use.
    pub fn set(&self, traits: &[LinkTraits]) -> Result<()> {
        for (link, (line, LinkTraits { round_trip, rate })) in self.lines.iter().zip(traits).enumerate() {
            line.set_delay(*round_trip / 2, *round_trip / 2);
            let ends = [(&self.a, Self::DEVICES_OF_A[link]), (&self.b, Self::DEVICES_OF_B[link])];
            for (gateway, device) in ends {
                rate.map_or(Ok(()), |rate| gateway.node().shape_to(device, rate))?;
            }
        }
        Ok(())
    }

    /// Waits until all links are live at both ends, and both have a route to the other.
    pub fn wait_for_all(&self) -> Result<()> {
        let all = self.links;
        self.limit().wait_for("all links and routes", || {
            let (a, b) = (self.a.status()?, self.b.status()?);
            let links = a.live_links() == all && b.live_links() == all;
            let routes = chosen(&a, &self.b).is_some() && b.next_hop(&self.a.identity().address).is_some();
            Ok((links && routes).then_some(()))
        })
    }

    /// The link, 0 or 1, by which A sends to B.
    ///
    /// # Errors
    /// Where A has no route to B.
    pub fn chosen(&self) -> Result<usize> {
        chosen(&self.a.status()?, &self.b).context("A has no route to B")
    }

    /// Why A chose that link.
    pub fn reason(&self) -> Result<String> {
        let status = self.a.status()?;
        let route = status.routes.into_iter().find(|route| route.address == self.b.identity().address);
        route.and_then(|route| route.reason).context("A gives no reason for its route to B")
    }

    /// The limit of every wait.
    pub fn limit(&self) -> TimeLimit {
        self.lab.limit()
    }
}

/// The link of A's route to B.
fn chosen(of_a: &Status, b: &Gateway) -> Option<usize> {
    let hop = of_a.next_hop(&b.identity().address)?;
    let link = of_a.links.iter().find(|link| link.link == hop.link)?;
    Neighbours::B_ON_LINKS.iter().position(|address| link.remote.starts_with(&format!("{address}:")))
}

/// The ends of one link.
fn ends<'a>(a: &'a Node, b: &'a Node, link: usize) -> [LinkEnd<'a>; 2] {
    const ADDRESSES_OF_A: [&[&str]; 2] = [&["192.0.2.1/24"], &["198.51.100.1/24"]];
    const ADDRESSES_OF_B: [&[&str]; 2] = [&["192.0.2.2/24"], &["198.51.100.2/24"]];
    [
        LinkEnd { node: a, device: Neighbours::DEVICES_OF_A[link], addresses: ADDRESSES_OF_A[link] },
        LinkEnd { node: b, device: Neighbours::DEVICES_OF_B[link], addresses: ADDRESSES_OF_B[link] },
    ]
}

fn edge(own: &str, extra: &str) -> GatewayConfig {
    GatewayConfig {
        tun: Some(vec![format!("{own}/24")]),
        accept: vec![("tcp", vec![5201]), ("udp", vec![5201])],
        extra: extra.to_owned(),
        ..GatewayConfig::default()
    }
}

fn leading(config: GatewayConfig, address: &str, to: &Gateway) -> GatewayConfig {
    GatewayConfig { routes: vec![(format!("{address}/32"), to.identity().address.clone())], ..config }
}
