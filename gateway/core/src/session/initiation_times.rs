// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which initiations are fresh: the time inside each must be newer than the last from that remote. For configured
//! remotes the last time is persisted; strangers' times must be near our clock and after our start, and are
//! remembered only as long as a replay would pass those two tests (source: wire page, gateway sessions).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Timestamp, WallTime};

use super::{ConfiguredRemote, SessionDrop};

/// How far a stranger's initiation time may be from our clock, either way.
pub const INITIATION_WINDOW: Duration = Duration::from_secs(300);
/// How many strangers' times are kept at once, about 10 MiB; when full, further strangers are refused (each time
/// goes after 10 min).
pub const MAX_REMEMBERED_INITIATIONS: usize = 65_536;

/// Twice the window: a time from its future end stays within it for so long.
const REMEMBERED: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    sent: WallTime,
    received: WallTime,
}

/// The initiation times of all remotes.
#[derive(Debug)]
pub(super) struct InitiationTimes {
    /// By the boot-time clock: the wall clock may be set after our start.
    start: Timestamp,
    configured: BTreeMap<Address, Times>,
    /// The last time of each stranger, and until when it is kept.
    strangers: BTreeMap<Address, (WallTime, Timestamp)>,
    // INVARIANT: the same entries as `strangers`, in the order in which they go.
    expiry: BTreeSet<(Timestamp, Address)>,
    /// The time in our last initiation to a stranger.
    sent_to_stranger: WallTime,
}

impl InitiationTimes {
    /// `start` is the time of our start.
    pub(super) fn new(start: Timestamp, configured: &[ConfiguredRemote]) -> Self {
        let times = |remote: &ConfiguredRemote| {
            (remote.address, Times { sent: remote.last_sent, received: remote.last_received })
        };
        Self {
            start,
            configured: configured.iter().map(times).collect(),
            strangers: BTreeMap::new(),
            expiry: BTreeSet::new(),
            sent_to_stranger: WallTime::default(),
        }
    }

    /// Takes other configured remotes, with their persisted times. What was taken from one that stays or changes
    /// sides goes on to count, so that nothing can be replayed: one that leaves is remembered like a stranger.
    pub(super) fn set_configured(&mut self, configured: &[ConfiguredRemote], at: Timestamp) {
        let mut before = std::mem::take(&mut self.configured);
        for remote in configured {
            let stored = Times { sent: remote.last_sent, received: remote.last_received };
            let known = before.remove(&remote.address).unwrap_or_else(|| Times {
                received: self.strangers.get(&remote.address).map_or(WallTime::default(), |(last, _)| *last),
                ..stored
            });
            let times =
                Times { sent: stored.sent.max(known.sent), received: stored.received.max(known.received) };
            self.configured.insert(remote.address, times);
        }
        for (remote, times) in before {
            self.sent_to_stranger = self.sent_to_stranger.max(times.sent);
            // Only a full memory refuses, and it refuses the initiations of all that it does not hold, too.
            let _refused = self.remember(&remote, times.received, at);
        }
    }

    pub(super) fn is_configured(&self, remote: &Address) -> bool {
        self.configured.contains_key(remote)
    }

    /// The times to be persisted for a configured remote: sent and received.
    pub(super) fn persisted(&self, remote: &Address) -> Option<(WallTime, WallTime)> {
        self.configured.get(remote).map(|times| (times.sent, times.received))
    }

    /// The time for our next initiation: max(now, last + 1). To a stranger a last time that it would refuse
    /// anyway counts as none: our clock was corrected since.
    pub(super) fn next_to_send(&mut self, remote: &Address, wall: WallTime) -> WallTime {
        let last = match self.configured.get_mut(remote) {
            Some(times) => &mut times.sent,
            None if is_near(self.sent_to_stranger, wall) => &mut self.sent_to_stranger,
            None => {
                self.sent_to_stranger = WallTime::default();
                &mut self.sent_to_stranger
            }
        };
        *last = wall.max(last.shifted(1));
        *last
    }

    /// Takes the time of an authentic initiation, or says why it is not fresh. `wall` is our corrected clock.
    pub(super) fn take(
        &mut self,
        remote: &Address,
        time: WallTime,
        (at, wall): (Timestamp, WallTime),
    ) -> Result<(), SessionDrop> {
        if let Some(times) = self.configured.get_mut(remote) {
            if time <= times.received {
                return Err(SessionDrop::ReplayedInitiation);
            }
            times.received = time;
            return Ok(());
        }
        if !is_near(time, wall) {
            return Err(SessionDrop::TimeOutsideWindow);
        }
        let since_start = at.since(self.start).as_micros();
        if u128::try_from(wall.ahead_of(time)).is_ok_and(|age| age > since_start) {
            return Err(SessionDrop::BeforeStart);
        }
        self.remember(remote, time, at)
    }

    fn remember(&mut self, remote: &Address, time: WallTime, at: Timestamp) -> Result<(), SessionDrop> {
        self.forget(at);
        let until = at + REMEMBERED;
        let full = self.strangers.len() >= MAX_REMEMBERED_INITIATIONS;
        match self.strangers.get_mut(remote) {
            Some((last, _)) if time <= *last => return Err(SessionDrop::ReplayedInitiation),
            Some(kept) => {
                self.expiry.remove(&(kept.1, *remote));
                *kept = (time, until);
            }
            None if full => return Err(SessionDrop::InitiationsFull),
            None => {
                self.strangers.insert(*remote, (time, until));
            }
        }
        self.expiry.insert((until, *remote));
        Ok(())
    }

    /// Drops what no replay needs any more.
    fn forget(&mut self, at: Timestamp) {
        while let Some((_, remote)) = self.expiry.first().filter(|(until, _)| *until < at).copied() {
            self.expiry.pop_first();
            self.strangers.remove(&remote);
        }
    }
}

/// Whether a stranger's clock may show `time` when ours shows `wall`.
fn is_near(time: WallTime, wall: WallTime) -> bool {
    u128::from(time.ahead_of(wall).unsigned_abs()) <= INITIATION_WINDOW.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn address(number: u32) -> Address {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Address::from_bytes(bytes)
    }

    fn wall(minutes: i64) -> WallTime {
        WallTime::from_micros(1_800_000_000_000_000).shifted(minutes * MINUTE)
    }

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_micros(minutes * 60_000_000)
    }

    fn configured(last_sent: WallTime, last_received: WallTime) -> ConfiguredRemote {
        ConfiguredRemote { address: address(1), last_sent, last_received }
    }

    #[test]
    fn a_configured_remote_may_have_any_clock_that_only_goes_on() {
        let mut times = InitiationTimes::new(at(0), &[configured(wall(0), wall(-500))]);
        let mut take = |time| times.take(&address(1), time, (at(0), wall(0)));
        assert_eq!(take(wall(-500)), Err(SessionDrop::ReplayedInitiation));
        assert_eq!(take(wall(-499)), Ok(()));
        assert_eq!(take(wall(-499)), Err(SessionDrop::ReplayedInitiation));
        assert_eq!(take(wall(9999)), Ok(()));
        assert_eq!(times.persisted(&address(1)), Some((wall(0), wall(9999))));
    }

    #[test]
    fn a_stranger_must_be_near_our_clock_and_after_our_start() {
        let mut times = InitiationTimes::new(at(0), &[]);
        let mut take =
            |time, now| times.take(&address(2), time, (at(now), wall(i64::try_from(now).unwrap())));
        assert_eq!(take(wall(6), 0), Err(SessionDrop::TimeOutsideWindow));
        assert_eq!(take(wall(-6), 0), Err(SessionDrop::TimeOutsideWindow));
        assert_eq!(take(wall(-1), 0), Err(SessionDrop::BeforeStart));
        assert_eq!(take(wall(0), 1), Ok(()));
        assert_eq!(take(wall(0), 1), Err(SessionDrop::ReplayedInitiation));
        assert_eq!(take(wall(5), 1), Ok(()));
        assert_eq!(take(wall(4), 1), Err(SessionDrop::ReplayedInitiation));
    }

    #[test]
    fn our_start_is_where_the_clock_says_now_that_it_was() {
        // After four minutes, with clocks that were set by an hour, back and ahead, or corrected by some minutes.
        for set in [-60, 0, 3, 60] {
            let mut times = InitiationTimes::new(at(10), &[]);
            let mut take = |minute| times.take(&address(2), wall(minute + set), (at(14), wall(14 + set)));
            assert_eq!(take(9), Err(SessionDrop::BeforeStart), "set by {set}");
            assert_eq!(take(10), Ok(()), "set by {set}");
            assert_eq!(take(18), Ok(()), "set by {set}");
        }
    }

    #[test]
    fn a_replay_is_refused_for_as_long_as_its_time_would_pass() {
        let mut times = InitiationTimes::new(at(0), &[]);
        times.take(&address(2), wall(5), (at(0), wall(0))).unwrap();
        for minute in 1..15 {
            times.forget(at(minute));
            let now = (at(minute), wall(i64::try_from(minute).unwrap()));
            assert!(times.take(&address(2), wall(5), now).is_err(), "minute {minute}");
        }
        assert!(times.strangers.is_empty());
    }

    #[test]
    fn a_full_memory_refuses_new_strangers_until_old_times_go() {
        let mut times = InitiationTimes::new(at(0), &[]);
        let limit = u32::try_from(MAX_REMEMBERED_INITIATIONS).unwrap();
        for number in 0..limit {
            times.take(&address(number), wall(1), (at(1), wall(1))).unwrap();
        }
        let full = Err(SessionDrop::InitiationsFull);
        assert_eq!(times.take(&address(limit), wall(2), (at(2), wall(2))), full);
        assert_eq!(times.take(&address(0), wall(2), (at(2), wall(2))), Ok(()), "a known one goes on");
        assert_eq!(times.take(&address(limit), wall(12), (at(12), wall(12))), Ok(()));
    }

    #[test]
    fn what_was_taken_cannot_be_replayed_after_other_remotes_are_configured() {
        let now = (at(1), wall(1));
        let known = configured(wall(0), wall(0));
        let mut times = InitiationTimes::new(at(0), &[known]);
        times.take(&address(1), wall(1), now).unwrap();
        times.take(&address(2), wall(1), now).unwrap();
        let last = times.next_to_send(&address(1), wall(1));
        let known = configured(last, wall(0));
        let other = ConfiguredRemote { address: address(2), ..known };
        for remotes in [[known].as_slice(), &[known, other], &[other], &[], &[known]] {
            times.set_configured(remotes, at(1));
            for number in [1, 2] {
                assert_eq!(
                    times.take(&address(number), wall(1), now),
                    Err(SessionDrop::ReplayedInitiation),
                    "{number} beside {remotes:?}"
                );
            }
        }
        assert!(times.next_to_send(&address(1), wall(1)) > last);
        assert_eq!(times.take(&address(1), wall(2), now), Ok(()), "what is newer is taken");
    }

    #[test]
    fn our_own_times_never_repeat() {
        let mut times = InitiationTimes::new(at(0), &[configured(wall(9), wall(0))]);
        assert_eq!(times.next_to_send(&address(1), wall(0)), wall(9).shifted(1));
        assert_eq!(times.next_to_send(&address(1), wall(0)), wall(9).shifted(2));
        assert_eq!(times.next_to_send(&address(1), wall(10)), wall(10));
        assert_eq!(times.next_to_send(&address(2), wall(0)), wall(0));
        assert_eq!(times.next_to_send(&address(2), wall(0)), wall(0).shifted(1));
        assert_eq!(times.next_to_send(&address(2), wall(-4)), wall(0).shifted(2));
        assert_eq!(times.next_to_send(&address(2), wall(-6)), wall(-6), "corrected by more than the window");
    }
}
