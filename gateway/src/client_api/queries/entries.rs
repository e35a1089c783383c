// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the daemon knows, in the words of the client protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use ratman_types::{Bandwidth, ByteCount, Mtu};
use ratman_wire::api::{
    Capacity, DialledPeer, Figure, LinkEntry, LinkState, List, LocalAddress, MAX_FIGURES, NextHop,
    PayloadLimit, RouteEntry, RouterInfo, StreamFigures, Text,
};

use crate::desk::Standing;
use crate::links::{CapacityFigure, CapacityKind, MeasuredLink, Rate, RoundTrip};
use crate::status::{self, LinkStatus, PeerStatus, RouteState, RouteStatus, Status, StreamsStatus};

/// What of a status is about the router as a whole.
pub(super) fn router_info(status: &Status) -> RouterInfo {
    RouterInfo {
        version: Text::of(&status.version),
        address: status.address,
        router_id: status.router_id,
        overlay: status.overlay,
        uptime: Duration::from_secs(status.uptime_s),
        payload_limit: PayloadLimit::REQUEST.as_bytes(),
        clock_correction_us: status.clock_correction_us,
        warnings: status.warnings.iter().map(|warning| Text::of(warning)).collect(),
        streams: status.streams.as_ref().map(stream_figures),
        drops: figures(&status.drops),
        counters: figures(&status.counters),
    }
}

fn figures(counts: &BTreeMap<String, u64>) -> List<Figure, MAX_FIGURES> {
    counts.iter().map(|(name, value)| Figure { name: Text::of(name), value: *value }).collect()
}

fn stream_figures(streams: &StreamsStatus) -> StreamFigures {
    StreamFigures {
        sending: streams.sending,
        receiving: streams.receiving,
        waiting: streams.waiting,
        carried: streams.carried,
        flooded: streams.flooded,
        journal: ByteCount(streams.journal_bytes),
        quota: ByteCount(streams.quota_bytes),
        disk: ByteCount(streams.disk_bytes),
        unsaved: ByteCount(streams.unsaved_bytes),
    }
}

/// An address of a client.
pub(super) fn address_entry(standing: &Standing) -> LocalAddress {
    let damage = standing.damage.map(|damage| Text::of(&damage.to_string()));
    LocalAddress { address: standing.address, up: standing.up, damage }
}

/// A link; what nobody measured of it is absent.
pub(super) fn link_entry(link: &LinkStatus, measured: Option<&MeasuredLink>) -> LinkEntry {
    let rate =
        |rate: fn(&MeasuredLink) -> Option<Rate>| measured.and_then(rate).map(|rate| rate.bytes_per_second);
    let loss = measured.and_then(|measured| measured.loss).map(|loss| loss.per_million);
    LinkEntry {
        link: link.link,
        netmod: Text::of(&link.netmod),
        neighbour: link.neighbour,
        local: Text::of(&link.local),
        remote: Text::of(&link.remote),
        interface: measured.and_then(|measured| measured.interface.as_deref()).map(Text::of),
        dialed: link.dialed,
        state: match link.state {
            status::LinkState::Live => LinkState::Live,
            status::LinkState::Starting => LinkState::Starting,
            status::LinkState::Stalled => LinkState::Stalled,
        },
        up: Duration::from_secs(link.up_s),
        mtu: Mtu(link.mtu),
        round_trip: link.rtt_us.map(Duration::from_micros),
        loaded_round_trip: measured.and_then(|measured| measured.loaded_latency).map(round_trip),
        clock_offset_us: link.clock_offset_us,
        capacity: measured.map_or(Capacity::Unknown, |measured| capacity(measured.capacity)),
        // At most a million.
        loss_per_million: loss.map(|loss| u32::try_from(loss).unwrap_or(u32::MAX)),
        sent: rate(|measured| measured.sent),
        received: rate(|measured| measured.received),
        queued: ByteCount(link.queued_bytes),
        dropped_frames: link.dropped_frames,
        cost: measured.and_then(|measured| measured.cost).map(Duration::from_micros),
    }
}

const fn round_trip(measured: RoundTrip) -> Duration {
    Duration::from_micros(measured.us)
}

fn capacity(figure: CapacityFigure) -> Capacity {
    match (figure.kind, figure.bytes_per_second.map(Bandwidth::from_bytes_per_second)) {
        (CapacityKind::Measured, Some(bandwidth)) => Capacity::Measured(bandwidth),
        (CapacityKind::AtLeast, Some(bandwidth)) => Capacity::AtLeast(bandwidth),
        (CapacityKind::Unknown, _) | (_, None) => Capacity::Unknown,
    }
}

/// A router that is dialled.
pub(super) fn peer_entry(peer: &PeerStatus) -> DialledPeer {
    DialledPeer {
        peer: Text::of(&peer.peer),
        linked: peer.linked,
        reached: peer.reached,
        failure: peer.failure.as_deref().map(Text::of),
    }
}

/// A route.
pub(super) fn route_entry(route: &RouteStatus) -> RouteEntry {
    RouteEntry {
        address: route.address,
        overlay: route.overlay,
        local: route.local,
        live: route.state == RouteState::Live,
        next_hop: route.next_hop.map(|hop| NextHop { link: hop.link, neighbour: hop.neighbour }),
        hops: route.hops,
        ping: route.ping_us.map(Duration::from_micros),
        mtu: route.mtu.map(Mtu),
        bandwidth: route.bandwidth.map_or(Bandwidth::UNKNOWN, Bandwidth::from_bytes_per_second),
        reason: Text::of(&route.reason),
    }
}
