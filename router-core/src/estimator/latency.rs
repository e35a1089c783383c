// SPDX-License-Identifier: AGPL-3.0-or-later
//! How long a link is, out of our own echoes and of what probes in the kernel saw. Each of them measures the way and what
//! it adds itself: an echo the signatures and the waking up of both ends, the kernel acknowledgements that wait. So the
//! smaller of both tenth percentiles is the nearer one.

use core::time::Duration;

use ratman_types::{RoundTrips, SampleSource, Timestamp};

use super::Estimate;
use super::round_trips::{Idle, RoundTripWindow};

/// Below so many round trips in the window the kernel saw too little for a percentile.
const ENOUGH_OF_THE_KERNEL: u64 = 10;

/// The round trips of both sources.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    echoes: RoundTripWindow,
    kernel: RoundTripWindow,
}

impl Latencies {
    pub(super) fn add_echo(&mut self, arrived: Timestamp, round_trip: Duration, loaded: bool) {
        self.echoes.add(arrived, round_trip, 1, loaded);
        self.kernel.forget(arrived);
    }

    /// Takes the percentiles of the kernel's round trips since its last sample; of none there are none.
    pub(super) fn add_kernel(&mut self, at: Timestamp, round_trips: &RoundTrips, loaded: bool) {
        if round_trips.count > 0 {
            self.kernel.add(at, round_trips.p10, round_trips.count, loaded);
        }
    }

    pub(super) fn mark_loaded(&mut self, since: Timestamp) {
        self.echoes.mark_loaded(since);
        self.kernel.mark_loaded(since);
    }

    /// The smaller tenth percentile; nothing before the first echo.
    pub(super) fn latency(&self) -> Option<Estimate<Duration>> {
        let estimate = |idle: Idle, source| Estimate { value: idle.round_trip, source, at: idle.at };
        let echo = estimate(self.echoes.idle()?, SampleSource::Echo);
        let enough = self.kernel.count() >= ENOUGH_OF_THE_KERNEL;
        let kernel = self.kernel.idle().filter(|_| enough).map(|idle| estimate(idle, SampleSource::Kernel));
        Some(kernel.filter(|kernel| kernel.value < echo.value).unwrap_or(echo))
    }

    /// The ninetieth percentile, of echoes alone: acknowledgements that wait would own the kernel's, and what judges
    /// whether echoes are late is how long echoes take.
    pub(super) fn loaded(&self) -> Option<Estimate<Duration>> {
        let (value, at) = (self.echoes.p90()?, self.echoes.newest()?);
        Some(Estimate { value, source: SampleSource::Echo, at })
    }

    pub(super) fn under_load(&self) -> Option<Duration> {
        self.echoes.under_load()
    }
}
