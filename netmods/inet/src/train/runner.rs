// SPDX-License-Identifier: AGPL-3.0-or-later
//! The task of one link: answers the neighbour's trains, and sends its own when it is time.

use std::future::pending;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netmod_api::Inbox;
use ratman_types::{Bandwidth, Capacity, RouterId, Timestamp};
use ratman_wire::Mode;
use ratman_wire::train::{self, MAX_TRAIN_PACKET, MIN_TRAIN_PACKET, TrainKey, TrainPacket, TrainReport};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tracing::{debug, trace};

use super::collector::Collector;
use super::hub::{Hub, Turn};
use super::schedule::{self, Look, Spent, WATCHED};
use super::series::{Next, Series};
use super::udp::{self, Datagram};
use super::verdict::{SentTrain, Verdict};
use crate::link::{Hold, Link};
use crate::meter::below_ip;
use crate::socket::canonical;

/// The wait before a new link is measured: the first announcements cross it meanwhile.
const FIRST: Duration = Duration::from_secs(2);
/// The wait before it is tried again where the link was in use, or the interface.
const AGAIN: Duration = Duration::from_secs(3);
/// Between two looks whether what was in flight on a link that is kept idle has arrived, which nothing tells of itself,
const DRAINING: Duration = Duration::from_millis(2);
/// and how long that may take. So long again others wait for a train that was sent, and no longer for its report.
const HOLD_LIMIT: Duration = Duration::from_millis(150);
/// How long a report may take: the longest train, and what queues on the way back.
const REPORT_LIMIT: Duration = Duration::from_secs(12);
/// How long the port from which a dialer's trains came can be trusted to lead to it (a NAT's mapping, RFC 4787).
const HEARD: Duration = Duration::from_secs(25);

/// The header of UDP, in bytes (RFC 768).
const UDP_HEADER: u32 = 8;

/// One link and its trains.
pub(crate) struct Runner {
    pub(crate) hub: Arc<Hub>,
    pub(crate) link: Arc<Link>,
    pub(crate) own: RouterId,
    pub(crate) key: TrainKey,
    pub(crate) mark: Option<u32>,
    pub(crate) inbox: Arc<dyn Inbox>,
}

/// How far the neighbour's port is known, and the socket towards it.
struct Way {
    socket: UdpSocket,
    remote: SocketAddr,
    /// When an authentic datagram came from there; for a dialer the port is the listener's and stays.
    heard: Timestamp,
}

enum State {
    Resting { until: Timestamp },
    Watching { until: Timestamp, before: Look },
    Measuring(Measuring),
}

struct Measuring {
    series: Series,
    _turn: Turn,
    /// What the link had carried when it was looked at last; nothing of one that is kept idle for each train, since it is in use.
    carried: Option<Look>,
    /// Keeps it idle.
    hold: Option<Hold>,
    /// The payload of each packet, and what it is on the wire.
    length: usize,
    wire: u64,
    /// Bytes of all trains on the wire so far.
    bytes: u64,
    /// What the link is known to carry before.
    known: Option<Capacity>,
    step: Step,
}

enum Step {
    /// A train of so many packets is to be sent.
    Send { count: u16, at: Timestamp },
    /// It is to be sent once the link is idle.
    Drain { count: u16, at: Timestamp, until: Timestamp },
    /// Its report is to come.
    Report { sent: SentTrain, since: Timestamp },
}

struct Running {
    of: Runner,
    way: Option<Way>,
    collector: Collector,
    state: State,
    /// What trains found last.
    known: Option<Capacity>,
    /// How many series in a row found nothing.
    in_vain: u32,
    /// The number of our last train.
    number: u32,
}

impl Runner {
    /// Runs until the link ends.
    pub(crate) async fn run(self) {
        let (hub, link) = (Arc::clone(&self.hub), Arc::clone(&self.link));
        let id = link.hop.link;
        let mailbox = (!link.dialed).then(|| hub.join(&link, &self.key));
        tokio::select! {
            _ = link.ended() => {}
            () = self.measure(mailbox) => {}
        }
        hub.leave(id);
    }

    async fn measure(self, mailbox: Option<mpsc::Receiver<Datagram>>) {
        let now = self.inbox.now();
        let state = State::Resting { until: now + FIRST };
        let (way, collector) = (None, Collector::new());
        Running { of: self, way, collector, state, known: None, in_vain: 0, number: 0 }.run(mailbox).await;
    }

    /// A socket from the link's own address to the neighbour.
    fn open(&self, remote: SocketAddr, port: u16, now: Timestamp) -> Option<Way> {
        let (mut local, remote) = (canonical(self.link.local), canonical(remote));
        local.set_port(port);
        let opened = udp::open(local, Some(remote), self.mark);
        let opened = opened.inspect_err(|error| debug!(%error, "no socket for packet trains"));
        Some(Way { socket: opened.ok()?, remote, heard: now })
    }
}

impl Running {
    async fn run(&mut self, mut mailbox: Option<mpsc::Receiver<Datagram>>) {
        loop {
            let wait = self.deadline().since(self.of.inbox.now());
            let way = self.way.as_ref();
            let datagram = tokio::select! {
                datagram = next(mailbox.as_mut()) => datagram,
                datagram = heard(way) => datagram,
                () = tokio::time::sleep(wait) => None,
            };
            let now = self.of.inbox.now();
            if let Some(datagram) = datagram {
                self.receive(&datagram, now);
            }
            self.answer(now).await;
            if self.due() <= now {
                self.turn(now);
            }
        }
    }

    fn deadline(&self) -> Timestamp {
        let due = self.due();
        self.collector.deadline().map_or(due, |deadline| deadline.min(due))
    }

    fn due(&self) -> Timestamp {
        match &self.state {
            State::Resting { until } | State::Watching { until, .. } => *until,
            State::Measuring(Measuring { step: Step::Send { at, .. } | Step::Drain { at, .. }, .. }) => *at,
            State::Measuring(Measuring { step: Step::Report { since, .. }, hold, .. }) => {
                *since + if hold.is_some() { HOLD_LIMIT } else { REPORT_LIMIT }
            }
        }
    }

    fn receive(&mut self, datagram: &Datagram, now: Timestamp) {
        let (bytes, neighbour, counters) =
            (&datagram.bytes, self.of.link.hop.neighbour, &self.of.hub.counters);
        let Some((mode, _)) = train::peek(bytes) else { return counters.strange_trains.add(1) };
        if mode == Mode::TRAIN_REPORT {
            return match TrainReport::decode(bytes, neighbour, &self.of.key) {
                Ok(report) => self.reported(&report, datagram.source, now),
                Err(_) => counters.strange_trains.add(1),
            };
        }
        match TrainPacket::decode(bytes, neighbour, &self.of.key) {
            Ok(packet) if self.collector.take(packet, datagram.stamp, now).is_ok() => {
                self.is_at(datagram.source, now);
            }
            Ok(_) => counters.surplus_trains.add(1),
            Err(_) => counters.strange_trains.add(1),
        }
    }

    /// Notes where the neighbour's datagrams come from; from the address of the link and from nowhere else, so that
    /// nothing is ever sent to somebody who did not ask.
    fn is_at(&mut self, source: SocketAddr, now: Timestamp) {
        if let Some(way) = self.way.as_mut().filter(|way| way.remote == source) {
            way.heard = now;
        } else if !self.of.link.dialed && source.ip() == self.of.link.pair().1 {
            self.way = self.of.open(source, self.of.link.local.port(), now).or(self.way.take());
        }
    }

    /// Answers a train that is over.
    async fn answer(&mut self, now: Timestamp) {
        let (Some(report), Some(way)) = (self.collector.report(now), &self.way) else { return };
        trace!(received = report.received, "train answered");
        // A report that is lost is a train that is lost: the neighbour tries another. Where one of ours fills the socket, others may
        // wait for that one to be over.
        let report = report.encode(self.of.own, &self.of.key);
        let _ = tokio::time::timeout(DRAINING, way.socket.send(&report)).await;
    }

    fn reported(&mut self, report: &TrainReport, source: SocketAddr, now: Timestamp) {
        let State::Measuring(Measuring { step: Step::Report { sent, since }, carried, hold, .. }) =
            &self.state
        else {
            return self.of.hub.counters.bad_train_reports.add(1);
        };
        // Others went on before it was over, and may have had their share of the link.
        let shared = carried.is_none() && hold.is_none();
        match sent.judge(report, now.since(*since).min(REPORT_LIMIT)) {
            Ok((took, verdict)) => {
                let verdict = if shared { Verdict::Lost } else { verdict };
                // One that was recorded and sent again later leads nowhere.
                self.is_at(source, now);
                self.judged(took, verdict, now);
            }
            Err(error) => {
                debug!(%error, "bad report of a train");
                self.of.hub.counters.bad_train_reports.add(1);
            }
        }
    }

    fn judged(&mut self, took: Duration, verdict: Verdict, now: Timestamp) {
        let State::Measuring(measuring) = &mut self.state else { return };
        measuring.hold = None;
        debug!(?verdict, ?took, "train");
        match measuring.series.next(took, verdict) {
            Next::Train(count, pause) => measuring.step = Step::Send { count, at: now + pause },
            Next::Over(found) => {
                debug!(?found, "measured by trains");
                let bytes = measuring.bytes;
                let Some(capacity) = found else { return self.rest_after_nothing(now) };
                let spent = self.spent(bytes, found);
                self.state = State::Resting { until: now + schedule::rest(&self.of.hub.config, spent) };
                (self.known, self.in_vain) = (found, 0);
                self.of.link.set_measured(now, capacity);
            }
        }
    }

    /// Does what is due.
    fn turn(&mut self, now: Timestamp) {
        match &mut self.state {
            State::Resting { .. } => {
                let watching = self.watch(now);
                self.state = watching.unwrap_or(State::Resting { until: now + AGAIN });
            }
            State::Watching { before, .. } => {
                let before = *before;
                let measuring = self.begin(before, now);
                self.state = measuring.unwrap_or(State::Resting { until: now + AGAIN });
            }
            State::Measuring(measuring) => match measuring.step {
                Step::Send { count, .. } if measuring.carried.is_none() => {
                    measuring.hold = Some(self.of.link.hold(Arc::clone(&self.of.inbox)));
                    measuring.step = Step::Drain { count, at: now, until: now + HOLD_LIMIT };
                }
                Step::Drain { count, until, .. } if now < until && !self.of.link.is_drained() => {
                    measuring.step = Step::Drain { count, at: now + DRAINING, until };
                }
                Step::Drain { until, .. } if now >= until => self.give_up(now),
                Step::Send { count, .. } | Step::Drain { count, .. } => {
                    if self.send(count, now).is_none() {
                        self.give_up(now);
                    }
                }
                Step::Report { .. } if measuring.hold.take().is_some() => {}
                Step::Report { .. } => self.judged(Duration::ZERO, Verdict::Unanswered, now),
            },
        }
    }

    /// Ends a series that was disturbed.
    fn give_up(&mut self, now: Timestamp) {
        let State::Measuring(Measuring { bytes, carried, known, .. }) = &self.state else { return };
        if carried.is_none() {
            // Others have waited for nothing.
            return self.rest_after_nothing(now);
        }
        let rest = schedule::rest(&self.of.hub.config, self.spent(*bytes, *known));
        self.state = State::Resting { until: now + rest };
    }

    fn rest_after_nothing(&mut self, now: Timestamp) {
        let State::Measuring(Measuring { bytes, known, .. }) = &self.state else { return };
        self.in_vain = self.in_vain.saturating_add(1);
        let spent = self.spent(*bytes, *known);
        let rest = schedule::rest_after_nothing(&self.of.hub.config, spent, self.in_vain);
        self.state = State::Resting { until: now + rest };
    }

    fn spent(&self, bytes: u64, known: Option<Capacity>) -> Spent {
        Spent { bytes, known, rival: self.of.hub.has_rival(self.of.link.hop) }
    }

    /// Begins to look whether the link is idle, if the neighbour could be reached.
    fn watch(&mut self, now: Timestamp) -> Option<State> {
        if self.way.is_none() && self.of.link.dialed {
            self.way = self.of.open(self.of.link.remote, 0, now);
        }
        let way = self.way.as_ref()?;
        let reached = self.of.link.dialed || now.since(way.heard) < HEARD;
        let before = (now, self.of.link.carried()?);
        (reached && !self.collector.is_collecting()).then(|| State::Watching { until: now + WATCHED, before })
    }

    /// Begins to measure a link, when its interface is free: one that was idle, or one of which nothing else tells what it carries.
    fn begin(&self, before: Look, now: Timestamp) -> Option<State> {
        let carried = (now, self.of.link.carried()?);
        let is_idle = schedule::is_idle(before, carried);
        self.of.hub.note_use(self.of.link.hop, !is_idle);
        let may_be_held = || !self.is_told(now) && self.of.link.round_trip() < Some(HOLD_LIMIT / 2);
        if !is_idle && !may_be_held() || self.collector.is_collecting() {
            return None;
        }
        let (local, remote) = self.of.link.pair();
        let segment = self.of.link.segment()?;
        // What TCP fills, UDP fills too.
        let udp = usize::try_from(segment.saturating_sub(UDP_HEADER)).unwrap_or(usize::MAX);
        let length = udp.clamp(MIN_TRAIN_PACKET, MAX_TRAIN_PACKET);
        let below = below_ip(remote);
        let wire = u64::try_from(length).unwrap_or(u64::MAX) + u64::from(UDP_HEADER) + below;
        let used = schedule::used(before, carried);
        let (series, known) = if is_idle {
            (Series::default(), self.known)
        } else {
            let longest = schedule::beside_use(used) / wire;
            let seen = Bandwidth::from_bytes_per_second(u32::try_from(used).unwrap_or(u32::MAX));
            let series = Series::beside_use(u16::try_from(longest).unwrap_or(u16::MAX))?;
            (series, self.known.or(Some(Capacity::AtLeast(seen))))
        };
        let turn = self.of.hub.turn(local)?;
        let step = Step::Send { count: series.first(), at: now };
        Some(State::Measuring(Measuring {
            series,
            _turn: turn,
            carried: is_idle.then_some(carried),
            hold: None,
            length,
            wire,
            bytes: 0,
            known,
            step,
        }))
    }

    /// Whether the connection itself tells what the link carries.
    fn is_told(&self, now: Timestamp) -> bool {
        self.of.link.told_capacity().is_some_and(|told| now.since(told) < self.of.hub.config.every)
    }

    /// Sends a train as fast as it can, and notes when each packet left; nothing if the link is not idle any more, or if
    /// one of the neighbour's is on its way here: each would spoil the other.
    fn send(&mut self, count: u16, now: Timestamp) -> Option<()> {
        let (State::Measuring(measuring), Some(way)) = (&mut self.state, &self.way) else { return None };
        if self.collector.is_collecting() {
            return None;
        }
        if let Some(before) = &mut measuring.carried {
            let carried = (now, self.of.link.carried()?);
            if !schedule::is_idle(*before, carried) {
                return None;
            }
            *before = carried;
        }
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        let packet = |index| TrainPacket { train: number, index, count };
        let packets: Vec<_> = (0..count)
            .map(|index| packet(index).encode(self.of.own, measuring.length, &self.of.key))
            .collect();
        let at = send_all(&way.socket, &packets);
        let sent = u64::try_from(at.len()).unwrap_or(u64::MAX);
        measuring.bytes = measuring.bytes.saturating_add(sent.saturating_mul(measuring.wire));
        let sent = SentTrain { number, at, wire: measuring.wire };
        measuring.step = Step::Report { sent, since: now };
        Some(())
    }
}

/// When each packet left, since the first; of those that the kernel does not take at once none leaves.
fn send_all(socket: &UdpSocket, packets: &[Vec<u8>]) -> Vec<Duration> {
    let mut at = Vec::with_capacity(packets.len());
    let first = Instant::now();
    for packet in packets {
        let now = first.elapsed();
        if let Err(error) = send(socket, packet) {
            debug!(%error, sent = at.len(), of = packets.len(), "train cut");
            break;
        }
        at.push(now);
    }
    at
}

/// Sends a datagram at once. A connected socket tells of an earlier one that was refused instead of sending: then again.
fn send(socket: &UdpSocket, packet: &[u8]) -> std::io::Result<()> {
    match socket.try_send(packet) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => socket.try_send(packet).map(drop),
        result => result.map(drop),
    }
}

async fn next(mailbox: Option<&mut mpsc::Receiver<Datagram>>) -> Option<Datagram> {
    match mailbox {
        Some(mailbox) => mailbox.recv().await,
        None => pending().await,
    }
}

async fn heard(way: Option<&Way>) -> Option<Datagram> {
    let Some(way) = way else { return pending().await };
    match udp::receive(&way.socket).await {
        Ok(datagram) => Some(datagram),
        Err(error) => {
            trace!(%error, "the neighbour's port hears no trains");
            tokio::time::sleep(udp::DEAF).await;
            None
        }
    }
}

#[cfg(test)]
mod tests;
