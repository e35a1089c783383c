// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the operator and the build decide about a router.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeSet;

use ratman_types::{Address, WallTime};

/// The least [`RouterConfig::announce_interval`]: everybody floods an address at most once a second, and what others count
/// on is two (source: manual, announcements).
pub const LEAST_ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);

/// The configuration of a [`Router`](crate::Router).
#[derive(Clone)]
pub struct RouterConfig {
    /// How often each local address is announced (default and least: [`LEAST_ANNOUNCE_INTERVAL`]; the router takes less
    /// for that).
    pub announce_interval: Duration,
    /// Hides which addresses are local: from it come the fixed hop counts and latencies that announcements start
    /// with. Random, kept as long as the addresses, never told.
    pub privacy_secret: [u8; 32],
    /// Addresses that are never evicted and count against no quota: configured remotes, contacts.
    pub pinned: BTreeSet<Address>,
    /// When this program was built: a clock before it has no vote.
    pub build_time: WallTime,
    /// How many addresses the router knows at most (default: 16 384, which take about 60 MB with four hops each).
    pub max_addresses: usize,
}

impl RouterConfig {
    /// The defaults, with what has none.
    pub const fn new(privacy_secret: [u8; 32], build_time: WallTime) -> Self {
        Self {
            announce_interval: LEAST_ANNOUNCE_INTERVAL,
            privacy_secret,
            pinned: BTreeSet::new(),
            build_time,
            max_addresses: 16_384,
        }
    }
}

impl fmt::Debug for RouterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterConfig")
            .field("announce_interval", &self.announce_interval)
            .field("pinned", &self.pinned)
            .field("build_time", &self.build_time)
            .field("max_addresses", &self.max_addresses)
            .finish_non_exhaustive()
    }
}
