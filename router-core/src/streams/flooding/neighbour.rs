// SPDX-License-Identifier: AGPL-3.0-or-later
//! One neighbour of those that are to have what is flooded: what it gets next, and how fast it gets it: as fast as it says that it
//! has it.

use core::ops::Bound::{Excluded, Unbounded};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::Timestamp;

use super::{Held, Order};
use crate::Via;
use crate::limits::{FLOODED_VERIFICATIONS, PROBES, TokenBucket, WRONG_ANSWERS};
use crate::streams::deadlines::Deadlines;

/// A new link gets nothing for so long: its ends say first what they have.
const SAY_FIRST: Duration = Duration::from_secs(1);
/// Frames that came since the last look at all of them; where there are more, all are looked at again.
const MOST_FRESH: usize = 1024;
/// What nobody answered for is sent again, in growing pauses: as manifests are (source: wire page, streams).
const AGAIN_FIRST: Duration = Duration::from_secs(2);
const AGAIN_LONGEST: Duration = Duration::from_secs(600);
/// So many frames may be on their way at a time at first, and at most.
const WINDOW_FIRST: usize = 4;
const WINDOW_MOST: usize = 64;

/// One neighbour. It takes as much memory however much it lacks.
#[derive(Debug)]
pub(super) struct Neighbour {
    /// What [`Held::has`] calls it.
    pub(super) index: u16,
    /// The link to it; nothing while there is none.
    pub(super) via: Option<Via>,
    /// What it may bring to be verified.
    pub(super) verifications: TokenBucket,
    /// Probes that it may bring.
    pub(super) probes: TokenBucket,
    /// Answers to probes that it may bring and that are none.
    pub(super) wrong_answers: TokenBucket,
    begins: Timestamp,
    fresh: BTreeSet<Order>,
    /// Where the look at all frames is: behind this one, or at the beginning.
    look: Option<Option<Order>>,
    /// Whether this look found something that it lacks.
    lacks: bool,
    /// When the next one begins.
    again: Option<Timestamp>,
    pause: Duration,
    window: usize,
    /// What it got a moment ago and did not answer for, until when it may.
    on_the_way: Deadlines<Order>,
}

impl Neighbour {
    /// One without a link.
    pub(super) fn new(index: u16, now: Timestamp) -> Self {
        Self {
            index,
            via: None,
            verifications: TokenBucket::new(FLOODED_VERIFICATIONS, now),
            probes: TokenBucket::new(PROBES, now),
            wrong_answers: TokenBucket::new(WRONG_ANSWERS, now),
            begins: now,
            fresh: BTreeSet::new(),
            look: None,
            lacks: false,
            again: None,
            pause: AGAIN_FIRST,
            window: WINDOW_FIRST,
            on_the_way: Deadlines::default(),
        }
    }

    /// There is a link to it, or another; whether there was none.
    pub(super) fn connect(&mut self, via: Via, now: Timestamp) -> bool {
        let before = self.via.replace(via);
        if before.is_none() {
            self.begins = now + SAY_FIRST;
            self.window = WINDOW_FIRST;
        }
        if before != Some(via) {
            // What was lost with the link before, or was too large for it, goes now.
            self.on_the_way = Deadlines::default();
            self.pause = AGAIN_FIRST;
            self.look_anew();
        }
        before.is_none()
    }

    /// There is none any more.
    pub(super) fn disconnect(&mut self) {
        self.via = None;
        self.fresh.clear();
        (self.look, self.again) = (None, None);
        self.on_the_way = Deadlines::default();
    }

    fn look_anew(&mut self) {
        (self.look, self.lacks, self.again) = (Some(None), false, None);
    }

    /// A frame came that it may lack.
    pub(super) fn offer(&mut self, frame: Order) {
        if self.via.is_none() {
            return;
        }
        self.fresh.insert(frame);
        if self.fresh.len() > MOST_FRESH {
            self.fresh.clear();
            self.look_anew();
        }
    }

    /// It has a frame, or nobody has it any more.
    pub(super) fn has(&mut self, frame: Order) {
        self.fresh.remove(&frame);
        if self.on_the_way.get(&frame).is_some() {
            self.on_the_way.set(frame, None);
            self.window = (self.window + 1).min(WINDOW_MOST);
        }
    }

    /// What it is to get now, of all frames.
    pub(super) fn next(&mut self, held: &BTreeMap<Order, Held>, now: Timestamp) -> Option<Order> {
        let via = self.via?;
        if now < self.begins || self.on_the_way.len() >= self.window {
            return None;
        }
        let lacks = |held: &Held| held.durable && !held.has.contains(&self.index);
        let fits = |held: &Held| held.length <= via.mtu.0;
        while let Some(frame) = self.fresh.pop_first() {
            if held.get(&frame).is_some_and(|held| lacks(held) && fits(held)) {
                // It is looked for again if it is lost.
                if self.look.is_none() && self.again.is_none() {
                    self.again = Some(now + self.pause);
                }
                return Some(self.send(frame, now));
            }
        }
        let from = self.look?;
        let behind = from.map_or(Unbounded, Excluded);
        let mut lacking = held.range((behind, Unbounded)).filter(|(_, held)| lacks(held));
        let next = lacking.find(|(frame, held)| fits(held) && self.on_the_way.get(frame).is_none());
        if let Some((frame, _)) = next {
            (self.look, self.lacks) = (Some(Some(*frame)), true);
            return Some(self.send(*frame, now));
        }
        let lacks = core::mem::take(&mut self.lacks) || self.on_the_way.len() > 0;
        self.look = None;
        self.again = lacks.then_some(now + self.pause);
        self.pause = if lacks { (self.pause * 2).min(AGAIN_LONGEST) } else { AGAIN_FIRST };
        None
    }

    fn send(&mut self, frame: Order, now: Timestamp) -> Order {
        self.on_the_way.set(frame, Some(now + AGAIN_FIRST));
        frame
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        let mut lost = false;
        while self.on_the_way.take_due(now).is_some() {
            lost = true;
        }
        if lost {
            self.window = (self.window / 2).max(WINDOW_FIRST);
        }
        if self.again.is_some_and(|again| again <= now) {
            self.look_anew();
        }
    }

    /// When something is to be done, once all is done that can be now.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.via?;
        let waits = self.look.is_some() || !self.fresh.is_empty();
        let begins = (waits && self.on_the_way.len() < self.window).then_some(self.begins);
        [self.on_the_way.next(), begins, self.again].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use core::cmp::Reverse;

    use ratman_types::{Hop, LinkId, Mtu, RouterId};
    use ratman_wire::FrameId;

    use super::*;
    use crate::journal::GroupNumber;

    type All = BTreeMap<Order, Held>;

    fn frame(stream: u64, number: u32) -> Order {
        (Reverse(GroupNumber(stream)), number)
    }

    fn held(frames: impl IntoIterator<Item = Order>) -> All {
        let held =
            || Held { name: FrameId::from_bytes([0; 32]), length: 1000, durable: true, has: BTreeSet::new() };
        frames.into_iter().map(|frame| (frame, held())).collect()
    }

    fn via(mtu: u32) -> Via {
        Via { hop: Hop { link: LinkId(1), neighbour: RouterId::from_bytes([1; 32]) }, mtu: Mtu(mtu) }
    }

    fn neighbour() -> Neighbour {
        let mut neighbour = Neighbour::new(7, at(0.0));
        assert!(neighbour.connect(via(1400), at(0.0)));
        neighbour
    }

    fn at(seconds: f64) -> Timestamp {
        Timestamp::default() + Duration::from_secs_f64(seconds)
    }

    fn sent(neighbour: &mut Neighbour, held: &All, now: f64) -> Vec<Order> {
        neighbour.handle_timeout(at(now));
        let sent = core::iter::from_fn(|| neighbour.next(held, at(now))).collect();
        assert!(neighbour.deadline().is_none_or(|deadline| deadline > at(now)), "all is done that can be");
        sent
    }

    fn answer(neighbour: &mut Neighbour, held: &mut All, frame: Order) {
        held.get_mut(&frame).unwrap().has.insert(7);
        neighbour.has(frame);
    }

    #[test]
    fn the_newest_stream_goes_first_and_its_frames_in_order_once_it_may_begin() {
        let (mut neighbour, held) = (neighbour(), held([frame(1, 0), frame(2, 1), frame(2, 0)]));
        assert_eq!(sent(&mut neighbour, &held, 0.9), []);
        assert_eq!(neighbour.deadline(), Some(at(1.0)));
        assert_eq!(sent(&mut neighbour, &held, 1.0), [frame(2, 0), frame(2, 1), frame(1, 0)]);
    }

    #[test]
    fn what_is_not_answered_for_comes_again_in_growing_pauses_and_nothing_else() {
        let (mut neighbour, mut held) = (neighbour(), held([frame(1, 0), frame(1, 1)]));
        assert_eq!(sent(&mut neighbour, &held, 1.0).len(), 2);
        answer(&mut neighbour, &mut held, frame(1, 1));
        for again in [3.0, 7.0, 15.0, 31.0] {
            assert_eq!(sent(&mut neighbour, &held, again - 0.1), []);
            assert_eq!(sent(&mut neighbour, &held, again), [frame(1, 0)], "after {again} s");
        }
        answer(&mut neighbour, &mut held, frame(1, 0));
        for later in [100.0, 1000.0] {
            assert_eq!(sent(&mut neighbour, &held, later), []);
        }
        assert_eq!(neighbour.deadline(), None);
    }

    #[test]
    fn a_frame_that_comes_goes_at_once_and_again_if_it_is_lost() {
        let (mut neighbour, nothing) = (neighbour(), All::new());
        assert_eq!(sent(&mut neighbour, &nothing, 1.0), []);
        let held = held([frame(5, 0)]);
        neighbour.offer(frame(5, 0));
        assert_eq!(sent(&mut neighbour, &held, 10.0), [frame(5, 0)]);
        assert_eq!(sent(&mut neighbour, &held, 11.0), []);
        assert_eq!(sent(&mut neighbour, &held, 12.0), [frame(5, 0)]);
    }

    #[test]
    fn it_gets_as_much_as_it_answers_for() {
        let (mut neighbour, mut held) = (neighbour(), held((0..1000).map(|number| frame(1, number))));
        let mut now = sent(&mut neighbour, &held, 1.0);
        assert_eq!(now.len(), WINDOW_FIRST);
        for _ in 0..10 {
            now.into_iter().for_each(|frame| answer(&mut neighbour, &mut held, frame));
            now = sent(&mut neighbour, &held, 1.0);
        }
        assert_eq!(now.len(), WINDOW_MOST);
        assert_eq!(
            sent(&mut neighbour, &held, 3.0).len(),
            WINDOW_MOST / 2,
            "after two seconds without a word"
        );
        assert_eq!(sent(&mut neighbour, &held, 5.0).len(), WINDOW_MOST / 4);
    }

    #[test]
    fn all_come_however_many_are_offered_and_however_it_is_connected_meanwhile() {
        let (mut neighbour, mut held) = (neighbour(), held((0..5000).map(|stream| frame(stream, 0))));
        (0..5000).for_each(|stream| neighbour.offer(frame(stream, 0)));
        let (mut got, mut now) = (0, 1.0);
        while got < 5000 {
            now += 0.01;
            let sent = sent(&mut neighbour, &held, now);
            assert!(!sent.is_empty() || now < 1.1 || got % 500 == 0, "after {got} at {now}");
            for frame in sent {
                got += 1;
                answer(&mut neighbour, &mut held, frame);
                if got % 500 == 0 {
                    neighbour.disconnect();
                    assert!(neighbour.connect(via(1400), at(now)));
                    now += 1.0;
                    break;
                }
            }
        }
        assert!(held.values().all(|held| held.has.contains(&7)));
    }

    #[test]
    fn what_is_too_large_for_a_link_goes_over_a_wider_one() {
        let (mut neighbour, held) = (neighbour(), held([frame(1, 0)]));
        assert!(!neighbour.connect(via(999), at(0.0)));
        assert_eq!(sent(&mut neighbour, &held, 1.0), []);
        assert!(!neighbour.connect(via(1000), at(1.0)));
        assert_eq!(sent(&mut neighbour, &held, 1.0), [frame(1, 0)]);
    }
}
