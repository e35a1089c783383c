// SPDX-License-Identifier: AGPL-3.0-or-later
//! What goes whole, what is cut and what is refused; the MSS in every place and family.

use etherparse::TcpHeader;
use proptest::prelude::*;

use super::*;
use crate::offload::{Segments, check};
use crate::packet::samples::*;

const TCP_LINK: Mtu = Mtu(33_004);
const TUN: u16 = 1420;

/// A TCP packet with these options between `payload` and its headers, its checksum complete.
fn tcp_packet(v6: bool, syn: bool, options: &[u8], payload: usize) -> Vec<u8> {
    let mut tcp = TcpHeader::new(40_000, 443, 1, 512);
    (tcp.syn, tcp.ack) = (syn, !syn);
    tcp.set_options_raw(options).unwrap();
    let payload = vec![0x5A; payload];
    let addresses = if v6 { ("fd69:7264::1", "fd69:7264::2") } else { ("10.1.0.1", "10.2.0.2") };
    let mut packet = ip(addresses.0, addresses.1, TCP, &[&tcp.to_bytes()[..], &payload].concat());
    let start = packet.len() - payload.len() - tcp.header_len();
    let checksum = !transport_sum(&packet, start);
    packet[start + 16..start + 18].copy_from_slice(&checksum.to_be_bytes());
    assert!(holds(&packet));
    packet
}

/// RFC 1071 over the pseudo header and all behind the IP header; 0xFFFF where the checksum within holds.
fn transport_sum(packet: &[u8], start: usize) -> u16 {
    let addresses = if start == 20 { &packet[12..20] } else { &packet[8..40] };
    let length = u16::try_from(packet.len() - start).unwrap().to_be_bytes();
    let mut sum = 0_u32;
    for part in [addresses, &[0, TCP], &length, &packet[start..]] {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

fn holds(packet: &[u8]) -> bool {
    transport_sum(packet, if packet[0] >> 4 == 4 { 20 } else { 40 }) == 0xFFFF
}

fn clamped(packet: &mut [u8], header: &VirtioNetHeader, inner_mtu: u16) -> bool {
    let info = PacketInfo::parse(packet).unwrap();
    clamp_mss(header, packet, &info, inner_mtu)
}

/// What a kernel with offload writes before a TCP packet.
fn offloaded(packet: &[u8], gso_size: u16) -> VirtioNetHeader {
    let (start, gso) = if packet[0] >> 4 == 4 { (20, 1) } else { (40, 4) };
    VirtioNetHeader {
        flags: VirtioNetHeader::NEEDS_CSUM,
        gso_type: if gso_size == 0 { 0 } else { gso },
        hdr_len: 0,
        gso_size,
        csum_start: start,
        csum_offset: 16,
    }
}

fn fit_of(header: &VirtioNetHeader, packet: &[u8], path: Mtu) -> Fit {
    fit(header, packet, &PacketInfo::parse(packet).unwrap(), path, TUN)
}

fn dont_fragment(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] |= 0x40;
    packet
}

#[test]
fn the_inner_mtu_lies_between_1280_and_that_of_the_device() {
    for (path, inner) in [
        (0, 1280),
        (576, 1280),
        (1398, 1280),
        (1399, 1281),
        (1500, 1382),
        (1538, 1420),
        (33_004, 1420),
        (u32::MAX, 1420),
    ] {
        assert_eq!(inner_mtu(Mtu(path), TUN), inner, "path {path}");
    }
    assert_eq!(inner_mtu(Mtu(1500), 1000), 1000, "the device has the last word");
    assert_eq!(inner_mtu(TCP_LINK, u16::MAX), 32_724);
}

#[test]
fn super_packets_cross_whole_in_up_to_five_frames() {
    assert!(!cuts_super_packets(TCP_LINK));
    assert!(!cuts_super_packets(Mtu(16_384)));
    let five = u32::try_from(65_547_usize.div_ceil(5) + 106).unwrap();
    assert!(!cuts_super_packets(Mtu(five)));
    assert!(cuts_super_packets(Mtu(five - 1)));
    assert!(cuts_super_packets(Mtu(1500)) && cuts_super_packets(Mtu(0)));
}

#[test]
fn a_single_packet_is_too_big_only_if_nobody_may_fragment_it() {
    let data = |len| udp(1, 2, &vec![0; len]);
    let v4 = |len: usize| ip("10.1.0.1", "10.2.0.2", UDP, &data(len - 28));
    let v6 = |len: usize| ip("fd69:7264::1", "fd69:7264::2", UDP, &data(len - 48));
    let too_big = Fit::TooBig { mtu: 1382 };
    for (packet, expected) in [
        (v4(1382), Fit::Fits),
        (v4(1383), Fit::Fits),
        (dont_fragment(v4(1382)), Fit::Fits),
        (dont_fragment(v4(1383)), too_big),
        (v6(1382), Fit::Fits),
        (v6(1383), too_big),
    ] {
        assert_eq!(fit_of(&VirtioNetHeader::NONE, &packet, Mtu(1500)), expected, "{} bytes", packet.len());
    }
    assert_eq!(fit_of(&VirtioNetHeader::NONE, &v6(1280), Mtu(576)), Fit::Fits, "every path carries 1280");
}

#[test]
fn of_a_super_packet_each_segment_counts() {
    for v6 in [false, true] {
        let headers: u16 = if v6 { 60 } else { 40 };
        let packet = dont_fragment(tcp_packet(v6, false, &[], 20_000));
        let packet = if v6 { tcp_packet(v6, false, &[], 20_000) } else { packet };
        let with = |gso_size| offloaded(&packet, gso_size);
        assert_eq!(fit_of(&with(1420 - headers), &packet, TCP_LINK), Fit::Fits);
        assert_eq!(fit_of(&with(1382 - headers), &packet, Mtu(1500)), Fit::Segment);
        assert_eq!(fit_of(&with(1383 - headers), &packet, Mtu(1500)), Fit::TooBig { mtu: 1382 });
        // What fits into one frame is not worth cutting.
        assert_eq!(fit_of(&with(1000), &packet, Mtu(20_000 + 12_000)), Fit::Fits);
        let short = tcp_packet(v6, false, &[], 1200);
        assert_eq!(fit_of(&offloaded(&short, 600), &short, Mtu(1500)), Fit::Fits);
    }
    let fragmentable = tcp_packet(false, false, &[], 20_000);
    assert_eq!(fit_of(&offloaded(&fragmentable, 1380), &fragmentable, Mtu(1500)), Fit::Segment);
    let datagrams = ip("fd69:7264::1", "fd69:7264::2", UDP, &udp(1, 2, &[0; 20_000]));
    let header = VirtioNetHeader { gso_type: 5, csum_offset: 6, ..offloaded(&datagrams, 1334) };
    assert_eq!(fit_of(&header, &datagrams, Mtu(1500)), Fit::Segment);
    let header = VirtioNetHeader { gso_size: 1335, ..header };
    assert_eq!(fit_of(&header, &datagrams, Mtu(1500)), Fit::TooBig { mtu: 1382 });
}

#[test]
fn what_is_cut_gives_segments_that_fit() {
    let packet = tcp_packet(true, false, &[1; 12], 60_000);
    let header = check(&offloaded(&packet, 1300), &packet).unwrap();
    assert_eq!(fit_of(&header, &packet, Mtu(1500)), Fit::Segment);
    let mut segments = Segments::new(&header, &packet).unwrap();
    while let Some(segment) = segments.next_segment() {
        let segment = [segment.headers, segment.payload].concat();
        assert!(holds(&segment) && segment.len() <= 1382);
        assert_eq!(fit_of(&VirtioNetHeader::NONE, &segment, Mtu(1500)), Fit::Fits);
    }
}

#[test]
fn the_mss_of_syn_and_syn_ack_is_lowered() {
    for (v6, expected) in [(false, [0x05, 0x3E]), (true, [0x05, 0x2A])] {
        let start = if v6 { 40 } else { 20 };
        for ack in [0, ACK] {
            let mut packet = tcp_packet(v6, true, &[2, 4, 0x05, 0xB4], 0);
            packet[start + 13] |= ack;
            let sum = transport_sum(&packet, start);
            assert!(clamped(&mut packet, &VirtioNetHeader::NONE, 1382));
            assert_eq!(packet[start + 22..start + 24], expected);
            assert_eq!(transport_sum(&packet, start), sum);
            assert!(!clamped(&mut packet, &VirtioNetHeader::NONE, 1382), "it fits now");
        }
    }
}

#[test]
fn a_partial_checksum_stays_and_is_right_when_completed() {
    let mut packet = tcp_packet(false, true, &[2, 4, 0x05, 0xB4], 10);
    let header = offloaded(&packet, 0);
    packet[36..38].copy_from_slice(&[0x12, 0x34]);
    assert!(clamped(&mut packet, &header, 1300));
    assert_eq!(packet[36..38], [0x12, 0x34]);
    let mut segments = Segments::new(&header, &packet).unwrap();
    let segment = segments.next_segment().unwrap();
    let completed = [segment.headers, segment.payload].concat();
    assert!(holds(&completed));
    assert_eq!(completed[40..44], [2, 4, 0x04, 0xEC]);
}

#[test]
fn nothing_else_is_touched() {
    for (syn, options) in [
        (false, &[2, 4, 0x05, 0xB4][..]),
        (true, &[]),
        (true, &[2, 4, 0x05, 0x14]),
        (true, &[0, 2, 4, 0xFF, 0xFF, 0, 0, 0]),
        (true, &[2, 3, 0xFF, 0]),
        (true, &[2, 6, 0xFF, 0xFF, 0, 0, 0, 0]),
        (true, &[3, 0, 2, 4, 0xFF, 0xFF, 0, 0]),
        (true, &[8, 10, 2, 4, 0xFF, 0xFF, 0, 0]),
        (true, &[1, 1, 1, 2]),
    ] {
        let mut packet = tcp_packet(false, syn, options, 4);
        let before = packet.clone();
        assert!(!clamped(&mut packet, &VirtioNetHeader::NONE, 1340), "{options:?}");
        assert_eq!(packet, before);
    }
    let mut datagram = ip("10.1.0.1", "10.2.0.2", UDP, &udp(1, 2, &[2, 4, 0xFF, 0xFF]));
    assert!(!clamped(&mut datagram, &VirtioNetHeader::NONE, 1340));
}

proptest! {
    #[test]
    fn the_checksum_holds_wherever_the_option_stands(
        v6: bool,
        before in 0..=6_usize,
        mss: u16,
        payload in 0..50_usize,
        inner in 1280..=1500_u16,
    ) {
        let mut options = vec![1; before];
        options.extend([2, 4]);
        options.extend(mss.to_be_bytes());
        options.resize(options.len().next_multiple_of(4), 1);
        let mut packet = tcp_packet(v6, true, &options, payload);
        let limit = inner - if v6 { 60 } else { 40 };
        prop_assert_eq!(clamped(&mut packet, &VirtioNetHeader::NONE, inner), mss > limit);
        prop_assert!(holds(&packet));
        let at = if v6 { 40 } else { 20 } + 20 + before + 2;
        prop_assert_eq!(u16::from_be_bytes([packet[at], packet[at + 1]]), mss.min(limit));
    }

    #[test]
    fn any_options_are_walked_safely(flags: u8, options in prop::collection::vec(0..6_u8, 0..=40)) {
        let mut options = options;
        options.truncate(options.len() & !3);
        let mut data = vec![flags];
        data.extend(tcp_packet(false, true, &options, 3));
        crate::fuzz::fuzz_mtu(&data);
    }

    #[test]
    fn any_packet_is_measured(data in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzz::fuzz_mtu(&data);
    }
}
