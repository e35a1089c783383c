// SPDX-License-Identifier: AGPL-3.0-or-later
//! Interfaces that probes are attached to.

/// An interface of the network namespace in which the probes are attached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface {
    /// The kernel's number, which it keeps as long as it lives.
    pub index: u32,
    /// Its name now.
    pub name: String,
    /// What its packets begin with.
    pub layer: Layer,
}

/// What the packets of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// An Ethernet header: network cards, veth, bridges, VLANs, the loopback interface.
    Ethernet,
    /// The IP header: TUN devices, WireGuard, PPP, most tunnels.
    Ip,
}
