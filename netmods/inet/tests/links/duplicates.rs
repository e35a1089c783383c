// SPDX-License-Identifier: AGPL-3.0-or-later
//! One link per pair of routers and pair of underlay addresses.

use std::net::SocketAddr;

use netmod_api::contract::Event;
use netmod_api::{LinkUp, Netmod};
use netmod_inet::InetConfig;
use ratman_types::Digest;

use crate::routers::{
    Router, any_port, dialing, eventually, free_address, id, line, listening, start, wait_for_nothing,
};

fn proofs(links: &[LinkUp]) -> Vec<Digest> {
    let mut proofs: Vec<_> = links.iter().map(|link| link.proofs).collect();
    proofs.sort();
    proofs
}

/// Waits until both routers hold the same links, so many, and checks that they stay.
fn links_stay(a: &Router, b: &Router, count: usize) -> Vec<LinkUp> {
    let agreed = || {
        let (at_a, at_b) = (a.inbox.links(), b.inbox.links());
        (at_a.len() == count && proofs(&at_a) == proofs(&at_b)).then_some(at_a)
    };
    let ups = || [a, b].map(|router| router.inbox.count(|event| matches!(event, Event::Up(_))));
    loop {
        let (before, ups_before) = (eventually(agreed), ups());
        wait_for_nothing();
        if ups() == ups_before {
            assert_eq!(agreed().as_deref().map(proofs), Some(proofs(&before)));
            return before;
        }
        // The dials had not met yet: they may replace each other once.
        assert!(ups()[0] < 10, "the links replace each other for ever");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_dials_from_both_sides_the_one_by_the_smaller_id_stays() {
    for (first, second) in [(1, 2), (2, 1)] {
        let (near, far) = (free_address("127.0.0.1"), free_address("127.0.0.1"));
        let a = start(first, InetConfig { peers: vec![line(far)], ..listening(near) });
        let b = start(second, InetConfig { peers: vec![line(near)], ..listening(far) });
        let links = links_stay(&a, &b, 1);
        assert_eq!(links[0].dialed, id(first) < id(second));
        // The other line waits while the link lives; when it ends, whoever dials first has the next one.
        a.inet.close(links[0].hop);
        a.inbox.down(links[0].hop);
        let again = links_stay(&a, &b, 1);
        assert_ne!(again[0].hop, links[0].hop);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_dials_by_the_same_side_one_stays_and_the_other_waits() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let dialer = start(2, dialing(&[listener.address(), listener.address()]));
    let link = links_stay(&dialer, &listener, 1).remove(0);
    let ups = dialer.inbox.count(|event| matches!(event, Event::Up(_)));
    assert!(ups <= 2, "{ups} links for two lines");
    assert!(listener.inet.counters().duplicates <= 1);
    listener.inet.close(listener.inbox.link().hop);
    dialer.inbox.down(link.hop);
    links_stay(&dialer, &listener, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_to_different_addresses_of_one_router_are_different_links() {
    let listener = start(1, listening(any_port("0.0.0.0")));
    let port = listener.address().port();
    let addresses = ["127.0.0.1", "127.0.0.2"].map(|ip| SocketAddr::new(any_port(ip).ip(), port));
    let dialer = start(2, dialing(&addresses));
    links_stay(&dialer, &listener, 2);
    assert_eq!(listener.inet.counters().duplicates, 0);
}
