// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a proven neighbour may cost us, over all of its links and beyond their end.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use ratman_types::{RouterId, Timestamp};

use crate::limits::{
    BAD_SIGNATURE_WINDOW, BAD_SIGNATURES, CUT_OFF, CUT_OFF_DECAY, CUT_OFF_LONGEST, MAX_NEIGHBOURS,
    NEW_ADDRESSES, ONE_HOP_VERIFICATIONS, TokenBucket, VERIFICATIONS,
};

/// What a verification is counted against; one kind of frame must not starve another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quota {
    /// What the neighbour floods.
    Announcements,
    /// What the neighbour signed for one link.
    OneHop,
}

/// One proven neighbour.
#[derive(Debug)]
pub(crate) struct Neighbour {
    links: usize,
    verifications: TokenBucket,
    one_hop_verifications: TokenBucket,
    new_addresses: TokenBucket,
    // INVARIANT: at most BAD_SIGNATURES + 1 of them, ascending.
    bad_signatures: VecDeque<Timestamp>,
    /// The last one, over or not.
    cut_off: Option<CutOff>,
}

/// A time in which nothing of a neighbour counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CutOff {
    length: Duration,
    until: Timestamp,
}

impl Neighbour {
    fn new(now: Timestamp) -> Self {
        Self {
            links: 0,
            verifications: TokenBucket::new(VERIFICATIONS, now),
            one_hop_verifications: TokenBucket::new(ONE_HOP_VERIFICATIONS, now),
            new_addresses: TokenBucket::new(NEW_ADDRESSES, now),
            bad_signatures: VecDeque::new(),
            cut_off: None,
        }
    }

    /// Whether a signature that this neighbour brought may be verified now.
    pub(crate) fn may_verify(&mut self, quota: Quota, now: Timestamp) -> bool {
        match quota {
            Quota::Announcements => self.verifications.take(now),
            Quota::OneHop => self.one_hop_verifications.take(now),
        }
    }

    /// Whether this neighbour may bring an address never seen before.
    pub(crate) fn may_bring_address(&mut self, now: Timestamp) -> bool {
        self.new_addresses.has(now)
    }

    /// Notes that an address that this neighbour brought was never seen before, and verified.
    pub(crate) fn note_new_address(&mut self, now: Timestamp) {
        self.new_addresses.take(now);
    }

    /// Whether nothing of it counts for now.
    pub(crate) fn is_cut_off(&self, now: Timestamp) -> bool {
        self.cut_off.is_some_and(|cut_off| now < cut_off.until)
    }

    /// Notes a signature that did not hold; whether that cuts the neighbour off.
    pub(crate) fn note_bad_signature(&mut self, now: Timestamp) -> bool {
        self.bad_signatures.push_back(now);
        while self.bad_signatures.front().is_some_and(|at| now.since(*at) > BAD_SIGNATURE_WINDOW) {
            self.bad_signatures.pop_front();
        }
        if self.bad_signatures.len() <= BAD_SIGNATURES {
            return false;
        }
        self.bad_signatures.clear();
        let length = self.next_cut_off(now);
        self.cut_off = Some(CutOff { length, until: now + length });
        true
    }

    /// Twice the last one, halved for each [`CUT_OFF_DECAY`] that passed since its end.
    fn next_cut_off(&self, now: Timestamp) -> Duration {
        let Some(last) = self.cut_off else { return CUT_OFF };
        let quiet = now.since(last.until).as_secs() / CUT_OFF_DECAY.as_secs();
        let halvings = u32::try_from(quiet).unwrap_or(u32::MAX);
        let decayed = (last.length * 2) / 2_u32.saturating_pow(halvings);
        decayed.clamp(CUT_OFF, CUT_OFF_LONGEST)
    }
}

/// Every neighbour that has a link, and some that had one.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    table: BTreeMap<RouterId, Neighbour>,
}

impl Neighbours {
    pub(crate) fn get_mut(&mut self, id: &RouterId) -> Option<&mut Neighbour> {
        self.table.get_mut(id)
    }

    pub(crate) fn is_cut_off(&self, id: &RouterId, now: Timestamp) -> bool {
        self.table.get(id).is_some_and(|neighbour| neighbour.is_cut_off(now))
    }

    /// Notes a new link; whether there is room for its neighbour.
    pub(crate) fn link_up(&mut self, id: RouterId, now: Timestamp) -> bool {
        if self.table.len() >= MAX_NEIGHBOURS && !self.table.contains_key(&id) {
            let idle = self.table.iter().find(|(_, other)| other.links == 0 && !other.is_cut_off(now));
            let Some(idle) = idle.map(|(id, _)| *id) else {
                return false;
            };
            self.table.remove(&idle);
        }
        self.table.entry(id).or_insert_with(|| Neighbour::new(now)).links += 1;
        true
    }

    /// Notes the end of a link; whether it was the neighbour's last.
    pub(crate) fn link_down(&mut self, id: &RouterId) -> bool {
        self.table.get_mut(id).is_some_and(|neighbour| {
            neighbour.links = neighbour.links.saturating_sub(1);
            neighbour.links == 0
        })
    }

    /// How many neighbours have a link.
    pub(crate) fn linked(&self) -> usize {
        self.table.values().filter(|neighbour| neighbour.links > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn id(number: u32) -> RouterId {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        RouterId::from_bytes(bytes)
    }

    #[test]
    fn more_than_sixteen_bad_signatures_in_ten_seconds_cut_off_and_the_time_doubles() {
        let mut neighbour = Neighbour::new(at(0));
        assert!((0..16).all(|_| !neighbour.note_bad_signature(at(0))));
        assert!((0..16).all(|_| !neighbour.note_bad_signature(at(11))), "the first sixteen are forgotten");
        assert!(neighbour.note_bad_signature(at(12)));
        assert!(neighbour.is_cut_off(at(71)));
        assert!(!neighbour.is_cut_off(at(72)));
        assert!((0..17).any(|_| neighbour.note_bad_signature(at(80))));
        assert!(neighbour.is_cut_off(at(199)));
        assert!(!neighbour.is_cut_off(at(200)));
    }

    fn cut_off_at(neighbour: &mut Neighbour, now: Timestamp) -> Duration {
        (0..17).for_each(|_| _ = neighbour.note_bad_signature(now));
        neighbour.cut_off.unwrap().until.since(now)
    }

    #[test]
    fn the_time_ends_at_a_day_and_halves_with_every_quiet_hour() {
        let mut neighbour = Neighbour::new(at(0));
        let mut now = at(0);
        for _ in 0..20 {
            now = now + cut_off_at(&mut neighbour, now) + Duration::from_secs(3_599);
        }
        assert_eq!(cut_off_at(&mut neighbour, now), CUT_OFF_LONGEST);
        now = now + CUT_OFF_LONGEST + 3 * CUT_OFF_DECAY;
        assert_eq!(cut_off_at(&mut neighbour, now), CUT_OFF_LONGEST / 4, "doubled once, halved three times");
        now = now + CUT_OFF_LONGEST + 100 * CUT_OFF_DECAY;
        assert_eq!(cut_off_at(&mut neighbour, now), CUT_OFF, "all is forgotten");
        assert_eq!(cut_off_at(&mut neighbour, at(u64::from(u32::MAX) * 1_000)), CUT_OFF);
    }

    #[test]
    fn the_table_is_limited_and_keeps_who_is_cut_off() {
        let mut neighbours = Neighbours::default();
        let limit = u32::try_from(MAX_NEIGHBOURS).unwrap();
        for number in 0..limit {
            assert!(neighbours.link_up(id(number), at(0)));
        }
        assert!(!neighbours.link_up(id(limit), at(0)), "all of them have links");
        assert!(neighbours.link_down(&id(0)));
        assert!(neighbours.link_down(&id(7)));
        (0..17).for_each(|_| _ = neighbours.get_mut(&id(0)).unwrap().note_bad_signature(at(0)));
        assert!(neighbours.link_up(id(limit), at(0)));
        assert!(neighbours.is_cut_off(&id(0), at(1)), "the other one made room");
        assert!(neighbours.get_mut(&id(7)).is_none());
        assert_eq!(neighbours.linked(), MAX_NEIGHBOURS - 1);
    }
}
