// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is ours at the TUN device: its addresses, and the broadcast addresses of their subnets.

use core::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::drop_reason::GatewayDrop;
use crate::packet::PacketInfo;

/// The longest prefix with a broadcast address: of the two addresses of a /31 both are hosts (RFC 3021 section 2.2).
const LONGEST_WITH_BROADCAST: u8 = 30;

/// The addresses of our side of the device.
#[derive(Debug)]
pub(super) struct Local {
    addresses: Vec<IpAddr>,
    broadcast: Vec<Ipv4Addr>,
}

impl Local {
    /// Each address with the prefix length of its subnet.
    pub(super) fn new(addresses: &[IpNet]) -> Self {
        let subnets = addresses.iter().filter_map(|address| match address {
            IpNet::V4(v4) if v4.prefix_len() <= LONGEST_WITH_BROADCAST => Some(v4),
            IpNet::V4(_) | IpNet::V6(_) => None,
        });
        let broadcast = subnets.map(Ipv4Net::broadcast).collect();
        Self { addresses: addresses.iter().map(IpNet::addr).collect(), broadcast }
    }

    /// Our own addresses.
    pub(super) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Refuses a packet to all of a subnet of ours or from it: whoever forwards into a subnet must not broadcast there
    /// (RFC 2644), and nobody may send in its name (RFC 1812 section 5.3.7).
    pub(super) fn check(&self, info: &PacketInfo) -> Result<(), GatewayDrop> {
        if self.is_broadcast(info.source) {
            return Err(GatewayDrop::MartianSource);
        }
        if self.is_broadcast(info.destination) {
            return Err(GatewayDrop::MartianDestination);
        }
        Ok(())
    }

    fn is_broadcast(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.broadcast.contains(&v4),
            IpAddr::V6(_) => false,
        }
    }
}
