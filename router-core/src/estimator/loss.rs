// SPDX-License-Identifier: AGPL-3.0-or-later
//! What was lost towards the neighbour: the counts of the last minute, summed up.

use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::{Loss, SampleSource, Timestamp};

use super::Estimate;

/// Over which time losses are summed up: one in a thousand shows at a few packets a second.
const WINDOW: Duration = Duration::from_secs(60);
/// Samples kept: those of one source that tells every second, with some to spare.
const MAX_SAMPLES: usize = 64;

/// The counts of one source.
#[derive(Debug, Default)]
pub(super) struct Losses {
    // INVARIANT: at most MAX_SAMPLES, all of one source.
    samples: VecDeque<(Timestamp, Loss)>,
    source: Option<SampleSource>,
}

impl Losses {
    /// Takes the counts since the last sample. Two sources would count the same packets, so one counts: the one that
    /// began, until it says nothing for the length of the window.
    pub(super) fn add(&mut self, at: Timestamp, source: SampleSource, loss: Loss) {
        self.samples.retain(|(earlier, _)| at.since(*earlier) < WINDOW);
        if self.samples.is_empty() {
            self.source = Some(source);
        }
        if self.source != Some(source) {
            return;
        }
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back((at, loss));
    }

    /// The sums; nothing where nothing was sent.
    pub(super) fn at(&self, now: Timestamp) -> Option<Estimate<Loss>> {
        let recent = self.samples.iter().filter(|(at, _)| now.since(*at) < WINDOW);
        let none = Loss { sent: 0, lost: 0, reordered: false };
        let value = recent.fold(none, |sum, (_, loss)| Loss {
            sent: sum.sent.saturating_add(loss.sent),
            lost: sum.lost.saturating_add(loss.lost),
            reordered: sum.reordered || loss.reordered,
        });
        let (at, _) = self.samples.back()?;
        Some(Estimate { value, source: self.source?, at: *at }).filter(|estimate| estimate.value.sent > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn loss(sent: u64, lost: u64, reordered: bool) -> Loss {
        Loss { sent, lost, reordered }
    }

    #[test]
    fn a_minute_is_summed_up() {
        let mut losses = Losses::default();
        assert_eq!(losses.at(at(0)), None);
        losses.add(at(0), SampleSource::Socket, loss(0, 0, false));
        assert_eq!(losses.at(at(0)), None, "of nothing nothing is lost");
        losses.add(at(1), SampleSource::Socket, loss(100, 2, true));
        losses.add(at(2), SampleSource::Socket, loss(50, 0, false));
        let sum = Estimate { value: loss(150, 2, true), source: SampleSource::Socket, at: at(2) };
        assert_eq!(losses.at(at(2)), Some(sum));
        let later = Estimate { value: loss(50, 0, false), ..sum };
        assert_eq!(
            losses.at(at(61)),
            Some(later),
            "packets that were overtaken a minute ago are forgotten, too"
        );
        assert_eq!(losses.at(at(62)), None);
    }

    #[test]
    fn packets_are_not_counted_twice() {
        let mut losses = Losses::default();
        losses.add(at(1), SampleSource::Socket, loss(100, 2, false));
        losses.add(at(2), SampleSource::Kernel, loss(100, 2, false));
        assert_eq!(losses.at(at(2)).map(|sum| sum.value), Some(loss(100, 2, false)));
        losses.add(at(61), SampleSource::Kernel, loss(10, 1, false));
        assert_eq!(losses.at(at(61)).map(|sum| sum.source), Some(SampleSource::Kernel));
    }

    #[test]
    fn samples_are_limited_and_sums_saturate() {
        let mut losses = Losses::default();
        for _ in 0..2 * MAX_SAMPLES {
            losses.add(at(1), SampleSource::Socket, loss(u64::MAX, u64::MAX, false));
        }
        assert_eq!(losses.samples.len(), MAX_SAMPLES);
        assert_eq!(losses.at(at(1)).map(|sum| sum.value), Some(loss(u64::MAX, u64::MAX, false)));
    }
}
