// SPDX-License-Identifier: AGPL-3.0-or-later
//! Segmentation and checksums in software, for devices and paths that cannot take a super-packet.
//!
//! Nothing is allocated and no payload is copied: a segment is a small header block of our own and a slice of
//! the super-packet, written with one vectored write.

use super::check::{Gso, Plan};
use super::checksum::Sum;
use super::layout::{Layout, Network, Transport};
use super::{OffloadError, VirtioNetHeader};

/// The most bytes of a segment's headers: IPv4 and TCP, both with all their options.
pub const MAX_HEADERS: usize = 120;

/// One packet, ready for anybody: complete lengths and checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// IP and transport header, at most [`MAX_HEADERS`] bytes; empty where nothing had to change.
    pub headers: &'a [u8],
    /// What follows the headers; the whole packet where nothing had to change.
    pub payload: &'a [u8],
}

/// The packets that a super-packet stands for, in order.
///
/// Each gets its IP length, IPv4 identification (counting up) and header checksum, its sequence number or UDP length,
/// and a complete checksum; FIN and PSH stay with the last, CWR with the first (RFC 3168, section 6.1.2).
/// It lends its header block, so it is no [`Iterator`].
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    headers: [u8; MAX_HEADERS],
    payload: &'a [u8],
    plan: Plan,
    first: FirstSegment,
    next: usize,
}

/// The values of the super-packet that every segment counts from.
#[derive(Clone, Copy, Debug, Default)]
struct FirstSegment {
    identification: u16,
    sequence: u32,
    flags: u8,
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

impl<'a> Segments<'a> {
    /// Cuts a packet as its header asks; one segment where it asks for a checksum only, or for nothing.
    ///
    /// # Errors
    ///
    /// Those of [`check`](super::check).
    pub fn new(header: &VirtioNetHeader, packet: &'a [u8]) -> Result<Self, OffloadError> {
        let plan = Plan::of(header, packet)?;
        let mut headers = [0; MAX_HEADERS];
        let (payload, first) = match &plan {
            Plan::Plain => (packet, FirstSegment::default()),
            Plan::Checksum(layout) | Plan::Segments(layout, _) => {
                let (block, payload) = packet.split_at(layout.payload_start);
                headers[..block.len()].copy_from_slice(block);
                (payload, FirstSegment::of(layout, block))
            }
        };
        Ok(Self { headers, payload, plan, first, next: 0 })
    }

    /// How many segments there are in all, at least one and at most [`MAX_SEGMENTS`](super::MAX_SEGMENTS).
    pub fn count(&self) -> usize {
        match &self.plan {
            Plan::Plain | Plan::Checksum(_) => 1,
            Plan::Segments(_, gso) => self.payload.len().div_ceil(gso.size()),
        }
    }

    /// The next segment, or `None` after the last.
    pub fn next_segment(&mut self) -> Option<Segment<'_>> {
        let index = self.next;
        if index == self.count() {
            return None;
        }
        self.next += 1;
        match self.plan {
            Plan::Plain => Some(Segment { headers: &[], payload: self.payload }),
            Plan::Checksum(layout) => Some(self.finish(layout, self.payload)),
            Plan::Segments(layout, gso) => Some(self.cut(layout, gso, index)),
        }
    }

    fn cut(&mut self, layout: Layout, gso: Gso, index: usize) -> Segment<'_> {
        let start = index * gso.size();
        let end = self.payload.len().min(start + gso.size());
        let payload = &self.payload[start..end];
        let number = u16::try_from(index).expect("segments are limited to MAX_SEGMENTS");
        self.write_network(layout, payload.len(), number);
        match layout.transport {
            Transport::Tcp => self.write_tcp(layout, start, number),
            Transport::Udp => {
                let length = layout.payload_start - layout.transport_start + payload.len();
                self.write_u16(layout.transport_start + 4, packet_length(length));
            }
        }
        self.finish(layout, payload)
    }

    fn write_network(&mut self, layout: Layout, payload: usize, number: u16) {
        let total = layout.payload_start + payload;
        match layout.network {
            Network::V4 => {
                self.write_u16(2, packet_length(total));
                self.write_u16(4, self.first.identification.wrapping_add(number));
                self.write_u16(10, 0);
                let checksum = Sum::default().add(&self.headers[..layout.transport_start]).finish();
                self.headers[10..12].copy_from_slice(&checksum);
            }
            Network::V6 => self.write_u16(4, packet_length(total - layout.transport_start)),
        }
    }

    fn write_tcp(&mut self, layout: Layout, offset: usize, number: u16) {
        let tcp = layout.transport_start;
        let offset = u32::try_from(offset).expect("a packet is below 64 KiB");
        let sequence = self.first.sequence.wrapping_add(offset);
        self.headers[tcp + 4..tcp + 8].copy_from_slice(&sequence.to_be_bytes());
        let mut flags = self.first.flags;
        if number != 0 {
            flags &= !CWR;
        }
        if self.next != self.count() {
            flags &= !(FIN | PSH);
        }
        self.headers[tcp + 13] = flags;
    }

    fn finish<'s>(&'s mut self, layout: Layout, payload: &'s [u8]) -> Segment<'s> {
        let headers = &mut self.headers[..layout.payload_start];
        layout.write_checksum(headers, payload);
        Segment { headers, payload }
    }

    fn write_u16(&mut self, at: usize, value: u16) {
        self.headers[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
}

impl FirstSegment {
    fn of(layout: &Layout, headers: &[u8]) -> Self {
        let identification = match layout.network {
            Network::V4 => u16::from_be_bytes([headers[4], headers[5]]),
            Network::V6 => 0,
        };
        let tcp = &headers[layout.transport_start..];
        match layout.transport {
            Transport::Tcp => Self {
                identification,
                sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
                flags: tcp[13],
            },
            Transport::Udp => Self { identification, ..Self::default() },
        }
    }
}

fn packet_length(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("a packet is below 64 KiB")
}

#[cfg(test)]
mod tests;
