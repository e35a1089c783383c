// SPDX-License-Identifier: AGPL-3.0-or-later
//! What was measured, for people: probes and fallback side by side.

use std::fmt::Write as _;

use super::accuracy::{Case, Figures, Row, Source, Task};

/// What a row is about.
pub(super) fn name(case: &Case) -> String {
    let source = match case.source {
        Source::Kernel => "probes",
        Source::Fallback => "fallback",
    };
    format!("{} Mbit/s, {}, {source}", case.mbit, task(case.task))
}

fn task(task: Task) -> &'static str {
    match task {
        Task::Idle => "idle",
        Task::Light => "light load",
        Task::Talker => "talker",
        Task::Saturated => "saturated",
        Task::Limited => "a fifth used",
        Task::LargeBucket => "large bucket",
    }
}

/// A row in one line.
pub(super) fn told(row: &Row) -> String {
    let what = match (&row.figures, &row.failure) {
        (Some(figures), _) => figures_of(figures),
        (None, failure) => first_line(failure.as_deref()),
    };
    format!("{}: {what}", name(&row.case))
}

/// The rest of a failure, such as logs, is in the report.
fn first_line(failure: Option<&str>) -> String {
    failure.and_then(|text| text.lines().next()).unwrap_or_default().to_owned()
}

fn figures_of(figures: &Figures) -> String {
    let milliseconds = |micros: Option<u64>| match micros {
        Some(micros) => format!("{}.{:03}", micros / 1000, micros % 1000),
        None => "–".to_owned(),
    };
    let mut text = format!(
        "{} ms ({}), ",
        milliseconds(figures.latency_us),
        figures.latency_source.as_deref().unwrap_or("–")
    );
    if figures.ping_us.is_some() {
        let _ = write!(text, "ping {} ms, ", milliseconds(figures.ping_us));
    }
    text + &capacity(figures)
}

fn capacity(figures: &Figures) -> String {
    let Some(bytes) = figures.capacity_bytes_per_second else { return figures.capacity_kind.to_owned() };
    let source = figures.capacity_source.as_deref().unwrap_or("–");
    let tenths = bytes * 8 / 100_000;
    let after = figures.answered_after_s.map_or(String::new(), |seconds| format!(", {seconds:.0} s"));
    format!("{} {}.{} Mbit/s ({source}{after})", figures.capacity_kind, tenths / 10, tenths % 10)
}

/// Rows of probes and of the fallback side by side.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<8} {:<13} {:<62} {}\n", "Mbit/s", "", "probes", "fallback");
    let cell = |row: &Row| row.figures.as_ref().map_or("failed".to_owned(), figures_of);
    for pair in rows.chunks(2) {
        let [first, others @ ..] = pair else { continue };
        let other = others.first().map(cell).unwrap_or_default();
        let Case { mbit, task: of, .. } = first.case;
        let _ = writeln!(text, "{mbit:<8} {:<13} {:<62} {other}", task(of), cell(first));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(source: Source, capacity: Option<u64>) -> Row {
        let figures = Figures {
            ping_us: Some(10_050),
            latency_us: Some(10_100),
            latency_source: Some("echo".into()),
            loaded_latency_us: None,
            capacity_kind: if capacity.is_some() { "measured" } else { "unknown" },
            capacity_bytes_per_second: capacity,
            capacity_source: Some("train".into()),
            true_bytes_per_second: 1_250_000,
            answered_after_s: Some(7.4),
            wrong_bytes_per_second: None,
        };
        let case = Case { mbit: 10, task: Task::Idle, source };
        Row { case, figures: Some(figures), failure: None }
    }

    #[test]
    fn the_table_has_both_sources_in_one_line() {
        let table = table(&[row(Source::Kernel, Some(1_249_000)), row(Source::Fallback, None)]);
        let line = table.lines().nth(1).unwrap();
        assert!(line.starts_with("10       idle"), "{table}");
        assert!(line.contains("ping 10.050 ms, measured 9.9 Mbit/s (train, 7 s)"), "{table}");
        assert!(line.ends_with("10.100 ms (echo), ping 10.050 ms, unknown"), "{table}");
    }

    #[test]
    fn a_failure_is_told() {
        let failed =
            Row { figures: None, failure: Some("alas\nits log".into()), ..row(Source::Kernel, None) };
        assert_eq!(told(&failed), "10 Mbit/s, idle, probes: alas");
        assert!(table(&[failed]).contains("failed"));
    }
}
