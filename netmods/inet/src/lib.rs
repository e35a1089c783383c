// SPDX-License-Identifier: AGPL-3.0-or-later
//! Links between routers over TCP, on IPv4 and IPv6: listens, dials the configured peers for ever, and has every
//! neighbour prove its router key before the first frame (source: wire page, peering over a netmod).
//!
//! On the wire a frame is a length of four bytes and the frame. Who reads hands all frames of one read to the
//! [`Inbox`](netmod_api::Inbox); who sends writes to the socket at once where it has room. When it has none, control waits
//! in a small queue of the link, and data with whoever sends it. Kernel queues are kept small so that what waits, waits
//! where it has a priority. What a link carries is told by its connection while it is full, and found by packet trains
//! over UDP while it is idle.
#![forbid(unsafe_code)]

mod accept;
mod backoff;
mod config;
mod counters;
mod deframer;
mod dial;
mod full_segments;
#[doc(hidden)]
pub mod fuzz;
mod half_open;
mod inet;
mod lines;
mod link;
mod links;
mod meter;
mod outgoing;
mod path;
mod peering;
mod repair;
mod socket;
mod tcp_info;
mod train;

pub use config::{
    Entropy, InetConfig, InetError, InetLimits, LEAST_MTU, MOST_MTU, PeerLine, Percent, TrainConfig,
};
pub use counters::InetCounters;
pub use full_segments::{FullSegments, full_segments};
pub use inet::{Inet, NAME};
