// SPDX-License-Identifier: AGPL-3.0-or-later
//! The IP headers of a packet or of the quote in an ICMP error: IPv4 with options, IPv6 with extension headers.

use core::net::IpAddr;

use etherparse::{
    IpNumber, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, ip_number,
};

use crate::drop_reason::GatewayDrop;

/// How many IPv6 extension headers we follow. RFC 8504 section 5.3 allows a limit; each kind may occur once, and
/// destination options twice, so an honest chain has at most four of those that we follow.
const MAX_EXTENSIONS: usize = 6;

/// IPv4 options that choose the route: loose and strict (RFC 791).
const SOURCE_ROUTE_OPTIONS: [u8; 2] = [131, 137];

/// Bytes before which no later fragment of a TCP packet may begin: its header of 20 bytes, in units of 8.
const TCP_HEADER_UNITS: usize = 24;

/// Which part of a packet this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it (or an "atomic" fragment, RFC 6946).
    Whole,
    /// Its beginning; the identification is shared by all fragments of one packet.
    First {
        /// The identification, 16 bits in IPv4 and 32 in IPv6.
        id: u32,
    },
    /// A later part, without a transport header.
    Later {
        /// The identification, as in the first fragment.
        id: u32,
        /// Where it belongs, in bytes of the payload; a multiple of 8, at least 8.
        offset: usize,
    },
}

impl Fragment {
    fn new(id: u32, offset: usize, more: bool) -> Self {
        match (offset, more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First { id },
            (offset, _) => Self::Later { id, offset },
        }
    }

    /// Refuses a later fragment that would reach beyond an IP packet or overwrite a TCP header.
    pub(super) fn check(self, protocol: u8, len: usize) -> Result<(), GatewayDrop> {
        let Self::Later { offset, .. } = self else { return Ok(()) };
        let overwrites = protocol == ip_number::TCP.0 && offset < TCP_HEADER_UNITS;
        if overwrites || offset + len > usize::from(u16::MAX) {
            return Err(GatewayDrop::BadFragment);
        }
        Ok(())
    }
}

/// The IP headers, read but with addresses and length not judged yet.
pub(super) struct Headers {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    pub(super) fragment: Fragment,
    /// Bytes before the payload; all of them are there.
    pub(super) header_len: usize,
    /// What the header says of the whole packet; a quote may be shorter.
    pub(super) total_len: usize,
}

impl Headers {
    pub(super) fn read(packet: &[u8]) -> Result<Self, GatewayDrop> {
        let (headers, foreign) = match packet.first().ok_or(GatewayDrop::TooShort)? >> 4 {
            4 => (Self::read_v4(packet)?, ip_number::IPV6_ICMP),
            6 => (Self::read_v6(packet)?, ip_number::ICMP),
            _ => return Err(GatewayDrop::BadVersion),
        };
        // The ICMP of the other family would be read by the wrong table of types.
        if headers.protocol == foreign.0 { Err(GatewayDrop::BadIpHeader) } else { Ok(headers) }
    }

    fn read_v4(packet: &[u8]) -> Result<Self, GatewayDrop> {
        if packet.len() < etherparse::Ipv4Header::MIN_LEN {
            return Err(GatewayDrop::TooShort);
        }
        let header = Ipv4HeaderSlice::from_slice(packet).map_err(|_| GatewayDrop::BadIpHeader)?;
        if has_source_route(header.options())? {
            return Err(GatewayDrop::SourceRoute);
        }
        let header_len = header.slice().len();
        let total_len = usize::from(header.total_len());
        if total_len < header_len {
            return Err(GatewayDrop::LengthMismatch);
        }
        let offset = usize::from(header.fragments_offset().value()) * 8;
        Ok(Self {
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
            protocol: header.protocol().0,
            hop_limit: header.ttl(),
            fragment: Fragment::new(header.identification().into(), offset, header.more_fragments()),
            header_len,
            total_len,
        })
    }

    fn read_v6(packet: &[u8]) -> Result<Self, GatewayDrop> {
        if packet.len() < etherparse::Ipv6Header::LEN {
            return Err(GatewayDrop::TooShort);
        }
        let header = Ipv6HeaderSlice::from_slice(packet).map_err(|_| GatewayDrop::BadIpHeader)?;
        let mut chain = Extensions { next: header.next_header(), len: 0, fragment: Fragment::Whole };
        chain.follow(&packet[etherparse::Ipv6Header::LEN..])?;
        let total_len = etherparse::Ipv6Header::LEN + usize::from(header.payload_length());
        let header_len = etherparse::Ipv6Header::LEN + chain.len;
        if total_len < header_len {
            return Err(GatewayDrop::LengthMismatch);
        }
        Ok(Self {
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
            protocol: chain.next.0,
            hop_limit: header.hop_limit(),
            fragment: chain.fragment,
            header_len,
            total_len,
        })
    }
}

/// Whether IPv4 options contain a source route; padding ends them.
fn has_source_route(mut options: &[u8]) -> Result<bool, GatewayDrop> {
    loop {
        options = match *options {
            [] | [0, ..] => return Ok(false),
            [1, ref rest @ ..] => rest,
            [kind, ..] if SOURCE_ROUTE_OPTIONS.contains(&kind) => return Ok(true),
            [_, len, ..] if len >= 2 => options.get(usize::from(len)..).ok_or(GatewayDrop::BadIpHeader)?,
            [_, ..] => return Err(GatewayDrop::BadIpHeader),
        };
    }
}

/// A walk along IPv6 extension headers (RFC 8200 section 4).
struct Extensions {
    next: IpNumber,
    len: usize,
    fragment: Fragment,
}

impl Extensions {
    /// Goes on to the first header that is none of ours to follow, or stops behind a later fragment's header.
    fn follow(&mut self, after_fixed_header: &[u8]) -> Result<(), GatewayDrop> {
        for _ in 0..=MAX_EXTENSIONS {
            let rest = &after_fixed_header[self.len..];
            match self.next {
                ip_number::IPV6_HEADER_HOP_BY_HOP if self.len > 0 => return Err(GatewayDrop::BadExtension),
                ip_number::IPV6_HEADER_HOP_BY_HOP | ip_number::IPV6_DESTINATION_OPTIONS => {
                    let header =
                        Ipv6RawExtHeaderSlice::from_slice(rest).map_err(|_| GatewayDrop::BadExtension)?;
                    self.pass(header.next_header(), header.slice().len());
                }
                ip_number::IPV6_ROUTE_HEADER => return Err(GatewayDrop::SourceRoute),
                ip_number::IPV6_FRAGMENTATION_HEADER => {
                    self.read_fragment(rest)?;
                    if matches!(self.fragment, Fragment::Later { .. }) {
                        return Ok(());
                    }
                }
                _ => return Ok(()),
            }
        }
        Err(GatewayDrop::ExtensionChain)
    }

    fn read_fragment(&mut self, rest: &[u8]) -> Result<(), GatewayDrop> {
        if self.fragment != Fragment::Whole {
            return Err(GatewayDrop::BadExtension);
        }
        let header = Ipv6FragmentHeaderSlice::from_slice(rest).map_err(|_| GatewayDrop::BadExtension)?;
        let offset = usize::from(header.fragment_offset().value()) * 8;
        self.fragment = Fragment::new(header.identification(), offset, header.more_fragments());
        self.pass(header.next_header(), header.slice().len());
        Ok(())
    }

    fn pass(&mut self, next: IpNumber, len: usize) {
        self.next = next;
        self.len += len;
    }
}
