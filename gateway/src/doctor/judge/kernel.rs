// SPDX-License-Identifier: AGPL-3.0-or-later
//! Kernels whose segmentation offload is known to break packets of TUN devices (decisions/what-the-doctor-can-know.md has the
//! sources).

use super::Seen;
use crate::config::Config;
use crate::doctor::report::{Check, Report};

/// The kernel that runs.
#[derive(Debug)]
pub(in crate::doctor) struct Kernel {
    pub(in crate::doctor) version: Seen<Version>,
}

/// A version of Linux as published on kernel.org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::doctor) struct Version(
    pub(in crate::doctor) u32,
    pub(in crate::doctor) u32,
    pub(in crate::doctor) u32,
);

/// The releases from which super-packets that are written to a TUN device were reported to come back with EINVAL, now and then, so
/// that connections crawl (tailscale/tailscale#13041). Those beside them may have the fault, too: nobody is accused on a guess.
const REFUSING: [Version; 2] = [Version(6, 6, 44), Version(6, 10, 3)];

impl Version {
    /// Out of what `/proc` tells: the release (`uname -r`), the version (`uname -v`), and the signature that Ubuntu adds. The
    /// releases of Debian and Ubuntu do not change with what they are made of; the other two texts name that.
    pub(in crate::doctor) fn find(release: &str, version: &str, signature: Option<&str>) -> Option<Self> {
        let of_debian = version.split_once("Debian ").and_then(|(_, version)| Self::parse(version));
        let of_ubuntu = signature.and_then(|signature| Self::parse(signature.rsplit(' ').next()?));
        of_ubuntu.or(of_debian).or_else(|| Self::parse(release))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
        Some(Self(numbers.next()??, numbers.next()??, numbers.next().flatten().unwrap_or(0)))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(major, minor, patch) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

pub(super) fn judge(config: &Config, kernel: &Kernel, report: &mut Report) {
    if !config.tun.enable || !config.tun.offload {
        return report.irrelevant(Check::KernelOffload);
    }
    let version = match &kernel.version {
        Ok(version) => *version,
        Err(reason) => return report.unseen(Check::KernelOffload, reason.clone()),
    };
    if REFUSING.contains(&version) {
        report.warning(
            Check::KernelOffload,
            format!("Linux {version} refuses super-packets that are written to a TUN device, so that connections crawl"),
            "install a later Linux of its series; until then set tun.offload = false and restart",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::found;

    #[test]
    fn versions_are_those_of_kernel_org_where_they_are_told() {
        let debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.106-3 (2024-08-26)";
        for (release, version, signature, expected) in [
            ("6.18.44", "#1 SMP", None, Some(Version(6, 18, 44))),
            ("6.18.44-fc-v595", "#1 SMP", None, Some(Version(6, 18, 44))),
            ("7.0-rc1", "#1", None, Some(Version(7, 0, 0))),
            ("7.0", "#1", None, Some(Version(7, 0, 0))),
            ("6.1.0-25-amd64", debian, None, Some(Version(6, 1, 106))),
            (
                "6.8.0-40-generic",
                "#40-Ubuntu SMP",
                Some("Ubuntu 6.8.0-40.40-generic 6.8.12\n"),
                Some(Version(6, 8, 12)),
            ),
            ("unknown", "", None, None),
        ] {
            assert_eq!(Version::find(release, version, signature), expected, "{release}");
        }
    }

    #[test]
    fn only_faulty_kernels_are_accused_and_only_with_offload() {
        let said = |config: &str, version| {
            let config = Config::from_text("test", config).unwrap();
            found(|report| judge(&config, &Kernel { version: Ok(version) }, report)).findings.len()
        };
        for (version, expected) in [
            (Version(6, 6, 43), 0),
            (Version(6, 6, 44), 1),
            (Version(6, 10, 3), 1),
            (Version(6, 11, 0), 0),
            (Version(6, 18, 44), 0),
        ] {
            assert_eq!(said("", version), expected, "{version}");
            assert_eq!(said("tun.offload = false", version), 0);
            assert_eq!(said("tun.enable = false", version), 0);
        }
    }
}
