// SPDX-License-Identifier: AGPL-3.0-or-later
//! What lies below a hop, where the kernel can see it.

use std::net::SocketAddr;

/// The number of a protocol above IP (source: IANA, assigned internet protocol numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
}

/// The one conversation that carries a hop; IPv4 addresses as such, never mapped into IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Underlay {
    /// Our end.
    pub local: SocketAddr,
    /// The neighbour's end.
    pub remote: SocketAddr,
    /// What both speak.
    pub protocol: IpProtocol,
}
