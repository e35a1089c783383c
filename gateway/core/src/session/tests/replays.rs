// SPDX-License-Identifier: AGPL-3.0-or-later
//! What an attacker on the path can do with frames that it saw: nothing.

use core::time::Duration;

use ratman_wire::Mode;

use super::super::{Accept, SessionDrop, SessionState};
use super::network::{Carried, Network, Weather, address, config};

const SECOND: Duration = Duration::from_secs(1);

/// Plays every frame of the past again to whom it was for; none may be taken.
fn replay_all(net: &mut Network) {
    for frame in net.history.clone() {
        assert!(net.arrive(&frame).is_err(), "{:?} to {:?} was taken again", frame.mode, frame.to);
    }
}

#[test]
fn every_frame_ever_seen_is_refused_when_it_comes_again() {
    for configured in [&[][..], &[1, 2, 3]] {
        let mut net = Network::new(vec![config(Accept::Any, configured); 3]);
        net.weather = Weather { jitter: Duration::from_millis(100), ..net.weather };
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 0)] {
            net.connect(from, to);
        }
        for minute in 0..8 {
            for number in 0..60_u8 {
                for (from, to) in [(0, 1), (1, 0), (2, 1), (0, 2)] {
                    let _ = net.send(from, to, &[&[number; 64], &[minute; 3000]]);
                }
                net.run(SECOND);
            }
            net.run(SECOND);
            let delivered: Vec<_> = net.nodes.iter().map(|node| node.delivered.len()).collect();
            let sent = net.history.len();
            replay_all(&mut net);
            assert_eq!(net.history.len(), sent, "a replay is not answered");
            assert_eq!(delivered, net.nodes.iter().map(|node| node.delivered.len()).collect::<Vec<_>>());
        }
        assert!(net.drops(1, SessionDrop::ReplayedInitiation) > 0);
        assert!(net.drops(1, SessionDrop::Replayed) > 0);
        assert!(net.drops(1, SessionDrop::UnknownIndex) > 0);
        assert_eq!(net.status(0, 1).unwrap().state, SessionState::Established);
    }
}

#[test]
fn initiations_from_before_a_restart_are_refused_after_it() {
    for (configured, reason) in
        [(&[][..], SessionDrop::BeforeStart), (&[1, 2], SessionDrop::ReplayedInitiation)]
    {
        let mut net = Network::new(vec![config(Accept::Any, configured); 2]);
        net.connect(0, 1);
        net.run(2 * SECOND);
        net.restart(1);
        let initiation = net.history[0].clone();
        assert_eq!(net.arrive(&initiation), Err(reason));
        assert_eq!(net.status(1, 0), None);
    }
}

#[test]
fn initiations_from_before_a_start_in_1970_are_refused_once_the_clock_is_set() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.run(2 * SECOND);
    net.nodes[1].skew = -1_800_000_000_000_000;
    net.restart(1);
    net.nodes[1].skew = 0;
    let initiation = net.history[0].clone();
    assert_eq!(net.arrive(&initiation), Err(SessionDrop::BeforeStart));
}

#[test]
fn a_changed_frame_is_refused_wherever_it_was_changed() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.run(SECOND);
    net.weather.lost = 1000;
    net.send(0, 1, &[b"packet"]).unwrap();
    let good = net.history.last().unwrap().clone();
    for byte in 0..good.payload.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed.payload[byte] ^= 1 << bit;
            assert!(net.arrive(&changed).is_err(), "byte {byte}, bit {bit}");
        }
        assert!(net.arrive(&Carried { payload: good.payload[..byte].to_vec(), ..good.clone() }).is_err());
    }
    assert_eq!(net.nodes[1].delivered, []);
    assert_eq!(net.arrive(&good), Ok(()), "refused frames moved nothing");
}

#[test]
fn a_forged_frame_does_not_confirm_a_key() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.run(Duration::from_millis(45));
    let keepalive = net.history.last().unwrap().clone();
    assert_eq!(keepalive.mode, Mode::SESSION_DATA);
    let mut forged = keepalive.clone();
    forged.payload[20] ^= 1;
    assert_eq!(net.arrive(&forged), Err(SessionDrop::BadSeal));
    assert_eq!(net.status(1, 0).unwrap().state, SessionState::HalfOpen);
    assert_eq!(net.arrive(&keepalive), Ok(()));
    assert_eq!(net.status(1, 0).unwrap().state, SessionState::Established);
}

#[test]
fn a_frame_of_the_old_key_does_not_confirm_the_new_one() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.run(SECOND);
    // A second handshake of which the response is lost: the responder holds a key that waits.
    net.restart(0);
    net.run(SECOND);
    net.connect(0, 1);
    net.run(Duration::from_millis(25));
    let key = net.table(1).send_key(&address(1)).cloned().unwrap();
    assert_eq!(net.sent(1, Mode::SESSION_RESPONSE), 2);
    let old = net.history[2].clone();
    assert_eq!(net.arrive(&old), Err(SessionDrop::Replayed));
    assert!(std::sync::Arc::ptr_eq(&key, net.table(1).send_key(&address(1)).unwrap()));
    net.run(SECOND);
    assert!(!std::sync::Arc::ptr_eq(&key, net.table(1).send_key(&address(1)).unwrap()));
}

#[test]
fn random_frames_are_refused_and_the_session_goes_on() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.run(SECOND);
    net.send(0, 1, &[b"first"]).unwrap();
    net.run(SECOND);
    let mut dice = super::super::entropy::Entropy::new([5; 32]);
    for index in 0..10_000 {
        let mut frame = net.history[index % 4].clone();
        let length = usize::try_from(dice.up_to(200)).unwrap();
        if index % 2 == 0 {
            frame.payload = dice.bytes::<200>()[..length].to_vec();
        } else {
            frame.payload.truncate(length.min(frame.payload.len() - 1));
        }
        assert!(net.arrive(&frame).is_err());
    }
    net.send(0, 1, &[b"second"]).unwrap();
    net.run(SECOND);
    assert_eq!(net.nodes[1].delivered.len(), 2);
}
