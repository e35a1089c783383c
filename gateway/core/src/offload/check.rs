// SPDX-License-Identifier: AGPL-3.0-or-later
//! The policy on foreign virtio-net headers: what a packet may ask of our kernel, and nothing else.

use super::layout::{IpLayout, Layout, Network, Transport};
use super::{GsoType, OffloadError, VirtioNetHeader};

/// The most segments of one super-packet.
///
/// A 64 KiB super-packet of the smallest MSS that Linux sends without options (48 bytes) stays at 1366 of them; a
/// remote that wants more would make us multiply its packets.
pub const MAX_SEGMENTS: usize = 1_400;

/// Checks a header that came from a remote against its packet and returns the one that the kernel may see.
///
/// The kernel's own checks are no policy: it takes a packet with a wrong `hdr_len` and drops one without
/// NEEDS_CSUM silently. So every field of the result is computed from the packet, DATA_VALID is removed (the
/// kernel verifies for itself), and a super-packet that fits one segment becomes a single packet. Applied to its
/// own result, the function returns it unchanged.
///
/// # Errors
///
/// One [`OffloadError`] for each way in which header and packet disagree.
pub fn check(header: &VirtioNetHeader, packet: &[u8]) -> Result<VirtioNetHeader, OffloadError> {
    Ok(Plan::of(header, packet)?.header())
}

/// What is to be done with a packet before anybody may verify its checksums.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
    /// Nothing.
    Plain,
    /// The transport checksum is partial.
    Checksum(Layout),
    /// More than one segment, each with its own checksum.
    Segments(Layout, Gso),
}

/// How a super-packet is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gso {
    raw: u8,
    /// Payload bytes per segment, not zero.
    size: u16,
}

impl Gso {
    pub(super) fn size(self) -> usize {
        usize::from(self.size)
    }
}

impl Plan {
    pub(super) fn of(header: &VirtioNetHeader, packet: &[u8]) -> Result<Self, OffloadError> {
        let ip = IpLayout::of(packet)?;
        let unknown = header.flags & !(VirtioNetHeader::NEEDS_CSUM | VirtioNetHeader::DATA_VALID);
        if unknown != 0 {
            return Err(OffloadError::UnknownFlags(unknown));
        }
        let (gso, _) = GsoType::from_raw(header.gso_type)?;
        if header.flags & VirtioNetHeader::NEEDS_CSUM == 0 {
            return match gso {
                GsoType::None => Ok(Self::Plain),
                GsoType::TcpV4 | GsoType::TcpV6 | GsoType::UdpL4 => Err(OffloadError::GsoWithoutChecksum),
            };
        }
        let layout = Layout::of(ip, packet)?;
        check_checksum_place(header, &layout)?;
        Self::cut(header, gso, layout, packet.len() - layout.payload_start)
    }

    fn cut(
        header: &VirtioNetHeader,
        gso: GsoType,
        layout: Layout,
        payload: usize,
    ) -> Result<Self, OffloadError> {
        let fits = match gso {
            GsoType::None => return Ok(Self::Checksum(layout)),
            GsoType::TcpV4 => (layout.network, layout.transport) == (Network::V4, Transport::Tcp),
            GsoType::TcpV6 => (layout.network, layout.transport) == (Network::V6, Transport::Tcp),
            GsoType::UdpL4 => layout.transport == Transport::Udp,
        };
        if !fits {
            return Err(OffloadError::GsoProtocol);
        }
        let gso = Gso { raw: header.gso_type, size: header.gso_size };
        if gso.size == 0 {
            return Err(OffloadError::GsoSizeZero);
        }
        let segments = payload.div_ceil(gso.size());
        match segments {
            0 | 1 => Ok(Self::Checksum(layout)),
            2..=MAX_SEGMENTS => Ok(Self::Segments(layout, gso)),
            _ => Err(OffloadError::TooManySegments(segments)),
        }
    }

    fn header(&self) -> VirtioNetHeader {
        let (layout, gso) = match self {
            Self::Plain => return VirtioNetHeader::NONE,
            Self::Checksum(layout) => (layout, Gso { raw: GsoType::None.to_raw(), size: 0 }),
            Self::Segments(layout, gso) => (layout, *gso),
        };
        VirtioNetHeader {
            flags: VirtioNetHeader::NEEDS_CSUM,
            gso_type: gso.raw,
            hdr_len: header_offset(layout.payload_start),
            gso_size: gso.size,
            csum_start: header_offset(layout.transport_start),
            csum_offset: header_offset(layout.transport.checksum_offset()),
        }
    }
}

fn check_checksum_place(header: &VirtioNetHeader, layout: &Layout) -> Result<(), OffloadError> {
    if usize::from(header.csum_start) != layout.transport_start {
        return Err(OffloadError::ChecksumStart {
            stated: header.csum_start,
            actual: layout.transport_start,
        });
    }
    if usize::from(header.csum_offset) != layout.transport.checksum_offset() {
        return Err(OffloadError::ChecksumOffset(header.csum_offset));
    }
    Ok(())
}

fn header_offset(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("headers are far below 64 KiB")
}

#[cfg(test)]
mod tests;
