// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where a frame comes from and goes to on one link.

use core::fmt;

use crate::RouterId;

/// One attachment to a medium, driven by a netmod: a TCP connection, a LAN interface, a radio.
///
/// Given by the driver, never used twice while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A neighbour as reached over one link; two links to one neighbour are two hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// The link that the frame crosses.
    pub link: LinkId,
    /// The router at its other end, proven by signature.
    pub neighbour: RouterId,
}
