// SPDX-License-Identifier: AGPL-3.0-or-later
//! Processes of a tree as the machine numbers them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The number on this machine of the process that the namespace of `leader` numbers `inside`.
///
/// # Errors
/// Where there is none.
pub(crate) fn outside(leader: u32, inside: u32) -> Result<u32> {
    let namespace = namespace(leader).with_context(|| format!("process {leader} is gone"))?;
    let all = fs::read_dir("/proc").context("reading /proc")?;
    let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_it = |outside: &u32| {
        self::namespace(*outside).is_some_and(|its| its == namespace) && innermost(*outside) == Some(inside)
    };
    let mut found = numbers.filter(is_it);
    found.next().with_context(|| format!("there is no process {inside} in the tree"))
}

fn namespace(process: u32) -> Option<PathBuf> {
    fs::read_link(Path::new("/proc").join(process.to_string()).join("ns/pid")).ok()
}

/// Its number in its own namespace (proc_pid_status(5)).
fn innermost(process: u32) -> Option<u32> {
    let status = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_our_own_namespace_is_found_and_another_is_not() {
        let own = std::process::id();
        let inside = innermost(own).unwrap();
        assert_eq!(outside(own, inside).unwrap(), own);
        assert!(outside(own, u32::MAX).is_err());
        assert!(outside(u32::MAX, inside).is_err());
    }
}
