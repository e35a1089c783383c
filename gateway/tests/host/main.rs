// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the gateway does to its host: routes, rules, forwarding and NAT, in a lab whose node "host" stands in for the host.
//!
//! One end of a veth pair stands in for the TUN: like a persistent TUN it stays when the program goes, so that what is left
//! behind shows.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

mod changes;
mod forwarding;
mod leftovers;
mod routing;
mod scene;
