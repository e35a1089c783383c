// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of a namespace is there, in the simulated mesh.

mod limits;

use super::mesh::hop;
use super::namespaces::{namespace, namespace_key};
use super::*;
use crate::Via;
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
    mesh.replay(1, 2, &frame);
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
    // Who hears the question on its way answers it, as somebody who takes part.
    let asked = Probe::decode(payload).unwrap();
    let (relay, asker) = (SecretKey::from_seed([2; 32]), mesh.address(0));
    let bytes = ProbeAnswer::proven_bytes(&relay.address(), &asker, asked.time, asked.nonce);
    let forged = |proof| ProbeAnswer { asked: asked.time, nonce: asked.nonce, held: Duration::ZERO, proof };
    mesh.replay(1, 0, &answer(&relay, &asker, &forged(relay.sign(&bytes)), now));
    assert_eq!(drops(&mesh, 0, DropReason::AnycastProof), 1);
    let member = SecretKey::from_seed([3; 32]);
    assert_eq!(member.address(), mesh.address(2));
    // With what the member proves of itself, and with what it sealed.
    let of_member = ProbeAnswer::proven_bytes(&member.address(), &asker, asked.time, asked.nonce);
    mesh.replay(1, 0, &answer(&relay, &asker, &forged(namespace_key().sign(&of_member)), now));
    assert_eq!(drops(&mesh, 0, DropReason::AnycastProof), 2);
    let honest = honest_answer(&member, &heard, now);
    let Frame { header, payload } = Frame::decode(&honest).unwrap();
    mesh.replay(1, 0, &sign_frame(&relay, Header { sender: relay.public(), ..header }, payload));
    assert_eq!(drops(&mesh, 0, DropReason::AnycastSeal), 1);
    let not_for_us = answer(&relay, &mesh.address(2), &forged(relay.sign(&bytes)), now);
    let Frame { header, payload } = Frame::decode(&not_for_us).unwrap();
    mesh.replay(1, 0, &sign_frame(&relay, header.to(mesh.to(0)), payload));
    assert_eq!(drops(&mesh, 0, DropReason::AnycastSeal), 2);
    let who = mesh.answered(0, question).into_iter().map(|(who, _)| who).collect::<Vec<_>>();
    assert_eq!(who, [member.address()]);
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
    let late = Now { at: mesh.now().at + WAIT, ..mesh.now() };
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
    // No key seals two of them, and none says when exactly it was made.
    let question = mesh.ask(0).unwrap();
    assert_eq!(mesh.answered(0, question).len(), 2);
    let seen = mesh.anycast_seen_by(0);
    let answers =
        seen.iter().map(|frame| SealedAnswer::decode(Frame::decode(frame).unwrap().payload).unwrap());
    let (keys, seconds): (BTreeSet<_>, BTreeSet<_>) =
        answers.map(|answer| (answer.sealed[..32].to_vec(), answer.time.as_micros() / 1_000_000)).unzip();
    assert_eq!(keys.len(), 4);
    assert!(seconds.len() > 2, "{seconds:?}");
    assert_eq!(time.as_micros() % 1_000_000, 0);
}

#[test]
fn an_answer_is_for_who_asked() {
    let mut mesh = Mesh::line(2);
    let other = Arc::new(SecretKey::from_seed([60; 32]));
    let now = mesh.now();
    mesh.node_mut(0).streams.add_local(Arc::clone(&other), 60);
    let asked = mesh.ask(0).unwrap();
    let others = mesh.node_mut(0).streams.ask_who(&namespace_key(), other.address(), WAIT, now).unwrap();
    mesh.run_until(WAIT, |mesh| mesh.anycast_seen_by(1).len() == 2);
    let probes = mesh.anycast_seen_by(1);
    let ours = probes.iter().find(|frame| Frame::decode(frame).unwrap().header.sender != other.public());
    // It answers the one to the other.
    let Probe { time, nonce, .. } = Probe::decode(Frame::decode(ours.unwrap()).unwrap().payload).unwrap();
    let member = SecretKey::from_seed([2; 32]);
    let proven = ProbeAnswer::proven_bytes(&member.address(), &other.address(), time, nonce);
    let proof = namespace_key().sign(&proven);
    let wrong = ProbeAnswer { asked: time, nonce, held: Duration::ZERO, proof };
    mesh.replay(1, 0, &answer(&member, &other.address(), &wrong, now.wall));
    assert_eq!(drops(&mesh, 0, DropReason::AnycastUnasked), 1);
    assert_eq!([asked, others].map(|question| mesh.answered(0, question)), [vec![], vec![]]);
}

#[test]
fn a_wrong_proof_goes_no_further_whoever_holds_the_key() {
    for holds in [false, true] {
        let mut mesh = Mesh::line(3);
        if holds {
            mesh.subscribe(1);
        }
        let stranger = SecretKey::from_seed([11; 32]);
        mesh.replay(0, 1, &probe(&stranger, &stranger, mesh.now().wall, 7));
        mesh.run_for(WAIT);
        assert_eq!(mesh.anycast_seen_by(2).len(), 0);
        assert_eq!([1, 2].map(|index| drops(&mesh, index, DropReason::AnycastProof)), [1, 0]);
    }
}

#[test]
fn a_clock_that_was_ahead_when_we_began_is_no_reason_to_refuse() {
    let mut mesh = Mesh::line(3);
    mesh.run_for(MINUTE);
    // Neighbours that come later are no new beginning.
    let now = mesh.now();
    mesh.node_mut(1).streams.handle_neighbours(&[], now);
    let two_hours = 2 * 60 * 60 * 1_000_000;
    mesh.node_mut(1).streams.set_clock_correction(-two_hours);
    let asker = SecretKey::from_seed([11; 32]);
    let right = mesh.now().wall.shifted(-two_hours);
    mesh.replay(0, 1, &probe(&asker, &namespace_key(), right.shifted(-30_000_000), 7));
    assert_eq!(drops(&mesh, 1, DropReason::ClockWindow), 0);
    // From before we began, by the clock as it is now.
    let before = right.shifted(-100_000_000);
    mesh.replay(0, 1, &probe(&asker, &namespace_key(), before, 8));
    assert_eq!(drops(&mesh, 1, DropReason::ClockWindow), 1);
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
