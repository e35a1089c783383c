// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the message plane tells the operator of itself.

use router_core::DropCounters;
use router_core::streams::StreamsStatus;

use crate::store::StoreStatus;

/// The message plane at one moment.
#[derive(Clone, Debug, Default)]
pub struct PlaneReport {
    /// What the machine says.
    pub streams: StreamsStatus,
    /// What the machine dropped.
    pub drops: DropCounters,
    /// What the store says.
    pub store: StoreStatus,
    /// Frames that went into the queue of a link.
    pub sent: u64,
    /// Frames that the queue of their link did not take.
    pub not_taken: u64,
    /// Frames whose link went before they could leave.
    pub without_way_out: u64,
    /// Custodies that the control loop did not take as fast as they came.
    pub custodies_lost: u64,
}
