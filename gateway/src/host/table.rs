// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is in our routing table, so that the longest prefix wins across it and the main table, although ours is asked first.
//!
//! Every prefix of the mesh has a route through the device, and an unreachable one behind it that counts once the device is
//! gone. Every route of the main table that is more specific than ours has a throw route, which sends the search on to
//! the main table; so have excepted prefixes, and multicast, which belongs to the link. Where all of one family goes
//! into the mesh, the other one is unreachable beyond what the main table knows better than by default.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Routing;
use crate::netlink::{Kind, MainRoute, OwnRoute};

/// More specific routes of the host than this come from a routing daemon with the Internet's table, and each has its twin
/// in ours; the widest prefixes are kept.
pub(super) const MAX_THROWS: usize = 4096;

/// IPv4 destinations that never leave the link: multicast, and the broadcast of hosts without an address.
const LINK_V4: [Ipv4Net; 2] =
    [Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4), Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32)];

/// All that is assigned for IPv6 in the Internet (RFC 4291): as good as a default route.
const GLOBAL_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What our table has to hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) routes: BTreeSet<OwnRoute>,
    /// Routes of the host beyond [`MAX_THROWS`].
    pub(super) left_out: usize,
}

/// What our table has to hold beside the routes of the main table; `device` is the number of the TUN device.
pub(super) fn wanted(routing: &Routing, main: &[MainRoute], device: u32) -> Wanted {
    let mut table: BTreeMap<IpNet, Kind> =
        closed(routing).map(|prefix| (prefix, Kind::Unreachable)).collect();
    table.extend(routing.prefixes.iter().map(|prefix| (*prefix, Kind::Mesh)));
    let (mut throws, mut left_out) = (0, 0);
    for (prefix, kind) in by_length(candidates(routing, main, device)) {
        if table.contains_key(&prefix) || !changes(longest_around(&table, prefix), kind) {
            continue;
        }
        if throws == MAX_THROWS {
            left_out += 1;
            continue;
        }
        throws += 1;
        table.insert(prefix, kind);
    }
    let mut routes: BTreeSet<_> =
        table.iter().map(|(prefix, kind)| OwnRoute { prefix: *prefix, kind: *kind }).collect();
    let meshed = table.iter().filter(|(_, kind)| **kind == Kind::Mesh);
    routes.extend(meshed.map(|(prefix, _)| OwnRoute { prefix: *prefix, kind: Kind::Unreachable }));
    Wanted { routes, left_out }
}

/// Routes of the main table for exactly one of our prefixes, which no longest prefix decides; a default route of the host's
/// is none, since ours is meant to be asked instead.
pub(super) fn conflicts<'a>(
    routing: &'a Routing,
    main: &'a [MainRoute],
    device: u32,
) -> impl Iterator<Item = &'a MainRoute> {
    main.iter().filter(move |route| {
        route.device != device && route.prefix.prefix_len() > 0 && routing.prefixes.contains(&route.prefix)
    })
}

/// The default route of the family that has to be unreachable because the other goes into the mesh as a whole.
fn closed(routing: &Routing) -> impl Iterator<Item = IpNet> + use<> {
    let (v4, v6) = (IpNet::from(Ipv4Net::default()), IpNet::from(Ipv6Net::default()));
    let whole = IpNet::aggregate(&routing.prefixes);
    let v4_whole = whole.contains(&v4);
    let v6_whole = whole.iter().any(|prefix| prefix.contains(&IpNet::from(GLOBAL_V6)));
    let closed = match (v4_whole, v6_whole) {
        (true, false) => Some(v6),
        (false, true) => Some(v4),
        (true, true) | (false, false) => None,
    };
    closed.filter(|_| routing.close_other_family).into_iter()
}

/// What may have to be kept out of the mesh, and the networks of the device itself, which may have to be kept in.
fn candidates(routing: &Routing, main: &[MainRoute], device: u32) -> BTreeMap<IpNet, Kind> {
    let mut kinds = BTreeMap::new();
    for route in main {
        // Link-local networks are on every device, ours among them.
        let own = route.device == device && !is_link_local(route.prefix);
        if own {
            kinds.entry(route.prefix).or_insert(Kind::Mesh);
        } else {
            kinds.insert(route.prefix, Kind::Throw);
        }
    }
    let kept_out = routing.except.iter().copied().chain(LINK_V4.map(IpNet::from));
    kinds.extend(kept_out.map(|prefix| (prefix, Kind::Throw)));
    kinds
}

fn is_link_local(prefix: IpNet) -> bool {
    match prefix {
        IpNet::V4(v4) => v4.addr().is_link_local(),
        IpNet::V6(v6) => v6.addr().is_unicast_link_local(),
    }
}

/// The shortest first, so that each finds the table as it is around it.
fn by_length(kinds: BTreeMap<IpNet, Kind>) -> Vec<(IpNet, Kind)> {
    let mut sorted: Vec<_> = kinds.into_iter().collect();
    sorted.sort_by_key(|(prefix, _)| prefix.prefix_len());
    sorted
}

/// Whether a route of `kind` does other than what is around it; outside of our prefixes nothing is ours to decide.
fn changes(around: Option<Kind>, kind: Kind) -> bool {
    match (around, kind) {
        (Some(Kind::Mesh | Kind::Unreachable), Kind::Throw) | (Some(Kind::Unreachable), Kind::Mesh) => true,
        (None | Some(Kind::Throw), _) | (Some(Kind::Mesh), Kind::Mesh) | (_, Kind::Unreachable) => false,
    }
}

/// The kind of the longest prefix in `table` that lies around `prefix`.
fn longest_around(table: &BTreeMap<IpNet, Kind>, prefix: IpNet) -> Option<Kind> {
    std::iter::successors(prefix.supernet(), IpNet::supernet).find_map(|wider| table.get(&wider).copied())
}

#[cfg(test)]
mod tests;
