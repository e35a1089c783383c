// SPDX-License-Identifier: AGPL-3.0-or-later
//! How large packets may be on a path: what one frame holds, which packets go whole, which are cut into their
//! segments, and which the application must send smaller. Pure arithmetic; decided in `decisions/path-mtu.md`.
//!
//! Two kinds of path. On one with large frames (TCP links: 33 004 bytes) a super-packet crosses whole in two or three
//! frames, which is fastest. On one with small frames it is cut into its segments at the sender, so that a lost frame
//! costs its own packets and not 64 KiB.

mod mss;

use ratman_types::Mtu;
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::session::{DATA_TAG, DataHeader, RecordHeader};
use ratman_wire::{MAX_FRAME, MAX_PAYLOAD};

use crate::offload::{GsoType, VirtioNetHeader};
use crate::packet::PacketInfo;

pub use mss::clamp_mss;

/// No inner MTU is below this, in bytes: every IPv6 link must carry it (RFC 8200 section 5). On a path with smaller
/// frames a record goes on in the next one.
pub const MIN_INNER_MTU: u16 = 1280;

/// A super-packet crosses whole if it takes no more frames than this: with frames of 16 KiB (five for 64 KiB)
/// whole super-packets were measured as fast as with larger ones (data-path note, V4). Smaller frames are those
/// of datagram links, where each is lost on its own.
const MAX_WHOLE_FRAMES: usize = 5;

/// The largest record of a session, in bytes.
const MAX_RECORD: usize = RecordHeader::LEN + 65_535;

/// How many bytes of records one frame holds on a path, 0–32 736; 0 where a frame has no room for any.
pub fn frame_room(path: Mtu) -> usize {
    let frame = usize::try_from(path.0).unwrap_or(usize::MAX).min(MAX_FRAME);
    let payload = frame.saturating_sub(SESSION_HEADER).min(MAX_PAYLOAD);
    payload.saturating_sub(DataHeader::LEN + DATA_TAG)
}

/// The largest packet that applications should send on a path, in bytes: what one frame holds, never below
/// [`MIN_INNER_MTU`] and never above the TUN device's own MTU, which is the last word.
pub fn inner_mtu(path: Mtu, tun: u16) -> u16 {
    let whole = frame_room(path).saturating_sub(RecordHeader::LEN);
    u16::try_from(whole).unwrap_or(u16::MAX).max(MIN_INNER_MTU).min(tun)
}

/// Whether super-packets are cut at the sender on this path, and frames end where records end.
pub fn cuts_super_packets(path: Mtu) -> bool {
    frame_room(path) * MAX_WHOLE_FRAMES < MAX_RECORD
}

/// What is to be done with a packet before it is sealed for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Nothing; it may still take more than one frame.
    Fits,
    /// It does not go; the application is told to send at most `mtu` bytes
    /// ([`IcmpAnswers::too_big`](crate::icmp::IcmpAnswers::too_big)).
    TooBig {
        /// The [`inner_mtu`] of the path.
        mtu: u16,
    },
    /// Each of its [`Segments`](crate::offload::Segments) becomes a record of its own.
    Segment,
}

/// Decides about one packet of our own TUN device; `info` was parsed from it and `header` came with it.
///
/// A packet that its sender has forbidden to fragment (IPv4 with DF, all of IPv6) is too big above the
/// [`inner_mtu`]; of a super-packet each segment counts. IPv4 without DF always goes, cut over frames where it must.
pub fn fit(header: &VirtioNetHeader, packet: &[u8], info: &PacketInfo, path: Mtu, tun: u16) -> Fit {
    let mtu = inner_mtu(path, tun);
    let segment = segment_len(header, packet, info);
    if segment.unwrap_or(packet.len()) > usize::from(mtu) && is_whole_or_nothing(packet) {
        return Fit::TooBig { mtu };
    }
    let whole = RecordHeader::LEN + packet.len() <= frame_room(path);
    if segment.is_some() && !whole && cuts_super_packets(path) { Fit::Segment } else { Fit::Fits }
}

/// The length of the longest segment of a super-packet, headers included; nothing for a single packet.
fn segment_len(header: &VirtioNetHeader, packet: &[u8], info: &PacketInfo) -> Option<usize> {
    let (gso, _) = GsoType::from_raw(header.gso_type).ok()?;
    // The header's own `hdr_len` is only a hint.
    let transport = match gso {
        GsoType::None => return None,
        GsoType::TcpV4 | GsoType::TcpV6 => mss::header_len(packet, info)?,
        GsoType::UdpL4 => UDP_HEADER,
    };
    let segment = info.header_len + transport + usize::from(header.gso_size);
    (segment < packet.len()).then_some(segment)
}

const UDP_HEADER: usize = 8;

/// Whether no router may fragment the packet.
fn is_whole_or_nothing(packet: &[u8]) -> bool {
    const DONT_FRAGMENT: u8 = 0x40;
    match packet {
        [first, _, _, _, _, _, flags, ..] if first >> 4 == 4 => flags & DONT_FRAGMENT != 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
