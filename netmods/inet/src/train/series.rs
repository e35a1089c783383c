// SPDX-License-Identifier: AGPL-3.0-or-later
//! How many trains of which length make a figure: single trains are up to a tenth off, and a bucket may be larger than a
//! short one.

use std::time::Duration;

use ratman_types::{Bandwidth, Capacity};

use super::verdict::Verdict;

/// Packets of a train: the longer ones only where the shorter say nothing. The first is a burst as any application has
/// them, and says only whether the link bears the others.
const LENGTHS: [u16; 5] = [16, 64, 128, 256, 512];
/// A link that took longer for the first train gets no others: 64 packets would stand for a fifth of a second in the way
/// of a call, and TCP finds out what so slow a link carries.
const SLOW: Duration = Duration::from_millis(50);
/// Trains of one length that have to agree,
const ENOUGH: usize = 3;
/// how far the largest of them may be above the smallest, in percent,
const AGREE: u64 = 15;
/// and how many are sent in all before it is given up.
const MOST: u32 = 12;
/// Trains without a verdict, of one length, before a longer one is tried.
const PATIENCE: u32 = 2;
/// A link that took longer for a train gets no longer one: it would stand in everybody's way.
const LONG: Duration = Duration::from_millis(100);
/// The silence between two trains: at least this, and as long again as the last one took, so that queues empty and
/// buckets fill.
const PAUSE: Duration = Duration::from_millis(200);

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another train of so many packets, after a pause.
    Train(u16, Duration),
    /// It is over: this is what was found, or nothing.
    Over(Option<Capacity>),
}

/// Trains in a row that measure one link once.
#[derive(Debug, Default)]
pub(crate) struct Series {
    length: usize,
    /// The longest that the link bears, in packets, where it is in use.
    longest: Option<u16>,
    rates: Vec<u64>,
    failures: u32,
    trains: u32,
}

impl Series {
    /// Of a link in use that bears trains of so many packets; none where the shortest that counts is longer.
    pub(crate) fn beside_use(longest: u16) -> Option<Self> {
        (longest >= LENGTHS[1]).then(|| Self { length: 1, longest: Some(longest), ..Self::default() })
    }

    /// The packets of the first train.
    pub(crate) fn first(&self) -> u16 {
        LENGTHS[self.length]
    }

    /// What a train said, and how long the link took for it.
    pub(crate) fn next(&mut self, took: Duration, verdict: Verdict) -> Next {
        self.trains += 1;
        if self.length == 0 && verdict != Verdict::Unanswered {
            return if took <= SLOW && self.grows(took) { self.again(took) } else { Next::Over(None) };
        }
        match verdict {
            Verdict::Rate(rate) => self.rates.push(rate),
            Verdict::AsSent(rate) => {
                // A fast link, or a bucket: only the longest train may tell, and none that ends where others would wait.
                if self.grows(took) {
                    return self.again(took);
                }
                let tells = self.longest.is_none() || self.length + 1 == LENGTHS.len();
                return if tells { over(Capacity::AtLeast, rate) } else { Next::Over(None) };
            }
            Verdict::Open | Verdict::Lost | Verdict::Unanswered => {
                self.failures += 1;
                if self.failures >= PATIENCE && (verdict != Verdict::Open || !self.grows(took)) {
                    return Next::Over(None);
                }
            }
        }
        self.rates.sort_unstable();
        let agrees = |rates: &&[u64]| rates[ENOUGH - 1] - rates[0] <= rates[0] / 100 * AGREE;
        match self.rates.windows(ENOUGH).find(agrees) {
            Some(rates) => over(Capacity::Measured, rates[ENOUGH / 2]),
            None if self.trains >= MOST => Next::Over(None),
            None => self.again(took),
        }
    }

    fn again(&self, took: Duration) -> Next {
        if self.trains >= MOST { Next::Over(None) } else { Next::Train(LENGTHS[self.length], PAUSE + took) }
    }

    /// Goes on with longer trains, if there are any that the link bears.
    fn grows(&mut self, took: Duration) -> bool {
        let longer = LENGTHS.get(self.length + 1);
        let grows =
            took < LONG && longer.is_some_and(|longer| self.longest.is_none_or(|most| *longer <= most));
        if grows {
            self.length += 1;
            self.failures = 0;
            self.rates.clear();
        }
        grows
    }
}

fn over(capacity: impl FnOnce(Bandwidth) -> Capacity, rate: u64) -> Next {
    Next::Over(Some(capacity(Bandwidth::from_bytes_per_second(u32::try_from(rate).unwrap_or(u32::MAX)))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const AFTER: Duration = Duration::from_millis(205);

    fn said(kind: impl FnOnce(Bandwidth) -> Capacity, rate: u32) -> Next {
        Next::Over(Some(kind(Bandwidth::from_bytes_per_second(rate))))
    }

    /// A series that has seen that the link is not slow.
    fn begun() -> Series {
        let mut series = Series::default();
        assert_eq!(series.next(SHORT, Verdict::AsSent(9)), Next::Train(64, AFTER));
        series
    }

    #[test]
    fn three_trains_that_agree_are_enough_and_one_that_does_not_is_left_out() {
        let mut series = begun();
        assert_eq!(series.next(SHORT, Verdict::Rate(1000)), Next::Train(64, AFTER));
        assert_eq!(series.next(SHORT, Verdict::Rate(2000)), Next::Train(64, AFTER));
        assert_eq!(series.next(SHORT, Verdict::Rate(1100)), Next::Train(64, AFTER));
        assert_eq!(series.next(SHORT, Verdict::Rate(1050)), said(Capacity::Measured, 1050));
    }

    #[test]
    fn a_link_in_use_gets_the_trains_that_count_at_once_and_none_that_are_too_long() {
        assert_eq!(Series::default().first(), 16);
        assert!(Series::beside_use(63).is_none());
        let mut series = Series::beside_use(64).unwrap();
        assert_eq!(series.first(), 64);
        assert_eq!(series.next(SHORT, Verdict::Rate(1000)), Next::Train(64, AFTER));
        assert_eq!(series.next(SHORT, Verdict::Rate(1000)), Next::Train(64, AFTER));
        assert_eq!(series.next(SHORT, Verdict::Rate(1000)), said(Capacity::Measured, 1000));
        assert_eq!(Series::beside_use(127).unwrap().next(SHORT, Verdict::AsSent(9)), Next::Over(None));
        let longest = Series { length: LENGTHS.len() - 1, longest: Some(9999), ..Series::default() }
            .next(SHORT, Verdict::AsSent(9));
        assert_eq!(longest, said(Capacity::AtLeast, 9));
        assert_eq!(Series::beside_use(128).unwrap().next(SHORT, Verdict::AsSent(9)), Next::Train(128, AFTER));
    }

    #[test]
    fn longer_trains_come_where_short_ones_say_nothing() {
        let mut series = begun();
        assert_eq!(series.next(SHORT, Verdict::Open), Next::Train(64, AFTER));
        assert_eq!(series.next(SHORT, Verdict::Open), Next::Train(128, AFTER));
        assert_eq!(series.next(SHORT, Verdict::AsSent(9)), Next::Train(256, AFTER));
        assert_eq!(series.next(SHORT, Verdict::AsSent(9)), Next::Train(512, AFTER));
        assert_eq!(series.next(SHORT, Verdict::AsSent(9)), said(Capacity::AtLeast, 9));
    }

    #[test]
    fn a_slow_link_gets_no_longer_trains_and_a_deaf_one_none_at_all() {
        let mut series = begun();
        assert_eq!(series.next(LONG, Verdict::Open), Next::Train(64, PAUSE + LONG));
        assert_eq!(series.next(LONG, Verdict::Open), Next::Over(None));
        let mut series = Series::default();
        assert_eq!(series.next(Duration::ZERO, Verdict::Unanswered), Next::Train(16, PAUSE));
        assert_eq!(series.next(Duration::ZERO, Verdict::Unanswered), Next::Over(None));
    }

    #[test]
    fn the_first_train_says_only_how_slow_the_link_is() {
        let slow = SLOW + Duration::from_micros(1);
        for verdict in [Verdict::Rate(9), Verdict::AsSent(9), Verdict::Open, Verdict::Lost] {
            assert_eq!(Series::default().next(slow, verdict), Next::Over(None), "{verdict:?}");
            let mut series = Series::default();
            assert_eq!(series.next(SLOW, verdict), Next::Train(64, PAUSE + SLOW), "{verdict:?}");
            assert_eq!(series.next(SHORT, Verdict::Rate(1000)), Next::Train(64, AFTER));
            assert_eq!(
                series.next(SHORT, Verdict::Rate(1000)),
                Next::Train(64, AFTER),
                "it counts for nothing"
            );
            assert_eq!(series.next(SHORT, Verdict::Rate(1000)), said(Capacity::Measured, 1000));
        }
    }

    proptest! {
        #[test]
        fn every_series_ends(verdicts in prop::collection::vec((0_u8..5, 0_u64..5000, 0_u64..200), 12)) {
            let mut series = Series::default();
            let over = verdicts.into_iter().any(|(kind, rate, took)| {
                let verdict = [
                    Verdict::Rate(rate),
                    Verdict::AsSent(rate),
                    Verdict::Open,
                    Verdict::Lost,
                    Verdict::Unanswered,
                ][usize::from(kind)];
                matches!(series.next(Duration::from_millis(took), verdict), Next::Over(_))
            });
            prop_assert!(over);
        }
    }
}
