// SPDX-License-Identifier: AGPL-3.0-or-later
//! Answers to who of a namespace is there: those of ours, each after a while of its own, and those to us.

use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ratman_types::{
    Address, Namespace, Now, Recipient, SecretKey, Signer, Timestamp, WallTime, blake2b_keyed, to_x25519,
};
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

/// Answers of ours that wait, and those to one asker; beyond, none is given.
const MAX_WAITING: usize = 1024;
const MAX_WAITING_FOR_ONE: usize = 256;
/// How many are made at a time: each is signed twice and sealed.
const AT_ONCE: usize = 32;
/// An answer waits for so long at most: nobody on its way is to see from how soon it comes that it was given here, and all that are asked
/// at once do not answer at once. It is the same for one member and namespace, so that asking again and again tells no more ...
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// ... apart from this much at most, and says the asker.
const AND_A_BIT: Duration = Duration::from_millis(50);
/// The time of an answer lies at most so far back: that of its making would tell how far it has come.
const TIME_BACK: Duration = Duration::from_secs(60);

/// Answers of ours whose time has not come, at most [`MAX_WAITING`].
#[derive(Debug, Default)]
pub(super) struct Waiting {
    answers: BTreeMap<(Timestamp, u64), Answer>,
    // INVARIANT: how many of them each asker gets, none of nought.
    by_asker: BTreeMap<Address, usize>,
    given: u64,
    /// What nobody else can tell waits from.
    secret: Option<[u8; 32]>,
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
        let asker = answer.question.asker;
        let of_asker = self.by_asker.get(&asker).copied().unwrap_or_default();
        let has_room = self.answers.len() < MAX_WAITING && of_asker < MAX_WAITING_FOR_ONE;
        if has_room {
            self.given += 1;
            self.by_asker.insert(asker, of_asker + 1);
            self.answers.insert((at, self.given), answer);
        }
        has_room
    }

    fn take_due(&mut self, now: Timestamp) -> Option<Answer> {
        let answer = self.answers.first_entry().filter(|entry| entry.key().0 <= now)?.remove();
        if let Entry::Occupied(mut count) = self.by_asker.entry(answer.question.asker) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(answer)
    }
}

impl Streams {
    /// An address of ours takes part in the namespace of a question, and says so after a while; nothing is said where the asker itself is
    /// meant or does not listen for so long, or where then it is not up, the namespace's key is not here, or there is no way to the asker.
    pub fn answer_question(&mut self, question: &Question, member: Address, now: Now) {
        if member == question.asker {
            return;
        }
        let wait = self.wait_of(&member, &question.namespace) + self.prng.below(AND_A_BIT);
        if wait >= question.window {
            return;
        }
        let at = now.at + wait;
        if !self.anycast.waiting.push(at, Answer { question: *question, member, came: now.at }) {
            self.drops.count(DropReason::AnycastFull);
        }
    }

    fn wait_of(&mut self, member: &Address, namespace: &Namespace) -> Duration {
        let fresh = self.random();
        let secret = self.anycast.waiting.secret.get_or_insert(fresh);
        let hash = blake2b_keyed(secret, &[member.as_bytes(), namespace.as_bytes()]);
        let drawn =
            u32::from_be_bytes(*hash.as_bytes().first_chunk().expect("a hash has more than four bytes"));
        LONGEST_WAIT.mul_f64(f64::from(drawn) / (f64::from(u32::MAX) + 1.0))
    }

    /// Sends some answers of ours whose time has come, no more than are taken with what is passed on for others.
    pub(super) fn send_answers(&mut self, now: Now) {
        for _ in 0..AT_ONCE {
            if self.outbox.len() >= MOST_RELAYED {
                return;
            }
            let Some(answer) = self.anycast.waiting.take_due(now.at) else { return };
            match self.make_answer(&answer, now) {
                Ok(transmit) => self.outbox.push_back(transmit),
                Err(reason) => self.drops.count(reason),
            }
        }
    }

    fn make_answer(&mut self, answer: &Answer, now: Now) -> Result<StreamTransmit, DropReason> {
        let Question { asker, namespace, time: asked, nonce, .. } = answer.question;
        let hop = match self.way(&asker) {
            Way::Local => LOOPBACK,
            Way::Live(via) => via.hop,
            Way::Carry(_) | Way::Flood | Way::None => return Err(DropReason::NoRoute),
        };
        let ephemeral = Zeroizing::new(self.random());
        let back = i64::try_from(self.prng.below(TIME_BACK).as_micros()).expect("a minute fits");
        let time = self.wall(now).shifted(-back);
        let (local, key) = (self.locals.get(&answer.member), self.namespaces.get(&namespace));
        let (local, key) = local.zip(key).ok_or(DropReason::AnycastGone)?;
        let proof = key.sign(&ProbeAnswer::proven_bytes(&answer.member, &asker, asked, nonce));
        let held = now.at.since(answer.came);
        let answered = ProbeAnswer { asked, nonce, held, proof };
        let sealed = seal(&answered, (&local.key, ephemeral), &asker, time).ok_or(DropReason::NoRoute)?;
        let mut payload = Vec::new();
        SealedAnswer { time, sealed: &sealed }.encode_into(&mut payload);
        let header = Header::new(Mode::ANYCAST, *answer.member.as_bytes()).to(Recipient::Address(asker));
        let frame = sign_frame(&*local.key, Header { hops_left: local.hops, ..header }, &payload);
        Ok(StreamTransmit { hop, came_over: None, frame })
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
        if !self.flooding.may_answer(arrived.from, now.at) {
            return Err(DropReason::VerificationQuota);
        }
        let heard = self.open_answer(arrived, us, &sealed, now);
        if heard.is_err() {
            self.flooding.note_wrong_answer(arrived.from, now.at);
        }
        heard
    }

    /// The costly part of an answer to us.
    fn open_answer(
        &mut self,
        arrived: &Arrived<'_>,
        us: Address,
        sealed: &SealedAnswer<'_>,
        now: Now,
    ) -> Result<(), DropReason> {
        let member = arrived.sender;
        self.verify(arrived)?;
        let key = self.locals.get(&us).map(|local| local.key.clone()).ok_or(DropReason::AnycastUnasked)?;
        let answer = open(sealed, &member, &key).ok_or(DropReason::AnycastSeal)?;
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
