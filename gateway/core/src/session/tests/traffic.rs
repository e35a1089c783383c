// SPDX-License-Identifier: AGPL-3.0-or-later
//! What keeps a session alive, renews its keys and ends it.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex};

use ratman_types::{ByteCount, Mtu};
use ratman_wire::Mode;
use ratman_wire::carrier::SESSION_HEADER;

use super::super::{
    EndReason, MAX_FRAMES_PER_KEY, OpenedBytes, OpenedPacket, Role, Sealed, SessionDrop, SessionEvent,
    SessionState, TrafficTotals,
};
use super::network::{Network, Weather, address, batch};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);

fn connected() -> Network {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.run(SECOND);
    net.history.clear();
    net
}

/// Packets in both directions every 100 ms; says how many each end sent.
fn talk(net: &mut Network, seconds: u32) -> [u32; 2] {
    let mut sent = [0; 2];
    for number in 0..seconds * 10 {
        for from in [0, 1] {
            if net.send(from, 1 - from, &[&number.to_be_bytes()]).is_ok() {
                sent[from] += 1;
            }
        }
        net.run(STEP);
    }
    net.run(SECOND);
    sent
}

#[test]
fn keys_change_under_traffic_and_no_packet_is_lost() {
    let mut net = connected();
    let seconds = 1000;
    assert_eq!(talk(&mut net, seconds), [seconds * 10; 2], "there is always a key to send under");
    for node in [0, 1] {
        let delivered = net.nodes[node].delivered.iter().map(|(_, packet)| packet.clone());
        let expected: Vec<_> = (0..seconds * 10).map(|number| number.to_be_bytes().to_vec()).collect();
        assert_eq!(delivered.collect::<Vec<_>>(), expected, "all, in order, once");
        assert_eq!(net.nodes[node].events.len(), 1, "established once");
        let opened: u64 = [SessionDrop::UnknownIndex, SessionDrop::KeyExpired, SessionDrop::Replayed]
            .map(|drop| net.drops(node, drop))
            .iter()
            .sum();
        assert_eq!(opened, 0);
    }
    assert_eq!(net.sent(0, Mode::SESSION_INITIATION), 8, "every 120 s, by the initiator");
    assert_eq!(net.sent(1, Mode::SESSION_INITIATION), 0);
}

#[test]
fn keys_change_after_crossing_handshakes_too() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.connect(1, 0);
    net.run(SECOND);
    assert_eq!(net.status(0, 1).unwrap().role, Some(Role::Responder));
    assert_eq!(talk(&mut net, 600), [6000; 2]);
    for node in [0, 1] {
        assert_eq!(net.nodes[node].delivered.len(), 6000);
    }
    let initiations = net.sent(0, Mode::SESSION_INITIATION) + net.sent(1, Mode::SESSION_INITIATION);
    assert!((5..=8).contains(&initiations), "no handshake storm: {initiations}");
}

#[test]
fn keys_change_with_traffic_in_one_direction_only() {
    for from in [0, 1] {
        let mut net = connected();
        for _ in 0..400 {
            net.send(from, 1 - from, &[b"one way"]).unwrap();
            net.run(SECOND);
        }
        assert_eq!(net.nodes[1 - from].delivered.len(), 400, "from {from}");
        assert_eq!(net.sent(0, Mode::SESSION_INITIATION), 3, "from {from}");
    }
}

#[test]
fn a_lossy_path_does_not_end_a_session() {
    let mut net = connected();
    net.weather = Weather { lost: 200, repeated: 100, jitter: 300 * Duration::from_millis(1), ..net.weather };
    let sent = talk(&mut net, 600);
    for node in [0, 1] {
        let events = net.nodes[node].events.iter();
        assert_eq!(events.filter(|event| matches!(event, SessionEvent::Ended { .. })).count(), 0);
        let delivered = net.nodes[node].delivered.len();
        assert!(delivered > 4400, "{delivered} of {sent:?}");
    }
}

#[test]
fn whoever_only_receives_sends_keepalives() {
    let mut net = connected();
    for _ in 0..60 {
        net.send(0, 1, &[b"packet"]).unwrap();
        net.run(SECOND);
    }
    let keepalives = net.sent(1, Mode::SESSION_DATA);
    assert!((5..=6).contains(&keepalives), "every 10 s and at most a tick: {keepalives}");
    assert_eq!(net.sent(0, Mode::SESSION_INITIATION), 0, "so the sender knows that it is heard");
    net.history.clear();
    net.run(60 * SECOND);
    assert!(net.history.len() <= 1, "a keepalive is not answered");
}

#[test]
fn a_sender_that_hears_nothing_for_15_seconds_begins_a_handshake() {
    let mut net = connected();
    net.weather.lost = 1000;
    net.send(0, 1, &[b"packet"]).unwrap();
    net.run(14 * SECOND);
    assert_eq!(net.sent(0, Mode::SESSION_INITIATION), 0);
    net.run(3 * SECOND);
    assert_eq!(net.sent(0, Mode::SESSION_INITIATION), 1);
    net.weather.lost = 0;
    net.run(6 * SECOND);
    net.send(1, 0, &[b"packet"]).unwrap();
    net.run(SECOND);
    assert_eq!(net.nodes[0].delivered.len(), 1);
}

#[test]
fn a_way_that_is_back_renews_a_session_whose_remote_has_started_anew() {
    let mut net = connected();
    net.restart(1);
    net.renew(0, 1);
    net.run(SECOND);
    net.send(0, 1, &[b"packet"]).unwrap();
    net.run(SECOND);
    assert_eq!(net.nodes[1].delivered.len(), 1);
}

#[test]
fn a_way_that_is_back_loses_nothing_of_a_session_that_still_serves() {
    let mut net = connected();
    net.renew(0, 1);
    net.renew(1, 0);
    for from in [0, 1] {
        net.send(from, 1 - from, &[b"before"]).unwrap();
    }
    net.run(SECOND);
    let sent = talk(&mut net, 10);
    for (node, from) in [(0, 1), (1, 0)] {
        assert_eq!(net.nodes[node].delivered.len(), 1 + usize::try_from(sent[from]).unwrap());
    }
}

#[test]
fn a_way_that_is_back_tries_what_was_not_answered_once_more() {
    let mut net = Network::strangers(2);
    net.weather.lost = 1000;
    net.connect(0, 1);
    net.run(SECOND);
    net.weather.lost = 0;
    net.renew(0, 1);
    net.run(SECOND);
    assert_eq!(net.status(0, 1).unwrap().state, SessionState::Established);
}

#[test]
fn a_way_that_is_back_opens_no_session_that_nobody_wants() {
    let mut net = Network::strangers(2);
    net.renew(0, 1);
    assert!(net.history.is_empty() && net.status(0, 1).is_none());
}

#[test]
fn a_session_ends_when_the_remote_is_gone_for_good() {
    let mut net = connected();
    net.weather.lost = 1000;
    for _ in 0..100 {
        net.send(0, 1, &[b"anybody there?"]).unwrap();
        net.run(SECOND);
    }
    net.run(10 * SECOND);
    let ended = SessionEvent::Ended { remote: address(2), reason: EndReason::NoAnswer };
    assert_eq!(net.nodes[0].events[1..], [ended]);
    let initiations = net.sent(0, Mode::SESSION_INITIATION);
    assert!((17..=18).contains(&initiations), "one every 5 s and a little: {initiations}");
    net.weather.lost = 0;
    assert_eq!(net.send(0, 1, &[b"there again?"]), Err(SessionDrop::UnknownIndex));
    net.run(SECOND);
    net.send(0, 1, &[b"there again"]).unwrap();
}

#[test]
fn an_idle_session_ends_and_nothing_is_left_to_wait_for() {
    let mut net = connected();
    net.run(170 * SECOND);
    assert_eq!(net.history, [], "an idle session is silent");
    net.run(20 * SECOND);
    for node in [0, 1] {
        let remote = net.address(1 - node);
        let ended = SessionEvent::Ended { remote, reason: EndReason::Idle };
        assert_eq!(net.nodes[node].events[1..], [ended]);
        assert_eq!(net.nodes[node].sessions.poll_timeout(), None);
        assert_eq!(net.status(node, 1 - node), None);
        let table = net.table(node);
        assert!(table.send.is_empty() && table.receive.is_empty(), "no index is left behind");
    }
    net.connect(1, 0);
    net.run(SECOND);
    assert_eq!(net.status(0, 1).unwrap().state, SessionState::Established);
}

#[test]
fn a_key_serves_until_180_seconds_and_not_a_moment_longer() {
    let mut net = Network::strangers(2);
    net.connect(0, 1);
    net.run(Duration::from_millis(40));
    let created = net.at;
    let key = Arc::clone(net.table(0).send_key(&address(2)).unwrap());
    let table = {
        net.run(SECOND);
        net.table(1)
    };
    let mut sealed = Sealed::new();
    let mut frame = |age: Duration| {
        let mut batch = batch(&[b"packet"]);
        key.seal(&mut batch, Mtu(1500), created + age, &mut sealed)?;
        let piece = sealed.pieces(&batch).next().unwrap();
        Ok([&piece.head[SESSION_HEADER..], piece.body, piece.tail].concat())
    };
    let limit = 180 * SECOND;
    let microsecond = Duration::from_micros(1);
    let mut last = frame(limit - microsecond).unwrap();
    assert_eq!(frame(limit), Err(SessionDrop::KeyExpired));
    // The responder's key was created one way of 20 ms earlier.
    let theirs = created - Duration::from_millis(20);
    let open = |payload: &mut [u8], age| table.open(payload, theirs + age, &mut |_| {});
    assert_eq!(open(&mut last.clone(), limit), Err(SessionDrop::KeyExpired));
    assert_eq!(open(&mut last, limit - microsecond).map(|opened| opened.packets), Ok(1));
}

#[test]
fn a_session_with_traffic_at_179_seconds_is_not_lost() {
    let mut net = connected();
    net.run(177 * SECOND + SECOND / 2);
    net.send(0, 1, &[b"late"]).unwrap();
    net.run(3 * SECOND);
    net.send(0, 1, &[b"later"]).unwrap();
    net.run(SECOND);
    assert_eq!(net.nodes[1].delivered.len(), 2);
    assert_eq!(net.nodes[0].events.len(), 1, "established once");
}

#[test]
fn a_key_is_renewed_at_2_to_the_32_frames_and_refuses_at_2_to_the_34() {
    for node in [0, 1] {
        let mut net = connected();
        let remote = net.address(1 - node);
        let key = Arc::clone(net.table(node).send_key(&remote).unwrap());
        key.skip_to((1 << 32) - 1);
        net.send(node, 1 - node, &[b"one"]).unwrap();
        net.run(3 * SECOND);
        assert_eq!(net.sent(node, Mode::SESSION_INITIATION), 1);
        net.send(node, 1 - node, &[b"two"]).unwrap();
        net.run(SECOND);
        assert_eq!(net.nodes[1 - node].delivered.len(), 2);
        assert!(!Arc::ptr_eq(&key, net.table(node).send_key(&remote).unwrap()));

        key.skip_to(MAX_FRAMES_PER_KEY - 1);
        let (mut sealed, now) = (Sealed::new(), net.now(node).at);
        let mut packets = batch(&[&[1; 1400], &[2; 1400]]);
        let plain = packets.clone();
        for _ in 0..3 {
            let outcome = key.seal(&mut packets, Mtu(1500), now, &mut sealed);
            assert_eq!(outcome, Err(SessionDrop::CounterExhausted), "two frames, one counter");
            assert!(sealed.is_empty() && packets == plain);
        }
    }
}

#[test]
fn status_tells_what_was_carried() {
    let mut net = connected();
    net.send(0, 1, &[&[1; 100], &[2; 200]]).unwrap();
    net.send(1, 0, &[&[3; 5000]]).unwrap();
    net.run(SECOND);
    let ours = net.status(0, 1).unwrap().traffic;
    assert_eq!(
        ours,
        TrafficTotals {
            sent_packets: 2,
            sent_bytes: ByteCount(300),
            received_packets: 1,
            received_bytes: ByteCount(5000),
        }
    );
    let theirs = net.status(1, 0).unwrap().traffic;
    assert_eq!((theirs.received_packets, theirs.sent_bytes), (2, ByteCount(5000)));
}

#[test]
fn one_seed_gives_one_trace() {
    let trace = || {
        let mut net = Network::strangers(3);
        net.weather = Weather { lost: 100, repeated: 100, jitter: SECOND / 10, ..net.weather };
        for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0)] {
            net.connect(from, to);
        }
        talk(&mut net, 200);
        net.history
    };
    assert_eq!(trace(), trace());
}

#[test]
fn the_table_stays_the_same_until_a_key_comes_or_goes() {
    let mut net = connected();
    let table = net.table(0);
    talk(&mut net, 30);
    assert!(Arc::ptr_eq(&table, &net.table(0)));
    talk(&mut net, 100);
    assert!(!Arc::ptr_eq(&table, &net.table(0)));
}

#[test]
fn threads_seal_and_open_together_and_every_packet_comes_once() {
    const THREADS: usize = 4;
    const BATCHES: usize = 200;
    let mut net = connected();
    let key = Arc::clone(net.table(0).send_key(&address(2)).unwrap());
    let (table, now) = (net.table(1), net.now(1).at);
    let frames = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut sealed = Sealed::new();
                for _ in 0..BATCHES {
                    let mut batch = batch(&[&[5; 1300]]);
                    key.seal(&mut batch, Mtu(1500), now, &mut sealed).unwrap();
                    for piece in sealed.pieces(&batch) {
                        let payload = [&piece.head[SESSION_HEADER..], piece.body, piece.tail].concat();
                        frames.lock().unwrap().push(payload);
                    }
                }
            });
        }
    });
    let frames = frames.into_inner().unwrap();
    let (delivered, opened) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for frame in &frames {
                    let mut count = |_: OpenedPacket<'_, '_>| {
                        delivered.fetch_add(1, Ordering::Relaxed);
                    };
                    if table.open(&mut frame.clone(), now, &mut count).is_ok() {
                        opened.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(frames.len(), THREADS * BATCHES);
    assert_eq!(opened.into_inner(), THREADS * BATCHES, "each counter was given once and taken once");
    assert_eq!(delivered.into_inner(), THREADS * BATCHES);
}

#[test]
fn what_the_driver_drops_is_counted_with_the_rest() {
    let mut net = Network::strangers(1);
    net.table(0).drops().count(SessionDrop::BatchTooLarge);
    assert_eq!(net.drops(0, SessionDrop::BatchTooLarge), 1);
}

#[test]
fn packets_in_frames_can_be_gathered_over_several_frames() {
    let mut net = connected();
    let key = Arc::clone(net.table(0).send_key(&address(2)).unwrap());
    let (table, now, mut sealed) = (net.table(1), net.now(1).at, Sealed::new());
    let mut batch = batch(&[b"first", b"second", &[3; 3000], &[4; 1000]]);
    key.seal(&mut batch, Mtu(1500), now, &mut sealed).unwrap();
    let mut frames: Vec<_> = sealed
        .pieces(&batch)
        .map(|piece| [&piece.head[SESSION_HEADER..], piece.body, piece.tail].concat())
        .collect();
    let (mut gathered, mut joined) = (Vec::new(), Vec::new());
    for frame in &mut frames {
        let opened = table.open(frame, now, &mut |packet| match packet.bytes {
            OpenedBytes::InFrame(bytes) => gathered.push(bytes),
            OpenedBytes::Joined(bytes) => joined.push(bytes.to_vec()),
        });
        assert_eq!(opened.map(|opened| opened.remote), Ok(address(1)));
    }
    assert_eq!(gathered, [&b"first"[..], b"second", &[4; 1000]]);
    assert_eq!(joined, [vec![3; 3000]]);
}
