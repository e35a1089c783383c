// SPDX-License-Identifier: AGPL-3.0-or-later
//! One hop as the router sees it: whether it answers, how long it is, and the times of its one-hop frames.

mod activity;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use ratman_types::{Address, ByteCount, Digest, Hop, Mtu, Timestamp, Traffic, WallTime};
use ratman_wire::Mode;
use ratman_wire::router_meta::RouterMeta;

use crate::estimator::Estimator;
use crate::{LinkCost, LinkState};
use activity::Activity;

/// How often a link is probed (source: wire page, routes).
const ECHO_INTERVAL: Duration = Duration::from_millis(500);
/// How often a link is probed that we use and that gives nothing back (source: wire page, routes).
const URGENT_ECHO_INTERVAL: Duration = Duration::from_millis(50);
/// How long nothing came back until the probes become urgent (source: wire page, routes).
const QUIET: Duration = Duration::from_millis(50);
/// A link counts as used so long after bytes of the data plane left: long enough for three urgent echoes where the
/// kernel takes no more bytes because none are acknowledged.
const USED: Duration = Duration::from_millis(400);
/// The least silence that stalls a link (source: wire page, routes).
const STALL_FLOOR: Duration = Duration::from_millis(150);
/// The time that the third echo has for its answer is the loaded round trip, between this, for a peer whose threads wait
/// for a processor, and [`QUIET`].
const LEAST_ANSWER: Duration = Duration::from_millis(20);
/// So many echoes unanswered stall a link, so many replies in a row revive it (source: wire page, routes).
const ECHOES: usize = 3;
/// The silence after which a link is down (source: wire page, routes).
const DOWN_AFTER: Duration = Duration::from_secs(5);
/// Over which time what leaves is added up to tell whether the link is busy.
const TRAFFIC_OVER: Duration = Duration::from_secs(1);
/// Urgent probes of five seconds, and the first three.
const MAX_UNANSWERED: usize = 128;

/// What is due on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Send so many echo requests.
    pub(crate) echoes: usize,
    /// The state changed.
    pub(crate) changed: bool,
    /// Nothing was heard for too long: close it.
    pub(crate) close: bool,
}

#[derive(Clone, Copy, Debug)]
struct SentEcho {
    nonce: [u8; 8],
    at: Timestamp,
}

/// One hop.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) hop: Hop,
    pub(crate) mtu: Mtu,
    pub(crate) proofs: Digest,
    pub(crate) dialed: bool,
    pub(crate) since: Timestamp,
    /// When it answered for the first time.
    pub(crate) live_since: Option<Timestamp>,
    pub(crate) clock_offset: Option<i64>,
    pub(crate) meta: Option<RouterMeta>,
    /// The last address whose newest announcement the new link got of all that it is to get.
    pub(crate) resent: Option<Address>,
    /// What it costs us to use it.
    pub(crate) cost: LinkCost,
    /// What is measured of it.
    pub(crate) estimator: Estimator,
    state: LinkState,
    closing: bool,
    // INVARIANT: at most MAX_UNANSWERED, in the order in which they were sent.
    unanswered: VecDeque<SentEcho>,
    last_echo: Option<Timestamp>,
    replies_in_a_row: usize,
    /// When it was found to be stalled no longer.
    revived: Option<Timestamp>,
    heard: Timestamp,
    acknowledged: Timestamp,
    used: Option<Timestamp>,
    activity: Activity,
    /// The total of bytes sent at some time about [`TRAFFIC_OVER`] ago.
    sent_before: (Timestamp, u64),
    // At most one for each mode that we serve.
    last_received: BTreeMap<Mode, WallTime>,
    last_sent: WallTime,
}

impl Link {
    pub(crate) fn new(hop: Hop, mtu: Mtu, proofs: Digest, dialed: bool, now: Timestamp) -> Self {
        Self {
            hop,
            mtu,
            proofs,
            dialed,
            since: now,
            live_since: None,
            clock_offset: None,
            meta: None,
            resent: None,
            cost: LinkCost::NONE,
            estimator: Estimator::default(),
            state: LinkState::Starting,
            closing: false,
            unanswered: VecDeque::new(),
            last_echo: None,
            replies_in_a_row: 0,
            revived: None,
            heard: now,
            acknowledged: now,
            used: None,
            activity: Activity::default(),
            sent_before: (now, 0),
            last_received: BTreeMap::new(),
            last_sent: WallTime::default(),
        }
    }

    pub(crate) const fn state(&self) -> LinkState {
        self.state
    }

    /// How long the link is, there and back; nothing before the first reply.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.estimator.latency().map(|latency| latency.value)
    }

    /// Whether routes may use it now.
    pub(crate) fn carries_routes(&self) -> bool {
        self.state == LinkState::Live && !self.closing
    }

    /// Notes that the driver was asked to close it: until it is down, nothing is asked of it any more.
    pub(crate) const fn close(&mut self) {
        self.closing = true;
    }

    /// The time for the next one-hop frame: the corrected time, strictly increasing.
    pub(crate) fn stamp(&mut self, corrected: WallTime) -> WallTime {
        self.last_sent = corrected.max(self.last_sent + Duration::from_micros(1));
        self.last_sent
    }

    /// Whether a one-hop frame is newer than the last one of its mode.
    pub(crate) fn is_newer(&self, mode: Mode, time: WallTime) -> bool {
        self.last_received.get(&mode).is_none_or(|last| *last < time)
    }

    /// Notes the time of a one-hop frame whose signature held.
    pub(crate) fn note_time(&mut self, mode: Mode, time: WallTime) {
        self.last_received.insert(mode, time);
    }

    /// Notes that the router got a frame.
    pub(crate) fn note_received(&mut self, arrived: Timestamp) {
        self.activity.note_own_received();
        self.heard = self.heard.max(arrived);
    }

    /// Notes that the router sends a frame of `length` bytes.
    pub(crate) fn note_sent(&mut self, length: usize) {
        self.activity.note_own_sent(length);
    }

    /// Notes an echo request that leaves now.
    pub(crate) fn note_echo(&mut self, nonce: [u8; 8], now: Timestamp) {
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(SentEcho { nonce, at: now });
        self.last_echo = Some(now);
    }

    /// Whether we wait for the reply with this nonce.
    pub(crate) fn awaits(&self, nonce: &[u8; 8]) -> bool {
        self.unanswered.iter().any(|echo| echo.nonce == *nonce)
    }

    /// Takes a verified reply: when the request left and how long the round trip took, and whether the state changed.
    ///
    /// Earlier requests count as lost.
    pub(crate) fn note_reply(
        &mut self,
        nonce: &[u8; 8],
        arrived: Timestamp,
    ) -> Option<(Timestamp, Duration, bool)> {
        let index = self.unanswered.iter().position(|echo| echo.nonce == *nonce)?;
        let sent = self.unanswered.drain(..=index).next_back()?;
        let rtt = arrived.since(sent.at);
        // What was sent into a link that was stalled has waited until it was no more: that is no round trip of the link.
        if self.state != LinkState::Stalled && self.revived.is_none_or(|at| sent.at >= at) {
            self.estimator.add_echo(arrived, rtt);
        }
        self.replies_in_a_row = if index == 0 { self.replies_in_a_row.saturating_add(1) } else { 1 };
        let revived = match self.state {
            LinkState::Starting => true,
            LinkState::Stalled => self.replies_in_a_row >= ECHOES,
            LinkState::Live => false,
        };
        if revived {
            self.revived = (self.state == LinkState::Stalled).then_some(arrived);
            self.state = LinkState::Live;
            self.live_since.get_or_insert(arrived);
        }
        Some((sent.at, rtt, revived))
    }

    /// Takes the driver's running totals.
    pub(crate) fn note_activity(&mut self, sent: u64, received: u64, acked: Option<u64>, now: Timestamp) {
        let moved = self.activity.take_totals(sent, received, acked);
        if moved.sent {
            self.used = Some(now);
        }
        if moved.received {
            self.heard = self.heard.max(now);
        }
        if moved.acknowledged {
            self.acknowledged = self.acknowledged.max(now);
        }
        self.note_traffic(sent, now);
    }

    /// Tells the estimator how much leaves, in case no source of samples counts.
    fn note_traffic(&mut self, total: u64, now: Timestamp) {
        let (since, before) = self.sent_before;
        let over = now.since(since);
        if over >= TRAFFIC_OVER {
            let sent = ByteCount(total.saturating_sub(before));
            self.estimator.note_traffic(now, &Traffic { over, sent, received: ByteCount(0) });
            self.sent_before = (now, total);
        }
    }

    /// Judges the link and says what is due.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp) -> Due {
        let mut due = Due::default();
        if self.closing {
            return due;
        }
        if now >= self.heard + DOWN_AFTER {
            due.close = true;
            return due;
        }
        if self.stalls_at().is_some_and(|at| now >= at) {
            self.state = LinkState::Stalled;
            self.replies_in_a_row = 0;
            due.changed = true;
        }
        due.echoes = match self.next_echo() {
            None => ECHOES,
            Some(next) => usize::from(now >= next),
        };
        due
    }

    /// When [`Link::handle_timeout`] is to be called next.
    pub(crate) fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        if self.closing {
            return None;
        }
        let echo = self.next_echo().unwrap_or(now);
        let down = self.heard + DOWN_AFTER;
        Some(self.stalls_at().map_or(echo, |stall| echo.min(stall)).min(down))
    }

    /// When a live link with unanswered echoes counts as stalled, unless something comes until then.
    fn stalls_at(&self) -> Option<Timestamp> {
        if self.state != LinkState::Live || self.unanswered.len() < ECHOES {
            return None;
        }
        let loaded = self.loaded_rtt();
        let third = self.unanswered.get(ECHOES - 1).map_or(self.heard, |echo| echo.at);
        let answered = third + loaded.clamp(LEAST_ANSWER, QUIET);
        Some((self.sign_of_life() + STALL_FLOOR.max(loaded.saturating_mul(3))).max(answered))
    }

    /// When the next echo is due: urgently once a link that we use has been quiet for [`QUIET`], even where nothing
    /// happens on it until then.
    fn next_echo(&self) -> Option<Timestamp> {
        let last = self.last_echo?;
        let regular = last + ECHO_INTERVAL;
        let urgent = (last + URGENT_ECHO_INTERVAL).max(self.sign_of_life() + QUIET);
        let used = self.used.is_some_and(|at| urgent <= at + USED);
        Some(if used { urgent.min(regular) } else { regular })
    }

    fn loaded_rtt(&self) -> Duration {
        self.estimator.loaded_latency().map(|latency| latency.value).unwrap_or_default()
    }

    fn sign_of_life(&self) -> Timestamp {
        self.heard.max(self.acknowledged)
    }
}

#[cfg(test)]
mod tests;
