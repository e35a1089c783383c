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
/// From this lead of the origin times, in microseconds, every announcement is written, and nothing ahead of it: a daemon that
/// crashes again and again, however fast, must not walk out of the window of 5 min within which others take its announcements.
/// The clock of a lead runs slower, so that this ends ([`OriginClock::issue`]).
const LONG_LEAD: i64 = 60_000_000;
/// An announcement takes the time that was made durable for it alone where the disk took no longer than this.
const WRITTEN_WITHIN: i64 = 10_000_000;
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
    /// What was announced last, in this run or before, and when that was known; nothing where it does not count any more.
    pub(crate) announced: Option<(WallTime, Timestamp)>,
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
            announced: Some((kept, now)).filter(|(time, _)| *time > WallTime::default()),
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
        let late = issued.time.ahead_of(self.durable);
        let leads = issued.time.ahead_of(corrected) > LONG_LEAD;
        let is_written_for = leads && self.durable > self.clock.last() && late <= WRITTEN_WITHIN;
        self.withheld = late > 0 && !is_written_for;
        if self.withheld {
            self.ceiling = if leads { issued.time } else { issued.time + CEILING_AHEAD };
            return Made { withheld: Some(self.ceiling), discarded };
        }
        self.clock = clock;
        let time = issued.time.min(self.durable);
        self.clock.used(time);
        self.announced = Some((time, now.at));
        self.sign(time, interval);
        Made { withheld: None, discarded }
    }

    fn sign(&mut self, time: WallTime, interval: u16) {
        if self.issued.len() == REMEMBERED_TIMES {
            self.issued.pop_front();
        }
        self.issued.push_back(time);
        self.highest = time;
        let signature = self.key.sign(&origin_signed_bytes(&self.key.address(), time));
        self.newest = Some(self.newest(time, signature, interval));
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

    /// Signs for nobody, and at once.
    #[derive(Debug)]
    struct Nobody;

    impl Signer for Nobody {
        fn public(&self) -> [u8; 32] {
            [1; 32]
        }

        fn sign(&self, _: &[u8]) -> Signature {
            Signature([0; 64])
        }
    }

    /// The life of a host whose daemon is killed again and again, on a disk that takes 10 ms, and a neighbour that hears all
    /// that it announces.
    struct Life {
        micros: u64,
        /// How far the wall clock was set back.
        set_back: i64,
        durable: WallTime,
        last: WallTime,
        syncs: usize,
        heard: crate::clock::LagCheck,
    }

    impl Life {
        fn new() -> Self {
            let (durable, last) = (WallTime::default(), WallTime::default());
            Self { micros: 0, set_back: 0, durable, last, syncs: 0, heard: Default::default() }
        }

        fn now(&self) -> Now {
            let at = Timestamp::from_micros(self.micros);
            Now { at, wall: (wall(0) + at.since(Timestamp::default())).shifted(-self.set_back) }
        }

        fn lead(&self) -> i64 {
            self.last.ahead_of(self.now().wall)
        }

        fn pass(&mut self, pause: Duration) {
            self.micros += u64::try_from(pause.as_micros()).unwrap();
        }

        /// From start to `kill -9`; at most the last announcement was still being stored then.
        fn run(&mut self, announcements: usize, is_cut_short: bool) {
            let now = self.now();
            let (mut local, discarded) =
                LocalAddress::new(Arc::new(Nobody), self.durable, now.wall, &[7; 32], now.at);
            assert!(!discarded);
            for _ in 0..announcements {
                self.announce(&mut local);
                self.pass(Duration::from_secs(2));
            }
            if is_cut_short {
                self.durable = local.announce(now.wall, now, 2).withheld.unwrap_or(self.durable);
            }
        }

        fn announce(&mut self, local: &mut LocalAddress) {
            let mut made = local.announce(self.now().wall, self.now(), 2);
            if let Some(ceiling) = made.withheld {
                (self.durable, self.syncs) = (ceiling, self.syncs + 1);
                self.pass(Duration::from_millis(10));
                assert!(local.stored(ceiling));
                made = local.announce(self.now().wall, self.now(), 2);
            }
            assert_eq!(made, Made { withheld: None, discarded: None });
            let time = local.last_origin_time().unwrap();
            assert!(time > self.last && time <= self.durable);
            self.last = time;
            let window = crate::limits::live_window(Duration::from_secs(2));
            assert!(self.heard.admit(time, self.now().at, window), "late for who heard those before");
        }
    }

    #[test]
    fn crashes_at_any_pace_lead_nowhere_and_cost_nothing_for_long() {
        for pause in [0, 1, 100, 1_000, 5_000, 9_000] {
            let mut life = Life::new();
            for crash in 0..3_000_u32 {
                life.run(usize::from(crash % 3 > 0), crash % 2 == 0);
                life.pass(Duration::from_millis(pause));
                assert!(life.lead() < 71_000_000, "{} us with {pause} ms between", life.lead());
            }
            assert!(life.durable.ahead_of(life.now().wall) < 71_000_000);
            // An hour, in which all comes back to what it is without crashes.
            life.run(1_800, false);
            life.syncs = 0;
            life.run(1_800, false);
            assert!(life.syncs <= 3_600 / 10 + 1, "{} syncs in an hour", life.syncs);
        }
    }

    #[test]
    fn a_lead_is_lost_while_it_runs_and_nothing_of_it_comes_late() {
        let mut life = Life::new();
        life.run(10, false);
        life.set_back = 200_000_000;
        life.run(1, false);
        assert!(life.lead() > 190_000_000);
        life.run(8_000, false);
        assert!(life.lead() < 3_000_000, "{} us", life.lead());
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
