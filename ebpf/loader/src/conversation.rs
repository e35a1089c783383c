// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whose packets are counted.

use std::net::{IpAddr, SocketAddr};

use ebpf_abi::{TCP, UDP};

/// One conversation below a hop, on the interface that it crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The kernel's number of the interface.
    pub interface: u32,
    /// Our end. Unspecified addresses match no packet.
    pub local: SocketAddr,
    /// The neighbour's end.
    pub remote: SocketAddr,
    /// The number of the protocol (source: IANA); ports count for TCP and UDP only. Round trips are measured of TCP.
    pub protocol: u8,
}

impl Conversation {
    /// The key in the maps.
    pub(crate) fn key(&self) -> ebpf_abi::Conversation {
        let ports = matches!(self.protocol, TCP | UDP);
        ebpf_abi::Conversation {
            local: octets(self.local.ip()),
            remote: octets(self.remote.ip()),
            interface: self.interface,
            local_port: if ports { self.local.port() } else { 0 },
            remote_port: if ports { self.remote.port() } else { 0 },
            protocol: self.protocol,
            zero: [0; 3],
        }
    }
}

/// IPv4 addresses are mapped; a socket for both families shows them so already.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(local: &str, remote: &str, protocol: u8) -> Conversation {
        let address = |text: &str| text.parse().unwrap();
        Conversation { interface: 3, local: address(local), remote: address(remote), protocol }
    }

    #[test]
    fn a_socket_for_both_families_has_the_same_key() {
        let plain = conversation("192.0.2.1:9000", "192.0.2.2:4000", TCP);
        let both = conversation("[::ffff:192.0.2.1]:9000", "[::ffff:192.0.2.2]:4000", TCP);
        assert_eq!(plain.key(), both.key());
        let key = plain.key();
        assert_eq!((key.local_port, key.remote_port, key.interface, key.zero), (9000, 4000, 3, [0; 3]));
    }

    #[test]
    fn protocols_without_ports_have_none() {
        let key = conversation("[fe80::1]:1", "[fe80::2]:2", 58).key();
        assert_eq!((key.local_port, key.remote_port, key.protocol), (0, 0, 58));
    }
}
