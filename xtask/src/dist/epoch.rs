// SPDX-License-Identifier: AGPL-3.0-or-later
//! The time that stands in the package: that of its source, not of who made it.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::workspace;

/// Where programs that make packages expect it (reproducible-builds.org/specs/source-date-epoch), in seconds.
pub(super) const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The time that is set already, or else that of the commit.
///
/// # Errors
/// Where neither is known: sources without git need the variable.
pub(super) fn find() -> Result<String> {
    if let Ok(set) = std::env::var(VARIABLE) {
        return seconds(&set);
    }
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(workspace());
    let output = git.output().context("starting git, which knows when the source was written")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}; where this is no clone of git, please set {VARIABLE}", said.trim());
    seconds(&String::from_utf8_lossy(&output.stdout))
}

fn seconds(text: &str) -> Result<String> {
    let seconds: u64 = text.trim().parse().with_context(|| format!("{VARIABLE}: expected seconds"))?;
    Ok(seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_of_seconds() {
        assert_eq!(seconds("1700000000\n").unwrap(), "1700000000");
        assert!(seconds("").is_err() && seconds("yesterday").is_err());
    }
}
