// SPDX-License-Identifier: AGPL-3.0-or-later
//! The host's routes, and its switches for forwarding.

use std::fs;
use std::path::Path;

use crate::config::Config;
use crate::doctor::judge::forwarding::{Interface, Switches};
use crate::doctor::judge::routes::{HostRoute, Network, Taken};
use crate::host::find_nft;
use crate::netlink::{Netlink, NetlinkError};

/// Reads the routes; to be called in a runtime.
pub(super) async fn look(config: &Config) -> Result<Network, String> {
    read(config).await.map_err(|error| error.to_string())
}

async fn read(config: &Config) -> Result<Network, NetlinkError> {
    let netlink = Netlink::connect()?;
    let own = match netlink.link(config.tun.name.as_str()).await {
        Ok(link) => link.index,
        Err(NetlinkError::NoDevice(_)) => 0,
        Err(error) => return Err(error),
    };
    let (main, table) = netlink.tables(config.host.table, own).await?;
    let mut network = Network::default();
    for route in main.iter().filter(|route| own == 0 || route.device != own) {
        network.routes.push(HostRoute {
            prefix: route.prefix,
            device: netlink.device_name(route.device).await,
            connected: route.is_connected(),
            text: netlink.describe(route).await,
        });
    }
    network.table = match table.other_device {
        Some(device) => Taken::ByGateway(netlink.device_name(device).await),
        None if table.foreign => Taken::ByOther,
        None => Taken::No,
    };
    Ok(network)
}

/// Reads the switches.
pub(super) fn switches(config: &Config) -> Switches {
    let forward = &config.forward;
    let device = config.tun.name.as_str();
    let mut names: Vec<&str> =
        forward.interfaces.iter().chain(&forward.exit_interfaces).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    // Before a start there is none.
    names.extend(Some(device).filter(|device| exists(device)));
    Switches {
        interfaces: names.into_iter().map(interface).collect(),
        v6_all: switch("ipv6", "all", "forwarding"),
        nft: find_nft().is_some(),
    }
}

fn interface(name: &str) -> Interface {
    Interface {
        name: name.to_owned(),
        exists: exists(name),
        v4: switch("ipv4", name, "forwarding"),
        v6: switch("ipv6", name, "force_forwarding"),
        has_v6: fs::read_to_string("/proc/self/net/if_inet6").is_ok_and(|text| has_v6(&text, name)),
    }
}

/// Whether the kernel's list, of `ADDRESS INDEX PREFIX SCOPE FLAGS INTERFACE` in hexadecimal, has an address of this interface that
/// is more than link-local (scope 20).
fn has_v6(list: &str, interface: &str) -> bool {
    let words = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    words
        .into_iter()
        .any(|words| words.last() == Some(&interface) && words.get(3).is_some_and(|scope| *scope != "20"))
}

fn exists(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).exists()
        || Path::new("/proc/sys/net/ipv4/conf").join(interface).exists()
}

fn switch(family: &str, interface: &str, name: &str) -> Option<bool> {
    let text = fs::read_to_string(format!("/proc/sys/net/{family}/conf/{interface}/{name}")).ok()?;
    Some(text.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_addresses_are_no_way_out() {
        let list = "fe800000000000000000000000000001 02 40 20 80     eth0\n\
                    fd050000000000000000000000000001 03 40 00 80     lan0\n\
                    fe800000000000000000000000000002 03 40 20 80     lan0\n";
        for (interface, expected) in [("eth0", false), ("lan0", true), ("lan", false), ("80", false)] {
            assert_eq!(has_v6(list, interface), expected, "{interface}");
        }
        assert!(!has_v6("", "lan0"));
    }
}
