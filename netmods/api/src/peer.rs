// SPDX-License-Identifier: AGPL-3.0-or-later
//! How the routers fare that a driver dials.

/// A router of the configuration, as its driver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerState {
    /// Where it is dialled, as in the configuration.
    pub peer: String,
    /// Whether there is a link to it, whoever dialled.
    pub linked: bool,
    /// Whether there has been one since the driver began to dial it.
    pub reached: bool,
    /// Why there is none, as the last attempt found; nothing while there is one, or before the first attempt ended.
    pub failure: Option<String>,
}
