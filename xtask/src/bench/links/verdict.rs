// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which targets a measurement meets.

use std::fmt;

use super::accuracy::{Figures, Row};

/// How far a latency may be from that of `ping`: the larger of the two.
const LATENCY_PERCENT: u64 = 5;
const LATENCY_US: u64 = 200;

/// Whether one target is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether it is.
    pub(super) met: bool,
    /// What it is about, and what was seen.
    pub(super) what: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met { "met" } else { "missed" };
        write!(f, "{verdict:<7} {}", self.what)
    }
}

/// The targets of one row; one that is missed where it has no figures.
pub(super) fn of_row(row: &Row) -> Vec<Verdict> {
    let name = super::report::name(&row.case);
    let Some(figures) = &row.figures else {
        return vec![Verdict { met: false, what: super::report::told(row) }];
    };
    let mut verdicts = Vec::new();
    if row.case.task.wants_latency() {
        verdicts.push(latency(&name, figures));
    }
    if row.case.task.wants_capacity() {
        let what = match figures.answered_after_s {
            Some(seconds) => format!("{name}: capacity known after {seconds:.0} s, at most 60"),
            None => format!("{name}: capacity not known within 60 s"),
        };
        verdicts.push(Verdict { met: figures.answered_after_s.is_some(), what });
    }
    let truth = figures.true_bytes_per_second;
    let what = match figures.wrong_bytes_per_second {
        Some(wrong) => format!("{name}: {wrong} B/s told where {truth} are true"),
        None => format!("{name}: no capacity told that is off by more than 10 %"),
    };
    verdicts.push(Verdict { met: figures.wrong_bytes_per_second.is_none(), what });
    verdicts
}

fn latency(name: &str, figures: &Figures) -> Verdict {
    let (Some(ping), Some(latency)) = (figures.ping_us, figures.latency_us) else {
        return Verdict { met: false, what: format!("{name}: no latency") };
    };
    let allowed = LATENCY_US.max(ping * LATENCY_PERCENT / 100);
    let what = format!("{name}: latency {latency} µs beside {ping} µs of ping, {allowed} µs allowed");
    Verdict { met: ping > 0 && latency.abs_diff(ping) <= allowed, what }
}

#[cfg(test)]
mod tests {
    use super::super::accuracy::{Case, Source, Task};
    use super::*;

    fn row(task: Task, latency_us: u64, answered: Option<f64>, wrong: Option<u64>) -> Row {
        let figures = Figures {
            ping_us: Some(10_000),
            latency_us: Some(latency_us),
            latency_source: Some("echo".into()),
            loaded_latency_us: None,
            capacity_kind: "measured",
            capacity_bytes_per_second: Some(6_000_000),
            capacity_source: Some("train".into()),
            true_bytes_per_second: 6_250_000,
            answered_after_s: answered,
            wrong_bytes_per_second: wrong,
        };
        let case = Case { mbit: 50, task, source: Source::Kernel };
        Row { case, figures: Some(figures), failure: None }
    }

    fn met(row: &Row) -> Vec<bool> {
        of_row(row).iter().map(|verdict| verdict.met).collect()
    }

    #[test]
    fn an_idle_link_has_to_tell_all() {
        assert_eq!(met(&row(Task::Idle, 10_500, Some(12.0), None)), [true, true, true]);
        assert_eq!(met(&row(Task::Idle, 10_501, None, Some(1))), [false, false, false]);
    }

    #[test]
    fn what_need_not_be_known_may_be_unknown_and_never_wrong() {
        assert_eq!(met(&row(Task::Limited, 99_999, None, None)), [true]);
        assert_eq!(met(&row(Task::LargeBucket, 99_999, None, Some(1))), [false]);
    }

    #[test]
    fn a_row_without_figures_is_missed() {
        let mut row = row(Task::Idle, 0, None, None);
        (row.figures, row.failure) = (None, Some("probes: none".into()));
        assert_eq!(met(&row), [false]);
        assert!(of_row(&row)[0].to_string().contains("probes: none"));
    }
}
