// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the host's network is asked and told over rtnetlink: links, addresses, routes, rules, and news of them.
//!
//! Each call does one thing and remembers nothing; what is to be there, and what is taken away again, is
//! [`host`](crate::host)'s. Needs CAP_NET_ADMIN to change anything.

use std::io;

use ipnet::IpNet;
use rtnetlink::Handle;

mod address;
mod link;
mod route;
mod rule;
mod watch;

pub use link::Link;
pub use route::{Kind, MainRoute, OwnRoute, OwnTable};
pub use rule::Rule;
pub use watch::Watch;

const EACCES: i32 = nix::libc::EACCES;
const EEXIST: i32 = nix::libc::EEXIST;
const ENOENT: i32 = nix::libc::ENOENT;
const ESRCH: i32 = nix::libc::ESRCH;

/// The number by which routes and rules of this program are known, "i": no routing daemon has it in
/// `/etc/iproute2/rt_protos`, where an operator may give it a name.
pub const PROTOCOL: u8 = 105;

/// Why the host's network cannot be seen or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetlinkError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Socket(io::Error),
    /// There is no such device.
    #[error("{0}: no such network device")]
    NoDevice(String),
    /// IPv6 is switched off on the device.
    #[error(
        "{device}: cannot add {prefix}: IPv6 is disabled there; expected sysctl net.ipv6.conf.{device}.disable_ipv6 = 0"
    )]
    Ipv6Disabled {
        /// The device.
        device: String,
        /// The address.
        prefix: IpNet,
    },
    /// The kernel refuses.
    #[error("{device}: cannot {action}: {error}")]
    Refused {
        /// The device.
        device: String,
        /// What was asked for.
        action: String,
        /// What the kernel answered.
        error: rtnetlink::Error,
    },
}

/// A netlink socket; it ends with the last clone.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Opens the socket in the network namespace of this thread. Must be called within a tokio runtime.
    pub fn connect() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Socket)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }
}

fn refused(device: &str, action: String) -> impl FnOnce(rtnetlink::Error) -> NetlinkError + use<> {
    let device = device.to_owned();
    move |error| NetlinkError::Refused { device, action, error }
}

/// Leaves out errors that say that it is so already.
fn unless(code: i32, done: Result<(), rtnetlink::Error>) -> Result<(), rtnetlink::Error> {
    done.or_else(|error| if errno(&error) == Some(code) { Ok(()) } else { Err(error) })
}

/// The errno with which the kernel refused, positive.
fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|code| -code.get()),
        rtnetlink::Error::UnexpectedMessage(_)
        | rtnetlink::Error::RequestFailed
        | rtnetlink::Error::NamespaceError(_)
        | rtnetlink::Error::InvalidHardwareAddress(_)
        | rtnetlink::Error::InvalidIp(_)
        | rtnetlink::Error::InvalidAddress(..)
        | rtnetlink::Error::InvalidNla(_) => None,
    }
}
