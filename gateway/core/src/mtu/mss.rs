// SPDX-License-Identifier: AGPL-3.0-or-later
//! The MSS option of TCP (RFC 9293 section 3.7.1): lowered where a connection opens, so that neither end needs an ICMP
//! error first, which firewalls in between like to lose.

use core::ops::Range;

use crate::offload::VirtioNetHeader;
use crate::packet::{PacketInfo, Transport};

/// Bytes of the TCP header before its options.
const FIXED: usize = 20;
const CHECKSUM: Range<usize> = 16..18;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const MSS_LEN: u8 = 4;

/// Lowers the MSS option of a SYN or SYN-ACK in place to what `inner_mtu` leaves behind the fixed headers (RFC 6691:
/// options of the segments do not count); whether it changed something.
///
/// `info` was parsed from `packet`, and `header` came with it, from our own device or through
/// [`check`](crate::offload::check). A complete checksum is changed along (RFC 1624); a partial one covers only the
/// pseudo header, and whoever completes it sums the option as it is then. A segment without the option stays as it is: its
/// sender is to be sent no more than 536 or 1220 bytes (RFC 9293), which fit everywhere.
pub fn clamp_mss(header: &VirtioNetHeader, packet: &mut [u8], info: &PacketInfo, inner_mtu: u16) -> bool {
    if !matches!(info.transport, Transport::Tcp { flags, .. } if flags.syn) {
        return false;
    }
    let Some(len) = header_len(packet, info) else { return false };
    let tcp = &mut packet[info.header_len..][..len];
    let ip: u16 = if info.source.is_ipv4() { 20 } else { 40 };
    let limit = inner_mtu.saturating_sub(ip + 20);
    let complete = header.flags & VirtioNetHeader::NEEDS_CSUM == 0;
    let (mut at, mut changed) = (FIXED, false);
    while let Some(option) = next_option(tcp, &mut at) {
        if tcp[option.start] == MSS && option.len() == usize::from(MSS_LEN) {
            changed |= lower(tcp, option.start + 2, limit, complete);
        }
    }
    changed
}

/// Bytes of the TCP header with its options, if the packet is TCP and has them all.
pub(super) fn header_len(packet: &[u8], info: &PacketInfo) -> Option<usize> {
    let Transport::Tcp { .. } = info.transport else { return None };
    let tcp = packet.get(info.header_len..)?;
    let len = usize::from(tcp.get(12)? >> 4) * 4;
    (FIXED..=tcp.len()).contains(&len).then_some(len)
}

/// The option at or behind `at`, which then stands behind it; nothing at the end or where options are malformed.
fn next_option(tcp: &[u8], at: &mut usize) -> Option<Range<usize>> {
    while *tcp.get(*at)? == NO_OPERATION {
        *at += 1;
    }
    let start = *at;
    if tcp[start] == END_OF_OPTIONS {
        return None;
    }
    let len = usize::from(*tcp.get(start + 1)?);
    let option = start..start + len;
    if len < 2 || option.end > tcp.len() {
        return None;
    }
    *at = option.end;
    Some(option)
}

/// Lowers the two bytes at `at`; whether they were above the limit.
fn lower(tcp: &mut [u8], at: usize, limit: u16, complete: bool) -> bool {
    let old = [tcp[at], tcp[at + 1]];
    if u16::from_be_bytes(old) <= limit {
        return false;
    }
    let new = limit.to_be_bytes();
    tcp[at..at + 2].copy_from_slice(&new);
    if complete {
        // At an odd place the two bytes belong to two words, which sums like one word with its bytes swapped.
        let word = if at.is_multiple_of(2) { u16::from_be_bytes } else { u16::from_le_bytes };
        let checksum = u16::from_be_bytes([tcp[CHECKSUM.start], tcp[CHECKSUM.start + 1]]);
        let updated = replaced(checksum, word(old), word(new));
        tcp[CHECKSUM].copy_from_slice(&updated.to_be_bytes());
    }
    true
}

/// The checksum after one word of what it covers was replaced (RFC 1624, equation 3).
fn replaced(checksum: u16, old: u16, new: u16) -> u16 {
    let add = |a: u16, b: u16| {
        let (sum, carry) = a.overflowing_add(b);
        sum + u16::from(carry)
    };
    !add(add(!checksum, !old), new)
}
