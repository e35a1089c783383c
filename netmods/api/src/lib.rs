// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a network driver ("netmod") is to the router: a [`Netmod`] that sends opaque frames over its links, and an
//! [`Inbox`] that it calls with links and frames that come in.
//!
//! A netmod moves frames and nothing else: it parses only the peering frames of its own links (modes 32–63) and
//! never chooses a route. What it owes its users, whatever the medium, stands in `contract` as tests that any
//! driver can be put through (feature `contract`).
#![forbid(unsafe_code)]

#[cfg(feature = "contract")]
pub mod contract;
mod executor;
mod frame_parts;
mod inbox;
mod link;
mod netmod;
mod outbox;
mod peer;
mod underlay;

pub use executor::Executor;
pub use frame_parts::FrameParts;
pub use inbox::Inbox;
pub use link::{DownReason, LinkUp};
pub use netmod::{Capabilities, Netmod, SAMPLES_EVERY, Target};
pub use outbox::{Activity, Class, MAX_UNIT, Outbox, Sent};
pub use peer::PeerState;
pub use underlay::{IpProtocol, Underlay};
