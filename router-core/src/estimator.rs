// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is known of one link: out of the samples of several sources one figure for each quantity, with its source and
//! its time. What nobody measured is unknown, never guessed (decisions/what-a-link-is-taken-to-be.md).

mod capacity;
mod latency;
mod load;
mod loss;
mod round_trips;
mod traffic;

use core::time::Duration;

use ratman_types::{Bandwidth, Capacity, LinkSample, Loss, SampleSource, Timestamp, Traffic};

use capacity::CapacityEstimate;
use latency::Latencies;
use load::Load;
use loss::Losses;
use traffic::Rates;

/// A figure, who measured it, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate<T> {
    /// The figure.
    pub value: T,
    /// Who measured it.
    pub source: SampleSource,
    /// When it was last measured or confirmed.
    pub at: Timestamp,
}

/// What is known of one link.
#[derive(Debug, Default)]
pub(crate) struct Estimator {
    latencies: Latencies,
    capacity: CapacityEstimate,
    losses: Losses,
    rates: Rates,
    load: Load,
}

impl Estimator {
    /// Takes the round trip of an echo of ours.
    pub(crate) fn add_echo(&mut self, arrived: Timestamp, round_trip: Duration) {
        self.latencies.add_echo(arrived, round_trip, self.load.covers(arrived));
    }

    /// Takes what somebody else measured. A time that has not come yet counts as now.
    pub(crate) fn add_sample(&mut self, sample: &LinkSample, now: Timestamp) {
        let (at, source) = (sample.at.min(now), sample.source);
        if let Some(capacity) = sample.capacity {
            self.capacity.add(at, source, capacity);
        }
        if let Some(traffic) = sample.traffic {
            self.rates.add(at, source, traffic);
            self.capacity.note_sent(at, source, &traffic);
            self.note_traffic(at, &traffic);
        }
        if let Some(round_trips) = sample.round_trips.filter(|_| source == SampleSource::Kernel) {
            self.latencies.add_kernel(at, &round_trips, self.load.covers(at));
        }
        if let Some(loss) = sample.loss {
            self.losses.add(at, source, loss);
        }
    }

    /// Takes what crossed the link: round trips of a busy time say how long its queue is, not how long the link.
    pub(crate) fn note_traffic(&mut self, at: Timestamp, traffic: &Traffic) {
        if self.load.note(at, traffic, self.bandwidth(at)) {
            self.latencies.mark_loaded(at - traffic.over);
        }
    }

    /// The round trip of the link without a queue; nothing before the first echo reply.
    pub(crate) fn latency(&self) -> Option<Estimate<Duration>> {
        self.latencies.latency()
    }

    /// The round trip of an echo under the load of the last 30 s, its ninetieth percentile.
    pub(crate) fn loaded_latency(&self) -> Option<Estimate<Duration>> {
        self.latencies.loaded()
    }

    /// The tenth percentile of the last 30 s with the queue in it, where [`Estimator::latency`] is only remembered from
    /// before the load.
    pub(crate) fn latency_under_load(&self) -> Option<Duration> {
        self.latencies.under_load()
    }

    /// Whether a queue may have stood in front of what arrived at this time.
    pub(crate) fn is_loaded(&self, at: Timestamp) -> bool {
        self.load.covers(at)
    }

    /// What the link carries, as far as anybody knows.
    pub(crate) fn capacity(&self, now: Timestamp) -> Option<Estimate<Capacity>> {
        self.capacity.at(now)
    }

    /// The measured capacity; a bound is none.
    pub(crate) fn bandwidth(&self, now: Timestamp) -> Bandwidth {
        match self.capacity(now).map(|estimate| estimate.value) {
            Some(Capacity::Measured(bandwidth)) => bandwidth,
            Some(Capacity::AtLeast(_)) | None => Bandwidth::UNKNOWN,
        }
    }

    /// What was lost lately, all counts summed up.
    pub(crate) fn loss(&self, now: Timestamp) -> Option<Estimate<Loss>> {
        self.losses.at(now)
    }

    /// What crosses the link now.
    pub(crate) fn traffic(&self, now: Timestamp) -> Option<Estimate<Traffic>> {
        self.rates.at(now)
    }
}

#[cfg(test)]
mod tests;
