// SPDX-License-Identifier: AGPL-3.0-or-later
//! A process whose wall clock is wrong (Debian package faketime), while its monotonic clock goes on as it is.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// It has no memory to share with others, which would outlast a process that is killed.
const ALONE: &str = "FAKETIME_DISABLE_SHM=1";

/// What has to be in the environment of a process, as words for env(1), so that its wall clock is moved by `offset`, such as
/// `-3600s` or `+5m` (faketime(1)).
///
/// # Errors
/// Where faketime is not installed, or does not understand the offset.
pub fn moved_clock(offset: &str) -> Result<Vec<String>> {
    // The program stays in front of what it starts and shares memory with it, so only its variables are taken.
    let mut faketime = Command::new("faketime");
    let output = faketime.args(["-m", "--exclude-monotonic", "-f", offset, "env"]).output();
    let output = output.context("starting faketime: `apt install faketime`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "faketime: {}: {said}", output.status);
    let variables = String::from_utf8_lossy(&output.stdout);
    let mut words: Vec<String> =
        variables.lines().filter(|line| is_of_faketime(line)).map(str::to_owned).collect();
    ensure!(!words.is_empty(), "faketime sets nothing that moves a clock");
    words.push(ALONE.to_owned());
    Ok(words)
}

fn is_of_faketime(variable: &str) -> bool {
    let names = ["LD_PRELOAD", "FAKETIME", "DONT_FAKE_MONOTONIC", "FAKETIME_DONT_FAKE_MONOTONIC"];
    variable.split_once('=').is_some_and(|(name, _)| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_known_by_their_whole_names() {
        for (line, expected) in [
            ("FAKETIME=-1h", true),
            ("LD_PRELOAD=/usr/lib/x.so", true),
            ("FAKETIME_SHARED=/faketime_sem_1 /faketime_shm_1", false),
            ("HOME=/FAKETIME=", false),
            ("FAKETIME", false),
        ] {
            assert_eq!(is_of_faketime(line), expected, "{line}");
        }
    }
}
