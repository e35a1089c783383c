// SPDX-License-Identifier: AGPL-3.0-or-later
//! What an attacker sends to running daemons: each kind is refused or handled under its own reason, told by the
//! counters of `status`, and beside it a ping through the tunnel of A and B loses nothing.
//!
//! The attacker sits on a node of its own. It is a router with all keys and signatures in order where it wants to be
//! ([`rogue`]), or stands on the path between A and R ([`splice`]).
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

mod announcements;
mod clocks;
mod device;
mod floods;
mod forger;
mod frames;
mod headers;
mod mesh;
mod metadata;
mod packets;
mod path_reports;
mod peering;
mod replays;
mod rogue;
mod sessions;
mod splice;
mod wire_link;
