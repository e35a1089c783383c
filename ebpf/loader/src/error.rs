// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why the kernel does not measure for us, and what to do about it.

use std::error::Error;
use std::fs;
use std::io;

use aya::EbpfError;
use aya::maps::{MapError, MapType};
use aya::programs::ProgramError;
use aya::programs::tc::TcError;
use aya::sys::{NetlinkError, is_map_supported};
use ebpf_abi::MAX_CONVERSATIONS;

/// From errno(3), for which the standard library has no portable kinds.
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENODEV: i32 = 19;
const ENOSYS: i32 = 38;

/// Why there are no probes in the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// This program was built where the probes could not be.
    #[error("this program was built without the probes; `cargo xtask bpf` says what their build needs")]
    NoObject,
    /// The probes were built wrong.
    #[error("the object with the probes is damaged ({0}); build it again with `cargo xtask bpf`")]
    Object(String),
    /// The kernel is too old.
    #[error("Linux {0} is too old for the probes; they need 5.19 or later")]
    TooOld(String),
    /// Not allowed to load programs.
    #[error(
        "not permitted to load the probes: {missing}; give the service AmbientCapabilities=CAP_BPF CAP_PERFMON \
         CAP_NET_ADMIN, or start it as root outside of a user namespace"
    )]
    Permission {
        /// Which capabilities are missing, or what else the kernel may mean.
        missing: String,
    },
    /// The kernel was built without BPF.
    #[error("this kernel has no BPF; it needs CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_ACT")]
    NoKernelSupport,
    /// The kernel's verifier does not take a program: a mistake of ours, to be reported.
    #[error("the kernel's verifier refuses {program}, please report this: {log}")]
    Rejected {
        /// The name of the program.
        program: &'static str,
        /// The end of what the verifier said.
        log: String,
    },
    /// Any other answer of the kernel.
    #[error("the kernel does not take the probes: {0}")]
    Kernel(io::Error),
}

impl LoadError {
    /// Asks the kernel whether we may load anything: before the loader's library does, which takes a refusal for a kernel
    /// without features, and remembers that.
    pub(crate) fn unless_permitted() -> Result<(), Self> {
        if !missing_capabilities().is_empty() {
            return Err(Self::permission());
        }
        match is_map_supported(MapType::LruHash) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Self::NoKernelSupport),
            Err(error) => Err(errno(&error).map_or(Self::NoKernelSupport, Self::from_kernel)),
        }
    }

    /// From reading the object and making its maps.
    pub(crate) fn from_object(error: EbpfError) -> Self {
        match errno(&error) {
            Some(answer) => Self::from_kernel(answer),
            None => Self::Object(error.to_string()),
        }
    }

    /// From giving a program to the verifier.
    pub(crate) fn from_verifier(program: &'static str, error: ProgramError) -> Self {
        let log = error.to_string();
        match errno(&error) {
            Some(answer @ (EPERM | ENOSYS)) => Self::from_kernel(answer),
            Some(_) => Self::Rejected { program, log: end_of(&log) },
            None => Self::Object(log),
        }
    }

    fn from_kernel(answer: i32) -> Self {
        match answer {
            EPERM | EACCES => Self::permission(),
            ENOSYS => Self::NoKernelSupport,
            other => Self::Kernel(io::Error::from_raw_os_error(other)),
        }
    }

    fn permission() -> Self {
        let missing = missing_capabilities();
        let missing = if missing.is_empty() {
            "the capabilities are there, but a user namespace, a security module or lockdown is in the way"
                .to_owned()
        } else {
            format!("{} missing", missing.join(", "))
        };
        Self::Permission { missing }
    }
}

/// Why an interface is not watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// It is not there any more, or not under this name.
    #[error("interface {0}: is not there any more")]
    Gone(String),
    /// Not allowed.
    #[error("interface {0}: not permitted to attach probes; CAP_NET_ADMIN is needed")]
    Permission(String),
    /// Any other answer of the kernel.
    #[error("interface {name}: the kernel does not attach the probes: {source}")]
    Kernel {
        /// The interface.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl AttachError {
    /// The name of the interface.
    #[must_use]
    pub fn interface(&self) -> &str {
        match self {
            Self::Gone(name) | Self::Permission(name) | Self::Kernel { name, .. } => name,
        }
    }

    pub(crate) fn new(name: &str, error: impl Error + Send + Sync + 'static) -> Self {
        let name = name.to_owned();
        match errno(&error) {
            Some(ENODEV) => Self::Gone(name),
            Some(EPERM | EACCES) => Self::Permission(name),
            Some(other) => Self::Kernel { name, source: io::Error::from_raw_os_error(other) },
            None => Self::Kernel { name, source: io::Error::other(error) },
        }
    }
}

/// Why a conversation is not followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// There are more than are counted at once.
    #[error("{left} of the conversations are not counted by the probes, which hold {MAX_CONVERSATIONS}")]
    Full {
        /// How many of them are left out.
        left: usize,
    },
    /// The kernel refuses.
    #[error("the kernel does not take a conversation for the probes: {0}")]
    Kernel(io::Error),
}

impl From<MapError> for FollowError {
    fn from(error: MapError) -> Self {
        Self::Kernel(errno(&error).map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error))
    }
}

/// The answer of the kernel that lies below an error, if any does.
fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(answer) = known(error) {
            return Some(answer);
        }
        next = error.source();
    }
    None
}

/// Errors that show another one as themselves skip it in `source`.
fn known(error: &(dyn Error + 'static)) -> Option<i32> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return error.raw_os_error();
    }
    if let Some(error) = error.downcast_ref::<NetlinkError>() {
        return error.raw_os_error();
    }
    if let Some(ProgramError::NetlinkError(error) | ProgramError::TcError(TcError::NetlinkError(error))) =
        error.downcast_ref()
    {
        return error.raw_os_error();
    }
    if let Some(TcError::NetlinkError(error)) = error.downcast_ref() {
        return error.raw_os_error();
    }
    if let Some(MapError::IoError(error)) = error.downcast_ref() {
        return error.raw_os_error();
    }
    if let Some(TcError::IoError(error)) = error.downcast_ref() {
        return error.raw_os_error();
    }
    if let Some(ProgramError::TcError(TcError::IoError(error)) | ProgramError::IOError(error)) =
        error.downcast_ref()
    {
        return error.raw_os_error();
    }
    None
}

/// The capabilities that loading needs and this thread lacks.
fn missing_capabilities() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    missing_of(effective)
}

/// Numbers of capabilities, from linux/capability.h. CAP_SYS_ADMIN stands for the two that were cut out of it.
fn missing_of(effective: u64) -> Vec<&'static str> {
    const NET_ADMIN: u64 = 1 << 12;
    const SYS_ADMIN: u64 = 1 << 21;
    const PERFMON: u64 = 1 << 38;
    const BPF: u64 = 1 << 39;
    let wanted =
        [("CAP_BPF", BPF | SYS_ADMIN), ("CAP_PERFMON", PERFMON | SYS_ADMIN), ("CAP_NET_ADMIN", NET_ADMIN)];
    wanted.into_iter().filter(|(_, bits)| effective & bits == 0).map(|(name, _)| name).collect()
}

/// The last lines of a log: a verifier says first what it saw, and last what it did not like.
fn end_of(log: &str) -> String {
    const LINES: usize = 12;
    let lines: Vec<&str> = log.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use aya::sys::SyscallError;

    use super::*;

    #[test]
    fn answers_of_the_kernel_are_found_below_other_errors() {
        let io = |errno| io::Error::from_raw_os_error(errno);
        let map = MapError::CreateError { name: "COUNTERS".into(), io_error: io(EPERM) };
        assert!(matches!(LoadError::from_object(map.into()), LoadError::Permission { .. }));
        let map = MapError::SyscallError(SyscallError { call: "bpf_map_update_elem", io_error: io(7) });
        assert!(
            matches!(FollowError::from(map), FollowError::Kernel(error) if error.raw_os_error() == Some(7))
        );
        let gone = ProgramError::TcError(TcError::IoError(io(ENODEV)));
        assert!(matches!(AttachError::new("eth0", gone), AttachError::Gone(_)));
        let refused =
            ProgramError::SyscallError(SyscallError { call: "bpf_link_create", io_error: io(EPERM) });
        assert!(AttachError::new("eth0", refused).to_string().contains("CAP_NET_ADMIN"));
        assert!(matches!(LoadError::from_kernel(ENOSYS), LoadError::NoKernelSupport));
        assert!(matches!(LoadError::from_kernel(12), LoadError::Kernel(_)));
    }

    #[test]
    fn says_which_capabilities_are_missing() {
        assert_eq!(missing_of(0), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        assert_eq!(missing_of(1 << 39 | 1 << 12), ["CAP_PERFMON"]);
        assert!(missing_of(1 << 21 | 1 << 12).is_empty());
    }

    #[test]
    fn a_log_is_shortened_from_its_beginning() {
        let log: String = (0..20).map(|line| format!("{line}\n")).collect();
        assert!(end_of(&log).starts_with("8\n") && end_of(&log).ends_with("\n19"));
        assert_eq!(end_of("short"), "short");
    }
}
