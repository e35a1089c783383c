// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why the host cannot be made as it was planned, in words that an operator can act on.

use std::io;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::netlink::NetlinkError;

/// Why the host cannot be made as it was planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The kernel's answer.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The prefix is routed elsewhere already.
    #[error(
        "{device}: cannot route {prefix}: it is routed {existing} already; remove that route or this one"
    )]
    RouteExists {
        /// Our device.
        device: String,
        /// The prefix.
        prefix: IpNet,
        /// The other route, as `ip route` would put it.
        existing: String,
    },
    /// Another gateway has routes in the table.
    #[error(
        "host.table = {table}: in use by the gateway of {device}; give this one a host.table and a host.priority of its own"
    )]
    TableInUse {
        /// The routing table.
        table: u32,
        /// The device of the other one.
        device: String,
    },
    /// Somebody else keeps routes in the table.
    #[error(
        "host.table = {0}: holds routes of another program; set host.table to an empty one (`ip route show table {0}`)"
    )]
    TableTaken(u32),
    /// A change that cannot be made while the daemon runs.
    #[error("{0}: cannot change while the gateway runs; restart it")]
    NeedsRestart(&'static str),
    /// The device's name cannot stand in a rule of nftables.
    #[error(
        "forward: tun.name = {0:?}: expected a name of letters, digits, '-', '_' and '.' where something is forwarded"
    )]
    DeviceName(String),
    /// The program that sets the filter and NAT of what is forwarded is not there.
    #[error(
        "forward: the program `nft` is not installed, and nothing is forwarded without a filter; install nftables"
    )]
    NoNft,
    /// That program fails.
    #[error("forward: nft failed: {0}")]
    Nft(String),
    /// The record of changes cannot be read or written.
    #[error("{path}: cannot {action} what was changed on the host: {error}")]
    Record {
        /// The file.
        path: PathBuf,
        /// "read" or "write".
        action: &'static str,
        /// What the system answered.
        error: io::Error,
    },
}
