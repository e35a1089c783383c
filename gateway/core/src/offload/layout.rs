// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where the headers of a packet are: the facts that an offload request is measured by.

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice, TcpHeaderSlice, UdpHeaderSlice};

use super::OffloadError;
use super::checksum::Sum;

/// The longest packet, in bytes: what an IPv4 header can state, and what a TUN device hands over at most.
pub const MAX_PACKET: usize = 65_535;

const IPV4_MIN: usize = 20;
const IPV6_LEN: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// Byte of the checksum field within the header.
    pub(super) const fn checksum_offset(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }

    const fn protocol(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// The IP header of a packet whose stated length is its real one.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpLayout {
    network: Network,
    header_len: usize,
    protocol: IpNumber,
    fragment: bool,
}

impl IpLayout {
    pub(super) fn of(packet: &[u8]) -> Result<Self, OffloadError> {
        if packet.len() > MAX_PACKET {
            return Err(OffloadError::TooLong(packet.len()));
        }
        let (layout, stated) = match packet.first().ok_or(OffloadError::Truncated)? >> 4 {
            4 => Self::v4(packet)?,
            6 => Self::v6(packet)?,
            other => return Err(OffloadError::IpVersion(other)),
        };
        if stated != packet.len() {
            return Err(OffloadError::LengthMismatch { stated, actual: packet.len() });
        }
        Ok(layout)
    }

    fn v4(packet: &[u8]) -> Result<(Self, usize), OffloadError> {
        if packet.len() < IPV4_MIN {
            return Err(OffloadError::Truncated);
        }
        if packet[0] & 0x0f < 5 {
            return Err(OffloadError::IpHeaderLength);
        }
        let ip = Ipv4HeaderSlice::from_slice(packet).map_err(|_| OffloadError::Truncated)?;
        let layout = Self {
            network: Network::V4,
            header_len: ip.slice().len(),
            protocol: ip.protocol(),
            fragment: ip.is_fragmenting_payload(),
        };
        Ok((layout, usize::from(ip.total_len())))
    }

    fn v6(packet: &[u8]) -> Result<(Self, usize), OffloadError> {
        let ip = Ipv6HeaderSlice::from_slice(packet).map_err(|_| OffloadError::Truncated)?;
        let layout =
            Self { network: Network::V6, header_len: IPV6_LEN, protocol: ip.next_header(), fragment: false };
        Ok((layout, IPV6_LEN + usize::from(ip.payload_length())))
    }
}

/// The headers of a whole TCP segment or UDP datagram directly behind its IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) network: Network,
    pub(super) transport: Transport,
    /// Byte at which the TCP or UDP header starts.
    pub(super) transport_start: usize,
    /// Byte at which the payload starts.
    ///
    /// INVARIANT: not beyond the packet that this layout was made of, and at most `MAX_HEADERS`.
    pub(super) payload_start: usize,
}

impl Layout {
    pub(super) fn of(ip: IpLayout, packet: &[u8]) -> Result<Self, OffloadError> {
        if ip.fragment {
            return Err(OffloadError::Fragment);
        }
        let body = &packet[ip.header_len..];
        let (transport, header_len) = match ip.protocol {
            IpNumber::TCP => (Transport::Tcp, tcp_header_len(body)?),
            IpNumber::UDP => (Transport::Udp, udp_header_len(body)?),
            IpNumber(other) if ip.network == Network::V6 && ip.protocol.is_ipv6_ext_header_value() => {
                return Err(OffloadError::ExtensionHeader(other));
            }
            IpNumber(other) => return Err(OffloadError::Protocol(other)),
        };
        Ok(Self {
            network: ip.network,
            transport,
            transport_start: ip.header_len,
            payload_start: ip.header_len + header_len,
        })
    }

    /// Byte of the packet at which the checksum field is.
    pub(super) const fn checksum_field(&self) -> usize {
        self.transport_start + self.transport.checksum_offset()
    }

    /// Writes the complete checksum into `headers`, which end where the payload starts.
    pub(super) fn write_checksum(&self, headers: &mut [u8], payload: &[u8]) {
        let field = self.checksum_field();
        headers[field..field + 2].fill(0);
        let checksum = match (self.transport, self.sum(headers, payload).finish()) {
            // RFC 768: zero on the wire means that there is no checksum.
            (Transport::Udp, [0, 0]) => [0xff, 0xff],
            (Transport::Udp | Transport::Tcp, checksum) => checksum,
        };
        headers[field..field + 2].copy_from_slice(&checksum);
    }

    /// Pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1), transport header, payload.
    fn sum(&self, headers: &[u8], payload: &[u8]) -> Sum {
        let addresses = match self.network {
            Network::V4 => &headers[12..20],
            Network::V6 => &headers[8..40],
        };
        let transport = &headers[self.transport_start..];
        let length = u16::try_from(transport.len() + payload.len()).expect("a packet is below 64 KiB");
        let [high, low] = length.to_be_bytes();
        Sum::default()
            .add(addresses)
            .add(&[0, self.transport.protocol(), high, low])
            .add(transport)
            .add(payload)
    }
}

fn tcp_header_len(body: &[u8]) -> Result<usize, OffloadError> {
    let tcp = TcpHeaderSlice::from_slice(body).map_err(|_| OffloadError::TransportHeader)?;
    Ok(tcp.slice().len())
}

fn udp_header_len(body: &[u8]) -> Result<usize, OffloadError> {
    let udp = UdpHeaderSlice::from_slice(body).map_err(|_| OffloadError::TransportHeader)?;
    let stated = usize::from(udp.length());
    if stated != body.len() {
        return Err(OffloadError::UdpLength { stated, actual: body.len() });
    }
    Ok(udp.slice().len())
}
