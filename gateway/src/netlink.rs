// SPDX-License-Identifier: AGPL-3.0-or-later
//! Addresses, routes and MTU of the TUN device, over rtnetlink, and news of the machine's own network.
//!
//! What a [`Device`] added it takes away again, also when it is dropped in a panic: a persistent TUN device would
//! otherwise keep drawing traffic that nobody carries.

use std::io;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{AddressMessageBuilder, Handle, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};
use tracing::{debug, warn};

mod existing;
mod watch;

pub use watch::Watch;

const EACCES: i32 = nix::libc::EACCES;
const EEXIST: i32 = nix::libc::EEXIST;

/// Why the device cannot be configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetlinkError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Socket(io::Error),
    /// There is no such device.
    #[error("{0}: no such network device")]
    NoDevice(String),
    /// The prefix is routed elsewhere already.
    #[error(
        "{device}: cannot route {prefix}: it is routed {existing} already; remove that route or this one"
    )]
    RouteExists {
        /// The device.
        device: String,
        /// The prefix.
        prefix: IpNet,
        /// The other route, as `ip route` would put it.
        existing: String,
    },
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

/// What a device is to look like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name; the device must be there.
    pub name: String,
    /// Its MTU in bytes of IP packet.
    pub mtu: u16,
    /// Its addresses; IPv6 ones are usable at once, without duplicate address detection.
    pub addresses: Vec<IpNet>,
    /// The prefixes routed through it, in the main table.
    pub routes: Vec<IpNet>,
}

/// A configured network device; what was added to it is removed with this value.
#[derive(Debug)]
pub struct Device {
    name: String,
    index: u32,
    added: Vec<Added>,
}

#[derive(Clone, Debug)]
enum Added {
    Address(AddressMessage),
    Route(RouteMessage),
}

impl Device {
    /// Makes the device as `plan` says, and up; on an error what was added so far is removed again.
    ///
    /// An address or route of this very device that is there already, left by a daemon that was killed, is taken over.
    /// Must be called within a tokio runtime; needs CAP_NET_ADMIN.
    pub async fn configure(plan: &Plan) -> Result<Self, NetlinkError> {
        let handle = connect().map_err(NetlinkError::Socket)?;
        let index = index_of(&handle, &plan.name).await?;
        let mut device = Self { name: plan.name.clone(), index, added: Vec::new() };
        match device.apply(&handle, plan).await {
            Ok(()) => Ok(device),
            Err(error) => {
                device.remove().await;
                Err(error)
            }
        }
    }

    /// Removes what was added, last first; what is gone already, with the device or by hand, is not missed.
    pub async fn remove(mut self) {
        let added = std::mem::take(&mut self.added);
        take_away(&self.name, added).await;
    }

    async fn apply(&mut self, handle: &Handle, plan: &Plan) -> Result<(), NetlinkError> {
        let link =
            LinkMessageBuilder::<LinkUnspec>::new().index(self.index).mtu(plan.mtu.into()).up().build();
        let set = handle.link().set(link).execute().await;
        set.map_err(self.refused(format!("set it up with an MTU of {}", plan.mtu)))?;
        for address in &plan.addresses {
            self.add_address(handle, *address).await?;
        }
        for route in &plan.routes {
            self.add_route(handle, *route).await?;
        }
        Ok(())
    }

    async fn add_address(&mut self, handle: &Handle, prefix: IpNet) -> Result<(), NetlinkError> {
        let message = address_message(self.index, prefix);
        let mut request = handle.address().add(self.index, prefix.addr(), prefix.prefix_len());
        *request.message_mut() = message.clone();
        match request.execute().await {
            // The kernel says so only about the same device.
            Err(error) if code(&error) == Some(EEXIST) => debug!(%prefix, "address is there already"),
            Err(error) if code(&error) == Some(EACCES) && prefix.addr().is_ipv6() => {
                return Err(NetlinkError::Ipv6Disabled { device: self.name.clone(), prefix });
            }
            done => done.map_err(self.refused(format!("add the address {prefix}")))?,
        }
        self.added.push(Added::Address(message));
        Ok(())
    }

    async fn add_route(&mut self, handle: &Handle, prefix: IpNet) -> Result<(), NetlinkError> {
        let message = route_message(self.index, prefix);
        match handle.route().add(message.clone()).execute().await {
            Err(error) if code(&error) == Some(EEXIST) => {
                let existing =
                    existing::find(handle, prefix).await.map_err(self.refused("list routes".to_owned()))?;
                if existing.as_ref().is_none_or(|existing| existing.device != self.index) {
                    let existing = existing.map_or_else(|| "elsewhere".to_owned(), |existing| existing.text);
                    return Err(NetlinkError::RouteExists { device: self.name.clone(), prefix, existing });
                }
                debug!(%prefix, "route is there already");
            }
            done => done.map_err(self.refused(format!("route {prefix}")))?,
        }
        self.added.push(Added::Route(message));
        Ok(())
    }

    fn refused(&self, action: String) -> impl FnOnce(rtnetlink::Error) -> NetlinkError + use<> {
        let device = self.name.clone();
        move |error| NetlinkError::Refused { device, action, error }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let added = std::mem::take(&mut self.added);
        if added.is_empty() {
            return;
        }
        // Dropping cannot await, and the runtime may be ending: a thread with a small runtime of its own can, and sees
        // the same network namespace.
        let name = self.name.clone();
        let remover = std::thread::spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(take_away(&name, added)),
                Err(error) => warn!(device = name, %error, "addresses and routes stay on the device"),
            }
        });
        let _panicked = remover.join();
    }
}

/// A netlink connection that ends when the last handle is dropped.
fn connect() -> io::Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}

async fn index_of(handle: &Handle, name: &str) -> Result<u32, NetlinkError> {
    let mut links = std::pin::pin!(handle.link().get().match_name(name.to_owned()).execute());
    match links.try_next().await {
        Ok(Some(link)) => Ok(link.header.index),
        Ok(None) => Err(NetlinkError::NoDevice(name.to_owned())),
        Err(error) if code(&error) == Some(nix::libc::ENODEV) => Err(NetlinkError::NoDevice(name.to_owned())),
        Err(error) => {
            let action = "look at it".to_owned();
            Err(NetlinkError::Refused { device: name.to_owned(), action, error })
        }
    }
}

async fn take_away(device: &str, added: Vec<Added>) {
    let handle = match connect() {
        Ok(handle) => handle,
        Err(error) => {
            warn!(device, %error, "addresses and routes stay on the device");
            return;
        }
    };
    for item in added.into_iter().rev() {
        let (what, done) = match item {
            Added::Address(message) => ("address", handle.address().del(message).execute().await),
            Added::Route(message) => ("route", handle.route().del(message).execute().await),
        };
        if let Err(error) = done {
            debug!(device, what, %error, "could not remove what was added");
        }
    }
}

fn address_message(index: u32, prefix: IpNet) -> AddressMessage {
    match prefix.addr() {
        std::net::IpAddr::V4(v4) => AddressMessageBuilder::<std::net::Ipv4Addr>::new()
            .index(index)
            .address(v4, prefix.prefix_len())
            .build(),
        std::net::IpAddr::V6(v6) => {
            let builder = AddressMessageBuilder::<std::net::Ipv6Addr>::new().index(index);
            let mut message = builder.address(v6, prefix.prefix_len()).build();
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            message
        }
    }
}

fn route_message(index: u32, prefix: IpNet) -> RouteMessage {
    let mut message = RouteMessageBuilder::<std::net::IpAddr>::new()
        .destination_prefix(prefix.addr(), prefix.prefix_len())
        .expect("a prefix is not longer than its address")
        .output_interface(index)
        .build();
    // As `ip route add … dev` has it: without a next hop, IPv4 destinations count as on the link.
    if message.header.address_family == AddressFamily::Inet {
        message.header.scope = RouteScope::Link;
    }
    message
}

/// The errno with which the kernel refused, positive.
fn code(error: &rtnetlink::Error) -> Option<i32> {
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
