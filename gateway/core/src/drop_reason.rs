// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why a packet went no further, as data: every refusal of this room is one variant of [`GatewayDrop`], and
//! [`Counters`] counts any such enum so that `status` and the metrics can list all reasons by name.

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

/// A fieldless enum of reasons that can be counted; implemented by [`drop_reasons!`](crate::drop_reasons).
pub trait Reason: Copy + 'static {
    /// Every variant, in the order of [`index`](Self::index).
    const ALL: &'static [Self];

    /// The position of this variant in [`ALL`](Self::ALL).
    fn index(self) -> usize;

    /// The stable snake_case name for status and metrics.
    fn name(self) -> &'static str;
}

/// Defines a `#[non_exhaustive]` error enum without fields that is also a [`Reason`]: each variant has a doc
/// line, its stable name, and its message.
#[macro_export]
macro_rules! drop_reasons {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $variant:ident = $label:literal, $message:literal;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[non_exhaustive]
        $vis enum $name {
            $($(#[$doc])* #[error($message)] $variant,)+
        }

        impl $crate::drop_reason::Reason for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            #[expect(clippy::as_conversions, reason = "the discriminant of a fieldless enum has no other reading")]
            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

drop_reasons! {
    /// Why the packet, flow or route part of the gateway dropped an IP packet.
    pub enum GatewayDrop {
        /// Shorter than an IP header.
        TooShort = "too_short", "shorter than an IP header";
        /// The version nibble is neither 4 nor 6.
        BadVersion = "bad_version", "the IP version is neither 4 nor 6";
        /// The IP header or its options contradict themselves.
        BadIpHeader = "bad_ip_header", "the IP header contradicts itself";
        /// The IP header tells another length than the packet has.
        LengthMismatch = "length_mismatch", "the IP header tells another length than the packet has";
        /// The hop limit is 0 (RFC 1812 section 5.3.1, RFC 8200 section 3).
        HopLimitZero = "hop_limit_zero", "the hop limit is 0";
        /// A source route in IPv4 options or an IPv6 routing header (RFC 7126, RFC 5095): it would evade the
        /// routes and the firewall.
        SourceRoute = "source_route", "the packet carries a source route";
        /// An IPv6 extension header is cut short or stands where it must not.
        BadExtension = "bad_extension", "an IPv6 extension header is cut short or misplaced";
        /// More IPv6 extension headers than we follow.
        ExtensionChain = "extension_chain", "too many IPv6 extension headers";
        /// The TCP, UDP or ICMP header is incomplete (RFC 1858 and RFC 7112 for first fragments).
        BadTransport = "bad_transport", "the transport header is incomplete";
        /// A fragment that would reach beyond 65 535 bytes, or rewrite the header of its first fragment (RFC 1858).
        BadFragment = "bad_fragment", "a fragment with an impossible place";
        /// A later fragment whose first fragment was not seen, or was refused, or is more than 30 s old.
        UnknownFragment = "unknown_fragment", "a fragment without its first one";
        /// The source is no address of one host: unspecified, loopback, multicast, broadcast, link-local.
        MartianSource = "martian_source", "the source is not the address of one host";
        /// The destination is unspecified, loopback, broadcast or link-local.
        MartianDestination = "martian_destination", "the destination cannot lie behind a gateway";
        /// The destination is a group; groups are not carried.
        Multicast = "multicast", "the destination is a multicast group";
        /// Source and destination are the same, ports too: a land packet.
        Land = "land", "source and destination are the same";
        /// No prefix of the configuration covers the destination.
        NoRoute = "no_prefix", "no route to the destination";
        /// An overlay address that no announcement has shown within the waiting time.
        UnknownOverlay = "unknown_overlay", "no known router has this overlay address";
        /// Cryptokey routing: the source does not belong to the remote that the packet came from.
        SourceNotAllowed = "source_not_allowed", "the source does not belong to the remote";
        /// A packet from a remote claims one of our own addresses as its source.
        SourceIsOurs = "source_is_ours", "the source is one of our own addresses";
        /// The virtio-net metadata is not true of the packet; the kernel must not see it.
        BadMetadata = "bad_metadata", "the metadata is not true of the packet";
        /// Inbound and no reply to a flow of ours.
        NoFlow = "no_flow", "no flow of ours expects this packet";
        /// A reply from another remote than the one its flow goes to.
        WrongRemote = "wrong_remote", "the flow goes to another remote";
        /// A TCP connection opened from outside.
        InboundConnection = "inbound_connection", "connections from outside are not accepted";
        /// An ICMP error that quotes none of our flows.
        UnrelatedIcmp = "unrelated_icmp", "the ICMP error quotes no flow of ours";
        /// An ICMP type other than echo and errors: redirects, router and neighbour discovery, …
        IcmpType = "icmp_type", "this ICMP type is not carried";
        /// The remote already holds its share of the flow table, in flows that none may push out.
        RemoteFlows = "remote_flows", "the remote has too many flows";
        /// The remote opens flows faster than any may.
        RemoteFlowRate = "remote_flow_rate", "the remote opens flows too fast";
        /// The flow table is full of flows that none may push out.
        FlowTableFull = "flow_table_full", "the flow table is full of flows in use";
        /// A rule of the firewall denies the flow.
        RuleDenied = "rule_denied", "a rule of the firewall denies it";
        /// A rule of the firewall accepts such flows, but not as many.
        RuleRate = "rule_rate", "more flows than the firewall's rule allows";
        /// More bytes to or from the remote than its bandwidth limit allows.
        RemoteLimit = "remote_limit", "the remote's bandwidth limit is exceeded";
        /// Every route to the remote is lost; the application was told so.
        RouteLost = "route_lost", "every route to the remote is lost";
        /// The packet waited for a route or session longer than allowed.
        WaitedTooLong = "waited_too_long", "no route or session came up in time";
        /// The packet waited and was pushed out by newer ones.
        WaitingFull = "waiting_full", "too many packets wait for a route or session";
        /// Larger than the path to its remote carries; the application was told so.
        TooBig = "packet_too_big", "the packet is too big for the path";
        /// No ICMP answer: about an ICMP error, a later fragment, or what is no valid packet.
        IcmpForbidden = "icmp_forbidden", "no ICMP answer is allowed about this packet";
        /// No ICMP answer: more would exceed the rate limit.
        IcmpLimited = "icmp_limited", "ICMP answers are rate limited";
    }
}

/// One counter per reason, shared between threads without a lock; the counts start at 0 and wrap.
pub struct Counters<R: Reason> {
    counts: Box<[AtomicU64]>,
    reason: PhantomData<fn(R)>,
}

impl<R: Reason> Counters<R> {
    /// All reasons at 0.
    pub fn new() -> Self {
        Self { counts: R::ALL.iter().map(|_| AtomicU64::new(0)).collect(), reason: PhantomData }
    }

    /// Counts one drop.
    pub fn count(&self, reason: R) {
        self.add(reason, 1);
    }

    /// Counts `drops` drops of one reason.
    pub fn add(&self, reason: R, drops: u64) {
        self.counts[reason.index()].fetch_add(drops, Ordering::Relaxed);
    }

    /// How many drops this reason has had.
    pub fn get(&self, reason: R) -> u64 {
        self.counts[reason.index()].load(Ordering::Relaxed)
    }

    /// Every reason with its count, zeros included, in the order of the enum.
    pub fn iter(&self) -> impl Iterator<Item = (R, u64)> + '_ {
        R::ALL.iter().map(|&reason| (reason, self.get(reason)))
    }
}

impl<R: Reason> Default for Counters<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Reason> fmt::Debug for Counters<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = self.iter().filter(|(_, count)| *count > 0);
        f.debug_map().entries(counted.map(|(reason, count)| (reason.name(), count))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_indices_follow_the_order() {
        let mut names: Vec<_> = GatewayDrop::ALL.iter().map(|reason| reason.name()).collect();
        for (index, reason) in GatewayDrop::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert!(reason.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), GatewayDrop::ALL.len());
    }

    #[test]
    fn threads_count_together() {
        let counters = Counters::<GatewayDrop>::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| counters.count(GatewayDrop::NoFlow)));
            }
        });
        counters.add(GatewayDrop::TooShort, 2);
        assert_eq!(counters.get(GatewayDrop::NoFlow), 4000);
        assert_eq!(counters.iter().map(|(_, count)| count).sum::<u64>(), 4002);
        assert_eq!(format!("{counters:?}"), r#"{"too_short": 2, "no_flow": 4000}"#);
    }
}
