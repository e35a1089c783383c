// SPDX-License-Identifier: AGPL-3.0-or-later
//! How sessions come up: lost, repeated, crossing, forged, after restarts, with wrong clocks.

use core::time::Duration;

use proptest::prelude::*;
use ratman_wire::Mode;
use ratman_wire::session::{CookieReply, Initiation, Response, SessionIndex};

use super::super::{Accept, Cipher, EndReason, Role, SessionDrop, SessionEvent, SessionState};
use super::network::{Carried, Network, Weather, address, config, header, hop};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: i64 = 60_000_000;

#[test]
fn a_handshake_takes_one_round_trip_and_both_ends_know() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.connect(0, 1);
    assert_eq!(net.history.len(), 1, "connect is idempotent");
    assert_eq!(net.status(0, 1).unwrap().state, SessionState::Handshaking);
    net.run(Duration::from_millis(25));
    assert_eq!(net.status(1, 0).unwrap().state, SessionState::HalfOpen);
    assert!(net.table(1).send_key(&address(1)).is_none(), "the responder waits for the first frame");
    net.run(SECOND);
    let modes: Vec<_> = net.history.iter().map(|frame| frame.mode).collect();
    assert_eq!(modes, [Mode::SESSION_INITIATION, Mode::SESSION_RESPONSE, Mode::SESSION_DATA]);
    for (node, role) in [(0, Role::Initiator), (1, Role::Responder)] {
        let row = net.status(node, 1 - node).unwrap();
        assert_eq!((row.state, row.role), (SessionState::Established, Some(role)));
        assert_eq!(row.cipher, Some(Cipher::Aes256Gcm));
        let remote = net.address(1 - node);
        assert_eq!(net.nodes[node].events, [SessionEvent::Established { remote, role }]);
    }
    net.connect(0, 1);
    assert_eq!(net.history.len(), 3, "there is a session");
    net.send(1, 0, &[b"from the responder"]).unwrap();
    net.send(0, 1, &[b"from", b"the initiator"]).unwrap();
    net.run(SECOND);
    assert_eq!(net.nodes[0].delivered, [(address(2), b"from the responder".to_vec())]);
    assert_eq!(net.nodes[1].delivered.len(), 2);
}

#[test]
fn a_key_that_was_used_is_confirmed_within_a_second_even_if_nobody_says_so() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.run(Duration::from_millis(45));
    let keepalive = net.history.last().unwrap().clone();
    let (table, now) = (net.table(1), net.now(1));
    let opened = table.open(&mut keepalive.payload.clone(), now.at, &mut |_| {}).unwrap();
    assert!(opened.first);
    assert!(net.table(1).send_key(&address(1)).is_none());
    net.run(SECOND);
    assert!(net.table(1).send_key(&address(1)).is_some());
}

#[test]
fn both_ends_need_aes_in_hardware_for_aes() {
    for (aes, cipher) in [
        ([true, true], Cipher::Aes256Gcm),
        ([true, false], Cipher::ChaCha20Poly1305),
        ([false, true], Cipher::ChaCha20Poly1305),
        ([false, false], Cipher::ChaCha20Poly1305),
    ] {
        let configs = aes.map(|aes_in_hardware| super::super::SessionConfig {
            aes_in_hardware,
            ..config(Accept::Any, &[])
        });
        let mut net = Network::new(configs.to_vec());
        net.connect(0, 1);
        net.run(SECOND);
        assert_eq!(net.status(0, 1).unwrap().cipher, Some(cipher));
        assert_eq!(net.status(1, 0).unwrap().cipher, Some(cipher));
        net.send(0, 1, &[b"packet"]).unwrap();
        net.run(SECOND);
        assert_eq!(net.nodes[1].delivered.len(), 1);
    }
}

#[test]
fn crossing_initiations_both_complete() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.connect(1, 0);
    net.run(SECOND);
    for node in [0, 1] {
        assert_eq!(net.sent(node, Mode::SESSION_RESPONSE), 1);
        assert_eq!(net.nodes[node].events.len(), 1, "established once");
        assert_eq!(net.status(node, 1 - node).unwrap().role, Some(Role::Responder), "confirmed last");
        net.send(node, 1 - node, &[b"packet"]).unwrap();
    }
    net.run(SECOND);
    assert_eq!((net.nodes[0].delivered.len(), net.nodes[1].delivered.len()), (1, 1));
}

#[test]
fn a_bad_network_delays_a_session_and_no_more() {
    for seed in 0..8 {
        let mut net = Network::strangers(3);
        net.weather = Weather {
            delay: Duration::from_millis(50 + 37 * seed),
            jitter: Duration::from_millis(400),
            lost: 300,
            repeated: 300,
        };
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 0)] {
            net.connect(from, to);
        }
        net.run(60 * SECOND);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
            for number in 0..20_u8 {
                let _ = net.send(from, to, &[&[number; 40]]);
                net.run(SECOND);
            }
        }
        net.run(10 * SECOND);
        for node in 0..3 {
            let mut packets = net.nodes[node].delivered.clone();
            assert!(packets.len() > 10, "seed {seed}, node {node}: {} of 40", packets.len());
            packets.sort();
            packets.dedup();
            assert_eq!(packets.len(), net.nodes[node].delivered.len(), "nothing twice");
        }
    }
}

#[test]
fn a_remote_that_does_not_answer_is_given_up_after_90_seconds() {
    let mut net = Network::strangers(1);
    let remote = address(9);
    let now = net.now(0);
    net.nodes[0].sessions.connect(remote, now).unwrap();
    net.run(89 * SECOND);
    assert_eq!(net.nodes[0].events, []);
    net.run(10 * SECOND);
    assert_eq!(net.nodes[0].events, [SessionEvent::Ended { remote, reason: EndReason::NoAnswer }]);
    let initiations = net.sent(0, Mode::SESSION_INITIATION);
    assert!((17..=18).contains(&initiations), "one every 5 s and a little: {initiations}");
    assert_eq!(net.nodes[0].sessions.poll_timeout(), None);
    assert_eq!(net.nodes[0].sessions.status().count(), 0);
}

#[test]
fn strangers_are_refused_where_only_configured_remotes_are_accepted() {
    let mut net = Network::new(vec![
        config(Accept::Configured, &[2]),
        config(Accept::Any, &[]),
        config(Accept::Any, &[]),
    ]);
    net.connect(1, 0);
    net.connect(2, 0);
    net.run(SECOND);
    assert_eq!(net.status(0, 1).unwrap().state, SessionState::Established);
    assert_eq!(net.status(0, 2), None);
    assert_eq!(net.drops(0, SessionDrop::NotAccepted), 1);
    // Whom we call ourselves may call back.
    net.connect(0, 2);
    net.run(10 * SECOND);
    assert_eq!(net.status(0, 2).unwrap().state, SessionState::Established);
    net.restart(2);
    net.connect(2, 0);
    net.run(SECOND);
    assert_eq!(net.status(2, 0).unwrap().state, SessionState::Established);
}

#[test]
fn a_stranger_with_a_wrong_clock_is_refused_until_clocks_are_corrected() {
    for (skew, reason) in [
        (6 * MINUTE, Some(SessionDrop::TimeOutsideWindow)),
        (-6 * MINUTE, Some(SessionDrop::TimeOutsideWindow)),
        (-4 * MINUTE, Some(SessionDrop::BeforeStart)),
        (4 * MINUTE, None),
    ] {
        let mut net = Network::strangers(2);
        net.nodes[0].skew = skew;
        net.run(SECOND);
        net.connect(0, 1);
        net.run(SECOND);
        let established = net.status(0, 1).unwrap().state == SessionState::Established;
        assert_eq!(established, reason.is_none(), "skew {skew}");
        if let Some(reason) = reason {
            assert_eq!(net.drops(1, reason), 1, "skew {skew}");
            net.nodes[0].sessions.set_clock_correction(-skew);
            net.run(6 * SECOND);
            assert_eq!(net.status(0, 1).unwrap().state, SessionState::Established, "skew {skew}");
        }
    }
}

#[test]
fn strangers_come_in_after_clocks_were_set_back() {
    let mut net = Network::strangers(2);
    net.run(SECOND);
    net.nodes[0].skew = -60 * MINUTE;
    net.nodes[1].skew = -60 * MINUTE;
    net.connect(0, 1);
    net.run(SECOND);
    assert_eq!(net.status(0, 1).unwrap().state, SessionState::Established);
}

#[test]
fn a_configured_remote_may_live_in_1970() {
    let mut net = Network::new(vec![config(Accept::Configured, &[2]), config(Accept::Configured, &[1])]);
    net.nodes[0].skew = -1_800_000_000_000_000;
    net.connect(0, 1);
    net.run(SECOND);
    assert_eq!(net.status(1, 0).unwrap().state, SessionState::Established);
    // Its clock is set: times go on. It is set back: its own last time keeps them going on.
    for skew in [0, -1_800_000_000_000_000] {
        net.nodes[0].skew = skew;
        net.restart(0);
        net.connect(0, 1);
        net.run(SECOND);
        assert_eq!(net.status(0, 1).unwrap().state, SessionState::Established, "skew {skew}");
    }
}

#[test]
fn forged_answers_end_no_handshake() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    let initiation = Initiation::decode(&net.history[0].payload).unwrap();
    let (ours, theirs, now) = (net.address(0), net.address(1), net.now(0));
    let forged = Response { sender: SessionIndex(5), receiver: initiation.sender, noise: [3; _] };
    let unasked = Response { receiver: SessionIndex(!initiation.sender.0), ..forged };
    let sessions = &mut net.nodes[0].sessions;
    let mut handle =
        |mode, payload: &[u8]| sessions.handle_frame(hop(9), &header(mode, theirs, ours), payload, now);
    assert_eq!(handle(Mode::SESSION_RESPONSE, &forged.encode()), Err(SessionDrop::BadHandshake));
    assert_eq!(handle(Mode::SESSION_RESPONSE, &unasked.encode()), Err(SessionDrop::UnknownHandshake));
    let cookie = CookieReply { receiver: initiation.sender, cookie: [1; 16] };
    for _ in 0..3 {
        assert_eq!(handle(Mode::SESSION_COOKIE, &cookie.encode()), Ok(()));
    }
    assert_eq!(handle(Mode::SESSION_COOKIE, &cookie.encode()), Err(SessionDrop::UnknownHandshake));
    net.run(SECOND);
    assert_eq!(net.status(0, 1).unwrap().state, SessionState::Established);
}

#[test]
fn frames_for_others_and_of_other_forms_are_refused() {
    let mut net = Network::strangers(2);
    let (ours, theirs, now) = (net.address(0), net.address(1), net.now(0));
    let sessions = &mut net.nodes[0].sessions;
    let mut handle =
        |mode, from, to, payload: &[u8]| sessions.handle_frame(hop(9), &header(mode, from, to), payload, now);
    let initiation = Mode::SESSION_INITIATION;
    assert_eq!(handle(initiation, theirs, address(7), &[]), Err(SessionDrop::NotForUs));
    assert_eq!(handle(initiation, ours, ours, &[]), Err(SessionDrop::OwnAddress));
    for mode in [initiation, Mode::SESSION_RESPONSE, Mode::SESSION_COOKIE] {
        for length in [0, 1, 19, 21, 60, 62, 128, 130, 1000] {
            assert_eq!(handle(mode, theirs, ours, &vec![1; length]), Err(SessionDrop::MalformedFrame));
        }
    }
    assert_eq!(handle(Mode::SESSION_DATA, theirs, ours, &[]), Err(SessionDrop::NotASessionMode));
    assert_eq!(handle(initiation, theirs, ours, &[1; 129]), Err(SessionDrop::BadHandshake));
    let bad = ratman_types::Address::from_bytes([0; 32]);
    assert_eq!(handle(initiation, bad, ours, &[1; 129]), Err(SessionDrop::BadAddress));
    assert_eq!(sessions.connect(bad, now), Err(SessionDrop::BadAddress));
    assert_eq!(sessions.connect(ours, now), Err(SessionDrop::OwnAddress));
    assert_eq!(sessions.status().count(), 0);
}

#[test]
fn an_initiation_under_anothers_name_is_refused() {
    let mut net = Network::strangers(3);
    net.connect(0, 1);
    let stolen = Carried { from: 2, ..net.history[0].clone() };
    assert_eq!(net.arrive(&stolen), Err(SessionDrop::BadHandshake));
}

#[test]
fn after_a_restart_traffic_goes_on_by_itself() {
    for restarted in [0, 1] {
        let mut net = Network::strangers(2);
        net.connect(0, 1);
        net.run(5 * SECOND);
        net.restart(restarted);
        let before = net.nodes[restarted].delivered.len();
        for _ in 0..18 {
            let _ = net.send(1 - restarted, restarted, &[b"still there?"]);
            net.run(SECOND);
        }
        assert!(net.nodes[restarted].delivered.len() > before, "node {restarted} restarted");
        assert!(net.drops(restarted, SessionDrop::UnknownIndex) > 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_payload_of_any_mode_is_answered(low in 0_u8..6, size in 0_usize..5, bytes: [[u8; 13]; 10]) {
        let length = [20, 61, 129, 40, 130][size];
        let payload = &bytes.as_flattened()[..length];
        super::super::fuzz::fuzz_session_frame(&[&[low][..], payload].concat());
    }
}
