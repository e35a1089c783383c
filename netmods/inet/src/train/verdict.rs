// SPDX-License-Identifier: AGPL-3.0-or-later
//! What one train says about the link: the spacing of its last packets, where that is the link's and not the sender's.
//!
//! A shaper lets the first packets pass at once until its bucket is empty, so only the second half counts, and only if
//! both its halves agree. A train that fits in the bucket agrees too, at the sender's own speed; so a rate counts only
//! where the same packets were sent at least one and a half times as fast as they arrived (source: link metrics).

use std::collections::BTreeSet;
use std::time::Duration;

use ratman_wire::train::TrainReport;

/// The least arrivals that are judged: four in each quarter.
const LEAST: usize = 16;
/// How far the rates of the last two quarters may differ, in percent of the larger.
const AGREE: u64 = 15;

/// A train as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct SentTrain {
    pub(crate) number: u32,
    /// When each packet was sent, since the first.
    pub(crate) at: Vec<Duration>,
    /// Bytes of one packet on the wire.
    pub(crate) wire: u64,
}

/// What a train says. Rates are bytes per second on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The link spaced the packets at this rate.
    Rate(u64),
    /// They arrived as fast as they were sent: all of it passed at this rate, which may be a bucket's.
    AsSent(u64),
    /// The last quarters disagree: the bucket was not empty yet, or others were in the way.
    Open,
    /// Too little arrived.
    Lost,
    /// No report came.
    Unanswered,
}

/// Why a report is of no use though its MAC holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadReport {
    /// It is about another train.
    #[error("about another train")]
    Train,
    /// It tells of more packets, or other ones, than were sent.
    #[error("about packets that were not sent")]
    Packets,
}

impl SentTrain {
    /// How long the link took for what arrived, and what follows; `passed` since the train was sent.
    ///
    /// The neighbour's clock may be set meanwhile, or lie: it never took longer than has passed here.
    ///
    /// # Errors
    /// [`BadReport`] if it cannot be about this train.
    pub(crate) fn judge(
        &self,
        report: &TrainReport,
        passed: Duration,
    ) -> Result<(Duration, Verdict), BadReport> {
        if report.train != self.number {
            return Err(BadReport::Train);
        }
        let indices: BTreeSet<_> = report.arrivals.iter().map(|arrival| arrival.index).collect();
        let known = indices.last().is_none_or(|last| usize::from(*last) < self.at.len());
        if !known || indices.len() < report.arrivals.len() || usize::from(report.received) > self.at.len() {
            return Err(BadReport::Packets);
        }
        let took = report.arrivals.last().map_or(0, |last| last.micros);
        Ok((Duration::from_micros(took.into()).min(passed), self.verdict(report)))
    }

    fn verdict(&self, report: &TrainReport) -> Verdict {
        let last = report.arrivals.len().saturating_sub(1);
        if report.arrivals.len() < LEAST {
            return Verdict::Lost;
        }
        let quarter = report.arrivals.len() / 4;
        let (begin, middle) = (last - 2 * quarter, last - quarter);
        let [older, newer, both] =
            [(begin, middle), (middle, last), (begin, last)].map(|(from, to)| self.arrived(report, from, to));
        let Some(sent) = self.sent(report, begin, last) else { return Verdict::Open };
        if both.saturating_mul(3) > sent.saturating_mul(2) {
            return Verdict::AsSent(self.arrived(report, 0, last).min(sent));
        }
        if older.abs_diff(newer) > older.max(newer) / 100 * AGREE {
            Verdict::Open
        } else {
            Verdict::Rate(both)
        }
    }

    /// The rate at which packets between two arrivals came.
    fn arrived(&self, report: &TrainReport, from: usize, to: usize) -> u64 {
        let packets = (to - from) * TrainReport::every(report.received);
        let micros = report.arrivals[to].micros - report.arrivals[from].micros;
        self.rate(packets, micros.into())
    }

    /// The rate at which the packets between two arrivals were sent; nothing if they came in another order.
    fn sent(&self, report: &TrainReport, from: usize, to: usize) -> Option<u64> {
        let [from, to] = [from, to].map(|place| usize::from(report.arrivals[place].index));
        let packets = to.checked_sub(from).filter(|packets| *packets > 0)?;
        let micros = self.at[to].saturating_sub(self.at[from]).as_micros();
        Some(self.rate(packets, u64::try_from(micros).unwrap_or(u64::MAX)))
    }

    fn rate(&self, packets: usize, micros: u64) -> u64 {
        let bytes = u64::try_from(packets).unwrap_or(u64::MAX).saturating_mul(self.wire);
        bytes.saturating_mul(1_000_000) / micros.max(1)
    }
}

#[cfg(test)]
mod tests;
