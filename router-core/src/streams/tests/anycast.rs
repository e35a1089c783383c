// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of a namespace is there, in the simulated mesh.

use super::mesh::hop;
use super::namespaces::{namespace, namespace_key};
use super::*;
use crate::stream::noise;
use crate::{DropReason, sign_frame};
use ratman_types::{Mtu, to_x25519};
use ratman_wire::Header;
use ratman_wire::anycast::{Probe, ProbeAnswer, SealedAnswer};
use ratman_wire::carrier::set_hops_left;
use zeroize::Zeroizing;

const WAIT: Duration = Duration::from_secs(1);

impl Mesh {
    fn ask(&mut self, index: usize) -> Result<QuestionId, AskError> {
        let (asker, now) = (self.address(index), self.now());
        self.node_mut(index).streams.ask_who(&namespace_key(), asker, WAIT, now)
    }

    /// Lets those answer who are asked, as their clients' registry does, until the question is over; says who did.
    fn answered(&mut self, index: usize, question: QuestionId) -> Vec<(Address, Duration)> {
        let end = self.now().at + 2 * WAIT;
        loop {
            self.let_answer();
            let event = |event: &StreamEvent| {
                let StreamEvent::Answered { question: of, members } = event else { return None };
                (*of == question).then(|| members.clone())
            };
            if let Some(members) = self.node(index).events.iter().find_map(event) {
                return members;
            }
            assert!(self.now().at < end, "a question has its end");
            self.step();
        }
    }

    fn let_answer(&mut self) {
        for index in 0..self.len() {
            let (member, now) = (self.address(index), self.now());
            let node = self.node_mut(index);
            let asked = node.events.extract_if(.., |event| matches!(event, StreamEvent::Asked(_)));
            for event in asked.collect::<Vec<_>>() {
                let StreamEvent::Asked(question) = event else { continue };
                node.streams.answer_question(&question, member, now);
            }
        }
    }

    fn anycast_seen_by(&self, index: usize) -> Vec<Vec<u8>> {
        let mut seen = self.frames_seen_by(index);
        seen.retain(|frame| Frame::decode(frame).unwrap().header.mode == Mode::ANYCAST);
        seen
    }
}

/// A probe of `asker` with a proof by this key.
fn probe(asker: &SecretKey, by: &SecretKey, time: WallTime, nonce: u64) -> Vec<u8> {
    let namespace = namespace();
    let proof = by.sign(&Probe::proven_bytes(&asker.address(), &namespace, time, nonce));
    let mut payload = Vec::new();
    Probe { time, window: WAIT, nonce, proof }.encode_into(&mut payload);
    let header = Header::new(Mode::ANYCAST, asker.public()).to(Recipient::Namespace(namespace));
    sign_frame(asker, Header { hops_left: 9, ..header }, &payload)
}

/// What a member says to an asker.
fn answer(member: &SecretKey, asker: &Address, answer: &ProbeAnswer, time: WallTime) -> Vec<u8> {
    let mut plaintext = Vec::new();
    answer.encode_into(&mut plaintext);
    let prologue = SealedAnswer::prologue(&member.address(), asker, time);
    let recipient = to_x25519(asker.as_bytes()).unwrap();
    let sealed = noise::seal(member, &recipient, &prologue, Zeroizing::new([5; 32]), &plaintext);
    let mut payload = Vec::new();
    SealedAnswer { time, sealed: &sealed }.encode_into(&mut payload);
    let header = Header::new(Mode::ANYCAST, member.public()).to(Recipient::Address(*asker));
    sign_frame(member, Header { hops_left: 9, ..header }, &payload)
}

/// What an honest member says to a probe that was heard.
fn honest_answer(member: &SecretKey, probe: &[u8], time: WallTime) -> Vec<u8> {
    let Frame { header, payload } = Frame::decode(probe).unwrap();
    let asker = Address::from_bytes(header.sender);
    let Probe { time: asked, nonce, .. } = Probe::decode(payload).unwrap();
    let proof = namespace_key().sign(&ProbeAnswer::proven_bytes(&member.address(), &asker, asked, nonce));
    answer(member, &asker, &ProbeAnswer { asked, nonce, held: Duration::ZERO, proof }, time)
}

fn drops(mesh: &Mesh, index: usize, reason: DropReason) -> u64 {
    mesh.node(index).streams.drops().get(reason)
}

#[test]
fn those_who_take_part_answer_once_each_and_no_others() {
    let mut mesh = Mesh::line(5);
    // The asker takes part itself, which it knows; 3 does not.
    [0, 1, 2, 4].into_iter().for_each(|index| mesh.subscribe(index));
    let question = mesh.ask(0).unwrap();
    let members = mesh.answered(0, question);
    // A link takes a millisecond.
    let expected = [1, 2, 4]
        .map(|index| (mesh.address(index), Duration::from_millis(2 * u64::try_from(index).unwrap())));
    assert_eq!(members, expected);
    // One probe over each link, and no answer but towards who asked.
    assert_eq!([1, 2, 3, 4].map(|index| mesh.anycast_seen_by(index).len()), [1 + 2, 1 + 1, 1 + 1, 1]);
    assert_eq!(mesh.anycast_seen_by(0).len(), 3);
    assert_eq!(mesh.node(4).streams.status().flooded, 0, "nothing of it is kept");
}

#[test]
fn a_probe_goes_on_once_whoever_brings_it_and_however_few_hops_it_has_left() {
    let mut mesh = Mesh::line(4);
    mesh.subscribe(3);
    let asker = SecretKey::from_seed([1; 32]);
    let frame = probe(&asker, &namespace_key(), mesh.now().wall, 7);
    // As a circle of routers would bring it: from both sides, and with another count of hops.
    mesh.replay(1, 2, &frame);
    mesh.run_for(WAIT);
    let mut again = frame.clone();
    set_hops_left(&mut again, 3);
    mesh.replay(3, 2, &again);
    mesh.run_for(WAIT);
    assert_eq!(drops(&mesh, 2, DropReason::FloodedBefore), 1);
    assert_eq!([0, 1, 2, 3].map(|index| mesh.anycast_seen_by(index).len()), [0, 0, 0, 1]);
    // Who brings it could have made them so few.
    let mut last = probe(&asker, &namespace_key(), mesh.now().wall, 8);
    set_hops_left(&mut last, 0);
    mesh.replay(1, 2, &last);
    mesh.run_for(WAIT);
    assert_eq!(mesh.anycast_seen_by(3).len(), 2);
}

#[test]
fn who_does_not_hold_the_key_learns_nobody_and_is_nobody() {
    let mut mesh = Mesh::line(3);
    mesh.subscribe(2);
    let (stranger, now) = (SecretKey::from_seed([1; 32]), mesh.now().wall);
    let frame = probe(&stranger, &stranger, now, 7);
    mesh.replay(0, 1, &frame);
    mesh.run_for(WAIT);
    assert_eq!(drops(&mesh, 2, DropReason::AnycastProof), 1);
    assert!(!mesh.node(2).events.iter().any(|event| matches!(event, StreamEvent::Asked(_))));
    // The proof of another's question is of no use for one's own.
    let question = mesh.ask(0).unwrap();
    mesh.run_until(WAIT, |mesh| mesh.anycast_seen_by(1).len() == 1);
    let heard = mesh.anycast_seen_by(1).pop().unwrap();
    let Frame { payload, .. } = Frame::decode(&heard).unwrap();
    let header = Header::new(Mode::ANYCAST, stranger.public()).to(Recipient::Namespace(namespace()));
    let stolen = sign_frame(
        &SecretKey::from_seed([9; 32]),
        Header { hops_left: 9, sender: SecretKey::from_seed([9; 32]).public(), ..header },
        payload,
    );
    mesh.replay(1, 2, &stolen);
    assert_eq!(drops(&mesh, 2, DropReason::AnycastProof), 2);
    // Who hears the question on its way answers it, as somebody who takes part, and in the name of the one who does.
    let asked = Probe::decode(payload).unwrap();
    let (relay, asker) = (SecretKey::from_seed([2; 32]), mesh.address(0));
    let bytes = ProbeAnswer::proven_bytes(&relay.address(), &asker, asked.time, asked.nonce);
    let forged = |proof| ProbeAnswer { asked: asked.time, nonce: asked.nonce, held: Duration::ZERO, proof };
    mesh.replay(1, 0, &answer(&relay, &asker, &forged(relay.sign(&bytes)), now));
    assert_eq!(drops(&mesh, 0, DropReason::AnycastProof), 1);
    let not_for_us = answer(&relay, &mesh.address(2), &forged(relay.sign(&bytes)), now);
    let Frame { header, payload } = Frame::decode(&not_for_us).unwrap();
    mesh.replay(1, 0, &sign_frame(&relay, header.to(mesh.to(0)), payload));
    assert_eq!(drops(&mesh, 0, DropReason::AnycastSeal), 1);
    let member = mesh.address(2);
    assert_eq!(mesh.answered(0, question).into_iter().map(|(who, _)| who).collect::<Vec<_>>(), [member]);
}

#[test]
fn answers_count_once_and_while_the_question_is_open() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let question = mesh.ask(0).unwrap();
    mesh.run_until(WAIT, |mesh| mesh.anycast_seen_by(1).len() == 1);
    mesh.let_answer();
    mesh.run_until(WAIT, |mesh| mesh.anycast_seen_by(0).len() == 1);
    let answer = mesh.anycast_seen_by(0).pop().unwrap();
    mesh.replay(1, 0, &answer);
    assert_eq!(drops(&mesh, 0, DropReason::AnycastUnasked), 1);
    // Too late, though it was not told yet that the time is over.
    let late = later(mesh.now(), 1);
    let frame = honest_answer(&SecretKey::from_seed([50; 32]), &mesh.anycast_seen_by(1)[0], late.wall);
    mesh.node_mut(0).streams.handle_frame(hop(1), &frame, late);
    assert_eq!(drops(&mesh, 0, DropReason::AnycastUnasked), 2);
    assert_eq!(mesh.answered(0, question).len(), 1);
    mesh.replay(1, 0, &answer);
    assert_eq!(drops(&mesh, 0, DropReason::AnycastUnasked), 3);
    mesh.run_for(6 * MINUTE);
    mesh.replay(1, 0, &answer);
    assert_eq!(drops(&mesh, 0, DropReason::ClockWindow), 1);
}

#[test]
fn old_probes_and_such_from_before_the_start_are_refused_and_none_comes_twice() {
    let mut mesh = Mesh::line(3);
    let asker = SecretKey::from_seed([1; 32]);
    let ahead = WallTime::from_micros(mesh.now().wall.as_micros() + 299_000_000);
    let frame = probe(&asker, &namespace_key(), ahead, 7);
    mesh.replay(0, 1, &frame);
    mesh.run_for(WAIT);
    // For as long as it is fresh it is known.
    for _ in 0..10 {
        mesh.run_for(MINUTE);
        mesh.replay(0, 1, &frame);
    }
    assert_eq!(mesh.anycast_seen_by(2).len(), 1);
    assert_eq!(drops(&mesh, 1, DropReason::FloodedBefore) + drops(&mesh, 1, DropReason::ClockWindow), 10);
    let too_far = WallTime::from_micros(mesh.now().wall.as_micros() + 301_000_000);
    let before = drops(&mesh, 1, DropReason::ClockWindow);
    mesh.replay(0, 1, &probe(&asker, &namespace_key(), too_far, 8));
    assert_eq!(drops(&mesh, 1, DropReason::ClockWindow), before + 1);
    // What it had seen before it began anew is not known any more.
    let fresh = probe(&asker, &namespace_key(), mesh.now().wall, 9);
    mesh.run_for(WAIT);
    mesh.restart(1);
    mesh.replay(0, 1, &fresh);
    mesh.run_for(WAIT);
    assert_eq!(drops(&mesh, 1, DropReason::ClockWindow), 1);
    assert_eq!(mesh.anycast_seen_by(2).len(), 1);
}

#[test]
fn one_neighbour_one_asker_and_our_own_clients_ask_so_much() {
    let mut mesh = Mesh::line(4);
    let now = mesh.now().wall;
    let bring = |mesh: &mut Mesh, asker: u8, count: u64| {
        for nonce in 0..count {
            let frame = probe(&SecretKey::from_seed([asker; 32]), &namespace_key(), now, nonce);
            mesh.replay(0, 1, &frame);
        }
    };
    bring(&mut mesh, 11, 25);
    assert_eq!(drops(&mesh, 1, DropReason::AnycastAsker), 5);
    // Others behind the same neighbour are heard beside it.
    bring(&mut mesh, 12, 20);
    assert_eq!(
        (drops(&mesh, 1, DropReason::AnycastAsker), mesh.node(1).streams.anycast.remembered()),
        (5, 40)
    );
    bring(&mut mesh, 13, 100);
    assert_eq!(drops(&mesh, 1, DropReason::VerificationQuota), 95);
    // Other neighbours are heard meanwhile, and it again a second later.
    mesh.replay(2, 1, &probe(&SecretKey::from_seed([14; 32]), &namespace_key(), now, 1));
    assert_eq!(drops(&mesh, 1, DropReason::VerificationQuota), 95);
    let asked = core::iter::from_fn(|| mesh.ask(3).ok()).count();
    assert_eq!(asked, 10);
    assert_eq!(mesh.ask(3), Err(AskError::TooMany));
    mesh.run_for(WAIT);
    assert!(mesh.ask(3).is_ok());
    let (nobody, now) = (Address::from_bytes([77; 32]), mesh.now());
    let asked = mesh.node_mut(3).streams.ask_who(&namespace_key(), nobody, WAIT, now);
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
fn so_many_questions_are_open_and_who_gives_one_up_has_its_place() {
    let mut mesh = Mesh::line(2);
    let (now, hour) = (mesh.now(), 60 * MINUTE);
    let streams = &mut mesh.node_mut(0).streams;
    let mut asked = Vec::new();
    for seed in 100..117 {
        let key = Arc::new(SecretKey::from_seed([seed; 32]));
        streams.add_local(Arc::clone(&key), 60);
        for _ in 0..17 {
            let number = u64::try_from(asked.len()).unwrap();
            let then = later(now, 100 * u64::from(seed) + number);
            asked.extend(streams.ask_who(&namespace_key(), key.address(), 10 * hour, then));
        }
    }
    assert_eq!(asked.len(), 256, "16 of each of 16");
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
fn so_much_is_remembered_and_so_many_answers_are_listed() {
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

    let now = mesh.now();
    let streams = &mut mesh.node_mut(0).streams;
    let mut note = |numbers: core::ops::Range<u32>| {
        for number in numbers {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&number.to_be_bytes());
            streams.anycast.note(FrameId::from_bytes(name), now.at);
        }
    };
    note(0..65_536 - 4096);
    let frame = probe(&SecretKey::from_seed([2; 32]), &namespace_key(), now.wall, 7);
    mesh.replay(1, 0, &frame);
    assert_eq!(drops(&mesh, 0, DropReason::AnycastFull), 1);
    assert!(mesh.ask(0).is_ok(), "there is room for what our clients ask");
    mesh.run_for(11 * MINUTE);
    let frame = probe(&SecretKey::from_seed([2; 32]), &namespace_key(), mesh.now().wall, 7);
    mesh.replay(1, 0, &frame);
    assert_eq!(drops(&mesh, 0, DropReason::AnycastFull), 1, "what cannot come again is forgotten");
}

#[test]
fn a_wrong_proof_goes_on_as_any_other() {
    // Else who holds the key would be seen by who sends such.
    let mut mesh = Mesh::line(4);
    [1, 2].into_iter().for_each(|index| mesh.subscribe(index));
    let stranger = SecretKey::from_seed([11; 32]);
    let frame = probe(&stranger, &stranger, mesh.now().wall, 7);
    mesh.replay(0, 1, &frame);
    mesh.run_for(WAIT);
    assert_eq!([2, 3].map(|index| mesh.anycast_seen_by(index).len()), [1, 1]);
    assert_eq!([1, 2, 3].map(|index| drops(&mesh, index, DropReason::AnycastProof)), [1, 1, 0]);
    mesh.replay(0, 1, &frame);
    assert_eq!(drops(&mesh, 1, DropReason::FloodedBefore), 1, "it is asked once whose key it was");
}

#[test]
fn what_is_answered_is_read_by_who_asked() {
    let mut mesh = Mesh::line(3);
    [1, 2].into_iter().for_each(|index| mesh.subscribe(index));
    let question = mesh.ask(0).unwrap();
    assert_eq!(mesh.answered(0, question).len(), 2);
    let seen = mesh.anycast_seen_by(1);
    let asked = Frame::decode(&seen[0]).unwrap().payload;
    let Probe { time, nonce, .. } = Probe::decode(asked).unwrap();
    let answer = Frame::decode(seen.last().unwrap()).unwrap().payload;
    assert_eq!(answer.len(), 8 + SealedAnswer::SEALED);
    for secret in [time.as_micros(), nonce] {
        assert!(!answer.windows(8).any(|window| window == secret.to_be_bytes()));
    }
}

#[test]
fn an_answer_waits_for_a_part_of_the_time_that_nobody_on_its_way_knows() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let (now, member) = (mesh.now(), mesh.address(1));
    let question = |window| Question {
        asker: mesh.address(0),
        namespace: namespace(),
        window,
        time: now.wall,
        nonce: 7,
    };
    let questions = [Duration::ZERO, WAIT, 100 * WAIT].map(question);
    let streams = &mut mesh.node_mut(1).streams;
    let mut waits = |question: &Question| -> Vec<Duration> {
        let wait = |_| {
            streams.answer_question(question, member, now);
            let at = streams.anycast.deadline().unwrap();
            streams.handle_timeout(Now { at, ..now });
            assert_eq!(streams.poll_transmit(now).into_iter().count(), 1);
            at.since(now.at)
        };
        (0..50).map(wait).collect()
    };
    let [none, part, most] = questions.map(|question| waits(&question));
    assert!(none.iter().all(Duration::is_zero));
    for (waits, limit) in [(part, WAIT / 4), (most, WAIT / 2)] {
        let mean = waits.iter().sum::<Duration>() / 50;
        assert!(waits.iter().all(|wait| *wait < limit), "{waits:?}");
        assert!((limit / 3..limit * 2 / 3).contains(&mean), "{waits:?}");
    }
}

#[test]
fn so_many_answers_wait_and_no_more_are_sent_at_once_than_are_taken() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let (now, member) = (mesh.now(), mesh.address(1));
    let question =
        Question { asker: mesh.address(0), namespace: namespace(), window: WAIT, time: now.wall, nonce: 7 };
    let streams = &mut mesh.node_mut(1).streams;
    for _ in 0..1030 {
        streams.answer_question(&question, member, now);
    }
    assert_eq!(streams.drops().get(DropReason::AnycastFull), 6);
    let mut sent = Vec::new();
    let then = later(now, 1);
    while streams.anycast.deadline().is_some_and(|at| at <= then.at) {
        streams.handle_timeout(then);
        sent.push(core::iter::from_fn(|| streams.poll_transmit(then)).count());
    }
    assert_eq!(sent, [256; 4]);
}

#[test]
fn a_clock_that_was_ahead_when_we_began_is_no_reason_to_refuse() {
    let mut mesh = Mesh::line(3);
    mesh.run_for(MINUTE);
    let two_hours = 2 * 60 * 60 * 1_000_000;
    mesh.node_mut(1).streams.set_clock_correction(-two_hours);
    let asker = SecretKey::from_seed([11; 32]);
    let right = mesh.now().wall.shifted(-two_hours);
    mesh.replay(0, 1, &probe(&asker, &namespace_key(), right, 7));
    assert_eq!(drops(&mesh, 1, DropReason::ClockWindow), 0);
    // From before we began, by the clock as it is now.
    let before = right.shifted(-100_000_000);
    mesh.replay(0, 1, &probe(&asker, &namespace_key(), before, 8));
    assert_eq!(drops(&mesh, 1, DropReason::ClockWindow), 1);
}

fn later(now: Now, seconds: u64) -> Now {
    Now { at: now.at + Duration::from_secs(seconds), ..now }
}

#[test]
fn bad_signatures_are_blamed_and_odd_payloads_dropped() {
    let mut mesh = Mesh::line(2);
    let asker = SecretKey::from_seed([1; 32]);
    let mut frame = probe(&asker, &namespace_key(), mesh.now().wall, 7);
    *frame.last_mut().unwrap() ^= 1;
    mesh.replay(0, 1, &frame);
    assert_eq!(drops(&mesh, 1, DropReason::BadSignature), 1);
    mesh.run_for(Duration::from_millis(1));
    assert!(mesh.node(1).events.iter().any(|event| matches!(event, StreamEvent::BadSignature { .. })));
    let time = mesh.now().wall.as_micros().to_be_bytes();
    for (payload, to) in [(&time[..7], 0), (&time, 0), (&time[..7], 1), (&time, 1)] {
        let to = [Recipient::Namespace(namespace()), mesh.to(1)][to];
        let header = Header { hops_left: 9, ..Header::new(Mode::ANYCAST, asker.public()) };
        let before = drops(&mesh, 1, DropReason::MalformedPayload);
        mesh.replay(0, 1, &sign_frame(&asker, header.to(to), payload));
        assert_eq!(drops(&mesh, 1, DropReason::MalformedPayload), before + 1);
    }
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
