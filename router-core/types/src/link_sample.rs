// SPDX-License-Identifier: AGPL-3.0-or-later
//! What somebody measured about a link: the one shape in which every source, in the kernel or not, tells it.

use core::fmt;
use core::time::Duration;

use crate::{Bandwidth, ByteCount, Timestamp};

/// Who measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleSource {
    /// Echo frames of the router itself.
    Echo,
    /// What the kernel tells of our own sockets (`TCP_INFO`).
    Socket,
    /// Packet trains between two netmods (source: wire page, modes 36 and 37).
    Train,
    /// Probes in the kernel (eBPF).
    Kernel,
}

impl fmt::Display for SampleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Echo => "echo",
            Self::Socket => "socket",
            Self::Train => "train",
            Self::Kernel => "kernel",
        })
    }
}

/// Quantities of one hop, measured at one time; what the source does not know is absent, never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSample {
    /// The end of the time over which it was measured.
    pub at: Timestamp,
    /// Who measured.
    pub source: SampleSource,
    /// Round trips.
    pub round_trips: Option<RoundTrips>,
    /// What the link carries towards the neighbour.
    pub capacity: Option<Capacity>,
    /// What crossed the link.
    pub traffic: Option<Traffic>,
    /// What was lost towards the neighbour.
    pub loss: Option<Loss>,
}

impl LinkSample {
    /// A sample that says nothing yet.
    pub const fn new(at: Timestamp, source: SampleSource) -> Self {
        Self { at, source, round_trips: None, capacity: None, traffic: None, loss: None }
    }
}

/// Round trips since the last sample of the same source. Percentiles: one reordered packet would own a minimum, and
/// delayed acknowledgements a mean (measured: three times the truth).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrips {
    /// The tenth percentile.
    pub p10: Duration,
    /// The ninetieth percentile.
    pub p90: Duration,
    /// How many there were; never zero.
    pub count: u32,
}

/// What a link carries towards the neighbour, underlay headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// Found by filling the link, or by a train that converged.
    Measured(Bandwidth),
    /// The sender was not fast enough to find out.
    AtLeast(Bandwidth),
}

/// Bytes that crossed a link, underlay headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The time over which they were counted.
    pub over: Duration,
    /// Towards the neighbour.
    pub sent: ByteCount,
    /// From the neighbour.
    pub received: ByteCount,
}

/// Packets towards a neighbour since the last sample of the same source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Packets sent, those sent again included.
    pub sent: u64,
    /// Packets that had to be sent again, or never arrived.
    pub lost: u64,
    /// Whether packets overtook each other: then some of `lost` were only late.
    pub reordered: bool,
}
