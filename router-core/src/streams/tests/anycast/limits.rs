// SPDX-License-Identifier: AGPL-3.0-or-later
//! How much is asked, remembered and answered.

use super::*;
use crate::streams::StreamTransmit;

fn later(now: Now, seconds: u64) -> Now {
    Now { at: now.at + Duration::from_secs(seconds), ..now }
}

/// Probes of somebody.
fn probes_of(asker: u8, count: u64, time: WallTime) -> Vec<Vec<u8>> {
    (0..count).map(|nonce| probe(&SecretKey::from_seed([asker; 32]), &namespace_key(), time, nonce)).collect()
}

#[test]
fn one_neighbour_and_one_asker_ask_so_much() {
    let mut mesh = Mesh::line(4);
    let now = mesh.now().wall;
    let bring = |mesh: &mut Mesh, from, asker, count| {
        probes_of(asker, count, now).iter().for_each(|frame| mesh.replay(from, 1, frame));
    };
    bring(&mut mesh, 0, 11, 45);
    assert_eq!(drops(&mesh, 1, DropReason::AnycastAsker), 25);
    // Others behind the same neighbour are heard beside it, as it has spent nothing more.
    bring(&mut mesh, 0, 12, 20);
    let all = mesh.node(1).streams.anycast.remembered();
    assert_eq!((drops(&mesh, 1, DropReason::VerificationQuota), all), (0, 40));
    bring(&mut mesh, 0, 13, 20);
    assert_eq!(drops(&mesh, 1, DropReason::VerificationQuota), 10);
    // Other neighbours are heard meanwhile, and it again a second later.
    bring(&mut mesh, 2, 14, 1);
    assert_eq!(drops(&mesh, 1, DropReason::VerificationQuota), 10);
    mesh.run_for(WAIT);
    bring(&mut mesh, 0, 15, 10);
    assert_eq!(drops(&mesh, 1, DropReason::VerificationQuota), 10);
}

#[test]
fn one_of_our_addresses_asks_so_much() {
    let mut mesh = Mesh::line(2);
    assert_eq!(core::iter::from_fn(|| mesh.ask(0).ok()).count(), 10);
    assert_eq!(mesh.ask(0), Err(AskError::TooMany));
    mesh.run_for(WAIT);
    assert!(mesh.ask(0).is_ok());
    let (nobody, now) = (Address::from_bytes([77; 32]), mesh.now());
    let asked = mesh.node_mut(0).streams.ask_who(&namespace_key(), nobody, WAIT, now);
    assert_eq!(asked, Err(AskError::Asker));
}

#[test]
fn our_own_clients_ask_so_much_together() {
    let mut mesh = Mesh::line(2);
    let now = mesh.now();
    let streams = &mut mesh.node_mut(0).streams;
    let mut asked = 0;
    for seed in 100..110 {
        let key = Arc::new(SecretKey::from_seed([seed; 32]));
        streams.add_local(Arc::clone(&key), 60);
        let mut ask = || streams.ask_who(&namespace_key(), key.address(), WAIT, now).ok();
        asked += core::iter::from_fn(&mut ask).count();
    }
    assert_eq!(asked, 25);
}

#[test]
fn so_many_askers_are_known_and_ours_are_not_among_them() {
    let mut mesh = Mesh::line(2);
    let now = mesh.now();
    let anycast = &mut mesh.node_mut(0).streams.anycast;
    for number in 0..4096_u32 {
        let mut asker = [0; 32];
        asker[..4].copy_from_slice(&number.to_be_bytes());
        assert_eq!(anycast.note_asker(Address::from_bytes(asker), now.at), Ok(()));
    }
    let bring = |mesh: &mut Mesh, asker| {
        let frame = &probes_of(asker, 1, mesh.now().wall)[0];
        mesh.replay(1, 0, frame);
        drops(mesh, 0, DropReason::AnycastFull)
    };
    assert_eq!(bring(&mut mesh, 11), 1);
    assert!(mesh.ask(0).is_ok());
    // Who has asked once may soon ask again as if it had not.
    mesh.run_for(WAIT);
    assert_eq!(bring(&mut mesh, 12), 1);
}

#[test]
fn so_many_questions_are_open_and_who_gives_one_up_has_its_place() {
    let mut mesh = Mesh::line(2);
    let (now, hour) = (mesh.now(), 60 * MINUTE);
    let streams = &mut mesh.node_mut(0).streams;
    let mut asked = Vec::new();
    for seed in 100..117 {
        let key = Arc::new(SecretKey::from_seed([seed; 32]));
        streams.add_local(Arc::clone(&key), 60);
        let before = asked.len();
        for _ in 0..17 {
            let number = u64::try_from(asked.len()).unwrap();
            let then = later(now, 100 * u64::from(seed) + number);
            asked.extend(streams.ask_who(&namespace_key(), key.address(), 10 * hour, then));
        }
        assert_eq!(asked.len() - before, if seed == 116 { 0 } else { 16 });
    }
    assert_eq!(asked.len(), 256, "of 16");
    let then = later(now, 20_000);
    let last = SecretKey::from_seed([116; 32]).address();
    assert_eq!(streams.ask_who(&namespace_key(), last, hour, then), Err(AskError::TooMany));
    streams.give_up_question(&asked[0]);
    assert!(streams.ask_who(&namespace_key(), last, hour, then).is_ok());
    streams.handle_timeout(later(now, 100_000));
    let mut answered = Vec::new();
    while let Some(event) = streams.poll_event() {
        let StreamEvent::Answered { question, .. } = event else { continue };
        answered.push(question);
    }
    assert_eq!(answered.len(), 256);
    assert!(!answered.contains(&asked[0]), "nobody waits for it");
}

#[test]
fn so_many_answers_are_listed() {
    let mut mesh = Mesh::line(2);
    let question = mesh.ask(0).unwrap();
    mesh.run_until(WAIT, |mesh| mesh.anycast_seen_by(1).len() == 1);
    let heard = mesh.anycast_seen_by(1).pop().unwrap();
    for number in 0..1030_u64 {
        let mut seed = [8; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let frame = honest_answer(&SecretKey::from_seed(seed), &heard, mesh.now().wall);
        mesh.replay(1, 0, &frame);
    }
    assert_eq!(mesh.answered(0, question).len(), MAX_ANSWERS);
    assert_eq!(drops(&mesh, 0, DropReason::AnycastUnasked), 6);
}

#[test]
fn so_many_wrong_answers_are_looked_at() {
    let mut mesh = Mesh::line(3);
    mesh.join(0, 2);
    let question = mesh.ask(0).unwrap();
    mesh.run_until(WAIT, |mesh| mesh.anycast_seen_by(1).len() == 1);
    let heard = mesh.anycast_seen_by(1).pop().unwrap();
    let member = SecretKey::from_seed([50; 32]);
    let right = honest_answer(&member, &heard, mesh.now().wall);
    let Frame { header, payload } = Frame::decode(&right).unwrap();
    let mut wrong = payload.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    let wrong = sign_frame(&member, header, &wrong);
    for _ in 0..1010 {
        mesh.replay(1, 0, &wrong);
    }
    let dropped = |mesh: &Mesh| {
        [DropReason::AnycastSeal, DropReason::VerificationQuota].map(|reason| drops(mesh, 0, reason))
    };
    assert_eq!(dropped(&mesh), [1000, 10]);
    // Other neighbours bring right ones meanwhile.
    mesh.replay(2, 0, &right);
    assert_eq!(dropped(&mesh), [1000, 10]);
    assert_eq!(mesh.answered(0, question).len(), 1);
}

#[test]
fn so_much_is_remembered() {
    let mut mesh = Mesh::line(2);
    let now = mesh.now();
    let note = |mesh: &mut Mesh, numbers: core::ops::Range<u32>| {
        for number in numbers {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&number.to_be_bytes());
            mesh.node_mut(0).streams.anycast.note(FrameId::from_bytes(name), now.at);
        }
    };
    let bring = |mesh: &mut Mesh, asker| {
        let frame = &probes_of(asker, 1, mesh.now().wall)[0];
        mesh.replay(1, 0, frame);
        drops(mesh, 0, DropReason::AnycastFull)
    };
    note(&mut mesh, 0..65_536 - 4096 - 1);
    assert_eq!([11, 12].map(|asker| bring(&mut mesh, asker)), [0, 1]);
    assert!(mesh.ask(0).is_ok(), "there is room for what our clients ask");
    note(&mut mesh, 65_536 - 4096..65_536);
    assert_eq!(mesh.ask(0), Err(AskError::TooMany));
    mesh.run_for(11 * MINUTE);
    assert_eq!(bring(&mut mesh, 13), 1, "what cannot come again is forgotten");
    assert!(mesh.ask(0).is_ok());
}

#[test]
fn no_probe_is_passed_on_where_too_much_waits() {
    let mut mesh = Mesh::line(3);
    let frames = probes_of(11, 2, mesh.now().wall);
    let streams = &mut mesh.node_mut(1).streams;
    let waiting = StreamTransmit { hop: hop(2), came_over: None, frame: Vec::new() };
    streams.outbox.extend(vec![waiting; 256]);
    mesh.replay(0, 1, &frames[0]);
    assert_eq!(drops(&mesh, 1, DropReason::TransmitQueueFull), 1);
    mesh.node_mut(1).streams.outbox.clear();
    // It is not known, and goes on when it comes again.
    mesh.replay(0, 1, &frames[0]);
    assert_eq!(mesh.node(1).streams.outbox.len(), 1);
}

#[test]
fn a_probe_fits_in_the_smallest_packet() {
    let mut mesh = Mesh::line(2);
    mesh.set_mtu(usize::try_from(Mtu(1280).0).unwrap());
    mesh.subscribe(1);
    let question = mesh.ask(0).unwrap();
    assert_eq!(mesh.answered(0, question).len(), 1);
    assert!(mesh.longest_frame() < 300, "{}", mesh.longest_frame());
}

#[test]
fn a_probe_goes_over_no_link_that_does_not_take_it() {
    let mut mesh = Mesh::line(3);
    mesh.set_mtu(200);
    mesh.ask(0).unwrap();
    let frame = &probes_of(11, 1, mesh.now().wall)[0];
    mesh.replay(0, 1, frame);
    mesh.run_for(WAIT);
    assert_eq!([1, 2].map(|index| mesh.anycast_seen_by(index).len()), [0, 0]);
}

/// A question of node 0, as it came.
fn question(mesh: &Mesh, asker: Address, window: Duration) -> Question {
    Question { asker, namespace: namespace(), window, time: mesh.now().wall, nonce: 7 }
}

#[test]
fn a_member_answers_after_a_while_that_is_its_own() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let (now, asker) = (mesh.now(), mesh.address(0));
    let asked = question(&mesh, asker, WAIT);
    let streams = &mut mesh.node_mut(1).streams;
    let mut waits = |seed: u8| {
        let key = Arc::new(SecretKey::from_seed([seed; 32]));
        streams.add_local(Arc::clone(&key), 60);
        let wait = |_| {
            streams.answer_question(&asked, key.address(), now);
            let at = streams.anycast.deadline().unwrap();
            streams.handle_timeout(Now { at, ..now });
            assert_eq!(streams.poll_transmit(now).into_iter().count(), 1);
            at.since(now.at)
        };
        let all: Vec<Duration> = (0..20).map(wait).collect();
        (*all.iter().min().unwrap(), *all.iter().max().unwrap())
    };
    let all: Vec<_> = (100..140).map(&mut waits).collect();
    for (least, most) in &all {
        assert!(
            *most < Duration::from_millis(250) && most.saturating_sub(*least) < Duration::from_millis(50)
        );
        assert!(most > least, "also a bit that is not");
    }
    let (least, most) =
        (all.iter().map(|(least, _)| *least).min(), all.iter().map(|(least, _)| *least).max());
    assert!(
        least.unwrap() < Duration::from_millis(50) && most.unwrap() > Duration::from_millis(150),
        "{all:?}"
    );
}

#[test]
fn nobody_answers_who_would_be_too_late() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let (now, asker) = (mesh.now(), mesh.address(0));
    let asked = question(&mesh, asker, Duration::ZERO);
    let member = mesh.address(1);
    mesh.node_mut(1).streams.answer_question(&asked, member, now);
    assert_eq!(mesh.node(1).streams.anycast.deadline(), None);
    // A probe that somebody held back goes on, and is not answered.
    let late = |mesh: &mut Mesh, seconds: i64, seed: u8| {
        let time = mesh.now().wall.shifted(-seconds * 1_000_000);
        let frame = probe(&SecretKey::from_seed([seed; 32]), &namespace_key(), time, 7);
        mesh.replay(0, 1, &frame);
        mesh.node_mut(1).streams.poll_event()
    };
    mesh.run_for(4 * MINUTE);
    assert!(matches!(late(&mut mesh, 60, 11), Some(StreamEvent::Asked(_))));
    assert_eq!(late(&mut mesh, 62, 12), None);
    assert_eq!(mesh.node(1).streams.anycast.remembered(), 2);
}

#[test]
fn so_many_answers_wait_and_are_made_at_a_time() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let (now, member) = (mesh.now(), mesh.address(1));
    let asked = [question(&mesh, mesh.address(0), WAIT), question(&mesh, Address::from_bytes([9; 32]), WAIT)];
    let streams = &mut mesh.node_mut(1).streams;
    for _ in 0..260 {
        streams.answer_question(&asked[0], member, now);
    }
    assert_eq!(streams.drops().get(DropReason::AnycastFull), 4);
    for number in 0..800_u32 {
        let mut asker = [8; 32];
        asker[..4].copy_from_slice(&number.to_be_bytes());
        let asked = Question { asker: Address::from_bytes(asker), ..asked[1] };
        streams.answer_question(&asked, member, now);
    }
    assert_eq!(streams.drops().get(DropReason::AnycastFull), 4 + 260 + 800 - 4 - 1024);
    let then = later(now, 1);
    let mut sent = 0;
    while streams.anycast.deadline().is_some_and(|at| at <= then.at) {
        streams.handle_timeout(then);
        let now_sent = core::iter::from_fn(|| streams.poll_transmit(then)).count();
        assert!(now_sent <= 32);
        sent += now_sent;
    }
    // There is no way to the others.
    assert_eq!((sent, streams.drops().get(DropReason::NoRoute)), (256, 1024 - 256));
    for _ in 0..256 {
        streams.answer_question(&asked[0], member, then);
    }
    assert_eq!(streams.drops().get(DropReason::AnycastFull), 36, "their places are free");
}

#[test]
fn an_answer_is_neither_carried_nor_given_for_who_has_left() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let (now, member, asker) = (mesh.now(), mesh.address(1), mesh.address(0));
    let asked = question(&mesh, asker, WAIT);
    let streams = &mut mesh.node_mut(1).streams;
    let then = later(now, 1);
    streams.answer_question(&asked, Address::from_bytes([9; 32]), now);
    streams.handle_timeout(then);
    assert_eq!(streams.drops().get(DropReason::AnycastGone), 1);
    streams.handle_routes(Arc::default(), now);
    streams.handle_carriers([(asker, Some(Via { hop: hop(0), mtu: Mtu(1500) }))], now);
    streams.answer_question(&asked, member, now);
    streams.handle_timeout(then);
    assert_eq!(streams.drops().get(DropReason::NoRoute), 1);
    assert_eq!(streams.poll_transmit(then), None);
}
