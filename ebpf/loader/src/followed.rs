// SPDX-License-Identifier: AGPL-3.0-or-later
//! What was read of a conversation before, and what came since.

use std::time::Duration;

use ebpf_abi::{BUCKETS, Counters, Histogram};
use ratman_types::{ByteCount, Hop, LinkSample, RoundTrips, SampleSource, Timestamp, Traffic};

use crate::maps::Place;
use crate::percentile::percentile;

/// A conversation that is counted.
pub(crate) struct Followed {
    /// The hop that it belongs to.
    pub(crate) hop: Hop,
    /// Where the kernel counts it.
    pub(crate) place: Place,
    counters: Counters,
    histogram: Box<Histogram>,
    /// When it was last read; nothing before the first time.
    read: Option<Timestamp>,
}

impl Followed {
    /// One whose counters are all zero.
    pub(crate) fn new(hop: Hop, place: Place) -> Self {
        Self { hop, place, counters: Counters::default(), histogram: Box::new(Histogram::EMPTY), read: None }
    }

    /// Whether there may be round trips that were not read yet: they end with a packet from the neighbour.
    pub(crate) fn has_heard(&self, counters: &Counters) -> bool {
        counters.received_packets != self.counters.received_packets
    }

    /// Adds to `since` what came since the last call.
    pub(crate) fn advance(
        &mut self,
        counters: Counters,
        histogram: Option<Histogram>,
        now: Timestamp,
        since: &mut Since,
    ) {
        // How long the first bytes took to come is not known; they are the point to count from.
        if let Some(read) = self.read.replace(now)
            && is_seen(&counters)
        {
            let over = now.since(read);
            let sent = counters.sent_bytes.wrapping_sub(self.counters.sent_bytes);
            let received = counters.received_bytes.wrapping_sub(self.counters.received_bytes);
            since.add_traffic(Traffic { over, sent: ByteCount(sent), received: ByteCount(received) });
        }
        self.counters = counters;
        if let Some(histogram) = histogram {
            let pairs = histogram.counts.iter().zip(&self.histogram.counts);
            for (sum, (new, old)) in since.counts.iter_mut().zip(pairs) {
                *sum = sum.saturating_add(new.wrapping_sub(*old));
            }
            *self.histogram = histogram;
        }
    }
}

/// Whether packets match the conversation at all, each way. Where they do not (addresses that this host translates, IPsec, an
/// answer that comes over another interface) the kernel says zero, which must not stand for what the socket knows better.
const fn is_seen(counters: &Counters) -> bool {
    counters.sent_packets != 0 && counters.received_packets != 0
}

/// What came over a hop, in one conversation or several, since it was last asked.
pub(crate) struct Since {
    traffic: Option<Traffic>,
    counts: Box<[u32; BUCKETS]>,
}

impl Since {
    pub(crate) fn nothing() -> Self {
        Self { traffic: None, counts: Box::new([0; BUCKETS]) }
    }

    fn add_traffic(&mut self, more: Traffic) {
        let before = self.traffic.unwrap_or(Traffic {
            over: Duration::ZERO,
            sent: ByteCount(0),
            received: ByteCount(0),
        });
        self.traffic = Some(Traffic {
            over: before.over.max(more.over),
            sent: ByteCount(before.sent.0.saturating_add(more.sent.0)),
            received: ByteCount(before.received.0.saturating_add(more.received.0)),
        });
    }

    /// It as a sample; nothing where there is nothing to tell.
    pub(crate) fn sample(&self, now: Timestamp) -> Option<LinkSample> {
        let round_trips = self.round_trips();
        if self.traffic.is_none() && round_trips.is_none() {
            return None;
        }
        Some(LinkSample { round_trips, traffic: self.traffic, ..LinkSample::new(now, SampleSource::Kernel) })
    }

    fn round_trips(&self) -> Option<RoundTrips> {
        let count = self.counts.iter().fold(0u32, |sum, count| sum.saturating_add(*count));
        let (p10, p90) = (percentile(&self.counts, 10)?, percentile(&self.counts, 90)?);
        Some(RoundTrips { p10, p90, count })
    }
}

#[cfg(test)]
mod tests;
