// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packet trains between routers that mean well, and datagrams of those who do not.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use netmod_api::{Inbox, Netmod};
use netmod_inet::{InetConfig, TrainConfig};
use ratman_types::{Capacity, LinkSample, SampleSource};
use ratman_wire::train::{TrainKey, TrainPacket, TrainReport};

use crate::routers::{Router, any_port, dialing, eventually, has_ipv6, id, listening, start};

fn two_routers(ip: &str) -> [Router; 2] {
    let trains = Some(TrainConfig::default());
    let listener = start(1, InetConfig { trains, ..listening(any_port(ip)) });
    let dialer = start(2, InetConfig { trains, ..dialing(&[listener.address()]) });
    listener.inbox.link();
    [dialer, listener]
}

/// What trains found at a router by now.
fn found(router: &Router) -> Option<LinkSample> {
    let samples = router.inet.samples(router.inbox.now());
    samples.into_iter().map(|(_, sample)| sample).find(|sample| sample.source == SampleSource::Train)
}

/// Loopback is faster than any sender, but for moments in which the machine is busy.
#[tokio::test(flavor = "multi_thread")]
async fn both_ends_find_out_and_say_so_once() {
    let [dialer, listener] = two_routers(if has_ipv6() { "::1" } else { "127.0.0.1" });
    for router in [&dialer, &listener] {
        let sample = eventually(|| found(router));
        let Some(Capacity::AtLeast(rate) | Capacity::Measured(rate)) = sample.capacity else {
            panic!("{sample:?}")
        };
        assert!(rate.is_known());
        assert_eq!(found(router), None);
    }
    for router in [dialer, listener] {
        let counters = router.inet.counters();
        assert_eq!((counters.strange_trains, counters.bad_train_reports), (0, 0), "{counters:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_no_answer_and_are_counted() {
    let [_dialer, listener] = two_routers("127.0.0.1");
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(listener.address()).unwrap();
    stranger.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let key = TrainKey::derive(&[0; 32], &[0; 32], &[0; 32]);
    let train = |seed| TrainPacket { train: 1, index: 0, count: 2 }.encode(id(seed), 1000, &key);
    let report = TrainReport { train: 1, received: 0, arrivals: vec![] }.encode(id(2), &key);
    // No frame; nobody's; a neighbour's, of the right address but not made by it; and a report in its name.
    for datagram in [b"hello".to_vec(), vec![2; 2000], train(9), train(2), report] {
        let before = listener.inet.counters().strange_trains;
        eventually(|| {
            stranger.send(&datagram).ok();
            std::thread::sleep(Duration::from_millis(10));
            (listener.inet.counters().strange_trains > before).then_some(())
        });
    }
    let answer = stranger.recv(&mut [0; 2000]).map_err(|error| error.kind());
    assert_eq!(answer, Err(ErrorKind::WouldBlock));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_configuration_no_port_is_opened() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let _dialer =
        start(2, InetConfig { trains: Some(TrainConfig::default()), ..dialing(&[listener.address()]) });
    listener.inbox.link();
    assert!(UdpSocket::bind(listener.address()).is_ok());
}
