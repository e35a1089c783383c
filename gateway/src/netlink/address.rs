// SPDX-License-Identifier: AGPL-3.0-or-later
//! Addresses of a device.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

use super::{EACCES, EEXIST, Link, Netlink, NetlinkError, errno, refused, unless};

impl Netlink {
    /// Adds an address, an IPv6 one usable at once, without duplicate address detection; fine where the device has it.
    pub async fn add_address(&self, link: &Link, prefix: IpNet) -> Result<(), NetlinkError> {
        let mut request = self.handle.address().add(link.index, prefix.addr(), prefix.prefix_len());
        *request.message_mut() = message(link.index, prefix);
        // The kernel says that it exists only about the same device.
        match unless(EEXIST, request.execute().await) {
            Err(error) if errno(&error) == Some(EACCES) && prefix.addr().is_ipv6() => {
                Err(NetlinkError::Ipv6Disabled { device: link.name.clone(), prefix })
            }
            done => done.map_err(refused(&link.name, format!("add the address {prefix}"))),
        }
    }

    /// Removes an address; fine where the device does not have it.
    pub async fn remove_address(&self, link: &Link, prefix: IpNet) -> Result<(), NetlinkError> {
        let done = self.handle.address().del(message(link.index, prefix)).execute().await;
        unless(nix::libc::EADDRNOTAVAIL, done)
            .map_err(refused(&link.name, format!("remove the address {prefix}")))
    }
}

fn message(index: u32, prefix: IpNet) -> AddressMessage {
    match prefix.addr() {
        IpAddr::V4(v4) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(v4, prefix.prefix_len()).build()
        }
        IpAddr::V6(v6) => {
            let builder = AddressMessageBuilder::<Ipv6Addr>::new().index(index);
            let mut message = builder.address(v6, prefix.prefix_len()).build();
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            message
        }
    }
}
