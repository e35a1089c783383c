// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the path behind one connection carries, and what follows for how much may lie in the kernel and in flight.
//!
//! Whatever lies there is a queue that nothing of ours can overtake. A congestion control that fills buffers (cubic,
//! the default of Linux) fills those of a slow hop for hundreds of milliseconds; so the kernel gets only so much to
//! send as keeps the path busy. Knows no socket: samples come in, [`Bounds`] come out.

use std::collections::VecDeque;
use std::time::Duration;

use netmod_api::MAX_UNIT;
use ratman_types::{ByteCount, Timestamp};

/// Samples closer than this say nothing new; a system call each is nothing beside 10 ms of sending.
pub(crate) const INTERVAL: Duration = Duration::from_millis(10);
/// The least time over which a rate is taken: a shaper's burst of 32 KiB that passes at once makes 50 Mbit/s look
/// like 63 then, and not like the line behind it.
const SHORTEST: Duration = Duration::from_millis(20);
/// The most: between samples further apart the link was idle for some time.
const LONGEST: Duration = Duration::from_millis(250);
/// Rates of which the largest counts: 2 s at least of a busy link, so that a moment without acknowledgements, or of
/// another's traffic, does not choke it.
const RATES: usize = 100;
/// What may stand in a queue on the way beside what a round trip carries: bursts, and the wake-ups of both ends.
const SLACK: Duration = Duration::from_millis(5);
/// What is sent within this time may wait unsent in the kernel.
const UNSENT_TIME: Duration = Duration::from_millis(1);
/// The bounds of what may wait unsent (`TCP_NOTSENT_LOWAT`), in bytes: a frame of 16 KiB, and half a super-packet, which
/// keeps a fast line busy until the next call (measured: more only makes others wait longer).
const UNSENT: (u64, u64) = (16 * 1024, 32 * 1024);
/// What is sent within this time may leave by one write, though nothing overtakes it then.
const WRITE_TIME: Duration = Duration::from_micros(500);
/// The least line, in bytes sent within that time, whose writes are not cut: a super-packet.
const WHOLE: u64 = 64 * 1024;
/// What is handed over in one call, which nothing overtakes either, is sent within this time; and the least that is: a few
/// packets, below which calls only get dearer.
const UNIT_TIME: Duration = Duration::from_millis(1);
const LEAST_UNIT: u64 = 4 * 1024;
/// The least that may be in flight: one frame of any size.
const LEAST_IN_FLIGHT: u64 = 36 * 1024;
/// The most of it, in bytes: 5 ms of 150 Mbit/s, and a fraction of a millisecond of a fast line. Without it the receive window
/// of such a line, megabytes, is a queue of milliseconds in front of a busy receiver (measured: ping beside a stream 1.3 ms
/// without, 0.85 ms with twice as much, 0.65 ms so; the same throughput within 5 %).
const MOST_SLACK: u64 = 96 * 1024;
/// From here on, a long and fast path, the kernel's autotuning is left alone: `SO_SNDBUF` does not go far beyond
/// (`net.core.wmem_max`), and a queue is short beside such a round trip.
const MOST_IN_FLIGHT: u64 = 512 * 1024;
/// A queue on the way that is not ours: round trips that take this much longer than ours can make them.
const FOREIGN: Duration = Duration::from_millis(20);
/// How long we fill queues like everybody else before we look again whether the other traffic is gone.
const CROWDED: Duration = Duration::from_secs(5);
/// From here on, as a part in ten of what it was, a rate or a bound counts as fallen.
const FALLEN: u64 = 8;
/// And up to here as the same: samples of one path are a few percent apart.
const SAME: u64 = 9;
/// How many of the latest rates say what the path carries now.
const LATEST: usize = 10;
/// As many rates above those say that there was more once: fewer are a shaper's burst.
const SEVERAL: usize = 10;
/// For how long a path is believed to be longer than the kernel says before it is tried again.
const BELIEVED: Duration = Duration::from_secs(60);
/// How long a bound is in force before round trips are judged by it: what was sent before has left by then.
const SETTLED: Duration = Duration::from_secs(1);

/// What the kernel tells of a connection, while data waits for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    /// Bytes acknowledged since the connection began (`tcpi_bytes_acked`).
    pub(crate) acked: u64,
    /// How long there was something to send, since the connection began (`tcpi_busy_time`).
    pub(crate) busy: Duration,
    /// The smoothed round trip (`tcpi_rtt`).
    pub(crate) rtt: Duration,
    /// The shortest round trip of the last minutes (`tcpi_min_rtt`).
    pub(crate) min_rtt: Duration,
}

/// What the kernel may hold of what we send, and get at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes unsent.
    pub(crate) unsent: u32,
    /// Bytes unsent and in flight together; none leaves it to the kernel.
    pub(crate) in_flight: Option<u32>,
    /// Bytes of one call ([`Outbox::unit`](netmod_api::Outbox::unit)).
    pub(crate) unit: usize,
    /// How the kernel gets it.
    pub(crate) writes: Writes,
}

/// How much is written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// As much as the kernel takes.
    Any,
    /// Whole calls, each once the kernel has room: what did not fit would have to be copied, and could not be overtaken.
    Whole,
    /// So many bytes, once the kernel has room.
    Cut(usize),
}

impl Bounds {
    /// While nothing is known.
    pub(crate) const NONE: Self =
        Self { unsent: 128 * 1024, in_flight: None, unit: MAX_UNIT, writes: Writes::Any };
}

/// The path of one connection.
#[derive(Debug, Default)]
pub(crate) struct Path {
    last: Option<Timestamp>,
    /// Where the rate that is being taken began.
    begin: Option<Sample>,
    /// The latest rates, in bytes per second.
    rates: VecDeque<u64>,
    /// Since when a bound is in force.
    bounded: Option<Timestamp>,
    /// Until when there is none, because of others.
    crowded: Option<Timestamp>,
    /// The bound in force, and what is learnt from it.
    held: Option<Held>,
    /// A shortest round trip above the kernel's, and since when.
    longer: Option<(Timestamp, Duration)>,
}

/// A bound of what may be in flight.
///
/// That round trips become longer and the rate falls has two explanations: the path became slower, and a queue stands there; or
/// it became longer, and what may be in flight is too little. A smaller bound tells them apart: the queue gets shorter and the
/// rate stays, or the rate falls once more and the round trips stay. Without this a bound that is too small makes the rate fall, and
/// that the bound, until little is left.
#[derive(Clone, Copy, Debug)]
struct Held {
    since: Timestamp,
    bytes: u64,
    /// The rate and the round trip under the larger bound before, until it is known what this one did.
    before: Option<(u64, Duration)>,
}

impl Path {
    /// Whether another sample is worth its system call.
    pub(crate) fn wants_sample(&self, now: Timestamp) -> bool {
        self.last.is_none_or(|last| now.since(last) >= INTERVAL)
    }

    /// Learns from a sample.
    pub(crate) fn sample(&mut self, sample: Sample) -> Bounds {
        self.last = Some(sample.at);
        self.take_rate(sample);
        let Some(rate) = self.rates.iter().copied().max() else { return Bounds::NONE };
        let (least, most) = UNSENT;
        let unsent = u32::try_from(carried(rate, UNSENT_TIME).clamp(least, most)).unwrap_or(u32::MAX);
        let sample = Sample { min_rtt: self.shortest(&sample), ..sample };
        let slack = carried(rate, SLACK).min(MOST_SLACK);
        let round_trip = carried(rate, sample.min_rtt);
        // A second round trip at least, where it is the longer: for round trips that are not the shortest.
        let in_flight = round_trip.saturating_add(slack.max(round_trip)).max(LEAST_IN_FLIGHT);
        let in_flight = u32::try_from(in_flight).ok().filter(|bytes| u64::from(*bytes) < MOST_IN_FLIGHT);
        let in_flight = in_flight.filter(|_| !self.is_crowded(&sample));
        match in_flight {
            Some(bytes) => {
                self.bounded = self.bounded.or(Some(sample.at));
                self.hold(&sample, bytes.into());
            }
            None => (self.bounded, self.held) = (None, None),
        }
        let unit = usize::try_from(carried(rate, UNIT_TIME).max(LEAST_UNIT))
            .map_or(MAX_UNIT, |unit| unit.min(MAX_UNIT));
        let writes = if carried(rate, WRITE_TIME) < WHOLE {
            Writes::Cut(usize::try_from(unsent).unwrap_or(usize::MAX))
        } else {
            Writes::Whole
        };
        Bounds { unsent, in_flight, unit, writes }
    }

    /// Whether the rate has fallen and it is not known yet what that means.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let latest = self.latest();
        let faster = self.rates.iter().filter(|rate| latest * 10 < *rate * FALLEN).count();
        faster >= SEVERAL || self.held.is_some_and(|held| held.before.is_some())
    }

    /// What the path carries now, in bytes per second.
    fn latest(&self) -> u64 {
        self.rates.iter().rev().take(LATEST).copied().max().unwrap_or_default()
    }

    /// The shortest round trip of this path, which the kernel remembers for minutes after it became longer.
    fn shortest(&mut self, sample: &Sample) -> Duration {
        self.longer = self.longer.filter(|(since, rtt)| {
            sample.at.since(*since) < BELIEVED
                && u128::from(SAME) * rtt.as_micros() <= 10 * sample.rtt.as_micros()
        });
        self.longer.map_or(sample.min_rtt, |(_, rtt)| rtt.max(sample.min_rtt))
    }

    /// A bound is in force; learns what it does.
    fn hold(&mut self, sample: &Sample, bytes: u64) {
        let latest = self.latest();
        let held = self.held.get_or_insert(Held { since: sample.at, bytes, before: None });
        if bytes * 10 <= held.bytes * FALLEN {
            *held = Held { since: sample.at, bytes, before: Some((latest, sample.rtt)) };
        } else if bytes * FALLEN >= held.bytes * 10 {
            *held = Held { since: sample.at, bytes, before: None };
        } else if sample.at.since(held.since) > SETTLED + sample.rtt
            && let Some((rate, rtt)) = held.before.take()
            && latest * 10 < rate * SAME
            && sample.rtt.as_micros() * 10 >= rtt.as_micros() * u128::from(SAME)
        {
            self.longer = Some((sample.at, sample.rtt));
        }
    }

    fn take_rate(&mut self, sample: Sample) {
        let Some(begin) = self.begin else { return self.begin = Some(sample) };
        let elapsed = sample.at.since(begin.at);
        if elapsed < SHORTEST {
            return;
        }
        self.begin = Some(sample);
        let busy = sample.busy.saturating_sub(begin.busy);
        if elapsed > LONGEST || busy < elapsed / 10 * 9 {
            return;
        }
        if self.rates.len() == RATES {
            self.rates.pop_front();
        }
        self.rates.extend(ByteCount(sample.acked.saturating_sub(begin.acked)).per_second(elapsed));
    }

    /// Whether others fill the queues on the way, or the way became longer than the kernel remembers: then a bound
    /// would only give our share to them, or starve us.
    fn is_crowded(&mut self, sample: &Sample) -> bool {
        if self.crowded.is_some_and(|until| sample.at < until) {
            return true;
        }
        self.crowded = None;
        let settled = self.bounded.is_some_and(|since| sample.at.since(since) > SETTLED + sample.rtt);
        // What is ours in flight takes two round trips and the slack.
        let own = 3 * sample.min_rtt + 2 * SLACK;
        if settled && sample.rtt > own + FOREIGN {
            self.crowded = Some(sample.at + CROWDED);
        }
        self.crowded.is_some()
    }
}

/// Bytes that a rate carries in some time.
pub(crate) fn carried(rate: u64, time: Duration) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    rate.saturating_mul(micros) / 1_000_000
}

#[cfg(test)]
mod tests;
