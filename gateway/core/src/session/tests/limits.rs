// SPDX-License-Identifier: AGPL-3.0-or-later
//! Floods: every limit is filled, and those who behave get through.

use core::time::Duration;

use ratman_types::{SecretKey, Signer};
use ratman_wire::Mode;
use ratman_wire::session::{CookieReply, Initiation, SessionIndex};

use super::super::cookie::with_cookie;
use super::super::load::INITIATIONS_PER_SECOND;
use super::super::{
    Accept, HALF_OPEN_PER_NEIGHBOUR, MAX_INBOUND_STRANGERS, MAX_SESSIONS, SessionDrop, SessionState, Sessions,
};
use super::network::{Network, address, config, header, hop, key};

const SECOND: Duration = Duration::from_secs(1);

fn stranger(number: usize) -> SecretKey {
    let mut seed = [200; 32];
    seed[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    SecretKey::from_seed(seed)
}

/// An initiation of a stranger to node 0, over a neighbour.
fn initiate(net: &mut Network, stranger: &SecretKey, neighbour: u8) -> Result<(), SessionDrop> {
    let (to, now) = (net.address(0), net.now(0));
    let mut sessions = Sessions::new(config(Accept::Any, &[]), stranger, [1; 32], now);
    sessions.connect(to, now).unwrap();
    let initiation = sessions.poll_transmit().unwrap();
    let header = header(initiation.mode, stranger.address(), to);
    net.nodes[0].sessions.handle_frame(hop(neighbour), &header, &initiation.payload, now)
}

#[test]
fn strangers_over_one_neighbour_share_a_quota_of_half_open_sessions() {
    let mut net = Network::new(vec![config(Accept::Any, &[2]), config(Accept::Any, &[])]);
    for number in 0..HALF_OPEN_PER_NEIGHBOUR {
        assert_eq!(initiate(&mut net, &stranger(number), 7), Ok(()));
        net.run(SECOND / 50);
    }
    let another = stranger(HALF_OPEN_PER_NEIGHBOUR);
    assert_eq!(initiate(&mut net, &another, 7), Err(SessionDrop::HalfOpenQuota));
    assert_eq!(initiate(&mut net, &another, 8), Ok(()), "another neighbour has its own");
    assert_eq!(initiate(&mut net, &key(2), 7), Ok(()), "a configured remote is no stranger");
    net.run(SECOND);
    assert_eq!(initiate(&mut net, &stranger(0), 7), Ok(()), "who holds one may repeat");
    net.run(190 * SECOND);
    assert_eq!(initiate(&mut net, &stranger(999), 7), Ok(()), "they went with their keys");
}

#[test]
fn sessions_are_limited_and_some_are_kept_for_ourselves() {
    let mut net = Network::new(vec![config(Accept::Any, &[2]), config(Accept::Any, &[])]);
    for number in 0..MAX_INBOUND_STRANGERS {
        let neighbour = u8::try_from(number / HALF_OPEN_PER_NEIGHBOUR).unwrap();
        assert_eq!(initiate(&mut net, &stranger(number), 50 + neighbour), Ok(()), "stranger {number}");
        net.run(SECOND / 100);
    }
    assert_eq!(initiate(&mut net, &stranger(9999), 100), Err(SessionDrop::SessionsFull));
    assert_eq!(initiate(&mut net, &key(2), 100), Ok(()));
    let now = net.now(0);
    for number in MAX_INBOUND_STRANGERS..MAX_SESSIONS {
        net.nodes[0].sessions.connect(stranger(number).address(), now).unwrap();
    }
    let connect = net.nodes[0].sessions.connect(stranger(8888).address(), now);
    assert_eq!(connect, Err(SessionDrop::SessionsFull));
    assert_eq!(net.nodes[0].sessions.connect(address(2), now), Ok(()));
}

#[test]
fn under_load_only_senders_that_can_receive_are_answered() {
    let mut net = Network::strangers(2);
    let (ours, now) = (net.address(0), net.now(0));
    // A flood under made-up names: valid keys, no valid handshakes.
    let flood: Vec<_> = (0..8).map(|number| stranger(number).address()).collect();
    let mut handle = |index: usize| {
        let header = header(Mode::SESSION_INITIATION, flood[index % flood.len()], ours);
        net.nodes[0].sessions.handle_frame(hop(7), &header, &[9; 129], now)
    };
    for index in 0..usize::try_from(INITIATIONS_PER_SECOND).unwrap() {
        assert_eq!(handle(index), Err(SessionDrop::BadHandshake));
    }
    assert_eq!(handle(0), Err(SessionDrop::CookieAsked));
    net.connect(1, 0);
    net.run(SECOND / 2);
    assert_eq!(net.status(1, 0).unwrap().state, SessionState::Established);
    let sent = |mode| net.history.iter().filter(|frame| frame.mode == mode).cloned().collect::<Vec<_>>();
    let cookies = sent(Mode::SESSION_COOKIE);
    assert_eq!(cookies.len(), 2, "one for the flood, one for the remote");
    let initiations: Vec<_> = sent(Mode::SESSION_INITIATION)
        .iter()
        .map(|frame| Initiation::decode(&frame.payload).unwrap())
        .collect();
    assert_eq!(initiations.len(), 2);
    assert_ne!(initiations[1].mac2, [0; 16]);
    assert_eq!(Initiation { mac2: [0; 16], ..initiations[1] }, initiations[0], "unchanged but for mac2");
    assert_eq!(CookieReply::decode(&cookies[1].payload).unwrap().receiver, initiations[0].sender);
}

#[test]
fn transmits_and_events_that_nobody_takes_are_bounded() {
    let mut net = Network::strangers(1);
    let (ours, now) = (net.address(0), net.now(0));
    let header = header(Mode::SESSION_INITIATION, address(2), ours);
    for _ in 0..4 * MAX_SESSIONS + 1000 {
        let _ = net.nodes[0].sessions.handle_frame(hop(7), &header, &[9; 129], now);
    }
    assert!(net.drops(0, SessionDrop::TransmitFull) > 0);
    let waiting = core::iter::from_fn(|| net.nodes[0].sessions.poll_transmit()).count();
    assert_eq!(waiting, 4 * MAX_SESSIONS);
}

#[test]
fn events_that_nobody_takes_are_bounded() {
    let mut net = Network::strangers(1);
    let remote = address(2);
    for _ in 0..4 * MAX_SESSIONS + 1 {
        let now = net.now(0);
        net.nodes[0].sessions.connect(remote, now).unwrap();
        net.nodes[0].sessions.end(remote, super::super::EndReason::Idle);
    }
    assert_eq!(net.drops(0, SessionDrop::EventsFull), 1);
    let waiting = core::iter::from_fn(|| net.nodes[0].sessions.poll_event()).count();
    assert_eq!(waiting, 4 * MAX_SESSIONS);
}

#[test]
fn under_load_strangers_with_cookies_are_limited_and_configured_remotes_are_not() {
    let mut net = Network::new(vec![config(Accept::Any, &[2])]);
    let (ours, now) = (net.address(0), net.now(0));
    let sessions = &mut net.nodes[0].sessions;
    let mut handle = |from, initiation: &Initiation| {
        let header = header(Mode::SESSION_INITIATION, from, ours);
        let outcome = sessions.handle_frame(hop(7), &header, &initiation.encode(), now);
        let cookie =
            sessions.poll_transmit().map(|reply| CookieReply::decode(&reply.payload).unwrap().cookie);
        (outcome, cookie)
    };
    let mut proven = |from, number: u32| {
        let initiation = Initiation { sender: SessionIndex(number), noise: [9; _], mac2: [0; 16] };
        match handle(from, &initiation) {
            (Err(SessionDrop::CookieAsked), Some(cookie)) => {
                handle(from, &with_cookie(&initiation, &cookie)).0
            }
            (outcome, _) => outcome,
        }
    };
    let bad = Err(SessionDrop::BadHandshake);
    for number in 0..2 * INITIATIONS_PER_SECOND {
        assert_eq!(proven(stranger(1).address(), number), bad, "initiation {number}");
    }
    assert_eq!(proven(stranger(1).address(), 9999), Err(SessionDrop::Overloaded));
    assert_eq!(proven(address(2), 9999), bad, "whoever is configured is heard");
}
