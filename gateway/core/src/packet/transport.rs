// SPDX-License-Identifier: AGPL-3.0-or-later
//! The transport header, as far as the flow table needs it: ports, TCP flags, the kind of ICMP message.

use etherparse::{
    Icmpv4Slice, Icmpv6Slice, IpNumber, TcpHeaderSlice, UdpHeaderSlice, icmpv4, icmpv6, ip_number,
};

use crate::drop_reason::GatewayDrop;

/// Bytes of an ICMP header of either family before what the message carries.
pub(super) const ICMP_HEADER: usize = 8;

/// Bytes of a UDP header.
const UDP_HEADER: usize = 8;

/// What follows the IP headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP segment, or many in one super-packet.
    Tcp {
        /// The sender's port.
        source: u16,
        /// The recipient's port.
        destination: u16,
        /// The flags that open and close connections.
        flags: TcpFlags,
    },
    /// A UDP datagram, or many in one super-packet.
    Udp {
        /// The sender's port.
        source: u16,
        /// The recipient's port.
        destination: u16,
    },
    /// An ICMP echo request of either family.
    EchoRequest {
        /// The identifier that the requester chose.
        id: u16,
    },
    /// An ICMP echo reply of either family.
    EchoReply {
        /// The identifier of the request.
        id: u16,
    },
    /// An ICMP error of either family; see [`PacketInfo::quoted`](super::PacketInfo::quoted).
    IcmpError,
    /// Any other ICMP message, by its type; none of them crosses.
    OtherIcmp(u8),
    /// Any other protocol, known by its addresses only.
    Other,
    /// A later fragment: what it carries was said in the first.
    LaterFragment,
}

/// The TCP flags that matter to a flow (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags {
    /// Opens a connection.
    pub syn: bool,
    /// Answers something.
    pub ack: bool,
    /// The sender has no more data.
    pub fin: bool,
    /// Ends a connection at once.
    pub rst: bool,
}

impl TcpFlags {
    /// Whether a segment asks for a new connection.
    pub fn opens(self) -> bool {
        self.syn && !self.ack
    }
}

impl Transport {
    pub(super) fn read(protocol: u8, payload: &[u8]) -> Result<Self, GatewayDrop> {
        match IpNumber(protocol) {
            ip_number::TCP => read_tcp(payload),
            ip_number::UDP => {
                let header = UdpHeaderSlice::from_slice(payload).map_err(|_| GatewayDrop::BadTransport)?;
                Ok(Self::Udp { source: header.source_port(), destination: header.destination_port() })
            }
            ip_number::ICMP => read_icmp_v4(payload),
            ip_number::IPV6_ICMP => read_icmp_v6(payload),
            _ => Ok(Self::Other),
        }
    }

    /// Source and destination port as a [`Tuple`](super::Tuple) has them.
    pub(super) fn ports(self) -> Option<(u16, u16)> {
        match self {
            Self::Tcp { source, destination, .. } | Self::Udp { source, destination } => {
                Some((source, destination))
            }
            Self::EchoRequest { id } => Some((id, 0)),
            Self::EchoReply { id } => Some((0, id)),
            Self::Other => Some((0, 0)),
            Self::IcmpError | Self::OtherIcmp(_) | Self::LaterFragment => None,
        }
    }
}

/// Whether a whole datagram has the bytes that its UDP header tells, and that header tells itself; bytes behind are no
/// error (RFC 9868). Every other protocol leaves its length to IP.
pub(super) fn is_all_there(protocol: u8, payload: &[u8]) -> bool {
    if IpNumber(protocol) != ip_number::UDP {
        return true;
    }
    let told = payload.get(4..6).and_then(|length| length.first_chunk()).copied().map(u16::from_be_bytes);
    told.is_some_and(|told| (UDP_HEADER..=payload.len()).contains(&usize::from(told)))
}

/// The ports of a packet quoted by an ICMP error, of which 8 bytes are sure to be there (RFC 792).
pub(super) fn quoted_ports(protocol: u8, payload: &[u8]) -> Option<(u16, u16)> {
    if IpNumber(protocol) == ip_number::TCP {
        let (source, rest) = payload.split_first_chunk()?;
        let (destination, _) = rest.split_first_chunk()?;
        return Some((u16::from_be_bytes(*source), u16::from_be_bytes(*destination)));
    }
    Transport::read(protocol, payload).ok()?.ports()
}

fn read_tcp(payload: &[u8]) -> Result<Transport, GatewayDrop> {
    let header = TcpHeaderSlice::from_slice(payload).map_err(|_| GatewayDrop::BadTransport)?;
    let flags = TcpFlags { syn: header.syn(), ack: header.ack(), fin: header.fin(), rst: header.rst() };
    Ok(Transport::Tcp { source: header.source_port(), destination: header.destination_port(), flags })
}

fn read_icmp_v4(payload: &[u8]) -> Result<Transport, GatewayDrop> {
    let header = Icmpv4Slice::from_slice(payload).map_err(|_| GatewayDrop::BadTransport)?;
    let [first, second, ..] = header.bytes5to8();
    let id = u16::from_be_bytes([first, second]);
    Ok(match header.type_u8() {
        icmpv4::TYPE_ECHO_REQUEST => Transport::EchoRequest { id },
        icmpv4::TYPE_ECHO_REPLY => Transport::EchoReply { id },
        icmpv4::TYPE_DEST_UNREACH | icmpv4::TYPE_TIME_EXCEEDED | icmpv4::TYPE_PARAMETER_PROBLEM => {
            Transport::IcmpError
        }
        other => Transport::OtherIcmp(other),
    })
}

fn read_icmp_v6(payload: &[u8]) -> Result<Transport, GatewayDrop> {
    let header = Icmpv6Slice::from_slice(payload).map_err(|_| GatewayDrop::BadTransport)?;
    let [first, second, ..] = header.bytes5to8();
    let id = u16::from_be_bytes([first, second]);
    Ok(match header.type_u8() {
        icmpv6::TYPE_ECHO_REQUEST => Transport::EchoRequest { id },
        icmpv6::TYPE_ECHO_REPLY => Transport::EchoReply { id },
        icmpv6::TYPE_DST_UNREACH..=icmpv6::TYPE_PARAMETER_PROBLEM => Transport::IcmpError,
        other => Transport::OtherIcmp(other),
    })
}
