// SPDX-License-Identifier: AGPL-3.0-or-later
//! The median of the neighbourhood's clocks: a router with a wrong clock among right ones finds the time, a leaf whose
//! only neighbour lies keeps its own. Whoever dials us may come under many names, so strangers together are always
//! outvoted by us and those whom we dialed (decisions/whose-clock-counts.md).

use core::time::Duration;
use std::collections::BTreeMap;

use ratman_types::{Now, RouterId, Timestamp, WallTime};

/// From which correction on the operator is told (source: wire page).
pub const SKEW_WARNING: Duration = Duration::from_secs(60);
/// How many votes of those whom we dialed are kept, and of strangers as many: the first that come. A median of this many is
/// as good as one of more.
pub const MAX_VOTES: usize = 256;
/// So many strangers count where we dialed nobody: with fewer, a router that is only dialed would never find the time.
const STRANGERS_ALONE: usize = 2;

/// A clock that is further than this behind the times that we announced was set back: as far as others may see our
/// announcements ahead of theirs before the clock of announcements gives way (source: wire page).
pub const SET_BACK: Duration = Duration::from_secs(4 * 60);

/// What we add to our own clock.
///
/// Votes are kept as the wall time of a neighbour at the zero of our boot-time clock, so that a step of our own wall
/// clock needs no new readings.
#[derive(Clone, Debug)]
pub struct ClockCorrection {
    build_time: WallTime,
    // INVARIANT: at most MAX_VOTES of those whom we dialed, and of others.
    votes: BTreeMap<RouterId, Vote>,
    next_serial: u64,
    // INVARIANT: the votes that count where our own clock has none, and where it has one, ascending.
    counting: [Vec<i64>; 2],
    surplus: u64,
    /// The wall time at the zero of our boot-time clock by the times that we announced.
    announced: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Vote {
    zero: i64,
    dialed: bool,
    /// Who came first counts first.
    serial: u64,
}

impl ClockCorrection {
    /// A clock before `build_time` is wrong: it has no vote, ours included.
    pub const fn new(build_time: WallTime) -> Self {
        Self {
            build_time,
            votes: BTreeMap::new(),
            next_serial: 0,
            counting: [Vec::new(), Vec::new()],
            surplus: 0,
            announced: None,
        }
    }

    /// We announced something at this time, now or before a restart: a clock that shows less than that, run on, is wrong.
    pub fn raise_announced(&mut self, time: WallTime, at: Timestamp) {
        self.announced = self.announced.max(Some(zero_of(time, at)));
    }

    /// What we announced before does not count any more: from now on our announcements begin at this time.
    pub fn set_announced(&mut self, time: WallTime, at: Timestamp) {
        self.announced = Some(zero_of(time, at));
    }

    /// How far our clock is behind what we announced, where that is above 4 min: then it was set back, and has no vote.
    pub fn behind(&self, now: Now) -> Option<Duration> {
        let behind = self.announced?.saturating_sub(zero_of(now.wall, now.at));
        u64::try_from(behind).ok().map(Duration::from_micros).filter(|behind| *behind > SET_BACK)
    }

    /// Whether our own clock can be right: after the build date, and not set back.
    fn has_own_vote(&self, now: Now) -> bool {
        now.wall >= self.build_time && self.behind(now).is_none()
    }

    /// Takes a proven neighbour's raw clock out of an echo reply to a request that left at `asked`; a clock before
    /// the build date takes its vote back. `dialed` says that we dialed this link: who was dialed once is no stranger
    /// until it is gone.
    pub fn observe(
        &mut self,
        neighbour: RouterId,
        dialed: bool,
        theirs: WallTime,
        asked: Timestamp,
        rtt: Duration,
    ) {
        if theirs < self.build_time {
            return self.forget(&neighbour);
        }
        let before = self.votes.get(&neighbour).copied();
        let dialed = dialed || before.is_some_and(|vote| vote.dialed);
        let has_place = before.is_some_and(|vote| vote.dialed == dialed);
        if !has_place && self.votes.values().filter(|vote| vote.dialed == dialed).count() >= MAX_VOTES {
            self.surplus = self.surplus.saturating_add(1);
            return;
        }
        let serial = before.map_or(self.next_serial, |vote| vote.serial);
        self.next_serial = self.next_serial.max(serial.saturating_add(1));
        let zero = zero_of(theirs, asked + rtt / 2);
        self.votes.insert(neighbour, Vote { zero, dialed, serial });
        self.count();
    }

    /// The neighbour is gone, and its vote.
    pub fn forget(&mut self, neighbour: &RouterId) {
        if self.votes.remove(neighbour).is_some() {
            self.count();
        }
    }

    /// How many readings found no place among [`MAX_VOTES`].
    pub const fn surplus(&self) -> u64 {
        self.surplus
    }

    /// The correction in microseconds: the median of the votes that count, of an even count the smaller in magnitude of the two
    /// middle ones. If nobody has a vote, we go by what we announced (decisions/a-clock-that-was-set-back.md); zero if that
    /// is nothing, or less.
    pub fn micros(&self, now: Now) -> i64 {
        let ours = zero_of(now.wall, now.at);
        let own_vote = self.has_own_vote(now);
        let votes = &self.counting[usize::from(own_vote)];
        let count = votes.len() + usize::from(own_vote);
        if count == 0 {
            return self.announced.map_or(0, |announced| announced.saturating_sub(ours).max(0));
        }
        let place = if own_vote { votes.partition_point(|vote| *vote < ours) } else { count };
        let correction = |index: usize| {
            let vote = match index {
                _ if index < place => votes[index],
                _ if index == place => ours,
                _ => votes[index - 1],
            };
            vote.saturating_sub(ours)
        };
        let upper = correction(count / 2);
        if count % 2 == 1 {
            return upper;
        }
        let lower = correction(count / 2 - 1);
        if upper.unsigned_abs() < lower.unsigned_abs() { upper } else { lower }
    }

    /// What we take the time to be.
    pub fn corrected(&self, now: Now) -> WallTime {
        now.wall.shifted(self.micros(now))
    }

    /// The correction in microseconds where it is above [`SKEW_WARNING`].
    pub fn skew(&self, now: Now) -> Option<i64> {
        let micros = self.micros(now);
        (Duration::from_micros(micros.unsigned_abs()) > SKEW_WARNING).then_some(micros)
    }

    /// What echo replies tell: our raw clock, or zero where it is before the build date or was set back.
    pub fn told(&self, now: Now) -> WallTime {
        if self.has_own_vote(now) { now.wall } else { WallTime::default() }
    }

    /// Says anew which votes count: of those whom we dialed all, and of strangers the first, fewer than of the others and
    /// ourselves.
    fn count(&mut self) {
        let (dialed, mut strangers): (Vec<Vote>, Vec<Vote>) =
            self.votes.values().partition(|vote| vote.dialed);
        strangers.sort_unstable_by_key(|vote| vote.serial);
        for (own_vote, counting) in self.counting.iter_mut().enumerate() {
            let admitted = match dialed.len() {
                0 => STRANGERS_ALONE,
                known => known + own_vote - 1,
            };
            counting.clear();
            counting.extend(dialed.iter().chain(strangers.iter().take(admitted)).map(|vote| vote.zero));
            counting.sort_unstable();
        }
    }
}

/// The wall time at the zero of the boot-time clock, in microseconds since the Unix epoch.
fn zero_of(wall: WallTime, at: Timestamp) -> i64 {
    wall.ahead_of(WallTime::from_micros(at.as_micros()))
}

#[cfg(test)]
mod tests;
