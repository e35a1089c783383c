// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the device takes whole, and what software must cut for it.

use std::fmt;
use std::io;

use gateway_core::offload::{GsoType, VirtioNetHeader};

/// The most datagrams of a UDP super-packet that every kernel with USO takes in one write (128 since Linux 6.9).
const USO_DATAGRAMS: usize = 64;

/// How much segmentation the kernel leaves to us, and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum Offload {
    /// TCP and UDP super-packets pass whole.
    TcpAndUdp,
    /// TCP super-packets pass whole; those of UDP are cut in software (kernels before 6.2).
    Tcp,
    /// Packets pass one by one, as configured.
    Disabled,
    /// Packets pass one by one: the kernel refuses virtio-net headers or their offloads.
    Refused(io::Error),
}

impl Offload {
    /// Whether any super-packets pass whole.
    pub const fn is_on(&self) -> bool {
        matches!(self, Self::TcpAndUdp | Self::Tcp)
    }

    /// Whether a packet can be written as it is.
    pub(crate) fn takes_whole(&self, header: &VirtioNetHeader, packet: &[u8]) -> bool {
        let udp = header.gso_type == GsoType::UdpL4.to_raw();
        match self {
            Self::TcpAndUdp => !udp || datagrams(header, packet) <= USO_DATAGRAMS,
            Self::Tcp => !udp,
            Self::Disabled | Self::Refused(_) => {
                header.flags & VirtioNetHeader::NEEDS_CSUM == 0 && header.gso_type == GsoType::None.to_raw()
            }
        }
    }
}

impl fmt::Display for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TcpAndUdp => f.write_str("TCP and UDP"),
            Self::Tcp => f.write_str("TCP only: the kernel has no UDP segmentation offload"),
            Self::Disabled => f.write_str("off: disabled by configuration"),
            Self::Refused(source) => write!(f, "off: refused by the kernel ({source})"),
        }
    }
}

/// How many datagrams a UDP super-packet stands for; a header that was not checked may get any answer.
fn datagrams(header: &VirtioNetHeader, packet: &[u8]) -> usize {
    let payload = packet.len().saturating_sub(usize::from(header.hdr_len));
    payload.div_ceil(usize::from(header.gso_size.max(1)))
}
