// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which route is in the way of ours, in words that an operator can look for.
#![allow(clippy::wildcard_enum_match_arm, reason = "messages and attributes of netlink are open-ended")]

use std::fmt::Write;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder};

/// A route of the main table.
pub(super) struct Existing {
    /// The index of the device that it leaves by, 0 if none.
    pub(super) device: u32,
    /// Such as "via 192.0.2.1 dev eth0".
    pub(super) text: String,
}

/// The route of the main table for exactly `prefix`.
pub(super) async fn find(handle: &Handle, prefix: IpNet) -> Result<Option<Existing>, rtnetlink::Error> {
    let all = match prefix.addr() {
        IpAddr::V4(_) => RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        IpAddr::V6(_) => RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    };
    let mut routes = std::pin::pin!(handle.route().get(all).execute());
    let mut found = None;
    while let Some(route) = routes.try_next().await? {
        if found.is_none() && is_for(&route, prefix) {
            found = Some(route);
        }
    }
    match found {
        Some(route) => describe(handle, &route).await.map(Some),
        None => Ok(None),
    }
}

fn is_for(route: &RouteMessage, prefix: IpNet) -> bool {
    let destination = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => Some(address.clone()),
        _ => None,
    });
    // A default route carries no destination.
    let same =
        destination.map_or(prefix.prefix_len() == 0, |address| address == RouteAddress::from(prefix.addr()));
    route.header.table == RouteHeader::RT_TABLE_MAIN
        && route.header.destination_prefix_length == prefix.prefix_len()
        && same
}

async fn describe(handle: &Handle, route: &RouteMessage) -> Result<Existing, rtnetlink::Error> {
    let mut existing = Existing { device: 0, text: String::new() };
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(via)) => write!(existing.text, "via {via} "),
            RouteAttribute::Gateway(RouteAddress::Inet6(via)) => write!(existing.text, "via {via} "),
            RouteAttribute::Oif(index) => {
                existing.device = *index;
                Ok(())
            }
            _ => Ok(()),
        }
        .expect("writing to a string does not fail");
    }
    if existing.device == 0 {
        existing.text.push_str("as unreachable or to several next hops");
    } else {
        existing.text.push_str("dev ");
        existing.text.push_str(&name_of(handle, existing.device).await?);
    }
    Ok(existing)
}

async fn name_of(handle: &Handle, index: u32) -> Result<String, rtnetlink::Error> {
    let mut links = std::pin::pin!(handle.link().get().match_index(index).execute());
    let link = links.try_next().await?;
    let name = link.into_iter().flat_map(|link| link.attributes).find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name),
        _ => None,
    });
    Ok(name.unwrap_or_else(|| format!("number {index}")))
}
