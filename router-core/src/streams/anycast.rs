// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of a namespace is there: a probe goes to all routers, once over each link, and those who take part answer who asked
//! (decisions/who-of-a-namespace-is-there.md). Nothing of it is kept: who is away does not answer.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Namespace, Now, Recipient, SecretKey, Signer, Timestamp, WallTime};
use ratman_wire::anycast::{Probe, ProbeAnswer};
use ratman_wire::{Frame, FrameId, Header, Mode};

use super::deadlines::Deadlines;
use super::event::{AskError, Question, QuestionId};
use super::frames::{AHEAD, Arrived, MOST_RELAYED};
use super::way::{LOOPBACK, Way};
use super::{StreamEvent, StreamTransmit, Streams};
use crate::limits::{PROBES, REMEMBER_PROBE, REMEMBERED_PROBES, TokenBucket};
use crate::{DropReason, sign_frame};

/// Answers to one question that are listed; the first ones.
pub const MAX_ANSWERS: usize = 1024;
/// Questions of ours that are open at a time.
const MAX_QUESTIONS: usize = 256;

/// Questions of ours, and what others asked.
#[derive(Debug, Default)]
pub(super) struct Anycast {
    /// The probes that went on from here, each until it is too old to come again; at most [`REMEMBERED_PROBES`].
    seen: Deadlines<FrameId>,
    // At most MAX_QUESTIONS.
    open: BTreeMap<QuestionId, Open>,
    ends: Deadlines<QuestionId>,
    /// What our own clients may ask.
    own: Option<TokenBucket>,
    /// What was seen before is not known: nothing older is passed on.
    began: Option<WallTime>,
}

#[derive(Debug)]
struct Open {
    question: Question,
    asked: Timestamp,
    members: Vec<(Address, Duration)>,
    /// Who they are.
    heard: BTreeSet<Address>,
}

impl Anycast {
    /// When something is to be done.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.ends.next()
    }

    /// Frames may come from now on.
    pub(super) fn begin(&mut self, now: WallTime) {
        self.began.get_or_insert(now);
    }

    /// Forgets what cannot come again.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        while self.seen.take_due(now).is_some() {}
    }

    /// A probe goes on.
    pub(super) fn note(&mut self, name: FrameId, now: Timestamp) {
        self.seen.set(name, Some(now + REMEMBER_PROBE));
    }
}

impl Streams {
    /// Asks who takes part in the namespace of a key, for an address of ours; [`StreamEvent::Answered`] tells who did within `time`. Those
    /// of this router are asked, too, the asker itself is not.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask_who(
        &mut self,
        key: &SecretKey,
        asker: Address,
        time: Duration,
        now: Now,
    ) -> Result<QuestionId, AskError> {
        let local = self.locals.get(&asker).ok_or(AskError::Asker)?;
        let (asker_key, hops_left) = (local.key.clone(), local.hops);
        let quota = self.anycast.own.get_or_insert_with(|| TokenBucket::new(PROBES, now.at));
        let is_full =
            self.anycast.open.len() >= MAX_QUESTIONS || self.anycast.seen.len() >= REMEMBERED_PROBES;
        if is_full || !quota.take(now.at) {
            return Err(AskError::TooMany);
        }
        let namespace = Namespace::from_bytes(key.public());
        let question = Question {
            asker,
            namespace,
            time: self.stamp(now),
            nonce: u64::from_be_bytes(self.prng.bytes()),
        };
        let Question { time: asked, nonce, .. } = question;
        let proof = key.sign(&Probe::proven_bytes(&asker, &namespace, asked, nonce));
        let mut payload = Vec::new();
        Probe { time: asked, nonce, proof }.encode_into(&mut payload);
        let header = Header::new(Mode::ANYCAST, *asker.as_bytes()).to(Recipient::Namespace(namespace));
        let frame = sign_frame(&*asker_key, Header { hops_left, ..header }, &payload);
        let name = Frame::decode(&frame).expect("invariant: what we make is a frame").signed_bytes().id();
        self.anycast.note(name, now.at);
        for via in self.flooding.links() {
            self.outbox.push_back(StreamTransmit { hop: via.hop, came_over: None, frame: frame.clone() });
        }
        self.events.push_back(StreamEvent::Asked(question));
        let id = QuestionId(nonce);
        let open = Open { question, asked: now.at, members: Vec::new(), heard: BTreeSet::new() };
        self.anycast.open.insert(id, open);
        self.anycast.ends.set(id, Some(now.at + time));
        Ok(id)
    }

    /// An address of ours takes part in the namespace of a question, and says so; nothing is said where it is not up, the namespace's key is
    /// not here, the asker itself is meant, or there is no way to it now.
    pub fn answer_question(&mut self, question: &Question, member: Address, now: Now) {
        let Question { asker, namespace, time: asked, nonce } = *question;
        let hop = match self.way(&asker) {
            Way::Local => LOOPBACK,
            Way::Live(via) => via.hop,
            Way::Carry(_) | Way::Flood | Way::None => return,
        };
        let time = self.stamp(now);
        let (Some(local), Some(key)) = (self.locals.get(&member), self.namespaces.get(&namespace)) else {
            return;
        };
        if member == asker {
            return;
        }
        let proof = key.sign(&ProbeAnswer::proven_bytes(&member, &asker, asked, nonce));
        let mut payload = Vec::new();
        ProbeAnswer { time, asked, nonce, proof }.encode_into(&mut payload);
        let header = Header::new(Mode::ANYCAST, *member.as_bytes()).to(Recipient::Address(asker));
        let frame = sign_frame(&*local.key, Header { hops_left: local.hops, ..header }, &payload);
        self.outbox.push_back(StreamTransmit { hop, came_over: None, frame });
    }

    /// Tells what was answered where the time is over.
    pub(super) fn close_questions(&mut self, now: Timestamp) {
        while let Some(question) = self.anycast.ends.take_due(now) {
            let Some(open) = self.anycast.open.remove(&question) else { continue };
            self.events.push_back(StreamEvent::Answered { question, members: open.members });
        }
    }

    /// Whether a probe or an answer was made about now; the same place of both says when.
    pub(super) fn check_probe_time(&self, frame: &Frame<'_>, now: Now) -> Result<WallTime, DropReason> {
        let time = frame.payload.first_chunk().ok_or(DropReason::MalformedPayload)?;
        let time = WallTime::from_micros(u64::from_be_bytes(*time));
        let ahead = time.ahead_of(self.wall(now));
        if ahead.unsigned_abs() > AHEAD.unsigned_abs() { Err(DropReason::ClockWindow) } else { Ok(time) }
    }

    /// A probe came: it goes on to everybody else, and to those who take part here. How many hops it has left is not asked, as of all that
    /// is flooded: it goes over each link once.
    pub(super) fn receive_probe(
        &mut self,
        arrived: &Arrived<'_>,
        namespace: Namespace,
        now: Now,
    ) -> Result<(), DropReason> {
        let time = self.check_probe_time(&arrived.frame, now)?;
        let probe = Probe::decode(arrived.frame.payload).map_err(|_| DropReason::MalformedPayload)?;
        if self.anycast.began.is_none_or(|began| time < began) {
            return Err(DropReason::ClockWindow);
        }
        let signed = arrived.frame.signed_bytes();
        let name = signed.id();
        if self.anycast.seen.get(&name).is_some() {
            return Err(DropReason::FloodedBefore);
        }
        if self.anycast.seen.len() >= REMEMBERED_PROBES {
            return Err(DropReason::AnycastFull);
        }
        if self.outbox.len() >= MOST_RELAYED {
            return Err(DropReason::TransmitQueueFull);
        }
        if !self.flooding.may_probe(arrived.from.neighbour, now.at) {
            return Err(DropReason::VerificationQuota);
        }
        self.verify_signed(arrived, &signed)?;
        let (asker, nonce) = (arrived.sender, probe.nonce);
        let is_ours = self.namespaces.contains_key(&namespace);
        let proven = || Probe::proven_bytes(&asker, &namespace, time, nonce);
        if is_ours && !self.verifier.verify(namespace.as_bytes(), &proven(), &probe.proof) {
            return Err(DropReason::AnycastProof);
        }
        self.anycast.note(name, now.at);
        let length = arrived.bytes.len();
        let others = self.flooding.links().filter(|via| via.hop.neighbour != arrived.from.neighbour);
        for via in others.filter(|via| u32::try_from(length).is_ok_and(|length| length <= via.mtu.0)) {
            let (came_over, frame) = (Some(arrived.from.link), arrived.one_hop_on());
            self.outbox.push_back(StreamTransmit { hop: via.hop, came_over, frame });
        }
        if is_ours {
            self.events.push_back(StreamEvent::Asked(Question { asker, namespace, time, nonce }));
        }
        Ok(())
    }

    /// An answer came for an address of ours.
    pub(super) fn receive_probe_answer(
        &mut self,
        arrived: &Arrived<'_>,
        us: Address,
        now: Now,
    ) -> Result<(), DropReason> {
        let answer = ProbeAnswer::decode(arrived.frame.payload).map_err(|_| DropReason::MalformedPayload)?;
        let member = arrived.sender;
        let (id, asked) = (QuestionId(answer.nonce), (us, answer.asked));
        let open =
            self.anycast.open.get(&id).filter(|open| (open.question.asker, open.question.time) == asked);
        let open = open.filter(|open| open.members.len() < MAX_ANSWERS && !open.heard.contains(&member));
        let namespace = open.ok_or(DropReason::AnycastUnasked)?.question.namespace;
        self.verify(arrived)?;
        let proven = ProbeAnswer::proven_bytes(&member, &us, answer.asked, answer.nonce);
        if !self.verifier.verify(namespace.as_bytes(), &proven, &answer.proof) {
            return Err(DropReason::AnycastProof);
        }
        if let Some(open) = self.anycast.open.get_mut(&id) {
            open.heard.insert(member);
            open.members.push((member, now.at.since(open.asked)));
        }
        Ok(())
    }
}
