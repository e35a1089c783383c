// SPDX-License-Identifier: AGPL-3.0-or-later
//! Local addresses: what their announcements carry, and how little of it tells that they are local.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use ratman_types::{Address, Bandwidth, Mtu, Now, Signature, Signer, Timestamp, WallTime, blake2b_keyed};
use ratman_wire::announcement::{PathLatency, origin_signed_bytes};
use ratman_wire::{MAX_FRAME, MAX_HOPS};

use crate::clock::OriginClock;
use crate::limits::REMEMBERED_TIMES;
use crate::newest::Newest;

/// What is made durable lies so far ahead that it is not written with every announcement. Every crash moves the origin
/// times on by as much.
const CEILING_AHEAD: Duration = Duration::from_secs(10);
/// From this lead of the origin times, in microseconds, every announcement is written: a daemon that crashes again and again
/// must not walk out of the window of 5 min within which others take its announcements.
const LONG_LEAD: i64 = 60_000_000;
/// What is made durable then: less than a start takes.
const CEILING_AT_LONG_LEAD: Duration = Duration::from_secs(1);
/// The largest latency that an announcement starts with, in microseconds (source: wire page).
const START_LATENCY: u64 = 500;
/// What `hops_left` is taken down by at most (source: wire page).
const START_HOPS: u64 = 7;
/// A key that is used twice is told about at most once in this time.
const USED_TWICE_PAUSE: Duration = Duration::from_secs(60);

/// One address of ours.
pub(crate) struct LocalAddress {
    key: Arc<dyn Signer>,
    clock: OriginClock,
    start_latency: PathLatency,
    initial_hops: u8,
    // INVARIANT: at most REMEMBERED_TIMES of them, ascending.
    issued: VecDeque<WallTime>,
    /// The last time issued; what was issued before the clock was set back counts as `before`.
    highest: WallTime,
    /// The last time that an earlier run, or this one before its clock was set back, may have used.
    before: WallTime,
    /// What is to be made durable, told last.
    ceiling: WallTime,
    // INVARIANT: no time above this one was issued in this run; it was made durable, or is that of an earlier run.
    durable: WallTime,
    withheld: bool,
    told_used_twice: Option<Timestamp>,
    pub(crate) newest: Option<Newest>,
}

/// What came of making an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// The ceiling that is to be made durable before it can be made; nothing where it was made.
    pub(crate) withheld: Option<WallTime>,
    /// The former ceiling, where the clock had to go back behind it: others drop what comes now until they forget.
    pub(crate) discarded: Option<WallTime>,
}

impl LocalAddress {
    /// Also says whether `last_origin_time` was too far ahead to go on from.
    pub(crate) fn new(
        key: Arc<dyn Signer>,
        last_origin_time: WallTime,
        corrected: WallTime,
        secret: &[u8; 32],
        now: Timestamp,
    ) -> (Self, bool) {
        let address = key.address();
        let (clock, discarded) = OriginClock::start(last_origin_time, corrected, now);
        let latency = draw(secret, b"irdest start latency", &address) % (START_LATENCY + 1);
        let kept = if discarded { WallTime::default() } else { last_origin_time };
        let local = Self {
            key,
            clock,
            start_latency: PathLatency(u32::try_from(latency).expect("at most START_LATENCY")),
            initial_hops: initial_hops(secret, &address),
            issued: VecDeque::new(),
            highest: WallTime::default(),
            before: last_origin_time,
            ceiling: kept,
            durable: kept,
            withheld: false,
            told_used_twice: None,
            newest: None,
        };
        (local, discarded)
    }

    /// Makes the next announcement, unless its time is above what was made durable.
    pub(crate) fn announce(&mut self, corrected: WallTime, now: Now, interval: u16) -> Made {
        let mut clock = self.clock;
        let issued = clock.issue(corrected, now.at);
        let discarded = issued.set_back.then_some(self.ceiling);
        if issued.set_back {
            self.clock = clock;
            self.issued.clear();
            self.before = self.before.max(self.highest);
            self.highest = WallTime::default();
            (self.ceiling, self.durable) = (WallTime::default(), WallTime::default());
        }
        self.withheld = issued.time > self.durable;
        if self.withheld {
            let leads = issued.time.ahead_of(corrected) > LONG_LEAD;
            self.ceiling = issued.time + if leads { CEILING_AT_LONG_LEAD } else { CEILING_AHEAD };
            return Made { withheld: Some(self.ceiling), discarded };
        }
        self.clock = clock;
        if self.issued.len() == REMEMBERED_TIMES {
            self.issued.pop_front();
        }
        self.issued.push_back(issued.time);
        self.highest = issued.time;
        let signature = self.key.sign(&origin_signed_bytes(&self.key.address(), issued.time));
        self.newest = Some(self.newest(issued.time, signature, interval));
        Made { withheld: None, discarded }
    }

    /// The ceiling was made durable; whether an announcement waits for that. One that is not what was told last came too late.
    pub(crate) fn stored(&mut self, ceiling: WallTime) -> bool {
        let is_last = ceiling == self.ceiling;
        if is_last {
            self.durable = ceiling;
        }
        is_last && self.withheld
    }

    /// The narrowest and the smallest of nothing: each router on the way puts its own link in.
    fn newest(&self, time: WallTime, signature: Signature, interval: u16) -> Newest {
        let mtu = Mtu(u32::try_from(MAX_FRAME).expect("a frame's length fits"));
        let latency = Some(self.start_latency);
        let hops = Some(self.initial_hops);
        Newest::new(time, signature, latency, interval, Bandwidth::UNKNOWN, mtu, hops, None)
    }

    /// The last origin time that was used; nothing before the first announcement.
    pub(crate) fn last_origin_time(&self) -> Option<WallTime> {
        Some(self.highest).filter(|time| *time > WallTime::default())
    }

    /// Whether an announcement of this time cannot be ours. Times of earlier runs and those that we no longer
    /// remember get the benefit of the doubt.
    pub(crate) fn is_foreign(&self, time: WallTime) -> bool {
        let remembered = self.issued.front().is_some_and(|oldest| (*oldest..=self.highest).contains(&time));
        time > self.highest.max(self.before) || remembered && self.issued.binary_search(&time).is_err()
    }

    /// Whether to tell now that somebody else uses the key.
    pub(crate) fn tell_used_twice(&mut self, now: Timestamp) -> bool {
        let tell = self.told_used_twice.is_none_or(|told| now.since(told) >= USED_TWICE_PAUSE);
        if tell {
            self.told_used_twice = Some(now);
        }
        tell
    }
}

impl core::fmt::Debug for LocalAddress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LocalAddress").field("address", &self.key.address()).finish_non_exhaustive()
    }
}

/// What the `hops_left` of our own frames from `address` starts with.
pub(crate) fn initial_hops(secret: &[u8; 32], address: &Address) -> u8 {
    let less = draw(secret, b"irdest start hops", address) % (START_HOPS + 1);
    MAX_HOPS - u8::try_from(less).expect("at most START_HOPS")
}

/// A number that is fixed per address and that nobody without the secret can tell.
fn draw(secret: &[u8; 32], domain: &[u8], address: &Address) -> u64 {
    let hash = blake2b_keyed(secret, &[domain, address.as_bytes()]);
    u64::from_be_bytes(*hash.as_bytes().first_chunk().expect("a hash has more than eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::SecretKey;

    fn now(seconds: u64) -> Now {
        Now { at: Timestamp::from_micros(seconds * 1_000_000), wall: wall(seconds) }
    }

    fn wall(seconds: u64) -> WallTime {
        WallTime::from_micros(1_800_000_000_000_000 + seconds * 1_000_000)
    }

    fn local(last: WallTime) -> (LocalAddress, bool) {
        let key = Arc::new(SecretKey::from_seed([1; 32]));
        LocalAddress::new(key, last, wall(0), &[7; 32], now(0).at)
    }

    #[test]
    fn starting_values_are_fixed_per_address_and_in_range() {
        let mut hops = Vec::new();
        for byte in 0..64 {
            let address = Address::from_bytes([byte; 32]);
            let start = initial_hops(&[7; 32], &address);
            assert_eq!(start, initial_hops(&[7; 32], &address));
            assert!((57..=64).contains(&start));
            hops.push(start);
        }
        hops.sort_unstable();
        hops.dedup();
        assert_eq!(hops.len(), 8);
        let latency = local(WallTime::default()).0.start_latency;
        assert_eq!(latency, local(WallTime::default()).0.start_latency);
        assert!(latency.0 <= 500);
    }

    /// Announces with a disk that takes everything; whether it had to be asked.
    fn announce(local: &mut LocalAddress, second: u64) -> bool {
        let made = local.announce(wall(second), now(second), 2);
        let Some(ceiling) = made.withheld else { return false };
        assert!(local.stored(ceiling), "an announcement waits for it");
        assert_eq!(local.announce(wall(second), now(second), 2).withheld, None);
        true
    }

    #[test]
    fn the_durable_ceiling_moves_every_ten_seconds() {
        let (mut local, discarded) = local(wall(0));
        assert!(!discarded);
        let moved: Vec<u64> = (0..40).filter(|second| announce(&mut local, *second)).collect();
        assert_eq!(moved, [0, 11, 22, 33]);
        assert!(local.highest <= local.durable);
    }

    #[test]
    fn crashes_one_after_the_other_do_not_lead_out_of_the_window_of_others() {
        let mut durable = WallTime::default();
        for second in 0..2_000 {
            let key = Arc::new(SecretKey::from_seed([1; 32]));
            let (mut local, discarded) =
                LocalAddress::new(key, durable, wall(second), &[7; 32], now(second).at);
            assert!(!discarded);
            announce(&mut local, second);
            durable = local.durable;
            let lead = durable.ahead_of(wall(second));
            assert!(lead < 80_000_000, "{lead} us after {second} crashes");
        }
    }

    #[test]
    fn nothing_is_announced_above_what_is_durable() {
        let (mut local, _) = local(wall(0));
        assert!(announce(&mut local, 1));
        let last = local.last_origin_time();
        // From now on nothing can be stored.
        let withheld: Vec<u64> = (2..40)
            .filter(|second| local.announce(wall(*second), now(*second), 2).withheld.is_some())
            .collect();
        assert_eq!(withheld.first(), Some(&12), "up to the ceiling it goes on");
        assert_eq!(withheld.len(), 28);
        assert!(last < local.last_origin_time() && local.last_origin_time() <= Some(wall(11)));
        let asked = local.announce(wall(40), now(40), 2).withheld.unwrap();
        assert!(!local.stored(wall(39)), "what was asked before comes too late");
        assert!(local.stored(asked));
        assert_eq!(local.announce(wall(40), now(40), 2).withheld, None);
        assert!(!local.stored(asked), "nothing waits");
    }

    #[test]
    fn a_durable_time_too_far_ahead_is_discarded() {
        let (mut local, discarded) = local(wall(301));
        assert!(discarded);
        assert_eq!(local.announce(wall(0), now(0), 2).withheld, Some(wall(10)));
    }

    #[test]
    fn a_clock_that_has_to_go_back_is_told_once_also_where_nothing_can_be_stored() {
        let (mut local, _) = local(WallTime::default());
        announce(&mut local, 1_000);
        let made = local.announce(wall(0), now(1_002), 2);
        assert_eq!(made, Made { withheld: Some(wall(10)), discarded: Some(wall(1_010)) });
        let made = local.announce(wall(2), now(1_004), 2);
        assert_eq!(made.discarded, None);
        assert!(made.withheld.is_some_and(|ceiling| local.stored(ceiling)));
        assert_eq!(local.announce(wall(2), now(1_004), 2), Made { withheld: None, discarded: None });
        assert_eq!(local.last_origin_time(), Some(wall(2)));
    }

    #[test]
    fn times_of_an_earlier_run_are_not_foreign() {
        let (local, _) = local(wall(60));
        assert!(!local.is_foreign(wall(59)), "announced before the restart, and told to us by a neighbour");
        assert!(local.is_foreign(wall(61)));
    }

    #[test]
    fn times_that_we_did_not_issue_are_foreign() {
        let (mut local, _) = local(WallTime::default());
        for second in 0..40 {
            announce(&mut local, second);
        }
        assert!(!local.is_foreign(wall(39)));
        assert!(!local.is_foreign(wall(24)));
        assert!(local.is_foreign(wall(40)));
        assert!(local.is_foreign(wall(30) + Duration::from_micros(1)));
        assert!(!local.is_foreign(wall(5)), "too old to know");
        assert!(local.tell_used_twice(now(40).at));
        assert!(!local.tell_used_twice(now(99).at));
        assert!(local.tell_used_twice(now(100).at));
    }
}
