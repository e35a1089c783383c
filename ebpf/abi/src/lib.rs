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
pub use stamp::Stamp;

/// How many conversations are counted at most: more than a gateway has hops, and a few megabytes of the kernel's memory.
/// The loader alone adds them, so that nothing that comes over the network can fill the map.
pub const MAX_CONVERSATIONS: u32 = 4096;

/// How many time stamps wait for their echo at most, the answered ones included: sixteen conversations at the thousand per
/// second that a clock of milliseconds allows have a second each. The least recently used one makes room.
pub const MAX_STAMPS: u32 = 16384;

/// The map of [`Counters`] by [`Conversation`], one value per processor.
pub const COUNTERS_MAP: &str = "COUNTERS";
/// The map of [`Histogram`] by [`Conversation`].
pub const ROUND_TRIPS_MAP: &str = "ROUND_TRIPS";
/// The map from [`Stamp`] to the time at which it was sent, in nanoseconds; 0 once it was answered.
pub const STAMPS_MAP: &str = "STAMPS";

/// The program for what arrives on interfaces with Ethernet headers. The kernel shows 15 bytes of a name.
pub const ETHERNET_INGRESS: &str = "irdest_eth_in";
/// The program for what leaves on interfaces with Ethernet headers.
pub const ETHERNET_EGRESS: &str = "irdest_eth_out";
/// The program for what arrives on interfaces where packets begin with the IP header.
pub const IP_INGRESS: &str = "irdest_ip_in";
/// The program for what leaves on interfaces where packets begin with the IP header.
pub const IP_EGRESS: &str = "irdest_ip_out";
