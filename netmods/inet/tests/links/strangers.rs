// SPDX-License-Identifier: AGPL-3.0-or-later
//! Those who may not come, and what those who come may send.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use netmod_api::{DownReason, Netmod};
use netmod_inet::{InetConfig, InetLimits, PeerLine};
use ratman_types::RouterId;
use ratman_wire::carrier_v1::FrameV1;
use ratman_wire::{Frame, Header, Mode};
use socket2::{Domain, Socket, Type};

use crate::routers::{
    any_port, dialing, eventually, free_address, id, line, listening, start, wait_for_nothing,
};
use crate::stranger::Stranger;

fn keyed(address: SocketAddr, router_key: RouterId) -> InetConfig {
    InetConfig {
        peers: vec![PeerLine { router_key: Some(router_key), ..line(address) }],
        ..InetConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_router_key_is_refused_and_the_right_one_taken() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let wrong = start(2, keyed(listener.address(), id(3)));
    wrong.counted(|counters| counters.wrong_router_key == 1);
    wait_for_nothing();
    assert_eq!(wrong.inet.counters().wrong_router_key, 1, "tried again soon");
    wrong.inet.network_changed();
    wrong.counted(|counters| counters.wrong_router_key == 2);
    assert_eq!((wrong.inbox.links().len(), listener.inbox.links().len()), (0, 0));

    let right = start(4, keyed(listener.address(), id(1)));
    assert_eq!(right.inbox.link().hop.neighbour, id(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routers_are_refused_if_the_operator_says_so() {
    let nobody = TcpListener::bind(any_port("127.0.0.1")).and_then(|listener| listener.local_addr());
    let config =
        InetConfig { listen: vec![any_port("127.0.0.1")], ..keyed(nobody.expect("a free port"), id(2)) };
    let listener = start(1, config);
    let unknown = start(3, dialing(&[listener.address()]));
    listener.counted(|counters| counters.unknown_router >= 1);
    let known = start(2, dialing(&[listener.address()]));
    assert_eq!(known.inbox.link().hop.neighbour, id(1));
    assert_eq!(listener.inbox.link().hop.neighbour, id(2));
    assert_eq!(unknown.inbox.links().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_with_our_own_key_is_refused() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let twin = start(1, dialing(&[listener.address()]));
    listener.counted(|counters| counters.own_router_key == 1);
    assert_eq!(twin.inbox.links().len() + listener.inbox.links().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_0_6_router_is_refused_as_such() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let mut stranger = Stranger::connect(listener.address());
    let payload = [&[0; 10][..], &32_u64.to_le_bytes(), &[7; 32]].concat();
    let hello = FrameV1 { mode: Mode::HELLO, sender: [7; 32], seq_id: None, payload: &payload };
    stranger.say(&hello.encode());
    stranger.wait_until_closed();
    listener.counted(|counters| counters.deployed_06 == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_framing_ends_the_link_with_its_reason() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    for length in [33_005_u32, u32::MAX] {
        let mut peer = Stranger::peer(listener.address(), 2);
        let link = listener.inbox.link();
        peer.say(b"\xeegood");
        std::io::Write::write_all(&mut peer.0, &length.to_be_bytes()).expect("an open connection");
        assert_eq!(listener.inbox.down(link.hop), DownReason::BadFraming { length });
        assert_eq!(listener.inbox.take_frames(1), [b"\xeegood"]);
        peer.wait_until_closed();
    }
    assert_eq!(listener.inet.counters().bad_framing, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_truncated_and_random_frames_do_not_stop_the_reader() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let mut peer = Stranger::peer(listener.address(), 2);
    let good = Frame { header: Header::new(Mode::ECHO_REQUEST, [2; 32]), payload: &[7; 100] }.encode();
    let mut random = 1_u32;
    let mut expected = 0;
    for round in 0..10_000_usize {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut frame = good.clone();
        let index = usize::try_from(random >> 8).expect("it fits") % frame.len();
        if round % 2 == 0 {
            frame.truncate(index);
        } else {
            frame[index] = random.to_be_bytes()[0];
        }
        expected += usize::from(!ratman_wire::peering::is_peering(&frame));
        peer.say(&frame);
    }
    peer.say(&good);
    let frames = listener.inbox.take_frames(expected + 1);
    assert_eq!(frames.last(), Some(&good));
    assert_eq!(listener.inbox.link().outbox.activity().received_frames, 10_001);
    let stray = u64::try_from(10_000 - expected).expect("it fits");
    assert_eq!(listener.inet.counters().stray_peering_frames, stray);
}

/// A connection from another loopback address.
fn connect_from(source: &str, address: SocketAddr) -> Stranger {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&any_port(source).into()).expect("a loopback address");
    socket.connect(&address.into()).expect("a listener");
    Stranger::of(socket.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_say_nothing_take_few_places_and_for_five_seconds() {
    let limits = InetLimits { half_open: 3, half_open_per_source: 2, ..InetLimits::default() };
    let listener = start(1, InetConfig { limits, ..listening(any_port("127.0.0.1")) });
    let address = listener.address();
    let start = Instant::now();
    let mut silent = [0; 2].map(|_| Stranger::connect(address));
    Stranger::connect(address).wait_until_closed();
    listener.counted(|counters| counters.half_open_source_full == 1);
    let mut other = connect_from("127.0.0.2", address);
    // The place of the other is taken only when `accept` has come to it, which a further one waits for.
    connect_from("127.0.0.3", address).wait_until_closed();
    listener.counted(|counters| counters.half_open_full == 1);
    for stranger in silent.iter_mut().chain([&mut other]) {
        stranger.wait_until_closed();
    }
    assert!(start.elapsed() >= Duration::from_secs(5) && start.elapsed() < Duration::from_secs(8));
    assert_eq!(listener.counted(|counters| counters.late_peering == 3).broken_peering, 0);
    let _peer = Stranger::peer(address, 2);
    listener.inbox.link();
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_limited_in_total_and_per_neighbour() {
    let limits = InetLimits { links: 3, links_reserved: 0, links_per_neighbour: 2, ..InetLimits::default() };
    let listener = start(1, InetConfig { limits, ..listening(any_port("0.0.0.0")) });
    let port = listener.address().port();
    let to = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), port);
    // A listener enters the link after its Proof has left, so each is waited for.
    let up = |ip: &str, seed: u8, links: usize| {
        let peer = Stranger::peer(to(ip), seed);
        eventually(|| (listener.inbox.links().len() == links).then_some(()));
        peer
    };
    let mut first = up("127.0.0.1", 2, 1);
    let _second = up("127.0.0.2", 2, 2);
    Stranger::peer(to("127.0.0.3"), 2).wait_until_closed();
    listener.counted(|counters| counters.links_full == 1);
    let _third = up("127.0.0.1", 3, 3);
    Stranger::peer(to("127.0.0.1"), 4).wait_until_closed();
    listener.counted(|counters| counters.links_full == 2);
    // A later dial between the same ends replaces the earlier one even then.
    let _later = Stranger::peer(to("127.0.0.1"), 2);
    first.wait_until_closed();
    assert_eq!(listener.counted(|counters| counters.duplicates == 1).links_full, 2);
    eventually(|| (listener.inbox.links().len() == 3).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_leave_two_places_for_each_peer_line() {
    let limits = InetLimits { links: 3, links_reserved: 0, ..InetLimits::default() };
    let named = keyed(free_address("127.0.0.1"), id(9));
    let config = InetConfig { limits, peers: named.peers, ..listening(any_port("127.0.0.1")) };
    let listener = start(1, config);
    let _first = Stranger::peer(listener.address(), 2);
    eventually(|| (listener.inbox.links().len() == 1).then_some(()));
    Stranger::peer(listener.address(), 3).wait_until_closed();
    listener.counted(|counters| counters.links_full == 1);
    let _named = Stranger::peer(listener.address(), 9);
    assert_eq!(listener.inbox.link_to(id(9)).hop.neighbour, id(9));
}
