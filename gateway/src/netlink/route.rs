// SPDX-License-Identifier: AGPL-3.0-or-later
//! Routes: those of a table of our own, and those of the main table beside which they have to live.
#![allow(clippy::wildcard_enum_match_arm, reason = "attributes and types of netlink are open-ended")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::{EEXIST, ESRCH, Link, Netlink, NetlinkError, PROTOCOL, refused, unless};

/// What a route of our table does with its destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// They go into the mesh, through the TUN device.
    Mesh,
    /// They are looked up in the tables after ours, the main one next.
    Throw,
    /// They are refused; behind a [`Kind::Mesh`] of the same prefix this counts only once the device is gone.
    Unreachable,
}

impl Kind {
    /// The lower wins. Each kind has its own, so that adding one never touches another of the same prefix.
    fn metric(self) -> u32 {
        match self {
            Self::Mesh => 1024,
            Self::Throw => 2048,
            Self::Unreachable => u32::MAX,
        }
    }

    fn of(route: &RouteMessage) -> Option<Self> {
        match route.header.kind {
            RouteType::Unicast => Some(Self::Mesh),
            RouteType::Throw => Some(Self::Throw),
            RouteType::Unreachable => Some(Self::Unreachable),
            _ => None,
        }
    }
}

/// A route of a table of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnRoute {
    /// The destinations.
    pub prefix: IpNet,
    /// What becomes of them.
    pub kind: Kind,
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainRoute {
    /// The destinations.
    pub prefix: IpNet,
    /// The number of the device that it leaves by; 0 where it leaves by none or by several.
    pub device: u32,
    via: Option<IpAddr>,
}

/// What is in a table of ours.
#[derive(Clone, Debug, Default)]
pub struct OwnTable {
    /// Our routes through the device that was asked about, and those without a device.
    pub routes: BTreeSet<OwnRoute>,
    /// Another device that routes of our kind go through: another gateway that runs.
    pub other_device: Option<u32>,
    /// Whether somebody else keeps routes in it.
    pub foreign: bool,
}

const MAIN: u32 = 254;

impl OwnTable {
    fn add(&mut self, route: &RouteMessage, device: u32) {
        let known = Kind::of(route).filter(|_| route.header.protocol == RouteProtocol::Other(PROTOCOL));
        match (known, MainRoute::parse(route)) {
            (Some(Kind::Mesh), Some(route)) if route.device != device => {
                self.other_device = Some(route.device)
            }
            (Some(kind), Some(route)) => {
                self.routes.insert(OwnRoute { prefix: route.prefix, kind });
            }
            (None, _) | (_, None) => self.foreign = true,
        }
    }
}

impl Netlink {
    /// The routes of the main table, both families, and what is in routing table `number`, as seen by the gateway of
    /// device `device`.
    pub async fn tables(&self, number: u32, device: u32) -> Result<(Vec<MainRoute>, OwnTable), NetlinkError> {
        let (mut main, mut own) = (Vec::new(), OwnTable::default());
        for route in self.routes().await? {
            match table(&route) {
                MAIN => main.extend(MainRoute::parse(&route)),
                of if of == number => own.add(&route, device),
                _ => {}
            }
        }
        Ok((main, own))
    }

    /// Adds a route to routing table `number`; fine where it is there.
    pub async fn add_route(&self, number: u32, link: &Link, route: OwnRoute) -> Result<(), NetlinkError> {
        let done = self.handle.route().add(message(number, link.index, route)).execute().await;
        unless(EEXIST, done).map_err(refused(&link.name, format!("route {}", route.prefix)))
    }

    /// Removes a route from routing table `number`; fine where it is not there. `device` is 0 where it has gone.
    pub async fn remove_route(&self, number: u32, device: u32, route: OwnRoute) -> Result<(), NetlinkError> {
        let done = self.handle.route().del(message(number, device, route)).execute().await;
        let action = format!("remove the route {}", route.prefix);
        unless(ESRCH, done).map_err(refused(&format!("table {number}"), action))
    }

    /// A route of the main table as `ip route` would put it.
    pub async fn describe(&self, route: &MainRoute) -> String {
        let mut text = String::new();
        if let Some(via) = route.via {
            write!(text, "via {via} ").expect("writing to a string does not fail");
        }
        match route.device {
            0 => text.push_str("as unreachable or to several next hops"),
            index => {
                text.push_str("dev ");
                text.push_str(&self.device_name(index).await);
            }
        }
        text
    }

    async fn routes(&self) -> Result<Vec<RouteMessage>, NetlinkError> {
        let mut all = Vec::new();
        let families =
            [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()];
        for family in families {
            let mut routes = pin!(self.handle.route().get(family).execute());
            while let Some(route) = routes.try_next().await.map_err(refused("host", "list routes".into()))? {
                all.push(route);
            }
        }
        Ok(all)
    }
}

impl MainRoute {
    /// A route through the device with number `device`.
    #[cfg(test)]
    pub(crate) fn new(prefix: IpNet, device: u32) -> Self {
        Self { prefix, device, via: None }
    }

    /// Whether its destinations are on the link of its device, as those of the device's own addresses are.
    pub fn is_connected(&self) -> bool {
        self.device != 0 && self.via.is_none() && self.prefix.prefix_len() > 0
    }

    fn parse(route: &RouteMessage) -> Option<Self> {
        // A default route carries no destination.
        let mut address: IpAddr = match route.header.address_family {
            AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
            AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let (mut device, mut via) = (0, None);
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Destination(destination) => address = ip(destination)?,
                RouteAttribute::Gateway(gateway) => via = ip(gateway),
                RouteAttribute::Oif(index) if Kind::of(route) == Some(Kind::Mesh) => device = *index,
                _ => {}
            }
        }
        let prefix = IpNet::new(address, route.header.destination_prefix_length).ok()?;
        Some(Self { prefix, device, via })
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

fn table(route: &RouteMessage) -> u32 {
    let number = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(number) => Some(*number),
        _ => None,
    });
    number.unwrap_or_else(|| route.header.table.into())
}

fn message(number: u32, device: u32, route: OwnRoute) -> RouteMessage {
    let builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.prefix.addr(), route.prefix.prefix_len())
        .expect("a prefix is not longer than its address")
        .table_id(number)
        .priority(route.kind.metric())
        .protocol(RouteProtocol::Other(PROTOCOL));
    match route.kind {
        Kind::Mesh => {
            let through = if device == 0 { builder } else { builder.output_interface(device) };
            // As `ip route add … dev` has it: without a next hop, IPv4 destinations count as on the link.
            let ipv4 = route.prefix.addr().is_ipv4();
            through.scope(if ipv4 { RouteScope::Link } else { RouteScope::Universe }).build()
        }
        Kind::Throw => builder.kind(RouteType::Throw).build(),
        Kind::Unreachable => builder.kind(RouteType::Unreachable).build(),
    }
}
