// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the control half is told from outside.

use ratman_types::{Address, WallTime};

/// Whose sessions are accepted (`sessions.accept`). Sessions that we open are not asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// Everybody's: a stranger has only its own derived address, and the firewall stands behind.
    #[default]
    Any,
    /// Only those of configured remotes.
    Configured,
}

/// A remote of the configuration, with the initiation times that were persisted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfiguredRemote {
    /// The remote's address.
    pub address: Address,
    /// The time in our last initiation to it; the epoch if there was none.
    pub last_sent: WallTime,
    /// The time in its last initiation to us; the epoch if there was none.
    pub last_received: WallTime,
}

/// How [`Sessions`](super::Sessions) starts.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Whose sessions are accepted; default any.
    pub accept: Accept,
    /// The remotes of the configuration.
    pub configured: Vec<ConfiguredRemote>,
    /// Whether this machine has AES (and carry-less multiplication) in hardware.
    pub aes_in_hardware: bool,
    /// What the carrier header of our data frames starts its hops from: the router's `initial_hops` of our address.
    pub hops_left: u8,
}
