// SPDX-License-Identifier: AGPL-3.0-or-later
//! Bandwidth limits by remote: what exceeds one is dropped, not delayed, so that TCP slows down and nothing piles up.

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

use ratman_types::{Address, Bandwidth, Timestamp};

use crate::drop_reason::GatewayDrop;
use crate::firewall::Whom;
use crate::flow::HashSeed;
use crate::packet::Direction;
use crate::token_bucket::{Fill, TokenBucket};

/// Limits that a configuration may have; they are looked through once for each new remote.
pub const MAX_LIMITS: usize = 256;

/// Remotes whose traffic is measured at once: twice as many as have sessions, for those that come and go. Full, those
/// are forgotten that have not used their limit for so long that it makes no difference, and else a new one gets
/// nothing through.
pub const MAX_LIMITED_REMOTES: usize = 2048;

/// The time whose share of the rate may come at once.
const BURST: Duration = Duration::from_millis(50);

/// The least burst in bytes: two super-packets, since they come whole.
const MIN_BURST: u32 = 128 * 1024;

/// How often a full table is searched for remotes to forget: a search takes some ten microseconds.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// One limit. With [`Whom::Any`] and [`Whom::Configured`] each remote has it for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// For whom.
    pub remote: Whom,
    /// To the remote, in bytes of IP packets per second; unlimited if absent.
    pub up: Option<Bandwidth>,
    /// From the remote.
    pub down: Option<Bandwidth>,
}

/// What one remote has left of a limit, and how that fills again.
#[derive(Clone, Copy, Debug)]
struct Left {
    fill: Fill,
    bucket: TokenBucket,
}

impl Left {
    fn all(rate: Bandwidth) -> Self {
        let bytes = rate.as_bytes_per_second();
        let share = u64::from(bytes) * u64::from(BURST.subsec_millis()) / 1000;
        let burst = u32::try_from(share).expect("a share is less than the whole").max(MIN_BURST);
        let fill = Fill::new(bytes, Duration::from_secs(1), burst);
        Self { fill, bucket: TokenBucket::full(&fill) }
    }
}

/// What one remote has left; nothing where a direction is unlimited.
#[derive(Clone, Copy, Debug)]
struct Measured {
    up: Option<Left>,
    down: Option<Left>,
}

impl Measured {
    fn all(limit: &Limit) -> Self {
        Self { up: limit.up.map(Left::all), down: limit.down.map(Left::all) }
    }

    /// Whether nothing would change if it were forgotten.
    fn is_full(&self, now: Timestamp) -> bool {
        [&self.up, &self.down].into_iter().flatten().all(|left| left.bucket.is_full(&left.fill, now))
    }

    fn take(&mut self, direction: Direction, bytes: usize, now: Timestamp) -> Result<(), GatewayDrop> {
        let left = match direction {
            Direction::Outbound => &mut self.up,
            Direction::Inbound => &mut self.down,
        };
        let Some(Left { fill, bucket }) = left else { return Ok(()) };
        let bytes = u64::try_from(bytes).expect("a usize has at most 64 bits");
        if bucket.take(fill, bytes, now) { Ok(()) } else { Err(GatewayDrop::RemoteLimit) }
    }
}

/// The limits and what each remote has left of them. Where nothing is limited there is no such value.
#[derive(Debug)]
pub struct RemoteLimits {
    limits: Vec<Limit>,
    configured: BTreeSet<Address>,
    // INVARIANT: at most MAX_LIMITED_REMOTES.
    remotes: HashMap<Address, Measured, HashSeed>,
    next_search: Timestamp,
}

impl RemoteLimits {
    /// Takes the limits, of which only the first [`MAX_LIMITS`] count, and the remotes of the configured routes. The
    /// first limit that a remote matches is its only one. `None` if there are no limits.
    pub fn new(seed: HashSeed, limits: &[Limit], configured: BTreeSet<Address>) -> Option<Self> {
        let limits: Vec<_> = limits.iter().take(MAX_LIMITS).copied().collect();
        (!limits.is_empty()).then(|| Self {
            limits,
            configured,
            remotes: HashMap::with_hasher(seed),
            next_search: Timestamp::default(),
        })
    }

    /// Whether an IP packet of `bytes` may go to or come from `remote` now; what may is counted against its limit.
    ///
    /// # Errors
    /// [`RemoteLimit`](GatewayDrop::RemoteLimit).
    pub fn admit(
        &mut self,
        remote: &Address,
        direction: Direction,
        bytes: usize,
        now: Timestamp,
    ) -> Result<(), GatewayDrop> {
        if let Some(measured) = self.remotes.get_mut(remote) {
            return measured.take(direction, bytes, now);
        }
        let configured = self.configured.contains(remote);
        let Some(limit) = self.limits.iter().find(|limit| limit.remote.includes(remote, configured)) else {
            return Ok(());
        };
        let mut measured = Measured::all(limit);
        self.make_room(now)?;
        let taken = measured.take(direction, bytes, now);
        self.remotes.insert(*remote, measured);
        taken
    }

    /// Sees to it that one more remote may be measured.
    fn make_room(&mut self, now: Timestamp) -> Result<(), GatewayDrop> {
        if self.remotes.len() >= MAX_LIMITED_REMOTES && self.next_search <= now {
            self.next_search = now + SEARCH_INTERVAL;
            self.remotes.retain(|_, measured| !measured.is_full(now));
        }
        if self.remotes.len() >= MAX_LIMITED_REMOTES { Err(GatewayDrop::RemoteLimit) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_000_000);
    const BURST_OF_10_MBIT: usize = 128 * 1024;

    fn remote(number: u8) -> Address {
        Address::from_bytes([number; 32])
    }

    fn mbit(rate: u32) -> Option<Bandwidth> {
        Some(Bandwidth::from_bytes_per_second(rate * 125_000))
    }

    fn limits(limits: &[Limit]) -> RemoteLimits {
        RemoteLimits::new(HashSeed::from_bytes([3; 16]), limits, BTreeSet::from([remote(1)])).unwrap()
    }

    #[test]
    fn the_long_run_rate_is_within_two_percent_whatever_the_packets() {
        for rate in [1, 10, 100, 2000] {
            for (size, gap) in [(64, 1), (1400, 5), (65_535, 31)] {
                let mut limits = limits(&[Limit { remote: Whom::Any, up: mbit(rate), down: None }]);
                let all = |limits: &mut RemoteLimits, now| {
                    while limits.admit(&remote(1), Direction::Outbound, size, now).is_ok() {}
                };
                all(&mut limits, START);
                let offered = size * 1_000_000 / gap;
                let seconds = if rate == 1 { 60 } else { 2 };
                let expected = seconds * offered.min(usize::try_from(rate * 125_000).unwrap());
                let gap = Duration::from_micros(u64::try_from(gap).unwrap());
                let (mut now, mut bytes) = (START, 0);
                while now < START + Duration::from_secs(u64::try_from(seconds).unwrap()) {
                    now = now + gap;
                    let admitted = limits.admit(&remote(1), Direction::Outbound, size, now);
                    bytes += if admitted.is_ok() { size } else { 0 };
                }
                let within = expected * 98 / 100..=expected * 102 / 100;
                assert!(
                    within.contains(&bytes),
                    "{rate} Mbit/s of {size} bytes: {bytes}, {expected} expected"
                );
            }
        }
    }

    #[test]
    fn directions_and_remotes_are_apart() {
        let mut limits = limits(&[Limit { remote: Whom::Any, up: mbit(10), down: None }]);
        let super_packet = 65_535;
        let mut admit = |number, direction| limits.admit(&remote(number), direction, super_packet, START);
        assert_eq!(admit(1, Direction::Outbound), Ok(()));
        assert_eq!(admit(1, Direction::Outbound), Ok(()), "two super-packets at once");
        assert_eq!(admit(1, Direction::Outbound), Err(GatewayDrop::RemoteLimit));
        assert_eq!(admit(2, Direction::Outbound), Ok(()));
        for _ in 0..100 {
            assert_eq!(admit(1, Direction::Inbound), Ok(()));
        }
    }

    #[test]
    fn the_first_limit_that_matches_counts() {
        let mut limits = limits(&[
            Limit { remote: Whom::Remote(remote(2)), up: None, down: None },
            Limit { remote: Whom::Configured, up: mbit(1), down: mbit(1) },
        ]);
        let mut exhausted = |number| {
            (0..10).any(|_| limits.admit(&remote(number), Direction::Inbound, 65_535, START).is_err())
        };
        assert_eq!([1, 2, 3].map(&mut exhausted), [true, false, false]);
        assert!(RemoteLimits::new(HashSeed::from_bytes([3; 16]), &[], BTreeSet::new()).is_none());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_is_idle() {
        let mut limits = limits(&[Limit { remote: Whom::Any, up: mbit(10), down: mbit(10) }]);
        let number = |at: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&u64::try_from(at).unwrap().to_be_bytes());
            Address::from_bytes(bytes)
        };
        for at in 0..MAX_LIMITED_REMOTES {
            limits.admit(&number(at), Direction::Inbound, BURST_OF_10_MBIT, START).unwrap();
        }
        let newcomer = number(MAX_LIMITED_REMOTES);
        let refused = Err(GatewayDrop::RemoteLimit);
        assert_eq!(limits.admit(&newcomer, Direction::Inbound, 100, START), refused);
        assert_eq!(limits.admit(&number(0), Direction::Outbound, 100, START), Ok(()));
        assert_eq!(limits.remotes.len(), MAX_LIMITED_REMOTES);
        // 128 KiB are there again after 105 ms, but the next search comes later.
        let later = START + SEARCH_INTERVAL;
        assert_eq!(
            limits.admit(&newcomer, Direction::Inbound, 100, later - Duration::from_micros(1)),
            refused
        );
        assert_eq!(limits.admit(&newcomer, Direction::Inbound, 100, later), Ok(()));
        assert_eq!(limits.remotes.len(), 1);
    }

    #[test]
    fn the_smallest_and_the_largest_rate_work() {
        for rate in [1000, u32::MAX] {
            let rate = Some(Bandwidth::from_bytes_per_second(rate));
            let mut limits = limits(&[Limit { remote: Whom::Any, up: rate, down: rate }]);
            assert_eq!(limits.admit(&remote(1), Direction::Inbound, 65_535, START), Ok(()));
            let far = Timestamp::from_micros(u64::MAX);
            assert_eq!(limits.admit(&remote(1), Direction::Inbound, 65_535, far), Ok(()));
        }
    }
}
