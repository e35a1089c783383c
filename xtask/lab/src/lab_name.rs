// SPDX-License-Identifier: AGPL-3.0-or-later
//! The name that everything of one lab carries: its namespaces, its directory and its processes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Error, Result};

const PREFIX: &str = "irdest-lab-";

/// Environment variable by which a process is known as one of a lab.
pub(crate) const MARK: &str = "IRDEST_LAB";

/// `irdest-lab-PID-N`: the N-th lab of the process PID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabName {
    owner: u32,
    number: u32,
}

impl LabName {
    /// A name that no other lab of this machine has.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self { owner: std::process::id(), number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// The process that made the lab and removes it.
    pub fn owner(self) -> u32 {
        self.owner
    }

    /// Whether that process still lives.
    pub fn is_alive(self) -> bool {
        Path::new("/proc").join(self.owner.to_string()).exists()
    }

    /// The lab's private directory, one folder per node in it.
    pub fn directory(self) -> PathBuf {
        std::env::temp_dir().join(self.to_string())
    }

    /// The network namespace of the node.
    pub(crate) fn namespace(self, node: &str) -> String {
        format!("{self}-{node}")
    }

    /// The lab and the node that a namespace belongs to, or none where it is not a lab's.
    pub(crate) fn of_namespace(namespace: &str) -> Option<(Self, &str)> {
        let (lab, node) = namespace.rsplit_once('-')?;
        Some((lab.parse().ok()?, node))
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}", self.owner, self.number)
    }
}

impl FromStr for LabName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let (owner, number) = numbers.with_context(|| format!("`{text}` is not {PREFIX}PID-N"))?;
        Ok(Self { owner: owner.parse()?, number: number.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let name = LabName { owner: 4711, number: 3 };
        assert_eq!(name.to_string(), "irdest-lab-4711-3");
        assert_eq!(name.to_string().parse::<LabName>().unwrap(), name);
        assert_eq!(LabName::of_namespace(&name.namespace("a")), Some((name, "a")));
    }

    #[test]
    fn leaves_the_names_of_others_alone() {
        for foreign in ["", "blue", "irdest-lab", "irdest-lab-x-0", "irdest-lab-1", "my-irdest-lab-1-0"] {
            assert!(foreign.parse::<LabName>().is_err(), "{foreign}");
        }
        assert_eq!(LabName::of_namespace("irdest-lab-1-a"), None);
    }

    #[test]
    fn no_two_labs_share_a_name() {
        assert_ne!(LabName::next(), LabName::next());
        assert!(LabName::next().is_alive());
    }
}
