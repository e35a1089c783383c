// SPDX-License-Identifier: AGPL-3.0-or-later
//! Network devices: finding one, and setting it up.
#![allow(clippy::wildcard_enum_match_arm, reason = "attributes of netlink are open-ended")]

use std::pin::pin;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

use super::{Netlink, NetlinkError, errno, refused};

/// A network device as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is set up; routes through it exist only then.
    pub up: bool,
}

impl Netlink {
    /// The device called `name`; [`NetlinkError::NoDevice`] where there is none.
    pub async fn link(&self, name: &str) -> Result<Link, NetlinkError> {
        let mut links = pin!(self.handle.link().get().match_name(name.to_owned()).execute());
        match links.try_next().await {
            Ok(Some(link)) => {
                let up = link.header.flags.contains(LinkFlags::Up);
                Ok(Link { index: link.header.index, name: name.to_owned(), up })
            }
            Ok(None) => Err(NetlinkError::NoDevice(name.to_owned())),
            Err(error) if errno(&error) == Some(nix::libc::ENODEV) => {
                Err(NetlinkError::NoDevice(name.to_owned()))
            }
            Err(error) => Err(refused(name, "look at it".to_owned())(error)),
        }
    }

    /// Sets the device up with an MTU in bytes of IP packet.
    pub async fn set_up(&self, link: &Link, mtu: u16) -> Result<(), NetlinkError> {
        let message = LinkMessageBuilder::<LinkUnspec>::new().index(link.index).mtu(mtu.into()).up().build();
        let done = self.handle.link().set(message).execute().await;
        done.map_err(refused(&link.name, format!("set it up with an MTU of {mtu}")))
    }

    /// The name of a device for a message to the operator; its number where it has gone.
    pub async fn device_name(&self, index: u32) -> String {
        let mut links = pin!(self.handle.link().get().match_index(index).execute());
        let link = links.try_next().await.ok().flatten();
        let name = link.into_iter().flat_map(|link| link.attributes).find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        name.unwrap_or_else(|| format!("number {index}"))
    }
}
