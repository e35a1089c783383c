// SPDX-License-Identifier: AGPL-3.0-or-later
//! IP packets, validated once: a [`PacketInfo`] exists only of a packet whose headers hold together, and all
//! later steps ask it instead of the bytes.
//!
//! Super-packets of the TUN device (up to 65 535 bytes, partial checksums) are packets like others: lengths are
//! checked, checksums are not. The applications' own stacks do that at the other end.

mod addresses;
mod ecn;
mod ip;
mod transport;

use core::net::IpAddr;

use crate::drop_reason::GatewayDrop;

pub use ecn::mark_congested;
pub use ip::Fragment;
pub use transport::{TcpFlags, Transport};

/// Which way a packet goes, seen from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From our TUN device to a remote.
    Outbound,
    /// From a remote to our TUN device.
    Inbound,
}

/// What the headers of one valid IP packet say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInfo {
    /// Who sent it; one host, never a group or the unspecified address.
    pub source: IpAddr,
    /// Whom it is for; of the same family as the source, one host.
    pub destination: IpAddr,
    /// The IANA protocol number of what follows the IP headers (in a later fragment: of the whole packet).
    pub protocol: u8,
    /// Hops that the packet may still take, 1–255.
    pub hop_limit: u8,
    /// Whether the packet is whole.
    pub fragment: Fragment,
    /// Bytes of IP header, options and extension headers before the payload.
    pub header_len: usize,
    /// The payload, as far as a firewall cares.
    pub transport: Transport,
}

/// Who talks to whom, as one packet says it: the 5-tuple in the direction of that packet.
///
/// ICMP echo has no ports: the requester's side carries the identifier, the other 0, so that a reply's tuple is
/// the reverse of its request's. Protocols without ports have 0 on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The IANA protocol number.
    pub protocol: u8,
    /// The sender's address and port.
    pub source: (IpAddr, u16),
    /// The recipient's address and port.
    pub destination: (IpAddr, u16),
}

impl PacketInfo {
    /// Validates an IP packet that fills `packet` exactly.
    ///
    /// # Errors
    /// The first thing that is wrong, as a [`GatewayDrop`]; never panics, whatever the bytes.
    pub fn parse(packet: &[u8]) -> Result<Self, GatewayDrop> {
        let headers = ip::Headers::read(packet)?;
        if headers.total_len != packet.len() {
            return Err(GatewayDrop::LengthMismatch);
        }
        if headers.hop_limit == 0 {
            return Err(GatewayDrop::HopLimitZero);
        }
        addresses::check(headers.source, headers.destination)?;
        let payload = &packet[headers.header_len..];
        headers.fragment.check(headers.protocol, payload.len())?;
        if headers.fragment == Fragment::Whole && !transport::is_all_there(headers.protocol, payload) {
            return Err(GatewayDrop::BadTransport);
        }
        let info = Self {
            source: headers.source,
            destination: headers.destination,
            protocol: headers.protocol,
            hop_limit: headers.hop_limit,
            fragment: headers.fragment,
            header_len: headers.header_len,
            transport: match headers.fragment {
                Fragment::Later { .. } => Transport::LaterFragment,
                Fragment::Whole | Fragment::First { .. } => Transport::read(headers.protocol, payload)?,
            },
        };
        if info.tuple().is_some_and(|tuple| tuple.source == tuple.destination) {
            return Err(GatewayDrop::Land);
        }
        Ok(info)
    }

    /// The 5-tuple, or `None` where a packet belongs to no flow of its own: later fragments, ICMP errors and the
    /// ICMP types that we do not carry.
    pub fn tuple(&self) -> Option<Tuple> {
        let (source, destination) = self.transport.ports()?;
        Some(Tuple {
            protocol: self.protocol,
            source: (self.source, source),
            destination: (self.destination, destination),
        })
    }

    /// The tuple of the packet that this ICMP error quotes, in the direction of the quoted packet.
    ///
    /// `packet` is the packet that `self` was parsed from. `None` if it is no ICMP error, or if what it quotes is
    /// cut too short to tell, a later fragment, or was not sent by the error's recipient (RFC 792, RFC 4443
    /// section 2.2: an error goes to the source of the packet it is about).
    pub fn quoted(&self, packet: &[u8]) -> Option<Tuple> {
        let Transport::IcmpError = self.transport else { return None };
        let quote = packet.get(self.header_len + transport::ICMP_HEADER..)?;
        let headers = ip::Headers::read(quote).ok()?;
        let payload = quote.get(headers.header_len..)?;
        if headers.source != self.destination || matches!(headers.fragment, Fragment::Later { .. }) {
            return None;
        }
        let (source, destination) = transport::quoted_ports(headers.protocol, payload)?;
        Some(Tuple {
            protocol: headers.protocol,
            source: (headers.source, source),
            destination: (headers.destination, destination),
        })
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
