// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask tidy`: the rules of ARCHITECTURE.md that a program can check, one module each.

mod code;
mod doors;
mod headers;
mod ignored;
mod lints;
mod machine_paths;
mod names;
mod sizes;
mod unsafe_code;
mod words;

use std::fmt;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{metadata, workspace};

/// Checks doors, sizes, names, words, headers, lints and unsafe code.
#[derive(Debug, clap::Args)]
pub(crate) struct Tidy {}

/// A file of ours: tracked by git, or about to be.
#[derive(Clone, Debug)]
struct Source {
    /// Path in the workspace, with `/`.
    path: String,
    /// Its content; files that are not text are left out.
    text: String,
}

/// Something that a rule says about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    severity: Severity,
    place: String,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// To be thought about.
    Question,
    /// To be mended.
    Failure,
}

impl Tidy {
    pub(crate) fn run(self) -> Result<()> {
        let sources = sources()?;
        let metadata = metadata()?;
        let mut findings = doors::check(&metadata);
        findings.extend(lints::check(&sources));
        for source in &sources {
            findings.extend(names::check(source));
            findings.extend(machine_paths::check(source));
            if source.is_rust() {
                findings.extend(sizes::check(source));
                findings.extend(headers::check(source));
                findings.extend(ignored::check(source));
                findings.extend(unsafe_code::check(source));
                findings.extend(words::check(source));
            }
        }
        for finding in &findings {
            println!("{finding}");
        }
        match findings.iter().filter(|finding| finding.severity == Severity::Failure).count() {
            0 => Ok(()),
            failures => bail!("{failures} breaches of the rules"),
        }
    }
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

impl Finding {
    fn failure(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Failure, place: place.into(), message: message.into() }
    }

    fn question(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Question, ..Self::failure(place, message) }
    }

    fn at(source: &Source, line: usize, message: impl Into<String>) -> Self {
        Self::failure(format!("{}:{line}", source.path), message)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Question => "question",
            Severity::Failure => "failure",
        };
        write!(f, "{severity}: {}: {}", self.place, self.message)
    }
}

fn sources() -> Result<Vec<Source>> {
    let mut list = Command::new("git");
    list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(workspace());
    let output = list.output().context("starting git, which knows the files of the project")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    }
    let paths = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    let mut sources = Vec::new();
    for path in paths.split_terminator('\0') {
        // A file that git still lists may be deleted already, and some are not text.
        if let Ok(text) = fs::read_to_string(workspace().join(path)) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}

#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}
