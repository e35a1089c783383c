// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of a namespace is there: a probe goes to all routers, once over each link, and those who take part answer who asked
//! (decisions/who-of-a-namespace-is-there.md). Nothing of it is kept: who is away does not answer.

mod answers;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Hop, Namespace, Now, Recipient, SecretKey, Signer, Timestamp, WallTime};
use ratman_wire::anycast::Probe;
use ratman_wire::{Frame, FrameId, Header, Mode, SignedBytes};

use super::deadlines::Deadlines;
use super::event::{AskError, Question, QuestionId};
use super::frames::{AHEAD, Arrived, MOST_RELAYED};
use super::{StreamEvent, StreamTransmit, Streams};
use crate::limits::{
    OWN_PROBES, OWN_PROBES_OF_ONE, PROBES_OF_ONE, REMEMBER_PROBE, REMEMBERED_PROBES, TokenBucket,
};
use crate::{DropReason, sign_frame};
use answers::Waiting;

/// Answers to one question that are listed; the first ones.
pub const MAX_ANSWERS: usize = 1024;
/// Questions of ours that are open at a time, and those of one asker.
const MAX_QUESTIONS: usize = 256;
const MAX_QUESTIONS_OF_ONE: usize = 16;
/// Places of what is remembered that others do not take: as many as ours are in that time.
const PLACES_OF_OURS: usize = 4096;
/// Others who asked lately.
const MAX_ASKERS: usize = 4096;
/// After so long anybody may ask again who asked once.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A probe is answered for so long after the asker has stopped to listen, by our clock: the two differ a little, and who holds one back for
/// longer asks for itself.
const TOO_LATE: Duration = Duration::from_secs(60);

/// Questions of ours, and what others asked.
#[derive(Debug, Default)]
pub(super) struct Anycast {
    /// The probes that went on from here, each until it is too old to come again; at most [`REMEMBERED_PROBES`].
    seen: Deadlines<FrameId>,
    // At most MAX_QUESTIONS.
    open: BTreeMap<QuestionId, Open>,
    ends: Deadlines<QuestionId>,
    /// What our own clients may ask, all together.
    own: Option<TokenBucket>,
    /// What each of them may ask who asked lately: as many as we have addresses.
    own_askers: BTreeMap<Address, TokenBucket>,
    /// What others may ask who asked lately; at most [`MAX_ASKERS`].
    askers: BTreeMap<Address, TokenBucket>,
    /// When it is looked again who of them may ask as much as anybody.
    look: Timestamp,
    /// Answers of ours.
    waiting: Waiting,
    /// What was seen before is not known: nothing older is passed on.
    began: Option<Timestamp>,
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
        self.ends.next().into_iter().chain(self.waiting.next()).min()
    }

    /// Frames may come from now on.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.began.get_or_insert(now);
    }

    /// Forgets what cannot come again, and who may ask as much as anybody.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        while self.seen.take_due(now).is_some() {}
        self.own_askers.retain(|_, quota| !quota.is_full(now));
        self.forget_askers(now);
    }

    fn forget_askers(&mut self, now: Timestamp) {
        if self.look <= now {
            self.look = now + LOOK_AGAIN;
            self.askers.retain(|_, quota| !quota.is_full(now));
        }
    }

    /// A probe goes on.
    pub(super) fn note(&mut self, name: FrameId, now: Timestamp) {
        self.seen.set(name, Some(now + REMEMBER_PROBE));
    }

    /// How many probes are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.seen.len()
    }

    /// Whether somebody else has asked as much as one may: nobody but the asker itself brings that about.
    fn has_asked_enough(&mut self, asker: &Address, now: Timestamp) -> bool {
        self.askers.get_mut(asker).is_some_and(|quota| !quota.has(now))
    }

    /// Somebody else asks, whose signature holds.
    pub(super) fn note_asker(&mut self, asker: Address, now: Timestamp) -> Result<(), DropReason> {
        if self.askers.len() >= MAX_ASKERS && !self.askers.contains_key(&asker) {
            self.forget_askers(now);
            if self.askers.len() >= MAX_ASKERS {
                return Err(DropReason::AnycastFull);
            }
        }
        let quota = self.askers.entry(asker).or_insert_with(|| TokenBucket::new(PROBES_OF_ONE, now));
        if quota.take(now) { Ok(()) } else { Err(DropReason::AnycastAsker) }
    }

    fn may_this_one_ask(&mut self, asker: Address, now: Timestamp) -> bool {
        self.own_askers.entry(asker).or_insert_with(|| TokenBucket::new(OWN_PROBES_OF_ONE, now)).take(now)
    }

    /// Whether one of ours may ask once more.
    fn may_ours_ask(&mut self, asker: Address, now: Timestamp) -> bool {
        let of_one = self.open.values().filter(|open| open.question.asker == asker).count();
        self.open.len() < MAX_QUESTIONS
            && of_one < MAX_QUESTIONS_OF_ONE
            && self.seen.len() < REMEMBERED_PROBES
            && self.may_this_one_ask(asker, now)
            && self.own.get_or_insert_with(|| TokenBucket::new(OWN_PROBES, now)).take(now)
    }
}

/// A probe is made about then: no more exactly than others need, as whoever sees it leave could tell from it that it was made here.
fn told_time(now: WallTime) -> WallTime {
    let micros = now.as_micros();
    WallTime::from_micros(micros - micros % 1_000_000)
}

impl Streams {
    /// Asks who takes part in the namespace of a key, for an address of ours; [`StreamEvent::Answered`] tells who did within `window`. Those
    /// of this router are asked, too, the asker itself is not.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask_who(
        &mut self,
        key: &SecretKey,
        asker: Address,
        window: Duration,
        now: Now,
    ) -> Result<QuestionId, AskError> {
        let local = self.locals.get(&asker).ok_or(AskError::Asker)?;
        if !self.anycast.may_ours_ask(asker, now.at) {
            return Err(AskError::TooMany);
        }
        let (asker_key, hops_left) = (local.key.clone(), local.hops);
        let namespace = Namespace::from_bytes(key.public());
        let (time, nonce) = (told_time(self.wall(now)), u64::from_be_bytes(self.prng.bytes()));
        let proof = key.sign(&Probe::proven_bytes(&asker, &namespace, time, nonce));
        let mut payload = Vec::new();
        Probe { time, window, nonce, proof }.encode_into(&mut payload);
        let header = Header::new(Mode::ANYCAST, *asker.as_bytes()).to(Recipient::Namespace(namespace));
        let frame = sign_frame(&*asker_key, Header { hops_left, ..header }, &payload);
        let name = Frame::decode(&frame).expect("invariant: what we make is a frame").signed_bytes().id();
        self.anycast.note(name, now.at);
        self.flood_probe(&frame, None);
        let question = Question { asker, namespace, window, time, nonce };
        self.events.push_back(StreamEvent::Asked(question));
        let id = QuestionId(nonce);
        let open = Open { question, asked: now.at, members: Vec::new(), heard: BTreeSet::new() };
        self.anycast.open.insert(id, open);
        self.anycast.ends.set(id, Some(now.at + window));
        Ok(id)
    }

    /// Nobody waits for the answers to a question of ours any more: [`StreamEvent::Answered`] does not come, and its place is free.
    pub fn give_up_question(&mut self, question: &QuestionId) {
        self.anycast.ends.set(*question, None);
        self.anycast.open.remove(question);
    }

    /// Sends answers of ours whose time has come, and tells what was answered where the time is over.
    pub(super) fn handle_anycast_timeout(&mut self, now: Now) {
        self.send_answers(now);
        while let Some(question) = self.anycast.ends.take_due(now.at) {
            let Some(mut open) = self.anycast.open.remove(&question) else { continue };
            open.members.sort_by_key(|(_, after)| *after);
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

    /// Whether something was made since we listen, by our clock as it is now.
    fn is_since_we_began(&self, time: WallTime, now: Now) -> bool {
        self.anycast.began.is_some_and(|began| {
            let since = i64::try_from(now.at.since(began).as_micros()).unwrap_or(i64::MAX);
            time.ahead_of(self.wall(now)) >= -since
        })
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
        let Probe { window, nonce, proof, .. } =
            Probe::decode(arrived.frame.payload).map_err(|_| DropReason::MalformedPayload)?;
        let (asker, signed) = (arrived.sender, arrived.frame.signed_bytes());
        let name = self.check_probe(arrived, (time, &signed), now)?;
        self.verify_signed(arrived, &signed)?;
        // By every router: what takes longer, or goes no further, where the key is held, tells who holds it.
        let proven = Probe::proven_bytes(&asker, &namespace, time, nonce);
        if !self.verifier.verify(namespace.as_bytes(), &proven, &proof) {
            return Err(DropReason::AnycastProof);
        }
        self.anycast.note_asker(asker, now.at)?;
        self.anycast.note(name, now.at);
        self.flood_probe(&arrived.one_hop_on(), Some(arrived.from));
        let end = time + window.saturating_add(TOO_LATE);
        if self.namespaces.contains_key(&namespace) && self.wall(now) <= end {
            self.events.push_back(StreamEvent::Asked(Question { asker, namespace, window, time, nonce }));
        }
        Ok(())
    }

    /// The cheap questions, before the signatures; what the probe is called.
    fn check_probe(
        &mut self,
        arrived: &Arrived<'_>,
        (time, signed): (WallTime, &SignedBytes),
        now: Now,
    ) -> Result<FrameId, DropReason> {
        if !self.is_since_we_began(time, now) {
            return Err(DropReason::ClockWindow);
        }
        let name = signed.id();
        if self.anycast.seen.get(&name).is_some() {
            return Err(DropReason::FloodedBefore);
        }
        if self.anycast.seen.len() >= REMEMBERED_PROBES - PLACES_OF_OURS {
            return Err(DropReason::AnycastFull);
        }
        if self.outbox.len() >= MOST_RELAYED {
            return Err(DropReason::TransmitQueueFull);
        }
        if self.anycast.has_asked_enough(&arrived.sender, now.at) {
            return Err(DropReason::AnycastAsker);
        }
        if !self.flooding.may_probe(arrived.from.neighbour, now.at) {
            return Err(DropReason::VerificationQuota);
        }
        Ok(name)
    }

    /// Sends a probe once over each link that takes it, but not to who brought it.
    fn flood_probe(&mut self, frame: &[u8], came_from: Option<Hop>) {
        let Ok(length) = u32::try_from(frame.len()) else { return };
        let brought_by = came_from.map(|hop| hop.neighbour);
        let others = self.flooding.links().filter(|via| Some(via.hop.neighbour) != brought_by);
        for via in others.filter(|via| length <= via.mtu.0) {
            let came_over = came_from.map(|hop| hop.link);
            self.outbox.push_back(StreamTransmit { hop: via.hop, came_over, frame: frame.to_vec() });
        }
    }
}
