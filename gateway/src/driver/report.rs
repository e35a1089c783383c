// SPDX-License-Identifier: AGPL-3.0-or-later
//! The driver's answer to `status`: what router, sessions, flows and drops look like at this moment.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway_core::firewall::{self, Action};
use gateway_core::flow::{Flow, Origin};
use gateway_core::packet::Direction;
use gateway_core::remotes::overlay_address;
use gateway_core::session;
use ratman_types::{Address, Bandwidth, RouterId, Timestamp};
use router_core::RouteStatus as Way;

use super::{Attachment, Driver};
use crate::irdest_proxy::ControlHalf;
use crate::message_plane::{PlaneDoor, PlaneReport};
use crate::status::{
    FlowEnd, FlowStatus, LinkStatus, NextHop, PeerStatus, RouteState, RouteStatus, RuleStatus, SessionRole,
    SessionState, SessionStatus, Status, StreamsStatus,
};

/// Flows in one reply: more than a person reads, and well below what a reply may hold.
const FLOWS_SHOWN: usize = 1_024;

/// Who this gateway is.
#[derive(Clone, Copy, Debug)]
pub struct Identification {
    /// Its address.
    pub address: Address,
    /// Its router id.
    pub router_id: RouterId,
}

impl Driver {
    pub(super) fn report(&self) -> Status {
        let now = self.clock.now().at;
        let Identification { address, router_id } = self.parts.identification;
        let proxy = self.parts.proxy.as_ref();
        let plane = self.parts.streams.as_ref().map(PlaneDoor::report);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address,
            router_id,
            overlay: overlay_address(&address),
            uptime_s: now.since(self.started).as_secs(),
            warnings: self.warnings().collect(),
            clock_correction_us: self.parts.router.clock_correction(),
            peers: self
                .parts
                .netmods
                .iter()
                .flat_map(|netmod| netmod.peers())
                .map(PeerStatus::from)
                .collect(),
            links: self.link_rows(now),
            routes: self.route_rows(now),
            sessions: proxy.map(|proxy| session_rows(proxy, now)).unwrap_or_default(),
            flows: proxy.map(|proxy| flow_rows(proxy, now)).unwrap_or_default(),
            rules: proxy.map(rule_rows).unwrap_or_default(),
            streams: plane.as_ref().map(streams_row),
            drops: self.drop_rows(plane.as_ref()),
            counters: self.counter_rows(plane.as_ref()),
        }
    }

    fn link_rows(&self, now: Timestamp) -> Vec<LinkStatus> {
        let ways = self.parts.ways.load();
        self.parts
            .router
            .links()
            .filter_map(|link| {
                let Attachment { link: up, .. } = self.links.get(&link.hop)?;
                let activity = up.outbox.activity();
                let queue = ways.egress(link.hop).map(|egress| egress.stats()).unwrap_or_default();
                Some(LinkStatus {
                    link: link.hop.link.0,
                    netmod: up.netmod.to_owned(),
                    neighbour: link.hop.neighbour,
                    local: up.local.clone(),
                    remote: up.remote.clone(),
                    dialed: up.dialed,
                    state: link.state.into(),
                    mtu: link.mtu.0,
                    rtt_us: link.latency.map(|latency| micros(latency.value)),
                    clock_offset_us: link.clock_offset,
                    queued_bytes: activity.queued_bytes + count(queue.waiting),
                    dropped_frames: activity.dropped + queue.dropped,
                    up_s: now.since(link.since).as_secs(),
                })
            })
            .collect()
    }

    /// One row per address: the way in use, or the best that is known of one that cannot be reached.
    fn route_rows(&self, now: Timestamp) -> Vec<RouteStatus> {
        let mut best = BTreeMap::<Address, Way>::new();
        for way in self.parts.router.routes() {
            match best.get(&way.address) {
                Some(other) if other.selected || !way.selected => {}
                Some(_) | None => {
                    best.insert(way.address, way);
                }
            }
        }
        best.into_values().map(|way| route_row(&way, now)).collect()
    }

    fn drop_rows(&self, plane: Option<&PlaneReport>) -> BTreeMap<String, u64> {
        let mut rows = BTreeMap::new();
        let mut add = |name: &str, count: u64| {
            if count > 0 {
                *rows.entry(name.to_owned()).or_default() += count;
            }
        };
        for (reason, count) in self.parts.router.drops().iter() {
            add(reason.name(), count);
        }
        for (name, count) in self.parts.forwarder.drops() {
            add(name, count);
        }
        for (reason, count) in plane.iter().flat_map(|plane| plane.drops.iter()) {
            add(reason.name(), count);
        }
        for netmod in &self.parts.netmods {
            for (name, count) in netmod.drops() {
                add(name, count);
            }
        }
        if let Some(proxy) = &self.parts.proxy {
            for (name, count) in proxy.session_drops() {
                add(name, count);
            }
            for (name, count) in proxy.data().drops() {
                add(name, count);
            }
        }
        rows
    }

    fn counter_rows(&self, plane: Option<&PlaneReport>) -> BTreeMap<String, u64> {
        let router = self.parts.router.counters();
        let mut rows = BTreeMap::from([
            ("announcements_made", router.announcements_made),
            ("announcements_withheld", router.announcements_withheld),
            ("announcements_received", router.announcements_received),
            ("announcements_flooded", router.announcements_flooded),
            ("retractions_sent", router.retractions_sent),
            ("signatures_verified", router.signatures_verified),
            ("signatures_made", router.signatures_made),
            ("session_frames_relayed", self.parts.forwarder.relayed()),
            ("frames_without_way_out", self.without_way_out),
            ("link_lines_unwritten", self.lines.unwritten),
            ("control_clients_refused", self.parts.control_refused.load(Ordering::Relaxed)),
            ("stored_times_forgotten", self.parts.state.forgotten()),
        ]);
        let (reported, limited) = self.parts.forwarder.reported();
        rows.extend([("path_reports_sent", reported), ("path_reports_limited", limited)]);
        if let Some(plane) = plane {
            rows.extend([
                ("stream_frames_relayed", plane.streams.relayed),
                ("stream_frames_sent", plane.sent),
                ("stream_frames_not_taken", plane.not_taken),
                ("stream_frames_without_way_out", plane.without_way_out),
                ("custodies_not_told", plane.custodies_lost),
                ("custodies_unheard", self.custodies_unheard),
                ("journal_groups_evicted", plane.streams.journal.evicted),
                ("journal_groups_expired", plane.streams.journal.expired),
                ("journal_no_room", plane.streams.journal.refused),
                ("journal_beyond_share", plane.streams.journal.beyond_share),
                ("journal_removals_forgotten", plane.streams.removals_forgotten),
                ("journal_batches", plane.store.batches),
                ("journal_commits", plane.store.commits),
                ("journal_syncs", plane.store.syncs),
                ("journal_busy", plane.store.refused),
                ("journal_begun_anew", plane.store.begun_anew),
            ]);
        }
        if let Some(proxy) = &self.parts.proxy {
            let tun = proxy.data().tun_counters();
            let (flows, _) = proxy.data().flows(0, |_| ());
            let overlay = proxy.overlay_stats();
            rows.extend([
                ("tun_received", tun.received),
                ("tun_sent", tun.sent),
                ("tun_segmented", tun.segmented),
                ("tun_would_block", tun.would_block),
                ("tun_no_memory", tun.no_memory),
                ("tun_down", tun.down),
                ("tun_refused", tun.refused),
                ("flows_created", flows.created),
                ("flows_expired", flows.expired),
                ("flows_evicted", flows.evicted),
                ("flows_refused", flows.refused),
                ("firewall_lines_not_logged", proxy.data().rules().1),
                ("fragments_displaced", flows.fragments_displaced),
                ("overlay_collisions", overlay.collisions),
                ("overlay_refused", overlay.refused),
            ]);
        }
        rows.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }
}

fn route_row(way: &Way, now: Timestamp) -> RouteStatus {
    let ago = |at: Option<Timestamp>| at.map_or(0, |at| now.since(at).as_secs());
    let local = way.hop.is_none();
    let in_use = way.selected && way.usable;
    RouteStatus {
        address: way.address,
        overlay: overlay_address(&way.address),
        local,
        next_hop: way
            .hop
            .filter(|_| way.selected)
            .map(|hop| NextHop { link: hop.link.0, neighbour: hop.neighbour }),
        ping_us: way.ping.map(micros),
        mtu: Some(way.mtu.0),
        bandwidth: Some(way.bandwidth)
            .filter(|bandwidth| bandwidth.is_known())
            .map(Bandwidth::as_bytes_per_second),
        state: if local || in_use { RouteState::Live } else { RouteState::Idle },
        reason: way.reason.clone(),
        hops: Some(way.hops),
        heard_s: ago(way.heard),
        known_s: ago(way.first_heard),
    }
}

fn streams_row(plane: &PlaneReport) -> StreamsStatus {
    let PlaneReport { streams, store, .. } = plane;
    StreamsStatus {
        sending: count(streams.sending),
        receiving: count(streams.receiving),
        waiting: count(streams.waiting),
        sleeping: count(streams.sleeping),
        shared: count(streams.shared),
        carried: count(streams.carried),
        flooded: count(streams.flooded),
        journal_bytes: streams.used.0,
        quota_bytes: streams.quota.0,
        disk_bytes: store.on_disk.0,
        unsaved_bytes: store.waiting.0,
        removals_owed: count(streams.removals_owed),
    }
}

fn session_rows(proxy: &ControlHalf, now: Timestamp) -> Vec<SessionStatus> {
    proxy
        .sessions()
        .map(|session| SessionStatus {
            remote: session.remote,
            state: match session.state {
                session::SessionState::Established => SessionState::Established,
                session::SessionState::Handshaking | session::SessionState::HalfOpen => {
                    SessionState::Handshake
                }
            },
            role: match (session.role, session.state) {
                (Some(session::Role::Responder), _) | (None, session::SessionState::HalfOpen) => {
                    SessionRole::Responder
                }
                (Some(session::Role::Initiator) | None, _) => SessionRole::Initiator,
            },
            since_s: session.established.map_or(0, |at| now.since(at).as_secs()),
            tx_bytes: session.traffic.sent_bytes.0,
            rx_bytes: session.traffic.received_bytes.0,
            tx_packets: session.traffic.sent_packets,
            rx_packets: session.traffic.received_packets,
        })
        .collect()
}

fn flow_rows(proxy: &ControlHalf, now: Timestamp) -> Vec<FlowStatus> {
    proxy.data().flows(FLOWS_SHOWN, |flow| flow_row(flow, now)).1
}

fn rule_rows(proxy: &ControlHalf) -> Vec<RuleStatus> {
    proxy.data().rules().0.into_iter().map(rule_row).collect()
}

fn rule_row(rule: firewall::RuleStatus) -> RuleStatus {
    RuleStatus {
        name: rule.name.to_string(),
        direction: match rule.direction {
            Direction::Inbound => "in".to_owned(),
            Direction::Outbound => "out".to_owned(),
        },
        action: match rule.action {
            Action::Accept => "accept".to_owned(),
            Action::Deny => "deny".to_owned(),
        },
        accepted: rule.counts.accepted,
        denied: rule.counts.denied,
        limited: rule.counts.limited,
    }
}

fn flow_row(flow: &Flow, now: Timestamp) -> FlowStatus {
    let end = |(ip, port): (IpAddr, u16)| FlowEnd { ip, port: Some(port).filter(|port| *port != 0) };
    let (ours, theirs) = (end(flow.key.ours), end(flow.key.theirs));
    let (source, destination) = match flow.origin {
        Origin::Ours => (ours, theirs),
        Origin::Theirs => (theirs, ours),
    };
    FlowStatus {
        protocol: protocol_name(flow.key.protocol),
        source,
        destination,
        remote: flow.remote,
        tx_packets: flow.sent.packets,
        rx_packets: flow.received.packets,
        tx_bytes: flow.sent.bytes,
        rx_bytes: flow.received.bytes,
        idle_s: now.since(flow.last_seen).as_secs(),
    }
}

/// The name of a protocol by its IANA number, or the number.
fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use gateway_core::drop_reason::{GatewayDrop, Reason};
    use gateway_core::session::SessionDrop;
    use router_core::DropReason;

    #[test]
    fn no_two_rooms_count_under_one_name() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        names.extend(GatewayDrop::ALL.iter().map(|reason| reason.name()));
        names.extend(SessionDrop::ALL.iter().map(|reason| reason.name()));
        names.extend(netmod_inet::InetCounters::default().iter().map(|(name, _)| name));
        names.sort_unstable();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        assert_eq!(twice, [""; 0]);
    }
}
