// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why a device could not be opened, and why a packet could not pass.

use std::io;

use gateway_core::offload::OffloadError;
use nix::libc;
use thiserror::Error;

use crate::{ConfigError, DeviceName, InnerMtu};

/// Why the device is not there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TunError {
    /// A configured value out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The kernel has no TUN driver, or this mount namespace no `/dev/net/tun`.
    #[error(
        "/dev/net/tun cannot be opened ({0}): load the driver with `modprobe tun`; a container must be given the device"
    )]
    NoDriver(io::Error),
    /// Not allowed to open or configure a TUN device.
    #[error(
        "interface {name}: not permitted; CAP_NET_ADMIN is needed, or a device that belongs to this user"
    )]
    Permission {
        /// The interface asked for.
        name: DeviceName,
    },
    /// Another process has this device open.
    #[error("interface {name}: another process uses it; choose another tun.name or end that process")]
    Busy {
        /// The interface asked for.
        name: DeviceName,
    },
    /// An interface of this name exists and is no TUN device.
    #[error("interface {name}: exists and is no TUN device; choose another tun.name or `ip link del {name}`")]
    OtherKind {
        /// The interface asked for.
        name: DeviceName,
    },
    /// The kernel does not take the MTU.
    #[error("interface {name}: MTU {mtu} is refused: {source}")]
    Mtu {
        /// The interface.
        name: DeviceName,
        /// What was asked for.
        mtu: InnerMtu,
        /// The kernel's answer.
        source: io::Error,
    },
    /// [`Tun::open`](crate::Tun::open) was called outside of a tokio runtime.
    #[error("the device needs a tokio runtime with IO enabled")]
    NoRuntime,
    /// Any other answer of the kernel.
    #[error("interface {name}: {source}")]
    Io {
        /// The interface asked for.
        name: DeviceName,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl TunError {
    /// From opening `/dev/net/tun`.
    pub(crate) fn from_driver(name: &DeviceName, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Self::NoDriver(source),
            Some(_) | None => Self::from_kernel(name, source),
        }
    }

    /// From attaching to the interface (TUNSETIFF; its EINVAL means that the name is taken by another kind: how many
    /// queues the interface has was looked up before).
    pub(crate) fn from_attach(name: &DeviceName, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EBUSY) => Self::Busy { name: name.clone() },
            Some(libc::EINVAL) => Self::OtherKind { name: name.clone() },
            Some(_) | None => Self::from_kernel(name, source),
        }
    }

    /// From setting the MTU.
    pub(crate) fn from_mtu(name: &DeviceName, mtu: InnerMtu, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EINVAL) => Self::Mtu { name: name.clone(), mtu, source },
            Some(_) | None => Self::from_kernel(name, source),
        }
    }

    /// From any other call.
    pub(crate) fn from_kernel(name: &DeviceName, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Permission { name: name.clone() },
            Some(_) | None => Self::Io { name: name.clone(), source },
        }
    }
}

/// Why a packet did not pass. Only [`Gone`](Self::Gone) says that none ever will.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IoError {
    /// Reading: nothing is there. Writing: the packets written before fill the send buffer of the device.
    #[error("the device is not ready")]
    WouldBlock,
    /// The kernel has no memory for this packet at this moment (ENOBUFS, ENOMEM).
    #[error("the kernel has no memory for the packet")]
    NoMemory,
    /// The interface is down; it may come up again.
    #[error("the interface is down")]
    Down,
    /// The kernel does not take this packet (EINVAL).
    #[error("the kernel refuses the packet")]
    Refused,
    /// The header and the packet do not belong together, found while segmenting.
    #[error(transparent)]
    Offload(#[from] OffloadError),
    /// Reading into less than [`RECV_BUFFER`](crate::RECV_BUFFER): the kernel would cut the packet silently.
    #[error("a buffer of {len} bytes cannot take every packet, expected {expected}")]
    BufferTooShort {
        /// Bytes of the buffer.
        len: usize,
        /// Bytes that it needs.
        expected: usize,
    },
    /// The interface was deleted; the device must be opened again.
    #[error("the interface was deleted")]
    Gone,
    /// Any other answer of the kernel.
    #[error(transparent)]
    Other(io::Error),
}

impl From<io::Error> for IoError {
    fn from(source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EIO) => Self::Down,
            Some(libc::EINVAL) => Self::Refused,
            Some(libc::EBADFD) => Self::Gone,
            Some(libc::ENOBUFS | libc::ENOMEM) => Self::NoMemory,
            // By kind: a read that tokio declines for want of readiness carries no error number.
            Some(_) | None if source.kind() == io::ErrorKind::WouldBlock => Self::WouldBlock,
            Some(_) | None => Self::Other(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    fn name() -> DeviceName {
        "irdest0".parse().unwrap()
    }

    #[test]
    fn an_open_that_fails_says_what_to_do() {
        let cases = [
            (TunError::from_driver(&name(), Errno::ENOENT.into()), "modprobe tun"),
            (TunError::from_driver(&name(), Errno::ENODEV.into()), "modprobe tun"),
            (TunError::from_driver(&name(), Errno::EACCES.into()), "CAP_NET_ADMIN"),
            (TunError::from_attach(&name(), Errno::EPERM.into()), "CAP_NET_ADMIN"),
            (TunError::from_attach(&name(), Errno::EBUSY.into()), "another process"),
            (TunError::from_attach(&name(), Errno::EINVAL.into()), "ip link del irdest0"),
            (TunError::from_attach(&name(), Errno::ENFILE.into()), "irdest0"),
        ];
        for (error, hint) in cases {
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn answers_of_the_kernel_have_their_reason() {
        let reason = |errno: Errno| IoError::from(io::Error::from(errno));
        assert!(matches!(reason(Errno::EAGAIN), IoError::WouldBlock));
        assert!(matches!(IoError::from(io::Error::from(io::ErrorKind::WouldBlock)), IoError::WouldBlock));
        assert!(matches!(reason(Errno::EIO), IoError::Down));
        assert!(matches!(reason(Errno::EINVAL), IoError::Refused));
        assert!(matches!(reason(Errno::EBADFD), IoError::Gone));
        assert!(matches!(reason(Errno::ENOMEM), IoError::NoMemory));
        assert!(matches!(reason(Errno::ENOBUFS), IoError::NoMemory));
        assert!(matches!(reason(Errno::EFAULT), IoError::Other(_)));
    }
}
