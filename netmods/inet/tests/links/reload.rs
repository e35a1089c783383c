// SPDX-License-Identifier: AGPL-3.0-or-later
//! Peer lines and welcome that change while links are up.

use netmod_api::contract::Event;
use netmod_api::{DownReason, Netmod};
use netmod_inet::{InetConfig, InetError, PeerLine};
use ratman_types::Mtu;

use crate::routers::{any_port, dialing, eventually, id, line, listening, start, wait_for_nothing};

#[tokio::test(flavor = "multi_thread")]
async fn new_lines_are_dialled_removed_ones_closed_and_the_others_stay() {
    let [first, second, third] = [1, 2, 3].map(|seed| start(seed, listening(any_port("127.0.0.1"))));
    let lines = [&first, &second, &third].map(|router| line(router.address()));
    let dialer = start(4, dialing(&[first.address(), second.address()]));
    let [stays, goes] = [1, 2].map(|seed| dialer.inbox.link_to(id(seed)));

    dialer.inet.reload(vec![lines[2].clone(), lines[0].clone()], false).expect("no MTU");
    assert_eq!(dialer.inbox.link_to(id(3)).hop.neighbour, id(3));
    assert_eq!(dialer.inbox.down(goes.hop), DownReason::ClosedByUs);
    wait_for_nothing();
    let ups = dialer.inbox.count(|event| matches!(event, Event::Up(_)));
    assert_eq!(ups, 3, "who was removed is not dialled again, and who was there has the same link");
    assert_eq!(dialer.inet.mtu(Some(stays.hop)), Some(stays.mtu));

    dialer.inet.reload(lines.to_vec(), false).expect("no MTU");
    assert_ne!(dialer.inbox.link_to(id(2)).hop, goes.hop, "a line that comes back is dialled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_removed_while_it_waits_is_forgotten() {
    let listener = start(1, InetConfig { accept_unknown_peers: false, ..listening(any_port("127.0.0.1")) });
    let dialer = start(2, dialing(&[listener.address()]));
    listener.counted(|counters| counters.unknown_router > 0);
    dialer.inet.reload(Vec::new(), false).expect("no MTU");
    // What was on its way may still arrive.
    eventually(|| {
        let before = listener.inet.counters().unknown_router;
        wait_for_nothing();
        (listener.inet.counters().unknown_router == before).then_some(())
    });
    listener.inet.reload(Vec::new(), true).expect("no MTU");
    wait_for_nothing();
    assert!(listener.inbox.links().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_welcome_any_more_goes_and_may_come_back_later() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let [named, stranger] = [2, 3].map(|seed| start(seed, dialing(&[listener.address()])));
    let [to_named, to_stranger] = [2, 3].map(|seed| listener.inbox.link_to(id(seed)));
    // A line of which we need the key only.
    let router_key = Some(id(2));
    let nowhere = PeerLine { router_key, ..line(crate::routers::free_address("127.0.0.1")) };

    listener.inet.reload(vec![nowhere], false).expect("no MTU");
    assert_eq!(listener.inbox.down(to_stranger.hop), DownReason::ClosedByUs);
    listener.counted(|counters| counters.unknown_router > 0);
    assert_eq!(listener.inet.mtu(Some(to_named.hop)), Some(to_named.mtu));
    assert_eq!(named.inbox.links().len(), 1);

    listener.inet.reload(Vec::new(), true).expect("no MTU");
    stranger.inet.network_changed();
    listener.inbox.link_to(id(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mtu_out_of_range_changes_nothing() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let dialer = start(2, dialing(&[listener.address()]));
    let link = dialer.inbox.link();
    for mtu in [575, 33_005] {
        let lines = vec![PeerLine { mtu: Some(Mtu(mtu)), ..line(listener.address()) }];
        let error = dialer.inet.reload(lines, true).expect_err("out of range");
        assert!(matches!(error, InetError::Mtu(Mtu(wrong)) if wrong == mtu), "{error}");
    }
    assert_eq!(dialer.inet.mtu(Some(link.hop)), Some(link.mtu));
}
