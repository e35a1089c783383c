// SPDX-License-Identifier: AGPL-3.0-or-later
//! The message plane of a router as a value: streams that local clients send, streams that come for local addresses, and
//! frames that are carried for others while there is no way to them.
//!
//! Nothing here does IO, reads a clock or draws entropy. A driver feeds [`Streams`] with frames, forwarding tables, content,
//! what the store did, and time, and takes frames, requests to the store, events and the next deadline out of it. Every
//! frame of a stream carries the stream's name (decisions/every-frame-names-its-stream.md).

mod anycast;
mod asleep;
mod carriage;
mod config;
mod deadlines;
mod event;
mod filters;
mod flooding;
mod frames;
mod groups;
mod inbound;
mod listed;
mod outbound;
mod record;
mod restore;
mod sharing;
mod status;
mod store_queue;
mod way;

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ratman_types::{
    Address, Hop, LinkId, Namespace, Now, Recipient, RouterId, SecretKey, Signer, Timestamp, Verifier,
    WallTime,
};
use ratman_wire::FrameId;
use ratman_wire::api::FilterRule;
use ratman_wire::stream::StreamId;

use crate::journal::{GroupNumber, Journal, Role};
use crate::prng::Prng;
use crate::stream::{Collector, Ended};
use crate::{DropCounters, Fib, Via};
use anycast::Anycast;
use carriage::Carriage;
use deadlines::Deadlines;
use flooding::Flooding;
use groups::stream_of;
use inbound::{Finished, Inbound, Refused, Restored, Whole};
use outbound::Outbound;
use sharing::{Answers, Shared};
use store_queue::{Durable, Reader, StoreQueue};
use way::{LOOPBACK, Way};

pub use anycast::MAX_ANSWERS;
pub use config::{StreamFilter, StreamsConfig};
pub use event::{
    Arrival, AskError, NewShare, NewStream, Question, QuestionId, SendError, StoreRequest, StreamEvent,
    StreamKey, Write,
};
pub use flooding::{MAX_NAMESPACES, MAX_TO_NAMESPACE};
pub use inbound::Spot;
pub use listed::{ListedStream, Place, StreamStage};
pub use sharing::MAX_ANSWERED;
pub use status::StreamsStatus;

/// Streams that are over and not to come again: each takes about 150 bytes. Where there are more within their lifetime, the
/// oldest is forgotten, and could be delivered again if somebody kept its frames.
pub const MAX_FINISHED: usize = 65_536;
/// Addresses without a route of which it is known where to carry frames: as many as a router knows addresses.
const MAX_CARRIERS: usize = 16_384;
/// Neighbours whose custody of frames waits to be told; beyond, they send the frames once more.
const MAX_CUSTODY: usize = 4096;
/// How often what has passed is removed, and slices that nobody completes.
const SWEEP: Duration = Duration::from_secs(10);
/// The place of a stream among those that take turns: answers to others have none of their own, and come first.
type Turn = (GroupNumber, StreamKey);

/// A frame that the driver is to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTransmit {
    /// Over which hop.
    pub hop: Hop,
    /// The link over which it came, if it is passed on as it came: relays queue by it.
    pub came_over: Option<LinkId>,
    /// The encoded carrier frame.
    pub frame: Vec<u8>,
}

/// An address of this router.
struct Local {
    key: Arc<SecretKey>,
    hops: u8,
}

/// The message plane of one router.
pub struct Streams {
    config: StreamsConfig,
    verifier: Arc<dyn Verifier>,
    prng: Prng,
    correction: i64,
    last_stamp: WallTime,
    // As many as the operator gave us.
    locals: BTreeMap<Address, Local>,
    /// The first of them: it asks where no other must be named.
    first: Option<Address>,
    fib: Arc<Fib>,
    carriers: BTreeMap<Address, Via>,
    // As many as local clients subscribed to.
    namespaces: BTreeMap<Namespace, Arc<SecretKey>>,
    // Those of addresses that the driver keeps, as many as it says.
    rules: BTreeMap<Address, Vec<FilterRule>>,
    contacts: BTreeSet<Address>,
    journal: Journal,
    collector: Collector,
    // INVARIANT: each stream of `sent` and `received` has its group in the journal, which bounds them, but for the answers.
    sent: BTreeMap<StreamKey, Outbound>,
    received: BTreeMap<StreamKey, Inbound>,
    // INVARIANT: those of `received` that are whole.
    whole: Whole,
    /// Those of `received` that are here and not durable yet, by their recipients.
    // INVARIANT: all of them; what is no more is passed over.
    storing: BTreeSet<(Recipient, StreamKey)>,
    // INVARIANT: both say the same, at most MAX_FINISHED of them.
    finished: BTreeMap<StreamKey, Finished>,
    finished_order: BTreeMap<GroupNumber, StreamKey>,
    refused: BTreeMap<StreamKey, Refused>,
    // INVARIANT: of addresses that are not up here; each has its group in the journal, which bounds them.
    asleep: BTreeMap<StreamKey, Restored>,
    // INVARIANT: each has its group in the journal.
    shared: BTreeMap<(Address, StreamId), Shared>,
    answers: Answers,
    carriage: Carriage,
    flooding: Flooding,
    anycast: Anycast,
    store: StoreQueue,
    /// Streams that may have something to send, and the one whose turn was last.
    active: BTreeSet<Turn>,
    turn: Option<Turn>,
    /// Streams whose clients wait until the store has room.
    waiting_for_room: BTreeSet<StreamKey>,
    /// Streams that may send, once more may be read.
    waiting_to_read: BTreeSet<Turn>,
    // INVARIANT: the frames of which the streams in `sent` await custody, and of whom.
    handed: BTreeMap<FrameId, (RouterId, StreamKey)>,
    sent_deadlines: Deadlines<StreamKey>,
    received_deadlines: Deadlines<StreamKey>,
    next_sweep: Timestamp,
    // Taken until it is empty after every call.
    outbox: VecDeque<StreamTransmit>,
    custody: BTreeMap<Hop, Vec<FrameId>>,
    events: VecDeque<StreamEvent>,
    drops: DropCounters,
    relayed: u64,
    /// Between the records and [`Streams::restored`].
    restoring: Vec<(StreamKey, Restored)>,
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Streams {
    /// A message plane without addresses and streams; `seed` is fresh entropy, of which stream names and the keys that
    /// seal manifests are made.
    pub fn new(config: StreamsConfig, verifier: Arc<dyn Verifier>, seed: [u8; 32]) -> Self {
        Self {
            journal: Journal::new(config.quota),
            config,
            verifier,
            prng: Prng::new(seed),
            correction: 0,
            last_stamp: WallTime::default(),
            locals: BTreeMap::new(),
            first: None,
            fib: Arc::default(),
            carriers: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            rules: BTreeMap::new(),
            contacts: BTreeSet::new(),
            collector: Collector::default(),
            sent: BTreeMap::new(),
            received: BTreeMap::new(),
            whole: Whole::default(),
            storing: BTreeSet::new(),
            finished: BTreeMap::new(),
            finished_order: BTreeMap::new(),
            refused: BTreeMap::new(),
            asleep: BTreeMap::new(),
            shared: BTreeMap::new(),
            answers: Answers::default(),
            carriage: Carriage::default(),
            flooding: Flooding::default(),
            anycast: Anycast::default(),
            store: StoreQueue::default(),
            active: BTreeSet::new(),
            turn: None,
            waiting_for_room: BTreeSet::new(),
            waiting_to_read: BTreeSet::new(),
            handed: BTreeMap::new(),
            sent_deadlines: Deadlines::default(),
            received_deadlines: Deadlines::default(),
            next_sweep: Timestamp::default(),
            outbox: VecDeque::new(),
            custody: BTreeMap::new(),
            events: VecDeque::new(),
            drops: DropCounters::default(),
            relayed: 0,
            restoring: Vec::new(),
        }
    }

    /// Adds an address of this router; its frames start with `hops_left`
    /// ([`Router::initial_hops`](crate::Router::initial_hops)).
    pub fn add_local(&mut self, key: Arc<SecretKey>, hops_left: u8) {
        self.first.get_or_insert(key.address());
        self.locals.insert(key.address(), Local { key, hops: hops_left });
    }

    /// Whether an address is one of this router, and up.
    pub fn is_local(&self, address: &Address) -> bool {
        self.locals.contains_key(address)
    }

    /// Takes another forwarding table.
    pub fn handle_routes(&mut self, fib: Arc<Fib>, now: Now) {
        self.fib = fib;
        self.ways_changed(now);
    }

    /// Where frames for an address may be carried to while no route to it is live; nothing where nobody knew it better
    /// than we did. All changes of one time together, as everything that waits is looked at then.
    pub fn handle_carriers(&mut self, changes: impl IntoIterator<Item = (Address, Option<Via>)>, now: Now) {
        for (address, via) in changes {
            match via {
                Some(via) if self.carriers.len() < MAX_CARRIERS || self.carriers.contains_key(&address) => {
                    self.carriers.insert(address, via);
                }
                Some(_) => self.drops.count(crate::DropReason::RibFull),
                None => {
                    self.carriers.remove(&address);
                }
            }
        }
        self.ways_changed(now);
    }

    fn ways_changed(&mut self, now: Now) {
        for key in self.sent.keys().copied().collect::<Vec<_>>() {
            self.sent_way_changed(&key, now);
        }
        for key in self.received.keys().copied().collect::<Vec<_>>() {
            self.received_way_changed(&key, now);
        }
        self.carried_ways_changed(now);
        self.pump(now);
    }

    /// Reads what is to go on to others.
    fn pump(&mut self, now: Now) {
        self.pump_carried(now);
        self.pump_flooding(now);
    }

    /// A neighbour answers for these frames from now on, which it had of us.
    pub fn handle_custody(&mut self, from: Hop, frames: &[FrameId], now: Now) {
        for frame in frames {
            if self.carried_taken_over(frame, from.neighbour, now)
                || self.flooded_is_known(frame, from.neighbour, now)
            {
                continue;
            }
            let handed_to = self.handed.get(frame).filter(|(neighbour, _)| *neighbour == from.neighbour);
            if let Some((_, key)) = handed_to.copied() {
                self.handed.remove(frame);
                self.sent_taken_over(&key, frame, now);
            }
        }
        self.pump(now);
    }

    /// What is added to the raw clock before a time is sent or compared, in microseconds
    /// ([`Router::clock_correction`](crate::Router::clock_correction)).
    pub fn set_clock_correction(&mut self, micros: i64) {
        self.correction = micros;
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self, now: Now) -> Option<StreamTransmit> {
        loop {
            while let Some(transmit) = self.outbox.pop_front() {
                if transmit.hop == LOOPBACK {
                    self.receive_own(&transmit.frame, now);
                    continue;
                }
                return Some(transmit);
            }
            // After a rest it is the oldest's again.
            self.turn = self.next_active();
            let turn = self.turn?;
            if !self.send_something(&turn.1, now) {
                self.active.remove(&turn);
            }
        }
    }

    /// The streams take turns, in the order in which they were begun.
    fn next_active(&self) -> Option<Turn> {
        use core::ops::Bound::{Excluded, Unbounded};
        let behind = self.turn.and_then(|turn| self.active.range((Excluded(turn), Unbounded)).next());
        behind.or_else(|| self.active.first()).copied()
    }

    /// The next request to the store.
    pub fn poll_store(&mut self) -> Option<StoreRequest> {
        self.store.poll()
    }

    /// A commit is over; where it is not `durable`, blocks and frames of others in it are to come again, and streams of
    /// ours of which something was in it are given up.
    pub fn handle_committed(&mut self, id: u64, durable: bool, now: Now) {
        let is_finished = |group: &GroupNumber| self.finished_order.contains_key(group);
        for (group, done) in self.store.committed(id, durable, is_finished) {
            if durable {
                self.is_durable(group, done, now);
            } else {
                self.is_lost(group, done, now);
            }
        }
        // Whoever waits for room in the store looks again.
        for key in core::mem::take(&mut self.waiting_for_room) {
            self.with_sent(&key, now, |_, _| {});
        }
        self.pump(now);
    }

    fn is_durable(&mut self, group: GroupNumber, done: Durable, now: Now) {
        match done {
            Durable::Sent { key, number } => self.sent_is_durable(&key, number),
            Durable::Accepted { key } => self.sent_is_accepted(&key),
            Durable::Shared { key } => self.share_is_durable(&key, now),
            Durable::TakenDown { key } => self.is_taken_down(&key, true),
            Durable::Received { key, reference } => self.received_is_durable(group, &key, &reference),
            Durable::Complete { key } => self.received_is_complete(group, &key, now),
            Durable::Carried { group, number, name, from } => {
                self.carried_is_durable(group, number, name, Some(from), now);
            }
            Durable::Flooded { group, number, name, from } => {
                self.flooded_is_durable((group, number), name, from, now);
            }
            Durable::Taken { key } => self.events.push_back(StreamEvent::Taken { key, durable: true }),
            Durable::TakenBy { key, member } => self.is_taken_by(group, (key, member), true),
            Durable::Record => {}
        }
    }

    /// The store did not take something: what others need not answer for comes again, and a stream of ours is given up.
    fn is_lost(&mut self, group: GroupNumber, done: Durable, now: Now) {
        match done {
            Durable::Received { key, reference } => self.received_is_lost(group, &key, &reference, now),
            Durable::Carried { group, number, .. } => self.carried_is_gone(group, number),
            Durable::Flooded { group, number, .. } => self.flooded_is_gone((group, number)),
            Durable::Taken { key } => self.events.push_back(StreamEvent::Taken { key, durable: false }),
            Durable::TakenBy { key, member } => self.is_taken_by(group, (key, member), false),
            Durable::TakenDown { key } => self.is_taken_down(&key, false),
            Durable::Sent { .. }
            | Durable::Accepted { .. }
            | Durable::Shared { .. }
            | Durable::Complete { .. }
            | Durable::Record => {
                if self.journal.get(group).is_some() {
                    tracing::warn!(group = group.0, "a stream could not be stored: it is given up");
                    self.give_up(group);
                }
            }
        }
    }

    /// An entry was read, or is not to be had.
    pub fn handle_read(&mut self, id: u64, entry: Option<Vec<u8>>, now: Now) {
        match self.store.answered(id) {
            Some(Reader::Sent { key, number }) => self.sent_block_read(&key, number, entry, now),
            Some(Reader::Received { key, reference }) => {
                self.received_block_read(&key, reference, entry, now)
            }
            Some(Reader::Carried { group, number }) => self.carried_read(group, number, entry),
            Some(Reader::Flooded { group, number, to }) => self.flooded_read((group, number), to, entry),
            Some(Reader::Subscribed { group, number }) => self.subscribed_read((group, number), entry, now),
            None => {}
        }
        self.active.append(&mut self.waiting_to_read);
        self.pump(now);
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        if let Some((hop, frames)) = self.custody.pop_first() {
            return Some(StreamEvent::Custody { hop, frames });
        }
        self.events.pop_front()
    }

    /// When [`Streams::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        [
            self.sent_deadlines.next(),
            self.received_deadlines.next(),
            self.carriage.deadline(),
            self.anycast.deadline(),
            // Where nothing can be read now, an answer of the store comes first.
            self.store.may_read().then(|| self.flooding.deadline()).flatten(),
            Some(self.next_sweep),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        // Each once, whatever deadline it has next.
        let due: Vec<StreamKey> = core::iter::from_fn(|| self.sent_deadlines.take_due(now.at)).collect();
        for key in due {
            self.with_sent(&key, now, |_, out| out.sending.handle_timeout(now.at));
        }
        let due: Vec<StreamKey> = core::iter::from_fn(|| self.received_deadlines.take_due(now.at)).collect();
        for key in due {
            self.received_timeout(&key, now);
        }
        self.handle_anycast_timeout(now);
        self.pump(now);
        if self.next_sweep <= now.at {
            self.next_sweep = now.at + SWEEP;
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Now) {
        self.sweep_delivery(now);
        self.sweep_answers(now);
        self.anycast.sweep(now.at);
        self.store.repeat();
        self.collector.forget_old(now.at);
        let wall = self.wall(now);
        while let Some((number, group)) = self.journal.take_expired(wall) {
            self.group_is_gone(number, &group);
            let is_ours = matches!(group.key.role, Role::Sent | Role::Shared);
            let ours = stream_of(&group).filter(|_| is_ours);
            if let Some(key) = ours.filter(|key| self.sent.contains_key(key)) {
                self.forget_sent(&key);
                self.events.push_back(StreamEvent::Ended(key, Ended::Expired));
            }
        }
        let over: Vec<StreamKey> =
            self.finished.iter().filter(|(_, finished)| finished.end <= wall).map(|(key, _)| *key).collect();
        over.iter().for_each(|key| self.forget_finished(key));
        self.refused.retain(|_, refused| refused.end > wall);
    }

    /// What was dropped, by reason.
    pub const fn drops(&self) -> &DropCounters {
        &self.drops
    }

    /// What opens what is for a recipient, if it is here.
    fn key_of(&self, recipient: &Recipient) -> Option<&SecretKey> {
        match recipient {
            Recipient::Address(address) => self.locals.get(address).map(|local| &*local.key),
            Recipient::Namespace(namespace) => self.namespaces.get(namespace).map(|key| &**key),
        }
    }

    fn wall(&self, now: Now) -> WallTime {
        now.wall.shifted(self.correction)
    }

    /// A time that was never given before.
    fn stamp(&mut self, now: Now) -> WallTime {
        self.last_stamp = self.wall(now).max(self.last_stamp.shifted(1));
        self.last_stamp
    }

    fn random(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.prng.bytes()));
        bytes
    }

    fn tell_custody(&mut self, hop: Hop, frames: Vec<FrameId>) {
        if hop == LOOPBACK || frames.is_empty() {
            return;
        }
        let known = self.custody.entry(hop).or_default();
        if known.len() < MAX_CUSTODY {
            known.extend(frames);
        }
    }
}

#[cfg(test)]
mod tests;
