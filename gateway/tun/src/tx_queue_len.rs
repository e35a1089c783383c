// SPDX-License-Identifier: AGPL-3.0-or-later
//! How many packets the kernel keeps for us to read, and what it was before on an interface that outlives us.

use std::io;
use std::os::fd::OwnedFd;

use nix::libc;

use crate::found::Found;
use crate::{DeviceName, TunError, sys};

/// The length that an interface had before us, and gets back when this is dropped.
#[derive(Debug)]
pub(crate) struct Before {
    name: DeviceName,
    len: u32,
    /// Of the network namespace in which the interface was opened, wherever it is closed.
    control: OwnedFd,
}

/// Sets the length, and keeps the one before if the interface will outlive us.
pub(crate) fn set(name: &DeviceName, len: u32, found: Found) -> Result<Option<Before>, TunError> {
    let change = || -> io::Result<_> {
        let control = sys::control()?;
        let before = sys::tx_queue_len(&control, name)?;
        sys::set_tx_queue_len(&control, name, len)?;
        Ok((before, control))
    };
    let (before, control) = change().map_err(|source| TunError::from_kernel(name, source))?;
    match found {
        Found::Nothing => Ok(None),
        Found::OneQueue | Found::SeveralQueues => {
            Ok(Some(Before { name: name.clone(), len: before, control }))
        }
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        match sys::set_tx_queue_len(&self.control, &self.name, self.len) {
            Ok(()) => {}
            Err(source) if source.raw_os_error() == Some(libc::ENODEV) => {}
            Err(source) => {
                tracing::warn!(device = %self.name, len = self.len, %source, "the queue length was not given back");
            }
        }
    }
}
