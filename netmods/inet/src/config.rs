// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the operator says about TCP links, as values.

use core::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netmod_api::Executor;
use ratman_types::{ByteCount, Mtu, RouterId};
use ratman_wire::{MAX_FRAME, announcement, session};

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
    /// The largest frame that we send over the links dialled by this line, [`LEAST_MTU`] to [`MOST_MTU`]; default
    /// [`InetConfig::mtu`].
    pub mtu: Option<Mtu>,
}

/// The smallest MTU that a link may be given, in bytes: 576, what every IPv4 host takes (RFC 791) and the lowest that a
/// session believes of a path; every control frame fits.
pub const LEAST_MTU: Mtu = Mtu({
    let header = MAX_FRAME - ratman_wire::MAX_PAYLOAD;
    assert!(header + announcement::LENGTH_WITH_PEER <= 576, "an announcement fits");
    assert!(header + session::INITIATION_LEN <= 576, "a handshake fits");
    576
});

/// The largest MTU of a link, in bytes, and what a link has unless it is told otherwise: any frame.
pub const MOST_MTU: Mtu = Mtu({
    assert!(MAX_FRAME == 33_004, "the number below is the same");
    33_004
});

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

/// A hundredth part of something, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u8);

/// How idle links are measured by packet trains (source: wire page, modes 36 and 37): some tens of KB at once, now and
/// then, which find out what the link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainConfig {
    /// The least time between two measurements of a link, a third of it beside another link to the same neighbour
    /// that is in use. Default 60 s.
    pub every: Duration,
    /// What trains may take of what a link carries, in the mean; a slow link is measured the less often for it. Default
    /// 1 %: a link of 10 Mbit/s every 60 s, one of 1 Mbit/s every 4 minutes.
    pub share: Percent,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), share: Percent(1) }
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
    /// The largest frame that we send over links whose line says nothing else, those included that others dialled;
    /// [`LEAST_MTU`] to [`MOST_MTU`], which is the default.
    pub mtu: Option<Mtu>,
    /// The mark of every socket (`SO_MARK`, socket(7)), by which a policy rule keeps our own connections out of routes
    /// into the mesh; default none. Needs CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// What the kernel may buffer of every connection, each way (`SO_SNDBUF`, `SO_RCVBUF`, socket(7)), at most its
    /// `net.core.wmem_max` and `rmem_max`. Default none: the kernel grows buffers with the path, up to 4 and 6 MiB,
    /// and the driver bounds what a slow path may hold; a fixed size is too small for a long path or too large for
    /// memory when many links are slow.
    pub buffer: Option<ByteCount>,
    /// How idle links are measured; with none neither are trains sent nor those of others answered, and no UDP port is
    /// opened. Default none. Trains use the ports of `listen`, on UDP.
    pub trains: Option<TrainConfig>,
    /// How much strangers may cost us.
    pub limits: InetLimits,
    /// Who runs the tasks that read links and write to them, one of each per link. Default none: the runtime in which the
    /// driver was started, which runs everything else too.
    pub executor: Option<Arc<dyn Executor>>,
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
    /// The kernel does not let us mark sockets.
    #[error("cannot mark sockets with {mark:#x}, which needs CAP_NET_ADMIN: {error}")]
    Mark {
        /// The mark as configured.
        mark: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// No link can have this MTU.
    #[error("an MTU of {} bytes: at least {}, at most {}", .0.0, LEAST_MTU.0, MOST_MTU.0)]
    Mtu(Mtu),
}
