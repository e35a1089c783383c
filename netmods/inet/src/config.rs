// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the operator says about TCP links, as values.

use core::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ratman_types::RouterId;

/// Fills a buffer with random bytes fit for nonces.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// A router that we dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerLine {
    /// A name or an address, IPv6 without brackets; resolved again at each dial.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The key that the router must prove; without it any proven key is taken, since the line itself is trusted.
    pub router_key: Option<RouterId>,
}

impl fmt::Display for PeerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "inet:[{}]:{}", self.host, self.port)
        } else {
            write!(f, "inet:{}:{}", self.host, self.port)
        }
    }
}

/// How much strangers may cost us. What is refused is counted ([`InetCounters`](crate::InetCounters)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InetLimits {
    /// Inbound connections that have not proven a key yet. Default 64: each costs a descriptor and under 1 KiB
    /// for at most 5 s, so a flood leaves descriptors for everything else.
    pub half_open: usize,
    /// The same, from one IPv4 address or IPv6 /64. Default 8: one source cannot take all places.
    pub half_open_per_source: usize,
    /// Links. Default 1024: each holds 256 KiB when idle, and at most 512 KiB more when the other end does not read.
    pub links: usize,
    /// Of these, places that only routers take which we dial or which a peer line names: so many, or two for each
    /// peer line if that is more. Default 16: strangers with any number of keys cannot keep us from our peers.
    pub links_reserved: usize,
    /// Links of one neighbour. Default 8: more parallel ways than a host has uplinks are a mistake or an attack.
    pub links_per_neighbour: usize,
}

impl Default for InetLimits {
    fn default() -> Self {
        Self {
            half_open: 64,
            half_open_per_source: 8,
            links: 1024,
            links_reserved: 16,
            links_per_neighbour: 8,
        }
    }
}

/// What [`Inet::start`](crate::Inet::start) is told.
#[derive(Clone, Debug, Default)]
pub struct InetConfig {
    /// Where to listen. `[::]` takes IPv4 too, unless `0.0.0.0` with the same port is also listed; where the kernel
    /// has no IPv6 it takes IPv4 alone.
    pub listen: Vec<SocketAddr>,
    /// Whom to dial.
    pub peers: Vec<PeerLine>,
    /// Whether a router may connect to us whose key no peer line names.
    pub accept_unknown_peers: bool,
    /// How much strangers may cost us.
    pub limits: InetLimits,
}

/// Why the driver does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InetError {
    /// Somebody listens there already.
    #[error("cannot listen on {address}: the address is in use already")]
    AddressInUse {
        /// The address as configured.
        address: SocketAddr,
    },
    /// The host does not let us listen there.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
}
