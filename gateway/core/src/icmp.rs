// SPDX-License-Identifier: AGPL-3.0-or-later
//! ICMP errors, so that an application whose packet cannot go learns it at once instead of waiting: destination
//! unreachable (RFC 792 and RFC 1812 section 4.3.2 for IPv4, RFC 4443 section 3.1 for IPv6), and too big (RFC 1191
//! section 4, RFC 4443 section 3.2).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::icmpv6::DestUnreachableCode;
use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpDscp, IpEcn, IpFragOffset, Ipv4Header, Ipv4Options,
    Ipv6FlowLabel, Ipv6Header, ip_number,
};
use ratman_types::Timestamp;

use crate::drop_reason::GatewayDrop;
use crate::offload::{Segments, VirtioNetHeader};
use crate::packet::{PacketInfo, Transport};

/// The longest answer, in bytes: the smallest MTU of IPv6, which an ICMPv6 error must not exceed (RFC 4443
/// section 2.4 c).
pub const MAX_ANSWER: usize = 1280;

/// The longest answer over IPv4, in bytes (RFC 1812 section 4.3.2.3).
const MAX_ANSWER_V4: usize = 576;

/// Bytes before the quote.
const HEADERS_V4: usize = Ipv4Header::MIN_LEN + Icmpv4Header::MIN_LEN;
const HEADERS_V6: usize = Ipv6Header::LEN + Icmpv6Header::MIN_LEN;

/// One answer in this time on average: 100 a second, enough for every application on a host to hear of its dead
/// destinations (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f leave the rate to us).
const INTERVAL: Duration = Duration::from_millis(10);

/// Answers that may come at once after a quiet time: a browser that opens many connections.
const BURST: u32 = 50;

/// Hops that an answer may take; it only crosses our own TUN device, and the host behind it may forward it.
const HOP_LIMIT: u8 = 64;

/// Internetwork control, the precedence of ICMP errors (RFC 1812 section 4.3.2.5).
const DSCP_CONTROL: IpDscp = IpDscp::CS6;

/// Why a destination cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No prefix and no known overlay address: IPv4 code 0, IPv6 code 0.
    NoRoute,
    /// The remote is known but no route or session to it came up: IPv4 code 1, IPv6 code 3.
    Remote,
}

/// Builds the answers and keeps their rate.
///
/// An answer has the unreachable destination itself as its source. Linux drops what comes in by a device with one of the
/// host's own IPv4 addresses as its source, whoever it is for, so that nobody would learn anything from the TUN's.
#[derive(Debug, Default)]
pub struct IcmpAnswers {
    bucket: Bucket,
}

impl IcmpAnswers {
    /// Writes the answer about `packet`, which came from our TUN device and goes back into it without
    /// segmentation metadata; returns its length.
    ///
    /// # Errors
    /// What is wrong with the packet; [`IcmpForbidden`](GatewayDrop::IcmpForbidden) about ICMP errors, redirects
    /// and other unknown ICMP, and later fragments (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e; groups and
    /// martians are no valid packets); [`IcmpLimited`](GatewayDrop::IcmpLimited).
    pub fn unreachable(
        &mut self,
        packet: &[u8],
        why: Unreachable,
        now: Timestamp,
        answer: &mut [u8; MAX_ANSWER],
    ) -> Result<usize, GatewayDrop> {
        let v4 = match why {
            Unreachable::NoRoute => DestUnreachableHeader::Network,
            Unreachable::Remote => DestUnreachableHeader::Host,
        };
        let v6 = match why {
            Unreachable::NoRoute => DestUnreachableCode::NoRoute,
            Unreachable::Remote => DestUnreachableCode::Address,
        };
        let kinds = (Icmpv4Type::DestinationUnreachable(v4), Icmpv6Type::DestinationUnreachable(v6));
        let exchange = self.begin(packet, now)?;
        Ok(write(exchange, kinds, [packet, &[]], answer))
    }

    /// Writes the answer that says that `packet` must not be longer than `mtu` bytes; otherwise like
    /// [`unreachable`](Self::unreachable), from the same bucket.
    ///
    /// `header` came with the packet. Of a super-packet the first segment is quoted, of a packet with a partial checksum
    /// the packet with a complete one: what would have been on the wire, which is how the sender's stack knows it.
    ///
    /// # Errors
    /// As of [`unreachable`](Self::unreachable).
    pub fn too_big(
        &mut self,
        header: &VirtioNetHeader,
        packet: &[u8],
        mtu: u16,
        now: Timestamp,
        answer: &mut [u8; MAX_ANSWER],
    ) -> Result<usize, GatewayDrop> {
        let v4 = DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
        let kinds =
            (Icmpv4Type::DestinationUnreachable(v4), Icmpv6Type::PacketTooBig { mtu: u32::from(mtu) });
        let exchange = self.begin(packet, now)?;
        let mut segments = Segments::new(header, packet).ok();
        let quote = match segments.as_mut().and_then(Segments::next_segment) {
            Some(segment) => [segment.headers, segment.payload],
            None => [packet, &[]],
        };
        Ok(write(exchange, kinds, quote, answer))
    }

    /// Who answers whom, if the packet may be answered and the rate allows it.
    fn begin(&mut self, packet: &[u8], now: Timestamp) -> Result<Exchange, GatewayDrop> {
        let info = PacketInfo::parse(packet)?;
        if !may_be_answered(info.transport) {
            return Err(GatewayDrop::IcmpForbidden);
        }
        let exchange = match (info.destination, info.source) {
            (IpAddr::V4(source), IpAddr::V4(asker)) => Exchange::V4 { source, asker },
            (IpAddr::V6(source), IpAddr::V6(asker)) => Exchange::V6 { source, asker },
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(GatewayDrop::IcmpForbidden);
            }
        };
        self.bucket.take(now)?;
        Ok(exchange)
    }
}

/// Between whom an answer goes.
#[derive(Clone, Copy, Debug)]
enum Exchange {
    V4 { source: Ipv4Addr, asker: Ipv4Addr },
    V6 { source: Ipv6Addr, asker: Ipv6Addr },
}

fn may_be_answered(transport: Transport) -> bool {
    match transport {
        Transport::IcmpError | Transport::OtherIcmp(_) | Transport::LaterFragment => false,
        Transport::Tcp { .. }
        | Transport::Udp { .. }
        | Transport::EchoRequest { .. }
        | Transport::EchoReply { .. }
        | Transport::Other => true,
    }
}

/// Writes the answer with as much of the quote's parts as it may hold; returns its length.
fn write(
    exchange: Exchange,
    (v4, v6): (Icmpv4Type, Icmpv6Type),
    quote: [&[u8]; 2],
    answer: &mut [u8; MAX_ANSWER],
) -> usize {
    match exchange {
        Exchange::V4 { source, asker } => {
            let (headers, space) = answer[..MAX_ANSWER_V4].split_at_mut(HEADERS_V4);
            let quote = fill(space, quote);
            write_v4(source, asker, v4, quote, headers);
            HEADERS_V4 + quote.len()
        }
        Exchange::V6 { source, asker } => {
            let (headers, space) = answer.split_at_mut(HEADERS_V6);
            let quote = fill(space, quote);
            write_v6(source, asker, v6, quote, headers);
            HEADERS_V6 + quote.len()
        }
    }
}

fn write_v4(source: Ipv4Addr, asker: Ipv4Addr, kind: Icmpv4Type, quote: &[u8], headers: &mut [u8]) {
    let icmp = Icmpv4Header::with_checksum(kind, quote).to_bytes();
    let mut header = Ipv4Header {
        dscp: DSCP_CONTROL,
        ecn: IpEcn::default(),
        total_len: u16::try_from(HEADERS_V4 + quote.len()).expect("at most 576"),
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: IpFragOffset::ZERO,
        time_to_live: HOP_LIMIT,
        protocol: ip_number::ICMP,
        header_checksum: 0,
        source: source.octets(),
        destination: asker.octets(),
        options: Ipv4Options::new(),
    };
    header.header_checksum = header.calc_header_checksum();
    fill(headers, [&header.to_bytes(), &icmp]);
}

fn write_v6(source: Ipv6Addr, asker: Ipv6Addr, kind: Icmpv6Type, quote: &[u8], headers: &mut [u8]) {
    let (source, destination) = (source.octets(), asker.octets());
    let icmp = Icmpv6Header::with_checksum(kind, source, destination, quote)
        .expect("a quote of at most 1232 bytes has a length field")
        .to_bytes();
    let header = Ipv6Header {
        traffic_class: DSCP_CONTROL.value() << 2,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: u16::try_from(icmp.len() + quote.len()).expect("at most 1240"),
        next_header: ip_number::IPV6_ICMP,
        hop_limit: HOP_LIMIT,
        source,
        destination,
    };
    fill(headers, [&header.to_bytes(), &icmp]);
}

/// Writes as much of both parts as there is space for; returns what was written.
fn fill<'a>(space: &'a mut [u8], parts: [&[u8]; 2]) -> &'a [u8] {
    let mut len = 0;
    for part in parts {
        let part = &part[..part.len().min(space.len() - len)];
        space[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    &space[..len]
}

/// A token bucket, kept as the time at which it will be full again.
#[derive(Debug, Default)]
struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    fn take(&mut self, now: Timestamp) -> Result<(), GatewayDrop> {
        let full_at = self.full_at.max(now) + INTERVAL;
        if full_at.since(now) > INTERVAL * BURST {
            return Err(GatewayDrop::IcmpLimited);
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
