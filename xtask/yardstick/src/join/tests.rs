// SPDX-License-Identifier: AGPL-3.0-or-later
//! Joining is the reverse of `Segments`, which is what it is tested against.

use gateway_core::offload::Segments;
use proptest::prelude::*;

use super::*;

/// Headers of a segment with a timestamp option, without payload; all checksums still open.
fn headers(v6: bool) -> Vec<u8> {
    let mut packet = if v6 {
        let mut ip = vec![0x60, 0, 0, 0, 0, 0, TCP_PROTOCOL, 64];
        ip.extend([0xfd; 16].iter().chain(&[0xfe; 16]));
        ip
    } else {
        vec![0x45, 0, 0, 0, 0, 9, 0x40, 0, 64, TCP_PROTOCOL, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]
    };
    packet.extend([0x14, 0x51, 0xc0, 0x00]); // ports
    packet.extend([0xff, 0xff, 0xf0, 0x00]); // a sequence number that will wrap around
    packet.extend([0, 0, 0, 1, 0x80, ACK, 1, 0, 0, 0, 0, 0]);
    packet.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    packet
}

/// A super-packet as the kernel hands it over.
fn super_packet(v6: bool, size: usize, payload: &[u8], flags: u8) -> (VirtioNetHeader, Vec<u8>) {
    let mut join = Join { packet: headers(v6), count: 2, size, ..Join::default() };
    let start = if v6 { IPV6 } else { IPV4 };
    join.packet[start + 13] = flags;
    join.packet.extend_from_slice(payload);
    let (header, packet) = join.finish().unwrap();
    (header, packet.to_vec())
}

fn segments(header: &VirtioNetHeader, packet: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = Segments::new(header, packet).unwrap();
    let mut all = Vec::new();
    while let Some(segment) = segments.next_segment() {
        all.push([segment.headers, segment.payload].concat());
    }
    all
}

fn joined(packets: &[Vec<u8>]) -> Vec<(VirtioNetHeader, Vec<u8>)> {
    let (mut join, mut all) = (Join::default(), Vec::new());
    for packet in packets {
        let segment = Segment::of(packet).unwrap();
        if !join.fits(&segment) {
            all.extend(join.finish().map(|(header, packet)| (header, packet.to_vec())));
        }
        join.push(&segment);
    }
    all.extend(join.finish().map(|(header, packet)| (header, packet.to_vec())));
    all
}

proptest! {
    #[test]
    fn what_segmentation_cut_is_joined_again(
        v6: bool, push: bool, size in 1..1_400_usize, payload in prop::collection::vec(any::<u8>(), 2..4_000),
    ) {
        prop_assume!(payload.len() > size && payload.len() / size < 1_000);
        let flags = if push { ACK | PSH } else { ACK };
        let (header, packet) = super_packet(v6, size, &payload, flags);
        prop_assert_eq!(joined(&segments(&header, &packet)), [(header, packet)]);
    }

    #[test]
    fn any_bytes_are_a_segment_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200), v6: bool) {
        let _ = Segment::of(&bytes);
        let mut like = headers(v6);
        let start = like.len().min(bytes.len());
        like[start / 2..start].copy_from_slice(&bytes[start / 2..start]);
        let _ = Segment::of(&like);
    }
}

#[test]
fn a_segment_alone_stays_as_it_is() {
    let (header, packet) = super_packet(false, 100, &[7; 150], ACK);
    let alone = segments(&header, &packet).remove(0);
    assert_eq!(joined(std::slice::from_ref(&alone)), [(VirtioNetHeader::NONE, alone)]);
}

#[test]
fn what_does_not_follow_starts_anew() {
    let (header, packet) = super_packet(false, 100, &[7; 300], ACK);
    let whole = segments(&header, &packet);
    let change = |at: usize, value: u8| {
        let mut packets = whole.clone();
        packets[1][at] = value;
        joined(&packets).len()
    };
    assert_eq!(joined(&whole).len(), 1);
    assert_eq!(joined(&[whole[0].clone(), whole[2].clone()]).len(), 2, "a gap");
    assert_eq!(change(1, 3), 3, "marked as congested");
    assert_eq!(change(IPV4 + 1, 0), 3, "another flow");
    assert_eq!(change(IPV4 + 11, 2), 3, "another acknowledgement");
    assert_eq!(change(IPV4 + 31, 3), 3, "another time");
    assert_eq!(change(IPV4 + 13, ACK | PSH), 2, "pushed: nothing behind it");
}

#[test]
fn no_super_packet_is_longer_than_a_packet_can_be() {
    let (header, packet) = super_packet(false, 1_000, &[7; 65_000], ACK);
    let mut packets = segments(&header, &packet);
    let mut more = packets[0].clone();
    let next = 0xffff_f000_u32.wrapping_add(65_000).to_be_bytes();
    more[IPV4 + 4..IPV4 + 8].copy_from_slice(&next);
    packets.push(more);
    assert_eq!(joined(&packets).len(), 2);
}

#[test]
fn only_whole_segments_with_payload_and_plain_flags_are_joined() {
    let (header, packet) = super_packet(false, 100, &[7; 150], ACK);
    let good = segments(&header, &packet).remove(0);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = good.clone();
        change(&mut packet);
        Segment::of(&packet).is_none()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|packet| packet[IPV4 + 13] = ACK | 1), "FIN");
    assert!(refused(&|packet| packet[IPV4 + 13] = 0), "no ACK");
    assert!(refused(&|packet| packet[9] = 17), "UDP");
    assert!(refused(&|packet| packet[6] = 0x20), "a fragment");
    assert!(refused(&|packet| packet[0] = 0x46), "IP options");
    assert!(refused(&|packet| packet[IPV4 + 12] = 0x40), "a TCP header that is too short");
    assert!(refused(&|packet| packet.truncate(100)), "cut off");
    assert!(refused(&|packet| {
        packet.truncate(IPV4 + 32);
        packet[3] = 52;
    }));
}
