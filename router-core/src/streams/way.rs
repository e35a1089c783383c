// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where frames of streams go.

use ratman_types::{Address, Hop, LinkId, Mtu, Recipient, RouterId};
use ratman_wire::MAX_FRAME;

use super::Streams;
use super::flooding::FLOODED_MTU;
use super::outbound::Kind;
use crate::{Lookup, Via};

/// Where frames from us to ourselves go.
pub(super) const LOOPBACK: Hop = Hop { link: LinkId(0), neighbour: RouterId::from_bytes([0; 32]) };

/// Where frames to an address go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Local,
    /// The address is announced there.
    Live(Via),
    /// It is not announced; a router there knew it better than we did.
    Carry(Via),
    /// To everybody, by our own [`Flooding`].
    Flood,
    None,
}

impl Way {
    pub(super) const fn hop(self) -> Option<Hop> {
        match self {
            Self::Local | Self::Flood => Some(LOOPBACK),
            Self::Live(via) | Self::Carry(via) => Some(via.hop),
            Self::None => None,
        }
    }

    /// The longest frame that it takes.
    pub(super) fn mtu(self) -> Mtu {
        match self {
            Self::Live(via) | Self::Carry(via) => via.mtu,
            Self::Flood => FLOODED_MTU,
            Self::Local | Self::None => Mtu(u32::try_from(MAX_FRAME).expect("a small constant fits")),
        }
    }

    pub(super) const fn carrier(self) -> Option<RouterId> {
        match self {
            Self::Carry(via) => Some(via.hop.neighbour),
            Self::Flood => Some(LOOPBACK.neighbour),
            Self::Live(_) | Self::Local | Self::None => None,
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Local | Self::Live(_) => Kind::Live,
            Self::Carry(_) | Self::Flood => Kind::Carry,
            Self::None => Kind::None,
        }
    }
}

impl Streams {
    pub(super) fn way(&self, to: &Address) -> Way {
        if self.locals.contains_key(to) {
            return Way::Local;
        }
        match self.fib.lookup(to, None) {
            Lookup::Via(via) => Way::Live(via),
            Lookup::Local | Lookup::OnlyWayBack | Lookup::NoRoute => {
                self.carriers.get(to).map_or(Way::None, |via| Way::Carry(*via))
            }
        }
    }

    /// Where what we send to a recipient goes.
    pub(super) fn way_out(&self, to: &Recipient) -> Way {
        match to {
            Recipient::Address(address) => self.way(address),
            Recipient::Namespace(_) => Way::Flood,
        }
    }
}
