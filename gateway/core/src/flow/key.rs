// SPDX-License-Identifier: AGPL-3.0-or-later
//! The 5-tuple of a flow, the same for packets of both directions.

use core::net::IpAddr;

use crate::packet::Tuple;

/// Both ends of a flow, seen from our side. For ICMP echo the port of the requester's end is the identifier and
/// the other 0; protocols without ports have 0 at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The IANA protocol number.
    pub protocol: u8,
    /// Address and port behind our TUN device.
    pub ours: (IpAddr, u16),
    /// Address and port behind the remote.
    pub theirs: (IpAddr, u16),
}

impl FlowKey {
    /// The flow of a packet that our side sends.
    pub fn sent(tuple: Tuple) -> Self {
        Self { protocol: tuple.protocol, ours: tuple.source, theirs: tuple.destination }
    }

    /// The flow of a packet that our side receives.
    pub fn received(tuple: Tuple) -> Self {
        Self { protocol: tuple.protocol, ours: tuple.destination, theirs: tuple.source }
    }
}
