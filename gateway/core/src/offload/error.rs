// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why a packet and its virtio-net header do not belong together.

use thiserror::Error;

/// Why an offload request is refused; each variant is a reason to drop the packet and to count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum OffloadError {
    /// The packet ends within its IP header.
    #[error("the packet ends within its IP header")]
    Truncated,
    /// The packet is longer than [`MAX_PACKET`](super::MAX_PACKET).
    #[error("the packet has {0} bytes, more than an IP packet can have")]
    TooLong(usize),
    /// The first nibble is neither 4 nor 6.
    #[error("IP version {0}, expected 4 or 6")]
    IpVersion(u8),
    /// An IPv4 header length below five words (RFC 791, section 3.1).
    #[error("the IPv4 header length is below 20 bytes")]
    IpHeaderLength,
    /// The length in the IP header is not the packet's.
    #[error("the IP header says {stated} bytes, the packet has {actual}")]
    LengthMismatch {
        /// Bytes according to the IP header.
        stated: usize,
        /// Bytes that came.
        actual: usize,
    },
    /// A flag other than NEEDS_CSUM and DATA_VALID.
    #[error("unknown virtio-net flags {0:#04x}")]
    UnknownFlags(u8),
    /// A segmentation type that no TUN device of ours asks for.
    #[error("unknown segmentation type {0:#04x}")]
    UnknownGsoType(u8),
    /// UDP fragmentation offload, which modern kernels do not produce.
    #[error("UDP fragmentation offload is not accepted")]
    Ufo,
    /// The ECN bit beside a segmentation type other than TCP.
    #[error("the ECN bit needs TCP segmentation")]
    EcnWithoutTcp,
    /// Segmentation without NEEDS_CSUM: the segments would carry no valid checksum.
    #[error("segmentation is asked for without a checksum")]
    GsoWithoutChecksum,
    /// The segmentation type does not fit the packet's IP version or protocol.
    #[error("the segmentation type does not fit the packet")]
    GsoProtocol,
    /// Segmentation into segments of nothing.
    #[error("the segment size is zero")]
    GsoSizeZero,
    /// More segments than [`MAX_SEGMENTS`](super::MAX_SEGMENTS).
    #[error("the packet would become {0} segments")]
    TooManySegments(usize),
    /// Offload asked for a fragment: only the whole packet has a checksum.
    #[error("offload is asked for an IP fragment")]
    Fragment,
    /// Offload behind an IPv6 extension header.
    #[error("offload behind IPv6 extension header {0}")]
    ExtensionHeader(u8),
    /// Offload for something else than TCP or UDP.
    #[error("offload is asked for protocol {0}, expected TCP or UDP")]
    Protocol(u8),
    /// The packet ends within its TCP or UDP header, or the TCP data offset is below five words.
    #[error("the TCP or UDP header does not fit the packet")]
    TransportHeader,
    /// The UDP length is not the length of the IP payload.
    #[error("the UDP header says {stated} bytes, the packet has {actual}")]
    UdpLength {
        /// Bytes according to the UDP header.
        stated: usize,
        /// Bytes behind the IP header.
        actual: usize,
    },
    /// The checksum does not start at the TCP or UDP header.
    #[error("the checksum starts at byte {stated}, the transport header at {actual}")]
    ChecksumStart {
        /// Where the virtio-net header says that it starts.
        stated: u16,
        /// Where the TCP or UDP header is.
        actual: usize,
    },
    /// The checksum field is not where TCP (16) or UDP (6) has it.
    #[error("the checksum field is said to be at byte {0} of the transport header")]
    ChecksumOffset(u16),
}
