// SPDX-License-Identifier: AGPL-3.0-or-later
//! What was measured: the figures of one run, and medians and ratios over the rounds.

use serde::Serialize;

/// What one run of a subject showed, or the median of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// One TCP stream from A to B, Mbit/s.
    pub(crate) tcp_mbit: f64,
    /// One TCP stream from B to A, Mbit/s.
    pub(crate) tcp_reverse_mbit: f64,
    /// Segments that A sent again.
    pub(crate) retransmissions: f64,
    /// Median round trip on an idle tunnel, in milliseconds.
    pub(crate) ping_idle_ms: f64,
    /// Median round trip beside the stream from A to B.
    pub(crate) ping_loaded_ms: f64,
    /// The round trip that 95 % do not exceed, beside the stream.
    pub(crate) ping_loaded_p95_ms: f64,
    /// Datagrams of 64 bytes per second that B received.
    pub(crate) udp64_pps: f64,
    /// Processor time of all processes of the tunnel for 10⁹ bytes from A to B, in seconds; nothing where it has none.
    pub(crate) cpu_s_per_gb: Option<f64>,
    /// Peak resident memory of the largest end after both streams, in MiB.
    pub(crate) rss_mib: Option<f64>,
    /// The highest share of stolen time in any of the measurements, in percent.
    pub(crate) steal_percent: f64,
}

/// One run of one subject.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    /// Name of the subject.
    pub(crate) subject: String,
    /// In which round, from 1.
    pub(crate) round: u32,
    /// How often it was measured because time was stolen; the calmest attempt counts.
    pub(crate) attempts: u32,
    /// What it showed.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// With figures.
    Figures(Figures),
    /// The subject did not come up, or a measurement did not end.
    Failure(String),
}

/// All runs so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(pub(crate) Vec<Run>);

/// One column of [`Figures`].
pub(crate) type Quantity = fn(&Figures) -> Option<f64>;

impl Run {
    pub(crate) fn figures(&self) -> Option<&Figures> {
        match &self.outcome {
            Outcome::Figures(figures) => Some(figures),
            Outcome::Failure(_) => None,
        }
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Figures(_) => None,
            Outcome::Failure(reason) => Some(reason),
        }
    }
}

impl Runs {
    pub(crate) fn of<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a Run> {
        self.0.iter().filter(move |run| run.subject == subject)
    }

    /// The median of each figure over the runs that ended well; of the steal time the highest.
    pub(crate) fn median(&self, subject: &str) -> Option<Figures> {
        let figures: Vec<&Figures> = self.of(subject).filter_map(Run::figures).collect();
        let of = |quantity: Quantity| median(figures.iter().filter_map(|one| quantity(one)).collect());
        Some(Figures {
            tcp_mbit: of(|one| Some(one.tcp_mbit))?,
            tcp_reverse_mbit: of(|one| Some(one.tcp_reverse_mbit))?,
            retransmissions: of(|one| Some(one.retransmissions))?,
            ping_idle_ms: of(|one| Some(one.ping_idle_ms))?,
            ping_loaded_ms: of(|one| Some(one.ping_loaded_ms))?,
            ping_loaded_p95_ms: of(|one| Some(one.ping_loaded_p95_ms))?,
            udp64_pps: of(|one| Some(one.udp64_pps))?,
            cpu_s_per_gb: of(|one| one.cpu_s_per_gb),
            rss_mib: of(|one| one.rss_mib),
            steal_percent: figures.iter().map(|one| one.steal_percent).fold(0.0, f64::max),
        })
    }

    /// The median over the rounds of one subject's figure divided by another's of the same round.
    ///
    /// Within a round the two are measured shortly after each other, so that a drift of the machine's speed cancels out.
    pub(crate) fn ratio(&self, subject: &str, to: &str, quantity: Quantity) -> Option<f64> {
        let ratios = self.of(subject).filter_map(|run| {
            let reference = self.of(to).find(|other| other.round == run.round)?.figures()?;
            let (figure, reference) = (quantity(run.figures()?)?, quantity(reference)?);
            (reference > 0.0).then_some(figure / reference)
        });
        median(ratios.collect())
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// The value that `percent` of all do not exceed (nearest rank).
pub(crate) fn percentile(mut values: Vec<f64>, percent: usize) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn run(subject: &str, round: u32, tcp_mbit: f64) -> Run {
        let figures = Figures { tcp_mbit, ..Figures::default() };
        Run { subject: subject.into(), round, attempts: 1, outcome: Outcome::Figures(figures) }
    }

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(hundred, 95), Some(95.0));
        assert_eq!(percentile(vec![7.0], 95), Some(7.0));
        assert_eq!(percentile(vec![], 95), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine slows down by half; the ratio stays.
        let runs = Runs(vec![
            run("yardstick", 1, 4_000.0),
            run("direct", 1, 6_000.0),
            run("yardstick", 2, 2_000.0),
            run("direct", 2, 3_000.0),
        ]);
        assert_eq!(runs.ratio("direct", "yardstick", |one| Some(one.tcp_mbit)), Some(1.5));
        assert_eq!(runs.ratio("direct", "absent", |one| Some(one.tcp_mbit)), None);
        assert_eq!(runs.ratio("direct", "yardstick", |one| Some(one.udp64_pps)), None, "division by zero");
    }

    #[test]
    fn failures_leave_the_other_rounds_alone() {
        let failure = Outcome::Failure("no ping".into());
        let failed = Run { outcome: failure, ..run("direct", 2, 0.0) };
        let runs = Runs(vec![run("direct", 1, 10.0), failed, run("yardstick", 1, 5.0)]);
        assert_eq!(runs.median("direct").unwrap().tcp_mbit, 10.0);
        assert_eq!(runs.ratio("direct", "yardstick", |one| Some(one.tcp_mbit)), Some(2.0));
        assert_eq!(runs.of("direct").filter_map(Run::failure).collect::<Vec<_>>(), ["no ping"]);
        assert_eq!(runs.median("raw"), None);
    }
}
