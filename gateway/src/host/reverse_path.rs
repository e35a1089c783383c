// SPDX-License-Identifier: AGPL-3.0-or-later
//! Strict reverse path filtering (RFC 3704) where it would drop what neighbours send us.
//!
//! The kernel asks for the way back without the mark of our sockets, so that a neighbour whose address the mesh covers seems to
//! come from the wrong side. The filter is the operator's; we only say what to type.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::Plan;
use crate::netlink::{MainRoute, Netlink};

/// What to tell the operator, one sentence for each interface with a strict filter in the way.
pub(super) async fn warnings(plan: &Plan, netlink: &Netlink, main: &[MainRoute]) -> Vec<String> {
    let mut words = Vec::new();
    for device in suspects(plan, main) {
        let name = netlink.device_name(device).await;
        if name != plan.device && is_strict(&name) {
            words.push(format!(
                "net/ipv4/conf/{name}/rp_filter = 1 drops what neighbours there send, since the mesh covers their \
                 addresses; please: sysctl -w net/ipv4/conf/{name}/rp_filter=2"
            ));
        }
    }
    words
}

/// The devices towards addresses outside that our prefixes cover: those of peers, and any where all of IPv4 goes into the mesh.
fn suspects(plan: &Plan, main: &[MainRoute]) -> Vec<u32> {
    let peers = plan.peers.iter().copied().filter(IpAddr::is_ipv4).map(IpNet::from);
    let all = IpNet::from(Ipv4Net::default());
    let anybody = plan.routing.prefixes.contains(&all).then_some(all);
    let mut devices: Vec<_> =
        peers.chain(anybody).filter_map(|outside| towards(plan, main, outside)).collect();
    devices.sort_unstable();
    devices.dedup();
    devices
}

/// The device by which the main table reaches `outside`, if one of our prefixes is at least as specific.
fn towards(plan: &Plan, main: &[MainRoute], outside: IpNet) -> Option<u32> {
    let around = |prefix: &IpNet| prefix.contains(&outside);
    let ours = plan.routing.prefixes.iter().filter(|prefix| around(prefix)).map(IpNet::prefix_len).max()?;
    let route =
        main.iter().filter(|route| around(&route.prefix)).max_by_key(|route| route.prefix.prefix_len())?;
    (route.prefix.prefix_len() <= ours && route.device != 0).then_some(route.device)
}

/// The kernel takes the larger of both; 2 is loose.
fn is_strict(device: &str) -> bool {
    let value = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"));
        text.ok().and_then(|text| text.trim().parse::<u8>().ok()).unwrap_or(0)
    };
    value("all").max(value(device)) == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Forward, Routing};

    fn suspects_of(prefixes: &[&str], peers: &[&str]) -> Vec<u32> {
        let routing = Routing {
            table: 7,
            priority: 7,
            mark: 7,
            prefixes: prefixes.iter().map(|text| text.parse().unwrap()).collect(),
            except: Vec::new(),
            close_other_family: true,
        };
        let plan = Plan {
            device: "mesh0".into(),
            mtu: 1420,
            addresses: Vec::new(),
            routing,
            forward: Forward::default(),
            peers: peers.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let main = [("0.0.0.0/0", 2), ("192.0.2.0/24", 3), ("::/0", 4)];
        let main = main.map(|(prefix, device)| MainRoute::new(prefix.parse().unwrap(), device));
        suspects(&plan, &main)
    }

    #[test]
    fn only_where_the_mesh_covers_who_answers_from_outside() {
        assert_eq!(suspects_of(&["10.0.0.0/8"], &["203.0.113.1", "2001:db8::1"]), [0; 0]);
        assert_eq!(suspects_of(&["203.0.113.0/24"], &["203.0.113.1"]), [2]);
        assert_eq!(suspects_of(&["203.0.113.0/24"], &[]), [0; 0], "nobody known is covered");
        assert_eq!(suspects_of(&["0.0.0.0/0"], &[]), [2], "anybody who dials us");
        assert_eq!(suspects_of(&["0.0.0.0/0"], &["192.0.2.9"]), [2], "the host's own network is longer");
        assert_eq!(suspects_of(&["192.0.2.0/25"], &["192.0.2.9"]), [3]);
    }
}
