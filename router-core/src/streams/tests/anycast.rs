// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of a namespace is there, in the simulated mesh.

use super::namespaces::{namespace, namespace_key};
use super::*;
use crate::{DropReason, sign_frame};
use ratman_types::Mtu;
use ratman_wire::Header;
use ratman_wire::anycast::{Probe, ProbeAnswer};
use ratman_wire::carrier::set_hops_left;

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
    Probe { time, nonce, proof }.encode_into(&mut payload);
    let header = Header::new(Mode::ANYCAST, asker.public()).to(Recipient::Namespace(namespace));
    sign_frame(asker, Header { hops_left: 9, ..header }, &payload)
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
    assert_eq!(mesh.node(2).streams.drops().get(DropReason::FloodedBefore), 1);
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
    assert_eq!(mesh.node(2).streams.drops().get(DropReason::AnycastProof), 1);
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
    assert_eq!(mesh.node(2).streams.drops().get(DropReason::AnycastProof), 2);
    // Who hears the question on its way answers it, as somebody who takes part, and in the name of the one who does.
    let asked = Probe::decode(payload).unwrap();
    let mut forge = |key: &SecretKey, proof| {
        let mut payload = Vec::new();
        ProbeAnswer { time: now, asked: asked.time, nonce: asked.nonce, proof }.encode_into(&mut payload);
        let header = Header::new(Mode::ANYCAST, key.public()).to(mesh.to(0));
        let frame = sign_frame(key, Header { hops_left: 9, ..header }, &payload);
        mesh.replay(1, 0, &frame);
    };
    let relay = SecretKey::from_seed([2; 32]);
    let bytes = ProbeAnswer::proven_bytes(&relay.address(), &stranger.address(), asked.time, asked.nonce);
    forge(&relay, relay.sign(&bytes));
    assert_eq!(mesh.node(0).streams.drops().get(DropReason::AnycastProof), 1);
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
    assert_eq!(mesh.node(0).streams.drops().get(DropReason::AnycastUnasked), 1);
    assert_eq!(mesh.answered(0, question).len(), 1);
    mesh.replay(1, 0, &answer);
    assert_eq!(mesh.node(0).streams.drops().get(DropReason::AnycastUnasked), 2);
    mesh.run_for(6 * MINUTE);
    mesh.replay(1, 0, &answer);
    assert_eq!(mesh.node(0).streams.drops().get(DropReason::ClockWindow), 1);
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
    let drops = |mesh: &Mesh, index: usize, reason| mesh.node(index).streams.drops().get(reason);
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
fn one_neighbour_and_our_own_clients_ask_so_much() {
    let mut mesh = Mesh::line(3);
    let asker = SecretKey::from_seed([1; 32]);
    let now = mesh.now().wall;
    for nonce in 0..1000 {
        mesh.replay(0, 1, &probe(&asker, &namespace_key(), now, nonce));
    }
    assert_eq!(mesh.node(1).streams.drops().get(DropReason::VerificationQuota), 950);
    // Others are heard meanwhile, and it again a second later.
    mesh.replay(2, 1, &probe(&SecretKey::from_seed([3; 32]), &namespace_key(), now, 1));
    assert_eq!(mesh.node(1).streams.drops().get(DropReason::VerificationQuota), 950);
    let asked = core::iter::from_fn(|| mesh.ask(2).ok()).count();
    assert_eq!(asked, 50);
    assert_eq!(mesh.ask(2), Err(AskError::TooMany));
    mesh.run_for(WAIT);
    assert!(mesh.ask(2).is_ok());
    let (nobody, now) = (Address::from_bytes([77; 32]), mesh.now());
    let asked = mesh.node_mut(2).streams.ask_who(&namespace_key(), nobody, WAIT, now);
    assert_eq!(asked, Err(AskError::Asker));
}

#[test]
fn so_much_is_remembered_and_so_many_answers_are_listed() {
    let mut mesh = Mesh::line(2);
    let (asker, now) = (mesh.address(0), mesh.now());
    let hour = 60 * MINUTE;
    for open in 0..256 {
        let question = mesh.node_mut(0).streams.ask_who(&namespace_key(), asker, hour, later(now, open));
        assert!(question.is_ok(), "{open}");
    }
    let then = later(now, 1000);
    let asked = mesh.node_mut(0).streams.ask_who(&namespace_key(), asker, hour, then);
    assert_eq!(asked, Err(AskError::TooMany));

    let mut mesh = Mesh::line(2);
    let question = mesh.ask(0).unwrap();
    mesh.run_until(WAIT, |mesh| mesh.anycast_seen_by(1).len() == 1);
    let heard = mesh.anycast_seen_by(1).pop().unwrap();
    let Probe { time: asked, nonce, .. } = Probe::decode(Frame::decode(&heard).unwrap().payload).unwrap();
    for number in 0..1030_u64 {
        let mut seed = [8; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        let member = SecretKey::from_seed(seed);
        let proven = ProbeAnswer::proven_bytes(&member.address(), &mesh.address(0), asked, nonce);
        let answer =
            ProbeAnswer { time: mesh.now().wall, asked, nonce, proof: namespace_key().sign(&proven) };
        let mut payload = Vec::new();
        answer.encode_into(&mut payload);
        let header = Header::new(Mode::ANYCAST, member.public()).to(mesh.to(0));
        mesh.replay(1, 0, &sign_frame(&member, Header { hops_left: 9, ..header }, &payload));
    }
    assert_eq!(mesh.answered(0, question).len(), MAX_ANSWERS);
    assert_eq!(mesh.node(0).streams.drops().get(DropReason::AnycastUnasked), 6);

    let now = mesh.now();
    let streams = &mut mesh.node_mut(0).streams;
    for number in 0..65_536_u32 {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&number.to_be_bytes());
        streams.anycast.note(FrameId::from_bytes(name), now.at);
    }
    let frame = probe(&SecretKey::from_seed([2; 32]), &namespace_key(), now.wall, 7);
    mesh.replay(1, 0, &frame);
    assert_eq!(mesh.node(0).streams.drops().get(DropReason::AnycastFull), 1);
    assert_eq!(mesh.ask(0), Err(AskError::TooMany));
    mesh.run_for(11 * MINUTE);
    assert!(mesh.ask(0).is_ok(), "what cannot come again is forgotten");
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
    let drops = |mesh: &Mesh, reason| mesh.node(1).streams.drops().get(reason);
    assert_eq!(drops(&mesh, DropReason::BadSignature), 1);
    mesh.run_for(Duration::from_millis(1));
    assert!(mesh.node(1).events.iter().any(|event| matches!(event, StreamEvent::BadSignature { .. })));
    let time = mesh.now().wall.as_micros().to_be_bytes();
    for (payload, to) in [(&time[..7], 0), (&time, 0), (&time[..7], 1), (&time, 1)] {
        let to = [Recipient::Namespace(namespace()), mesh.to(1)][to];
        let header = Header { hops_left: 9, ..Header::new(Mode::ANYCAST, asker.public()) };
        let before = drops(&mesh, DropReason::MalformedPayload);
        mesh.replay(0, 1, &sign_frame(&asker, header.to(to), payload));
        assert_eq!(drops(&mesh, DropReason::MalformedPayload), before + 1);
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
