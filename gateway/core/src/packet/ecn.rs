// SPDX-License-Identifier: AGPL-3.0-or-later
//! Congestion told by a mark in place of a loss (RFC 3168).

/// The ECN field: the two low bits of the traffic class.
const FIELD: u8 = 0b11;
/// Congestion experienced.
const CE: u8 = 0b11;

/// Marks an IP packet as having met congestion, if its sender can be told so; whether it is marked now.
///
/// The IPv4 header checksum is kept right. A super-packet is marked for all of its segments. Anything that is no IP
/// packet is left alone.
pub fn mark_congested(packet: &mut [u8]) -> bool {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => mark_v4(packet),
        Some(6) => mark_v6(packet),
        Some(_) | None => false,
    }
}

fn mark_v4(packet: &mut [u8]) -> bool {
    let Some(header) = packet.first_chunk_mut::<20>() else { return false };
    let ecn = header[1] & FIELD;
    if ecn == 0 {
        return false;
    }
    let before = u16::from_be_bytes([header[0], header[1]]);
    header[1] |= CE;
    let after = u16::from_be_bytes([header[0], header[1]]);
    let sum = u16::from_be_bytes([header[10], header[11]]);
    header[10..12].copy_from_slice(&updated(sum, before, after).to_be_bytes());
    true
}

fn mark_v6(packet: &mut [u8]) -> bool {
    // Version 4 bits, traffic class 8, flow label 20.
    match packet.get_mut(1) {
        Some(byte) if (*byte >> 4) & FIELD != 0 => {
            *byte |= CE << 4;
            true
        }
        Some(_) | None => false,
    }
}

/// A checksum after one of the words that it covers has changed (RFC 1624, equation 3).
fn updated(checksum: u16, before: u16, after: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!before) + u32::from(after);
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    !u16::try_from(folded).expect("folded twice, three words fit in one")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two bytes at a time: RFC 1071 as it is written.
    fn internet_checksum(bytes: &[u8]) -> [u8; 2] {
        let pairs = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum = pairs.fold(0, |sum, word| (sum + word) % 0xFFFF);
        (!u16::try_from(sum).unwrap()).to_be_bytes()
    }

    fn v4(tos: u8, rest: [u8; 8]) -> Vec<u8> {
        let [a, b, c, d, e, f, g, h] = rest;
        let mut packet = vec![0x45, tos, 0, 24, a, b, 0x40, 0, 64, 17, 0, 0, 10, c, d, e, 10, f, g, h];
        let sum = internet_checksum(&packet);
        packet[10..12].copy_from_slice(&sum);
        packet.extend([1, 2, 3, 4]);
        packet
    }

    proptest! {
        #[test]
        fn an_ipv4_packet_is_marked_if_its_sender_understands(tos: u8, rest: [u8; 8]) {
            let mut packet = v4(tos, rest);
            let before = packet.clone();
            prop_assert_eq!(mark_congested(&mut packet), tos & FIELD != 0);
            if tos & FIELD == 0 {
                prop_assert_eq!(packet, before);
            } else {
                let mut expected = v4(tos | CE, rest);
                expected[20..].copy_from_slice(&before[20..]);
                // 0x0000 and 0xFFFF are the same sum.
                prop_assert!(matches!(internet_checksum(&packet[..20]), [0, 0] | [0xFF, 0xFF]));
                packet[10..12].copy_from_slice(&expected[10..12]);
                prop_assert_eq!(packet, expected);
            }
        }

        #[test]
        fn an_ipv6_packet_changes_in_two_bits_only(class: u8, rest: [u8; 38]) {
            let mut packet = [&[0x60 | class >> 4, class << 4][..], &rest].concat();
            let mut expected = packet.clone();
            let able = class & FIELD != 0;
            prop_assert_eq!(mark_congested(&mut packet), able);
            if able {
                expected[1] |= 0x30;
            }
            prop_assert_eq!(packet, expected);
        }

        #[test]
        fn nothing_else_is_touched(mut bytes: Vec<u8>) {
            let before = bytes.clone();
            let marked = mark_congested(&mut bytes);
            let version = before.first().map(|byte| byte >> 4);
            if version != Some(6) && (version != Some(4) || before.len() < 20) {
                prop_assert!(!marked && bytes == before);
            }
        }
    }
}
