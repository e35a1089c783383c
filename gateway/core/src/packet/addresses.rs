// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which addresses may stand in a packet that crosses the mesh.

use core::net::IpAddr;

use crate::drop_reason::GatewayDrop;

/// Refuses what no forwarded packet may carry (RFC 1812 section 5.3.7, RFC 4291 section 2.5, RFC 6890).
pub(super) fn check(source: IpAddr, destination: IpAddr) -> Result<(), GatewayDrop> {
    if destination.is_multicast() {
        return Err(GatewayDrop::Multicast);
    }
    if !may_cross(source) {
        return Err(GatewayDrop::MartianSource);
    }
    if !may_cross(destination) {
        return Err(GatewayDrop::MartianDestination);
    }
    Ok(())
}

/// Whether an address can belong to one host beyond the local link.
fn may_cross(address: IpAddr) -> bool {
    let unusual = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    !unusual
        && match address {
            // The rest of 0.0.0.0/8 means "this network" and 240.0.0.0/4 is reserved, with broadcast at its end.
            IpAddr::V4(v4) => !v4.is_link_local() && v4.octets()[0] != 0 && v4.octets()[0] < 240,
            IpAddr::V6(v6) => !v6.is_unicast_link_local() && v6.to_ipv4_mapped().is_none(),
        }
}
