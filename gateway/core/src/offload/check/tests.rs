// SPDX-License-Identifier: AGPL-3.0-or-later
//! Every row of the policy, first as accepted and then broken in one place.

use proptest::prelude::*;

use super::*;
use crate::offload::MAX_PACKET;
use crate::offload::fuzz::fuzz_offload;
use crate::offload::samples::{Sample, any_sample};

/// One broken header or packet, and the reason that it must get.
type Break = (fn(&mut VirtioNetHeader, &mut Vec<u8>), OffloadError);

fn refused(sample: &Sample, gso_size: u16, cases: &[Break]) {
    for (at, (break_it, reason)) in cases.iter().enumerate() {
        let (mut header, mut packet) = (sample.header(gso_size), sample.super_packet());
        assert_eq!(check(&header, &packet), Ok(header));
        break_it(&mut header, &mut packet);
        assert_eq!(check(&header, &packet), Err(*reason), "case {at}");
    }
}

#[test]
fn broken_ip_headers_are_refused() {
    refused(
        &Sample::tcp(false, 3_000),
        1_000,
        &[
            (|_, packet| packet.clear(), OffloadError::Truncated),
            (|_, packet| packet.truncate(19), OffloadError::Truncated),
            (|_, packet| packet[0] = 0x44, OffloadError::IpHeaderLength),
            (|_, packet| packet[0] = 0x55, OffloadError::IpVersion(5)),
            (
                |_, packet| packet[0] = 0x65,
                OffloadError::LengthMismatch { stated: 40 + 0xfffe, actual: 3_040 },
            ),
            (|_, packet| packet.push(0), OffloadError::LengthMismatch { stated: 3_040, actual: 3_041 }),
            (|_, packet| packet.truncate(40), OffloadError::LengthMismatch { stated: 3_040, actual: 40 }),
            (|_, packet| packet.resize(MAX_PACKET + 1, 0), OffloadError::TooLong(MAX_PACKET + 1)),
            (|_, packet| packet[6] = 0x20, OffloadError::Fragment),
            (|_, packet| packet[7] = 0x01, OffloadError::Fragment),
            (|_, packet| packet[9] = 1, OffloadError::Protocol(1)),
        ],
    );
    refused(
        &Sample::udp(true, 3_000),
        1_000,
        &[
            (|_, packet| packet.truncate(39), OffloadError::Truncated),
            (|_, packet| packet[6] = 0, OffloadError::ExtensionHeader(0)),
            (|_, packet| packet[6] = 44, OffloadError::ExtensionHeader(44)),
            (|_, packet| packet[6] = 58, OffloadError::Protocol(58)),
        ],
    );
}

#[test]
fn broken_transport_headers_are_refused() {
    refused(
        &Sample::tcp(false, 0),
        0,
        &[
            (|_, packet| packet[32] = 0x40, OffloadError::TransportHeader),
            (|_, packet| packet[32] = 0x60, OffloadError::TransportHeader),
            (
                |_, packet| {
                    packet.truncate(39);
                    packet[3] = 39;
                },
                OffloadError::TransportHeader,
            ),
        ],
    );
    refused(
        &Sample::udp(false, 100),
        0,
        &[
            (|_, packet| packet[25] -= 1, OffloadError::UdpLength { stated: 107, actual: 108 }),
            (
                |_, packet| {
                    packet.truncate(27);
                    packet[3] = 27;
                },
                OffloadError::TransportHeader,
            ),
        ],
    );
}

#[test]
fn broken_virtio_headers_are_refused() {
    refused(
        &Sample::tcp(false, 3_000),
        1_000,
        &[
            (|header, _| header.flags |= 4, OffloadError::UnknownFlags(4)),
            (|header, _| header.flags = 0x80, OffloadError::UnknownFlags(0x80)),
            (|header, _| header.flags = 0, OffloadError::GsoWithoutChecksum),
            (|header, _| header.gso_type = 2, OffloadError::UnknownGsoType(2)),
            (|header, _| header.gso_type = 3, OffloadError::Ufo),
            (|header, _| header.gso_type = 4, OffloadError::GsoProtocol),
            (|header, _| header.gso_type = 5, OffloadError::GsoProtocol),
            (|header, _| header.gso_type = 0x80, OffloadError::EcnWithoutTcp),
            (|header, _| header.gso_size = 0, OffloadError::GsoSizeZero),
            (|header, _| header.gso_size = 2, OffloadError::TooManySegments(1_500)),
            (|header, _| header.csum_start = 24, OffloadError::ChecksumStart { stated: 24, actual: 20 }),
            (
                |header, _| header.csum_start = 0xffff,
                OffloadError::ChecksumStart { stated: 0xffff, actual: 20 },
            ),
            (|header, _| header.csum_offset = 6, OffloadError::ChecksumOffset(6)),
        ],
    );
    refused(
        &Sample::tcp(true, 3_000),
        1_000,
        &[(|header, _| header.gso_type = 1, OffloadError::GsoProtocol)],
    );
    refused(
        &Sample::udp(true, 3_000),
        1_000,
        &[
            (|header, _| header.gso_type = 4, OffloadError::GsoProtocol),
            (|header, _| header.gso_type = 0x85, OffloadError::EcnWithoutTcp),
            (|header, _| header.csum_offset = 16, OffloadError::ChecksumOffset(16)),
        ],
    );
}

#[test]
fn what_the_kernel_may_see_is_computed_from_the_packet() {
    let sample = Sample::tcp(false, 3_000);
    let packet = sample.super_packet();
    let mut header = sample.header(1_000);
    header.hdr_len = 9_999;
    header.flags |= VirtioNetHeader::DATA_VALID;
    header.gso_type |= VirtioNetHeader::GSO_ECN;
    let checked = check(&header, &packet).unwrap();
    assert_eq!(checked.hdr_len, 40);
    assert_eq!(checked.flags, VirtioNetHeader::NEEDS_CSUM);
    assert_eq!(checked.gso_type, 0x81);
}

#[test]
fn a_super_packet_of_one_segment_is_a_packet() {
    let sample = Sample::tcp(false, 1_000);
    assert_eq!(check(&sample.header(1_000), &sample.super_packet()), Ok(sample.header(0)));
    assert_eq!(check(&sample.header(999), &sample.super_packet()), Ok(sample.header(999)));
    let empty = Sample::udp(true, 0);
    assert_eq!(check(&empty.header(5), &empty.super_packet()), Ok(empty.header(0)));
}

#[test]
fn a_complete_packet_needs_nothing() {
    let packet = Sample::tcp(false, 100).super_packet();
    let claim = VirtioNetHeader { flags: VirtioNetHeader::DATA_VALID, hdr_len: 7, ..VirtioNetHeader::NONE };
    assert_eq!(check(&claim, &packet), Ok(VirtioNetHeader::NONE));
    // Without offload, what follows the IP header is not our business.
    let mut fragment = packet;
    fragment[6] = 0x20;
    assert_eq!(check(&VirtioNetHeader::NONE, &fragment), Ok(VirtioNetHeader::NONE));
}

#[test]
fn the_number_of_segments_is_limited() {
    let sample = Sample::udp(false, MAX_SEGMENTS);
    assert_eq!(check(&sample.header(1), &sample.super_packet()), Ok(sample.header(1)));
    let sample = Sample::udp(false, MAX_SEGMENTS + 1);
    let refused = Err(OffloadError::TooManySegments(MAX_SEGMENTS + 1));
    assert_eq!(check(&sample.header(1), &sample.super_packet()), refused);
}

proptest! {
    #[test]
    fn what_kernels_send_is_accepted(sample in any_sample(), gso_size in 10..1_500_u16) {
        let checked = check(&sample.header(gso_size), &sample.super_packet());
        let size = if sample.payload.len() > usize::from(gso_size) { gso_size } else { 0 };
        prop_assert_eq!(checked, Ok(sample.header(size)));
    }

    #[test]
    fn any_bytes_keep_the_fuzzers_promises(data in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_offload(&data);
    }

    #[test]
    fn samples_with_broken_bytes_keep_the_fuzzers_promises(
        sample in any_sample(),
        gso_size in 1..1_500_u16,
        broken in prop::collection::vec((0..80_usize, any::<u8>()), 0..4),
    ) {
        let mut data = [sample.header(gso_size).to_wire().to_vec(), sample.super_packet()].concat();
        for (at, byte) in broken {
            if let Some(place) = data.get_mut(at) {
                *place = byte;
            }
        }
        fuzz_offload(&data);
    }
}
