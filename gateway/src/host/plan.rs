// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the host is to look like.

use std::net::IpAddr;

use gateway_core::remotes::{OVERLAY_PREFIX, OVERLAY_PREFIX_LEN, overlay_address};
use ipnet::{IpNet, Ipv6Net};
use ratman_types::Address;

use super::HostError;
use crate::config::{Config, OtherFamily};
use crate::netlink::Rule;

/// What the host is to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The name of the TUN device, which must be there.
    pub device: String,
    /// Its MTU in bytes of IP packet.
    pub mtu: u16,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// What goes into the mesh.
    pub routing: Routing,
    /// What the host forwards.
    pub forward: Forward,
    /// Addresses at which peers are dialled, as far as the configuration has addresses: to warn of filters in their way.
    pub peers: Vec<IpAddr>,
}

/// What goes into the mesh, and how everything else is kept out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The number of our routing table.
    pub table: u32,
    /// The priority of the rules that look it up; below 32766, which is the main table's.
    pub priority: u32,
    /// The mark of our own sockets, to which these rules do not apply.
    pub mark: u32,
    /// The prefixes that are routed into the mesh.
    pub prefixes: Vec<IpNet>,
    /// Prefixes inside of those that are not.
    pub except: Vec<IpNet>,
    /// Whether all of IPv6 is unreachable where all of IPv4 goes into the mesh alone, and the other way round.
    pub close_other_family: bool,
}

/// What the host forwards between the mesh and other networks; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// Interfaces to the networks behind this gateway.
    pub interfaces: Vec<String>,
    /// Interfaces by which remotes may leave the mesh.
    pub exit_interfaces: Vec<String>,
    /// Whether hosts of `interfaces` have the device's address in the mesh.
    pub nat: bool,
    /// Whether remotes have the interface's address when they leave by one of `exit_interfaces`.
    pub exit_nat: bool,
}

impl Plan {
    /// What `config` asks for, on the gateway whose address is `own`.
    pub fn new(config: &Config, own: &Address) -> Self {
        let overlay = Ipv6Net::from(overlay_address(own));
        let overlay_prefix = Ipv6Net::new_assert(OVERLAY_PREFIX, OVERLAY_PREFIX_LEN);
        let host = &config.host;
        Self {
            device: config.tun.name.as_str().to_owned(),
            mtu: config.tun.mtu,
            addresses: config.tun.addresses.iter().copied().chain([overlay.into()]).collect(),
            routing: Routing {
                table: host.table,
                priority: host.priority,
                mark: host.mark,
                prefixes: config
                    .routes
                    .iter()
                    .map(|route| route.prefix)
                    .chain([overlay_prefix.into()])
                    .collect(),
                except: config.routes.iter().flat_map(|route| route.except.iter().copied()).collect(),
                close_other_family: host.other_family == OtherFamily::Unreachable,
            },
            forward: config.forward.clone(),
            peers: config.peers.iter().filter_map(|peer| peer.target.host().parse().ok()).collect(),
        }
    }

    /// Whether a running host can move to `new`: the device is open, and sockets bear the mark.
    pub(super) fn refuse_restart(&self, new: &Self) -> Result<(), HostError> {
        let changed = [
            ("tun.name", self.device != new.device),
            ("host.table", self.routing.table != new.routing.table),
            ("host.mark", self.routing.mark != new.routing.mark),
        ];
        match changed.into_iter().find(|(_, changed)| *changed) {
            Some((key, _)) => Err(HostError::NeedsRestart(key)),
            None => Ok(()),
        }
    }
}

impl Routing {
    /// The rule that leads to our table.
    pub(super) fn rule(&self) -> Rule {
        Rule { priority: self.priority, mark: self.mark, table: self.table }
    }
}

impl Forward {
    /// Whether nothing is forwarded.
    pub fn is_off(&self) -> bool {
        self.interfaces.is_empty() && self.exit_interfaces.is_empty()
    }

    /// All interfaces but the TUN device, each once.
    pub(super) fn all(&self) -> Vec<&str> {
        let mut all: Vec<_> =
            self.interfaces.iter().chain(&self.exit_interfaces).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
