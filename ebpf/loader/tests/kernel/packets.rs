// SPDX-License-Identifier: AGPL-3.0-or-later
//! Crafted packets are credited to their conversation, and to no other.

use ebpf_loader::Conversation;

use crate::crafted::{
    ACK, IPV4, IPV6, TCP, UDP, conversation, ethernet, extension, ipv4, ipv4_with, ipv6, tcp, turned, udp,
};
use crate::test_run::{About, Loaded, Program};

const ICMP: u8 = 1;
const GRE: u8 = 47;
const ICMP_V6: u8 = 58;
const NO_NEXT_HEADER: u8 = 59;

/// Programs that follow every conversation of the crafted packets.
struct Scene {
    loaded: Loaded,
    all: Vec<Conversation>,
}

impl Scene {
    fn new() -> Option<Self> {
        let mut loaded = Loaded::new()?;
        let protocols = [TCP, UDP, ICMP, GRE, ICMP_V6, NO_NEXT_HEADER];
        let mut all: Vec<_> = [false, true]
            .into_iter()
            .flat_map(|v6| protocols.map(|protocol| conversation(v6, protocol)))
            .collect();
        // Neighbours that differ in one thing only.
        let near = conversation(false, TCP);
        let mut other_port = near;
        other_port.remote.set_port(near.remote.port() + 1);
        let mut our_other_port = near;
        our_other_port.local.set_port(near.local.port() + 1);
        let other_interface = Conversation { interface: near.interface + 1, ..near };
        all.extend([other_port, our_other_port, other_interface]);
        all.iter().for_each(|one| loaded.follow(*one));
        Some(Self { loaded, all })
    }

    /// Runs a packet both ways, and checks who was credited: `owner`, with all bytes, or nobody.
    #[track_caller]
    fn expect(&self, owner: Option<Conversation>, kind: u16, packet: &[u8]) {
        self.expect_one(owner, Program::EthernetIn, &ethernet(&[], kind, packet));
        self.expect_one(owner, Program::IpIn, packet);
        // Only whole headers can be turned round.
        if owner.is_some() && packet.len() >= 48 {
            let back = turned(packet.to_vec());
            self.expect_one(owner, Program::EthernetOut, &ethernet(&[], kind, &back));
            self.expect_one(owner, Program::IpOut, &back);
        }
    }

    #[track_caller]
    fn expect_one(&self, owner: Option<Conversation>, program: Program, bytes: &[u8]) {
        let before: Vec<_> = self.all.iter().map(|one| self.loaded.counters(one)).collect();
        self.loaded.run(program, bytes);
        let len = u64::try_from(bytes.len()).unwrap();
        for (one, before) in self.all.iter().zip(before) {
            let after = self.loaded.counters(one);
            let received = (
                after.received_packets - before.received_packets,
                after.received_bytes - before.received_bytes,
            );
            let sent = (after.sent_packets - before.sent_packets, after.sent_bytes - before.sent_bytes);
            let expected = match (owner == Some(*one), program) {
                (false, _) => [(0, 0), (0, 0)],
                (true, Program::EthernetIn | Program::IpIn) => [(1, len), (0, 0)],
                (true, Program::EthernetOut | Program::IpOut) => [(0, 0), (1, len)],
            };
            assert_eq!([received, sent], expected, "{program:?} {one:?} {bytes:02x?}");
        }
    }
}

#[test]
fn plain_packets_are_credited() {
    let Some(scene) = Scene::new() else { return };
    let data = [7; 100];
    for (v6, kind) in [(false, IPV4), (true, IPV6)] {
        let packet =
            |protocol, payload: &[u8]| if v6 { ipv6(protocol, payload) } else { ipv4(protocol, payload) };
        let owner = |protocol| Some(conversation(v6, protocol));
        scene.expect(owner(TCP), kind, &packet(TCP, &tcp(ACK, &[], &data)));
        scene.expect(owner(UDP), kind, &packet(UDP, &udp(&data)));
    }
}

#[test]
fn protocols_without_ports_are_credited_by_address() {
    let Some(scene) = Scene::new() else { return };
    for protocol in [ICMP, GRE, ICMP_V6, NO_NEXT_HEADER] {
        for bytes in [&[1u8; 40][..], &[], &[1]] {
            let owner = |v6| Some(conversation(v6, protocol));
            scene.expect_one(owner(false), Program::EthernetIn, &ethernet(&[], IPV4, &ipv4(protocol, bytes)));
            scene.expect_one(owner(true), Program::IpIn, &ipv6(protocol, bytes));
        }
    }
    // Nobody follows these, among them the ones that have ports of their own.
    for protocol in [2, 33, 50, 89, 132, 255] {
        scene.expect(None, IPV4, &ipv4(protocol, &udp(&[1; 40])));
    }
}

#[test]
fn what_is_not_ip_is_credited_to_nobody() {
    let Some(scene) = Scene::new() else { return };
    let packet = ipv4(UDP, &udp(&[1; 40]));
    for kind in [0x0806, 0x88cc, 0x0000, 0x05dc, 0x8847, 0xffff, IPV6] {
        scene.expect_one(None, Program::EthernetIn, &ethernet(&[], kind, &packet));
    }
    scene.expect_one(None, Program::EthernetIn, &ethernet(&[], IPV4, &ipv6(UDP, &udp(&[1; 40]))));
    for version in [0, 1, 3, 5, 7, 15] {
        let mut wrong = packet.clone();
        wrong[0] = version << 4 | 5;
        scene.expect(None, IPV4, &wrong);
    }
    for words in 0..5 {
        let mut wrong = packet.clone();
        wrong[0] = 0x40 | words;
        scene.expect(None, IPV4, &wrong);
    }
}

#[test]
fn tags_in_the_bytes_are_credited_to_nobody() {
    let Some(scene) = Scene::new() else { return };
    let (vlan, service) = (0x8100, 0x88a8);
    let (v4, v6) = (ipv4(TCP, &tcp(ACK, &[], &[1; 30])), ipv6(UDP, &udp(&[1; 30])));
    for tags in [&[(vlan, 5)][..], &[(vlan, 0)], &[(service, 7), (vlan, 5)], &[(vlan, 7), (vlan, 5)]] {
        for (kind, packet) in [(IPV4, &v4), (IPV6, &v6)] {
            scene.expect_one(None, Program::EthernetIn, &ethernet(tags, kind, packet));
            scene.expect_one(None, Program::EthernetOut, &ethernet(tags, kind, &turned(packet.clone())));
        }
    }
}

#[test]
fn first_fragments_are_credited_and_later_ones_are_not() {
    let Some(scene) = Scene::new() else { return };
    let (more, last) = (0x2000, 0);
    let datagram = udp(&[1; 64]);
    scene.expect(Some(conversation(false, UDP)), IPV4, &ipv4_with(UDP, &[], more, &datagram));
    // What lies where the ports would be are the neighbour's, and mean nothing.
    for place in [more | 1, more | 0x1fff, last | 1, last | 185] {
        scene.expect(None, IPV4, &ipv4_with(UDP, &[], place, &datagram));
        scene.expect(None, IPV4, &ipv4_with(ICMP, &[], place, &datagram));
    }
    let fragment = |place: u16| {
        let mut header = vec![UDP, 0];
        header.extend(place.to_be_bytes());
        header.extend([0, 0, 0, 7]);
        header.extend(&datagram);
        ipv6(44, &header)
    };
    for first in [1, 0] {
        scene.expect_one(Some(conversation(true, UDP)), Program::IpIn, &fragment(first));
    }
    for later in [8, 8 | 1, 0xfff8] {
        scene.expect(None, IPV6, &fragment(later));
    }
}

#[test]
fn options_of_ipv4_are_passed_over() {
    let Some(scene) = Scene::new() else { return };
    for words in 1..=10 {
        let options = vec![1; words * 4];
        let packet = ipv4_with(TCP, &options, 0x4000, &tcp(ACK, &[], &[1; 20]));
        scene.expect(Some(conversation(false, TCP)), IPV4, &packet);
    }
}

#[test]
fn extension_headers_of_ipv6_are_passed_over_up_to_six() {
    let Some(scene) = Scene::new() else { return };
    let owner = Some(conversation(true, UDP));
    for (kind, units) in [(0, 0), (43, 2), (60, 0), (60, 31)] {
        let packet = ipv6(kind, &[extension(UDP, units), udp(&[1; 20])].concat());
        scene.expect_one(owner, Program::EthernetIn, &ethernet(&[], IPV6, &packet));
    }
    // The length of an authentication header is in words, less two.
    let mut authentication = vec![UDP, 4];
    authentication.resize(24, 0);
    scene.expect_one(owner, Program::IpIn, &ipv6(51, &[authentication, udp(&[1; 20])].concat()));
    for count in 1..=8 {
        let mut chain = Vec::new();
        for left in (0..count).rev() {
            chain.extend(extension(if left == 0 { UDP } else { 60 }, 0));
        }
        chain.extend(udp(&[1; 20]));
        let credited = if count <= 6 { owner } else { None };
        scene.expect_one(credited, Program::IpIn, &ipv6(60, &chain));
    }
    // One that says that it goes beyond the end.
    scene.expect(None, IPV6, &ipv6(60, &extension(UDP, 0)[..]));
    let mut beyond = extension(UDP, 0);
    beyond[1] = 200;
    beyond.extend(udp(&[1; 20]));
    scene.expect(None, IPV6, &ipv6(60, &beyond));
}

#[test]
fn packets_that_are_cut_off_are_credited_to_nobody() {
    let Some(scene) = Scene::new() else { return };
    let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let whole = [
        (IPV4, ipv4(TCP, &tcp(ACK, &options, &[1; 10]))),
        (IPV4, ipv4(UDP, &udp(&[1; 10]))),
        (IPV6, ipv6(TCP, &tcp(ACK, &options, &[1; 10]))),
        (IPV6, ipv6(60, &[extension(TCP, 0), tcp(ACK, &options, &[1; 10])].concat())),
    ];
    for (kind, packet) in whole {
        // A test run wants more bytes than a header of Ethernet has.
        for len in 15..packet.len() {
            scene.expect_one(None, Program::IpIn, &packet[..len]);
        }
        for len in 1..packet.len() {
            scene.expect_one(None, Program::EthernetIn, &ethernet(&[], kind, &packet[..len]));
        }
    }
}

#[test]
fn padding_is_not_taken_for_headers() {
    let Some(scene) = Scene::new() else { return };
    // A packet whose own length ends before the ports, in a frame that has bytes there.
    for (protocol, payload) in [(TCP, tcp(ACK, &[], &[])), (UDP, udp(&[1; 20]))] {
        for says in [20u16, 22, 24, 27] {
            let mut packet = ipv4(protocol, &payload);
            packet[2..4].copy_from_slice(&says.to_be_bytes());
            scene.expect(None, IPV4, &packet);
        }
        let mut packet = ipv6(protocol, &payload);
        packet[4..6].copy_from_slice(&4u16.to_be_bytes());
        scene.expect(None, IPV6, &packet);
    }
    // Behind a whole packet it is no harm, and is on the wire.
    let mut padded = ipv4(UDP, &udp(&[]));
    padded.resize(46, 0);
    scene.expect_one(Some(conversation(false, UDP)), Program::EthernetIn, &ethernet(&[], IPV4, &padded));
}

#[test]
fn tcp_whose_header_lies_about_its_length_is_credited_to_nobody() {
    let Some(scene) = Scene::new() else { return };
    for words in 0..16u8 {
        let mut segment = tcp(ACK, &[], &[1; 12]);
        segment[12] = words << 4;
        let fits = (5..=8).contains(&words);
        scene.expect(fits.then(|| conversation(false, TCP)), IPV4, &ipv4(TCP, &segment));
    }
}

#[test]
fn super_packets_count_as_what_is_on_the_wire() {
    let Some(mut loaded) = Loaded::new() else { return };
    let owner = conversation(false, TCP);
    loaded.follow(owner);
    let (headers, size) = (14 + 20 + 32, 1000);
    let stamps = [&[1, 1][..], &crate::crafted::time_stamps(1, 2)].concat();
    let packet = ipv4(TCP, &tcp(ACK, &stamps, &vec![1; size * 3 + 100]));
    let wire = u64::try_from(4 * headers + 3 * size + 100).unwrap();

    let by_number = About { segments: 4, segment_size: 1000, wire_len: 0 };
    loaded.run_about(Program::EthernetIn, &ethernet(&[], IPV4, &packet), by_number);
    let counted = loaded.counters(&owner);
    assert_eq!((counted.received_packets, counted.received_bytes), (4, wire));

    let by_size = About { segments: 0, segment_size: 1000, wire_len: 0 };
    loaded.run_about(Program::EthernetIn, &ethernet(&[], IPV4, &packet), by_size);
    let counted = loaded.counters(&owner);
    assert_eq!((counted.received_packets, counted.received_bytes), (8, 2 * wire));

    let reckoned = About { segments: 4, segment_size: 1000, wire_len: u32::try_from(wire).unwrap() + 200 };
    loaded.run_about(Program::EthernetOut, &ethernet(&[], IPV4, &turned(packet)), reckoned);
    let counted = loaded.counters(&owner);
    assert_eq!((counted.sent_packets, counted.sent_bytes), (4, wire + 200));
}
