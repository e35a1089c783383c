// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who asks for shared content without having been told of it by us: a subscriber of a namespace, or who has its name from
//! somebody. Nothing is stored of them.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use ratman_types::{Now, Recipient, Timestamp, WallTime};

use crate::DropReason;
use crate::stream::Sending;
use crate::streams::outbound::{Kind, Outbound, Purpose};
use crate::streams::{StreamKey, Streams};

/// So many are answered at once, each with up to 1 MiB of blocks in memory. Whoever else asks has to wait until one of them has
/// nothing more to get, or says nothing for some seconds, and asks again.
pub const MAX_ANSWERED: usize = 32;
/// What is known of the way to who asks is kept so long after the last request.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Requests are taken whose time is at most so far from ours (source: wire page, clocks).
const CLOCKS: i64 = 5 * 60 * 1_000_000;
/// Who is answered may have asked for so much that has not left, in bytes: as a recipient has (source: wire page, streams).
const WINDOW: usize = 1 << 20;
/// Of so many who asked and are not answered any more it is known when they did last, so that nobody repeats it for them: more than
/// ask in ten minutes; beyond, the oldest can be repeated.
const MAX_ASKED: usize = 4096;

/// Those who are answered, and were.
#[derive(Debug, Default)]
pub(in crate::streams) struct Answers {
    // INVARIANT: each is an answer in `sent`; at most MAX_ANSWERED.
    now: BTreeMap<StreamKey, Timestamp>,
    before: BTreeMap<StreamKey, WallTime>,
}

impl Answers {
    /// One of them is gone.
    pub(in crate::streams) fn forget(&mut self, key: &StreamKey) {
        self.now.remove(key);
    }

    /// How many are answered.
    pub(in crate::streams) fn len(&self) -> usize {
        self.now.len()
    }

    fn has_asked(&mut self, key: StreamKey, last: WallTime) {
        if self.before.len() >= MAX_ASKED
            && !self.before.contains_key(&key)
            && let Some((oldest, _)) = self.before.iter().min_by_key(|(_, last)| **last)
        {
            let oldest = *oldest;
            self.before.remove(&oldest);
        }
        self.before.insert(key, last);
    }
}

impl Streams {
    /// Somebody asks for what we did not send: if it is shared it is there for anybody who can be reached.
    pub(in crate::streams) fn begin_answer(
        &mut self,
        key: &StreamKey,
        time: WallTime,
        now: Now,
    ) -> Result<(), DropReason> {
        let Some(shared) = self.shared.get(&(key.sender, key.stream)) else { return Ok(()) };
        let (times, block_size) = (shared.times, shared.block_size);
        let window = (WINDOW / block_size.bytes()).max(1);
        let sending = Sending::of_some_blocks(Arc::clone(&shared.numbers), window);
        if time.ahead_of(self.wall(now)).abs() > CLOCKS {
            return Err(DropReason::ClockWindow);
        }
        if self.answers.before.get(key).is_some_and(|last| time <= *last) {
            return Err(DropReason::RequestRepeated);
        }
        let Recipient::Address(asks) = key.recipient else { return Ok(()) };
        if self.way(&asks).kind() != Kind::Live {
            return Err(DropReason::NoRoute);
        }
        if self.answers.len() >= MAX_ANSWERED && !self.dismiss_one() {
            return Err(DropReason::AnswersFull);
        }
        let mut out = Outbound::complete(Purpose::Answer, None, times, sending);
        out.block_size = block_size;
        self.sent.insert(*key, out);
        self.answers.now.insert(*key, now.at);
        self.sent_way_changed(key, now);
        Ok(())
    }

    /// Somebody who is answered asks for more.
    pub(in crate::streams) fn note_asked(&mut self, key: &StreamKey, now: Timestamp) {
        if let Some(asked) = self.answers.now.get_mut(key) {
            *asked = now;
        }
    }

    /// Who has nothing to get makes room; whether there was one.
    fn dismiss_one(&mut self) -> bool {
        let idle = self.answers.now.iter().filter(|(key, _)| self.is_idle(key));
        let Some((key, _)) = idle.min_by_key(|(_, asked)| **asked) else { return false };
        let key = *key;
        self.dismiss(&key);
        true
    }

    fn is_idle(&self, key: &StreamKey) -> bool {
        self.sent.get(key).is_none_or(|out| out.sending.is_idle())
    }

    fn dismiss(&mut self, key: &StreamKey) {
        let last = self.sent.get(key).and_then(|out| out.pulls.last().copied());
        self.forget_sent(key);
        if let Some(last) = last {
            self.answers.has_asked(*key, last);
        }
    }

    /// Forgets those who have not asked for long.
    pub(in crate::streams) fn sweep_answers(&mut self, now: Now) {
        let quiet = self.answers.now.iter().filter(|(_, asked)| now.at.since(**asked) >= REMEMBERED);
        let quiet: Vec<StreamKey> = quiet.map(|(key, _)| *key).filter(|key| self.is_idle(key)).collect();
        quiet.iter().for_each(|key| self.dismiss(key));
        let wall = self.wall(now);
        self.answers.before.retain(|_, last| wall.ahead_of(*last) <= 2 * CLOCKS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::tests::key;

    #[test]
    fn of_who_asked_before_the_oldest_are_forgotten() {
        let mut answers = Answers::default();
        let at = |time: usize| WallTime::from_micros(time.try_into().unwrap());
        let of = |number: usize| {
            let [.., high, low] = number.to_be_bytes();
            key(1, high, low)
        };
        (0..MAX_ASKED + 3).for_each(|number| answers.has_asked(of(number), at(number)));
        assert_eq!(answers.before.len(), MAX_ASKED);
        assert_eq!(answers.before.get(&of(2)), None);
        assert_eq!(answers.before.get(&of(3)), Some(&at(3)));
        answers.has_asked(of(3), at(9999));
        assert_eq!(answers.before.len(), MAX_ASKED, "it takes no other's place");
        assert_eq!(answers.before.get(&of(4)), Some(&at(4)));
    }
}
