// SPDX-License-Identifier: AGPL-3.0-or-later
//! Why something was dropped, under names that stay the same for people and for metrics.

use core::fmt;
use std::collections::BTreeMap;

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a frame, a copy or an entry was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, in snake case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

drop_reasons! {
    /// The frame came over a hop that is not up.
    UnknownHop = "unknown_hop",
    /// The neighbour is cut off because of too many bad signatures.
    NeighbourCutOff = "neighbour_cut_off",
    /// The bytes are no carrier frame.
    MalformedFrame = "malformed_frame",
    /// A carrier frame in the form of 0.6 routers.
    CarrierVersion1 = "carrier_version_1",
    /// A mode that is none of this network.
    UnknownMode = "unknown_mode",
    /// A peering mode, which must never leave the netmod.
    PeeringMode = "peering_mode",
    /// A mode of the network that this router does not serve.
    ModeNotServed = "mode_not_served",
    /// The payload is not what its mode says.
    MalformedPayload = "malformed_payload",
    /// A frame that must name a recipient names none.
    NoRecipient = "no_recipient",
    /// A frame to a namespace of a kind that is not flooded.
    NamespaceNotServed = "namespace_not_served",
    /// A session frame with options in its header.
    SessionForm = "session_form",
    /// A routed frame for one of our addresses in a mode that we do not deliver.
    NotDelivered = "not_delivered",
    /// The recipient lies in no known direction.
    NoRoute = "no_route",
    /// The only way on leads back to the neighbour that the frame came from.
    OnlyWayBack = "only_way_back",
    /// No forwarder may handle the frame any more.
    HopLimit = "hop_limit",
    /// The frame is larger than the next hop carries.
    FrameTooBig = "frame_too_big",
    /// A frame whose mode requires a signature carries none.
    Unsigned = "unsigned",
    /// The sender of a one-hop frame is not the router proven on the link.
    WrongSender = "wrong_sender",
    /// A one-hop frame that is not newer than the one before.
    StaleOneHop = "stale_one_hop",
    /// An echo reply to nothing that we asked.
    UnaskedEcho = "unasked_echo",
    /// The neighbour used up its verifications.
    VerificationQuota = "verification_quota",
    /// A signature that does not hold.
    BadSignature = "bad_signature",
    /// An announcement with a recipient, a sequence id, auxiliary data or a frame signature.
    AnnouncementForm = "announcement_form",
    /// An announcement in the form of 0.6 routers.
    AnnouncementVersion1 = "announcement_version_1",
    /// An announcement on a link without an echo reply.
    LinkStarting = "link_starting",
    /// Our own announcement, come back.
    OwnAnnouncement = "own_announcement",
    /// A copy of a known announcement with another origin signature.
    OriginSignatureDiffers = "origin_signature_differs",
    /// An announcement older than the newest and not among those remembered.
    AnnouncementStale = "announcement_stale",
    /// An announcement from more than five minutes away.
    ClockWindow = "clock_window",
    /// A copy that tells nothing new.
    AnnouncementRepeated = "announcement_repeated",
    /// A copy that could change nothing that matters and was not verified.
    CopyNotNeeded = "copy_not_needed",
    /// A copy without a counting peer part, on another hop than the first copy's.
    CopyWithoutPeer = "copy_without_peer",
    /// A verified copy whose path latency is not below what we flooded.
    Infeasible = "infeasible",
    /// A copy that was held back on its way: it makes no route live.
    HeldBack = "held_back",
    /// A retraction of a route that we do not have.
    NothingToRetract = "nothing_to_retract",
    /// The neighbour brought too many addresses never seen before.
    NewAddressQuota = "new_address_quota",
    /// The neighbour already fills half the RIB.
    NeighbourShare = "neighbour_share",
    /// The RIB is full, and this neighbour fills most of it.
    RibFull = "rib_full",
    /// A known address made room for another.
    Evicted = "evicted",
    /// The address already has as many hops as we keep, all of them better.
    TooManyHops = "too_many_hops",
    /// A hop of an address made room for another.
    HopReplaced = "hop_replaced",
    /// An address was flooded less than a second ago: what came now waits, and may be overtaken.
    FloodInterval = "flood_interval",
    /// A frame of a stream that does not say of which.
    UnnamedStream = "unnamed_stream",
    /// A frame of a stream whose lifetime has passed.
    Expired = "expired",
    /// A frame of a stream that is here already, or was refused.
    StreamOver = "stream_over",
    /// A frame to a namespace that is, or was, here already.
    FloodedBefore = "flooded_before",
    /// A frame to a namespace of a stream larger, or to be kept longer, than streams to namespaces may be.
    FloodedTooLong = "flooded_too_long",
    /// A probe of a namespace, or an answer to one, by who does not hold the namespace's key.
    AnycastProof = "anycast_proof",
    /// A probe of somebody who has asked too much.
    AnycastAsker = "anycast_asker",
    /// An answer of ours whose member, or whose namespace's key, left while it waited.
    AnycastGone = "anycast_gone",
    /// An answer to a probe that was not sealed to us by its sender.
    AnycastSeal = "anycast_seal",
    /// More probes of namespaces or askers are remembered, or more answers wait, than may.
    AnycastFull = "anycast_full",
    /// An answer to no probe of ours that is open and lists more, or of one that was heard.
    AnycastUnasked = "anycast_unasked",
    /// A stream that our rules refuse.
    StreamRefused = "stream_refused",
    /// Slices that do not make what they name.
    BadSlices = "bad_slices",
    /// A manifest that was not sealed to us, or says what cannot be.
    BadManifest = "bad_manifest",
    /// More waits for the disk than may.
    StoreBusy = "store_busy",
    /// A request for blocks of shared content that was made before.
    RequestRepeated = "request_repeated",
    /// A request for blocks of shared content while as many others get some as may.
    AnswersFull = "answers_full",
    /// The journal has no room for it.
    JournalFull = "journal_full",
    /// The neighbour brought as much of what is carried for others as one may.
    CarriedShare = "carried_share",
    /// The driver did not take frames as fast as they came out.
    TransmitQueueFull = "transmit_queue_full",
    /// The driver did not take events as fast as they came out.
    EventQueueFull = "event_queue_full",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each reason applied since the start.
#[derive(Clone, Debug, Default)]
pub struct DropCounters {
    counts: BTreeMap<DropReason, u64>,
}

impl DropCounters {
    pub(crate) fn count(&mut self, reason: DropReason) {
        let count = self.counts.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// How often `reason` applied.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.counts.get(&reason).copied().unwrap_or_default()
    }

    /// The reasons that applied at least once, in the order of the checks.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        self.counts.iter().map(|(reason, count)| (*reason, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_in_snake_case() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert!(
            names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '1'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::ALL.len());
        assert_eq!(DropReason::HopLimit.to_string(), "hop_limit");
    }

    #[test]
    fn counters_count() {
        let mut drops = DropCounters::default();
        drops.count(DropReason::NoRoute);
        drops.count(DropReason::NoRoute);
        assert_eq!(drops.get(DropReason::NoRoute), 2);
        assert_eq!(drops.get(DropReason::HopLimit), 0);
        assert_eq!(drops.iter().collect::<Vec<_>>(), [(DropReason::NoRoute, 2)]);
    }
}
