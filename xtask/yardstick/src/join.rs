// SPDX-License-Identifier: AGPL-3.0-or-later
//! TCP segments that follow each other, joined into one super-packet: the reverse of segmentation.

use gateway_core::offload::{GsoType, MAX_PACKET, VirtioNetHeader};

const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const TCP_PROTOCOL: u8 = 6;
/// Byte of the checksum in the TCP header.
const TCP_CHECKSUM: usize = 16;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// A TCP segment that may be joined: with payload, whole, and without flags that mean this one segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    packet: &'a [u8],
    /// Byte at which the TCP header starts.
    transport: usize,
    /// Byte at which the payload starts.
    payload: usize,
}

/// The super-packet that grows.
#[derive(Debug, Default)]
pub(crate) struct Join {
    packet: Vec<u8>,
    count: usize,
    /// Payload bytes of each segment but the last.
    size: usize,
    next_sequence: u32,
    /// Nothing may follow: the last segment was short, or pushed.
    ended: bool,
}

impl<'a> Segment<'a> {
    /// The packet, where it is such a segment.
    pub(crate) fn of(packet: &'a [u8]) -> Option<Self> {
        let transport = tcp_start(packet)?;
        let tcp = packet.get(transport..)?;
        let payload = transport + usize::from(tcp.get(12)? >> 4) * 4;
        let plain = tcp.get(13)? & !PSH == ACK;
        let whole = payload >= transport + TCP && packet.len() > payload;
        (plain && whole).then_some(Self { packet, transport, payload })
    }

    fn headers(&self) -> &'a [u8] {
        &self.packet[..self.payload]
    }

    fn payload(&self) -> &'a [u8] {
        &self.packet[self.payload..]
    }

    fn sequence(&self) -> u32 {
        let [a, b, c, d] = [4, 5, 6, 7].map(|at| self.packet[self.transport + at]);
        u32::from_be_bytes([a, b, c, d])
    }

    fn pushes(&self) -> bool {
        self.packet[self.transport + 13] & PSH != 0
    }

    /// Whether all is equal but what differs between the segments of one super-packet.
    fn continues(&self, other: &Self) -> bool {
        let differs: &[usize] = if self.transport == IPV6 {
            &[4, 5] // length
        } else {
            &[2, 3, 4, 5, 10, 11] // length, identification, checksum
        };
        // Sequence number, flags (compared by `of`) and checksum.
        let tcp_differs = [4, 5, 6, 7, 13, 16, 17].map(|at| self.transport + at);
        self.transport == other.transport
            && self.payload == other.payload
            && (0..self.payload).all(|at| {
                self.packet[at] == other.packet[at] || differs.contains(&at) || tcp_differs.contains(&at)
            })
    }
}

/// Byte at which the TCP header starts in a packet that is no fragment and has neither IP options nor a wrong length.
fn tcp_start(packet: &[u8]) -> Option<usize> {
    let length = |at: usize| Some(usize::from(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?])));
    let (start, protocol, stated, fragment) = match packet.first()? {
        0x45 => (IPV4, packet.get(9)?, length(2)?, length(6)? & 0x3fff != 0),
        first if first >> 4 == 6 => (IPV6, packet.get(6)?, IPV6 + length(4)?, false),
        _ => return None,
    };
    (*protocol == TCP_PROTOCOL && stated == packet.len() && !fragment).then_some(start)
}

impl Join {
    /// Whether the segment belongs directly behind what is here.
    pub(crate) fn fits(&self, segment: &Segment<'_>) -> bool {
        let Some(first) = self.first() else { return true };
        !self.ended
            && segment.sequence() == self.next_sequence
            && segment.payload().len() <= self.size
            && self.packet.len() + segment.payload().len() <= MAX_PACKET
            && first.continues(segment)
    }

    /// Adds a segment that [`fits`](Self::fits).
    pub(crate) fn push(&mut self, segment: &Segment<'_>) {
        let payload = segment.payload();
        if self.count == 0 {
            self.packet.clear();
            self.packet.extend_from_slice(segment.headers());
            self.size = payload.len();
        }
        self.count += 1;
        self.packet.extend_from_slice(payload);
        let length = u32::try_from(payload.len()).expect("a packet is below 64 KiB");
        self.next_sequence = segment.sequence().wrapping_add(length);
        self.ended = payload.len() < self.size || segment.pushes();
        if segment.pushes() {
            self.packet[segment.transport + 13] |= PSH;
        }
    }

    /// What was joined, if anything, with the header that lets the kernel take it whole.
    pub(crate) fn finish(&mut self) -> Option<(VirtioNetHeader, &[u8])> {
        let first = self.first()?;
        let (transport, payload) = (first.transport, first.payload);
        let header = if self.count == 1 {
            VirtioNetHeader::NONE
        } else {
            self.complete(transport);
            self.header(transport, payload)
        };
        self.count = 0;
        Some((header, &self.packet))
    }

    /// The super-packet as if it were one segment: its headers are those of the first.
    fn first(&self) -> Option<Segment<'_>> {
        let transport = if self.packet.first()? >> 4 == 6 { IPV6 } else { IPV4 };
        let payload = transport + usize::from(self.packet[transport + 12] >> 4) * 4;
        (self.count > 0).then_some(Segment { packet: &self.packet, transport, payload })
    }

    /// Length and checksum of the IP header, and the sum of the pseudo header where the TCP checksum will be.
    fn complete(&mut self, transport: usize) {
        let total = self.packet.len();
        let addresses = if transport == IPV6 {
            self.write(4, in_header(total - IPV6));
            8..IPV6
        } else {
            self.write(2, in_header(total));
            self.write(10, 0);
            let checksum = !sum(&self.packet[..IPV4], 0);
            self.write(10, checksum);
            12..IPV4
        };
        let rest = u32::from(in_header(total - transport)) + u32::from(TCP_PROTOCOL);
        let pseudo_header = sum(&self.packet[addresses], rest);
        self.write(transport + TCP_CHECKSUM, pseudo_header);
    }

    fn header(&self, transport: usize, payload: usize) -> VirtioNetHeader {
        let gso = if transport == IPV6 { GsoType::TcpV6 } else { GsoType::TcpV4 };
        VirtioNetHeader {
            flags: VirtioNetHeader::NEEDS_CSUM,
            gso_type: gso.to_raw(),
            hdr_len: in_header(payload),
            gso_size: in_header(self.size),
            csum_start: in_header(transport),
            csum_offset: in_header(TCP_CHECKSUM),
        }
    }

    fn write(&mut self, at: usize, value: u16) {
        self.packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
}

fn in_header(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("a packet is below 64 KiB")
}

/// The one's complement sum of 16-bit words (RFC 1071), for an even number of header bytes.
fn sum(bytes: &[u8], start: u32) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    let mut sum = words.iter().fold(start, |sum, word| sum + u32::from(u16::from_be_bytes(*word)));
    while sum > u32::from(u16::MAX) {
        sum = (sum & u32::from(u16::MAX)) + (sum >> 16);
    }
    u16::try_from(sum).expect("the loop ends below 2^16")
}

#[cfg(test)]
mod tests;
