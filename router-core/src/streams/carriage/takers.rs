// SPDX-License-Identifier: AGPL-3.0-or-later
//! Neighbours that are to carry what we carry, and how much each of them takes: it is given as much as it answers for, and one that
//! answers for nothing, since its journal is full, say, is asked with one frame now and then.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use ratman_types::{RouterId, Timestamp};

use crate::journal::GroupNumber;

/// As many bytes are handed to a neighbour at a time without its word that it has them: what waits for its store at most is more
/// than that.
const WINDOW: usize = 2 << 20;
/// Without a word for so long a neighbour that was handed as much is asked with one frame, then in growing pauses.
const ASK_FIRST: Duration = Duration::from_secs(2);
const ASK_LONGEST: Duration = Duration::from_secs(60);

/// One carried frame.
pub(super) type Place = (GroupNumber, u32);

/// All neighbours that were handed something for which they do not answer yet.
#[derive(Debug, Default)]
pub(super) struct Takers(BTreeMap<RouterId, Taker>);

#[derive(Debug, Default)]
struct Taker {
    unanswered: usize,
    /// What is to go there, in its order.
    held: VecDeque<Place>,
    /// Since more was handed than it answers for: when it is asked, and after which pause.
    ask: Option<(Timestamp, Duration)>,
    /// It may be handed one frame nevertheless.
    asking: bool,
}

impl Taker {
    const fn is_ready(&self) -> bool {
        self.asking || self.ask.is_none()
    }
}

impl Takers {
    /// Whether a frame may be handed to a neighbour now; otherwise it is to be [held](Self::hold).
    pub(super) fn may_hand(&self, to: RouterId) -> bool {
        self.0.get(&to).is_none_or(Taker::is_ready)
    }

    /// So many bytes are handed to a neighbour.
    pub(super) fn handed(&mut self, to: RouterId, bytes: usize, now: Timestamp) {
        let taker = self.0.entry(to).or_default();
        taker.unanswered += bytes;
        taker.asking = false;
        if taker.unanswered >= WINDOW && taker.ask.is_none() {
            taker.ask = Some((now + ASK_FIRST, ASK_FIRST));
        }
    }

    /// Keeps a frame until the neighbour takes more.
    pub(super) fn hold(&mut self, to: RouterId, place: Place) {
        self.0.entry(to).or_default().held.push_back(place);
    }

    /// A neighbour answers for so many bytes.
    pub(super) fn took(&mut self, by: RouterId, bytes: usize) {
        let Some(taker) = self.0.get_mut(&by) else { return };
        // What was handed before it had to be asked did not come, or was not taken.
        let was_asked = taker.ask.is_some_and(|(_, pause)| pause > ASK_FIRST);
        taker.unanswered = if was_asked { 0 } else { taker.unanswered.saturating_sub(bytes) };
        if taker.unanswered < WINDOW {
            taker.ask = None;
        }
    }

    /// The next of the held frames that may be handed on now, if there is one.
    pub(super) fn pop_ready(&mut self) -> Option<Place> {
        self.0.values_mut().filter(|taker| taker.is_ready()).find_map(|taker| taker.held.pop_front())
    }

    /// Whether there is one.
    pub(super) fn has_ready(&self) -> bool {
        self.0.values().any(|taker| taker.is_ready() && !taker.held.is_empty())
    }

    /// When a neighbour is to be asked next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let asked = self.0.values().filter(|taker| !taker.held.is_empty());
        asked.filter_map(|taker| Some(taker.ask?.0)).min()
    }

    /// Lets the neighbours be asked whose time it is.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        for taker in self.0.values_mut().filter(|taker| !taker.held.is_empty()) {
            if let Some((_, pause)) = taker.ask.filter(|(at, _)| *at <= now) {
                let pause = (pause * 2).min(ASK_LONGEST);
                (taker.ask, taker.asking) = (Some((now + pause, pause)), true);
            }
        }
    }

    /// Another way leads where frames went by this neighbour: what was held may go elsewhere.
    pub(super) fn release(&mut self, neighbour: RouterId) -> VecDeque<Place> {
        self.0.get_mut(&neighbour).map(|taker| core::mem::take(&mut taker.held)).unwrap_or_default()
    }

    /// Nothing goes by others than these any more.
    pub(super) fn retain(&mut self, is_used: impl Fn(&RouterId) -> bool) {
        self.0.retain(|neighbour, taker| is_used(neighbour) || !taker.held.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: RouterId = RouterId::from_bytes([1; 32]);
    const OTHER: RouterId = RouterId::from_bytes([2; 32]);
    const FRAME: usize = 32 << 10;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    /// Hands to R what it takes of these frames, and holds the rest; says how many were handed.
    fn hand(takers: &mut Takers, frames: core::ops::Range<u32>) -> usize {
        let mut handed = 0;
        for number in frames {
            if takers.may_hand(R) {
                takers.handed(R, FRAME, at(0));
                handed += 1;
            } else {
                takers.hold(R, (GroupNumber(1), number));
            }
        }
        handed
    }

    /// Hands to R what it takes of what is held.
    fn hand_held(takers: &mut Takers, now: Timestamp) -> Vec<u32> {
        let mut handed = Vec::new();
        while let Some((_, number)) = takers.pop_ready() {
            takers.handed(R, FRAME, now);
            handed.push(number);
        }
        handed
    }

    #[test]
    fn a_neighbour_is_handed_as_much_as_it_answers_for() {
        let mut takers = Takers::default();
        assert_eq!(hand(&mut takers, 0..100), WINDOW / FRAME);
        assert!(takers.may_hand(OTHER), "the others have nothing to do with it");
        takers.took(OTHER, FRAME);
        assert_eq!(takers.pop_ready(), None);
        takers.took(R, FRAME);
        assert_eq!(hand_held(&mut takers, at(0)), [64], "one for one, in their order");
        takers.took(R, 3 * FRAME);
        assert_eq!(hand_held(&mut takers, at(0)), [65, 66, 67]);
    }

    #[test]
    fn who_takes_nothing_is_asked_with_single_frames_in_growing_pauses() {
        let mut takers = Takers::default();
        hand(&mut takers, 0..200);
        let mut asked = Vec::new();
        while let Some(next) = takers.next().filter(|next| *next < at(300)) {
            takers.handle_timeout(next);
            assert_eq!(hand_held(&mut takers, next).len(), 1);
            asked.push(next.as_micros() / 1_000_000);
        }
        assert_eq!(asked, [2, 6, 14, 30, 62, 122, 182, 242]);
        takers.took(R, FRAME);
        assert_eq!(hand_held(&mut takers, at(300)).len(), WINDOW / FRAME, "it begins anew");
    }

    #[test]
    fn a_frame_that_is_gone_asks_nobody() {
        let mut takers = Takers::default();
        hand(&mut takers, 0..67);
        takers.handle_timeout(at(2));
        assert!(takers.pop_ready().is_some(), "this one is gone, and not handed");
        assert!(takers.pop_ready().is_some());
        takers.handed(R, FRAME, at(2));
        assert_eq!(takers.pop_ready(), None);
        assert_eq!(takers.next(), Some(at(6)));
    }

    #[test]
    fn nothing_is_known_of_who_is_no_way_any_more() {
        let mut takers = Takers::default();
        hand(&mut takers, 0..100);
        assert_eq!(takers.release(R).len(), 36);
        assert_eq!(takers.next(), None, "there is nothing to ask with");
        takers.handle_timeout(at(2));
        assert!(!takers.may_hand(R));
        takers.retain(|_| false);
        assert!(takers.may_hand(R));
    }
}
