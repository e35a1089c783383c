// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the sender of a stream hears of us, and how a stream ends here.

use ratman_types::{ByteCount, Now, WallTime};
use ratman_wire::Mode;
use ratman_wire::stream::{DenyNotice, Lifetime, Outcome, Progress, Receipt};

use super::{Finished, Inbound, Refused, Stage};
use crate::streams::record::Record;
use crate::streams::store_queue::Durable;
use crate::streams::{StreamEvent, StreamKey, Streams};

/// Streams that were refused: where there are more, some are refused anew.
const MAX_REFUSED: usize = 4096;

impl Streams {
    /// A client has all of a stream: its blocks go, its name is remembered until its end. [`StreamEvent::Taken`] follows.
    pub fn taken(&mut self, key: &StreamKey, now: Now) {
        if self.received.get(key).is_some_and(|inbound| inbound.stage == Stage::Whole) {
            self.finish_received(key, now);
        } else {
            // Its time has passed meanwhile, and with it what could be given out again.
            // It comes again though where its address has gone down.
            let durable = !self.asleep.contains_key(key);
            self.events.push_back(StreamEvent::Taken { key: *key, durable });
        }
    }

    /// A stream that is coming is not wanted: nothing of it is kept, and its sender hears so. False where it is not coming, or is
    /// whole: that is [taken](Streams::taken).
    pub fn deny(&mut self, key: &StreamKey, now: Now) -> bool {
        let coming = self.received.get(key).filter(|inbound| inbound.stage == Stage::Coming);
        let Some(end) = coming.map(|inbound| inbound.end) else { return false };
        self.refuse(key, end, now);
        true
    }

    /// A stream that is not wanted, or cannot be read: nothing of it is kept, and its sender hears so.
    pub(in crate::streams) fn refuse(&mut self, key: &StreamKey, end: WallTime, now: Now) {
        self.remember_refused(key, end, now);
        self.send_receipt(key, Outcome::Refused, now);
    }

    /// In memory only, and never in place of what was delivered: after a restart it is refused anew.
    fn remember_refused(&mut self, key: &StreamKey, end: WallTime, now: Now) {
        if let Some(inbound) = self.received.remove(key) {
            self.received_deadlines.set(*key, None);
            self.remove_group(inbound.group);
        }
        if self.refused.len() >= MAX_REFUSED {
            self.refused.pop_first();
        }
        self.refused.insert(*key, Refused { end, answered: Some(now.at) });
    }

    fn finish_received(&mut self, key: &StreamKey, now: Now) {
        let Some(inbound) = self.received.remove(key) else { return };
        self.whole.remove(key, inbound.spot());
        self.received_deadlines.set(*key, None);
        let entries = self.journal.remove(inbound.group).map_or(0, |group| group.len());
        let (group, end) = (inbound.group, inbound.end);
        let entries = u32::try_from(entries).unwrap_or(u32::MAX);
        let finished = Record::Finished { key: *key, end }.encode();
        self.store.replace_then((group, entries), finished, Durable::Taken { key: *key });
        self.remember(*key, Finished { group, end, answered: Some(now.at) });
    }

    /// What was announced is not wanted: the sender hears so before it sends.
    pub(in crate::streams) fn receive_notice(&mut self, key: &StreamKey, size: ByteCount, now: Now) {
        let is_here = |inbound: &Inbound| inbound.stage != Stage::Coming;
        if !self.refuses(key, size) || self.has_all_of(key) || self.received.get(key).is_some_and(is_here) {
            return;
        }
        let mut payload = Vec::new();
        DenyNotice { time: self.wall(now), stream: key.stream }.encode_into(&mut payload);
        self.answer(key, Mode::DENY_NOTICE, &payload);
        // The notice does not say until when the stream is wanted.
        let end = Lifetime::MAX.end(self.wall(now));
        self.remember_refused(key, end, now);
    }

    pub(super) fn send_receipt(&mut self, key: &StreamKey, outcome: Outcome, now: Now) {
        let mut payload = Vec::new();
        Receipt { time: self.wall(now), stream: key.stream, outcome }.encode_into(&mut payload);
        self.answer(key, Mode::RECEIPT, &payload);
    }

    pub(super) fn tell_progress(&mut self, key: &StreamKey, inbound: &mut Inbound, now: Now) {
        inbound.progress_at = None;
        inbound.told = inbound.received;
        let Some(newest) = inbound.newest.filter(|_| self.can_ask(key, inbound)) else { return };
        let mut payload = Vec::new();
        let received = ByteCount(inbound.received);
        Progress { time: self.wall(now), stream: key.stream, newest: newest.digest(), received }
            .encode_into(&mut payload);
        self.ask_sender(key, Mode::PROGRESS, &payload);
    }
}
