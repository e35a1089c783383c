// SPDX-License-Identifier: AGPL-3.0-or-later
//! Segments against packets that `etherparse` makes from the same flow.

use proptest::prelude::*;

use super::*;
use crate::offload::samples::{Sample, any_sample};

fn cut(header: &VirtioNetHeader, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = Segments::new(header, packet).unwrap();
    let mut out = Vec::new();
    while let Some(segment) = segments.next_segment() {
        out.push([segment.headers, segment.payload].concat());
    }
    assert_eq!(out.len(), segments.count());
    out
}

#[test]
fn flags_stay_where_they_belong() {
    let mut sample = Sample::tcp(false, 2_500);
    let tcp = sample.tcp.as_mut().unwrap();
    (tcp.fin, tcp.psh, tcp.cwr, tcp.ece) = (true, true, true, true);
    let mut header = sample.header(1_000);
    header.gso_type |= VirtioNetHeader::GSO_ECN;
    let flags: Vec<u8> = cut(&header, &sample.super_packet()).iter().map(|packet| packet[33]).collect();
    assert_eq!(flags, [0xd0, 0x50, 0x59]);
}

#[test]
fn sequence_and_identification_wrap() {
    let sample = Sample::tcp(false, 2_500);
    let packets = cut(&sample.header(1_000), &sample.super_packet());
    let ids: Vec<&[u8]> = packets.iter().map(|packet| &packet[4..6]).collect();
    assert_eq!(ids, [[0xff, 0xfe], [0xff, 0xff], [0, 0]]);
    let sequence = u32::from_be_bytes(packets[1][24..28].try_into().unwrap());
    assert_eq!(sequence, 0xffff_ff00_u32.wrapping_add(1_000));
}

#[test]
fn a_udp_checksum_of_zero_is_sent_as_ones() {
    let mut sample = Sample::udp(false, 2);
    sample.payload = vec![0, 0];
    let plain = cut(&sample.header(0), &sample.super_packet()).remove(0);
    // The complement of the sum so far as payload makes the whole sum ones, its checksum zero.
    sample.payload = plain[26..28].to_vec();
    let packet = cut(&sample.header(0), &sample.super_packet()).remove(0);
    assert_eq!(packet[26..28], [0xff, 0xff]);
}

#[test]
fn a_plain_packet_passes_as_it_is() {
    let packet = Sample::udp(true, 700).super_packet();
    let mut segments = Segments::new(&VirtioNetHeader::NONE, &packet).unwrap();
    assert_eq!(segments.count(), 1);
    assert_eq!(segments.next_segment(), Some(Segment { headers: &[], payload: &packet }));
    assert_eq!(segments.next_segment(), None);
}

#[test]
fn the_longest_super_packet_is_cut() {
    for sample in [Sample::tcp(false, 65_495), Sample::udp(true, 65_487)] {
        let packet = sample.super_packet();
        assert_eq!(packet.len(), crate::offload::MAX_PACKET);
        assert_eq!(cut(&sample.header(1_380), &packet), sample.segments(1_380));
    }
}

#[test]
fn a_packet_of_another_length_is_refused() {
    let sample = Sample::tcp(true, 3_000);
    let mut packet = sample.super_packet();
    packet.push(0);
    assert!(Segments::new(&sample.header(1_000), &packet).is_err());
}

proptest! {
    #[test]
    fn segments_are_the_packets_that_the_flow_means(sample in any_sample(), gso_size in 10..1_500_u16) {
        let size = usize::from(gso_size);
        prop_assume!(sample.payload.len() > size);
        let packets = cut(&sample.header(gso_size), &sample.super_packet());
        prop_assert_eq!(packets, sample.segments(size));
    }

    #[test]
    fn one_packet_gets_its_checksum_only(sample in any_sample()) {
        let cut = cut(&sample.header(0), &sample.super_packet());
        let whole = sample.segments(sample.payload.len().max(1));
        prop_assert!(sample.payload.is_empty() || whole == cut);
    }
}
