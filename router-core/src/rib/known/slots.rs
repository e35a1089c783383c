// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which hops of an address are kept when there are more than we keep: a neighbour with many links must not take the
//! place of the others (decisions/whose-hop-makes-room.md).

use core::time::Duration;
use std::collections::BTreeMap;

use ratman_types::{Hop, RouterId, Timestamp};

use super::{Entry, Known};
use crate::DropReason;
use crate::limits::{MAX_HOPS_PER_ADDRESS, MAX_HOPS_PER_NEIGHBOUR};
use crate::link::Link;

/// How good an entry is; the greater, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Badness {
    unusable: bool,
    unsigned: bool,
    ping: Duration,
}

impl Known {
    /// Sets the entry of a hop, and tells whose entry had to go for it.
    ///
    /// # Errors
    /// [`DropReason::TooManyHops`] if those that are there are worth more.
    pub(crate) fn set_entry(
        &mut self,
        entry: Entry,
        links: &BTreeMap<Hop, Link>,
        now: Timestamp,
    ) -> Result<Option<Hop>, DropReason> {
        if let Some(other) = self.entries.iter_mut().find(|other| other.hop == entry.hop) {
            *other = entry;
            return Ok(None);
        }
        let share = self.entries_of(entry.hop.neighbour);
        if share < MAX_HOPS_PER_NEIGHBOUR && self.entries.len() < MAX_HOPS_PER_ADDRESS {
            self.entries.push(entry);
            return Ok(None);
        }
        let worst = self.worst(&entry, share, links, now).ok_or(DropReason::TooManyHops)?;
        let replaced = core::mem::replace(&mut self.entries[worst], entry);
        Ok(Some(replaced.hop))
    }

    fn entries_of(&self, neighbour: RouterId) -> usize {
        self.entries.iter().filter(|entry| entry.hop.neighbour == neighbour).count()
    }

    /// The entry that makes room for a new one of a neighbour that has `share` of them: one that cannot be used, or
    /// else the worst of the neighbour that has most.
    fn worst(&self, new: &Entry, share: usize, links: &BTreeMap<Hop, Link>, now: Timestamp) -> Option<usize> {
        let own_only = share >= MAX_HOPS_PER_NEIGHBOUR;
        let in_use = self.hop_in_use();
        let (badness, count, index) = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| Some(entry.hop) != in_use)
            .filter(|(_, entry)| !own_only || entry.hop.neighbour == new.hop.neighbour)
            .map(|(index, entry)| {
                (self.badness(entry, links, now), self.entries_of(entry.hop.neighbour), index)
            })
            .max_by_key(|(badness, count, _)| (badness.unusable, *count, *badness))?;
        let of_new = self.badness(new, links, now);
        let fairer = count > share + 1 && of_new.unusable <= badness.unusable;
        (fairer || of_new < badness).then_some(index)
    }

    fn badness(&self, entry: &Entry, links: &BTreeMap<Hop, Link>, now: Timestamp) -> Badness {
        match self.candidate(entry, links, now) {
            Some(found) => Badness { unusable: false, unsigned: !found.peer_part, ping: found.ping.total() },
            None => Badness { unusable: true, unsigned: true, ping: Duration::MAX },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratman_types::{Bandwidth, Digest, LinkId, Mtu, Signature, WallTime};
    use ratman_wire::announcement::PathLatency;

    use crate::origin_times::Remembered;
    use crate::route_ping::{FirstCopy, RoutePing};
    use crate::scorer::{Choice, Why};

    const TIME: WallTime = WallTime::from_micros(1_000);
    const FLOODED: u32 = 1_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn hop(neighbour: u8, link: u8) -> Hop {
        let number = u32::from(neighbour) * 256 + u32::from(link);
        Hop { link: LinkId(number), neighbour: RouterId::from_bytes([neighbour; 32]) }
    }

    fn entry(hop: Hop, claim: u32) -> Entry {
        Entry {
            hop,
            origin_time: TIME,
            claim: Some(PathLatency(claim)),
            interval: Duration::from_secs(2),
            bandwidth: Bandwidth::UNKNOWN,
            mtu: Mtu(1_500),
            hops_left: 60,
            heard: at(100),
            ping: RoutePing::default(),
        }
    }

    fn live_links() -> BTreeMap<Hop, Link> {
        let hops = (0..40).flat_map(|neighbour| (0..12).map(move |link| hop(neighbour, link)));
        hops.map(|hop| {
            let mut link = Link::new(hop, Mtu(1_500), Digest::from_bytes([0; 32]), true, at(99));
            link.note_echo([1; 8], at(99));
            assert!(link.note_reply(&[1; 8], at(99) + Duration::from_millis(1)).is_some());
            (hop, link)
        })
        .collect()
    }

    /// An address whose first copy came over the first link of neighbour 0, which is in use.
    fn known() -> Known {
        let mut known = Known::new(hop(0, 0).neighbour, 0);
        known.times.push(Remembered {
            time: TIME,
            signature: Signature([0; 64]),
            flooded: PathLatency(FLOODED),
            first_hop: hop(0, 0),
            first_arrived: at(100),
            first: FirstCopy::new(Duration::ZERO, Duration::ZERO, at(100)),
        });
        let links = live_links();
        assert_eq!(known.set_entry(entry(hop(0, 0), 900_000), &links, at(100)), Ok(None));
        let choice = Choice { hop: hop(0, 0), why: Why::OnlyRoute };
        known.selection.decide(Ok(choice), &known.candidates(&links, at(100)), at(100));
        assert_eq!(known.hop_in_use(), Some(hop(0, 0)));
        known
    }

    fn set(known: &mut Known, neighbour: u8, link: u8, claim: u32) -> Result<Option<Hop>, DropReason> {
        known.set_entry(entry(hop(neighbour, link), claim), &live_links(), at(100))
    }

    #[test]
    fn a_neighbour_has_eight_and_only_a_better_one_replaces_its_own() {
        let mut known = known();
        for link in 1..8 {
            assert_eq!(set(&mut known, 0, link, 1_000 + u32::from(link)), Ok(None));
        }
        assert_eq!(set(&mut known, 0, 8, 2_000), Err(DropReason::TooManyHops));
        assert_eq!(set(&mut known, 0, 8, 900), Ok(Some(hop(0, 7))), "the worst, and not the one in use");
        assert_eq!(set(&mut known, 1, 0, 900_001), Ok(None), "others have room");
    }

    #[test]
    fn who_has_few_takes_the_worst_of_who_has_most() {
        let mut known = known();
        for neighbour in 1..5 {
            for link in 0..if neighbour < 4 { 8 } else { 7 } {
                assert_eq!(set(&mut known, neighbour, link, 10 + u32::from(link)), Ok(None));
            }
        }
        assert_eq!(set(&mut known, 9, 0, 5_000), Ok(Some(hop(3, 7))), "however long its way is");
        assert_eq!(set(&mut known, 3, 9, 5), Ok(Some(hop(2, 7))), "its worst went already");
        assert_eq!(
            set(&mut known, 9, 1, FLOODED),
            Err(DropReason::TooManyHops),
            "but not for an infeasible one"
        );
    }

    #[test]
    fn among_equals_the_better_one_stays() {
        let mut known = known();
        for neighbour in 1..32 {
            assert_eq!(set(&mut known, neighbour, 0, 100 + u32::from(neighbour)), Ok(None));
        }
        assert_eq!(set(&mut known, 32, 0, 500), Err(DropReason::TooManyHops));
        assert_eq!(set(&mut known, 32, 0, 50), Ok(Some(hop(31, 0))));
    }

    #[test]
    fn who_cannot_be_used_goes_first() {
        let mut known = known();
        for neighbour in 1..31 {
            assert_eq!(set(&mut known, neighbour, 0, 100), Ok(None));
        }
        assert_eq!(set(&mut known, 31, 0, FLOODED), Ok(None), "infeasible");
        assert_eq!(set(&mut known, 1, 1, 50_000), Ok(Some(hop(31, 0))));
        known.entries.iter_mut().find(|entry| entry.hop == hop(7, 0)).unwrap().heard = at(60);
        assert_eq!(set(&mut known, 1, 2, 50_000), Ok(Some(hop(7, 0))), "not live");
    }

    proptest! {
        #[test]
        fn the_limits_hold_and_the_hop_in_use_stays(
            steps in prop::collection::vec((0_u8..40, 0_u8..12, 0_u32..2 * FLOODED), 0..300),
        ) {
            let links = live_links();
            let mut known = known();
            for (neighbour, link, claim) in steps {
                let _ = known.set_entry(entry(hop(neighbour, link), claim), &links, at(100));
                prop_assert!(known.entries.len() <= MAX_HOPS_PER_ADDRESS);
                let most = (0..40).map(|neighbour| known.entries_of(hop(neighbour, 0).neighbour)).max();
                prop_assert!(most <= Some(MAX_HOPS_PER_NEIGHBOUR));
                prop_assert!(known.entry(hop(0, 0)).is_some());
            }
        }
    }
}
