// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;

use super::samples::*;
use super::*;
use crate::drop_reason::GatewayDrop as Drop;

const A4: &str = "10.1.0.1";
const B4: &str = "10.2.0.2";
const A6: &str = "fd69:7264::1";
const B6: &str = "fd69:7264::2";

fn parse(packet: &[u8]) -> Result<PacketInfo, Drop> {
    PacketInfo::parse(packet)
}

fn fragment4(protocol: u8, field: u16, payload: &[u8]) -> Vec<u8> {
    v4(A4.parse().unwrap(), B4.parse().unwrap(), protocol, field, payload)
}

/// An IPv6 fragment header: next header, offset in bytes with the flag of more, identification 7.
fn fragment6(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend((offset | u16::from(more)).to_be_bytes());
    bytes.extend([0, 0, 0, 7]);
    bytes.extend(payload);
    ip(A6, B6, 44, &bytes)
}

#[test]
fn a_tcp_packet_says_everything() {
    let info = parse(&ip(A4, B4, TCP, &tcp(4000, 22, SYN))).unwrap();
    assert_eq!(info.source, A4.parse::<IpAddr>().unwrap());
    assert_eq!(info.destination, B4.parse::<IpAddr>().unwrap());
    assert_eq!((info.protocol, info.hop_limit, info.header_len), (TCP, 64, 20));
    assert_eq!(info.fragment, Fragment::Whole);
    let flags = TcpFlags { syn: true, ..TcpFlags::default() };
    assert_eq!(info.transport, Transport::Tcp { source: 4000, destination: 22, flags });
    let tuple = info.tuple().unwrap();
    assert_eq!((tuple.source.1, tuple.destination.1), (4000, 22));
}

#[test]
fn a_super_packet_of_full_size_is_a_packet() {
    let mut segment = tcp(4000, 22, ACK);
    segment.resize(65_535 - 20, 0);
    assert_eq!(parse(&ip(A4, B4, TCP, &segment)).unwrap().header_len, 20);
    segment.resize(65_535, 0);
    assert_eq!(parse(&ip(A6, B6, TCP, &segment)).unwrap().header_len, 40);
}

#[test]
fn echo_tuples_of_request_and_reply_are_each_others_reverse() {
    for (a, b, protocol, request, reply) in [(A4, B4, ICMP, 8, 0), (A6, B6, ICMPV6, 128, 129)] {
        let request = parse(&ip(a, b, protocol, &echo(request, 77))).unwrap().tuple().unwrap();
        let reply = parse(&ip(b, a, protocol, &echo(reply, 77))).unwrap().tuple().unwrap();
        assert_eq!(request.source.1, 77);
        assert_eq!((request.source, request.destination), (reply.destination, reply.source));
    }
}

#[test]
fn lengths_must_match() {
    let packet = ip(A4, B4, UDP, &udp(1, 2, b"data"));
    assert_eq!(parse(&[]), Err(Drop::TooShort));
    assert_eq!(parse(&packet[..19]), Err(Drop::TooShort));
    assert_eq!(parse(&packet[..packet.len() - 1]), Err(Drop::LengthMismatch));
    assert_eq!(parse(&[&packet[..], &[0]].concat()), Err(Drop::LengthMismatch));
    let packet = ip(A6, B6, UDP, &udp(1, 2, b"data"));
    assert_eq!(parse(&packet[..39]), Err(Drop::TooShort));
    assert_eq!(parse(&packet[..packet.len() - 1]), Err(Drop::LengthMismatch));
    // A jumbogram's length of 0 (RFC 2675).
    let mut jumbo = packet;
    jumbo[4..6].fill(0);
    assert_eq!(parse(&jumbo), Err(Drop::LengthMismatch));
}

#[test]
fn a_whole_datagram_has_what_its_header_tells() {
    let telling = |length: u8| {
        let mut datagram = udp(1, 2, b"data");
        datagram[5] = length;
        datagram
    };
    for (length, expected) in [(7, false), (8, true), (12, true), (13, false)] {
        let parsed = parse(&ip(A4, B4, UDP, &telling(length)));
        assert_eq!(parsed.map(drop), if expected { Ok(()) } else { Err(Drop::BadTransport) }, "{length}");
    }
    // The rest is in other fragments.
    let mut first = ip(A4, B4, UDP, &telling(13));
    first[6] = 0x20;
    assert!(parse(&first).is_ok());
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let mut packet = ip(A4, B4, UDP, &udp(1, 2, b""));
    packet[0] = 0x55;
    assert_eq!(parse(&packet), Err(Drop::BadVersion));
    packet[0] = 0x44;
    assert_eq!(parse(&packet), Err(Drop::BadIpHeader));
    packet[0] = 0x4F;
    assert_eq!(parse(&packet), Err(Drop::BadIpHeader));
    packet[0] = 0x45;
    packet[3] = 19;
    assert_eq!(parse(&packet), Err(Drop::LengthMismatch));
    packet[3] = 28;
    packet[8] = 0;
    assert_eq!(parse(&packet), Err(Drop::HopLimitZero));
    assert_eq!(parse(&ip(A4, B4, ICMPV6, &echo(128, 1))), Err(Drop::BadIpHeader));
    assert_eq!(parse(&ip(A6, B6, ICMP, &echo(8, 1))), Err(Drop::BadIpHeader));
}

#[test]
fn transport_headers_must_be_complete() {
    assert_eq!(parse(&ip(A4, B4, TCP, &tcp(1, 2, SYN)[..19])), Err(Drop::BadTransport));
    assert_eq!(parse(&ip(A4, B4, UDP, &udp(1, 2, b"")[..7])), Err(Drop::BadTransport));
    assert_eq!(parse(&ip(A6, B6, ICMPV6, &echo(128, 1)[..7])), Err(Drop::BadTransport));
    let mut segment = tcp(1, 2, SYN);
    segment[12] = 0x40;
    assert_eq!(parse(&ip(A4, B4, TCP, &segment)), Err(Drop::BadTransport));
    // A protocol that we do not know has no header to check.
    assert_eq!(parse(&ip(A4, B4, 50, &[])).unwrap().transport, Transport::Other);
}

#[test]
fn martians_are_refused() {
    let with = |source, destination| parse(&ip(source, destination, UDP, &udp(1, 2, b"")));
    for martian in
        ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "169.254.1.1"]
    {
        assert_eq!(with(martian, B4), Err(Drop::MartianSource), "{martian}");
    }
    for martian in ["::", "::1", "ff02::1", "fe80::1", "::ffff:10.0.0.1"] {
        assert_eq!(with(martian, B6), Err(Drop::MartianSource), "{martian}");
    }
    assert_eq!(with(A4, "127.0.0.1"), Err(Drop::MartianDestination));
    assert_eq!(with(A4, "255.255.255.255"), Err(Drop::MartianDestination));
    assert_eq!(with(A6, "fe80::1"), Err(Drop::MartianDestination));
    assert_eq!(with(A4, "224.0.0.251"), Err(Drop::Multicast));
    assert_eq!(with("fe80::1", "ff02::16"), Err(Drop::Multicast));
}

#[test]
fn land_packets_are_refused_but_ping_of_oneself_is_not() {
    assert_eq!(parse(&ip(A4, A4, TCP, &tcp(80, 80, SYN))), Err(Drop::Land));
    assert_eq!(parse(&ip(A6, A6, UDP, &udp(7, 7, b""))), Err(Drop::Land));
    assert!(parse(&ip(A4, A4, TCP, &tcp(4000, 80, SYN))).is_ok());
    assert!(parse(&ip(A4, A4, ICMP, &echo(8, 5))).is_ok());
}

#[test]
fn source_routes_are_refused() {
    let mut packet = ip(A4, B4, UDP, &udp(1, 2, b""));
    packet.splice(20..20, [1, 131, 3, 4]);
    packet[0] = 0x46;
    packet[3] += 4;
    assert_eq!(parse(&packet), Err(Drop::SourceRoute));
    packet[20..24].copy_from_slice(&[7, 3, 4, 0]);
    assert_eq!(parse(&packet).unwrap().header_len, 24);
    packet[20..24].copy_from_slice(&[7, 5, 4, 0]);
    assert_eq!(parse(&packet), Err(Drop::BadIpHeader));
    packet[20..24].copy_from_slice(&[7, 1, 4, 0]);
    assert_eq!(parse(&packet), Err(Drop::BadIpHeader));
    assert_eq!(parse(&ip(A6, B6, 43, &[UDP, 0, 0, 0, 0, 0, 0, 0])), Err(Drop::SourceRoute));
}

#[test]
fn extension_headers_are_followed_up_to_a_limit() {
    let destination_options = [60, 0, 1, 4, 0, 0, 0, 0];
    let last = [UDP, 0, 1, 4, 0, 0, 0, 0];
    let chain = |headers: usize| {
        let mut bytes = destination_options.repeat(headers - 1);
        bytes.extend(last);
        bytes.extend(udp(5, 6, b""));
        parse(&ip(A6, B6, 60, &bytes))
    };
    let info = chain(6).unwrap();
    assert_eq!(info.transport, Transport::Udp { source: 5, destination: 6 });
    assert_eq!(info.header_len, 40 + 6 * 8);
    assert_eq!(chain(7), Err(Drop::ExtensionChain));
    assert_eq!(parse(&ip(A6, B6, 60, &last[..7])), Err(Drop::BadExtension));
    // Hop-by-hop options stand first or not at all.
    let hop_by_hop = [&[0, 0, 1, 4, 0, 0, 0, 0], &last[..]].concat();
    assert_eq!(parse(&ip(A6, B6, 60, &hop_by_hop)), Err(Drop::BadExtension));
    // Two fragment headers.
    assert_eq!(parse(&fragment6(44, 0, true, &[UDP, 0, 0, 0, 0, 0, 0, 7])), Err(Drop::BadExtension));
}

#[test]
fn fragments_are_told_apart() {
    let datagram = udp(5, 6, b"12345678");
    let info = parse(&fragment4(UDP, 0x2000, &datagram)).unwrap();
    assert_eq!(info.fragment, Fragment::First { id: 0xABCD });
    assert!(info.tuple().is_some());
    let info = parse(&fragment4(UDP, 0x2001, &datagram)).unwrap();
    assert_eq!(info.fragment, Fragment::Later { id: 0xABCD, offset: 8 });
    assert_eq!((info.transport, info.tuple()), (Transport::LaterFragment, None));
    assert_eq!(parse(&fragment6(UDP, 0, true, &datagram)).unwrap().fragment, Fragment::First { id: 7 });
    assert_eq!(parse(&fragment6(UDP, 0, false, &datagram)).unwrap().fragment, Fragment::Whole);
    let later = parse(&fragment6(UDP, 16, false, &datagram)).unwrap();
    assert_eq!((later.fragment, later.protocol), (Fragment::Later { id: 7, offset: 16 }, UDP));
}

#[test]
fn fragments_cannot_overwrite_headers_or_overflow() {
    assert_eq!(parse(&fragment4(TCP, 0x2000, &tcp(1, 2, SYN)[..16])), Err(Drop::BadTransport));
    assert_eq!(parse(&fragment4(TCP, 0x0001, &[0; 16])), Err(Drop::BadFragment));
    assert_eq!(parse(&fragment4(TCP, 0x0002, &[0; 16])), Err(Drop::BadFragment));
    assert!(parse(&fragment4(TCP, 0x0003, &[0; 16])).is_ok());
    assert!(parse(&fragment4(UDP, 0x1FFF, &[0; 7])).is_ok());
    assert_eq!(parse(&fragment4(UDP, 0x1FFF, &[0; 8])), Err(Drop::BadFragment));
}

#[test]
fn an_icmp_error_quotes_the_packet_of_its_recipient() {
    let ours = ip(A4, B4, TCP, &tcp(4000, 22, SYN));
    let error = ip(B4, A4, ICMP, &icmp(3, 1, [0; 4], &ours[..28]));
    let info = parse(&error).unwrap();
    assert_eq!((info.transport, info.tuple()), (Transport::IcmpError, None));
    assert_eq!(info.quoted(&error), parse(&ours).unwrap().tuple());
    let short = ip(B4, A4, ICMP, &icmp(3, 1, [0; 4], &ours[..23]));
    assert_eq!(parse(&short).unwrap().quoted(&short), None);
    let foreign = ip(B4, "10.1.0.9", ICMP, &icmp(3, 1, [0; 4], &ours[..28]));
    assert_eq!(parse(&foreign).unwrap().quoted(&foreign), None);

    let ours = ip(A6, B6, UDP, &udp(5, 6, b"data"));
    let error = ip(B6, A6, ICMPV6, &icmp(2, 0, [0, 0, 5, 0], &ours));
    assert_eq!(parse(&error).unwrap().quoted(&error), parse(&ours).unwrap().tuple());
    assert_eq!(parse(&ours).unwrap().quoted(&ours), None);
}

#[test]
fn other_icmp_types_are_no_errors() {
    assert_eq!(
        parse(&ip(A4, B4, ICMP, &icmp(5, 0, [0; 4], &[]))).unwrap().transport,
        Transport::OtherIcmp(5)
    );
    for kind in [0, 5, 127, 134, 137] {
        let info = parse(&ip(A6, B6, ICMPV6, &icmp(kind, 0, [0; 4], &[]))).unwrap();
        assert_eq!(info.transport, Transport::OtherIcmp(kind));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::fuzz::fuzz_packet(&bytes);
    }

    #[test]
    fn any_change_of_a_packet_is_answered(at in 0_usize..60, to: u8, v6: bool) {
        let mut packet = if v6 {
            ip(A6, B6, UDP, &udp(5, 6, b"123456789012"))
        } else {
            ip(A4, B4, TCP, &tcp(5, 6, ACK))
        };
        if let Some(byte) = packet.get_mut(at) {
            *byte = to;
        }
        crate::fuzz::fuzz_packet(&packet);
    }
}
