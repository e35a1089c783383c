// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which of several routes to use: the scoring interface of the manual's Appendix C as a value. A scorer ranks what
//! it is given and keeps no time; [`Selection`] stands behind it, so that noise does not move traffic.

mod live;
mod ping;
mod selection;
mod store_forward;

use core::fmt;
use std::collections::BTreeMap;

use ratman_types::{Address, Bandwidth, ByteCount, Hop, RouterId};
use ratman_wire::announcement::Announcement;

pub use live::LiveScorer;
pub use ping::Ping;
pub use selection::{Change, ChangeReason, Selection};
pub use store_forward::StoreForwardScorer;

/// A route that may be used now: feasible, live, its link up and not stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where frames would leave.
    pub hop: Hop,
    /// How long it is, what the link costs included.
    pub ping: Ping,
    /// The narrowest link on the way, as far as anybody measured.
    pub bandwidth: Bandwidth,
    /// The ping as it looks now, where [`Candidate::ping`] is that of before a load that lasts for half a minute; nothing
    /// where the ping was measured lately.
    pub under_load: Option<Ping>,
    /// Whether the neighbour signed a latency for it; routes without one rank after those with one.
    pub peer_part: bool,
}

/// What the operator tells scorers, and what follows from it (source: manual, Appendix C).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScorerConfiguration {
    /// Trust in addresses that a person has verified; others are absent, not zero.
    pub trust_scores: BTreeMap<Address, u32>,
    /// The most of it that each neighbour has a part in, as the next hop to such an address; the router keeps it.
    pub reached: BTreeMap<RouterId, u32>,
}

impl ScorerConfiguration {
    /// The trust in a neighbour: what was said of its own id, and else of an address that is reached through it
    /// (decisions/trust-in-routers.md).
    pub fn trust_in(&self, neighbour: &RouterId) -> Option<u32> {
        let named = self.trust_scores.get(&Address::from_bytes(*neighbour.as_bytes()));
        named.or_else(|| self.reached.get(neighbour)).copied()
    }
}

/// No route could be selected: the next strategy is asked, or the frame waits (source: manual, Appendix C).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no route is available")]
pub struct NoAvailableRoute;

/// A route scoring module (source: manual, Appendix C; synchronous, since nothing here waits).
pub trait RouteScorer: Send + fmt::Debug {
    /// Told once, before the first announcement.
    fn configure(&mut self, _config: &mut ScorerConfiguration) {}

    /// An announcement of `address` that came over `from` has made or kept a route live.
    fn irq_live_announcement(
        &mut self,
        _address: &Address,
        _announcement: &Announcement,
        _from: Hop,
        _config: &mut ScorerConfiguration,
    ) {
    }

    /// Ranks `candidates` for a stream of `stream_size`; the order of the slice does not matter.
    ///
    /// # Errors
    /// [`NoAvailableRoute`] if none of them is to be used; always if there are none.
    fn compute(
        &self,
        stream_size: ByteCount,
        config: &ScorerConfiguration,
        candidates: &[Candidate],
    ) -> Result<Choice, NoAvailableRoute>;
}

/// The route that a scorer puts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Where frames are to leave.
    pub hop: Hop,
    /// What decided, for people.
    pub why: Why,
}

/// What put a route before the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no other.
    OnlyRoute,
    /// The others carry no latency that their neighbour signed.
    OnlySigned,
    /// The lowest ping.
    Ping {
        /// Of the chosen route.
        own: Ping,
        /// Of the next one.
        next: Ping,
    },
    /// A ping as good as the lowest, and more bandwidth.
    Bandwidth {
        /// Of the chosen route.
        ping: Ping,
        /// The lowest of all.
        lowest_ping: Ping,
        /// Of the chosen route.
        own: Bandwidth,
        /// Of the route with the lowest ping.
        other: Bandwidth,
    },
    /// A ping as good as one that is only remembered from before a load, and measured lately.
    Doubt {
        /// Of the chosen route.
        ping: Ping,
        /// Of the other, from before the load.
        remembered: Ping,
        /// Of the other, under the load.
        under_load: Ping,
    },
    /// More trust in the router at the other end; nobody is waiting there now.
    Trust {
        /// In the chosen one.
        own: u32,
        /// In the next one, if there is any.
        next: Option<u32>,
    },
    /// The highest bandwidth, over which most is handed on while two routers meet.
    Widest {
        /// Of the chosen link.
        own: Bandwidth,
        /// Of the next one.
        next: Bandwidth,
    },
    /// A bandwidth as good as the highest, and the lowest ping of those.
    PingOfWide {
        /// Of the chosen link.
        own: Ping,
        /// Of the next one.
        next: Ping,
        /// Of the chosen link.
        bandwidth: Bandwidth,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OnlyRoute => f.write_str("the only route"),
            Self::OnlySigned => f.write_str("the only route with a signed latency"),
            Self::Ping { own, next } => write!(f, "ping {own} against {next}"),
            Self::Bandwidth { ping, lowest_ping, own, other } => {
                write!(f, "ping {ping} against {lowest_ping}, within 10 %: bandwidth {own} against {other}")
            }
            Self::Doubt { ping, remembered, under_load } => {
                write!(f, "ping {ping} against {remembered} before the load and {under_load} under it")
            }
            Self::Trust { own, next: Some(next) } => write!(f, "trust {own} against {next}"),
            Self::Trust { own, next: None } => write!(f, "trust {own} against none"),
            Self::Widest { own, next } => write!(f, "bandwidth {own} against {next}"),
            Self::PingOfWide { own, next, bandwidth } => {
                write!(f, "bandwidth {bandwidth}, within 10 %: ping {own} against {next}")
            }
        }
    }
}

/// Whether both bandwidths are measured and `own` is over 1.02 times `other` (source: manual, live route scoring).
fn wider(own: Bandwidth, other: Bandwidth) -> bool {
    let (own, other) = (u64::from(own.as_bytes_per_second()), u64::from(other.as_bytes_per_second()));
    other > 0 && own * 100 > other * 102
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::LinkCost;

    #[test]
    fn reasons_read_well() {
        let us = |micros| Ping::from(Duration::from_micros(micros));
        assert_eq!(Why::OnlyRoute.to_string(), "the only route");
        assert_eq!(Why::OnlySigned.to_string(), "the only route with a signed latency");
        let cost = LinkCost::new(Duration::from_millis(2)).unwrap();
        let ping = Why::Ping { own: us(4_128), next: Ping { cost, ..us(9_000) } };
        assert_eq!(ping.to_string(), "ping 4.12 ms against 9.00 ms + cost 2.00 ms");
        let bandwidth = Why::Bandwidth {
            ping: us(4_300),
            lowest_ping: us(4_100),
            own: Bandwidth::from_bytes_per_second(6_000_000),
            other: Bandwidth::from_bytes_per_second(1_125_000),
        };
        assert_eq!(
            bandwidth.to_string(),
            "ping 4.30 ms against 4.10 ms, within 10 %: bandwidth 48 Mbit/s against 9000 kbit/s"
        );
        let doubt = Why::Doubt { ping: us(5_050), remembered: us(5_000), under_load: us(24_000) };
        assert_eq!(doubt.to_string(), "ping 5.05 ms against 5.00 ms before the load and 24.00 ms under it");
        let (own, next) = (Bandwidth::from_bytes_per_second(6_000_000), Bandwidth::UNKNOWN);
        assert_eq!(Why::Widest { own, next }.to_string(), "bandwidth 48 Mbit/s against unknown");
        let ping = Why::PingOfWide { own: us(1_000), next: us(2_000), bandwidth: own };
        assert_eq!(ping.to_string(), "bandwidth 48 Mbit/s, within 10 %: ping 1.00 ms against 2.00 ms");
        assert_eq!(Why::Trust { own: 7, next: Some(6) }.to_string(), "trust 7 against 6");
        assert_eq!(Why::Trust { own: 7, next: None }.to_string(), "trust 7 against none");
    }

    #[test]
    fn two_percent_are_exact() {
        let bw = Bandwidth::from_bytes_per_second;
        assert!(!wider(bw(102), bw(100)));
        assert!(wider(bw(103), bw(100)));
        assert!(wider(bw(u32::MAX), bw(1)));
        assert!(!wider(bw(103), Bandwidth::UNKNOWN));
        assert!(!wider(Bandwidth::UNKNOWN, bw(100)));
    }
}
