// SPDX-License-Identifier: AGPL-3.0-or-later
//! One stream on its way out to one recipient: which block goes next, when the manifest goes and goes again, and how it
//! ended (source: manual, push and pull routing; wire page, streams).
//!
//! It knows blocks by their names and numbers only; who drives it has the bytes, makes the frames and asks for the next
//! one whenever the way out has room. What is on its way is bounded by a [`Window`], which the recipient's word about what
//! has come moves. A stream that is interrupted is not pushed on: its manifest is repeated, and the recipient pulls what it
//! lacks. One that is to be pulled from its beginning is never pushed, neither to its recipient nor to who would carry it.

mod on_the_way;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratman_eris::Reference;
use ratman_types::{ByteCount, Timestamp};
use ratman_wire::stream::Outcome;

use super::Window;
use on_the_way::OnTheWay;

/// The manifest is repeated after this time without a receipt, and after twice as much each time (source: wire page).
const REPEAT_FIRST: Duration = Duration::from_secs(2);
/// The longest time between two manifests (source: wire page).
const REPEAT_LONGEST: Duration = Duration::from_secs(600);
/// Without a word from the recipient for so long, or four round trips if those are longer, what is on its way counts as
/// lost.
const SILENCE: Duration = Duration::from_secs(1);
/// So many silences in a row interrupt a stream.
const SILENCES: u32 = 3;
/// The patience with a router that carries doubles so often, up to about eight minutes.
const LONGEST_DOUBLINGS: u32 = 9;

/// What is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The block of this number.
    Block(u32),
    /// The manifest.
    Manifest,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The recipient has all of it.
    Delivered,
    /// The recipient does not take it.
    Refused,
    /// The recipient did not want it to be sent.
    Denied,
    /// Its time passed before the recipient said anything.
    Expired,
    /// It is shared content that was taken down before the recipient had it.
    Withdrawn,
    /// It goes from router to router for as long as it is wanted, to whoever subscribed: nobody says that they have it.
    Published,
}

/// How the blocks of a stream get to its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// They are sent as they are made.
    Push,
    /// Only those that are asked for.
    Pull,
}

/// One stream to one recipient.
#[derive(Debug)]
pub struct Sending {
    /// What its sender wants; of a stream that is to be pulled `routing` never is another.
    wanted: Routing,
    routing: Routing,
    /// Of content that goes to many they are the same for all.
    numbers: Arc<BTreeMap<Reference, u32>>,
    /// How many blocks there are so far.
    made: u32,
    /// The first block that was not pushed.
    next: u32,
    /// What the recipient asked for, or another router is to take.
    asked: BTreeSet<u32>,
    /// So many blocks may be asked for at a time.
    most_asked: usize,
    /// What another router answers for; empty until the stream is handed over.
    taken: BTreeSet<u32>,
    /// Whether it goes to a router that carries it, which is to answer for every block.
    handed_over: bool,
    window: Window,
    on_the_way: OnTheWay,
    silences: u32,
    /// What the recipient said that it has.
    received: ByteCount,
    manifest: ManifestState,
    ended: Option<Ended>,
}

/// Whether the manifest is to be sent, and how long to wait for a receipt then.
#[derive(Clone, Copy, Debug)]
enum ManifestState {
    /// The content is still being read.
    NotYet,
    /// As soon as everything before it is out.
    Due { pause: Duration },
    /// It was sent.
    Sent { again: Timestamp, pause: Duration },
}

impl Sending {
    /// A stream without any block.
    pub fn new(routing: Routing) -> Self {
        Self {
            wanted: routing,
            routing,
            numbers: Arc::default(),
            made: 0,
            next: 0,
            asked: BTreeSet::new(),
            most_asked: usize::MAX,
            taken: BTreeSet::new(),
            handed_over: false,
            window: Window::default(),
            on_the_way: OnTheWay::default(),
            silences: 0,
            received: ByteCount(0),
            manifest: ManifestState::NotYet,
            ended: None,
        }
    }

    /// A stream whose blocks are all there, and are to be pulled; the manifest, if there is one, follows with
    /// [`Sending::finished`].
    pub fn of_blocks(numbers: Arc<BTreeMap<Reference, u32>>) -> Self {
        let made = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        Self { made, numbers, ..Self::new(Routing::Pull) }
    }

    /// As [`Sending::of_blocks`], for who may have asked for no more than `most` blocks at a time: names beyond are left aside.
    pub fn of_some_blocks(numbers: Arc<BTreeMap<Reference, u32>>, most: usize) -> Self {
        Self { most_asked: most, ..Self::of_blocks(numbers) }
    }

    /// Another block is there; blocks are numbered from 0 in the order of making. One that is there already, as contents that
    /// repeat themselves make them, gets no second number.
    pub fn block_made(&mut self, reference: Reference) -> Option<u32> {
        if self.numbers.contains_key(&reference) {
            return None;
        }
        let number = self.made;
        self.made = number.checked_add(1)?;
        Arc::make_mut(&mut self.numbers).insert(reference, number);
        Some(number)
    }

    /// All blocks are there, and so is the manifest.
    pub fn finished(&mut self) {
        if matches!(self.manifest, ManifestState::NotYet) {
            self.manifest = ManifestState::Due { pause: REPEAT_FIRST };
        }
    }

    /// What to send next, if anything may be sent now: first what was asked for, then what was never sent, the manifest last.
    pub fn next(&self) -> Option<Next> {
        if self.ended.is_some() {
            return None;
        }
        let has_room = self.on_the_way.bytes() < self.window.bytes();
        if let Some(number) = self.asked.first() {
            return has_room.then_some(Next::Block(*number));
        }
        if self.pushes() {
            return has_room.then_some(Next::Block(self.next));
        }
        matches!(self.manifest, ManifestState::Due { .. }).then_some(Next::Manifest)
    }

    /// Whether blocks are to be sent as they are made, or were asked for.
    pub fn takes_blocks(&self) -> bool {
        self.ended.is_none() && (self.routing == Routing::Push || !self.asked.is_empty())
    }

    /// How the blocks get to the recipient, as its sender wants it.
    pub const fn wanted(&self) -> Routing {
        self.wanted
    }

    /// The numbers of all blocks so far.
    pub const fn numbers(&self) -> &Arc<BTreeMap<Reference, u32>> {
        &self.numbers
    }

    /// Whether nothing is on its way, and nothing was asked for that is to go.
    pub fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.on_the_way.bytes() == 0
    }

    /// The number of a block.
    pub fn number_of(&self, reference: &Reference) -> Option<u32> {
        self.numbers.get(reference).copied()
    }

    /// The blocks that are to be sent next, at most `most`: who reads them from a disk begins with them.
    pub fn ahead(&self, most: usize) -> impl Iterator<Item = u32> + '_ {
        let pushed = if self.pushes() { self.next..self.made } else { 0..0 };
        self.asked.iter().copied().chain(pushed).take(most)
    }

    fn pushes(&self) -> bool {
        self.routing == Routing::Push && self.next < self.made
    }

    /// What [`Sending::next`] said was sent; `bytes` are those of the block.
    pub fn sent(&mut self, what: Next, bytes: u32, now: Timestamp) {
        match what {
            Next::Block(number) => {
                self.asked.remove(&number);
                if number == self.next && self.pushes() {
                    self.next += 1;
                }
                let fills_window = self.on_the_way.bytes() + u64::from(bytes) >= self.window.bytes();
                self.on_the_way.push(number, bytes, fills_window, now);
            }
            Next::Manifest => {
                if let ManifestState::Due { pause } = self.manifest {
                    let longer = (pause * 2).min(REPEAT_LONGEST);
                    self.manifest = ManifestState::Sent { again: now + pause, pause: longer };
                }
            }
        }
    }

    /// The recipient says which block came last, and how many bytes of different blocks have come in all.
    pub fn progressed(&mut self, newest: &Reference, received: ByteCount, now: Timestamp) {
        let Some(number) = self.numbers.get(newest) else { return };
        self.received = self.received.max(received);
        let Some(arrived) = self.on_the_way.arrived(*number, received, now) else { return };
        self.silences = 0;
        self.window.confirmed(arrived.bytes, arrived.round_trip, arrived.filled_window, now);
        if arrived.lost {
            self.window.lost(now);
        }
    }

    /// A neighbour answers for this block from now on: nobody need be told by the recipient that it left.
    pub fn taken_over(&mut self, reference: &Reference, now: Timestamp) {
        let Some(number) = self.numbers.get(reference) else { return };
        self.taken.insert(*number);
        let Some(arrived) = self.on_the_way.taken_over(*number, now) else { return };
        self.silences = 0;
        self.window.confirmed(arrived.bytes, arrived.round_trip, arrived.filled_window, now);
    }

    /// The recipient asks for blocks, for all of them where it names none. Names that are not ours are left aside, and what is
    /// still being pushed comes anyway. Says how many are to be sent again.
    pub fn pulled(&mut self, references: Option<&[Reference]>, now: Timestamp) -> usize {
        if self.ended.is_some() {
            return 0;
        }
        let out = if self.pushes() { self.next } else { self.made };
        let room = self.most_asked.saturating_sub(self.asked.len());
        match references {
            None => self.asked.extend((0..out).take(room)),
            Some(references) => {
                let wanted = references.iter().filter_map(|reference| self.numbers.get(reference).copied());
                self.asked.extend(wanted.filter(|number| *number < out).take(room));
            }
        }
        self.silences = 0;
        // Asked for because it did not come: it is not on its way any more.
        self.on_the_way.forget(&self.asked);
        if let ManifestState::Sent { .. } = self.manifest {
            // It is there: who pulls needs no reminder meanwhile.
            self.manifest = ManifestState::Sent { again: now + REPEAT_FIRST, pause: 2 * REPEAT_FIRST };
        }
        self.asked.len()
    }

    /// There is no way to the recipient any more: what was not pushed is left to be pulled.
    pub fn interrupted(&mut self) {
        self.routing = Routing::Pull;
        self.handed_over = false;
        self.asked.clear();
        self.on_the_way.clear();
        self.window = Window::default();
        self.silences = 0;
    }

    /// No way leads to the recipient, but to a router that carries: all that nobody answers for yet goes there; of a stream that is
    /// to be pulled only the manifest.
    pub fn hand_over(&mut self) {
        self.interrupted();
        self.routing = self.wanted;
        self.handed_over = true;
        self.ask_for_what_is_not_taken();
        self.remind();
    }

    fn ask_for_what_is_not_taken(&mut self) {
        self.asked.extend((0..self.next).filter(|number| !self.taken.contains(number)));
    }

    /// The bytes of blocks that the recipient said it has, and how many blocks another router answers for.
    pub fn arrived(&self) -> (ByteCount, u64) {
        (self.received, u64::try_from(self.taken.len()).unwrap_or(u64::MAX))
    }

    /// Whether another router answers for every block, and no more are made.
    pub fn is_taken_over(&self) -> bool {
        let complete = !matches!(self.manifest, ManifestState::NotYet);
        complete && u32::try_from(self.taken.len()) == Ok(self.made)
    }

    /// There is a way to the recipient again: the manifest goes at once, if it is there.
    pub fn reachable(&mut self) {
        self.handed_over = false;
        if matches!(self.manifest, ManifestState::NotYet) {
            // Nobody can ask for anything before the manifest: what is made from here on is pushed, if it may be.
            self.routing = self.wanted;
        }
        self.remind();
    }

    fn remind(&mut self) {
        self.silences = 0;
        if let ManifestState::Sent { .. } = self.manifest {
            self.manifest = ManifestState::Due { pause: REPEAT_FIRST };
        }
    }

    /// The recipient's receipt.
    pub fn receipt(&mut self, outcome: Outcome) {
        self.end_with(match outcome {
            Outcome::Delivered => Ended::Delivered,
            Outcome::Refused => Ended::Refused,
        });
    }

    /// The recipient's DenyNotice.
    pub fn denied(&mut self) {
        self.end_with(Ended::Denied);
    }

    /// What it was handed to goes to everybody.
    pub fn published(&mut self) {
        self.end_with(Ended::Published);
    }

    /// The stream's lifetime has passed.
    pub fn expired(&mut self) {
        self.end_with(Ended::Expired);
    }

    /// How it ended, if it did; nothing more is to be sent then.
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// The first ending counts.
    fn end_with(&mut self, ended: Ended) {
        if self.ended.is_none() {
            self.ended = Some(ended);
            self.asked.clear();
            self.on_the_way.clear();
        }
    }

    /// Does what is due; to be called at [`Sending::poll_timeout`], and harmless at any other time.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if let ManifestState::Sent { again, pause } = self.manifest
            && again <= now
        {
            self.manifest = ManifestState::Due { pause };
        }
        if self.silent_at().is_some_and(|at| at <= now) {
            self.on_the_way.clear();
            self.window.silent();
            self.silences += 1;
            if self.handed_over {
                self.ask_for_what_is_not_taken();
            } else if self.silences >= SILENCES {
                self.interrupted();
            }
        }
    }

    /// When [`Sending::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.ended.is_some() {
            return None;
        }
        let again = match self.manifest {
            ManifestState::Sent { again, .. } => Some(again),
            ManifestState::NotYet | ManifestState::Due { .. } => None,
        };
        [again, self.silent_at()].into_iter().flatten().min()
    }

    /// When what is on its way counts as lost.
    fn silent_at(&self) -> Option<Timestamp> {
        let patience = SILENCE.max(4 * self.window.round_trip());
        // Who carries may be gone for long, and nobody else asks for what it did not get.
        let doublings = if self.handed_over { self.silences.min(LONGEST_DOUBLINGS) } else { 0 };
        Some(self.on_the_way.waiting_since()? + patience * (1 << doublings))
    }
}

#[cfg(test)]
mod tests;
