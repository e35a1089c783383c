// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;

use super::*;
use crate::packet::samples::*;

fn answer_to(packet: &[u8], why: Unreachable) -> Result<Vec<u8>, GatewayDrop> {
    let mut buffer = [0; MAX_ANSWER];
    let len = IcmpAnswers::default().unreachable(packet, why, Timestamp::default(), &mut buffer)?;
    Ok(buffer[..len].to_vec())
}

/// The sum of RFC 1071 over all words; 0xFFFF where a checksum within holds.
fn sum(bytes: &[u8]) -> u64 {
    let mut sum = 0_u64;
    for pair in bytes.chunks(2) {
        sum += u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum
}

fn checksums_hold(answer: &[u8]) -> bool {
    if answer[0] >> 4 == 4 {
        return sum(&answer[..20]) == 0xFFFF && sum(&answer[20..]) == 0xFFFF;
    }
    let pseudo_header = [&answer[8..40], &[0, 0, answer[4], answer[5], 0, 0, 0, ICMPV6]].concat();
    sum(&[&pseudo_header, &answer[40..]].concat()) == 0xFFFF
}

#[test]
fn the_ipv4_answer_is_golden() {
    let packet = ip("10.1.0.1", "10.2.0.2", UDP, &udp(5, 6, b"data"));
    let answer = answer_to(&packet, Unreachable::NoRoute).unwrap();
    let header = [0x45, 0xC0, 0, 60, 0, 0, 0x40, 0, 64, 1, 0x25, 0xFC, 10, 2, 0, 2, 10, 1, 0, 1];
    assert_eq!(answer[..20], header);
    assert_eq!(answer[20..22], [3, 0]);
    assert_eq!(answer[24..28], [0; 4]);
    assert_eq!(answer[28..], packet);
    assert!(checksums_hold(&answer));
}

#[test]
fn the_ipv6_answer_is_golden() {
    let packet = ip("fd69:7264::1", "fd69:7264::2", TCP, &tcp(5, 6, SYN));
    let answer = answer_to(&packet, Unreachable::Remote).unwrap();
    assert_eq!(answer[..8], [0x6C, 0, 0, 0, 0, 68, 58, 64]);
    assert_eq!(answer[8..24], packet[24..40]);
    assert_eq!(answer[24..40], packet[8..24]);
    assert_eq!(answer[40..42], [1, 3]);
    assert_eq!(answer[44..48], [0; 4]);
    assert_eq!(answer[48..], packet);
    assert!(checksums_hold(&answer));
}

#[test]
fn each_reason_has_its_code() {
    let v4 = ip("10.1.0.1", "10.2.0.2", UDP, &udp(5, 6, b""));
    let v6 = ip("fd69:7264::1", "fd69:7264::2", UDP, &udp(5, 6, b""));
    for (why, code4, code6) in [(Unreachable::NoRoute, 0, 0), (Unreachable::Remote, 1, 3)] {
        assert_eq!(answer_to(&v4, why).unwrap()[20..22], [3, code4]);
        assert_eq!(answer_to(&v6, why).unwrap()[40..42], [1, code6]);
    }
}

fn too_big(header: &VirtioNetHeader, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [0; MAX_ANSWER];
    let len =
        IcmpAnswers::default().too_big(header, packet, 1382, Timestamp::default(), &mut buffer).unwrap();
    assert!(checksums_hold(&buffer[..len]));
    buffer[..len].to_vec()
}

#[test]
fn too_big_tells_the_mtu_where_each_family_has_it() {
    let v4 = ip("10.1.0.1", "10.2.0.2", UDP, &udp(5, 6, &[9; 1400]));
    let answer = too_big(&VirtioNetHeader::NONE, &v4);
    assert_eq!((&answer[20..22], &answer[24..28]), (&[3, 4][..], &[0, 0, 0x05, 0x66][..]));
    assert_eq!((answer.len(), &answer[28..]), (576, &v4[..548]));
    let v6 = ip("fd69:7264::1", "fd69:7264::2", UDP, &udp(5, 6, &[9; 1400]));
    let answer = too_big(&VirtioNetHeader::NONE, &v6);
    assert_eq!((&answer[40..42], &answer[44..48]), (&[2, 0][..], &[0, 0, 0x05, 0x66][..]));
    assert_eq!((answer.len(), &answer[48..]), (1280, &v6[..1232]));
}

#[test]
fn of_a_super_packet_the_first_segment_is_quoted_with_its_checksum() {
    let packet = ip("10.1.0.1", "10.2.0.2", TCP, &[tcp(5, 6, ACK), vec![7; 9000]].concat());
    let header = VirtioNetHeader {
        flags: VirtioNetHeader::NEEDS_CSUM,
        gso_type: 1,
        hdr_len: 40,
        gso_size: 400,
        csum_start: 20,
        csum_offset: 16,
    };
    let answer = too_big(&header, &packet);
    let quote = &answer[28..];
    assert_eq!(quote.len(), 440, "the whole segment");
    assert_eq!(quote[2..4], 440_u16.to_be_bytes());
    assert_eq!(quote[20..36], packet[20..36], "ports and sequence number, by which the sender knows it");
    assert_eq!(sum(&quote[..20]), 0xFFFF);
    let pseudo_header = [&quote[12..20], &[0, TCP], &420_u16.to_be_bytes()].concat();
    assert_eq!(sum(&[&pseudo_header, &quote[20..]].concat()), 0xFFFF);
    // A header that is not true of the packet changes nothing but that.
    let answer = too_big(&VirtioNetHeader { csum_start: 3, ..header }, &packet);
    assert_eq!(answer[28..], packet[..548]);
}

#[test]
fn both_answers_share_one_bucket() {
    let mut answers = IcmpAnswers::default();
    let packet = ip("10.1.0.1", "10.2.0.2", UDP, &udp(5, 6, b""));
    let mut buffer = [0; MAX_ANSWER];
    let now = Timestamp::default();
    for _ in 0..25 {
        assert!(answers.unreachable(&packet, Unreachable::Remote, now, &mut buffer).is_ok());
        assert!(answers.too_big(&VirtioNetHeader::NONE, &packet, 1280, now, &mut buffer).is_ok());
    }
    let limited = answers.too_big(&VirtioNetHeader::NONE, &packet, 1280, now, &mut buffer);
    assert_eq!(limited, Err(GatewayDrop::IcmpLimited));
}

#[test]
fn long_packets_are_quoted_as_far_as_the_answer_may_reach() {
    let v4 = ip("10.1.0.1", "10.2.0.2", UDP, &udp(5, 6, &[9; 60_000]));
    let answer = answer_to(&v4, Unreachable::NoRoute).unwrap();
    assert_eq!(answer.len(), 576);
    assert_eq!(answer[28..], v4[..548]);
    let v6 = ip("fd69:7264::1", "fd69:7264::2", UDP, &udp(5, 6, &[9; 60_000]));
    let answer = answer_to(&v6, Unreachable::NoRoute).unwrap();
    assert_eq!(answer.len(), 1280);
    assert_eq!(answer[48..], v6[..1232]);
    assert!(checksums_hold(&answer));
}

#[test]
fn what_must_not_be_answered_is_not() {
    let error = answer_to(&ip("10.1.0.1", "10.2.0.2", UDP, &udp(5, 6, b"")), Unreachable::NoRoute).unwrap();
    let forbidden = Err(GatewayDrop::IcmpForbidden);
    assert_eq!(answer_to(&error, Unreachable::NoRoute), forbidden);
    let redirect = ip("10.1.0.1", "10.2.0.2", ICMP, &icmp(5, 0, [0; 4], &[]));
    assert_eq!(answer_to(&redirect, Unreachable::NoRoute), forbidden);
    let redirect = ip("fd69:7264::1", "fd69:7264::2", ICMPV6, &icmp(137, 0, [0; 4], &[]));
    assert_eq!(answer_to(&redirect, Unreachable::NoRoute), forbidden);
    let later = v4([10, 1, 0, 1].into(), [10, 2, 0, 2].into(), UDP, 0x0001, &[0; 8]);
    assert_eq!(answer_to(&later, Unreachable::NoRoute), forbidden);
    let group = ip("10.1.0.1", "224.0.0.1", UDP, &udp(5, 6, b""));
    assert_eq!(answer_to(&group, Unreachable::NoRoute), Err(GatewayDrop::Multicast));
    let nobody = ip("::", "fd69:7264::2", UDP, &udp(5, 6, b""));
    assert_eq!(answer_to(&nobody, Unreachable::NoRoute), Err(GatewayDrop::MartianSource));
    // A ping is a question and is answered.
    assert!(answer_to(&ip("10.1.0.1", "10.2.0.2", ICMP, &echo(8, 1)), Unreachable::NoRoute).is_ok());
}

#[test]
fn answers_are_limited_to_a_burst_and_a_rate() {
    let mut answers = IcmpAnswers::default();
    let packet = ip("10.1.0.1", "10.2.0.2", UDP, &udp(5, 6, b""));
    let mut at = |millis: u64| {
        let now = Timestamp::default() + Duration::from_millis(millis);
        answers.unreachable(&packet, Unreachable::NoRoute, now, &mut [0; MAX_ANSWER])
    };
    for _ in 0..50 {
        assert!(at(1000).is_ok());
    }
    assert_eq!(at(1000), Err(GatewayDrop::IcmpLimited));
    assert_eq!(at(1009), Err(GatewayDrop::IcmpLimited));
    assert!(at(1010).is_ok());
    assert_eq!(at(1010), Err(GatewayDrop::IcmpLimited));
    assert_eq!((0..99).filter(|_| at(60_000).is_ok()).count(), 50);
}

proptest! {
    #[test]
    fn any_bytes_are_answered_rightly_or_not_at_all(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzz::fuzz_icmp_answer(&bytes);
    }

    #[test]
    fn any_payload_is_quoted_under_valid_checksums(data in prop::collection::vec(any::<u8>(), 0..2000), v6: bool) {
        let packet = if v6 {
            ip("fd69:7264::1", "2001:db8::2", 99, &data)
        } else {
            ip("10.1.0.1", "192.0.2.2", 99, &data)
        };
        crate::fuzz::fuzz_icmp_answer(&packet);
        prop_assert!(checksums_hold(&answer_to(&packet, Unreachable::Remote).unwrap()));
    }
}
