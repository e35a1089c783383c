// SPDX-License-Identifier: AGPL-3.0-or-later
//! Every limit of the router with its reason, and the bucket behind the rates.

use core::time::Duration;

use ratman_types::Timestamp;

/// How long an announcement keeps a route live at least (source: manual, live routes).
pub(crate) const LIVE_FLOOR: Duration = Duration::from_secs(30);
/// Nothing new for so long: the address is forgotten. As long as [`LagCheck`](crate::clock::LagCheck) looks back,
/// and twice the clock window, so that no announcement can be replayed that we forgot.
pub(crate) const FORGET_AFTER: Duration = Duration::from_secs(10 * 60);
/// How many origin times of an address are remembered (source: wire page).
pub(crate) const REMEMBERED_TIMES: usize = 16;
/// An address is flooded at most once in this time (source: wire page).
pub(crate) const FLOOD_INTERVAL: Duration = Duration::from_secs(1);
/// The longest interval that a neighbour is believed: 3.5 of them stay below the 10 min for which the lag check remembers,
/// so that nobody keeps a dead address live by claiming that it is announced once a day.
pub(crate) const MAX_INTERVAL: Duration = Duration::from_secs(170);
/// A copy of which the hop was verified longer ago than this is verified again (source: wire page).
pub(crate) const VERIFY_AGAIN_AFTER: Duration = Duration::from_secs(4);
/// How far from our corrected clock an origin time may lie (source: wire page).
pub(crate) const CLOCK_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Signatures that we verify for one neighbour in a second (source: wire page): a tenth of what a core can.
pub(crate) const VERIFICATIONS: Rate = Rate { per_second: 2_000, burst: 2_000 };
/// Frames to namespaces that we verify for one neighbour in a second: 5 Mbit/s of them, and two streams of the longest at once.
pub(crate) const FLOODED_VERIFICATIONS: Rate = Rate { per_second: 500, burst: 4_000 };
/// Probes of namespaces that one neighbour may bring in a second: each goes to everybody, and is asked by a person or at the start of a
/// program. One neighbour fills a tenth of what is remembered of them.
pub(crate) const PROBES: Rate = Rate { per_second: 10, burst: 50 };
/// Of these, those of one asker, whoever brings them: four others are heard beside it.
pub(crate) const PROBES_OF_ONE: Rate = Rate { per_second: 2, burst: 20 };
/// Probes that our own clients may make, and one of their addresses: half as many as others let pass, as the way there makes bursts of them.
pub(crate) const OWN_PROBES: Rate = Rate { per_second: 5, burst: 25 };
/// See [`OWN_PROBES`].
pub(crate) const OWN_PROBES_OF_ONE: Rate = Rate { per_second: 1, burst: 10 };
/// Answers to our probes that one neighbour may bring in a second and that turn out to be none: each costs a signature and an opening, a
/// sixtieth of a core in all.
pub(crate) const WRONG_ANSWERS: Rate = Rate { per_second: 100, burst: 1_000 };
/// Of how many probes it is remembered that they came (source: wire page, freshness).
pub(crate) const REMEMBERED_PROBES: usize = 65_536;
/// For how long: twice the clock window (source: wire page, freshness).
pub(crate) const REMEMBER_PROBE: Duration = Duration::from_secs(10 * 60);
/// One-hop frames that we verify for one neighbour in a second, apart from [`VERIFICATIONS`]: a burst of announcements
/// must not make its links look dead. A dozen parallel links that are all probed urgently stay below it.
pub(crate) const ONE_HOP_VERIFICATIONS: Rate = Rate { per_second: 500, burst: 500 };
/// Addresses never seen before that one neighbour may bring in a second (source: wire page).
pub(crate) const NEW_ADDRESSES: Rate = Rate { per_second: 20, burst: 1_000 };
/// More bad signatures than this within [`BAD_SIGNATURE_WINDOW`] cut a neighbour off (source: wire page).
pub(crate) const BAD_SIGNATURES: usize = 16;
/// See [`BAD_SIGNATURES`].
pub(crate) const BAD_SIGNATURE_WINDOW: Duration = Duration::from_secs(10);
/// How long a neighbour is cut off the first time; doubling (source: wire page).
pub(crate) const CUT_OFF: Duration = Duration::from_secs(60);
/// Where the doubling ends: a day is long enough for a person to look.
pub(crate) const CUT_OFF_LONGEST: Duration = Duration::from_secs(24 * 3600);

/// In this time without another cut-off the next one gets half as long: a flaw that was mended half a day ago is
/// forgotten, and who tries again and again stays out.
pub(crate) const CUT_OFF_DECAY: Duration = Duration::from_secs(3600);

/// Links at a time. Each costs a few KiB and two signatures a second; more belong on more than one router.
pub(crate) const MAX_LINKS: usize = 1_024;
/// Neighbours remembered, linked or not: four times the links, so that a cut-off outlives a reconnection.
pub(crate) const MAX_NEIGHBOURS: usize = 4_096;
/// Hops kept per address. Beyond a few the best does not get better; parallel links count too.
pub(crate) const MAX_HOPS_PER_ADDRESS: usize = 32;
/// Of which one neighbour has so many at most: more parallel links to one router than this serve nobody.
pub(crate) const MAX_HOPS_PER_NEIGHBOUR: usize = 8;
/// Frames that wait for the driver, which takes all of them after each call: a new link's first burst of a large
/// table is paced far below this.
pub(crate) const MAX_TRANSMITS: usize = 65_536;
/// Changes of addresses and routes that wait for the driver, which takes all of them after each call: the loss of a
/// link can move every route of a full table, which is a quarter of this. Beyond, the driver reads the tables anew.
pub(crate) const MAX_EVENTS: usize = 65_536;
/// Custodies that wait for the driver, which takes all of them after each call: 8 MiB of the largest. What is dropped is told
/// again when the frames come again.
pub(crate) const MAX_CUSTODIES: usize = 256;
/// Announcements that a new link gets every [`RESEND_PAUSE`]: 800 a second, whose 1 600 signatures leave room in the
/// [`VERIFICATIONS`] of the other end for what is flooded meanwhile; 2 000 addresses are across within 2.5 s.
pub(crate) const RESEND_BATCH: usize = 8;
/// See [`RESEND_BATCH`].
pub(crate) const RESEND_PAUSE: Duration = Duration::from_millis(10);

/// Tokens that come back with time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Tokens in a second.
    pub(crate) per_second: u32,
    /// Tokens at most.
    pub(crate) burst: u32,
}

const MICRO: u64 = 1_000_000;

/// A token bucket; full at first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    rate: Rate,
    /// In millionths of a token.
    level: u64,
    at: Timestamp,
}

impl TokenBucket {
    pub(crate) fn new(rate: Rate, now: Timestamp) -> Self {
        Self { rate, level: u64::from(rate.burst) * MICRO, at: now }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, now: Timestamp) -> bool {
        let has = self.has(now);
        if has {
            self.level -= MICRO;
        }
        has
    }

    /// Whether it is as at first.
    pub(crate) fn is_full(&mut self, now: Timestamp) -> bool {
        self.has(now);
        self.level == u64::from(self.rate.burst) * MICRO
    }

    /// Whether there is a token.
    pub(crate) fn has(&mut self, now: Timestamp) -> bool {
        let micros = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let more = micros.saturating_mul(u64::from(self.rate.per_second));
        self.level = self.level.saturating_add(more).min(u64::from(self.rate.burst) * MICRO);
        self.at = self.at.max(now);
        self.level >= MICRO
    }
}

/// How long an announcement keeps a route live (source: wire page, routes).
pub(crate) fn live_window(interval: Duration) -> Duration {
    fresh_window(interval).max(LIVE_FLOOR)
}

/// The interval of a copy as we believe it: between a second and [`MAX_INTERVAL`].
pub(crate) fn believed_interval(seconds: u16) -> Duration {
    Duration::from_secs(seconds.into()).clamp(Duration::from_secs(1), MAX_INTERVAL)
}

/// How long a route is preferred to older ones: 3.5 intervals (source: wire page, routes).
pub(crate) fn fresh_window(interval: Duration) -> Duration {
    interval.saturating_mul(7) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Timestamp::from_micros(5);
        let mut bucket = TokenBucket::new(NEW_ADDRESSES, start);
        assert_eq!((0..2_000).filter(|_| bucket.take(start)).count(), 1_000);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..2_000).filter(|_| bucket.take(later)).count(), 10);
        assert!(!bucket.take(start), "time that goes back brings nothing");
        let end = Timestamp::from_micros(u64::MAX);
        assert_eq!((0..2_000).filter(|_| bucket.take(end)).count(), 1_000);
    }

    #[test]
    fn windows_are_those_of_the_page() {
        assert_eq!(live_window(Duration::from_secs(2)), Duration::from_secs(30));
        assert_eq!(live_window(Duration::from_secs(60)), Duration::from_secs(210));
        assert_eq!(fresh_window(Duration::from_secs(2)), Duration::from_secs(7));
    }
}
