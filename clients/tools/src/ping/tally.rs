// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which probes were answered, and how fast.

use std::collections::BTreeMap;
use std::time::Duration;

use super::probe::Probe;

/// Probes that nobody waits for any more, of which it is remembered that their replies would be late: ten seconds of the fastest run.
const MAX_MISSED: usize = 1024;

/// What became of the probes of one run. Times are counted from the beginning of the run.
#[derive(Debug)]
pub(super) struct Tally {
    /// How long a reply may take.
    wait: Duration,
    sent: u64,
    received: u64,
    late: u64,
    duplicates: u64,
    /// When what is waited for was sent.
    waiting: BTreeMap<u64, Duration>,
    /// The same of what is not waited for any more.
    missed: BTreeMap<u64, Duration>,
    times: Times,
}

/// What a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It came in time, after so long.
    InTime(Duration),
    /// It came when nobody waited any more.
    Late(Duration),
    /// One more to a probe that was answered, or that is forgotten.
    Duplicate(Duration),
}

/// What a run comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// Probes sent.
    pub(super) transmitted: u64,
    /// Replies that came in time.
    pub(super) received: u64,
    /// Replies that came when nobody waited any more.
    pub(super) late: u64,
    /// Replies beyond the first to a probe.
    pub(super) duplicates: u64,
    /// Probes without a reply in time, of a million; the last ones of a run that was interrupted are among them.
    pub(super) loss_per_million: u64,
    /// Of the replies in time; nothing without any.
    pub(super) round_trip: Option<RoundTrip>,
}

/// Times of round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoundTrip {
    pub(super) min: Duration,
    pub(super) avg: Duration,
    pub(super) max: Duration,
    /// The standard deviation, as ping(8) has it.
    pub(super) mdev: Duration,
}

/// Sums of microseconds.
#[derive(Debug, Default)]
struct Times {
    count: u128,
    min: u128,
    max: u128,
    sum: u128,
    squares: u128,
}

impl Tally {
    /// Of a run in which a reply may take so long.
    pub(super) const fn new(wait: Duration) -> Self {
        Self {
            wait,
            sent: 0,
            received: 0,
            late: 0,
            duplicates: 0,
            waiting: BTreeMap::new(),
            missed: BTreeMap::new(),
            times: Times { count: 0, min: 0, max: 0, sum: 0, squares: 0 },
        }
    }

    /// The next probe, which is sent now.
    pub(super) fn send(&mut self, now: Duration) -> Probe {
        self.sent += 1;
        let sent = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        self.waiting.insert(self.sent, sent);
        Probe { seq: self.sent, sent }
    }

    /// Takes a reply; nothing if no such probe was sent.
    pub(super) fn hear(&mut self, reply: Probe, now: Duration) -> Option<Heard> {
        let took = now.saturating_sub(reply.sent);
        let is_it = |sent: &Duration| *sent == reply.sent;
        if let Some(sent) = self.waiting.get(&reply.seq) {
            if !is_it(sent) {
                return None;
            }
            self.waiting.remove(&reply.seq);
            if took > self.wait {
                self.late += 1;
                return Some(Heard::Late(took));
            }
            self.received += 1;
            self.times.add(took.as_micros());
            return Some(Heard::InTime(took));
        }
        if let Some(sent) = self.missed.get(&reply.seq) {
            if !is_it(sent) {
                return None;
            }
            self.missed.remove(&reply.seq);
            self.late += 1;
            return Some(Heard::Late(took));
        }
        if reply.seq == 0 || reply.seq > self.sent {
            return None;
        }
        self.duplicates += 1;
        Some(Heard::Duplicate(took))
    }

    /// A probe that nobody need wait for: no reply will come. Whether somebody did.
    pub(super) fn give_up(&mut self, seq: u64) -> bool {
        let Some(sent) = self.waiting.remove(&seq) else { return false };
        self.missed.insert(seq, sent);
        while self.missed.len() > MAX_MISSED {
            self.missed.pop_first();
        }
        true
    }

    /// The probe whose reply has taken too long by now, if there is one; call it until there is none.
    pub(super) fn overdue(&mut self, now: Duration) -> Option<u64> {
        let (&seq, &sent) = self.waiting.first_key_value()?;
        if now.saturating_sub(sent) < self.wait {
            return None;
        }
        self.give_up(seq);
        Some(seq)
    }

    /// When the next one is overdue.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|(_, sent)| *sent + self.wait)
    }

    /// How many are waited for.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many were sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// What it comes to.
    pub(super) fn summary(&self) -> Summary {
        let lost = u128::from(self.sent - self.received) * 1_000_000;
        let loss = lost.checked_div(u128::from(self.sent)).unwrap_or_default();
        Summary {
            transmitted: self.sent,
            received: self.received,
            late: self.late,
            duplicates: self.duplicates,
            loss_per_million: u64::try_from(loss).expect("invariant: at most a million"),
            round_trip: self.times.round_trip(),
        }
    }
}

impl Times {
    fn add(&mut self, micros: u128) {
        self.min = if self.count == 0 { micros } else { self.min.min(micros) };
        self.max = self.max.max(micros);
        self.count += 1;
        self.sum += micros;
        self.squares += micros * micros;
    }

    fn round_trip(&self) -> Option<RoundTrip> {
        let avg = self.sum.checked_div(self.count)?;
        // The mean of the squares less the square of the mean, with one division so that rounding cannot make it negative.
        let variance = (self.squares * self.count - self.sum * self.sum) / (self.count * self.count);
        let span = |micros: u128| Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        Some(RoundTrip {
            min: span(self.min),
            avg: span(avg),
            max: span(self.max),
            mdev: span(variance.isqrt()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn replies_are_in_time_late_or_duplicates() {
        let mut tally = Tally::new(at(1000));
        let probes: Vec<Probe> = (0..4).map(|index| tally.send(at(index * 100))).collect();
        assert_eq!(tally.hear(probes[1], at(150)), Some(Heard::InTime(at(50))));
        assert_eq!(tally.hear(probes[1], at(160)), Some(Heard::Duplicate(at(60))));
        assert_eq!((tally.deadline(), tally.overdue(at(999))), (Some(at(1000)), None));
        assert_eq!((tally.overdue(at(1000)), tally.overdue(at(1000))), (Some(1), None));
        assert_eq!(tally.hear(probes[0], at(1100)), Some(Heard::Late(at(1100))));
        assert_eq!(tally.hear(probes[0], at(1200)), Some(Heard::Duplicate(at(1200))));
        // It came before anybody looked at the clock, and too late all the same.
        assert_eq!(tally.hear(probes[2], at(1201)), Some(Heard::Late(at(1001))));
        assert_eq!((tally.give_up(4), tally.give_up(4), tally.waiting()), (true, false, 0));
        let summary = tally.summary();
        let counts = (summary.transmitted, summary.received, summary.late, summary.duplicates);
        assert_eq!(counts, (4, 1, 2, 2));
        assert_eq!(summary.loss_per_million, 750_000);
    }

    #[test]
    fn what_was_not_sent_is_no_reply() {
        let mut tally = Tally::new(at(10));
        let probe = tally.send(at(5));
        assert_eq!(tally.hear(Probe { seq: 2, ..probe }, at(6)), None);
        assert_eq!(tally.hear(Probe { seq: 0, ..probe }, at(6)), None);
        assert_eq!(tally.hear(Probe { sent: at(4), ..probe }, at(6)), None);
        tally.give_up(1);
        assert_eq!(tally.hear(Probe { sent: at(4), ..probe }, at(6)), None);
        assert_eq!(tally.summary().received, 0);
    }

    #[test]
    fn times_are_those_of_ping() {
        let mut tally = Tally::new(at(1000));
        assert_eq!(tally.summary().round_trip, None);
        assert_eq!(tally.summary().loss_per_million, 0);
        for millis in [2, 4, 4, 4, 5, 5, 7, 9] {
            let probe = tally.send(Duration::ZERO);
            tally.hear(probe, at(millis));
        }
        let round_trip = tally.summary().round_trip.unwrap();
        assert_eq!(round_trip, RoundTrip { min: at(2), avg: at(5), max: at(9), mdev: at(2) });
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut tally = Tally::new(at(1));
        let first = tally.send(at(0));
        for _ in 0..MAX_MISSED {
            tally.send(at(0));
        }
        while tally.overdue(at(5)).is_some() {}
        assert_eq!((tally.waiting(), tally.missed.len()), (0, MAX_MISSED));
        assert_eq!(tally.hear(first, at(6)), Some(Heard::Duplicate(at(6))), "forgotten");
    }
}
