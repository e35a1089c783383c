// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where in the kernel the programs hang.

use std::{fmt, fs};

/// The way in which programs are attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Links that belong to this process: whatever ends it, the kernel takes them away. Linux 6.6 and later.
    Tcx,
    /// Filters of the queueing discipline `clsact`. They outlive a process that is killed; the next one removes them.
    Clsact,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        })
    }
}

/// The first version with TCX.
const TCX: Version = Version(6, 6);
/// The first version in which a process that gave up CAP_BPF may still read its maps, whatever
/// `kernel.unprivileged_bpf_disabled` says.
const OLDEST: Version = Version(5, 19);

/// A version of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Hook {
    /// The better one that this kernel has.
    ///
    /// # Errors
    /// The version of a kernel that is too old for either.
    pub(crate) fn of_this_kernel() -> Result<Self, String> {
        // As uname(2) has it.
        Self::of(fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim())
    }

    fn of(release: &str) -> Result<Self, String> {
        match Version::parse(release) {
            Some(version) if version >= TCX => Ok(Self::Tcx),
            Some(version) if version >= OLDEST => Ok(Self::Clsact),
            Some(_) | None => Err(release.to_owned()),
        }
    }
}

impl Version {
    fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some(Self(major, minor)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_has_its_hook() {
        for release in ["6.6.0", "6.18.44-fc-v595", "7.0-rc1", "10.2"] {
            assert_eq!(Hook::of(release), Ok(Hook::Tcx), "{release}");
        }
        for release in ["6.1.0-28-amd64", "5.19.17", "6.5.13"] {
            assert_eq!(Hook::of(release), Ok(Hook::Clsact), "{release}");
        }
        for release in ["5.18.0", "5.10.0-33-amd64", "", "unknown"] {
            assert_eq!(Hook::of(release), Err(release.to_owned()), "{release}");
        }
    }
}
