// SPDX-License-Identifier: AGPL-3.0-or-later
//! The trait that every network driver implements.

use core::fmt::{self, Debug};
use core::time::Duration;

use ratman_types::{Hop, LinkSample, Mtu, RouterId, Timestamp};

use crate::{Class, PeerState, Sent, Underlay};

/// How often [`Netmod::samples`] is asked: often enough for a window of 30 s, too seldom to cost anything.
pub const SAMPLES_EVERY: Duration = Duration::from_secs(1);

/// What a medium can do (source: manual, backplane types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capabilities {
    /// Every frame reaches all participants, and none can be addressed alone.
    Broadcast,
    /// A frame reaches one participant; "all" is done by repetition, outside the driver.
    Unicast,
    /// Both: one participant, or all at once.
    Full,
}

impl Capabilities {
    /// Whether [`Target::One`] works.
    pub const fn unicast(self) -> bool {
        match self {
            Self::Unicast | Self::Full => true,
            Self::Broadcast => false,
        }
    }

    /// Whether [`Target::AllBut`] works.
    pub const fn broadcast(self) -> bool {
        match self {
            Self::Broadcast | Self::Full => true,
            Self::Unicast => false,
        }
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broadcast => "broadcast",
            Self::Unicast => "unicast",
            Self::Full => "full",
        })
    }
}

/// Whom a frame is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// One hop.
    One(Hop),
    /// Every hop but those of these neighbours, so that a flood does not return to where it came from. A medium
    /// that cannot leave anybody out ([`Capabilities::Broadcast`]) reaches them too.
    AllBut(&'a [RouterId]),
}

/// A network driver: links of one kind.
pub trait Netmod: Send + Sync + Debug {
    /// The driver's name, as in configuration (`inet:…`) and in peering proofs; ASCII.
    fn name(&self) -> &'static str;

    /// What the medium can do.
    fn capabilities(&self) -> Capabilities;

    /// The largest frame towards one hop, or with no target the largest that every frame of the driver may have;
    /// nothing if the hop is not up.
    fn mtu(&self, target: Option<Hop>) -> Option<Mtu>;

    /// Sends one frame as [`Outbox::send`](crate::Outbox::send) does; `accepted` counts hops. A target that the
    /// medium cannot serve ([`Netmod::capabilities`]) or that is not up is dropped and counted.
    fn send(&self, target: Target<'_>, class: Class, frame: &[u8]) -> Sent;

    /// Ends the link of a neighbour that the router found dead; a configured peer is dialled again.
    fn close(&self, hop: Hop);

    /// The host's network changed (a link came up, an address appeared): whatever waits is tried again at once.
    fn network_changed(&self);

    /// What the driver measured about its hops since it was last asked; nothing about hops of which it learnt nothing.
    ///
    /// Asked each [`SAMPLES_EVERY`] by one caller. Bounded by the hops that are up, each with one sample of every source
    /// at most.
    fn samples(&self, _now: Timestamp) -> Vec<(Hop, LinkSample)> {
        Vec::new()
    }

    /// Whose packets a probe in the kernel is to count, for every hop that is up; nothing for media that the kernel
    /// does not see as IP.
    fn underlay(&self) -> Vec<(Hop, Underlay)> {
        Vec::new()
    }

    /// How each router fares that the configuration has us dial, in its order; for status.
    fn peers(&self) -> Vec<PeerState> {
        Vec::new()
    }

    /// What was refused and dropped since the driver started, by stable snake-case names; for status.
    fn drops(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
