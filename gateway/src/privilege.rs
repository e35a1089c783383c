// SPDX-License-Identifier: AGPL-3.0-or-later
//! Capabilities only shrink (invariant 6): once configuration, identity and state are open and before any thread
//! starts, all but CAP_NET_ADMIN are given up for good, and afterwards every thread is asked whether that is so.
//!
//! A thread can change its own capabilities only, and new threads have those of their parent: hence before the threads.
//! There is nothing to set in the securebits, as they rule over changes of the user, and the daemon makes none.

use std::io;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::set_no_new_privs;
use nix::unistd::geteuid;
use tracing::debug;

/// Why the privileges are not as they have to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// The kernel refuses to take capabilities away.
    #[error("cannot give up capabilities: {0}")]
    Refused(String),
    /// What a thread has cannot be read.
    #[error("{path}: cannot read which capabilities are left: {error}")]
    Read {
        /// The file in `/proc`.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// A thread has more than it may.
    #[error("{path}: {field} is {got}; expected {expected}")]
    Left {
        /// The file in `/proc`.
        path: PathBuf,
        /// The field of the file, such as `CapPrm`.
        field: &'static str,
        /// What it holds, "nothing" where it is not there.
        got: String,
        /// What it may hold.
        expected: String,
    },
}

/// What the process may still do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// Permitted and effective; bits as in proc_pid_status(5).
    kept: u64,
    /// Inheritable and ambient, for children.
    passed_on: u64,
    /// Out of the bounding set; nothing where that could not be changed, which needs CAP_SETPCAP.
    unbound: u64,
}

/// Gives up everything but CAP_NET_ADMIN, and that too unless `network` is to be configured; to be called while there is
/// one thread.
///
/// A root daemon's children have what the bounding set leaves them. Those of another user have nothing by themselves,
/// and get CAP_NET_ADMIN as an ambient capability, which `nft` needs.
///
/// # Errors
/// [`PrivilegeError::Refused`].
pub fn shrink(network: bool) -> Result<Shrunk, PrivilegeError> {
    let refused = |error: caps::errors::CapsError| PrivilegeError::Refused(error.to_string());
    let permitted = caps::read(None, CapSet::Permitted).map_err(refused)?;
    let kept: CapsHashSet =
        permitted.into_iter().filter(|one| network && *one == Capability::CAP_NET_ADMIN).collect();
    let passed_on = if geteuid().is_root() { CapsHashSet::new() } else { kept.clone() };

    let mut unbound = 0;
    // As long as CAP_SETPCAP is there.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(refused)? {
        for one in caps::all().into_iter().filter(|one| !kept.contains(one)) {
            // A kernel that is older than the list has nothing to take away.
            if caps::has_cap(None, CapSet::Bounding, one).unwrap_or(false) {
                caps::drop(None, CapSet::Bounding, one).map_err(refused)?;
            }
            unbound |= one.bitmask();
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(refused)?;
    caps::set(None, CapSet::Inheritable, &passed_on).map_err(refused)?;
    caps::set(None, CapSet::Effective, &kept).map_err(refused)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(refused)?;
    for one in &passed_on {
        caps::raise(None, CapSet::Ambient, *one).map_err(refused)?;
    }
    set_no_new_privs().map_err(|error| PrivilegeError::Refused(error.to_string()))?;
    debug!(?kept, ?passed_on, "capabilities given up");
    Ok(Shrunk { kept: bits(&kept), passed_on: bits(&passed_on), unbound })
}

fn bits(set: &CapsHashSet) -> u64 {
    set.iter().map(Capability::bitmask).fold(0, |all, one| all | one)
}

impl Shrunk {
    /// Reads of every thread what it has.
    ///
    /// # Errors
    /// The first thread with more than it may have, or without a file in `/proc`.
    pub fn prove(&self) -> Result<(), PrivilegeError> {
        let folder = Path::new("/proc/self/task");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| PrivilegeError::Read { path, error }
        };
        for thread in folder.read_dir().map_err(failed(folder))? {
            let path = thread.map_err(failed(folder))?.path().join("status");
            match std::fs::read_to_string(&path) {
                Ok(status) => self.check(&path, &status)?,
                // It has ended meanwhile, which the kernel puts one way or the other.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        Ok(())
    }

    /// Checks the status of one thread.
    fn check(&self, path: &Path, status: &str) -> Result<(), PrivilegeError> {
        let Self { kept, passed_on, unbound } = *self;
        let sets = [
            ("CapInh", passed_on),
            ("CapPrm", kept),
            ("CapEff", kept),
            ("CapBnd", !unbound),
            ("CapAmb", passed_on),
        ];
        let left = |field, expected: String| PrivilegeError::Left {
            path: path.to_owned(),
            field,
            got: value(status, field).unwrap_or("nothing").to_owned(),
            expected,
        };
        for (field, allowed) in sets {
            let has = value(status, field).and_then(|text| u64::from_str_radix(text, 16).ok());
            if has.is_none_or(|has| has & !allowed != 0) {
                return Err(left(field, format!("at most {allowed:016x}")));
            }
        }
        match value(status, "NoNewPrivs") {
            Some("1") => Ok(()),
            Some(_) | None => Err(left("NoNewPrivs", "1".to_owned())),
        }
    }
}

/// The value of a field in a status file.
fn value<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET_ADMIN: u64 = 1 << 12;
    const ROOT: Shrunk = Shrunk { kept: NET_ADMIN, passed_on: 0, unbound: 0x1ff_ffff_efff };

    fn status(sets: [u64; 5], no_new_privileges: u8) -> String {
        let names = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
        let lines: String =
            names.iter().zip(sets).map(|(name, bits)| format!("{name}:\t{bits:016x}\n")).collect();
        format!("Name:\tdata\n{lines}NoNewPrivs:\t{no_new_privileges}\nSeccomp:\t0\n")
    }

    fn left(shrunk: &Shrunk, status: &str) -> Option<&'static str> {
        match shrunk.check(Path::new("status"), status) {
            Ok(()) => None,
            Err(PrivilegeError::Left { field, .. }) => Some(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn whatever_is_left_is_found() {
        let good = [0, NET_ADMIN, NET_ADMIN, NET_ADMIN, 0];
        assert_eq!(left(&ROOT, &status(good, 1)), None);
        assert_eq!(left(&ROOT, &status([0; 5], 1)), None, "less is no mistake");
        assert_eq!(left(&ROOT, &status(good, 0)), Some("NoNewPrivs"));
        for (at, field) in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].into_iter().enumerate() {
            let mut more = good;
            more[at] |= 1;
            assert_eq!(left(&ROOT, &status(more, 1)), Some(field));
        }
        assert_eq!(left(&ROOT, "Name:\tdata\n"), Some("CapInh"), "a status that says nothing proves nothing");
    }

    #[test]
    fn another_user_passes_on_what_is_kept() {
        let user = Shrunk { kept: NET_ADMIN, passed_on: NET_ADMIN, unbound: 0 };
        let full = 0x1ff_ffff_ffff;
        assert_eq!(left(&user, &status([NET_ADMIN, NET_ADMIN, NET_ADMIN, full, NET_ADMIN], 1)), None);
        let none = Shrunk { kept: 0, passed_on: 0, unbound: 0 };
        assert_eq!(left(&none, &status([0, 0, 0, full, 0], 1)), None, "nobody can get at the bounding set");
        assert_eq!(left(&none, &status([0, 0, NET_ADMIN, full, 0], 1)), Some("CapEff"));
    }
}
