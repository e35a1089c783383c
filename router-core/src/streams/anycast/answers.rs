// SPDX-License-Identifier: AGPL-3.0-or-later
//! Answers to who of a namespace is there: those of ours, each after a while of its own, and those to us.

use core::time::Duration;
use std::collections::BTreeMap;

use ratman_types::{Address, Now, Recipient, SecretKey, Signer, Timestamp, WallTime, to_x25519};
use ratman_wire::anycast::{ProbeAnswer, SealedAnswer};
use ratman_wire::{Header, Mode};
use zeroize::Zeroizing;

use super::super::event::{Question, QuestionId};
use super::super::frames::{Arrived, MOST_RELAYED};
use super::super::way::{LOOPBACK, Way};
use super::super::{StreamTransmit, Streams};
use super::{Anycast, MAX_ANSWERS, Open};
use crate::stream::noise;
use crate::{DropReason, sign_frame};

/// Answers of ours that wait; beyond, none is given.
const MAX_WAITING: usize = 1024;
/// The longest that an answer waits: nobody on its way is to see from how soon it comes that it was given here, and all that are asked at
/// once do not answer at once.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// The part of the asker's time that it waits at most.
const PART_OF_WINDOW: u32 = 4;

/// Answers of ours whose time has not come, at most [`MAX_WAITING`].
#[derive(Debug, Default)]
pub(super) struct Waiting {
    answers: BTreeMap<(Timestamp, u64), Answer>,
    given: u64,
}

#[derive(Debug)]
struct Answer {
    question: Question,
    member: Address,
    /// When the question came.
    came: Timestamp,
}

impl Waiting {
    /// When the first is to be sent.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.answers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Whether there was room for it.
    fn push(&mut self, at: Timestamp, answer: Answer) -> bool {
        let has_room = self.answers.len() < MAX_WAITING;
        if has_room {
            self.given += 1;
            self.answers.insert((at, self.given), answer);
        }
        has_room
    }

    fn take_due(&mut self, now: Timestamp) -> Option<Answer> {
        let first = self.answers.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}

impl Streams {
    /// An address of ours takes part in the namespace of a question, and says so after a while; nothing is said where it is not up, the
    /// namespace's key is not here, the asker itself is meant, or there is no way to it then.
    pub fn answer_question(&mut self, question: &Question, member: Address, now: Now) {
        if member == question.asker {
            return;
        }
        let longest = LONGEST_WAIT.min(question.window / PART_OF_WINDOW);
        let at = if longest.is_zero() { now.at } else { now.at + self.prng.below(longest) };
        if !self.anycast.waiting.push(at, Answer { question: *question, member, came: now.at }) {
            self.drops.count(DropReason::AnycastFull);
        }
    }

    /// Sends answers of ours whose time has come, as many as are taken with what is passed on for others.
    pub(super) fn send_answers(&mut self, now: Now) {
        while self.outbox.len() < MOST_RELAYED
            && let Some(answer) = self.anycast.waiting.take_due(now.at)
        {
            if let Some(transmit) = self.make_answer(&answer, now) {
                self.outbox.push_back(transmit);
            }
        }
    }

    fn make_answer(&mut self, answer: &Answer, now: Now) -> Option<StreamTransmit> {
        let Question { asker, namespace, time: asked, nonce, .. } = answer.question;
        let hop = match self.way(&asker) {
            Way::Local => LOOPBACK,
            Way::Live(via) => via.hop,
            Way::Carry(_) | Way::Flood | Way::None => return None,
        };
        let ephemeral = Zeroizing::new(self.random());
        let time = self.wall(now);
        let (local, key) = (self.locals.get(&answer.member)?, self.namespaces.get(&namespace)?);
        let proof = key.sign(&ProbeAnswer::proven_bytes(&answer.member, &asker, asked, nonce));
        let held = now.at.since(answer.came);
        let answered = ProbeAnswer { asked, nonce, held, proof };
        let sealed = seal(&answered, (&local.key, ephemeral), &asker, time)?;
        let mut payload = Vec::new();
        SealedAnswer { time, sealed: &sealed }.encode_into(&mut payload);
        let header = Header::new(Mode::ANYCAST, *answer.member.as_bytes()).to(Recipient::Address(asker));
        let frame = sign_frame(&*local.key, Header { hops_left: local.hops, ..header }, &payload);
        Some(StreamTransmit { hop, came_over: None, frame })
    }

    /// An answer came for an address of ours.
    pub(in crate::streams) fn receive_probe_answer(
        &mut self,
        arrived: &Arrived<'_>,
        us: Address,
        now: Now,
    ) -> Result<(), DropReason> {
        let sealed = SealedAnswer::decode(arrived.frame.payload).map_err(|_| DropReason::MalformedPayload)?;
        let member = arrived.sender;
        if !self.anycast.awaits(&us, &member, now.at) {
            return Err(DropReason::AnycastUnasked);
        }
        self.verify(arrived)?;
        let key = self.locals.get(&us).map(|local| local.key.clone()).ok_or(DropReason::AnycastUnasked)?;
        let answer = open(&sealed, &member, &key).ok_or(DropReason::AnycastSeal)?;
        let id = QuestionId(answer.nonce);
        let question = self.anycast.open.get(&id).map(|open| open.question);
        let is_meant = |question: &Question| question.asker == us && question.time == answer.asked;
        let namespace = question.filter(is_meant).ok_or(DropReason::AnycastUnasked)?.namespace;
        let proven = ProbeAnswer::proven_bytes(&member, &us, answer.asked, answer.nonce);
        if !self.verifier.verify(namespace.as_bytes(), &proven, &answer.proof) {
            return Err(DropReason::AnycastProof);
        }
        let is_listed = self.anycast.hear(&id, member, answer.held, now.at);
        if is_listed { Ok(()) } else { Err(DropReason::AnycastUnasked) }
    }
}

impl Anycast {
    /// Whether an answer of this member to this asker would be listed, whatever it answers.
    fn awaits(&self, asker: &Address, member: &Address, now: Timestamp) -> bool {
        self.open.iter().any(|(id, open)| open.question.asker == *asker && self.would_list(id, member, now))
    }

    fn would_list(&self, id: &QuestionId, member: &Address, now: Timestamp) -> bool {
        let is_in_time = self.ends.get(id).is_some_and(|end| now <= end);
        let may = |open: &Open| open.members.len() < MAX_ANSWERS && !open.heard.contains(member);
        is_in_time && self.open.get(id).is_some_and(may)
    }

    /// A member is there; whether it is listed.
    fn hear(&mut self, id: &QuestionId, member: Address, held: Duration, now: Timestamp) -> bool {
        let would = self.would_list(id, &member, now);
        if let Some(open) = self.open.get_mut(id).filter(|_| would) {
            open.heard.insert(member);
            open.members.push((member, now.since(open.asked).saturating_sub(held)));
        }
        would
    }
}

/// Seals an answer to who asked; nothing where that is no usable key.
fn seal(
    answer: &ProbeAnswer,
    (member, ephemeral): (&SecretKey, Zeroizing<[u8; 32]>),
    asker: &Address,
    time: WallTime,
) -> Option<Vec<u8>> {
    let recipient = to_x25519(asker.as_bytes())?;
    let prologue = SealedAnswer::prologue(&member.address(), asker, time);
    let mut plaintext = Vec::new();
    answer.encode_into(&mut plaintext);
    Some(noise::seal(member, &recipient, &prologue, ephemeral, &plaintext))
}

/// Opens an answer of a member; nothing where it was not sealed by it to us, or is none.
fn open(sealed: &SealedAnswer<'_>, member: &Address, asker: &SecretKey) -> Option<ProbeAnswer> {
    let sender = to_x25519(member.as_bytes())?;
    let prologue = SealedAnswer::prologue(member, &asker.address(), sealed.time);
    let plaintext = noise::open(asker, &sender, &prologue, sealed.sealed)?;
    ProbeAnswer::decode(&plaintext).ok()
}
