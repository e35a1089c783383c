// SPDX-License-Identifier: AGPL-3.0-or-later
//! Cryptokey routing: which remote has a destination, and which sources a remote may use. Configured prefixes
//! decide by longest match; under them, every address of the mesh has one IPv6 address of its own.

mod overlay;

use core::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;
use ratman_types::Address;
use std::sync::Arc;

use crate::flow::HashSeed;
use overlay::Overlay;

pub use overlay::{
    Learned, MAX_OVERLAY, OVERLAY_PREFIX, OVERLAY_PREFIX_LEN, OverlayStats, is_overlay, overlay_address,
};

/// Prefixes that a configuration may have: each is a route of the kernel's too, and this is far above what people write.
pub const MAX_ROUTES: usize = 4096;

/// What is wrong with the configured routes; the message names prefix and remotes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// More than [`MAX_ROUTES`].
    #[error("{0} routes, but at most {MAX_ROUTES} are possible")]
    TooMany(usize),
    /// The prefix has bits behind its length.
    #[error("prefix {prefix} has host bits set; {expected} was expected")]
    HostBits {
        /// As configured.
        prefix: IpNet,
        /// Without the bits.
        expected: IpNet,
    },
    /// The prefix lies within the overlay, where each address belongs to the key it is derived from.
    #[error("prefix {0} lies within fd69:7264::/32, where addresses are derived from keys and need no route")]
    Overlay(IpNet),
    /// The prefix holds groups, which are not carried.
    #[error("prefix {0} is multicast; only unicast prefixes can be routed")]
    Multicast(IpNet),
    /// One prefix, two remotes.
    #[error("prefix {prefix} is routed to {first} and to {second}; one remote was expected")]
    Duplicate {
        /// The prefix.
        prefix: IpNet,
        /// The remote of the first line.
        first: Address,
        /// The remote of a later line.
        second: Address,
    },
}

/// What is known of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It lies behind this remote.
    Remote(Address),
    /// It is an overlay address that nobody has announced yet: the packet may wait.
    UnknownOverlay,
    /// No prefix covers it.
    NoRoute,
}

/// All prefixes and known overlay addresses. A snapshot: a clone shares everything, and a change to the clone
/// copies only the small part that it touches.
#[derive(Clone, Debug)]
pub struct Remotes {
    routes: Arc<JointPrefixMap<IpNet, Address>>,
    overlay: Overlay,
}

impl Remotes {
    /// Takes the configured routes. Their remotes' overlay addresses are known from now on and cannot be forgotten.
    /// The seed keys the hashes of the overlay table and must be random.
    ///
    /// # Errors
    /// The first route that cannot stand, see [`RouteError`]; one line given twice is no error. A prefix
    /// around the overlay, `::/0` too, is allowed: the overlay is the longer match.
    pub fn new(
        routes: impl IntoIterator<Item = (IpNet, Address)>,
        seed: HashSeed,
    ) -> Result<Self, RouteError> {
        Self::with_overlay(routes, Overlay::new(seed))
    }

    /// The same with other configured routes: learned addresses stay known, and counts go on. A remote of the old
    /// routes is to be learned anew where it is announced.
    ///
    /// # Errors
    /// As [`Remotes::new`].
    pub fn with_routes(
        &self,
        routes: impl IntoIterator<Item = (IpNet, Address)>,
    ) -> Result<Self, RouteError> {
        let mut new = Self::with_overlay(routes, self.overlay.emptied())?;
        for address in self.learned() {
            new.learn(address);
        }
        Ok(new)
    }

    fn with_overlay(
        routes: impl IntoIterator<Item = (IpNet, Address)>,
        mut overlay: Overlay,
    ) -> Result<Self, RouteError> {
        let mut map = JointPrefixMap::new();
        for (prefix, remote) in routes {
            check_prefix(prefix)?;
            if let Some(first) = map.insert(prefix, remote).filter(|first| *first != remote) {
                return Err(RouteError::Duplicate { prefix, first, second: remote });
            }
            if map.len() > MAX_ROUTES {
                return Err(RouteError::TooMany(map.len()));
            }
            overlay.pin(remote);
        }
        Ok(Self { routes: Arc::new(map), overlay })
    }

    /// Which remote has a destination; does not allocate.
    pub fn lookup(&self, destination: IpAddr) -> Lookup {
        if let Some(address) = as_overlay(destination) {
            return self.overlay.get(&address).map_or(Lookup::UnknownOverlay, Lookup::Remote);
        }
        self.longest_match(destination).map_or(Lookup::NoRoute, Lookup::Remote)
    }

    /// Whether packets from `remote` may have this source: one that we would route to it, or its own overlay
    /// address, known or not. A stranger thus has its overlay address and nothing else.
    pub fn source_allowed(&self, remote: &Address, source: IpAddr) -> bool {
        let Some(address) = as_overlay(source) else {
            return self.longest_match(source) == Some(*remote);
        };
        match self.overlay.get(&address) {
            Some(owner) => owner == *remote,
            None => overlay_address(remote) == address,
        }
    }

    /// Remembers the overlay address of an announced address.
    pub fn learn(&mut self, address: Address) -> Learned {
        self.overlay.learn(address)
    }

    /// Forgets the overlay address of an address that is announced no more; says whether it was known and is no
    /// configured remote.
    pub fn forget(&mut self, address: &Address) -> bool {
        self.overlay.forget(address)
    }

    /// Every address that was learned and not forgotten; not the configured remotes.
    pub fn learned(&self) -> impl Iterator<Item = Address> + '_ {
        self.overlay.learned()
    }

    /// What is known of the overlay; the counts go on in clones.
    pub fn overlay_stats(&self) -> OverlayStats {
        self.overlay.stats()
    }

    fn longest_match(&self, address: IpAddr) -> Option<Address> {
        self.routes.get_lpm(&IpNet::from(address)).map(|(_, remote)| *remote)
    }
}

fn as_overlay(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(v6) if is_overlay(v6) => Some(v6),
        IpAddr::V6(_) | IpAddr::V4(_) => None,
    }
}

/// Whether a prefix can be routed to a remote.
///
/// # Errors
/// [`HostBits`](RouteError::HostBits), [`Overlay`](RouteError::Overlay) or [`Multicast`](RouteError::Multicast).
pub fn check_prefix(prefix: IpNet) -> Result<(), RouteError> {
    if prefix != prefix.trunc() {
        return Err(RouteError::HostBits { prefix, expected: prefix.trunc() });
    }
    if as_overlay(prefix.network()).is_some() && prefix.prefix_len() >= OVERLAY_PREFIX_LEN {
        return Err(RouteError::Overlay(prefix));
    }
    if prefix.network().is_multicast() {
        return Err(RouteError::Multicast(prefix));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
