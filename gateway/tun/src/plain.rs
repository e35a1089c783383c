// SPDX-License-Identifier: AGPL-3.0-or-later
//! The plain backend: a `tokio-tun` device that moves complete packets one by one.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use tokio::io::unix::AsyncFd;

use crate::found::Queues;
use crate::{DeviceName, TunError, sys};

/// One queue of an interface that knows nothing of virtio-net headers.
pub(crate) struct PlainQueue {
    device: tokio_tun::Tun,
    /// The same queue: `tokio-tun` shows no readiness, and its vectored write allocates.
    file: AsyncFd<File>,
}

impl PlainQueue {
    pub(crate) fn open_all(name: &DeviceName, queues: Queues) -> Result<Vec<Self>, TunError> {
        // `tokio-tun` asks for the flag only with two queues or more.
        let opened = usize::from(if queues.multi { queues.count.max(2) } else { 1 });
        let mut devices = tokio_tun::Tun::builder().name(name.as_str()).queues(opened).build().map_err(
            |error| match error {
                tokio_tun::Error::IoError(source) => TunError::from_driver(name, source),
                tokio_tun::Error::NixError(errno) => TunError::from_attach(name, errno.into()),
            },
        )?;
        // Dropped, a queue is closed, and no packet goes there any more.
        devices.truncate(queues.count.into());
        let prepared = devices.into_iter().map(Self::prepare).collect::<io::Result<_>>();
        prepared.map_err(|source| TunError::from_kernel(name, source))
    }

    fn prepare(device: tokio_tun::Tun) -> io::Result<Self> {
        let file = sys::duplicate(&device)?;
        // A persistent device keeps the offloads of its last user, whose packets would have no checksums.
        sys::set_offload(file.as_fd(), 0)?;
        let file = sys::watch(file)?;
        Ok(Self { device, file })
    }

    pub(crate) fn file(&self) -> &AsyncFd<File> {
        &self.file
    }

    /// One packet into `buf`.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.device.try_recv(buf)
    }

    /// One packet, in two parts so that neither is copied; the driver takes all or nothing.
    pub(crate) fn write(&self, first: &[u8], second: &[u8]) -> io::Result<()> {
        match self.file.get_ref().write_vectored(&[IoSlice::new(first), IoSlice::new(second)])? {
            // Without a header, an empty packet is an empty write, which never reaches the driver.
            0 => Err(Errno::EINVAL.into()),
            _ => Ok(()),
        }
    }
}
