// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the probes in the kernel and their loader share: keys and values of the maps, byte by byte, and the
//! buckets of the histogram.
//!
//! Both sides are built from this one source, but by different compilers: every layout is `repr(C)`, has no padding,
//! and its size is asserted at build time. Integers are in the byte order of the machine, addresses in that of the
//! network.
#![no_std]
#![forbid(unsafe_code)]

mod conversation;
mod counters;
mod histogram;
mod stamp;

pub use conversation::{Conversation, TCP, UDP, mapped};
pub use counters::Counters;
pub use histogram::{BUCKETS, Histogram, bounds, bucket};
pub use stamp::{PATIENCE, STAMPS, Stamp, Stamps};

/// How many conversations are counted at most: as many as a router has links, and 4 MB of the kernel's memory. The loader
/// alone adds them, so that nothing that comes over the network can fill a map.
pub const MAX_CONVERSATIONS: u32 = 1024;

/// The map from a [`Conversation`] to its place in the arrays, below [`MAX_CONVERSATIONS`].
pub const FOLLOWED_MAP: &str = "FOLLOWED";
/// The array of [`Counters`], one value per processor.
pub const COUNTERS_MAP: &str = "COUNTERS";
/// The array of [`Histogram`].
pub const ROUND_TRIPS_MAP: &str = "ROUND_TRIPS";
/// The array of [`Stamps`].
pub const STAMPS_MAP: &str = "WAITING";

/// The program for what arrives on interfaces with Ethernet headers. The kernel shows 15 bytes of a name.
pub const ETHERNET_INGRESS: &str = "irdest_eth_in";
/// The program for what leaves on interfaces with Ethernet headers.
pub const ETHERNET_EGRESS: &str = "irdest_eth_out";
/// The program for what arrives on interfaces where packets begin with the IP header.
pub const IP_INGRESS: &str = "irdest_ip_in";
/// The program for what leaves on interfaces where packets begin with the IP header.
pub const IP_EGRESS: &str = "irdest_ip_out";
