// SPDX-License-Identifier: AGPL-3.0-or-later
//! What crosses a link now, for people.

use core::time::Duration;

use ratman_types::{SampleSource, Timestamp, Traffic};

use super::Estimate;

/// A rate that was not told again in this time is over.
const CURRENT: Duration = Duration::from_secs(5);

/// The last counts of the kernel, and of somebody else.
#[derive(Debug, Default)]
pub(super) struct Rates {
    kernel: Option<Estimate<Traffic>>,
    other: Option<Estimate<Traffic>>,
}

impl Rates {
    pub(super) fn add(&mut self, at: Timestamp, source: SampleSource, value: Traffic) {
        let estimate = Some(Estimate { value, source, at });
        match source {
            SampleSource::Kernel => self.kernel = estimate,
            SampleSource::Echo | SampleSource::Socket | SampleSource::Train => self.other = estimate,
        }
    }

    /// The kernel's, which sees whole packets and those of other programs, too; else the other's.
    pub(super) fn at(&self, now: Timestamp) -> Option<Estimate<Traffic>> {
        let current = |estimate: &Estimate<Traffic>| now.since(estimate.at) < CURRENT;
        self.kernel.filter(current).or(self.other.filter(current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::ByteCount;

    #[test]
    fn the_kernel_counts_while_it_speaks() {
        let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
        let traffic = |bytes| Traffic {
            over: Duration::from_secs(1),
            sent: ByteCount(bytes),
            received: ByteCount(bytes),
        };
        let mut rates = Rates::default();
        rates.add(at(1), SampleSource::Kernel, traffic(8));
        rates.add(at(4), SampleSource::Socket, traffic(7));
        let seen = |seconds| rates.at(at(seconds)).map(|estimate| (estimate.source, estimate.value));
        assert_eq!(seen(5), Some((SampleSource::Kernel, traffic(8))));
        assert_eq!(seen(6), Some((SampleSource::Socket, traffic(7))));
        assert_eq!(seen(9), None);
    }
}
