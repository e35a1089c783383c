// SPDX-License-Identifier: AGPL-3.0-or-later
//! The route in use, and when another takes its place: at once when it must, otherwise only on lasting evidence
//! (source: wire page, choice of routes; decisions/what-counts-as-a-win.md).

use core::fmt;
use core::time::Duration;

use ratman_types::{Bandwidth, Hop, Timestamp};

use super::{Candidate, Choice, NoAvailableRoute, Ping, Why};

/// How often in a row a route must win before traffic moves to it (source: wire page).
const WINS_NEEDED: u8 = 3;
/// The least time between the first and the last of those wins (source: wire page).
const WINNING_TIME: Duration = Duration::from_secs(4);
/// Who moved by choice stays for so long, whatever looks better: moved traffic changes what is measured, here and on the
/// other routers, and must not chase its own load.
const HOLD: Duration = Duration::from_secs(30);
/// Who left a route in doubt has measured it since, and does not doubt it again in this time.
const DOUBT_PAUSE: Duration = Duration::from_secs(600);

/// The route in use towards one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    current: Option<Choice>,
    challenge: Option<Challenge>,
    /// When traffic was moved last though it could have stayed.
    chosen: Option<Timestamp>,
    /// When that was because the route in use was in doubt.
    doubted: Option<Timestamp>,
}

/// A series of wins of one route over the one in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Challenge {
    hop: Hop,
    wins: u8,
    since: Timestamp,
}

/// Traffic moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The hop used before.
    pub from: Option<Hop>,
    /// The hop used from now on.
    pub to: Option<Hop>,
    /// Why, for people.
    pub reason: ChangeReason,
}

/// Why traffic moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeReason {
    /// There was no route before.
    Found(Why),
    /// The former route is down, stalled, infeasible or no longer live.
    Lost(Why),
    /// Its ping is 20 % better.
    MuchBetter(Why),
    /// It won three times in a row over at least 4 s.
    Better(Why),
    /// The former route is lost and there is no other.
    NoneLeft,
}

impl fmt::Display for ChangeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(why) => write!(f, "{why}"),
            Self::Lost(why) => write!(f, "the former route is lost: {why}"),
            Self::MuchBetter(why) => write!(f, "20 % better: {why}"),
            Self::Better(why) => write!(f, "better for 4 s: {why}"),
            Self::NoneLeft => f.write_str("the last route is lost"),
        }
    }
}

impl Selection {
    /// The route in use, with the reason of the last time that it came first.
    pub const fn current(&self) -> Option<Choice> {
        self.current
    }

    /// Takes what a scorer made of `candidates` and says whether traffic moves.
    pub fn decide(
        &mut self,
        computed: Result<Choice, NoAvailableRoute>,
        candidates: &[Candidate],
        now: Timestamp,
    ) -> Option<Change> {
        let find = |hop: Hop| candidates.iter().find(|candidate| candidate.hop == hop);
        let in_use = self.current.and_then(|current| find(current.hop));
        let Ok(choice) = computed else {
            return self.move_to(None, ChangeReason::NoneLeft);
        };
        let (Some(in_use), Some(rival)) = (in_use, find(choice.hop)) else {
            let reason = if self.current.is_none() { ChangeReason::Found } else { ChangeReason::Lost };
            return self.move_to(Some(choice), reason(choice.why));
        };
        if rival.hop == in_use.hop {
            self.current = Some(choice);
        }
        let much_better = rival.hop != in_use.hop && a_fifth_better(rival, in_use);
        let better = Some(choice).filter(|_| much_better || rival.hop != in_use.hop && wins(rival, in_use));
        let Some(choice) = better.or_else(|| self.doubt(in_use, candidates, now)) else {
            self.challenge = None;
            return None;
        };
        let enough = self.note_win(choice.hop, now) || much_better;
        if !enough || self.chosen.is_some_and(|at| now.since(at) < HOLD) {
            return None;
        }
        self.chosen = Some(now);
        if matches!(choice.why, Why::Doubt { .. }) {
            self.doubted = Some(now);
        }
        let reason = if much_better { ChangeReason::MuchBetter } else { ChangeReason::Better };
        self.move_to(Some(choice), reason(choice.why))
    }

    /// The best route that is to be tried because the one in use is in doubt.
    fn doubt(&self, in_use: &Candidate, candidates: &[Candidate], now: Timestamp) -> Option<Choice> {
        let under_load = in_use.under_load?;
        if self.doubted.is_some_and(|at| now.since(at) < DOUBT_PAUSE) {
            return None;
        }
        let as_good = candidates.iter().filter(|other| puts_in_doubt(other, in_use, under_load));
        let best = as_good.min_by_key(|other| (other.ping.total(), other.hop))?;
        let why = Why::Doubt { ping: best.ping, remembered: in_use.ping, under_load };
        Some(Choice { hop: best.hop, why })
    }

    /// Counts a win of `hop`; true when they suffice.
    fn note_win(&mut self, hop: Hop, now: Timestamp) -> bool {
        let mut challenge = match self.challenge {
            Some(challenge) if challenge.hop == hop => challenge,
            Some(_) | None => Challenge { hop, wins: 0, since: now },
        };
        challenge.wins = challenge.wins.saturating_add(1);
        self.challenge = Some(challenge);
        challenge.wins >= WINS_NEEDED && now.since(challenge.since) >= WINNING_TIME
    }

    fn move_to(&mut self, choice: Option<Choice>, reason: ChangeReason) -> Option<Change> {
        let from = self.current.map(|current| current.hop);
        let to = choice.map(|choice| choice.hop);
        (self.current, self.challenge) = (choice, None);
        (from != to).then_some(Change { from, to, reason })
    }
}

/// Whether the rival's ping is at most 80 % of the other's, both signed or both not.
fn a_fifth_better(rival: &Candidate, in_use: &Candidate) -> bool {
    rival.peer_part == in_use.peer_part && rival.ping.is_a_fifth_below(in_use.ping)
}

/// Whether this choice of `rival` counts against the route in use.
///
/// Pings within 10 % are equal, so that noise wins nothing; and where the route in use has more bandwidth, only
/// [`a_fifth_better`] pings move traffic away, so that noise around the edge of the window wins nothing either.
fn wins(rival: &Candidate, in_use: &Candidate) -> bool {
    if rival.peer_part != in_use.peer_part {
        return rival.peer_part;
    }
    clearly_wider(rival.bandwidth, in_use.bandwidth)
        || !in_use.ping.is_within_a_tenth_of(rival.ping) && !clearly_wider(in_use.bandwidth, rival.bandwidth)
}

/// Whether `other`, as good and measured lately, is to be tried: what is known of the route in use comes from before the
/// load, and under it that one is longer. Either a queue stands there, or the way has changed.
fn puts_in_doubt(other: &Candidate, in_use: &Candidate, under_load: Ping) -> bool {
    other.hop != in_use.hop
        && other.peer_part == in_use.peer_part
        && other.under_load.is_none()
        && other.ping.is_within_a_tenth_of(in_use.ping)
        && !under_load.is_within_a_tenth_of(other.ping)
        && !clearly_wider(in_use.bandwidth, other.bandwidth)
}

/// Whether both bandwidths are measured and `own` is over 1.10 times `other`: each of them may be 5 % off.
fn clearly_wider(own: Bandwidth, other: Bandwidth) -> bool {
    let (own, other) = (u64::from(own.as_bytes_per_second()), u64::from(other.as_bytes_per_second()));
    other > 0 && own * 100 > other * 110
}

#[cfg(test)]
mod tests;
