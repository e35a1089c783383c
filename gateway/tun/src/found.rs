// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is there under the name already: nothing, or a persistent device with its own number of queues.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::libc::{self, c_short};
use nix::net::if_::if_nametoindex;

use crate::sys::{self, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TUN, IFF_VNET_HDR};
use crate::{DeviceName, TunError};

/// An interface as it was found, nobody reading from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// None of this name.
    Nothing,
    /// A persistent TUN device that takes a single reader.
    OneQueue,
    /// A persistent TUN device that takes several.
    SeveralQueues,
}

/// How many queues are opened, and with which flag: the kernel takes only the one that the interface was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queues {
    /// At least one.
    pub(crate) count: u8,
    /// Whether IFF_MULTI_QUEUE is asked for; always with several.
    pub(crate) multi: bool,
}

impl Found {
    /// Looks at the interface in the network namespace of this thread, by attaching to it for a moment where it is there.
    pub(crate) fn under(name: &DeviceName) -> Result<Self, TunError> {
        match if_nametoindex(name.as_str()) {
            Err(Errno::ENODEV) => return Ok(Self::Nothing),
            Err(errno) => return Err(TunError::from_kernel(name, errno.into())),
            Ok(_) => {}
        }
        match attach(name, IFF_NO_PI)? {
            Ok(_) => return Ok(Self::OneQueue),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => return Err(TunError::from_attach(name, error)),
        }
        if is_read_by_another(name)? {
            return Err(TunError::Busy { name: name.clone() });
        }
        Ok(Self::SeveralQueues)
    }

    /// How many of the queues that were asked for this interface can have; fewer are a warning, which says so.
    pub(crate) fn queues(self, name: &DeviceName, asked: u8) -> Queues {
        match self {
            Self::Nothing => Queues { count: asked, multi: asked > 1 },
            Self::SeveralQueues => {
                if asked == 1 {
                    tracing::warn!(device = %name, "the interface was made for several queues; one of them is used");
                }
                Queues { count: asked, multi: true }
            }
            Self::OneQueue => {
                if asked > 1 {
                    tracing::warn!(
                        device = %name,
                        asked,
                        "the interface was made with a single queue, so that one core reads from it"
                    );
                }
                Queues { count: 1, multi: false }
            }
        }
    }
}

/// Whether somebody else has a queue of the interface. The kernel lets both in, and each would get some of the packets.
///
/// Whether there are virtio-net headers follows who opens the interface first, and stays until the last one closes it. So
/// someone is there if it does not follow us, in one of two openings that differ.
fn is_read_by_another(name: &DeviceName) -> Result<bool, TunError> {
    for header in [IFF_VNET_HDR, 0] {
        let device = attach(name, IFF_MULTI_QUEUE | IFF_NO_PI | header)?
            .map_err(|error| TunError::from_attach(name, error))?;
        let flags = sys::flags(&device).map_err(|source| TunError::from_kernel(name, source))?;
        if flags & IFF_VNET_HDR != header {
            return Ok(true);
        }
    }
    Ok(false)
}

fn attach(name: &DeviceName, flags: c_short) -> Result<io::Result<File>, TunError> {
    let driver = sys::open_driver().map_err(|source| TunError::from_driver(name, source))?;
    Ok(sys::attach(&driver, name, IFF_TUN | flags).map(|()| driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_keeps_the_kind_that_it_was_made_with() {
        let name = "irdest0".parse().unwrap();
        let cases = [
            (Found::Nothing, 1, (1, false)),
            (Found::Nothing, 4, (4, true)),
            (Found::OneQueue, 1, (1, false)),
            (Found::OneQueue, 4, (1, false)),
            (Found::SeveralQueues, 1, (1, true)),
            (Found::SeveralQueues, 4, (4, true)),
        ];
        for (found, asked, (count, multi)) in cases {
            assert_eq!(found.queues(&name, asked), Queues { count, multi }, "{found:?} {asked}");
        }
    }
}
