// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which interface a conversation crosses: the kernel is asked for the route of its packets.
#![allow(clippy::wildcard_enum_match_arm, reason = "attributes of netlink are open-ended")]

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{LinkAttribute, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::interface::{Interface, Layer};

/// Why it is not known which interface a conversation crosses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// There is no route, or it leads nowhere.
    #[error("no route to {remote}: {error}")]
    NoRoute {
        /// The neighbour's end.
        remote: SocketAddr,
        /// What the kernel answered.
        error: rtnetlink::Error,
    },
    /// The interface has gone since.
    #[error("the interface of the route to {0} has gone")]
    Gone(SocketAddr),
    /// Packets of this interface begin with a header that the probes do not know.
    #[error("interface {name}: the probes do not know packets of link type {kind}")]
    UnknownLayer {
        /// The interface.
        name: String,
        /// The type (source: `ARPHRD_` in linux/if_arp.h).
        kind: u16,
    },
}

/// The interface that packets from `local` to `remote` leave by, if their socket bears this mark (0 for none), and which
/// answers are taken to come in by. Ports do not matter.
///
/// To be asked again whenever a route, an address or an interface changed.
///
/// # Errors
/// Every variant of [`RouteError`].
pub async fn interface_of(
    netlink: &Handle,
    local: SocketAddr,
    remote: SocketAddr,
    mark: u32,
) -> Result<Interface, RouteError> {
    let index = match link_scope(remote) {
        Some(index) => index,
        None => output_interface(netlink, local, remote, mark).await?,
    };
    let mut links = pin!(netlink.link().get().match_index(index).execute());
    match links.try_next().await {
        Ok(Some(link)) => interface(&link),
        Ok(None) | Err(_) => Err(RouteError::Gone(remote)),
    }
}

/// The interface that an address names itself: link-local ones mean something on one interface only.
fn link_scope(remote: SocketAddr) -> Option<u32> {
    match remote {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(v6.scope_id()),
        SocketAddr::V6(_) | SocketAddr::V4(_) => None,
    }
}

async fn output_interface(
    netlink: &Handle,
    local: SocketAddr,
    remote: SocketAddr,
    mark: u32,
) -> Result<u32, RouteError> {
    let mut routes = pin!(netlink.route().get(question(local, remote, mark)).execute());
    let route = routes.try_next().await.map_err(|error| RouteError::NoRoute { remote, error })?;
    let attributes = route.into_iter().flat_map(|route| route.attributes);
    let output = attributes.into_iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(index),
        _ => None,
    });
    output.ok_or(RouteError::NoRoute { remote, error: rtnetlink::Error::RequestFailed })
}

/// As `ip route get REMOTE from LOCAL mark MARK` would ask.
fn question(local: SocketAddr, remote: SocketAddr, mark: u32) -> RouteMessage {
    let (local, remote) = (local.ip().to_canonical(), remote.ip().to_canonical());
    let full = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(remote, full(remote))
        .expect("a prefix as long as its address");
    if !local.is_unspecified() && local.is_ipv4() == remote.is_ipv4() {
        builder = builder.source_prefix(local, full(local)).expect("a prefix as long as its address");
    }
    let mut message = builder.build();
    if mark != 0 {
        message.attributes.push(RouteAttribute::Mark(mark));
    }
    message
}

fn interface(link: &LinkMessage) -> Result<Interface, RouteError> {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    let name = name.unwrap_or_default();
    let layer = match link.header.link_layer_type {
        LinkLayerType::Ether | LinkLayerType::Loopback => Layer::Ethernet,
        LinkLayerType::None
        | LinkLayerType::Ppp
        | LinkLayerType::Rawip
        | LinkLayerType::Tunnel
        | LinkLayerType::Tunnel6
        | LinkLayerType::Sit
        | LinkLayerType::Ipgre
        | LinkLayerType::Ip6gre => Layer::Ip,
        other => return Err(RouteError::UnknownLayer { name, kind: other.into() }),
    };
    Ok(Interface { index: link.header.index, name, layer })
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::AddressFamily;

    use super::*;

    fn asked(local: &str, remote: &str, mark: u32) -> RouteMessage {
        question(local.parse().unwrap(), remote.parse().unwrap(), mark)
    }

    #[test]
    fn asks_for_both_ends_and_the_mark() {
        let message = asked("192.0.2.1:0", "[::ffff:192.0.2.2]:9000", 7);
        assert_eq!(message.header.address_family, AddressFamily::Inet);
        let lengths = (message.header.source_prefix_length, message.header.destination_prefix_length);
        assert_eq!(lengths, (32, 32));
        assert!(message.attributes.contains(&RouteAttribute::Mark(7)), "{message:?}");
    }

    #[test]
    fn leaves_out_what_is_not_known() {
        let message = asked("[::]:9000", "[2001:db8::1]:9000", 0);
        assert_eq!(message.header.source_prefix_length, 0);
        assert_eq!(message.attributes.len(), 1, "{message:?}");
    }

    #[test]
    fn a_link_local_address_names_its_interface() {
        assert_eq!(link_scope("[fe80::1%4]:9000".parse().unwrap()), Some(4));
        assert_eq!(link_scope("[2001:db8::1]:9000".parse().unwrap()), None);
        assert_eq!(link_scope("192.0.2.1:1".parse().unwrap()), None);
    }

    #[test]
    fn what_packets_begin_with_follows_from_the_link_type() {
        let mut link = LinkMessage::default();
        link.attributes.push(LinkAttribute::IfName("x0".into()));
        let mut layer = |kind| {
            link.header.link_layer_type = kind;
            interface(&link).map(|interface| interface.layer)
        };
        assert_eq!(layer(LinkLayerType::Ether).unwrap(), Layer::Ethernet);
        assert_eq!(layer(LinkLayerType::None).unwrap(), Layer::Ip);
        let unknown = layer(LinkLayerType::Ieee80211).unwrap_err();
        assert!(unknown.to_string().contains("x0"), "{unknown}");
    }
}
