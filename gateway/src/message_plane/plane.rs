// SPDX-License-Identifier: AGPL-3.0-or-later
//! The thread of the message plane: waits for what happens, gives it to the machine, and carries out what that wants.

use std::iter;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use netmod_api::FrameParts;
use ratman_types::{Address, LinkId, Now, Timestamp};
use router_core::streams::{StreamEvent, StreamTransmit, Streams};
use tokio::sync::mpsc;

use super::clients::News;
use super::inlet::{Inlet, Input};
use super::journal::{Done, Journal};
use super::registry::Registry;
use super::{PlaneReport, Word, questions};
use crate::clock::Clock;
use crate::egress::OURS;
use crate::forward::Forwarder;
use crate::ways::Ways;

/// Inputs handled in a row before what the machine wants is carried out.
const INPUTS_PER_TURN: usize = 64;

/// Frames sent in one turn before the inputs are asked again: more than one turn's inputs can make, so that what is passed on
/// for others does not pile up.
const FRAMES_PER_TURN: usize = 2 * INPUTS_PER_TURN;

/// How often the machine is asked what it looks like while something happens.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Without a deadline of the machine's it waits so long: any time does.
const IDLE: Duration = Duration::from_secs(3600);

/// Through what it acts.
#[derive(Debug)]
pub(super) struct Doors {
    /// Whose queues the frames leave by.
    pub(super) forwarder: Arc<Forwarder>,
    /// The way out over each link, and the forwarding table.
    pub(super) ways: Arc<Ways>,
    /// What the control loop is to do.
    pub(super) words: mpsc::Sender<Word>,
    /// Where it tells what it looks like.
    pub(super) report: Arc<Mutex<PlaneReport>>,
}

/// All that the thread owns.
#[derive(Debug)]
pub(super) struct Plane {
    streams: Streams,
    journal: Journal,
    registry: Registry,
    inlet: Inlet,
    inputs: Receiver<Input>,
    doors: Doors,
    clock_correction: i64,
    counts: PlaneReport,
    /// When the report is to be renewed; nothing while it says what is so.
    next_report: Option<Timestamp>,
    /// When it was renewed last.
    reported: Timestamp,
}

impl Plane {
    /// A message plane that has not begun.
    pub(super) fn new(
        streams: Streams,
        journal: Journal,
        (inlet, inputs): (Inlet, Receiver<Input>),
        doors: Doors,
        own: Address,
    ) -> Self {
        Self {
            streams,
            journal,
            registry: Registry::new(inlet.clone(), own),
            inlet,
            inputs,
            doors,
            clock_correction: 0,
            counts: PlaneReport::default(),
            next_report: Some(Clock.now().at),
            reported: Timestamp::default(),
        }
    }

    /// Runs until the end is asked for; what was handed to the store by then is durable when this returns.
    pub(super) fn run(mut self) {
        let mut more = true;
        loop {
            let Some(first) = self.next(more) else { return };
            if !self.handle_all(first) {
                // What was decided by then is to be durable.
                self.settle(Clock.now());
                return;
            }
            let now = Clock.now();
            if self.streams.poll_timeout().is_some_and(|deadline| deadline <= now.at) {
                self.note_change(now.at);
                self.streams.handle_timeout(now);
            }
            more = self.settle(now);
            self.report(now.at);
        }
    }

    /// The next input, or none within the time to the next deadline, or without waiting if there is `more` to do; nothing where
    /// nobody is there who could tell anything.
    fn next(&self, more: bool) -> Option<Option<Input>> {
        if more {
            return match self.inputs.try_recv() {
                Ok(input) => Some(Some(input)),
                Err(TryRecvError::Empty) => Some(None),
                Err(TryRecvError::Disconnected) => None,
            };
        }
        let now = Clock.now();
        let deadlines = [self.streams.poll_timeout(), self.next_report];
        let wait = deadlines.into_iter().flatten().min().map_or(IDLE, |deadline| deadline.since(now.at));
        match self.inputs.recv_timeout(wait) {
            Ok(input) => Some(Some(input)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Handles what has arrived, the first first; false at the end.
    fn handle_all(&mut self, first: Option<Input>) -> bool {
        let Some(first) = first else { return true };
        let now = Clock.now();
        self.note_change(now.at);
        let correction = self.inlet.clock_correction();
        if self.clock_correction != correction {
            self.clock_correction = correction;
            self.streams.set_clock_correction(correction);
        }
        let mut next = Some(first);
        for _ in 0..INPUTS_PER_TURN {
            let Some(input) = next else { break };
            if !self.handle(input, now) {
                return false;
            }
            next = self.inputs.try_recv().ok();
        }
        next.is_none_or(|input| self.handle(input, now))
    }

    fn handle(&mut self, input: Input, now: Now) -> bool {
        match input {
            Input::Frame { from, bytes, .. } => self.streams.handle_frame(from, &bytes, now),
            Input::Custody { from, frames, .. } => self.streams.handle_custody(from, &frames, now),
            Input::Routes => {
                self.inlet.routes_taken();
                self.streams.handle_routes(self.doors.ways.fib(), now);
            }
            Input::Carriers => self.streams.handle_carriers(self.inlet.take_carriers(), now),
            Input::Neighbours => {
                if let Some(neighbours) = self.inlet.take_neighbours() {
                    self.streams.handle_neighbours(&neighbours, now);
                }
            }
            Input::Stored(completion) => match self.journal.completed(completion) {
                Some(Done::Committed { id, durable }) => self.streams.handle_committed(id, durable, now),
                Some(Done::Read { id, entry }) => self.streams.handle_read(id, entry, now),
                None => {}
            },
            Input::Ask(ask) => {
                // A stream that has ended meanwhile says how before its client hears that it takes no content.
                self.handle_events(now);
                self.registry.handle(ask, &mut self.streams, now);
            }
            Input::LocalUp(key, hops) => self.streams.local_up(key, hops, now),
            Input::LocalDown(address) => {
                self.registry.takers.address_is_down(&address);
                self.streams.local_down(&address, now);
            }
            Input::Forget(address) => {
                self.registry.takers.address_is_gone(&address, &mut self.streams);
                self.streams.forget_address(&address);
            }
            Input::Keep(addresses) => self.streams.forget_all_but(&addresses),
            Input::Filter(filter) => self.streams.set_filter(filter),
            Input::Rules(address, rules) => self.streams.set_rules(address, rules),
            Input::TookPart(address, namespaces) => {
                self.registry.takers.members().took_part(address, namespaces);
            }
            Input::Contacts(contacts) => self.streams.set_contacts(contacts),
            Input::End => return false,
            #[cfg(test)]
            Input::Panic => panic!("a test wants it"),
        }
        true
    }

    /// Carries out what the machine wants; whether there is more of it.
    fn settle(&mut self, now: Now) -> bool {
        let ends_more = self.registry.takers.end_some(&mut self.streams, now);
        self.handle_events(now);
        self.registry.takers.tell_joined(&self.streams);
        while self.journal.has_room()
            && let Some(request) = self.streams.poll_store()
        {
            self.journal.hand_in(request);
        }
        let frames: Vec<_> =
            iter::from_fn(|| self.streams.poll_transmit(now)).take(FRAMES_PER_TURN).collect();
        self.send(&frames, now.at);
        ends_more || frames.len() == FRAMES_PER_TURN
    }

    fn handle_events(&mut self, now: Now) {
        while let Some(event) = self.streams.poll_event() {
            self.handle_event(event, now);
        }
    }

    fn handle_event(&mut self, event: StreamEvent, now: Now) {
        match event {
            StreamEvent::Room(key) => self.registry.write_on(&key, &mut self.streams, now),
            StreamEvent::Accepted(key) => self.registry.tell(&key, News::Accepted),
            StreamEvent::Stored(key) => self.registry.tell(&key, News::Stored),
            StreamEvent::Ended(key, ended) => self.registry.tell(&key, News::Ended(ended)),
            StreamEvent::Failed(key) => self.registry.tell(&key, News::Failed),
            StreamEvent::Shared { key, capability } => self.registry.tell(&key, News::Shared(capability)),
            StreamEvent::TakenDown { sender, stream, durable } => {
                self.registry.taken_down((sender, stream), durable);
            }
            StreamEvent::Received(arrival) => self.registry.takers.arrived(&arrival.key, &self.streams),
            StreamEvent::Taken { key, durable } => {
                self.registry.takers.is_taken(&key, None, durable, &self.streams);
            }
            StreamEvent::TakenBy { key, member, durable } => {
                self.registry.takers.is_taken(&key, Some(member), durable, &self.streams);
            }
            StreamEvent::Custody { hop, frames } => {
                if self.doors.words.try_send(Word::Custody(hop, frames)).is_err() {
                    self.counts.custodies_lost += 1;
                }
            }
            StreamEvent::Asked(question) => {
                questions::answer(&question, self.registry.takers.members(), &mut self.streams, now);
            }
            StreamEvent::Answered { question, members } => {
                self.registry.questions.answered(&question, members);
            }
            // What finds no room has others before it, which count as much.
            StreamEvent::BadSignature { from } => _ = self.doors.words.try_send(Word::BadSignature(from)),
        }
    }

    /// Sends frames in their order, those that leave together in one call.
    fn send(&mut self, frames: &[StreamTransmit], now: Timestamp) {
        let ways = self.doors.ways.load();
        for together in frames.chunk_by(|one, other| (one.hop, one.came_over) == (other.hop, other.came_over))
        {
            let [StreamTransmit { hop, came_over, .. }, ..] = together else { continue };
            let count = u64::try_from(together.len()).unwrap_or(u64::MAX);
            let Some(egress) = ways.egress(*hop) else {
                self.counts.without_way_out += count;
                continue;
            };
            let parts: Vec<_> = together.iter().map(|transmit| FrameParts::whole(&transmit.frame)).collect();
            let group = came_over.map_or(OURS, |LinkId(link)| link);
            let taken = self.doors.forwarder.send_for(group, egress, &parts, now);
            let taken = u64::try_from(taken).unwrap_or(u64::MAX);
            self.counts.sent += taken;
            self.counts.not_taken += count.saturating_sub(taken);
        }
    }

    /// Something changes: after a rest that is told at once, so that nobody takes what was before for what came of it.
    fn note_change(&mut self, now: Timestamp) {
        let due = (self.reported + REPORT_EVERY).max(now);
        self.next_report.get_or_insert(due);
    }

    /// Tells what it looks like, when that is due.
    fn report(&mut self, now: Timestamp) {
        if self.next_report.is_some_and(|due| due <= now) {
            (self.next_report, self.reported) = (None, now);
            self.registry.tell_progress(&self.streams);
            let PlaneReport { sent, not_taken, without_way_out, custodies_lost, .. } = self.counts;
            let (streams, store) = (self.streams.status(), self.journal.status());
            let drops = self.streams.drops().clone();
            let report =
                PlaneReport { streams, drops, store, sent, not_taken, without_way_out, custodies_lost };
            *self.doors.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
        }
    }
}
