// SPDX-License-Identifier: AGPL-3.0-or-later
//! The journal of a unit, followed: what tests wait for, and the times that they measure.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use irdest_lab::{Process, TimeLimit};
use serde::Deserialize;

use crate::tree::Tree;

/// How long a line may be waited for.
const LINE_LIMIT: Duration = Duration::from_secs(60);

/// Follows one unit from some moment on.
#[derive(Debug)]
pub struct Journal {
    unit: String,
    process: Process,
    limit: TimeLimit,
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was written, since the start of the machine.
    pub at: Duration,
    /// How grave it is, as in syslog(3): 3 an error, 4 a warning, 6 information.
    pub priority: u8,
    /// What it says.
    pub text: String,
}

impl Journal {
    pub(crate) fn follow(tree: &Tree, unit: &str) -> Result<Self> {
        static FOLLOWED: AtomicU32 = AtomicU32::new(0);
        tree.run("journalctl", &["--sync"])?;
        let newest = tree.run("journalctl", &["--lines=1", "--show-cursor", "--output=cat"])?;
        let cursor = newest.lines().find_map(|line| line.strip_prefix("-- cursor: "));
        let after =
            format!("--after-cursor={}", cursor.context("the journal of a booted tree is not empty")?);
        let unit_is = format!("--unit={unit}");
        let arguments = [
            "--follow",
            "--lines=all",
            "--output=json",
            "--output-fields=MESSAGE,PRIORITY",
            &after,
            &unit_is,
        ];
        let log = format!("journal-{}", FOLLOWED.fetch_add(1, Ordering::Relaxed));
        let process = tree.spawn("journalctl", &arguments, &log)?;
        Ok(Self { unit: unit.to_owned(), process, limit: tree.limit() })
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        parse(&self.process.log())
    }

    /// The first line that contains a text, as soon as there is one.
    ///
    /// # Errors
    /// After 60 s, with the lines that did come.
    pub fn wait_for(&self, text: &str) -> Result<Line> {
        let limit = self.limit.at_most(LINE_LIMIT);
        let what = format!("`{text}` in the journal of {}", self.unit);
        let found =
            limit.wait_for(&what, || Ok(self.lines().into_iter().find(|line| line.text.contains(text))));
        found.with_context(|| {
            let lines: Vec<String> = self.lines().into_iter().map(|line| line.text).collect();
            format!("the journal says:\n{}", lines.join("\n"))
        })
    }
}

/// An entry of journalctl's JSON.
#[derive(Deserialize)]
struct Entry {
    /// In microseconds.
    #[serde(rename = "__MONOTONIC_TIMESTAMP")]
    at: String,
    /// Absent where nobody said it: then it is information.
    #[serde(rename = "PRIORITY")]
    priority: Option<String>,
    /// Absent where the text is not UTF-8.
    #[serde(rename = "MESSAGE")]
    text: serde_json::Value,
}

/// Reads whole lines; the last one may still be written.
fn parse(log: &str) -> Vec<Line> {
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
    let line = |entry: Entry| {
        let at = Duration::from_micros(entry.at.parse().ok()?);
        let priority = entry.priority.map_or(Some(6), |priority| priority.parse().ok())?;
        Some(Line { at, priority, text: entry.text.as_str()?.to_owned() })
    };
    entries.filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_lines_of_text() {
        let log = "{\"__MONOTONIC_TIMESTAMP\":\"1500000\",\"MESSAGE\":\"Started it.\",\"PRIORITY\":\"4\"}\n\
                   {\"__MONOTONIC_TIMESTAMP\":\"1600000\",\"MESSAGE\":[27,91]}\n\
                   -- Journal begins --\n{\"__MONOTONIC_TIME";
        let started = Line { at: Duration::from_millis(1500), priority: 4, text: "Started it.".to_owned() };
        assert_eq!(parse(log), [started]);
    }
}
