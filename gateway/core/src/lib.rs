// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the gateway knows about IP packets, as values: no socket, no clock, no thread.
//!
//! Outbound, a packet from the TUN device goes through [`packet`] (validated once), [`remotes`] (which remote has
//! the destination), [`flow`] (who may answer) and [`mtu`] (does the path carry it as it is?), and is sealed by the
//! session. Inbound, the session opens it, then [`packet`], [`remotes`] (may this remote use this source?) and
//! [`flow`] (does one of our flows expect it, or does the [`firewall`] let it in?) decide whether the TUN device gets
//! it. What a remote sends and gets may be bounded by [`limits`]. What cannot go yet waits in [`pending`]; what cannot go
//! at all is told to the application by [`icmp`]. Every refusal is a [`drop_reason`].
#![forbid(unsafe_code)]

pub mod drop_reason;
pub mod firewall;
pub mod flow;
#[doc(hidden)]
pub mod fuzz;
pub mod icmp;
pub mod limits;
pub mod mtu;
pub mod offload;
pub mod packet;
pub mod pending;
pub mod queue;
pub mod remotes;
pub mod session;
mod token_bucket;
