// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packets with wrong lengths, options, extension headers, fragments, addresses and kinds, out of the session of a remote
//! that may connect to us: each is dropped for its own reason, and the kernel sees none.

use std::net::IpAddr;

use crate::device::{OPEN_PORT, Victim};
use crate::packets::{
    ICMP, ICMPV6, PORT, TCP, UDP, changed, datagram, icmp, ip, set_length, syn, tcp, v4, v6, with_extensions,
    with_options,
};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// Padding, which any extension header with options may hold.
const PADDING: [u8; 7] = [0, 1, 4, 0, 0, 0, 0];

/// What is wrong, the reason under which it is dropped, and the packet.
type Row = (&'static str, &'static str, Vec<u8>);

type Ends = (IpAddr, IpAddr);

/// Sends every row: each is counted once under its reason, the kernel sees none, and all else goes on.
fn are_refused(rows: impl FnOnce(Ends, Ends) -> Vec<Row>) {
    let victim = Victim::new();
    let before = victim.device();
    let mut books = victim.books();
    for (name, reason, packet) in rows(victim.v4, victim.v6) {
        victim.send(&packet);
        books.expect_row(name, reason);
    }
    victim.has_refused_all(before, books);
}

#[test]
fn wrong_lengths() {
    are_refused(|v4, v6| {
        let (syn4, syn6) = (syn(v4.0, v4.1, OPEN_PORT), syn(v6.0, v6.1, OPEN_PORT));
        let four = |change: fn(&mut Vec<u8>)| changed(&syn4, change);
        let six = |change: fn(&mut Vec<u8>)| changed(&syn6, change);
        let telling = |length| changed(&datagram(v4.0, v4.1, OPEN_PORT), |packet| packet[25] = length);
        vec![
            ("one byte", "too_short", vec![0x45]),
            ("19 bytes of IPv4", "too_short", syn4[..19].to_vec()),
            ("39 bytes of IPv6", "too_short", syn6[..39].to_vec()),
            ("version 0", "bad_version", six(|packet| packet[0] = 0x00)),
            ("version 5", "bad_version", four(|packet| packet[0] = 0x55)),
            ("an IPv4 header of 16 bytes", "bad_ip_header", four(|packet| packet[0] = 0x44)),
            ("an IPv4 header beyond the packet", "bad_ip_header", four(|packet| packet[0] = 0x4f)),
            ("IPv4, one byte cut off", "length_mismatch", syn4[..39].to_vec()),
            ("IPv4, a byte too many", "length_mismatch", [&syn4[..], &[0]].concat()),
            ("IPv4, less than its header", "length_mismatch", four(|packet| packet[3] = 19)),
            ("IPv6, one byte cut off", "length_mismatch", syn6[..59].to_vec()),
            ("IPv6, a byte too many", "length_mismatch", [&syn6[..], &[0]].concat()),
            ("IPv6, a jumbogram", "length_mismatch", six(|packet| packet[5] = 0)),
            ("IPv4, no hops", "hop_limit_zero", four(|packet| packet[8] = 0)),
            ("IPv6, no hops", "hop_limit_zero", six(|packet| packet[7] = 0)),
            ("a TCP header of 16 bytes", "bad_transport", four(|packet| packet[32] = 0x40)),
            ("a TCP header beyond the packet", "bad_transport", six(|packet| packet[52] = 0x60)),
            ("19 bytes of TCP", "bad_transport", cut(&syn4)),
            ("7 bytes of UDP", "bad_transport", cut(&datagram(v6.0, v6.1, OPEN_PORT))),
            ("UDP, more than there is", "bad_transport", telling(9)),
            ("UDP, less than its header", "bad_transport", telling(7)),
            ("7 bytes of ICMP", "bad_transport", cut(&icmp(v4.0, v4.1, 8, &[0, 7, 0, 1]))),
        ]
    });
}

/// A packet that lacks its last byte and says so.
fn cut(packet: &[u8]) -> Vec<u8> {
    changed(packet, |packet| {
        packet.pop();
        set_length(packet);
    })
}

#[test]
fn wrong_options_and_extension_headers() {
    are_refused(|v4, v6| {
        let (syn4, syn6) = (syn(v4.0, v4.1, OPEN_PORT), syn(v6.0, v6.1, OPEN_PORT));
        let options = |options: &[u8]| with_options(&syn4, options);
        let extended = |chain: &[(u8, [u8; 7])]| with_extensions(&syn6, chain);
        let source_route = [4, 0, 1, 0, 0, 0, 0];
        vec![
            ("a loose source route", "source_route", options(&[131, 7, 4, 10, 66, 1, 9, 0])),
            ("a strict source route", "source_route", options(&[1, 137, 7, 4, 10, 66, 1, 9])),
            ("an option of no bytes", "bad_ip_header", options(&[7, 0, 4, 0])),
            ("an option of one byte", "bad_ip_header", options(&[7, 1, 4, 0])),
            ("an option beyond the header", "bad_ip_header", options(&[7, 39, 4, 0])),
            ("an option without its length", "bad_ip_header", options(&[1, 1, 1, 7])),
            ("a routing header", "source_route", extended(&[(ROUTING, source_route)])),
            (
                "a routing header behind others",
                "source_route",
                extended(&[(HOP_BY_HOP, PADDING), (DESTINATION, PADDING), (ROUTING, source_route)]),
            ),
            (
                "hop-by-hop options in the second place",
                "bad_extension",
                extended(&[(DESTINATION, PADDING), (HOP_BY_HOP, PADDING)]),
            ),
            (
                "options beyond the packet",
                "bad_extension",
                extended(&[(DESTINATION, [40, 1, 4, 0, 0, 0, 0])]),
            ),
            (
                "two fragment headers",
                "bad_extension",
                extended(&[(FRAGMENT, first_fragment(7)), (FRAGMENT, first_fragment(8))]),
            ),
            ("nine extension headers", "extension_chain", extended(&[(DESTINATION, PADDING); 9])),
            ("ICMPv6 in IPv4", "bad_ip_header", ip(v4.0, v4.1, ICMPV6, vec![128, 0, 0, 0, 0, 7, 0, 1], 2)),
            ("ICMP in IPv6", "bad_ip_header", ip(v6.0, v6.1, ICMP, vec![8, 0, 0, 0, 0, 7, 0, 1], 2)),
        ]
    });
}

/// A fragment header behind its first byte: at the beginning, with more to come.
const fn first_fragment(id: u8) -> [u8; 7] {
    [0, 0, 1, 0, 0, 0, id]
}

#[test]
fn fragments_that_nothing_came_before() {
    are_refused(|v4, v6| {
        let fragment = |protocol, place: u16| {
            let [high, low] = (place / 8).to_be_bytes();
            changed(&ip(v4.0, v4.1, protocol, vec![1; 24], 16), |packet| {
                packet[6..8].copy_from_slice(&[high, low]);
            })
        };
        let later = |place: u16| {
            let [high, low] = place.to_be_bytes();
            with_extensions(&datagram(v6.0, v6.1, OPEN_PORT), &[(FRAGMENT, [0, high, low, 0, 0, 0, 9])])
        };
        vec![
            ("a fragment over a TCP header", "bad_fragment", fragment(TCP, 8)),
            ("the ping of death", "bad_fragment", fragment(ICMP, 65_528)),
            ("the same of IPv6", "bad_fragment", later(65_528)),
            ("a later fragment of TCP", "unknown_fragment", fragment(TCP, 24)),
            ("a later fragment of UDP", "unknown_fragment", fragment(UDP, 1_480)),
            ("a later fragment of IPv6", "unknown_fragment", later(1_432)),
            (
                "a first fragment without the ports",
                "bad_transport",
                changed(&cut(&datagram(v4.0, v4.1, OPEN_PORT)), |packet| packet[6] = 0x20),
            ),
        ]
    });
}

#[test]
fn addresses_that_no_packet_may_carry() {
    are_refused(|ends4, ends6| {
        let mut rows = Vec::new();
        let sources =
            ["0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"];
        rows.extend(sources.map(|source| (source, "martian_source", syn(v4(source), ends4.1, OPEN_PORT))));
        let sources = ["::", "::1", "fe80::1", "ff02::1", "::ffff:10.66.9.1"];
        let from = |source: &str| syn(v6(source.parse().unwrap()), ends6.1, OPEN_PORT);
        rows.extend(sources.map(|source| (source, "martian_source", from(source))));
        // The last is that of A's own subnet.
        let targets = ["0.0.0.0", "127.0.0.1", "169.254.1.1", "255.255.255.255", "10.66.1.255"];
        rows.extend(
            targets.map(|target| (target, "martian_destination", datagram(ends4.0, v4(target), OPEN_PORT))),
        );
        let to = |target: &str| datagram(ends6.0, v6(target.parse().unwrap()), OPEN_PORT);
        let targets = ["::", "::1", "fe80::1"];
        rows.extend(targets.map(|target| (target, "martian_destination", to(target))));
        // Land packets: from the attacker's own addresses, and in A's name.
        for (name, host) in [("land", ends4.0), ("land of IPv6", ends6.0), ("land in A's name", ends4.1)] {
            rows.push((name, "land", syn(host, host, PORT)));
            rows.push((name, "land", datagram(host, host, PORT)));
        }
        for ends in [ends4, ends6] {
            rows.push(("A to itself", "source_not_allowed", syn(ends.1, ends.1, OPEN_PORT)));
        }
        rows
    });
}

#[test]
fn kinds_that_no_flow_of_ours_asked_for() {
    const REDIRECT: u8 = 5;
    are_refused(|v4, v6| {
        let body = [0; 16];
        let control = |ends: Ends, kind| icmp(ends.0, ends.1, kind, &body);
        let segment = |flags| tcp(v4.0, v4.1, (PORT, OPEN_PORT), flags, &[]);
        let quoting = |ends: Ends, kind| {
            icmp(ends.0, ends.1, kind, &[&[0; 4], &syn(ends.1, ends.0, OPEN_PORT)[..]].concat())
        };
        vec![
            ("a redirect", "icmp_type", control(v4, REDIRECT)),
            ("a router advertisement", "icmp_type", control(v4, 9)),
            ("a timestamp request", "icmp_type", control(v4, 13)),
            ("a router advertisement of IPv6", "icmp_type", control(v6, 134)),
            ("a neighbour advertisement", "icmp_type", control(v6, 136)),
            ("a redirect of IPv6", "icmp_type", control(v6, 137)),
            ("unreachable, about nothing of ours", "unrelated_icmp", quoting(v4, 3)),
            ("too big, about nothing of ours", "unrelated_icmp", quoting(v6, 2)),
            ("an error about nothing", "unrelated_icmp", control(v4, 11)),
            ("an echo reply", "no_flow", control(v4, 0)),
            ("an acknowledgement", "no_flow", segment(0x10)),
            ("an answer to a connection", "no_flow", segment(0x12)),
            ("a reset", "no_flow", segment(0x04)),
            ("no flag at all", "no_flow", segment(0)),
            ("a connection to another port", "inbound_connection", syn(v4.0, v4.1, OPEN_PORT + 1)),
            ("a datagram to another port", "no_flow", datagram(v6.0, v6.1, OPEN_PORT + 1)),
            ("IP in IP", "no_flow", ip(v4.0, v4.1, 4, syn(v4.0, v4.1, OPEN_PORT), 36)),
            ("GRE", "no_flow", ip(v6.0, v6.1, 47, vec![0; 8], 6)),
        ]
    });
}
